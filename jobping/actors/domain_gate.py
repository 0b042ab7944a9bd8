"""One domain's gate with its row: every request of the domain passes here, one at a time.

Owned by the domain's actor. The row is written under the fence of the domain's lease before a
request leaves, so that neither a restart nor a second daemon makes the domain see more than its
pace.
"""

import datetime as dt
import enum
import math
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar, assert_never

import attrs
import trio

from jobping.actors.domain_ladder import DomainLadder
from jobping.actors.lease import Lease
from jobping.actors.work import Work
from jobping.clock import Clock
from jobping.core import breaker, gate, limiter
from jobping.core.addresses import domain_of
from jobping.core.breaker import Phase
from jobping.core.gate import GateRules, GateState, GateView, Reason, Transition
from jobping.core.ids import Domain, Monotonic
from jobping.core.nanos import to_ns
from jobping.core.order import Order
from jobping.core.outcome import Aside, Neutral, Outcome, outcome_of
from jobping.core.page import Page, PageRequest, Redirected
from jobping.errors import Blocked, FetchError, MalformedPage, Unavailable, Unreached
from jobping.events import Emit
from jobping.fetch import Exchange, Fetcher
from jobping.store.gates import Gates

R = TypeVar("R")

EXCHANGE_WITHIN_S: Final = 30.0  # design/gate.md section 9
ROBOTS_WITHIN_S: Final = 10.0  # most that a robots.txt delays the poll behind it; our choice
HELD: Final = "held"
SAVE_WITHIN_S: Final = 2.0  # what the site asked for is stored, also while a stop cuts the poll off


class Purpose(enum.Enum):
    """What a request is for.

    Attributes:
        BOARD: Postings, within the source's pace and quotas.
        ROBOTS: The site's rules, once a day: through the same gate, but beside the quotas; whoever
            forbids the file itself has no rules.
    """

    BOARD = "board"
    ROBOTS = "robots"


