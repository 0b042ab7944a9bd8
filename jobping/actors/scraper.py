"""One actor per scraper domain: polls its boards in turn, and alone owns their gate.

On the reliable tier it polls what is due. On the backfill tier it scrapes nothing but single trials
that look for recovery, while digests fall back to stored postings. Expected failures are values
here and become outcomes of the gate; any other exception is a bug and the supervisor's business.
"""

import datetime as dt
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import attrs
import trio

from jobping.actors.domain_gate import DomainGate
from jobping.actors.messages import BoardPolled, DomainView, ReadDomain, StorePostings
from jobping.actors.poll import Poll, Verdict, fault_of, outcome_name, verdict_of, why_of
from jobping.actors.work import Work
from jobping.clock import Clock
from jobping.core.board import StoredBoard
from jobping.core.ids import Domain
from jobping.core.ladder import Tier
from jobping.core.schedule import PollEnd, PollRules, next_poll
from jobping.core.walk import BoardGone, Drift, WalkEnd
from jobping.errors import DomainUnavailable
from jobping.events import Emit
from jobping.sources.source import Source
from jobping.store.boards import Boards
from jobping.store.postings import Postings
from supervisors import Context, Ref

LOOK_EVERY_S: Final = 60.0  # boards come and go by command; our choice
DRAIN_S: Final = 10.0  # the request in flight at a stop, design/operations.md section 4
IN_BACKFILL: Final = "backfill"
REASONS: Final = 5  # the commonest reasons of rejection, in one log line


ActiveBoards = Callable[[], Awaitable[Sequence[StoredBoard]]]
"""Reads the boards that this daemon polls now."""


@attrs.frozen(kw_only=True)
class Parts:
    """What a domain actor works with; all boards of a domain are of one source.

    Attributes:
        news_within_s: A board's first walk finds news only of this age; None: of any age.
    """

    source: Source
    poll_rules: PollRules
    active_boards: ActiveBoards
    boards: Boards
    postings: Postings
    ingest: Ref[StorePostings]
    cycle: Ref[BoardPolled]
    clock: Clock
    emit: Emit
    rng: random.Random
    news_within_s: float | None


