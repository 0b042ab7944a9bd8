"""One actor per scraper domain: polls its boards in turn, and alone owns their gate.

On the reliable tier it polls what is due. On the backfill tier it scrapes nothing but single trials
that look for recovery, while digests fall back to stored postings. Expected failures are values
here and become outcomes of the gate; any other exception is a bug and the supervisor's business.
"""

import datetime as dt
import itertools
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, assert_never

import attrs
import trio

from jobping.actors.domain_gate import DomainGate
from jobping.actors.domain_ladder import DomainLadder
from jobping.actors.messages import (
    BoardPolled,
    DomainView,
    ObeyOrder,
    OrderRefused,
    ReadDomain,
    ScraperMessage,
    StorePostings,
)
from jobping.actors.poll import Health, Judgement, Poll, judge
from jobping.actors.site_rules import SiteRules
from jobping.actors.suspects import Suspects
from jobping.actors.work import Work
from jobping.clock import Clock
from jobping.core import emptiness
from jobping.core.board import StoredBoard
from jobping.core.emptiness import Evidence, Verdict
from jobping.core.ids import Domain, Monotonic, SourceName
from jobping.core.ladder import Tier
from jobping.core.order import Order
from jobping.core.schedule import PollEnd, PollRules, is_due, next_poll
from jobping.core.walk import BoardGone, Complete, Drift, WalkEnd
from jobping.errors import Denied, DomainUnavailable, StoreError
from jobping.events import Emit
from jobping.sources.source import Source
from jobping.store.boards import Boards, Kept
from jobping.store.postings import Postings
from supervisors import Context, Delivery, Ref

LOOK_EVERY_S: Final = 60.0  # boards come and go by command; our choice
DRAIN_S: Final = 10.0  # the request in flight at a stop, design/operations.md section 4
IN_BACKFILL: Final = "backfill"
EMPTY: Final = "empty"
KEPT_S: Final = 15.0  # an idle connection is kept so long between two polls; our choice
REASONS: Final = 5  # the commonest reasons of rejection, in one log line

ActiveBoards = Callable[[], Awaitable[Sequence[StoredBoard]]]
"""Reads the boards that this daemon polls now."""


@attrs.frozen(kw_only=True)
class Parts:
    """What a domain actor works with.

    Attributes:
        api_sources: Those whose robots.txt is not asked for: their terms hold instead.
        suspects: Boards whose poll crashed the actor; they rest.
        news_within_s: A board's first walk finds news only of this age.
    """

    sources: Mapping[SourceName, Source]
    polls: Mapping[SourceName, PollRules]
    api_sources: frozenset[SourceName] = frozenset()
    active_boards: ActiveBoards
    boards: Boards
    postings: Postings
    ingest: Ref[StorePostings]
    cycle: Ref[BoardPolled]
    suspects: Suspects
    clock: Clock
    emit: Emit
    rng: random.Random
    news_within_s: float


