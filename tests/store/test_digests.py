import datetime as dt

import attrs
import trio
from store_samples import (
    DAY_S,
    NOON,
    CountedDatabase,
    add_board,
    add_news,
    add_profile,
    draft,
    match_of,
    record,
    sql,
    wait_for_rival,
)

from jobping.core.digest_view import Failing, LeftOut, Watch
from jobping.core.posting import StoredPosting
from jobping.core.profile import Profile, StoredProfile
from jobping.core.schedule import DigestHistory, DigestWish, When
from jobping.store.boards import Boards
from jobping.store.bridge import Database
from jobping.store.connection import Connection
from jobping.store.digests import TAKEN_S, Claim, Digests, End, TakenDigest, claim_digest
from jobping.store.gates import Gates
from jobping.store.matches import Matches
from jobping.store.profiles import Profiles
from tests.doubles.leases import hold

MINUTE = dt.timedelta(minutes=1)
GIVE_UP = NOON + dt.timedelta(hours=20)


async def add_matches(
    database: Database, count: int = 3
) -> tuple[StoredProfile, tuple[StoredPosting, ...]]:
    ana = await add_profile(database)
    postings = await add_news(database, *(draft(str(n)) for n in range(count)))
    await record(database, *(match_of(ana, posting) for posting in postings))
    return ana, postings


def items(*postings: StoredPosting) -> list[tuple[int, str]]:
    return [(posting.id, f"row:{posting.id}") for posting in postings]


def claim_of(
    profile: StoredProfile, period: str, carried: list[tuple[int, str]], **fields: object
) -> Claim:
    defaults = {"ways": ["files"], "made_at": NOON, "give_up_at": GIVE_UP}
    return Claim(profile=profile.id, period=period, items=carried, **{**defaults, **fields})


async def take(
    digests: Digests, way: str = "files", by: str = "me", utcnow: dt.datetime = NOON
) -> TakenDigest | None:
    return await digests.take(way, by=by, utcnow=utcnow)


async def take_all(digests: Digests, utcnow: dt.datetime = NOON) -> list[TakenDigest]:
    """Take everything that is owed to the files, each as another daemon, so that none is ended."""
    taken = list[TakenDigest]()
    while (next := await take(digests, by=str(len(taken)), utcnow=utcnow)) is not None:
        taken.append(next)
    return taken


async def end(
    digests: Digests, taken: TakenDigest, how: End, way: str = "files", **fields: object
) -> object:
    return await digests.end(taken.id, way, how, **{"next_attempt_at": NOON, **fields})


async def states(database: Database) -> list[tuple[object, ...]]:
    return await sql(database, "SELECT period, state FROM digest ORDER BY id")


# --- claims


async def test_digest_is_claimed_once_for_a_profile_and_period(database: Database) -> None:
    digests = Digests(database=database)
    ana, [one, two, _] = await add_matches(database)
    left_out = LeftOut(beyond_limit=3, beyond_company=2, repeats=1)
    claim = claim_of(ana, "monday", items(two, one), left_out=left_out)
    assert await digests.claim(claim)
    assert not await digests.claim(claim_of(ana, "monday", items(one)))
    taken = await take(digests)
    assert taken is not None
    assert (taken.profile, taken.period, taken.left_out) == (ana, "monday", left_out)
    assert [item.posting for item in taken.items] == [two, one]
    assert [item.match for item in taken.items] == [match_of(ana, two), match_of(ana, one)]
    assert all(item.last_seen is not None for item in taken.items)
    assert (taken.claimed_at, taken.give_up_at, taken.since) == (NOON, GIVE_UP, None)
    assert (taken.attempts, taken.was_cut_short) == (1, False)


async def test_claims_at_once_give_one_digest(database: Database) -> None:
    digests = Digests(database=database)
    ana, postings = await add_matches(database)
    won: list[bool] = []

    async def claim() -> None:
        won.append(await digests.claim(claim_of(ana, "monday", items(*postings))))

    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(claim)
    assert sum(won) == 1
    assert [len(taken.items) for taken in await take_all(digests)] == [3]


