import hashlib

from jobping.core.retention import Retention
from jobping.store.bridge import Database
from jobping.store.maintenance import Maintenance
from jobping.store.profiles import Profiles
from jobping.store.rankings import MOST_FAILURES, Claimed, Rankings, Said
from tests.store.store_samples import add_profile, sql


def key(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


A, B = sorted((key("a"), key("b")))


def said(of: bytes, score: int = 80) -> Said:
    return Said(key=of, score=score, reason="Fits.", model="luna")


async def test_pairs_are_asked_about_by_one_daemon_at_a_time(database: Database) -> None:
    profile, rankings = await add_profile(database), Rankings(database=database)
    mine = await rankings.claim(profile.id, [A, B], by="one", for_s=60)
    assert mine == Claimed(known=(), free={A: 0, B: 0})
    assert (await rankings.claim(profile.id, [A, B], by="two", for_s=60)).free == {}
    assert (await rankings.claim(profile.id, [A], by="one", for_s=0)).free == {A: 0}
    assert (await rankings.claim(profile.id, [A], by="two", for_s=60)).free == {A: 0}


async def test_answers_are_known_from_then_on_and_never_asked_again(database: Database) -> None:
    profile, rankings = await add_profile(database), Rankings(database=database)
    await rankings.claim(profile.id, [A, B], by="one", for_s=60)
    await rankings.keep(profile.id, [said(A)], failed=[B])
    found = await rankings.claim(profile.id, [A, B], by="two", for_s=60)
    assert found == Claimed(known=(said(A),), free={B: 1})


async def test_pair_that_failed_too_often_is_left_alone(database: Database) -> None:
    profile, rankings = await add_profile(database), Rankings(database=database)
    for failures in range(MOST_FAILURES):
        found = await rankings.claim(profile.id, [A], by="one", for_s=60)
        assert found.free == {A: failures}
        await rankings.keep(profile.id, [], failed=[A])
    assert await rankings.claim(profile.id, [A], by="one", for_s=60) == Claimed(known=(), free={})


async def test_pair_given_back_is_free_for_all_or_for_nobody(database: Database) -> None:
    profile, rankings = await add_profile(database), Rankings(database=database)
    await rankings.claim(profile.id, [A, B], by="one", for_s=60)
    await rankings.give_back([A])
    await rankings.give_back([B], for_good=True)
    assert (await rankings.claim(profile.id, [A, B], by="two", for_s=60)).free == {A: 0}


async def test_profile_is_served_when_a_model_has_ranked_for_it(database: Database) -> None:
    ana, bob = await add_profile(database), await add_profile(database, "bob")
    rankings = Rankings(database=database)
    await rankings.claim(ana.id, [A], by="one", for_s=60)
    await rankings.keep(ana.id, [said(A)], failed=[])
    await rankings.keep(bob.id, [], failed=[B])
    assert list(await rankings.last_served()) == [ana.id]
    assert await rankings.served_today() == 1


async def test_answers_go_with_their_profile_and_with_time(database: Database) -> None:
    profile, rankings = await add_profile(database), Rankings(database=database)
    await rankings.claim(profile.id, [A, B], by="one", for_s=60)
    await sql(
        database, "UPDATE ranking SET asked_at = now() - interval '91 days' WHERE key = $1", A
    )
    await Maintenance(database=database).expire(Retention())
    assert await sql(database, "SELECT key FROM ranking") == [(B,)]
    await Profiles(database=database).remove("ana")
    assert await sql(database, "SELECT key FROM ranking") == []


async def test_nothing_is_claimed_for_a_profile_that_is_gone(database: Database) -> None:
    profile, rankings = await add_profile(database), Rankings(database=database)
    await Profiles(database=database).remove("ana")
    assert (await rankings.claim(profile.id, [A], by="one", for_s=60)).free == {}
