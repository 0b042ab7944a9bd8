import datetime as dt
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock

from jobping.actors.digest import DigestActor
from jobping.actors.messages import DigestMessage, FirstCycleEnded, MatchesRecorded
from jobping.core.posting import StoredPosting
from jobping.core.profile import Profile, StoredProfile
from jobping.core.schedule import DigestRules, DigestWish, When
from jobping.delivery import ConsoleDelivery, Delivery, FilesDelivery, OutgoingDigest
from jobping.errors import AddressRefused, DeliveryDeferred, DeliveryRejected
from supervisors import ChildExited, ChildSpec, Context, ExitPolicy, Mailbox, MailboxSpec, Overflow
from supervisors.testing import EventLog
from tests.actors.rig import DAY_S, Rig, eventually, open_tree
from tests.doubles.leases import hold
from tests.store.store_samples import add_news, add_profile, draft, match_of, put, record, sql

BUNDLED = DigestRules(when=When.INSTANT, every_s=1_000_000.0, most_a_day=1000)
"""One period after the other, so long that none ends by itself during a test."""
ADDRESS = "ana@example.org"


@attrs.define(kw_only=True)
class Digesting:
    """A running digest actor."""

    box: Mailbox[DigestMessage]
    log: EventLog

    async def end_first_cycle(self) -> int:
        return await self.box.ref.ask(FirstCycleEnded(), within=60)

    async def nudge(self) -> None:
        """Nudge it, and wait until it has claimed what follows."""
        before = self.box.statistics().processed
        self.box.ref.tell(MatchesRecorded())
        await eventually(lambda: self.box.statistics().processed > before)


@asynccontextmanager
async def digesting(
    rig: Rig,
    *deliveries: Delivery,
    policy: ExitPolicy | None = None,
    rules: DigestRules = BUNDLED,
    stopping: trio.Event | None = None,
) -> AsyncIterator[Digesting]:
    box: Mailbox[DigestMessage] = Mailbox(
        MailboxSpec(capacity=16, overflow=Overflow.COALESCE, key=type)
    )
    stores, log = rig.stores, EventLog()

    async def run(ctx: Context[DigestMessage]) -> None:
        await DigestActor(
            rules=rules,
            profiles=stores.profiles,
            matches=stores.matches,
            digests=stores.digests,
            deliveries=deliveries,
            by="here",
            credits={},
            firsthand=frozenset(),
            clock=rig.clock,
            emit=rig.events,
            pending_within_s=30 * DAY_S,
            stopping=trio.Event() if stopping is None else stopping,
        ).run(ctx)

    child = ChildSpec(id="digest", start=run, mailbox=box, stop_timeout=15.0)
    async with open_tree(child, hook=log, policy=policy):
        yield Digesting(box=box, log=log)


@attrs.define
class Told:
    """A way out that does what it is told, and counts; nobody can ask it later what was sent.

    Attributes:
        act: Called at the end of each sending.
        takes_s: How long a sending takes.
        gap_s: From the beginning of one to that of the next.
    """

    act: Callable[[], None] = lambda: None
    takes_s: float = 0.0
    gap_s: float = 0.0
    is_mail: bool = False
    resends: bool = False
    name: str = "told"
    begun: list[OutgoingDigest] = attrs.field(factory=list)
    sent: list[str] = attrs.field(factory=list)
    _next_at: float = attrs.field(default=float("-inf"), init=False)

    def takes(self, digest: OutgoingDigest) -> bool:
        return digest.to is not None or not self.is_mail

    async def wait_turn(self) -> None:
        await trio.sleep_until(max(self._next_at, trio.current_time()))

    async def send(self, digest: OutgoingDigest) -> None:
        now = trio.current_time()
        is_behind = self._next_at > now - 9 * self.gap_s  # a little, and catches up
        self._next_at = (self._next_at if is_behind else now) + self.gap_s
        self.begun.append(digest)
        await trio.sleep(self.takes_s)
        self.act()
        self.sent.append(digest.message_id)

    async def was_sent(self, message_id: str) -> bool | None:
        await trio.lowlevel.checkpoint()
        return None