@attrs.define(kw_only=True)
class DomainGate:
    """The gate of one domain.

    Attributes:
        lease: Under which it sends.
        waited_s: Seconds spent waiting for a turn since `take_waited` was last asked.
        is_waiting: A request waits for its turn now.
    """

    domain: Domain
    rules: GateRules
    ladder: DomainLadder
    lease: Lease
    fetcher: Fetcher
    gates: Gates
    clock: Clock
    emit: Emit
    rng: random.Random
    work: Work
    waited_s: float = attrs.field(default=0.0, init=False)
    is_waiting: bool = attrs.field(default=False, init=False)
    _state: GateState = attrs.field(init=False)
    _saving: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    def view(self) -> GateView:
        """Return the gate's figures as they are now."""
        return gate.view(self._state, self.rules, self.clock.monotonic())

    def turn(self) -> tuple[Monotonic | None, str | None]:
        """Return when the next request may go, None if that is not known, and what it waits for."""
        return turn_of(self._state, self.rules, self.clock.monotonic(), self.clock.utcnow())

    async def load(self) -> None:
        """Take up the saved state, and store the ladder's tier before anything else.

        Raises:
            StoreError: The row cannot be read or written.
        """
        now, utcnow = self.clock.monotonic(), self.clock.utcnow()
        saved = await self.gates.load(self.domain)
        self._state = gate.fresh(self.rules, now, utcnow)
        if saved is not None:
            try:
                self._state = gate.load(saved.state, self.rules, now, utcnow, saved.elapsed_s)
            except ValueError as error:
                self.emit("gate.reset", domain=self.domain, why=str(error))
        if saved is None or saved.tier != self.ladder.tier:
            await self.save()

    async def save(self) -> None:
        """Write the row as it is now; an older state never follows a newer one.

        Raises:
            LeaseLost: The domain has another owner by now.
        """
        async with self._saving:
            state = gate.save(self._state, self.clock.monotonic(), self.clock.utcnow())
            await self.gates.save(self.lease.fence, state, self.ladder.tier.value)

    async def obey(self, order: Order) -> str | None:
        """Carry out an operator's order, and store it.

        Returns:
            Why it cannot be carried out, or None.

        Raises:
            StoreError: It holds, but only until the next restart.
        """
        after = ordered(self._state, order, self.clock.monotonic())
        if isinstance(after, str):
            return after
        self._state = after
        await self.save()
        return None

    async def ask(
        self,
        request: PageRequest,
        read: Callable[[Page], Awaitable[R]],
        *,
        hosts: frozenset[Domain],
        purpose: Purpose = Purpose.BOARD,
    ) -> R | Redirected:
        """Send one request when its turn has come, and read the answer.

        Args:
            read: Reads the page; its MalformedPage counts against the domain like a broken answer.
            hosts: Every location that the request may touch.

        Returns:
            What `read` returned, or where the site points to.

        Raises:
            FetchError: No usable answer.
            MalformedPage: An answer that cannot be read, or a board's redirect to another site.
            LeaseLost: The domain has another owner by now; nothing was sent.
            StoreError: The row could not be written; nothing was sent.
        """
        while True:
            await self.work.begin()
            self.is_waiting = True
            await self._wait_for_turn()
            self.is_waiting = False
            async with self.fetcher.exchange(request, hosts=hosts) as exchange:
                permit = self._admit(purpose)
                if permit is not None:
                    return await self._run(permit, exchange, _Asked(request, hosts, purpose), read)

    async def _wait_for_turn(self) -> None:
        """Wait outside the fetcher's places until the gate would admit; keeps no permit."""
        began = self.clock.monotonic()
        while True:  # noqa: ASYNC913  every path waits or leaves
            now = self.clock.monotonic()
            state, decision = gate.admit(self._state, self.rules, now, self.clock.utcnow())
            match decision:
                case gate.Admit():
                    self.waited_s += now - began
                    return
                case gate.Wait(until=until):
                    self._keep(state, decision.transitions)
                    await self.work.wait_until(until)
                case gate.Refuse(reason=Reason.BREAKER):  # an operator holds it
                    self._keep(state, decision.transitions)
                    await self.work.wait_until(math.inf)
                case gate.Refuse(reason=reason):
                    raise ValueError(f"{self.domain}: the gate refuses for good: {reason}")
                case _:
                    assert_never(decision)

    def _admit(self, purpose: Purpose) -> gate.Permit | None:
        now, utcnow = self.clock.monotonic(), self.clock.utcnow()
        state, decision = gate.admit(self._state, self.rules, now, utcnow)
        if purpose is Purpose.ROBOTS and isinstance(decision, gate.Admit):
            state, decision = gate.spare(self._state, state, decision, ROBOTS_WITHIN_S)
        self._keep(state, decision.transitions)
        return decision.permit if isinstance(decision, gate.Admit) else None

    async def _run(
        self,
        permit: gate.Permit,
        exchange: Exchange,
        asked: "_Asked",
        read: Callable[[Page], Awaitable[R]],
    ) -> R | Redirected:
        began = self.clock.monotonic()
        outcome: Outcome = Neutral(Aside.CANCELLED)
        failed: FetchError | MalformedPage | None = None
        result: R | Redirected
        try:
            await self.save()
            self.lease.check()
            answer = await _run_within(exchange, asked.request.url, EXCHANGE_WITHIN_S)
            if isinstance(answer, Redirected):
                asked.check(answer)
                result, outcome = answer, Neutral(Aside.IGNORED)
            else:
                result = await read(answer)
                outcome = self._judge(None, answer.status, began)
        except (FetchError, MalformedPage) as error:
            failed, outcome = error, self._judge(error, None, began)
            if asked.purpose is Purpose.ROBOTS and isinstance(error, Blocked):
                outcome = Neutral(Aside.IGNORED)
        finally:
            urgent = self._end(permit, outcome, sent=exchange.sent)
        if urgent:
            with trio.move_on_after(SAVE_WITHIN_S, shield=True):
                await self.save()
        if failed is not None:
            raise failed
        return result

    def _judge(
        self, error: FetchError | MalformedPage | None, status: int | None, began: Monotonic
    ) -> Outcome:
        return outcome_of(
            error,
            status=status,
            duration_s=self.clock.monotonic() - began,
            utcnow=self.clock.utcnow(),
            succeeded_before=self._state.succeeded,
        )

    def _end(self, permit: gate.Permit, outcome: Outcome, *, sent: bool) -> bool:
        """End the permit exactly once, without awaiting; say whether the row must follow now."""
        now, utcnow = self.clock.monotonic(), self.clock.utcnow()
        if isinstance(outcome, Neutral) and not sent:
            self._state = gate.take_back(self._state, self.rules, permit, now, utcnow)
            return False
        state, transitions = gate.record(
            self._state, self.rules, permit, outcome, now, utcnow, self.rng
        )
        self._keep(state, transitions)
        return bool(transitions)

    def _keep(self, state: GateState, transitions: tuple[Transition, ...]) -> None:
        self._state = state
        for transition in transitions:
            fields = attrs.asdict(transition)
            self.emit(transition.event, domain=self.domain, **fields)
            self.ladder.note_transition(transition)

    def raise_gap(self, gap_s: float) -> None:
        """Keep at least so many seconds between two requests; a smaller value changes nothing."""
        self._state = attrs.evolve(
            self._state, limiter=limiter.raise_gap(self._state.limiter, gap_s)
        )

    async def rest(self) -> None:
        """Close the domain's connection; nothing is due soon."""
        await self.fetcher.rest(self.domain)

    def take_waited(self) -> float:
        """Return the seconds waited for turns since the last call."""
        waited_s, self.waited_s = self.waited_s, 0.0
        return waited_s


