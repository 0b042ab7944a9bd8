import datetime as dt
import functools

import attrs
import pytest
import trio
from store_samples import (
    DAY_S,
    NOON,
    CountedDatabase,
    add_board,
    add_news,
    add_profile,
    draft,
    lock_upwards,
    match_of,
    put,
    record,
    sql,
)

from jobping.core.ids import PostingId
from jobping.core.match import Match, MatchedPosting
from jobping.core.posting import StoredPosting
from jobping.core.profile import Profile, StoredProfile
from jobping.errors import StoreConflict
from jobping.store.bridge import Database
from jobping.store.digests import Claim, Digests, End
from jobping.store.matches import Matches
from jobping.store.postings import Postings
from jobping.store.profiles import Profiles

UNMATCHED = "SELECT posting_id, version FROM unmatched ORDER BY posting_id"


def matched(match: Match, posting: StoredPosting) -> MatchedPosting:
    return MatchedPosting(
        match=match, posting=posting, last_seen=posting.first_seen_at.astimezone(dt.UTC).date()
    )


async def carry(
    database: Database, profile: StoredProfile, posting: StoredPosting, key: str = "k"
) -> Digests:
    """Claim a digest of one posting."""
    digests = Digests(database=database)
    claim = Claim(
        profile=profile.id,
        period="monday",
        items=[(posting.id, key)],
        ways=["files"],
        made_at=NOON,
        give_up_at=NOON + dt.timedelta(days=1),
    )
    assert await digests.claim(claim)
    return digests


# --- the queue


async def test_claim_takes_what_is_news_and_nobody_else_gets_it(database: Database) -> None:
    matches = Matches(database=database)
    news = await add_news(database, *(draft(str(n)) for n in range(5)))
    await put(database, await add_board(database, "old"), [draft("stock")], news_after=NOON)
    assert await matches.claim(by="one", limit=3, for_s=60) == news[:3]
    assert await matches.claim(by="two", limit=9, for_s=60) == news[3:]
    assert await matches.claim(by="three", limit=9, for_s=60) == ()


async def test_claim_takes_again_what_the_same_claimed_before(database: Database) -> None:
    matches = Matches(database=database)
    _, two, three = await add_news(database, draft("1"), draft("2"), draft("3"))
    await matches.claim(by="other", limit=1, for_s=60)
    await matches.claim(by="me", limit=1, for_s=60)
    assert await matches.claim(by="me", limit=9, for_s=60) == (two, three)


async def test_claims_at_once_never_share_a_posting(database: Database) -> None:
    matches = Matches(database=database)
    news = await add_news(database, *(draft(f"{n:02}") for n in range(40)))
    claimed: list[PostingId] = []

    async def claim(by: str) -> None:
        while postings := await matches.claim(by=by, limit=3, for_s=60):
            claimed.extend(posting.id for posting in postings)
            await matches.record([], done=[(posting.id, 1) for posting in postings])

    async with trio.open_nursery() as nursery:
        for by in "abcde":
            nursery.start_soon(claim, by)
    assert sorted(claimed) == [posting.id for posting in news]


async def test_claim_that_lapsed_can_be_taken_again(database: Database) -> None:
    matches = Matches(database=database)
    news = await add_news(database, draft("1"))
    await matches.claim(by="dead", limit=9, for_s=0)
    assert await matches.claim(by="alive", limit=9, for_s=60) == news


async def test_recorded_postings_leave_the_queue_with_or_without_a_match(
    database: Database,
) -> None:
    matches, ana = Matches(database=database), await add_profile(database)
    one, two, three = await add_news(database, draft("1"), draft("2"), draft("3"))
    found = match_of(ana, one)
    await matches.record([found], done=[(one.id, 1), (two.id, 1)])
    assert await sql(database, UNMATCHED) == [(three.id, 1)]
    assert await matches.listed(ana.id, limit=9) == (matched(found, one),)


async def test_posting_changed_while_it_was_matched_stays_queued(database: Database) -> None:
    matches, ana = Matches(database=database), await add_profile(database)
    [one] = await add_news(database, draft("1"))
    await matches.claim(by="me", limit=9, for_s=60)
    board = await add_board(database, "other")
    await put(database, board, [draft("1", title="Other")])
    await matches.record([match_of(ana, one)], done=[(one.id, 1)])
    [again] = await matches.claim(by="me", limit=9, for_s=60)
    assert (again.id, again.version, again.draft.title) == (one.id, 2, "Other")


async def test_record_twice_equals_once(database: Database) -> None:
    ana = await add_profile(database)
    [one] = await add_news(database, draft("1"))
    await record(database, match_of(ana, one, 70))
    await record(database, match_of(ana, one, 70), match_of(ana, one, 70))
    assert await Matches(database=database).listed(ana.id, limit=9) == (
        matched(match_of(ana, one, 70), one),
    )