def raising(*errors: Exception) -> Callable[[], None]:
    """Fail once with each of these, then never again."""
    left = list(errors)

    def act() -> None:
        if left:
            raise left.pop(0)

    return act


def texts(directory: Path) -> list[str]:
    return [path.read_text() for path in sorted(directory.glob("*/*.txt"))]


async def add_matches(
    rig: Rig, *ids: str, profile: Profile | None = None
) -> tuple[StoredProfile, tuple[StoredPosting, ...]]:
    stored = await rig.stores.profiles.add(profile or Profile(name="ana"), is_confirmed=True)
    postings = await add_news(rig.faulty, *map(draft, ids))
    await record(rig.faulty, *(match_of(stored, posting) for posting in postings))
    return stored, postings


async def add_match(rig: Rig, profile: StoredProfile, id: str) -> None:
    """Store one more piece of news of the same board, and match it."""
    [board] = await rig.stores.boards.enabled()
    await put(rig.faulty, board, [draft(id)])
    for posting in await rig.stores.postings.newest_news(limit=99, within_s=DAY_S):
        if posting.draft.external_id == id:
            await record(rig.faulty, match_of(profile, posting))


async def states(rig: Rig) -> list[tuple[object, ...]]:
    return await sql(rig.faulty, "SELECT period, state FROM digest ORDER BY id")


async def owed(rig: Rig) -> list[tuple[object, ...]]:
    return await sql(
        rig.faulty, "SELECT way, state, attempts FROM digest_way ORDER BY digest_id, way"
    )


async def jump(rig: Rig, clock: MockClock, seconds: float) -> None:
    """Let time pass while nothing is done: to a unit that runs, its server would seem to hang."""
    quiet = 0
    while quiet < 8:
        await trio.sleep(0.003)
        quiet = 0 if rig.faulty.in_hand else quiet + 1
    clock.jump(seconds)


def went(rig: Rig) -> int:
    return len(rig.said("digest.sent"))


async def leave_taken(rig: Rig, way: Delivery, *, take: int = 1) -> None:
    """Leave a first digest claimed, and taken so many times, as a kill does."""
    actor = DigestActor(
        rules=BUNDLED,
        profiles=rig.stores.profiles,
        matches=rig.stores.matches,
        digests=rig.stores.digests,
        deliveries=[way],
        by="here",
        credits={},
        firsthand=frozenset(),
        clock=rig.clock,
        emit=rig.events,
        pending_within_s=30 * DAY_S,
    )
    [stored] = await rig.stores.profiles.all()
    assert await actor._claim(stored, BUNDLED, "first")
    for _ in range(take):
        utcnow = rig.clock.utcnow()
        assert await rig.stores.digests.take(way.name, by="here", utcnow=utcnow) is not None


# --- when


async def test_first_digest_waits_for_the_end_of_the_first_cycle(rig: Rig, tmp_path: Path) -> None:
    await add_matches(rig, "1", "2")
    async with digesting(rig, FilesDelivery(directory=tmp_path)) as actor:
        await actor.nudge()
        assert (await states(rig), texts(tmp_path)) == ([], [])
        assert await actor.end_first_cycle() == 1
        assert await actor.end_first_cycle() == 0
    [text] = texts(tmp_path)
    assert ("Analyst 1" in text, "Analyst 2" in text) == (True, True)
    assert "Watched: 1 board at 1 site." in text
    assert await states(rig) == [("first", "sent")]
    [sent] = rig.said("digest.sent")
    assert (sent["items"], sent["delivery"], sent["period"]) == (2, ["files"], "first")


async def test_empty_first_digest_goes_out_as_soon_as_matches_come(
    rig: Rig, tmp_path: Path
) -> None:
    profile = await add_profile(rig.faulty, "ana")
    await add_news(rig.faulty, draft("0"))
    async with digesting(rig, FilesDelivery(directory=tmp_path)) as actor:
        assert await actor.end_first_cycle() == 0
        await actor.nudge()
        assert await states(rig) == []
        assert rig.said("digest.skipped") == [
            {"profile": profile.id, "period": "first", "why": "nothing new"}
        ]
        await add_match(rig, profile, "1")
        await actor.nudge()
        await eventually(lambda: went(rig) == 1)
    assert len(texts(tmp_path)) == 1
    assert await states(rig) == [("first", "sent")]


