"""Who owns a domain, on a real PostgreSQL: claims, renewals, fences."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from store_samples import NOON, add_board, content_hash, draft, sql

from jobping.core.ids import Domain
from jobping.core.tenure import Fence, TenureRules
from jobping.errors import LeaseLost
from jobping.store.bridge import Database
from jobping.store.connection import Connection
from jobping.store.gates import Gates
from jobping.store.leases import Leases
from jobping.store.postings import Postings

SITE, OTHER = Domain("boards.example"), Domain("other.example")
BRIEF = TenureRules(ttl_s=0.3, renew_every_s=0.1, margin_s=0.1)


def leases(database: Database, daemon: str = "one", rules: TenureRules | None = None) -> Leases:
    return Leases(database=database, daemon=daemon, host="here", rules=rules or TenureRules())


async def expire(database: Database) -> None:
    await sql(database, "UPDATE domain_lease SET expires_at = now() - interval '1 ms'")


async def test_claim_takes_what_is_free_and_nothing_that_another_holds(database: Database) -> None:
    one, two = leases(database), leases(database, "two")
    assert await one.claim([SITE]) == (Fence(SITE, 1),)
    assert await two.claim([OTHER, SITE]) == (Fence(OTHER, 1),)
    assert await one.claim([OTHER, SITE]) == ()
    assert await sql(database, "SELECT domain, owner, fence FROM domain_lease ORDER BY 1") == [
        (SITE, "one", 1),
        (OTHER, "two", 1),
    ]


async def test_twenty_claimers_at_once_have_one_winner_for_each_domain(database: Database) -> None:
    domains = [Domain(f"site-{number}.example") for number in range(10)]
    for fence in (1, 2, 3):
        won: list[Fence] = []

        async def claim(number: int, won: list[Fence] = won) -> None:
            won.extend(await leases(database, f"daemon-{number}").claim(domains))

        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                for number in range(20):
                    nursery.start_soon(claim, number)
            # a row that was being entered or claimed at that moment is left to a later look
            won += await leases(database, "late").claim(domains)
        assert sorted(won, key=lambda f: f.domain) == [Fence(d, fence) for d in sorted(domains)]
        await expire(database)


async def test_lapsed_lease_is_taken_over_with_a_higher_fence_that_stands_in_the_gate(
    database: Database,
) -> None:
    one, two = leases(database, rules=BRIEF), leases(database, "two")
    [first] = await one.claim([SITE])
    assert await two.claim([SITE]) == ()
    await trio.sleep(0.4)
    [second] = await two.claim([SITE])
    assert (first.number, second.number) == (1, 2)
    assert await sql(database, "SELECT domain, fence FROM domain_gate") == [(SITE, 2)]
    assert await one.renew([first]) == frozenset()
    assert await two.renew([second]) == {second}


async def test_renewal_keeps_others_out_beyond_the_first_end(database: Database) -> None:
    one, two = leases(database, rules=BRIEF), leases(database, "two")
    [fence] = await one.claim([SITE])
    for _ in range(5):
        await trio.sleep(0.1)
        assert await one.renew([fence]) == {fence}
        assert await two.claim([SITE]) == ()


async def test_released_lease_is_free_at_once_and_only_its_owner_can_release_it(
    database: Database,
) -> None:
    one, two = leases(database), leases(database, "two")
    [fence] = await one.claim([SITE])
    await two.release([fence])
    assert await two.claim([SITE]) == ()
    await one.release([fence])
    assert await two.claim([SITE]) == (Fence(SITE, 2),)
    await one.release([fence])
    assert await one.claim([SITE]) == ()


async def test_start_takes_back_what_the_same_daemon_held_before_it_died(
    database: Database,
) -> None:
    await leases(database).start([SITE])
    await leases(database, "two").start([OTHER])
    assert await leases(database).start([OTHER, SITE]) == (Fence(SITE, 2),)


async def test_living_daemons_are_listed_and_leave(database: Database) -> None:
    living = "SELECT daemon, host FROM daemon_lease WHERE expires_at > now() ORDER BY 1"
    one, two = leases(database), leases(database, "two")
    fences = await one.start([SITE])
    await two.start([SITE])
    assert await sql(database, living) == [("one", "here"), ("two", "here")]
    await one.leave(fences)
    assert await sql(database, living) == [("two", "here")]
    assert await two.claim([SITE]) == (Fence(SITE, 2),)


@asynccontextmanager
async def ingesting(database: Database, fence: Fence) -> AsyncIterator[None]:
    """Hold the lease's row as a batch does that takes its time."""
    began, may_end = trio.Event(), trio.Event()
    check = "SELECT true FROM domain_lease WHERE domain = $1 AND fence = $2 FOR KEY SHARE"
    slow = "SELECT EXISTS (SELECT FROM pg_advisory_xact_lock(7))"

    async def batch(connection: Connection) -> None:
        async with connection.transaction():
            await connection.fetchval(check, fence.domain, fence.number)
            await connection.fetchval(slow)

    async def block(connection: Connection) -> None:
        async with connection.transaction():
            await connection.fetchval(slow)
            began.set()
            while not may_end.is_set():
                await connection.fetchval("SELECT pg_sleep(0.01)")

    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(database.run, block)
        await began.wait()
        nursery.start_soon(database.run, batch)
        while await sql(database, waits) == [(0,)]:  # noqa: ASYNC110  locks set no event
            await trio.sleep(0.005)
        try:
            yield
        finally:
            may_end.set()