async def test_claims_at_once_for_several_periods_share_no_posting(database: Database) -> None:
    counted = CountedDatabase(database)
    digests = Digests(database=counted)
    ana, postings = await add_matches(database, 20)

    async def claim(number: int) -> None:
        order = postings[:: 1 if number % 2 else -1]
        await digests.claim(claim_of(ana, f"period {number}", items(*order)))

    async with trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(claim, number)
    assert counted.ran == counted.asked
    sent = [item.posting.id for taken in await take_all(digests) for item in taken.items]
    assert sorted(sent) == sorted(posting.id for posting in postings)


async def test_claim_waits_for_a_rival_before_it_takes_anything(database: Database) -> None:
    counted, held = CountedDatabase(database), trio.Event()
    digests = Digests(database=counted)
    ana, [one, two, _] = await add_matches(database)

    async def claim_slowly(connection: Connection) -> None:
        async with connection.transaction():
            await claim_digest(connection, claim_of(ana, "monday", items(two)))
            held.set()
            await wait_for_rival(connection)
            await claim_digest(connection, claim_of(ana, "tuesday", items(one)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(counted.run, claim_slowly)
        await held.wait()
        assert not await digests.claim(claim_of(ana, "wednesday", items(one, two)))
    assert ("wednesday", "empty") in await states(database)
    assert counted.ran == counted.asked


async def test_digest_leaves_out_what_the_profile_got_before(database: Database) -> None:
    digests = Digests(database=database)
    ana, [one, two, three] = await add_matches(database)
    await digests.claim(claim_of(ana, "monday", items(one)))
    repost = (three.id, f"row:{one.id}")
    await digests.claim(claim_of(ana, "tuesday", [*items(one, two), repost]))
    first, second = await take_all(digests)
    assert [item.posting.id for item in first.items] == [one.id]
    assert [item.posting.id for item in second.items] == [two.id]


async def test_digest_carries_one_posting_of_a_key(database: Database) -> None:
    digests = Digests(database=database)
    ana, [one, two, three] = await add_matches(database)
    keys = [(two.id, "same"), (one.id, "same"), (three.id, "other")]
    await digests.claim(claim_of(ana, "monday", keys))
    taken = await take(digests)
    assert taken is not None
    assert [item.posting.id for item in taken.items] == [two.id, three.id]


async def test_digest_carries_only_matches_of_its_profile(database: Database) -> None:
    _, [one, _, _] = await add_matches(database)
    bob = await add_profile(database, "bob")
    digests = Digests(database=database)
    assert not await digests.claim(claim_of(bob, "monday", items(one)))
    assert await take(digests) is None


async def test_two_profiles_may_get_the_same_posting(database: Database) -> None:
    digests, bob = Digests(database=database), await add_profile(database, "bob")
    ana, [one, _, _] = await add_matches(database)
    await record(database, match_of(bob, one))
    for who in (ana, bob):
        assert await digests.claim(claim_of(who, "monday", items(one)))
    assert [taken.items[0].posting for taken in await take_all(digests)] == [one, one]


async def test_period_without_anything_to_send_is_over_or_sent_as_wished(
    database: Database,
) -> None:
    digests, ana = Digests(database=database), await add_profile(database)
    assert not await digests.claim(claim_of(ana, "monday", []))
    assert not await digests.claim(claim_of(ana, "tuesday", [], ways=[]))
    assert await digests.claim(claim_of(ana, "wednesday", [], sends_empty=True))
    assert await states(database) == [
        ("monday", "empty"), ("tuesday", "empty"), ("wednesday", "claimed"),
    ]  # fmt: skip
    [taken] = await take_all(digests)
    assert (taken.period, taken.items) == ("wednesday", ())


async def test_histories_tell_the_last_period_and_count_a_day(database: Database) -> None:
    digests = Digests(database=database)
    ana, [one, two, _] = await add_matches(database)
    assert await digests.histories(NOON) == {}
    before = NOON - dt.timedelta(hours=25)
    await digests.claim(claim_of(ana, "saturday", items(one), made_at=before))
    await digests.claim(claim_of(ana, "sunday", items(two)))
    await digests.claim(claim_of(ana, "monday", [], made_at=NOON + MINUTE))
    found = await digests.histories(NOON + MINUTE)
    assert found == {ana.id: DigestHistory(period="monday", since=NOON + MINUTE, within_day=1)}


async def test_claim_for_a_removed_profile_is_none(database: Database) -> None:
    digests = Digests(database=database)
    ana, [one, _, _] = await add_matches(database)
    await digests.claim(claim_of(ana, "monday", items(one)))
    taken = await take(digests)
    await Profiles(database=database).remove("ana")
    assert not await digests.claim(claim_of(ana, "tuesday", items(one)))
    assert await take(digests) is None
    assert taken is not None
    assert await end(digests, taken, End.SENT) is None


async def test_repost_is_known_after_the_first_posting_is_deleted(database: Database) -> None:
    digests = Digests(database=database)
    ana, [one, two, _] = await add_matches(database)
    await digests.claim(claim_of(ana, "monday", [(one.id, "same")]))
    await sql(database, "DELETE FROM posting WHERE id = $1", one.id)
    assert not await digests.claim(claim_of(ana, "tuesday", [(two.id, "same")]))


async def test_cancelled_claim_leaves_the_period_free_or_the_digest_owed(
    database: Database,
) -> None:
    digests = Digests(database=database)
    ana, [one, _, _] = await add_matches(database)
    claim = claim_of(ana, "monday", items(one))
    with trio.move_on_after(0.002):
        await digests.claim(claim)
    owed = await sql(database, "SELECT FROM digest_way")
    assert await digests.claim(claim) == (not owed)
    [taken] = await take_all(digests)
    assert [item.posting for item in taken.items] == [one]


# --- what is owed to each way


async def test_each_way_is_owed_once_and_the_digest_ends_with_the_last(database: Database) -> None:
    digests = Digests(database=database)
    ana, [one, _, _] = await add_matches(database)
    await digests.claim(claim_of(ana, "monday", items(one), ways=["files", "mail", "hook"]))
    ended = []
    for way, how in (("files", End.SENT), ("mail", End.FAILED), ("hook", End.SENT)):
        taken = await take(digests, way)
        assert taken is not None
        ended.append(await end(digests, taken, how, way, error="so"))
        assert await take(digests, way) is None
    assert ended[:2] == [None, None]
    assert ended[2] is not None
    assert (ended[2].took, ended[2].period) == (("files", "hook"), "monday")
    assert await states(database) == [("monday", "sent")]
    listed = await Matches(database=database).listed(ana.id, limit=9)
    assert [item.posting.id for item in listed if item.sent_at is not None] == [one.id]


async def test_two_ways_that_end_at_once_end_the_digest(database: Database) -> None:
    digests, ways = Digests(database=database), [f"way{n}" for n in range(5)]
    ana, [one, two, three] = await add_matches(database)
    for period, posting in (("monday", one), ("tuesday", two), ("wednesday", three)):
        await digests.claim(claim_of(ana, period, items(posting), ways=ways))
        taken = {way: await take(digests, way) for way in ways}
        ends: list[object] = []

        async def end_one(way: str, taken: TakenDigest | None, ends: list[object]) -> None:
            assert taken is not None
            ends.append(await end(digests, taken, End.SENT, way))

        async with trio.open_nursery() as nursery:
            for way in ways:
                nursery.start_soon(end_one, way, taken[way], ends)
        assert len([one for one in ends if one is not None]) == 1


async def test_takers_at_once_never_get_the_same_digest(database: Database) -> None:
    digests = Digests(database=database)
    ana, postings = await add_matches(database, 12)
    for posting in postings:
        await digests.claim(claim_of(ana, f"{posting.id}", items(posting)))
    taken: list[str] = []

    async def serve(by: str) -> None:
        while (next := await take(digests, by=by)) is not None:
            taken.append(next.message_id)
            await end(digests, next, End.SENT)

    async with trio.open_nursery() as nursery:
        for number in range(4):
            nursery.start_soon(serve, str(number))
    assert (len(taken), len(set(taken))) == (12, 12)


async def test_what_did_not_go_out_comes_again_at_its_time_with_the_same_message_id(
    database: Database,
) -> None:
    digests = Digests(database=database)
    ana, [one, _, _] = await add_matches(database)
    await digests.claim(claim_of(ana, "monday", items(one)))
    first = await take(digests)
    assert first is not None
    assert await end(digests, first, End.WAITING, next_attempt_at=NOON + MINUTE) is None
    assert await take(digests, utcnow=NOON + MINUTE / 2) is None
    again = await take(digests, utcnow=NOON + MINUTE)
    assert again is not None
    assert (again.attempts, again.was_cut_short) == (2, False)
    assert again.message_id == first.message_id


async def test_what_was_taken_and_not_ended_is_found_by_its_taker_at_once_and_by_others_later(
    database: Database,
) -> None:
    digests = Digests(database=database)
    ana, [one, _, _] = await add_matches(database)
    await digests.claim(claim_of(ana, "monday", items(one)))
    assert await take(digests) is not None
    left_at = NOON + dt.timedelta(seconds=TAKEN_S)
    assert await take(digests, by="other", utcnow=left_at - MINUTE) is None
    mine = await take(digests, utcnow=NOON + MINUTE)
    assert mine is not None
    assert (mine.attempts, mine.was_cut_short) == (2, True)
    theirs = await take(digests, by="other", utcnow=left_at + MINUTE)
    assert theirs is not None
    assert (theirs.attempts, theirs.was_cut_short) == (3, True)


async def test_digest_that_nobody_got_gives_its_postings_back_for_a_later_one(
    database: Database,
) -> None:
    digests, matches = Digests(database=database), Matches(database=database)
    ana, [one, _, _] = await add_matches(database)
    await digests.claim(claim_of(ana, "monday", items(one), ways=["files", "mail"]))
    assert len(await matches.pending(ana.id, within_s=DAY_S, limit=9)) == 2
    for way in ("files", "mail"):
        taken = await take(digests, way)
        assert taken is not None
        ended = await end(digests, taken, End.FAILED, way, error=f"no {way}")
        again = await end(digests, taken, End.SENT, way)
    assert ended is not None
    assert (ended.took, again) == ((), None)
    [(failure,)] = await sql(database, "SELECT failure FROM digest")
    assert failure == "files: no files; mail: no mail"
    assert len(await matches.pending(ana.id, within_s=DAY_S, limit=9)) == 3
    assert not await digests.claim(claim_of(ana, "monday", items(one)))
    assert await digests.claim(claim_of(ana, "tuesday", items(one)))


async def test_what_was_closed_since_the_claim_is_left_out_and_counted(
    database: Database,
) -> None:
    digests = Digests(database=database)
    ana, [one, two, _] = await add_matches(database)
    await digests.claim(claim_of(ana, "monday", items(one, two)))
    await sql(database, "UPDATE posting SET closed_at = now() WHERE id = $1", one.id)
    taken = await take(digests)
    assert taken is not None
    assert [item.posting for item in taken.items] == [two]
    assert taken.left_out == LeftOut(closed=1)


async def test_digest_is_whole_after_its_postings_changed(database: Database) -> None:
    digests, matches = Digests(database=database), Matches(database=database)
    ana, [one, two, _] = await add_matches(database)
    await digests.claim(claim_of(ana, "monday", items(one, two)))
    await matches.record([], done=[(one.id, 2)])
    await matches.record_search(ana.id, ana.version, [])
    taken = await take(digests)
    assert taken is not None
    assert [item.posting for item in taken.items] == [one, two]


async def test_news_counts_from_the_last_digest_that_went_out(database: Database) -> None:
    digests = Digests(database=database)
    ana, [one, two, three] = await add_matches(database)
    for number, (posting, how) in enumerate(((one, End.SENT), (two, End.FAILED))):
        made_at = NOON + number * MINUTE
        await digests.claim(claim_of(ana, f"{number}", items(posting), made_at=made_at))
        taken = await take(digests, utcnow=NOON + 9 * MINUTE)
        assert taken is not None
        await end(digests, taken, how)
    await digests.claim(claim_of(ana, "2", items(three)))
    last = await take(digests, utcnow=NOON + 9 * MINUTE)
    assert last is not None
    assert last.since == NOON


# --- the end of its time


async def test_what_is_not_sent_in_its_time_is_given_up(database: Database) -> None:
    digests = Digests(database=database)
    ana, [one, two, _] = await add_matches(database)
    await digests.claim(claim_of(ana, "monday", items(one), ways=["files", "mail"]))
    await digests.claim(claim_of(ana, "tuesday", items(two), give_up_at=GIVE_UP + MINUTE))
    taken = await take(digests)
    assert taken is not None
    await end(digests, taken, End.WAITING, error="full", next_attempt_at=GIVE_UP - MINUTE)
    assert await digests.expire(["files"], GIVE_UP - MINUTE) == ((), ())
    expired, finished = await digests.expire(["files"], GIVE_UP)
    assert sorted((one.way, one.why, one.period) for one in expired) == [
        ("files", "full", "monday"),
        ("mail", "its turn did not come in time", "monday"),
    ]
    assert [(one.period, one.took) for one in finished] == [("monday", ())]
    assert await states(database) == [("monday", "failed"), ("tuesday", "claimed")]
    assert await digests.expire(["files"], GIVE_UP) == ((), ())


async def test_what_a_way_has_in_hand_does_not_expire_unless_the_way_is_gone(
    database: Database,
) -> None:
    digests = Digests(database=database)
    ana, [one, _, _] = await add_matches(database)
    await digests.claim(claim_of(ana, "monday", items(one)))
    assert await take(digests) is not None
    late = GIVE_UP + dt.timedelta(days=1)
    assert await digests.expire(["files"], late) == ((), ())
    expired, _ = await digests.expire(["mail"], late)
    assert [one.way for one in expired] == ["files"]


# --- people


async def add_reader(database: Database) -> StoredProfile:
    profile = Profile(name="ana", email="ana@example.org")
    return await Profiles(database=database).add(profile, is_confirmed=True)


async def test_taken_digest_knows_the_consent_of_this_moment(database: Database) -> None:
    digests, ana = Digests(database=database), await add_reader(database)
    for period in ("monday", "tuesday"):
        await digests.claim(claim_of(ana, period, [], sends_empty=True))
    before = await take(digests, by="a")
    await sql(database, "UPDATE subscriber SET unsubscribed_at = now()")
    after = await take(digests, by="b")
    assert before is not None
    assert after is not None
    assert (before.profile.address, after.profile.address) == ("ana@example.org", None)


async def test_refused_address_gets_no_more_mail_and_a_new_one_does(database: Database) -> None:
    digests, profiles = Digests(database=database), Profiles(database=database)
    ana = await add_reader(database)
    await digests.claim(claim_of(ana, "monday", [], sends_empty=True))
    taken = await take(digests)
    assert taken is not None
    await end(digests, taken, End.FAILED, error="no such user", refused="someone@example.org")
    assert [stored.address for stored in await profiles.all()] == ["ana@example.org"]
    await digests.claim(claim_of(ana, "tuesday", [], sends_empty=True))
    taken = await take(digests)
    assert taken is not None
    await end(digests, taken, End.FAILED, error="no such user", refused="ana@example.org")
    assert [stored.address for stored in await profiles.all()] == [None]
    await profiles.sync([attrs.evolve(ana.profile, email="ana@new.example")])
    assert [stored.address for stored in await profiles.all()] == ["ana@new.example"]


async def test_schedule_of_a_profile_is_kept_and_makes_no_other_version(
    database: Database,
) -> None:
    profiles, ana = Profiles(database=database), Profile(name="ana")
    wish = DigestWish(when=When.WEEKLY, at=(dt.time(7, 30),), zone=dt.UTC, send_empty=True)
    await profiles.sync([ana])
    await profiles.sync([attrs.evolve(ana, digest=wish)])
    [stored] = await profiles.all()
    assert (stored.profile.digest, stored.version) == (wish, 1)


# --- what is watched


async def test_watch_tells_what_was_read_and_what_fails_since_when(database: Database) -> None:
    digests, boards = Digests(database=database), Boards(database=database)
    assert await digests.watch() == Watch()
    good, bad, new = [await add_board(database, slug) for slug in ("good", "bad", "new")]
    for board in (good, bad):
        await boards.mark_polled(board.id, next_due_at=NOON, outcome="complete")
    await boards.mark_failed(bad.id, next_due_at=NOON, outcome="failed")
    polled = dict(await sql(database, "SELECT id, polled_at FROM board"))
    watch = Watch(
        boards=3,
        domains=1,
        unread=1,
        read=(polled[good.id], polled[good.id]),
        failing=(Failing(domain=new.domain, boards=1, since=polled[bad.id]),),
    )
    assert await digests.watch() == watch
    await Gates(database=database).save(await hold(database, new.domain), "{}", "backfill")
    down = await digests.watch()
    assert (down.down, down.read, down.failing[0].boards) == ({new.domain}, None, 3)