async def test_each_period_brings_what_is_new_since_and_nothing_twice(
    rig: Rig, tmp_path: Path, clock: MockClock
) -> None:
    """A period in which nothing came is over: what comes later waits for the next one."""
    profile, _ = await add_matches(rig, "1")
    async with digesting(rig, FilesDelivery(directory=tmp_path), rules=DigestRules()) as actor:
        assert await actor.end_first_cycle() == 1
        await add_match(rig, profile, "2")
        await actor.nudge()
        assert went(rig) == 1
        await jump(rig, clock, DAY_S)
        await eventually(lambda: went(rig) == 2)
        await jump(rig, clock, DAY_S)
        await eventually(lambda: bool(rig.said("digest.skipped")))
        await add_match(rig, profile, "3")
        await jump(rig, clock, 3600)
        await actor.nudge()
        assert went(rig) == 2
        await jump(rig, clock, DAY_S)
        await eventually(lambda: went(rig) == 3)
    assert [state for _, state in await states(rig)] == ["sent", "sent", "empty", "sent"]
    for number in "123":
        assert sum(f"Analyst {number}" in text for text in texts(tmp_path)) == 1


async def test_periods_missed_while_the_daemon_was_down_are_not_made_up_for(
    rig: Rig, tmp_path: Path, clock: MockClock
) -> None:
    profile, _ = await add_matches(rig, "1")
    files = FilesDelivery(directory=tmp_path)
    async with digesting(rig, files, rules=DigestRules()) as actor:
        await actor.end_first_cycle()
    await add_match(rig, profile, "2")
    await jump(rig, clock, 5 * DAY_S)
    async with digesting(rig, files, rules=DigestRules()) as actor:
        await actor.end_first_cycle()
        await eventually(lambda: went(rig) == 2)
        assert await actor.end_first_cycle() == 0
    assert len(texts(tmp_path)) == 2


@pytest.mark.parametrize("is_found", [False, True])
async def test_digest_missed_while_the_daemon_was_down_waits_for_polls_if_it_would_be_empty(
    rig: Rig, tmp_path: Path, clock: MockClock, is_found: bool
) -> None:
    profile, _ = await add_matches(rig, "1")
    files = FilesDelivery(directory=tmp_path)
    async with digesting(rig, files, rules=DigestRules()) as actor:
        await actor.end_first_cycle()
    await jump(rig, clock, 2 * DAY_S)
    async with digesting(rig, files, rules=DigestRules()) as actor:
        await actor.nudge()
        assert (len(await states(rig)), rig.said("digest.skipped")) == (1, [])
        if is_found:
            await add_match(rig, profile, "2")
        assert await actor.end_first_cycle() == is_found
    assert [state for _, state in await states(rig)] == ["sent", "sent" if is_found else "empty"]


async def test_every_profile_gets_its_own_at_its_own_times(
    rig: Rig, tmp_path: Path, clock: MockClock
) -> None:
    weekly = DigestWish(when=When.WEEKLY, send_empty=True)
    _, postings = await add_matches(rig, "1", "2", profile=Profile(name="bob", digest=weekly))
    daily = await add_profile(rig.faulty, "ana")
    await record(rig.faulty, match_of(daily, postings[1]))
    await add_profile(rig.faulty, "eve")
    async with digesting(rig, FilesDelivery(directory=tmp_path), rules=DigestRules()) as actor:
        assert await actor.end_first_cycle() == 2
        for _ in range(8):
            await jump(rig, clock, DAY_S)
            await trio.sleep(0.05)
            await actor.end_first_cycle()
    assert sorted(text.partition("\n")[0].partition(":")[0] for text in texts(tmp_path)) == [
        "1 job for ana",
        "2 jobs for bob",
        *["Nothing new for bob"] * (went(rig) - 2),
    ]
    assert went(rig) - 2 in (1, 2)