@attrs.define(kw_only=True)
class Scraper:
    """The actor of one domain."""

    domain: Domain
    gate: DomainGate
    ladder: DomainLadder
    work: Work
    parts: Parts
    _next_at: float = attrs.field(default=0.0, init=False)
    _succeeded_at: dt.datetime | None = attrs.field(default=None, init=False)
    _must_probe: bool = attrs.field(default=False, init=False)
    _rules: SiteRules = attrs.field(init=False)

    @_rules.default
    def _fresh_rules(self) -> SiteRules:
        return SiteRules(gate=self.gate, clock=self.parts.clock, emit=self.parts.emit)

    async def run(self, ctx: Context[ScraperMessage]) -> None:
        """Poll until asked to stop.

        Returns:
            When the tier is another by now: the trials earned a promotion, or an operator said so.

        Raises:
            DomainUnavailable: The ladder sends the domain a tier down.
            LeaseLost: The domain has another owner by now.
        """
        self.ladder.must_leave = False
        with self.gate.lease.bound():
            await self.gate.load()
            ctx.started()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._answer, ctx)
                with self.work.scope:
                    if self.ladder.tier is Tier.RELIABLE:
                        await self._poll_due()
                    else:
                        await self._look_for_recovery()
                nursery.cancel_scope.cancel()

    async def _answer(self, ctx: Context[ScraperMessage]) -> None:
        async for delivery in ctx.inbox:
            match delivery.message:
                case ReadDomain():
                    delivery.reply(self._view())
                case ObeyOrder(order=order):
                    await self._obey(order, delivery)
                case _:
                    assert_never(delivery.message)
        self.work.stop(within_s=DRAIN_S)

    async def _obey(self, order: Order, delivery: Delivery[ScraperMessage]) -> None:
        """Carry out an operator's order; the answer comes when it is stored."""
        if order is Order.RESET:
            self.ladder.reset()
        try:
            refusal = await self.gate.obey(order)
        except StoreError as error:
            refusal = f"could not be stored, so it holds only until a restart: {error}"
        else:
            if refusal is None:
                self._say(order)
        if order is Order.PROBE and refusal is None:
            self._must_probe = not self.gate.is_waiting
            self.ladder.probe_now()
        self.work.wake()
        delivery.reply(self._view() if refusal is None else OrderRefused(refusal))

    def _say(self, order: Order) -> None:
        match order:
            case Order.HOLD:
                self.parts.emit("domain.held", domain=self.domain)
            case Order.RELEASE:
                self.parts.emit("domain.released", domain=self.domain)
            case Order.PROBE:
                self.parts.emit("domain.probed", domain=self.domain)
            case Order.RESET:
                self.parts.emit("domain.reset", domain=self.domain)
            case _:
                assert_never(order)

    def _view(self) -> DomainView:
        now = self.parts.clock.monotonic()
        turn_at, reason = self.gate.turn()
        own_at, own = self._next_at, "schedule"
        if self.ladder.tier is not Tier.RELIABLE:
            own_at, own = self.ladder.trial_at, "trial"
        if turn_at is not None and own_at > max(now, turn_at):
            turn_at, reason = Monotonic(own_at), own
        return DomainView(
            domain=self.domain,
            tier=self.ladder.tier,
            gate=self.gate.view(),
            next_in_s=None if turn_at is None else max(0.0, turn_at - now),
            waits_for=reason,
            succeeded_at=self._succeeded_at,
        )

    async def _poll_due(self) -> None:
        """Poll what is due, the longest unpolled board first; a pass over all of it is a cycle."""
        good: bool | None = None
        while True:
            await self.work.begin()
            if self._must_probe:
                await self._probe()
            row, self._next_at = await self._longest_due()
            spread_s = 0.0 if row is None else self._next_at - self.parts.clock.monotonic()
            if spread_s > 0:  # the rest of a quota is spread over the rest of its window
                if spread_s > KEPT_S:
                    await self.gate.rest()
                await self.work.wait_until(self._next_at)
                continue
            if row is not None:
                health = await self._poll(row)
                if health is not Health.NEUTRAL:
                    good = bool(good) or health is Health.GOOD
            else:
                if good is not None:
                    self.ladder.note_cycle(good=good)
                    good = None
                if self._next_at - self.parts.clock.monotonic() > KEPT_S:
                    await self.gate.rest()
            if self.ladder.must_leave:
                raise DomainUnavailable(self.domain, self.ladder.tier.value)
            if row is None:
                await self.work.wait_until(self._next_at)

    async def _probe(self) -> None:
        """Ask for the first page of one board, due or not, because an operator wants to know."""
        self._must_probe = False
        rows = await self._boards()
        if rows:
            await self._poll(min(rows, key=_due_since), page_cap=1)

    async def _look_for_recovery(self) -> None:
        """Make single trials of the tier above, board after board, until enough were good."""
        rows = await self._boards()
        for row in rows:
            await self.parts.cycle.put(_polled(row, self.domain, ok=False, fault=IN_BACKFILL))
        for turn in itertools.count():
            while (trial_at := self.ladder.trial_at) > self.parts.clock.monotonic():
                await self.work.wait_until(trial_at)
            if self.ladder.tier is Tier.RELIABLE:
                return
            rows = await self._boards()
            if not rows:
                await self.work.wait_until(self.parts.clock.monotonic() + LOOK_EVERY_S)
                continue
            good = await self._poll(rows[turn % len(rows)], page_cap=1) is not Health.BAD
            self.parts.emit("tier.probed", domain=self.domain, good=good)
            if self.ladder.note_trial(good=good) is not None:
                return

    async def _boards(self) -> list[StoredBoard]:
        now = self.parts.clock.monotonic()
        rows = [row for row in await self.parts.active_boards() if row.domain == self.domain]
        self._succeeded_at = max((row.polled_at for row in rows if row.polled_at), default=None)
        return [row for row in rows if not self.parts.suspects.is_resting(row.id, now)]

    async def _longest_due(self) -> tuple[StoredBoard | None, float]:
        """Return the board that is due longest and when to poll it, or None and when to look."""
        utcnow, now = self.parts.clock.utcnow(), self.parts.clock.monotonic()
        rows = await self._boards()
        due = [row for row in rows if is_due(row.next_due_at, utcnow)]
        if due:
            planned = min(self.gate.plan(), now + LOOK_EVERY_S)
            return min(due, key=_due_since), max(now, planned)
        waits = [(row.next_due_at - utcnow).total_seconds() for row in rows if row.next_due_at]
        return None, now + min([LOOK_EVERY_S, *waits])

    async def _poll(self, row: StoredBoard, page_cap: int | None = None) -> Health:
        """Poll one board, store when it is due again, and say in one line what came of it."""
        began = self.parts.clock.monotonic()
        poll = self._poll_of(row, page_cap)
        end, judgement = None, INTERRUPTED
        self.parts.suspects.begin(row.id, self.domain)
        self.gate.begin_poll()
        try:
            poll.last = await self.parts.boards.last_answer(row.id)
            end = await poll.run()
            judgement = await self._weighed(poll, judge(end, poll.failure))
        finally:
            self._report(poll, judgement, self.parts.clock.monotonic() - began)
        if page_cap is None or isinstance(end, Complete):
            await self._mark(poll, end, judgement)
        self.parts.suspects.end(row.id, self.domain)
        is_ok = judgement.health is not Health.BAD and judgement.fault is None
        await self.parts.cycle.put(_polled(row, self.domain, ok=is_ok, fault=judgement.fault))
        return judgement.health

    def _poll_of(self, row: StoredBoard, page_cap: int | None = None) -> Poll:
        is_api = row.board.source in self.parts.api_sources
        return Poll(
            row=row,
            source=self.parts.sources[row.board.source],
            gate=self.gate,
            rules=None if is_api else self._rules,
            postings=self.parts.postings,
            ingest=self.parts.ingest,
            news_after=self._news_after(row),
            page_cap=page_cap,
        )

    async def _weighed(self, poll: Poll, judgement: Judgement) -> Judgement:
        """Judge a good walk that listed hardly any of the postings that its board used to list."""
        row = poll.row
        if judgement.health is not Health.GOOD or poll.listed is None:
            return judgement
        if not emptiness.is_suspect(len(poll.listed), row.counts):
            return judgement
        suspect_for_s = None
        if row.suspect_since is not None:
            suspect_for_s = (self.parts.clock.utcnow() - row.suspect_since).total_seconds()
        verdict = emptiness.judge(await self._evidence(row), suspect_for_s)
        why = f"it lists {len(poll.listed)} postings where it listed {row.counts[-1]}"
        match verdict:
            case Verdict.BELIEVED:
                return judgement
            case Verdict.OPEN:
                why = f"{why}: believed only if that stays so"
                return Judgement(health=Health.NEUTRAL, outcome=EMPTY, why=why)
            case Verdict.EMPTY:
                return Judgement(health=Health.BAD, outcome=EMPTY, fault=EMPTY, why=why)
            case _:
                assert_never(verdict)

    async def _evidence(self, suspect: StoredBoard) -> Evidence:
        """Ask the board that listed the most, other than the suspect, whether it still does."""
        others = [row for row in await self._boards() if row.id != suspect.id and any(row.counts)]
        if not others:
            return Evidence.NONE
        return await self._poll_of(max(others, key=lambda row: row.counts[-1])).sample()

    def _news_after(self, row: StoredBoard) -> dt.datetime | None:
        if row.polled_at is not None:
            return None
        return self.parts.clock.utcnow() - dt.timedelta(seconds=self.parts.news_within_s)

    async def _mark(self, poll: Poll, end: WalkEnd, judgement: Judgement) -> None:
        """Store when the board is due again; only a walk stored in full moves its poll mark."""
        row, boards = poll.row, self.parts.boards
        match end:
            case _ if judgement.health is Health.GOOD:
                poll_end = PollEnd.STORED
            case _ if isinstance(poll.failure, Denied):
                poll_end = PollEnd.GONE  # the site's rules are kept for a day
            case BoardGone() | Drift():
                poll_end = PollEnd.GONE  # both rest for a day: design/sources.md section 3
            case _:
                poll_end = PollEnd.FAILED
        failures = 0 if poll_end is PollEnd.STORED else row.failures + 1
        rules = self.parts.polls[row.board.source].stretched(self._rules.stretch)
        utcnow = self.parts.clock.utcnow()
        due_at = next_poll(rules, poll_end, failures, utcnow, self.parts.rng)
        if poll_end is PollEnd.STORED:
            await boards.mark_polled(
                row.id, next_due_at=due_at, outcome=judgement.outcome, kept=_kept(poll)
            )
        else:
            is_suspect = judgement.outcome == EMPTY
            await boards.mark_failed(
                row.id, next_due_at=due_at, outcome=judgement.outcome, is_suspect=is_suspect
            )

    def _report(self, poll: Poll, judgement: Judgement, duration_s: float) -> None:
        tally, board = poll.tally, poll.row.board
        self.parts.emit(
            "scraper.polled",
            level="info" if judgement.health is Health.GOOD else "warning",
            domain=self.domain,
            source=board.source,
            board=board.slug,
            tier=self.ladder.tier.value,
            outcome=judgement.outcome,
            fault=judgement.fault,
            why=judgement.why,
            duration_s=duration_s,
            limiter_wait_s=self.gate.take_waited(),
            pages=tally.pages,
            unchanged_pages=tally.unchanged_pages,
            bytes=tally.bytes,
            seen=tally.seen,
            new=tally.new,
            changed=tally.changed,
            unchanged=tally.unchanged,
            duplicate=tally.duplicate,
            rejected=tally.rejected,
            news=tally.news,
        )
        if tally.reasons:
            self.parts.emit(
                "postings.rejected",
                source=board.source,
                board=board.slug,
                count=tally.rejected,
                reasons=dict(tally.reasons.most_common(REASONS)),
            )


INTERRUPTED: Final = Judgement(
    health=Health.NEUTRAL, outcome="interrupted", why="the poll was cut off; it is made again"
)


def _kept(poll: Poll) -> Kept:
    """Return what a good poll leaves for the next one."""
    if poll.listed is None:
        return Kept(answer=poll.answer)
    counts = emptiness.counted(len(poll.listed), poll.row.counts)
    return Kept(counts=counts, answer=poll.answer, listed=poll.listed)


def _due_since(row: StoredBoard) -> tuple[bool, dt.datetime]:
    """Order boards: never polled first, then the longest due."""
    never = dt.datetime.min.replace(tzinfo=dt.UTC)
    return row.polled_at is not None, row.next_due_at or never


def _polled(row: StoredBoard, domain: Domain, *, ok: bool, fault: str | None) -> BoardPolled:
    board = row.board
    return BoardPolled(
        board=row.id, domain=domain, source=board.source, slug=board.slug, ok=ok, fault=fault
    )
