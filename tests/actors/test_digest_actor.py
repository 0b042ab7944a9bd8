import io
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import trio
from trio.testing import MockClock

from jobping.actors.digest import DigestActor
from jobping.actors.messages import DigestMessage, FirstCycleEnded, MatchesRecorded
from jobping.core.digest import dedup_key
from jobping.core.posting import StoredPosting
from jobping.core.profile import StoredProfile
from jobping.core.schedule import FIRST, DigestRules
from jobping.delivery import ConsoleDelivery, Delivery, FilesDelivery, OutgoingDigest
from jobping.errors import DeliveryDeferred, StoreUnavailable
from jobping.store.digests import ClaimedDigest
from supervisors import ChildExited, ChildSpec, Context, ExitPolicy, Mailbox, MailboxSpec, Overflow
from supervisors.testing import EventLog
from tests.actors.rig import DAY_S, Rig, StayDown, eventually, open_tree
from tests.doubles.leases import hold
from tests.store.store_samples import add_news, add_profile, draft, match_of, put, record, sql

EVERY_S = 1_000_000.0
"""One period after the other, so long that none ends by itself during a test."""


@attrs.define(kw_only=True)
class Digesting:
    """A running digest actor."""

    box: Mailbox[DigestMessage]
    log: EventLog

    async def end_first_cycle(self) -> int:
        return await self.box.ref.ask(FirstCycleEnded(), within=10)

    async def nudge(self) -> None:
        """Nudge it, and wait until it has done what follows."""
        before = self.box.statistics().processed
        self.box.ref.tell(MatchesRecorded())
        await eventually(lambda: self.box.statistics().processed > before)


@asynccontextmanager
async def digesting(
    rig: Rig, *deliveries: Delivery, policy: ExitPolicy | None = None
) -> AsyncIterator[Digesting]:
    box: Mailbox[DigestMessage] = Mailbox(
        MailboxSpec(capacity=16, overflow=Overflow.COALESCE, key=type)
    )
    stores, log = rig.stores, EventLog()

    async def run(ctx: Context[DigestMessage]) -> None:
        await DigestActor(
            rules=DigestRules(every_s=EVERY_S),
            profiles=stores.profiles,
            matches=stores.matches,
            digests=stores.digests,
            gates=stores.gates,
            deliveries=deliveries,
            credits={},
            firsthand=frozenset(),
            clock=rig.clock,
            emit=rig.events,
            pending_within_s=30 * DAY_S,
        ).run(ctx)

    child = ChildSpec(id="digest", start=run, mailbox=box, stop_timeout=15.0)
    async with open_tree(child, hook=log, policy=policy):
        yield Digesting(box=box, log=log)


@attrs.define
class Told:
    """A way out that does what it is told, and counts; nobody can ask it later what was sent."""

    act: Callable[[], None] = lambda: None
    hangs: bool = False
    name: str = "told"
    resends: bool = False
    sent: list[str] = attrs.field(factory=list)

    def takes(self, digest: OutgoingDigest) -> bool:
        return True

    async def wait_turn(self) -> None:
        await trio.lowlevel.checkpoint()

    async def send(self, digest: OutgoingDigest) -> None:
        self.sent.append(digest.message_id)
        await trio.lowlevel.checkpoint()
        if self.hangs:
            await trio.sleep_forever()
        self.act()

    async def was_sent(self, message_id: str) -> bool | None:
        await trio.lowlevel.checkpoint()
        return None


def refuse() -> None:
    raise DeliveryDeferred("told: not now")


def texts(directory: Path) -> list[str]:
    return [path.read_text() for path in sorted(directory.glob("*/*.txt"))]


async def add_matches(
    rig: Rig, *ids: str, name: str = "ana"
) -> tuple[StoredProfile, tuple[StoredPosting, ...]]:
    profile = await add_profile(rig.faulty, name)
    postings = await add_news(rig.faulty, *map(draft, ids))
    await record(rig.faulty, *(match_of(profile, posting) for posting in postings))
    return profile, postings


async def add_match(rig: Rig, profile: StoredProfile, id: str) -> None:
    """Store one more piece of news of the same board, and match it."""
    [board] = await rig.stores.boards.enabled()
    await put(rig.faulty, board, [draft(id)])
    for posting in await rig.stores.postings.newest_news(limit=99, within_s=DAY_S):
        if posting.draft.external_id == id:
            await record(rig.faulty, match_of(profile, posting))


async def claim(
    rig: Rig, profile: StoredProfile, postings: Sequence[StoredPosting]
) -> ClaimedDigest:
    items = [(posting.id, dedup_key(posting)) for posting in postings]
    claimed = await rig.stores.digests.claim(profile.id, FIRST, items)
    assert claimed is not None
    return claimed