async def test_instant_digests_are_bundled_and_limited_to_so_many_a_day(
    rig: Rig, tmp_path: Path, clock: MockClock
) -> None:
    profile, _ = await add_matches(rig, "1")
    rules = DigestRules(when=When.INSTANT, every_s=900, most_a_day=2)
    async with digesting(rig, FilesDelivery(directory=tmp_path), rules=rules) as actor:
        assert await actor.end_first_cycle() == 1
        await add_match(rig, profile, "2")
        await actor.nudge()
        assert await actor.end_first_cycle() == 0
        for number in ("3", "4"):
            await jump(rig, clock, 900)
            await actor.end_first_cycle()
            await add_match(rig, profile, number)
        await jump(rig, clock, 900)
        assert await actor.end_first_cycle() == 0
        await jump(rig, clock, DAY_S)
        await eventually(lambda: went(rig) == 3)
    assert rig.said("digest.skipped") == []
    assert rig.said("digest.sent")[-1]["items"] == 2
    assert "bundled over 15 minutes, at most 2 in 24 hours" in " ".join(texts(tmp_path)[0].split())


async def test_periods_shorter_than_a_look_at_them_end_nothing(rig: Rig, tmp_path: Path) -> None:
    profile, _ = await add_matches(rig, "1")
    rules = DigestRules(when=When.INSTANT, every_s=0.001, most_a_day=1000)
    async with digesting(rig, FilesDelivery(directory=tmp_path), rules=rules) as actor:
        await actor.end_first_cycle()
        await add_match(rig, profile, "2")
        await eventually(lambda: went(rig) == 2)
        assert actor.log.of(ChildExited) == []


async def test_nothing_is_claimed_where_there_is_no_way_out(rig: Rig) -> None:
    await add_matches(rig, "1")
    async with digesting(rig) as actor:
        assert await actor.end_first_cycle() == 0
        await actor.nudge()
    assert await states(rig) == []
    assert rig.events.seen == []


async def test_digest_marks_the_postings_of_domains_that_cannot_be_reached(
    rig: Rig, tmp_path: Path
) -> None:
    await add_matches(rig, "1")
    fence = await hold(rig.stores.gates.database, "boards.example")
    await rig.stores.gates.save(fence, "{}", "backfill")
    async with digesting(rig, FilesDelivery(directory=tmp_path)) as actor:
        await actor.end_first_cycle()
    [text] = texts(tmp_path)
    assert "from earlier: first seen" in text
    assert "Cannot be read now: boards.example (1 board) never read." in text


# --- after a crash


async def test_digest_claimed_but_not_taken_is_sent_once_by_the_next_actor(
    rig: Rig, tmp_path: Path
) -> None:
    await add_matches(rig, "1", "2")
    files = FilesDelivery(directory=tmp_path)
    await leave_taken(rig, files, take=0)
    for _ in range(2):
        async with digesting(rig, files) as actor:
            await actor.end_first_cycle()
    assert len(texts(tmp_path)) == 1
    assert (await states(rig), await owed(rig)) == ([("first", "sent")], [("files", "sent", 1)])


@pytest.mark.parametrize("is_written", [False, True])
async def test_files_know_what_became_of_a_digest_that_was_cut_short(
    rig: Rig, tmp_path: Path, is_written: bool
) -> None:
    await add_matches(rig, "1")
    files = FilesDelivery(directory=tmp_path)
    await leave_taken(rig, files)
    [(message_id,)] = await sql(rig.faulty, "SELECT message_id FROM digest")
    if is_written:
        (tmp_path / "ana").mkdir()
        (tmp_path / "ana" / f"first_{message_id}.txt").write_text("whole")
    async with digesting(rig, files) as actor:
        await actor.end_first_cycle()
    [text] = texts(tmp_path)
    assert (text == "whole") is is_written
    assert await states(rig) == [("first", "sent")]
    outcome = "found_sent" if is_written else "sent_again"
    assert [fields["outcome"] for fields in rig.said("digest.resolved")] == [outcome]


