import datetime as dt
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from trio.testing import MockClock

from jobping.actors.matcher import SLICE, Matcher
from jobping.actors.messages import MatcherMessage, MatchesRecorded, MatchPending, PostingsStored
from jobping.clock import Clock
from jobping.core.ids import Monotonic
from jobping.core.profile import Profile
from supervisors import (
    ChildExited,
    ChildSpec,
    Context,
    ExitKind,
    Mailbox,
    MailboxSpec,
    Overflow,
    Supervisor,
)
from supervisors.testing import EventLog, ScriptedActor
from tests.actors.rig import DAY_S, Rig, eventually, listener, open_tree
from tests.store.store_samples import NOON, add_news, add_profile, draft, put, sql

ANALYST = Profile(name="ana", words=("analyst",))


@attrs.define(kw_only=True)
class Matching:
    """A running matcher.

    Attributes:
        nudged: What it told the digest actor.
    """

    box: Mailbox[MatcherMessage]
    nudged: list[object]
    supervisor: Supervisor
    log: EventLog

    async def match(self) -> int:
        return await self.box.ref.ask(MatchPending(), within=10)


def matcher_of(rig: Rig, digest: Mailbox[MatchesRecorded], name: str = "here") -> Matcher:
    stores = rig.stores
    return Matcher(
        name=name,
        postings=stores.postings,
        profiles=stores.profiles,
        matches=stores.matches,
        digest=digest.ref,
        clock=rig.clock,
        emit=rig.events,
        search_within_s=30 * DAY_S,
    )


@asynccontextmanager
async def matching(rig: Rig) -> AsyncIterator[Matching]:
    digest: Mailbox[MatchesRecorded] = Mailbox()
    digest_actor, log = ScriptedActor(), EventLog()
    box: Mailbox[MatcherMessage] = Mailbox(
        MailboxSpec(capacity=16, overflow=Overflow.COALESCE, key=type)
    )

    async def run(ctx: Context[MatcherMessage]) -> None:
        await matcher_of(rig, digest).run(ctx)

    child = ChildSpec(id="matcher", start=run, mailbox=box)
    async with open_tree(listener("digest", digest, digest_actor), child, hook=log) as supervisor:
        yield Matching(box=box, nudged=digest_actor.received, supervisor=supervisor, log=log)


async def queued(rig: Rig) -> int:
    [(count,)] = await sql(rig.faulty, "SELECT count(*) FROM unmatched")
    assert isinstance(count, int)
    return count


async def test_postings_that_wait_at_the_start_are_matched_without_a_nudge(rig: Rig) -> None:
    ana = await rig.stores.profiles.add(ANALYST)
    await add_news(rig.faulty, draft("1"), draft("2", title="Cook"))
    async with matching(rig) as running:
        await eventually(lambda: bool(running.nudged))
        assert await running.match() == 0
        assert running.nudged == [MatchesRecorded()]
    [found] = await rig.stores.matches.listed(ana.id, limit=9)
    assert found.posting.draft.external_id == "1"
    assert await queued(rig) == 0


async def test_nudge_has_new_postings_matched_and_the_digest_actor_told(rig: Rig) -> None:
    ana = await rig.stores.profiles.add(ANALYST)
    async with matching(rig) as running:
        assert await running.match() == 0
        await add_news(rig.faulty, draft("1"))
        running.box.ref.tell(PostingsStored())
        await eventually(lambda: bool(running.nudged))
        assert len(await rig.stores.matches.pending(ana.id, within_s=DAY_S, limit=9)) == 1
        assert await queued(rig) == 0


async def test_lost_nudge_only_delays_the_matching(rig: Rig, clock: MockClock) -> None:
    await rig.stores.profiles.add(ANALYST)
    async with matching(rig) as running:
        await running.match()
        await add_news(rig.faulty, draft("1"))
        await trio.sleep(0.05)
        assert running.nudged == []
        clock.jump(30)
        await eventually(lambda: bool(running.nudged))
    assert await queued(rig) == 0


async def test_many_nudges_are_matched_in_few_passes(rig: Rig) -> None:
    await rig.stores.profiles.add(ANALYST)
    async with matching(rig) as running:
        await running.match()
        await add_news(rig.faulty, *(draft(str(n)) for n in range(5)))
        for _ in range(200):
            running.box.ref.tell(PostingsStored())
        assert await running.match() + len(running.nudged) >= 1
        assert running.box.statistics().processed <= 4
    assert await queued(rig) == 0