async def test_renewal_does_not_wait_for_a_batch_that_is_being_stored(database: Database) -> None:
    one = leases(database)
    [fence] = await one.claim([SITE])
    async with ingesting(database, fence):
        began = trio.current_time()
        with trio.fail_after(2):
            assert await one.renew([fence]) == {fence}
        took_s = trio.current_time() - began
    print(f"renewal beside a batch: {took_s * 1000:.1f} ms")
    assert took_s < 1.0


async def test_claim_leaves_a_lapsed_lease_alone_while_a_batch_of_its_owner_is_stored(
    database: Database,
) -> None:
    one, two = leases(database), leases(database, "two")
    [fence] = await one.claim([SITE])
    async with ingesting(database, fence):
        await expire(database)
        with trio.fail_after(2):
            assert await two.claim([SITE]) == ()
    assert await two.claim([SITE]) == (Fence(SITE, 2),)


async def test_stale_fence_writes_no_gate(database: Database) -> None:
    gates = Gates(database=database)
    [first] = await leases(database).claim([SITE])
    await gates.save(first, '{"grants": 1}', "reliable")
    await expire(database)
    [second] = await leases(database, "two").claim([SITE])
    with pytest.raises(LeaseLost, match=r"boards\.example"):
        await gates.save(first, '{"grants": 99}', "backfill")
    saved = await gates.load(SITE)
    assert saved is not None
    assert (saved.state, saved.tier) == ('{"grants": 1}', "reliable")
    await gates.save(second, '{"grants": 2}', "reliable")


async def test_gate_is_unknown_after_a_claim_alone(database: Database) -> None:
    await leases(database).claim([SITE])
    assert await Gates(database=database).load(SITE) is None
    assert await Gates(database=database).all() == ()


@pytest.mark.parametrize("end", ["taken", "lapsed"])
async def test_stale_fence_stores_no_posting(database: Database, end: str) -> None:
    board, postings = await add_board(database), Postings(database=database)
    await expire(database)
    [first] = await leases(database).claim([SITE])

    async def store(fence: Fence, id: str) -> None:
        item = draft(id)
        hashes = [content_hash(item)]
        await postings.store(board.id, [item], hashes, [None], news_after=NOON, fence=fence)

    await store(first, "1")
    await expire(database)
    if end == "taken":
        await leases(database, "two").claim([SITE])
    with pytest.raises(LeaseLost):
        await store(first, "2")
    assert await postings.count() == 1