@pytest.mark.parametrize("resends", [False, True])
async def test_digest_of_which_nobody_knows_goes_again_only_where_the_way_says_so(
    rig: Rig, resends: bool
) -> None:
    await add_matches(rig, "1")
    told = Told(resends=resends)
    await leave_taken(rig, told)
    [(message_id,)] = await sql(rig.faulty, "SELECT message_id FROM digest")
    for _ in range(2):
        async with digesting(rig, told) as actor:
            await actor.end_first_cycle()
    assert told.sent == [message_id] * resends
    assert await states(rig) == [("first", "sent")]
    outcome = "sent_again" if resends else "assumed_sent"
    assert [fields["outcome"] for fields in rig.said("digest.resolved")] == [outcome]


async def test_digest_that_ends_the_actor_again_and_again_is_put_off(
    rig: Rig, tmp_path: Path, clock: MockClock
) -> None:
    """The supervisor restarts it twice, then the digest waits, and the other way is not hurt."""
    await add_matches(rig, "1")
    told = Told(act=raising(*[KeyError("a bug in a delivery")] * 2), resends=True)
    async with digesting(rig, FilesDelivery(directory=tmp_path), told) as actor:
        actor.box.ref.tell(FirstCycleEnded())
        await eventually(lambda: bool(rig.said("digest.deferred")))
        assert len(actor.log.of(ChildExited)) == 2
        assert went(rig) == 0
        await jump(rig, clock, 300)
        await eventually(lambda: went(rig) == 1)
    assert (len(texts(tmp_path)), len(told.begun), len(told.sent)) == (1, 3, 1)
    assert len({digest.message_id for digest in told.begun}) == 1
    resolved = [one for one in rig.said("digest.resolved") if one["delivery"] == "told"]
    assert [one["outcome"] for one in resolved] == ["sent_again", "put_off"]


async def test_digest_sent_while_the_store_went_away_is_marked_when_it_is_back(
    rig: Rig, clock: MockClock
) -> None:
    def take_store_away() -> None:
        rig.faulty.is_down = True

    profile, _ = await add_matches(rig, "1")
    told = Told(act=take_store_away, resends=True)
    async with digesting(rig, told) as actor:
        actor.box.ref.tell(FirstCycleEnded())
        await eventually(lambda: bool(told.sent))
        for _ in range(100):
            await jump(rig, clock, 3)
            await trio.sleep(0.001)
        rig.faulty.is_down = False
        told.act = lambda: None
        await jump(rig, clock, 5)
        await eventually(lambda: went(rig) == 1)
        assert await actor.end_first_cycle() == 0
    assert len(told.sent) == 1
    assert await states(rig) == [("first", "sent")]
    assert await rig.stores.matches.pending(profile.id, within_s=DAY_S, limit=9) == ()


# --- ways out that fail


async def test_failing_way_is_tried_again_for_itself_with_the_same_message_id(
    rig: Rig, tmp_path: Path, clock: MockClock
) -> None:
    await add_matches(rig, "1")
    told = Told(act=raising(*[DeliveryDeferred("told: not now")] * 2))
    async with digesting(rig, FilesDelivery(directory=tmp_path), told) as actor:
        assert await actor.end_first_cycle() == 0
        assert await owed(rig) == [("files", "sent", 1), ("told", "waiting", 1)]
        await jump(rig, clock, 59)
        assert await actor.end_first_cycle() == 0
        assert len(told.begun) == 1
        await jump(rig, clock, 65)
        await eventually(lambda: len(told.begun) == 2)
        await jump(rig, clock, 180)
        await eventually(lambda: went(rig) == 1)
    assert len({digest.message_id for digest in told.begun}) == 1
    assert len(texts(tmp_path)) == 1
    assert [fields["delivery"] for fields in rig.said("digest.sent")] == [["files", "told"]]
    assert [(one["attempts"], one["retry_in_s"]) for one in rig.said("digest.deferred")] == [
        (1, 60),
        (2, 120),
    ]


async def test_waiting_digest_outlives_the_actor(rig: Rig, clock: MockClock) -> None:
    await add_matches(rig, "1")
    told = Told(act=raising(DeliveryDeferred("told: not now")))
    async with digesting(rig, told) as actor:
        assert await actor.end_first_cycle() == 0
    await jump(rig, clock, 61)
    async with digesting(rig, told):
        await eventually(lambda: went(rig) == 1)
    assert len({digest.message_id for digest in told.begun}) == 1