async def test_match_of_an_older_version_never_overwrites_a_newer(database: Database) -> None:
    matches, ana = Matches(database=database), await add_profile(database)
    [one] = await add_news(database, draft("1"))
    newer = attrs.evolve(match_of(ana, one, 90), posting_version=2)
    await matches.record([newer], done=[])
    await matches.record([match_of(ana, one, 10)], done=[])
    assert await matches.listed(ana.id, limit=9) == (matched(newer, one),)


async def test_match_goes_when_the_changed_posting_no_longer_fits(database: Database) -> None:
    matches, ana = Matches(database=database), await add_profile(database)
    [one] = await add_news(database, draft("1"))
    await record(database, match_of(ana, one))
    await matches.record([], done=[(one.id, 2)])
    assert await matches.listed(ana.id, limit=9) == ()


async def test_match_of_a_removed_profile_is_ignored(database: Database) -> None:
    ana, bob = await add_profile(database, "ana"), await add_profile(database, "bob")
    [one] = await add_news(database, draft("1"))
    await Profiles(database=database).remove("ana")
    await record(database, match_of(ana, one), match_of(bob, one))
    assert await sql(database, "SELECT profile_id FROM match") == [(bob.id,)]
    assert await sql(database, UNMATCHED) == []


async def test_record_that_breaks_a_rule_leaves_the_queue_as_it_was(database: Database) -> None:
    ana = await add_profile(database)
    [one] = await add_news(database, draft("1"))
    with pytest.raises(StoreConflict, match="match_score_check"):
        await record(database, match_of(ana, one, 101))
    assert await sql(database, UNMATCHED) == [(one.id, 1)]


async def test_matching_beside_ingest_loses_no_posting_and_never_deadlocks(
    database: Database,
) -> None:
    counted = CountedDatabase(database)
    matches, ana = Matches(database=counted), await add_profile(database)
    board = await add_board(database)
    drafts = [draft(f"{n:03}") for n in range(60, 0, -1)]
    is_written = trio.Event()

    async def ingest() -> None:
        for round in range(8):
            await put(counted, board, [attrs.evolve(d, title=f"Round {round}") for d in drafts])
        is_written.set()

    async def match(by: str) -> None:
        while True:
            over = is_written.is_set()
            postings = await matches.claim(by=by, limit=20, for_s=60)
            await record(counted, *(match_of(ana, posting) for posting in reversed(postings)))
            if over and not postings:
                return

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ingest)
        nursery.start_soon(match, "one")
        nursery.start_soon(match, "two")
    assert await sql(database, UNMATCHED) == []
    assert await sql(database, "SELECT DISTINCT posting_version FROM match") == [(8,)]
    assert await sql(database, "SELECT count(*) FROM match") == [(60,)]
    assert counted.ran == counted.asked


async def test_record_and_ingest_lock_the_queue_upwards(database: Database) -> None:
    counted, ana = CountedDatabase(database), await add_profile(database)
    board = await add_board(database)
    one, two = await add_news(database, draft("b"), draft("a"))
    low, high = sorted((one, two), key=lambda posting: posting.id)

    async def change(title: str) -> None:
        await put(counted, board, [draft(id, title=title) for id in "ab"])

    async def finish() -> None:
        changed = [attrs.evolve(posting, version=2) for posting in (high, low)]
        await record(counted, *(match_of(ana, posting) for posting in changed))

    for rival in (functools.partial(change, "Other"), finish):
        held = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(counted.run, lock_upwards, low.id, high.id, held)
            await held.wait()
            nursery.start_soon(rival)
    assert counted.ran == counted.asked


# --- a profile's own search


async def test_search_of_a_new_profile_marks_it_and_stores_its_matches(database: Database) -> None:
    matches, ana = Matches(database=database), await add_profile(database)
    [one] = await add_news(database, draft("1"))
    await matches.record_search(ana.id, ana.version, [match_of(ana, one)])
    assert await Profiles(database=database).unsearched() == ()
    assert await matches.listed(ana.id, limit=9) == (matched(match_of(ana, one), one),)


async def test_search_of_an_edited_profile_replaces_what_was_not_sent(database: Database) -> None:
    matches, ana = Matches(database=database), await add_profile(database)
    one, two, three = await add_news(database, draft("1"), draft("2"), draft("3"))
    await record(database, match_of(ana, one), match_of(ana, two))
    await carry(database, ana, one)
    await matches.record_search(ana.id, ana.version, [match_of(ana, three)])
    listed = await matches.listed(ana.id, limit=9)
    assert {item.match.posting_id for item in listed} == {one.id, three.id}


