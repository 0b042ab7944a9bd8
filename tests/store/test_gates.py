import pytest
from store_samples import sql

from jobping.core.ids import Domain
from jobping.errors import StoreConflict
from jobping.store.bridge import Database
from jobping.store.gates import Gates
from tests.doubles.leases import hold

DOMAIN = Domain("boards.example:8443")
STATE = '{"tat_s": 1.5, "breaker": {"failures": 2}}'


async def test_gate_is_unknown_before_it_was_saved(database: Database) -> None:
    assert await Gates(database=database).load(DOMAIN) is None


async def test_gate_saved_twice_loads_the_last_state_to_the_letter(database: Database) -> None:
    gates, fence = Gates(database=database), await hold(database, DOMAIN)
    await gates.save(fence, "{}", "reliable")
    await gates.save(fence, STATE, "backfill")
    saved = await gates.load(DOMAIN)
    assert saved is not None
    assert (saved.state, saved.tier) == (STATE, "backfill")


async def test_gate_says_how_long_ago_it_was_saved(database: Database) -> None:
    gates, fence = Gates(database=database), await hold(database, DOMAIN)
    await gates.save(fence, STATE, "reliable")
    await sql(database, "UPDATE domain_gate SET saved_at = saved_at - interval '1 hour'")
    saved = await gates.load(DOMAIN)
    assert saved is not None
    assert 3600 <= saved.elapsed_s < 3660


async def test_gate_saved_in_the_future_has_no_negative_age(database: Database) -> None:
    gates, fence = Gates(database=database), await hold(database, DOMAIN)
    await gates.save(fence, STATE, "reliable")
    await sql(database, "UPDATE domain_gate SET saved_at = saved_at + interval '1 hour'")
    saved = await gates.load(DOMAIN)
    assert saved is not None
    assert saved.elapsed_s == 0


async def test_all_gates_come_by_domain(database: Database) -> None:
    gates = Gates(database=database)
    await gates.save(await hold(database, "b.example"), "{}", "individual")
    await gates.save(await hold(database, "a.example"), STATE, "reliable")
    assert [(domain, saved.state, saved.tier) for domain, saved in await gates.all()] == [
        ("a.example", STATE, "reliable"),
        ("b.example", "{}", "individual"),
    ]


async def test_gate_refuses_a_tier_that_is_none(database: Database) -> None:
    fence = await hold(database, DOMAIN)
    with pytest.raises(StoreConflict, match="domain_gate_tier_check"):
        await Gates(database=database).save(fence, STATE, "sideways")
