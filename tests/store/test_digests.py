import attrs
import trio
from store_samples import (
    DAY_S,
    CountedDatabase,
    add_news,
    add_profile,
    draft,
    match_of,
    record,
    sql,
    wait_for_rival,
)

from jobping.core.posting import StoredPosting
from jobping.core.profile import StoredProfile
from jobping.store.bridge import Database
from jobping.store.connection import Connection
from jobping.store.digests import ClaimedDigest, Digests, claim_digest
from jobping.store.matches import Matches
from jobping.store.profiles import Profiles


async def add_matches(
    database: Database, count: int = 3
) -> tuple[StoredProfile, tuple[StoredPosting, ...]]:
    ana = await add_profile(database)
    postings = await add_news(database, *(draft(str(n)) for n in range(count)))
    await record(database, *(match_of(ana, posting) for posting in postings))
    return ana, postings


def items(*postings: StoredPosting) -> list[tuple[int, str]]:
    return [(posting.id, f"row:{posting.id}") for posting in postings]


async def test_digest_is_claimed_once_for_a_profile_and_period(database: Database) -> None:
    digests = Digests(database=database)
    ana, [one, two, _] = await add_matches(database)
    claimed = await digests.claim(ana.id, "monday", items(two, one))
    assert claimed is not None
    assert (claimed.profile, claimed.period) == (ana, "monday")
    assert [item.posting for item in claimed.items] == [two, one]
    assert [item.match for item in claimed.items] == [match_of(ana, two), match_of(ana, one)]
    assert await digests.claim(ana.id, "monday", items(one)) is None
    assert await digests.unfinished() == (claimed,)


async def test_claims_at_once_give_one_digest(database: Database) -> None:
    digests = Digests(database=database)
    ana, postings = await add_matches(database)
    claims: list[ClaimedDigest | None] = []

    async def claim() -> None:
        claims.append(await digests.claim(ana.id, "monday", items(*postings)))

    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(claim)
    won = [claim for claim in claims if claim is not None]
    assert tuple(won) == await digests.unfinished()
    assert [len(claim.items) for claim in won] == [3]


async def test_claims_at_once_for_several_periods_share_no_posting(database: Database) -> None:
    counted = CountedDatabase(database)
    digests = Digests(database=counted)
    ana, postings = await add_matches(database, 20)

    async def claim(number: int) -> None:
        order = postings[:: 1 if number % 2 else -1]
        await digests.claim(ana.id, f"period {number}", items(*order))

    async with trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(claim, number)
    sent = [item.posting.id for digest in await digests.unfinished() for item in digest.items]
    assert sorted(sent) == sorted(posting.id for posting in postings)
    assert counted.ran == counted.asked


async def test_claim_waits_for_a_rival_before_it_takes_anything(database: Database) -> None:
    counted, held = CountedDatabase(database), trio.Event()
    digests = Digests(database=counted)
    ana, [one, two, _] = await add_matches(database)

    async def claim_slowly(connection: Connection) -> None:
        async with connection.transaction():
            await claim_digest(connection, ana.id, "monday", items(two))
            held.set()
            await wait_for_rival(connection)
            await claim_digest(connection, ana.id, "tuesday", items(one))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(counted.run, claim_slowly)
        await held.wait()
        claimed = await digests.claim(ana.id, "wednesday", items(one, two))
    assert claimed is not None
    assert claimed.items == ()
    assert counted.ran == counted.asked


async def test_digest_leaves_out_what_the_profile_got_before(database: Database) -> None:
    digests = Digests(database=database)
    ana, [one, two, three] = await add_matches(database)
    first = await digests.claim(ana.id, "monday", items(one))
    assert first is not None
    await digests.mark_sent(first.id)
    repost = (three.id, f"row:{one.id}")
    second = await digests.claim(ana.id, "tuesday", [*items(one, two), repost])
    assert second is not None
    assert [item.posting.id for item in second.items] == [two.id]


async def test_digest_carries_one_posting_of_a_key(database: Database) -> None:
    ana, [one, two, three] = await add_matches(database)
    claimed = await Digests(database=database).claim(
        ana.id, "monday", [(two.id, "same"), (one.id, "same"), (three.id, "other")]
    )
    assert claimed is not None
    assert [item.posting.id for item in claimed.items] == [two.id, three.id]