async def test_search_of_an_outdated_version_changes_nothing(database: Database) -> None:
    matches, profiles = Matches(database=database), Profiles(database=database)
    await profiles.sync([Profile(name="ana")])
    [old] = await profiles.all()
    [one] = await add_news(database, draft("1"))
    await profiles.sync([Profile(name="ana", words=("nurse",))])
    await matches.record_search(old.id, old.version, [match_of(old, one)])
    assert await matches.listed(old.id, limit=9) == ()
    assert [row.version for row in await profiles.unsearched()] == [2]


# --- what a digest may carry


async def test_pending_comes_best_first_up_to_its_limit(database: Database) -> None:
    matches, ana = Matches(database=database), await add_profile(database)
    one, two, three = await add_news(database, draft("1"), draft("2"), draft("3"))
    await record(database, match_of(ana, one, 40), match_of(ana, two, 90), match_of(ana, three, 60))
    pending = await matches.pending(ana.id, within_s=DAY_S, limit=2)
    assert pending == (
        matched(match_of(ana, two, 90), two),
        matched(match_of(ana, three, 60), three),
    )


async def test_pending_has_stock_after_all_news(database: Database) -> None:
    matches, ana = Matches(database=database), await add_profile(database)
    stock, news = await add_news(database, draft("1"), draft("2"))
    await record(database, match_of(ana, stock, 90), match_of(ana, news, 40))
    await sql(database, "UPDATE posting SET news_at = NULL WHERE id = $1", stock.id)
    pending = await matches.pending(ana.id, within_s=DAY_S, limit=9)
    assert [item.posting.id for item in pending] == [news.id, stock.id]


async def test_pending_passes_over_closed_old_and_foreign_postings(database: Database) -> None:
    matches, ana = Matches(database=database), await add_profile(database)
    bob = await add_profile(database, "bob")
    news = await add_news(database, *(draft(id) for id in ("closed", "old", "bobs", "fine")))
    for who, posting in zip((ana, ana, bob, ana), news, strict=True):
        await record(database, match_of(who, posting))
    await sql(database, "UPDATE posting SET closed_at = now() WHERE external_id = 'closed'")
    await sql(
        database,
        "UPDATE posting SET news_at = now() - interval '2 days' WHERE external_id = 'old'",
    )
    pending = await matches.pending(ana.id, within_s=DAY_S, limit=9)
    assert [item.posting.draft.external_id for item in pending] == ["fine"]


async def test_pending_never_offers_a_repost_of_what_the_profile_got(database: Database) -> None:
    matches, ana = Matches(database=database), await add_profile(database)
    bob = await add_profile(database, "bob")
    text = " ".join(f"word{n}" for n in range(30))
    same = {"title": "Nurse", "company": "Acme", "description": text}
    one, repost, other = await add_news(
        database, draft("1", **same), draft("2", **same), draft("3")
    )
    for who in (ana, bob):
        await record(database, *(match_of(who, posting) for posting in (one, repost, other)))
    key = one.fingerprint.hex() if one.fingerprint else ""
    await carry(database, ana, one, key)
    mine = await matches.pending(ana.id, within_s=DAY_S, limit=9)
    assert [item.posting.id for item in mine] == [other.id]
    assert len(await matches.pending(bob.id, within_s=DAY_S, limit=9)) == 3


async def test_posting_that_changes_after_it_was_sent_is_not_pending_again(
    database: Database,
) -> None:
    matches, ana = Matches(database=database), await add_profile(database)
    [one] = await add_news(database, draft("1"))
    await record(database, match_of(ana, one))
    await carry(database, ana, one)
    await put(database, await add_board(database), [draft("1", title="Other")])
    [changed] = await Postings(database=database).get([one.id])
    await record(database, match_of(ana, changed))
    assert await matches.pending(ana.id, within_s=DAY_S, limit=9) == ()


async def test_listed_says_when_a_match_was_sent(database: Database) -> None:
    matches = Matches(database=database)
    ana = await add_profile(database)
    one, two = await add_news(database, draft("1"), draft("2"))
    await record(database, match_of(ana, one, 90), match_of(ana, two, 10))
    digests = await carry(database, ana, one)
    taken = await digests.take("files", by="me", utcnow=NOON)
    assert taken is not None
    await digests.end(taken.id, "files", End.SENT, next_attempt_at=NOON)
    first, second = await matches.listed(ana.id, limit=9)
    assert (first.posting, second) == (one, matched(match_of(ana, two, 10), two))
    assert first.sent_at is not None
    assert len(await matches.listed(ana.id, limit=1)) == 1