@attrs.define(kw_only=True)
class Scraper:
    """The actor of one domain on one tier."""

    domain: Domain
    tier: Tier
    gate: DomainGate
    work: Work
    parts: Parts

    async def run(self, ctx: Context[ReadDomain]) -> None:
        """Poll until asked to stop.

        Returns:
            On the backfill tier, when the trials earned a promotion.

        Raises:
            DomainUnavailable: The ladder sends the domain a tier down.
        """
        await self.gate.load(self.tier)
        ctx.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._answer, ctx)
            with self.work.scope:
                await (
                    self._poll_due() if self.tier is Tier.RELIABLE else self._look_for_recovery()
                )
            nursery.cancel_scope.cancel()

    async def _answer(self, ctx: Context[ReadDomain]) -> None:
        async for delivery in ctx.inbox:
            delivery.reply(DomainView(domain=self.domain, tier=self.tier, gate=self.gate.view()))
        self.work.stop(within_s=DRAIN_S)

    async def _poll_due(self) -> None:
        """Poll what is due, the longest unpolled board first; a pass over all of it is a cycle."""
        good: bool | None = None
        while True:
            row, next_at = await self._longest_due()
            if row is not None:
                verdict = await self._poll(row)
                if verdict is not Verdict.NEUTRAL:
                    good = bool(good) or verdict is Verdict.GOOD
            else:
                if good is not None:
                    self.gate.note_cycle(good=good)
                    good = None
                await self.gate.rest()
            await self._leave_if_demoted()
            if row is None:
                await self.work.wait_until(next_at)

    async def _look_for_recovery(self) -> None:
        """Make single trials of the tier above until enough in a row were good."""
        await self._say_backfilled()
        while True:
            await self.work.wait_until(self.gate.trial_at())
            row, next_at = await self._longest_due()
            if row is None:
                await self.work.wait_until(next_at)
                continue
            good = await self._poll(row, page_cap=1) is Verdict.GOOD
            promoted = self.gate.note_trial(good=good)
            self.parts.emit("tier.probed", domain=self.domain, good=good)
            if promoted is not None:
                self.parts.emit(
                    "tier.promoted",
                    domain=self.domain,
                    from_tier=promoted.before.value,
                    to_tier=promoted.after.value,
                )
                await self.gate.save()
                return

    async def _say_backfilled(self) -> None:
        """Tell the cycle that the boards of this domain are not polled in it."""
        for row in await self._boards():
            await self.parts.cycle.put(_polled(row, self.domain, ok=False, fault=IN_BACKFILL))

    async def _boards(self) -> list[StoredBoard]:
        return [row for row in await self.parts.active_boards() if row.domain == self.domain]

    async def _longest_due(self) -> tuple[StoredBoard | None, float]:
        """Return the board that is due longest, or None and when to look again."""
        utcnow, now = self.parts.clock.utcnow(), self.parts.clock.monotonic()
        rows = await self._boards()
        due = [row for row in rows if row.next_due_at is None or row.next_due_at <= utcnow]
        if due:
            return min(due, key=_due_since), now
        waits = [(row.next_due_at - utcnow).total_seconds() for row in rows if row.next_due_at]
        return None, now + min([LOOK_EVERY_S, *waits])

    async def _poll(self, row: StoredBoard, page_cap: int | None = None) -> Verdict:
        """Poll one board, store when it is due again, and say in one line what came of it."""
        began = self.parts.clock.monotonic()
        poll = Poll(
            row=row,
            source=self.parts.source,
            gate=self.gate,
            postings=self.parts.postings,
            ingest=self.parts.ingest,
            news_after=self._news_after(row),
            page_cap=page_cap,
        )
        end = await poll.run()
        verdict = verdict_of(end, poll.failure)
        await self._mark(row, end, verdict, outcome_name(end, poll.failure))
        self._report(poll, end, verdict, self.parts.clock.monotonic() - began)
        fault = fault_of(poll.failure)
        ok = verdict is not Verdict.BAD
        await self.parts.cycle.put(_polled(row, self.domain, ok=ok, fault=fault))
        return verdict

    def _news_after(self, row: StoredBoard) -> dt.datetime | None:
        if row.polled_at is not None or self.parts.news_within_s is None:
            return None
        return self.parts.clock.utcnow() - dt.timedelta(seconds=self.parts.news_within_s)

    async def _mark(self, row: StoredBoard, end: WalkEnd, verdict: Verdict, outcome: str) -> None:
        """Store when the board is due again; only a walk stored in full moves its poll mark."""
        match end, verdict:
            case _, Verdict.GOOD:
                poll_end = PollEnd.STORED
            case ((BoardGone() | Drift()), _):
                poll_end = PollEnd.GONE  # both rest for a day: design/sources.md section 3
            case _:
                poll_end = PollEnd.FAILED
        failures = 0 if poll_end is PollEnd.STORED else row.failures + 1
        utcnow, rules = self.parts.clock.utcnow(), self.parts.poll_rules
        due_at = next_poll(rules, poll_end, failures, utcnow, self.parts.rng)
        if poll_end is PollEnd.STORED:
            await self.parts.boards.mark_polled(row.id, next_due_at=due_at, outcome=outcome)
        else:
            await self.parts.boards.mark_failed(row.id, next_due_at=due_at, outcome=outcome)

    def _report(self, poll: Poll, end: WalkEnd, verdict: Verdict, duration_s: float) -> None:
        tally, board = poll.tally, poll.row.board
        self.parts.emit(
            "scraper.polled",
            level="info" if verdict is Verdict.GOOD else "warning",
            domain=self.domain,
            source=board.source,
            board=board.slug,
            tier=self.tier.value,
            outcome=outcome_name(end, poll.failure),
            fault=fault_of(poll.failure),
            why=why_of(end, poll.failure),
            duration_s=duration_s,
            limiter_wait_s=self.gate.take_waited(),
            pages=tally.pages,
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

    async def _leave_if_demoted(self) -> None:
        """End this tier's actor when the ladder said so; the lower tier is stored first.

        Raises:
            DomainUnavailable: The ladder sends the domain a tier down.
        """
        demoted = self.gate.demoted
        if demoted is None or demoted.before is demoted.after:
            return
        self.parts.emit(
            "tier.demoted",
            domain=self.domain,
            from_tier=demoted.before.value,
            to_tier=demoted.after.value,
            cause=demoted.cause.value,
            cooldown_s=demoted.cooldown_s,
        )
        await self.gate.save()
        raise DomainUnavailable(self.domain, demoted.cause.value)


def _due_since(row: StoredBoard) -> tuple[bool, dt.datetime]:
    """Order boards: never polled first, then the longest due."""
    never = dt.datetime.min.replace(tzinfo=dt.UTC)
    return row.polled_at is not None, row.next_due_at or never


def _polled(row: StoredBoard, domain: Domain, *, ok: bool, fault: str | None) -> BoardPolled:
    board = row.board
    return BoardPolled(
        board=row.id, domain=domain, source=board.source, slug=board.slug, ok=ok, fault=fault
    )