async def states(rig: Rig) -> list[tuple[object, ...]]:
    return await sql(rig.faulty, "SELECT period, state FROM digest ORDER BY id")


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
        await actor.end_first_cycle()
    assert len(texts(tmp_path)) == 1
    assert await states(rig) == [("first", "sent")]


async def test_each_period_brings_what_is_new_since_and_nothing_twice(
    rig: Rig, tmp_path: Path, clock: MockClock
) -> None:
    profile, _ = await add_matches(rig, "1")
    async with digesting(rig, FilesDelivery(directory=tmp_path)) as actor:
        assert await actor.end_first_cycle() == 1
        await add_match(rig, profile, "2")
        await actor.nudge()
        assert len(rig.said("digest.sent")) == 1
        clock.jump(EVERY_S)
        await eventually(lambda: len(rig.said("digest.sent")) == 2)
        clock.jump(EVERY_S)
        await eventually(lambda: bool(rig.said("digest.skipped")))
    bodies = sorted(texts(tmp_path), key=lambda text: "Analyst 2" in text)
    assert ["Analyst 1" in body for body in bodies] == [True, False]
    assert ["Analyst 2" in body for body in bodies] == [False, True]


async def test_periods_missed_while_the_daemon_was_down_are_not_made_up_for(
    rig: Rig, tmp_path: Path, clock: MockClock
) -> None:
    profile, postings = await add_matches(rig, "1", "2", "3")
    first = await claim(rig, profile, postings[:1])
    await rig.stores.digests.mark_sent(first.id)
    clock.jump(5 * EVERY_S)
    async with digesting(rig, FilesDelivery(directory=tmp_path)) as actor:
        assert await actor.end_first_cycle() == 1
        assert await actor.end_first_cycle() == 0
    assert len(texts(tmp_path)) == 1


async def test_every_profile_gets_its_own(rig: Rig, tmp_path: Path) -> None:
    _, postings = await add_matches(rig, "1", "2")
    bob = await add_profile(rig.faulty, "bob")
    await record(rig.faulty, match_of(bob, postings[1]))
    await add_profile(rig.faulty, "eve")
    async with digesting(rig, FilesDelivery(directory=tmp_path)) as actor:
        assert await actor.end_first_cycle() == 2
    assert sorted(text.partition(":")[0] for text in texts(tmp_path)) == [
        "1 job for bob",
        "2 jobs for ana",
    ]


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


# --- after a crash


async def test_digest_claimed_but_not_written_is_sent_once_by_the_next_actor(
    rig: Rig, tmp_path: Path
) -> None:
    profile, postings = await add_matches(rig, "1", "2")
    claimed = await claim(rig, profile, postings)
    files = FilesDelivery(directory=tmp_path)
    for _ in range(2):
        async with digesting(rig, files, Told()) as actor:
            await actor.end_first_cycle()
    [text] = texts(tmp_path)
    assert "Analyst 1" in text
    assert await files.was_sent(claimed.message_id)
    assert await states(rig) == [("first", "sent")]
    assert [fields["outcome"] for fields in rig.said("digest.resolved")] == ["sent"]


async def test_digest_written_but_not_marked_is_found_sent_and_shown_nowhere_again(
    rig: Rig, tmp_path: Path
) -> None:
    """The first actor is killed by a bug after the files; the supervisor starts the next one."""

    def crash() -> None:
        raise KeyError("a bug in a delivery")

    await add_matches(rig, "1")
    told = Told(act=crash)
    async with digesting(rig, FilesDelivery(directory=tmp_path), told) as actor:
        actor.box.ref.tell(FirstCycleEnded())
        await eventually(lambda: bool(rig.said("digest.resolved")))
        assert await actor.end_first_cycle() == 0
        [crashed] = actor.log.of(ChildExited)
        assert crashed.exit.error is not None
    assert (len(texts(tmp_path)), len(told.sent)) == (1, 1)
    assert await states(rig) == [("first", "sent")]
    assert [fields["outcome"] for fields in rig.said("digest.resolved")] == ["found_sent"]


