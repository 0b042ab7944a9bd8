"""One actor per scraper domain: polls its boards in turn, and alone owns their gate.

On the reliable tier it polls what is due. On the individual tier it asks for a few postings a
cycle, one by one or in small pages. On the backfill tier it scrapes nothing, and offers stored
postings to digests. Below the reliable tier single trials look for recovery. Expected failures are
values here and become outcomes of the gate; any other exception is a bug and the supervisor's
business.
"""

import datetime as dt
import itertools
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Final, assert_never

import attrs
import trio

from jobping.actors.backfill import Backfill
from jobping.actors.details import Details
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
from jobping.actors.poll import IDLE, Health, Idle, Judgement, Poll, blaming_key, judge
from jobping.actors.rounds import Rounds
from jobping.actors.site_rules import SiteRules
from jobping.actors.suspects import Suspects
from jobping.actors.work import Work
from jobping.clock import Clock
from jobping.core import emptiness
from jobping.core.board import Route, StoredBoard
from jobping.core.closing import Proof, proof_of
from jobping.core.emptiness import Evidence, Verdict
from jobping.core.ids import BoardId, Domain, ExternalId, Monotonic, SourceName
from jobping.core.ladder import Tier
from jobping.core.order import Order
from jobping.core.schedule import PollEnd, PollRules, due_at, next_poll
from jobping.core.walk import BoardGone, Complete, Drift, WalkEnd
from jobping.errors import Denied, DomainUnavailable, StoreError, Unavailable, Unreached
from jobping.sources.source import Source
from jobping.store.boards import Boards, Kept
from jobping.store.postings import Postings
from supervisors import Context, Delivery, Ref

LOOK_EVERY_S: Final = 60.0  # boards come and go by command; our choice
DRAIN_S: Final = 10.0  # the request in flight at a stop, design/operations.md section 4
EMPTY: Final = "empty"
KEPT_S: Final = 15.0  # an idle connection is kept so long between two polls; our choice
INDIVIDUAL_POSTINGS: Final = 20  # requests of one individual cycle, all boards together; our choice
UNREACHING: Final = (Unreached.DNS, Unreached.UNREACHABLE)  # as in `network_gate`
REASONS: Final = 5  # the commonest reasons of rejection, in one log line