async def test_digest_that_no_way_takes_for_a_day_gives_its_postings_to_the_next(
    rig: Rig, clock: MockClock
) -> None:
    profile, _ = await add_matches(rig, "1", "2")
    told = Told(act=raising(*[DeliveryDeferred("told: full")] * 99))
    an_hour_ago = (rig.clock.utcnow() - dt.timedelta(hours=1)).time()
    async with digesting(rig, told, rules=DigestRules(at=(an_hour_ago,))) as actor:
        assert await actor.end_first_cycle() == 0
        for _ in range(500):
            if rig.said("digest.failed"):
                break
            await jump(rig, clock, 301)
            await trio.sleep(0.01)
        assert (await states(rig))[0] == ("first", "failed")
        told.act = lambda: None
        await jump(rig, clock, DAY_S)
        await eventually(lambda: went(rig) == 1)
    [failed, *_] = rig.said("digest.failed")
    assert "told: full" in str(failed["why"])
    assert [fields["items"] for fields in rig.said("digest.sent")] == [2]
    assert 10 < len(told.begun) < 40
    assert await rig.stores.matches.pending(profile.id, within_s=DAY_S, limit=9) == ()


async def test_rejected_digest_is_not_tried_again(rig: Rig, clock: MockClock) -> None:
    await add_matches(rig, "1")
    told = Told(act=raising(DeliveryRejected("told: gone")))
    async with digesting(rig, told) as actor:
        assert await actor.end_first_cycle() == 0
        await jump(rig, clock, 3601)
        assert await actor.end_first_cycle() == 0
    assert len(told.begun) == 1
    assert await states(rig) == [("first", "failed")]
    assert [fields["why"] for fields in rig.said("digest.failed")] == ["told: gone"]


async def test_address_refused_for_good_gets_no_later_digest_until_it_changes(
    rig: Rig, tmp_path: Path, clock: MockClock
) -> None:
    told = Told(is_mail=True, act=raising(AddressRefused(f"550 no such user {ADDRESS}")))
    profile, _ = await add_matches(rig, "1", profile=Profile(name="ana", email=ADDRESS))
    files = FilesDelivery(directory=tmp_path)
    async with digesting(rig, files, told, rules=DigestRules()) as actor:
        assert await actor.end_first_cycle() == 1
        await add_match(rig, profile, "2")
        await jump(rig, clock, DAY_S)
        await eventually(lambda: went(rig) == 2)
        assert (len(told.begun), len(texts(tmp_path))) == (1, 2)
        changed = attrs.evolve(profile.profile, email="ana@new.example")
        await rig.stores.profiles.sync([changed])
        await add_match(rig, profile, "3")
        await jump(rig, clock, DAY_S)
        await eventually(lambda: went(rig) == 3)
    assert [digest.to for digest in told.begun] == [ADDRESS, "ana@new.example"]
    [failed] = rig.said("digest.failed")
    assert failed["why"] == "550 no such user (address)"


@pytest.mark.parametrize("resends", [False, True])
async def test_way_that_never_ends_is_left_and_its_digest_counts_as_the_way_says(
    rig: Rig, clock: MockClock, resends: bool
) -> None:
    await add_matches(rig, "1")
    told = Told(takes_s=10_000, resends=resends)
    async with digesting(rig, told) as actor:
        actor.box.ref.tell(FirstCycleEnded())
        await eventually(lambda: bool(told.begun))
        await jump(rig, clock, 29)
        await trio.sleep(0.05)
        assert (went(rig), rig.said("digest.deferred")) == (0, [])
        told.takes_s = 0
        await jump(rig, clock, 1.5)
        await eventually(lambda: went(rig) + len(rig.said("digest.deferred")) == 1)
        await jump(rig, clock, 121)
        await eventually(lambda: went(rig) == 1)
    assert len(told.begun) == 1 + resends
    outcomes = [one["outcome"] for one in rig.said("digest.resolved")]
    assert outcomes == ([] if resends else ["assumed_sent"])
    assert len({digest.message_id for digest in told.begun}) == 1