async def test_digest_is_found_sent_when_the_store_went_away_before_the_mark(
    rig: Rig, tmp_path: Path
) -> None:
    def take_store_away() -> None:
        rig.faulty.is_down = True

    profile, _ = await add_matches(rig, "1")
    told = Told(act=take_store_away)
    files = FilesDelivery(directory=tmp_path)
    policy = StayDown()
    async with digesting(rig, files, told, policy=policy) as actor:
        actor.box.ref.tell(FirstCycleEnded())
        await eventually(lambda: bool(policy.ends))
    assert isinstance(policy.ends[0][1], StoreUnavailable)
    rig.faulty.is_down = False
    assert await states(rig) == [("first", "claimed")]
    async with digesting(rig, files, told) as actor:
        assert await actor.end_first_cycle() == 0
    assert (len(texts(tmp_path)), len(told.sent)) == (1, 1)
    assert await states(rig) == [("first", "sent")]
    assert await rig.stores.matches.pending(profile.id, within_s=DAY_S, limit=9) == ()


async def test_digest_that_one_of_two_ways_took_is_found_sent(rig: Rig, tmp_path: Path) -> None:
    def crash() -> None:
        raise KeyError("a bug in a delivery")

    await add_matches(rig, "1")
    took, did_not = (FilesDelivery(directory=tmp_path / name) for name in ("one", "two"))
    policy = StayDown()
    async with digesting(rig, took, Told(act=crash), did_not, policy=policy) as actor:
        actor.box.ref.tell(FirstCycleEnded())
        await eventually(lambda: bool(policy.ends))
    async with digesting(rig, took, did_not) as actor:
        assert await actor.end_first_cycle() == 0
    assert [len(texts(way.directory)) for way in (took, did_not)] == [1, 0]
    assert [fields["outcome"] for fields in rig.said("digest.resolved")] == ["found_sent"]


async def test_digest_of_which_nobody_knows_whether_it_went_out_is_not_sent_again(
    rig: Rig,
) -> None:
    profile, postings = await add_matches(rig, "1")
    await claim(rig, profile, postings)
    told = Told()
    async with digesting(rig, told) as actor:
        assert await actor.end_first_cycle() == 0
    assert told.sent == []
    assert await states(rig) == [("first", "sent")]
    assert [fields["outcome"] for fields in rig.said("digest.resolved")] == ["assumed_sent"]


async def test_digest_that_fails_when_it_is_finished_gives_its_postings_back(
    rig: Rig, tmp_path: Path
) -> None:
    profile, postings = await add_matches(rig, "1")
    await claim(rig, profile, postings)
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    async with digesting(rig, FilesDelivery(directory=in_the_way / "digests")):
        pass
    assert await states(rig) == [("first", "failed")]
    assert [fields["outcome"] for fields in rig.said("digest.resolved")] == ["failed"]
    assert len(await rig.stores.matches.pending(profile.id, within_s=DAY_S, limit=9)) == 1


# --- ways out that fail


async def test_failing_console_after_the_files_leaves_the_digest_sent_once(
    rig: Rig, tmp_path: Path
) -> None:
    await add_matches(rig, "1")
    closed = io.StringIO()
    closed.close()
    console = ConsoleDelivery(stream=closed)
    async with digesting(rig, FilesDelivery(directory=tmp_path), console) as actor:
        assert await actor.end_first_cycle() == 1
        assert await actor.end_first_cycle() == 0
    assert len(texts(tmp_path)) == 1
    assert await states(rig) == [("first", "sent")]
    assert [fields["delivery"] for fields in rig.said("digest.failed")] == ["console"]
    assert [fields["delivery"] for fields in rig.said("digest.sent")] == [["files"]]


async def test_digest_that_no_way_takes_gives_its_postings_to_the_next_period(
    rig: Rig, tmp_path: Path, clock: MockClock
) -> None:
    profile, _ = await add_matches(rig, "1", "2")
    told = Told(act=refuse)
    async with digesting(rig, told) as actor:
        assert await actor.end_first_cycle() == 0
        assert await actor.end_first_cycle() == 0
        assert await states(rig) == [("first", "failed")]
        pending = await rig.stores.matches.pending(profile.id, within_s=DAY_S, limit=9)
        assert len(pending) == 2
        told.act = lambda: None
        clock.jump(EVERY_S)
        await eventually(lambda: bool(rig.said("digest.sent")))
    assert [fields["items"] for fields in rig.said("digest.sent")] == [2]
    assert len(told.sent) == 2


async def test_way_out_that_never_ends_is_given_up_and_not_tried_again(
    rig: Rig, clock: MockClock
) -> None:
    await add_matches(rig, "1")
    told = Told(hangs=True)
    async with digesting(rig, told) as actor:
        actor.box.ref.tell(FirstCycleEnded())
        await eventually(lambda: bool(told.sent))
        clock.jump(29)
        await trio.sleep(0.05)
        assert rig.said("digest.failed") == []
        clock.jump(1)
        await eventually(lambda: bool(rig.said("digest.sent")))
    assert len(told.sent) == 1
    assert await states(rig) == [("first", "sent")]