async def test_postings_without_a_match_leave_the_queue_and_nudge_nobody(rig: Rig) -> None:
    await rig.stores.profiles.add(ANALYST)
    await add_news(rig.faulty, draft("1", title="Cook", description="Soup."))
    async with matching(rig) as running:
        assert await running.match() == 0
        assert running.nudged == []
    assert await queued(rig) == 0


async def test_claims_of_a_crashed_matcher_are_taken_again_at_once(rig: Rig) -> None:
    ana = await rig.stores.profiles.add(ANALYST)
    await add_news(rig.faulty, draft("1"), draft("2"))
    claimed = await rig.stores.matches.claim(by="here", limit=9, for_s=120)
    assert len(claimed) == 2
    async with matching(rig) as running:
        await running.match()
    assert await queued(rig) == 0
    assert len(await rig.stores.matches.listed(ana.id, limit=9)) == 2


async def test_claims_of_another_daemon_are_left_to_it(rig: Rig) -> None:
    await rig.stores.profiles.add(ANALYST)
    await add_news(rig.faulty, draft("1"), draft("2"))
    await rig.stores.matches.claim(by="elsewhere", limit=1, for_s=120)
    async with matching(rig) as running:
        await running.match()
    assert await queued(rig) == 1


async def test_new_profile_is_searched_once_over_all_recent_news(rig: Rig) -> None:
    await add_profile(rig.faulty, "bob", words=("cook",))
    await add_news(rig.faulty, draft("1"), draft("2", title="Cook"))
    async with matching(rig) as running:
        await running.match()
        before = len(rig.said("profile.searched"))
        ana = await rig.stores.profiles.add(ANALYST)
        assert await running.match() == 1
        assert await running.match() == 0
        searched = rig.said("profile.searched")[before:]
        assert searched == [
            {"profile": ana.id, "version": ana.version, "postings": 2, "matches": 1}
        ]
    assert len(await rig.stores.matches.listed(ana.id, limit=9)) == 1


async def test_stock_is_matched_for_nobody(rig: Rig) -> None:
    ana = await rig.stores.profiles.add(ANALYST)
    row = (await add_news(rig.faulty, draft("1", title="Cook")))[0].board_id
    [board] = [row_ for row_ in await rig.stores.boards.enabled() if row_.id == row]
    await put(rig.faulty, board, [draft("2")], news_after=NOON)
    async with matching(rig) as running:
        assert await running.match() == 0
    assert await rig.stores.matches.listed(ana.id, limit=9) == ()


# --- stopping


@attrs.define
class StopsMatcher:
    """A clock that asks for a stop when it is read for the nth time: when a ranking begins."""

    inner: Clock
    reads_left: int
    stop: Callable[[], None] = lambda: None

    def monotonic(self) -> Monotonic:
        return self.inner.monotonic()

    def utcnow(self) -> dt.datetime:
        self.reads_left -= 1
        if self.reads_left == 0:
            self.stop()
        return self.inner.utcnow()


@pytest.mark.parametrize(("ranking", "is_searched"), [(1, False), (2, True)])
async def test_stop_between_slices_leaves_the_batch_for_the_next_start(
    rig: Rig, ranking: int, is_searched: bool
) -> None:
    """First the search for the new profile is cut, then the batch of what waits."""
    ana = await rig.stores.profiles.add(ANALYST)
    news = await add_news(rig.faulty, *(draft(str(n)) for n in range(8 * SLICE)))
    clock = StopsMatcher(rig.clock, reads_left=ranking)
    async with matching(attrs.evolve(rig, clock=clock)) as running:
        clock.stop = running.supervisor.request_stop
        await eventually(lambda: bool(running.log.of(ChildExited)))
    assert running.log.of(ChildExited)[0].exit.kind is ExitKind.SHUTDOWN
    assert await queued(rig) == len(news)
    assert (await rig.stores.profiles.unsearched() == ()) is is_searched
    assert len(await rig.stores.matches.listed(ana.id, limit=999)) == is_searched * len(news)
    async with matching(rig) as running:
        await running.match()
    assert await queued(rig) == 0
    assert await rig.stores.profiles.unsearched() == ()
    assert len(await rig.stores.matches.listed(ana.id, limit=999)) == len(news)