async def test_failing_console_leaves_the_files_sent_once(
    rig: Rig, tmp_path: Path, clock: MockClock
) -> None:
    await add_matches(rig, "1")
    closed = io.StringIO()
    closed.close()
    console = ConsoleDelivery(stream=closed)
    async with digesting(rig, FilesDelivery(directory=tmp_path), console) as actor:
        assert await actor.end_first_cycle() == 0
        await jump(rig, clock, DAY_S + 1)
        await eventually(lambda: went(rig) == 1)
    assert len(texts(tmp_path)) == 1
    assert [fields["delivery"] for fields in rig.said("digest.failed")] == ["console"]
    assert [fields["delivery"] for fields in rig.said("digest.sent")] == [["files"]]


# --- slow ways, stops


async def add_crowd(rig: Rig, count: int) -> None:
    """Add profiles with one match each, of one posting."""
    names = [f"p{number}" for number in range(count)]
    await rig.stores.profiles.sync([Profile(name=name) for name in names])
    [posting] = await add_news(rig.faulty, draft("1"))
    stored = await rig.stores.profiles.all()
    await record(rig.faulty, *(match_of(one, posting) for one in stored))


async def test_slow_way_keeps_its_pace_and_holds_up_neither_the_other_nor_the_mailbox(
    rig: Rig, tmp_path: Path
) -> None:
    await add_crowd(rig, 8)
    told = Told(gap_s=0.25)
    async with digesting(rig, FilesDelivery(directory=tmp_path), told) as actor:
        began = trio.current_time()
        actor.box.ref.tell(FirstCycleEnded())
        await eventually(lambda: len(texts(tmp_path)) == 8)
        assert len(told.sent) < 8
        await actor.nudge()
        assert len(told.sent) < 8
        await eventually(lambda: len(told.sent) == 8)
        took_s = trio.current_time() - began
    assert 7 * 0.25 <= took_s < 7 * 0.25 + 2
    assert len(set(told.sent)) == 8


@pytest.mark.slow
async def test_five_thousand_digests_leave_in_the_time_that_the_pace_says(rig: Rig) -> None:
    """At 1,200 a minute, while they are claimed; and whatever else there is to do goes on."""
    count, gap_s, turns = 5000, 0.05, 0
    await add_crowd(rig, count)
    told = Told(gap_s=gap_s)
    async with digesting(rig, told) as actor, trio.open_nursery() as nursery:

        async def turn() -> None:
            nonlocal turns
            while True:
                await trio.sleep(0.01)
                turns += 1

        nursery.start_soon(turn)
        began = trio.current_time()
        actor.box.ref.tell(FirstCycleEnded())
        await eventually(lambda: went(rig) == count, within_s=2 * count * gap_s)
        took_s = trio.current_time() - began
        nursery.cancel_scope.cancel()
    assert count * gap_s - 1 < took_s < 1.2 * count * gap_s
    assert len(set(told.sent)) == len(told.sent) == count
    assert turns > 20 * took_s


async def test_stop_lets_the_digest_in_hand_go_out_and_leaves_the_rest(rig: Rig) -> None:
    await add_crowd(rig, 5)
    told = Told(takes_s=2)
    async with digesting(rig, told) as actor:
        actor.box.ref.tell(FirstCycleEnded())
        await eventually(lambda: bool(told.begun))
        await actor.nudge()
    assert (len(told.begun), len(told.sent)) == (1, 1)
    assert sorted(state for _, state, _ in await owed(rig)) == ["sent", *["waiting"] * 4]
    told.takes_s = 0
    async with digesting(rig, told) as actor:
        await eventually(lambda: went(rig) == 5)
    assert (len(told.sent), len(set(told.sent))) == (5, 5)