async def test_digest_carries_only_matches_of_its_profile(database: Database) -> None:
    ana, [one, _, _] = await add_matches(database)
    bob = await add_profile(database, "bob")
    claimed = await Digests(database=database).claim(bob.id, "monday", items(one))
    assert claimed is not None
    assert claimed.items == ()
    assert ana.id != bob.id


async def test_two_profiles_may_get_the_same_posting(database: Database) -> None:
    digests, bob = Digests(database=database), await add_profile(database, "bob")
    ana, [one, _, _] = await add_matches(database)
    await record(database, match_of(bob, one))
    for who in (ana, bob):
        claimed = await digests.claim(who.id, "monday", items(one))
        assert claimed is not None
        assert [item.posting for item in claimed.items] == [one]


async def test_unfinished_digests_are_whole_after_their_postings_changed(
    database: Database,
) -> None:
    digests, matches = Digests(database=database), Matches(database=database)
    ana, [one, two, _] = await add_matches(database)
    claimed = await digests.claim(ana.id, "monday", items(one, two))
    await matches.record([], done=[(one.id, 2)])
    await matches.record_search(ana.id, ana.version, [])
    assert await digests.unfinished() == (claimed,)


async def test_digest_marked_sent_is_finished_and_a_second_mark_changes_nothing(
    database: Database,
) -> None:
    digests = Digests(database=database)
    ana, [one, _, _] = await add_matches(database)
    claimed = await digests.claim(ana.id, "monday", items(one))
    assert claimed is not None
    await digests.mark_sent(claimed.id)
    state = "SELECT state, sent_at, failure FROM digest"
    sent = await sql(database, state)
    await digests.mark_sent(claimed.id)
    await digests.mark_failed(claimed.id, "too late")
    assert await sql(database, state) == sent
    assert sent[0][0] == "sent"
    assert await digests.unfinished() == ()


async def test_digest_that_failed_gives_its_postings_back_for_a_later_one(
    database: Database,
) -> None:
    digests, matches = Digests(database=database), Matches(database=database)
    ana, [one, _, _] = await add_matches(database)
    claimed = await digests.claim(ana.id, "monday", items(one))
    assert claimed is not None
    assert len(await matches.pending(ana.id, within_s=DAY_S, limit=9)) == 2
    await digests.mark_failed(claimed.id, "mailbox full")
    await digests.mark_sent(claimed.id)
    assert await digests.unfinished() == ()
    assert len(await matches.pending(ana.id, within_s=DAY_S, limit=9)) == 3
    assert await digests.claim(ana.id, "monday", items(one)) is None
    again = await digests.claim(ana.id, "tuesday", items(one))
    assert again is not None
    assert again.message_id != claimed.message_id


async def test_last_is_the_one_claimed_last(database: Database) -> None:
    digests = Digests(database=database)
    ana, _ = await add_matches(database)
    assert await digests.last(ana.id) is None
    for period in ("2026-02-28", "2026-03-01"):
        await digests.claim(ana.id, period, [])
    last = await digests.last(ana.id)
    assert last is not None
    assert last.period == "2026-03-01"


async def test_claim_for_a_removed_profile_is_none(database: Database) -> None:
    digests = Digests(database=database)
    ana, [one, _, _] = await add_matches(database)
    claimed = await digests.claim(ana.id, "monday", items(one))
    assert claimed is not None
    await Profiles(database=database).remove("ana")
    assert await digests.claim(ana.id, "tuesday", items(one)) is None
    assert await digests.unfinished() == ()
    await digests.mark_sent(claimed.id)


async def test_repost_is_known_after_the_first_posting_is_deleted(database: Database) -> None:
    digests = Digests(database=database)
    ana, [one, two, _] = await add_matches(database)
    await digests.claim(ana.id, "monday", [(one.id, "same")])
    await sql(database, "DELETE FROM posting WHERE id = $1", one.id)
    later = await digests.claim(ana.id, "tuesday", [(two.id, "same")])
    assert later is not None
    assert later.items == ()


async def test_cancelled_claim_leaves_the_period_free_or_the_digest_unfinished(
    database: Database,
) -> None:
    digests = Digests(database=database)
    ana, [one, _, _] = await add_matches(database)
    with trio.move_on_after(0.002):
        await digests.claim(ana.id, "monday", items(one))
    left = await digests.unfinished()
    again = await digests.claim(ana.id, "monday", items(one))
    whole = again if again is not None else left[0]
    assert (again is None) == bool(left)
    assert [item.posting for item in whole.items] == [one]
    assert whole == attrs.evolve(whole, period="monday")