@attrs.frozen
class _Asked:
    request: PageRequest
    hosts: frozenset[Domain]
    purpose: Purpose

    def check(self, answer: Redirected) -> None:
        """Raise MalformedPage where a board's request is sent to another site."""
        domain = domain_of(answer.url)
        if self.purpose is Purpose.BOARD and domain not in self.hosts:
            raise MalformedPage(f"redirected to {domain}, another site")


async def _run_within(exchange: Exchange, url: str, seconds: float) -> Page | Redirected:
    """Run the whole exchange under one deadline of our own."""
    try:
        with trio.fail_after(seconds):
            return await exchange.run()
    except trio.TooSlowError:
        raise Unavailable(url.partition("?")[0], Unreached.TIMEOUT) from None


def turn_of(
    state: GateState, rules: GateRules, now: Monotonic, utcnow: dt.datetime
) -> tuple[Monotonic | None, str | None]:
    """Return when the next request may go, None if that is not known, and what it waits for."""
    _, decision = gate.admit(state, rules, now, utcnow)
    match decision:
        case gate.Admit():
            return now, None
        case gate.Wait(until=until, reason=reason):
            return until, reason.value
        case gate.Refuse(reason=Reason.BREAKER) if state.breaker.phase is Phase.FORCED_OPEN:
            return None, HELD
        case gate.Refuse(reason=reason):
            return None, reason.value
        case _:
            assert_never(decision)


def ordered(state: GateState, order: Order, now: Monotonic) -> GateState | str:
    """Return the gate as an operator wants it, or why that cannot be.

    The pace and a wait that the site asked for stay as they are.
    """
    is_held = state.breaker.phase is Phase.FORCED_OPEN
    match order:
        case Order.HOLD if is_held:
            return "is held already"
        case Order.HOLD:
            after = breaker.force_open(state.breaker, now)
        case Order.RELEASE if not is_held:
            return "is not held"
        case Order.PROBE if is_held:
            return "is held; release it first"
        case Order.PROBE if state.breaker.phase is Phase.OPEN:
            after = attrs.evolve(state.breaker, until_ns=to_ns(now))
        case Order.PROBE:
            return state
        case Order.RELEASE | Order.RESET:
            after = breaker.reset(state.breaker, now)
        case _:
            assert_never(order)
    return attrs.evolve(state, breaker=after)