async def test_no_digest_is_begun_once_the_daemon_drains(rig: Rig) -> None:
    await add_crowd(rig, 3)
    told, stopping = Told(takes_s=0.2), trio.Event()
    async with digesting(rig, told, stopping=stopping) as actor:
        actor.box.ref.tell(FirstCycleEnded())
        await eventually(lambda: bool(told.begun))
        await actor.nudge()
        stopping.set()
        await trio.sleep(1)
        assert (len(told.begun), len(told.sent)) == (1, 1)
    assert sorted(state for _, state, _ in await owed(rig)) == ["sent", "waiting", "waiting"]


async def test_stop_does_not_wait_for_a_turn(rig: Rig) -> None:
    await add_crowd(rig, 3)
    told = Told(gap_s=3600)
    began = trio.current_time()
    async with digesting(rig, told) as actor:
        actor.box.ref.tell(FirstCycleEnded())
        await eventually(lambda: bool(told.sent))
    assert trio.current_time() - began < 5
    assert [state for _, state, _ in await owed(rig)].count("waiting") == 2


async def test_stop_gives_a_hanging_way_five_seconds(rig: Rig, clock: MockClock) -> None:
    await add_crowd(rig, 1)
    told = Told(takes_s=10_000, resends=True)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        async with digesting(rig, told) as actor:
            actor.box.ref.tell(FirstCycleEnded())
            await eventually(lambda: bool(told.begun))
            nursery.start_soon(jump_slowly, rig, clock, 20)
        assert 5 < trio.current_time() - began < 12
    assert await owed(rig) == [("told", "sending", 1)]


async def jump_slowly(rig: Rig, clock: MockClock, seconds: int) -> None:
    for _ in range(seconds):
        await trio.sleep(0.02)
        await jump(rig, clock, 1)


# --- people


async def test_nothing_is_claimed_before_the_address_is_confirmed(rig: Rig) -> None:
    told = Told(is_mail=True)
    stored = await rig.stores.profiles.add(Profile(name="ana", email=ADDRESS))
    [posting] = await add_news(rig.faulty, draft("1"))
    await record(rig.faulty, match_of(stored, posting))
    async with digesting(rig, told) as actor:
        assert await actor.end_first_cycle() == 0
        assert await states(rig) == []
        await sql(rig.faulty, "UPDATE subscriber SET confirmed_at = now()")
        assert await actor.end_first_cycle() == 1
    assert [digest.to for digest in told.begun] == [ADDRESS]
    assert [fields["why"] for fields in rig.said("digest.skipped")] == ["no way out takes it"]


@pytest.mark.parametrize("is_erased", [False, True])
async def test_who_left_between_claim_and_sending_gets_nothing(rig: Rig, is_erased: bool) -> None:
    told = Told(is_mail=True)
    stored, _ = await add_matches(rig, "1", profile=Profile(name="ana", email=ADDRESS))
    await leave_taken(rig, told, take=0)
    if is_erased:
        await rig.stores.profiles.remove("ana")
    else:
        await sql(rig.faulty, "UPDATE subscriber SET unsubscribed_at = now()")
    async with digesting(rig, told) as actor:
        assert await actor.end_first_cycle() == 0
    assert told.begun == []
    assert await states(rig) == ([] if is_erased else [("first", "failed")])
    pending = await rig.stores.matches.pending(stored.id, within_s=DAY_S, limit=9)
    assert len(pending) == (0 if is_erased else 1)


@pytest.mark.parametrize("closed", [1, 2])
async def test_what_was_closed_between_claim_and_sending_is_left_out(
    rig: Rig, tmp_path: Path, closed: int
) -> None:
    _, postings = await add_matches(rig, "1", "2")
    files = FilesDelivery(directory=tmp_path)
    await leave_taken(rig, files, take=0)
    for posting in postings[:closed]:
        await sql(rig.faulty, "UPDATE posting SET closed_at = now() WHERE id = $1", posting.id)
    async with digesting(rig, files) as actor:
        assert await actor.end_first_cycle() == 2 - closed
    if closed == 1:
        [text] = texts(tmp_path)
        assert ("Analyst 1" in text, "Analyst 2" in text) == (False, True)
        assert "Left out: 1 closed by now." in text
    else:
        assert texts(tmp_path) == []
        assert "closed before it was sent" in str(rig.said("digest.skipped")[0]["why"])