BoardsOf = Callable[[Domain], Awaitable[Sequence[StoredBoard]]]
"""Reads the boards of a domain that this daemon polls now."""


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
    details: Details
    boards_of: BoardsOf
    boards: Boards
    postings: Postings
    ingest: Ref[StorePostings]
    cycle: Ref[BoardPolled]
    backfill: Backfill
    suspects: Suspects
    clock: Clock
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
    _board_count: int = attrs.field(default=0, init=False)
    _must_probe: bool = attrs.field(default=False, init=False)
    _passed: dict[BoardId, dict[ExternalId, bytes]] = attrs.field(factory=dict, init=False)
    _ttls: dict[BoardId, float] = attrs.field(factory=dict, init=False)
    _rules: SiteRules = attrs.field(init=False)
    _rounds: Rounds = attrs.field(init=False)
    _turns: Iterator[int] = attrs.field(factory=itertools.count, init=False)

    @_rules.default
    def _fresh_rules(self) -> SiteRules:
        return SiteRules(gate=self.gate, clock=self.parts.clock, emit=self.gate.emit)

    @_rounds.default
    def _fresh_rounds(self) -> Rounds:
        return Rounds(postings=self.parts.postings)

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
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._answer, ctx)
                    with self.work.scope:
                        await self._work()
                    nursery.cancel_scope.cancel()
            finally:
                self.gate.leave()

    async def _work(self) -> None:
        match self.ladder.tier:
            case Tier.RELIABLE:
                await self._poll_due()
            case Tier.INDIVIDUAL:
                await self._poll_singly()
            case Tier.BACKFILL:
                await self._look_for_recovery()
            case _:
                assert_never(self.ladder.tier)

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
                self.gate.emit("domain.held", domain=self.domain)
            case Order.RELEASE:
                self.gate.emit("domain.released", domain=self.domain)
            case Order.PROBE:
                self.gate.emit("domain.probed", domain=self.domain)
            case Order.RESET:
                self.gate.emit("domain.reset", domain=self.domain)
            case _:
                assert_never(order)

    def _view(self) -> DomainView:
        now = self.parts.clock.monotonic()
        turn_at, reason = self.gate.turn()
        own_at, own = self._next_at, "schedule"
        tier, trial_at = self.ladder.tier, self.ladder.trial_at
        if tier is Tier.BACKFILL or (tier is Tier.INDIVIDUAL and trial_at < self.ladder.cycle_at):
            own_at, own = trial_at, "trial"
        elif tier is Tier.INDIVIDUAL:
            own_at = self.ladder.cycle_at
        if turn_at is not None and own_at > max(now, turn_at):
            turn_at, reason = Monotonic(own_at), own
        return DomainView(
            domain=self.domain,
            tier=tier,
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
                    if good or not self.gate.network.is_down:
                        await self._note_cycle(good=good)
                    good = None
                if self._next_at - self.parts.clock.monotonic() > KEPT_S:
                    await self.gate.rest()
            self._leave_if_demoted()
            if row is None:
                await self.work.wait_until(self._next_at)

    async def _probe(self) -> None:
        """Ask for the first page of one board, due or not, because an operator wants to know."""
        self._must_probe = False
        rows = await self._boards()
        if rows:
            await self._poll(min(rows, key=_due_since), page_cap=1)

    async def _note_cycle(self, *, good: bool) -> None:
        """Let the ladder know how a cycle went, and the row what the ladder made of it."""
        before = self.ladder.bad
        self.ladder.note_cycle(good=good)
        if self.ladder.bad != before or self.ladder.must_leave:
            await self.gate.save()

    def _leave_if_demoted(self) -> None:
        if self.ladder.must_leave:
            raise DomainUnavailable(self.domain, self.ladder.tier.value)

    async def _poll_singly(self) -> None:
        """Ask for a few postings a cycle; in between make trials until enough were good.

        What is due for longer comes first: a cycle may take longer than the time between two.
        """
        unsaid = True
        while self.ladder.tier is Tier.INDIVIDUAL:
            await self.work.begin()
            polled: frozenset[BoardId] = frozenset()
            due_at = min(self.ladder.cycle_at, self.ladder.trial_at)
            if due_at > self.parts.clock.monotonic():
                if not unsaid:
                    await self.work.wait_until(due_at)
            elif due_at < self.ladder.trial_at:
                polled = await self._individual_cycle()
            elif await self._try_above():
                return
            self._leave_if_demoted()
            if unsaid:
                await self._say_unpolled(but=polled)
                unsaid = False

    async def _individual_cycle(self) -> frozenset[BoardId]:
        """Ask for so many postings of the boards whose turn it is; return those boards."""
        rows = await self._boards_singly()
        every_s = self._cycle_every_s(rows)
        self.ladder.cycle_at = self.parts.clock.monotonic() + every_s
        left, good, polled = INDIVIDUAL_POSTINGS, None, set[BoardId]()
        for row in await self._rounds.boards(rows):
            await self.work.begin()
            self._rounds.note(row)
            health, requests = await self._ask_singly(row, left)
            polled.add(row.id)
            if health is not Health.NEUTRAL:
                good = bool(good) or health is Health.GOOD
            left -= requests
            if left <= 0 or self.ladder.must_leave:
                break
        is_ours = not good and self.gate.network.is_down
        if good is not None and not is_ours and not self.ladder.must_leave:
            await self._note_cycle(good=good)
        await self.gate.rest()
        return frozenset(polled)

    async def _ask_singly(self, row: StoredBoard, limit: int) -> tuple[Health, int]:
        """Ask for known postings of a board, and for its light list where there is room for it.

        Returns:
            How it went, and how many requests that took.
        """
        lists = self.parts.sources[row.board.source].requests(row.board, Route.INDIVIDUAL)
        most = limit if limit == 1 else limit - len(lists)
        poll = self._poll_of(row, page_cap=limit)
        poll.route, poll.known = Route.INDIVIDUAL, await self._rounds.known(row, most)
        return await self._run(poll), poll.requests

    async def _boards_singly(self) -> list[StoredBoard]:
        rows, sources = await self._boards(), self.parts.sources
        return [row for row in rows if sources[row.board.source].has_individual]

    def _cycle_every_s(self, rows: Sequence[StoredBoard]) -> float:
        """Return how long after a cycle's beginning the next one begins."""
        return max((self._rules_of(row).poll_every_s for row in rows), default=LOOK_EVERY_S)

    async def _look_for_recovery(self) -> None:
        """Make single trials of the tier above, board after board, until enough were good."""
        await self.parts.backfill.offer(await self._boards())
        unsaid = True
        while self.ladder.tier is Tier.BACKFILL:
            await self.work.begin()
            turn_at, _ = self.gate.turn()
            now = self.parts.clock.monotonic()
            if unsaid and (turn_at is None or max(turn_at, self.ladder.trial_at) > now):
                await self._say_unpolled()  # a trial that can be made at once comes first
                unsaid = False
            if self.ladder.trial_at > now:
                await self.work.wait_until(self.ladder.trial_at)
            elif await self._try_above():
                return

    async def _say_unpolled(self, *, but: frozenset[BoardId] = frozenset()) -> None:
        """Tell the cycle that it need not wait for the other boards."""
        tier = self.ladder.tier.value
        for row in await self._boards():
            if row.id not in but:
                await self.parts.cycle.put(_polled(row, self.domain, ok=False, fault=tier))

    async def _try_above(self) -> bool:
        """Make one trial of the tier above, of the board whose turn it is; True if it promotes."""
        rows = await self._boards()
        if not rows:
            await self.work.wait_until(self.parts.clock.monotonic() + LOOK_EVERY_S)
            return False
        row = rows[next(self._turns) % len(rows)]
        good = await self._trial(row) is not Health.BAD
        if self.gate.network.is_down:
            return False  # it says nothing of the site
        self.gate.emit("tier.probed", domain=self.domain, good=good)
        promoted = self.ladder.note_trial(good=good)
        await self.gate.save()
        return promoted is not None

    async def _trial(self, row: StoredBoard) -> Health:
        """Ask one thing; where the individual route has nothing to ask, the reliable one has."""
        if self.ladder.above is Tier.INDIVIDUAL:
            health, requests = await self._ask_singly(row, 1)
            if requests:
                return health
        return await self._poll(row, page_cap=1)

    async def _boards(self) -> list[StoredBoard]:
        now = self.parts.clock.monotonic()
        rows = await self.parts.boards_of(self.domain)
        self._board_count = len(rows)
        self._succeeded_at = max((row.polled_at for row in rows if row.polled_at), default=None)
        return [row for row in rows if not self.parts.suspects.is_resting(row.id, now)]

    async def _longest_due(self) -> tuple[StoredBoard | None, float]:
        """Return the board that is due longest and when to poll it, or None and when to look."""
        utcnow, now = self.parts.clock.utcnow(), self.parts.clock.monotonic()
        rows = await self._boards()
        at = {row.id: due_at(self._rules_of(row), row.next_due_at, utcnow) for row in rows}
        due = [row for row in rows if at[row.id] <= utcnow]
        if due:
            planned = min(self.gate.plan(), now + LOOK_EVERY_S)
            return min(due, key=_due_since), max(now, planned)
        waits = [(each - utcnow).total_seconds() for each in at.values()]
        return None, now + min([LOOK_EVERY_S, *waits])

    def _rules_of(self, row: StoredBoard) -> PollRules:
        rules = self.parts.polls[row.board.source].kept_from(self._ttls.get(row.id, 0.0))
        return rules.stretched(self._rules.stretch)

    async def _poll(self, row: StoredBoard, page_cap: int | None = None) -> Health:
        """Poll one board by its reliable route."""
        poll = self._poll_of(row, page_cap)
        if page_cap is None:
            rules = self.parts.polls[row.board.source]
            is_first = row.polled_at is None and not poll.source.lists_pages
            poll.details_left = rules.details(self._board_count, is_first=is_first)
        return await self._run(poll)

    async def _run(self, poll: Poll) -> Health:
        """Poll one board, store when it is due again, and say in one line what came of it.

        The individual route leaves the board's row alone: it is due when the reliable one is.
        """
        began, row = self.parts.clock.monotonic(), poll.row
        end, judgement = None, INTERRUPTED
        is_reliable = poll.route is Route.RELIABLE
        self.parts.suspects.begin(row.id, self.domain)
        self.gate.begin_poll()
        try:
            if is_reliable:
                poll.last = await self.parts.boards.last_answer(row.id)
            end = await poll.run()
            if poll.ttl_s is not None:
                self._ttls[row.id] = poll.ttl_s
            judged = blaming_key(judge(end, poll.failure), poll.failure, poll.source)
            judgement = await self._weighed(poll, judged)
            if is_ours := self._is_ours(poll):
                judgement = attrs.evolve(judgement, health=Health.NEUTRAL)
        finally:
            self._report(poll, judgement, self.parts.clock.monotonic() - began)
        if is_reliable and not is_ours and (poll.page_cap is None or isinstance(end, Complete)):
            await self._mark(poll, end, judgement)
        if poll.source.lists_pages:
            self._say_closed(row, await self.parts.boards.close_gone(row.id, poll.gone))
        self.parts.suspects.end(row.id, self.domain)
        is_ok = judgement.health is not Health.BAD and judgement.fault is None
        await self.parts.cycle.put(_polled(row, self.domain, ok=is_ok, fault=judgement.fault))
        return judgement.health

    def _is_ours(self, poll: Poll) -> bool:
        """Whether a poll failed for want of our own network; its board stays due."""
        failure = poll.failure
        is_unreached = isinstance(failure, Unavailable) and failure.failure in UNREACHING
        return is_unreached and self.gate.network.is_down

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
            details=self.parts.details,
            passed=self._passed.setdefault(row.id, {}),
        )

    async def _weighed(self, poll: Poll, judgement: Judgement) -> Judgement:
        """Judge a good walk that brought hardly any posting, or none that can be read."""
        row = poll.row
        is_good = judgement.health is Health.GOOD
        if is_good and poll.route is Route.INDIVIDUAL and poll.tally.is_all_rejected:
            why = poll.tally.reasons.most_common(1)[0][0]
            return Judgement(health=Health.BAD, outcome="drift", fault="parse", why=why)
        if not is_good or poll.listed is None:
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

    async def _mark(self, poll: Poll, end: WalkEnd | Idle, judgement: Judgement) -> None:
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
        utcnow = self.parts.clock.utcnow()
        next_due_at = next_poll(self._rules_of(row), poll_end, failures, utcnow, self.parts.rng)
        if poll_end is PollEnd.STORED:
            closed = await boards.mark_polled(
                row.id, next_due_at=next_due_at, outcome=judgement.outcome, kept=_kept(poll, end)
            )
        else:
            closed = await boards.mark_failed(
                row.id,
                next_due_at=next_due_at,
                outcome=judgement.outcome,
                is_suspect=judgement.outcome == EMPTY,
                is_gone=isinstance(end, BoardGone) and row.outcome == judgement.outcome,
            )
        self._say_closed(row, closed)

    def _say_closed(self, row: StoredBoard, closed: int) -> None:
        if closed:
            source, slug = row.board.source, row.board.slug
            self.gate.emit("postings.closed", source=source, board=slug, count=closed)

    def _report(self, poll: Poll, judgement: Judgement, duration_s: float) -> None:
        tally, board, waits = poll.tally, poll.row.board, self.gate.take_waits()
        answers, answers_s = self.gate.take_answers()
        is_well = judgement.health is Health.GOOD or judgement.outcome == IDLE
        self.gate.emit(
            "scraper.polled",
            level="info" if is_well else "warning",
            domain=self.domain,
            source=board.source,
            board=board.slug,
            tier=self.ladder.tier.value,
            outcome=judgement.outcome,
            fault=judgement.fault,
            why=judgement.why,
            duration_s=duration_s,
            limiter_wait_s=sum(waits.values()),
            wait_s=waits,
            http=answers,
            http_s=answers_s,
            poll_every_s=self._rules_of(poll.row).poll_every_s,
            pages=tally.pages,
            unchanged_pages=tally.unchanged_pages,
            bytes=tally.bytes,
            seen=tally.seen,
            new=tally.new,
            changed=tally.changed,
            unchanged=tally.unchanged,
            duplicate=tally.duplicate,
            rejected=tally.rejected,
            waiting=tally.waiting,
            news=tally.news,
            details=tally.details,
            gone=tally.gone,
        )
        if tally.reasons:
            self.gate.emit(
                "postings.rejected",
                source=board.source,
                board=board.slug,
                count=tally.rejected,
                reasons=dict(tally.reasons.most_common(REASONS)),
            )


INTERRUPTED: Final = Judgement(
    health=Health.NEUTRAL, outcome="interrupted", why="the poll was cut off; it is made again"
)


def _kept(poll: Poll, end: WalkEnd | Idle) -> Kept:
    """Return what a good poll leaves for the next one."""
    has_read = poll.listed is not None or poll.answer is not None
    proof = Proof.NOTHING
    if has_read and not isinstance(end, Idle):
        proof = proof_of(end, poll.source.coverage)
    if poll.listed is None:
        return Kept(answer=poll.answer, proof=proof)
    counts = emptiness.counted(len(poll.listed), poll.row.counts)
    return Kept(counts=counts, answer=poll.answer, listed=poll.listed, proof=proof)


def _due_since(row: StoredBoard) -> tuple[bool, dt.datetime]:
    """Order boards: never polled first, then the longest due."""
    never = dt.datetime.min.replace(tzinfo=dt.UTC)
    return row.polled_at is not None, row.next_due_at or never


def _polled(row: StoredBoard, domain: Domain, *, ok: bool, fault: str | None) -> BoardPolled:
    board = row.board
    return BoardPolled(
        board=row.id, domain=domain, source=board.source, slug=board.slug, ok=ok, fault=fault
    )
