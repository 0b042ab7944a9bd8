"""One domain's gate with its row: every request of the domain passes here, one at a time.

Owned by the domain's actor. The row is written under the fence of the domain's lease before a
request leaves, so that neither a restart nor a second daemon makes the domain see more than its
pace.
"""

import enum
import math
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final, TypeVar, assert_never

import attrs
import trio

from jobping.actors.domain_ladder import DomainLadder
from jobping.actors.lease import Lease
from jobping.actors.network_gate import WAITS_FOR, NetworkGate
from jobping.actors.shared_pace import SharedPace, turns
from jobping.actors.work import Work
from jobping.clock import Clock
from jobping.core import envelope, gate, gate_text
from jobping.core.addresses import domain_of
from jobping.core.breaker import Phase
from jobping.core.envelope import Envelope
from jobping.core.gate_state import (
    Admit,
    GateRules,
    GateState,
    GateView,
    Permit,
    Refuse,
    Transitions,
    Wait,
)
from jobping.core.ids import Domain, Monotonic
from jobping.core.limiter import Grant, Reason
from jobping.core.order import Order, ordered
from jobping.core.outcome import Aside, Failed, Limited, Neutral, Ok, Outcome, outcome_of
from jobping.core.page import Page, PageRequest, Redirected
from jobping.core.retry import Attempted
from jobping.core.throttle import NO_HINTS, Hints, moved_hints, read_hints, retry_after_s
from jobping.errors import (
    Blocked,
    FetchError,
    MalformedPage,
    Throttled,
    Unavailable,
)
from jobping.events import Emit
from jobping.fetch import Exchange, Fetcher
from jobping.store.gates import Gates

R = TypeVar("R")

EXCHANGE_WITHIN_S: Final = 30.0  # design/gate.md section 9
ROBOTS_WITHIN_S: Final = 10.0  # most that a robots.txt delays the poll behind it; our choice
RETRY_WITHIN_S: Final = 30.0  # after it the board is due again in minutes anyhow; our choice
HELD: Final = "held"
SHORTEST_WAIT_S: Final = 0.001  # what is less is no wait, but the way through the loop
SHARED: Final = "shared"  # what a wait for the paces that domains share is called
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
        network: Our own network, the same for all domains.
        shared: Paces that this domain shares with others, in the order in which all ask them.
        left: What each domain's last gate of this process knew when it ended: more than its row,
            where that could not be written.
        waits: Seconds spent waiting for turns since `take_waits` was last asked, by reason.
        is_waiting: A request waits for its turn now.
        answers: Requests since `take_answers` was last asked, by what the site made of them.
        answers_s: How long the site took for them.
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
    network: NetworkGate
    shared: tuple[SharedPace, ...] = ()
    left: dict[Domain, GateState] = attrs.field(factory=dict)
    waits: dict[str, float] = attrs.field(factory=dict, init=False)
    is_waiting: bool = attrs.field(default=False, init=False)
    answers: dict[str, int] = attrs.field(factory=dict, init=False)
    answers_s: float = attrs.field(default=0.0, init=False)
    _state: GateState = attrs.field(init=False)
    _saving: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _seen: Envelope = attrs.field(factory=Envelope, init=False)
    _planned: int = attrs.field(default=0, init=False)

    def view(self) -> GateView:
        """Return the gate's figures as they are now."""
        return gate.view(self._state, self.rules, self.clock.monotonic(), self.clock.utcnow())

    def plan(self) -> Monotonic:
        """Return when the next poll may begin so that no quota ends before its window."""
        now, utcnow = self.clock.monotonic(), self.clock.utcnow()
        requests = max(1, self._state.limiter.grants - self._planned)
        return gate.spread_until(self._state, self.rules, now, utcnow, requests)

    def begin_poll(self) -> None:
        """Count the requests from here on as those of one poll; `plan` spreads by them."""
        self._planned = self._state.limiter.grants

    def turn(self) -> tuple[Monotonic | None, str | None]:
        """Return when the next request may go, None if that is not known, and what it waits for."""
        wait_s, reason = turn_of(self.view())
        held_s = (self.network.held_until() or -math.inf) - self.clock.monotonic()
        if wait_s is not None and held_s > wait_s:
            wait_s, reason = held_s, WAITS_FOR
        return None if wait_s is None else Monotonic(self.clock.monotonic() + wait_s), reason

    async def load(self) -> None:
        """Take up the saved state, and store the ladder's tier before anything else.

        Raises:
            StoreError: The row cannot be read or written.
        """
        now = self.clock.monotonic()
        saved = await self.gates.load(self.domain)
        self._state = gate.fresh(self.rules, now)
        if saved is not None:
            try:
                self._state = gate_text.load(saved.state, self.rules, now, saved.elapsed_s)
            except ValueError as error:
                self.emit("gate.reset", domain=self.domain, why=str(error))
        is_ahead = self._take_up_left(now)
        self._keep(*gate.switch(self._state, self.rules, now))
        self.begin_poll()
        if is_ahead or saved is None or saved.tier != self.ladder.tier:
            await self.save()

    def _take_up_left(self, now: Monotonic) -> bool:
        """Go on from what the last gate left, unless the row knows of a request that it does not.

        Returns:
            Whether it does so; the row may lack what the site asked for.
        """
        left = self.left.get(self.domain)
        if left is None or left.limiter.grants < self._state.limiter.grants:
            return False
        self._state = gate_text.load(gate_text.save(left, self.rules, now), self.rules, now, 0.0)
        return True

    def leave(self) -> None:
        """Leave what is known to the domain's next gate."""
        self.left[self.domain] = self._state

    async def save(self) -> None:
        """Write the row as it is now; an older state never follows a newer one.

        Raises:
            LeaseLost: The domain has another owner by now.
        """
        async with self._saving:
            now = self.clock.monotonic()
            state = gate_text.save(self._state, self.rules, now, self.ladder.save())
            await self.gates.save(self.lease.fence, state, self.ladder.tier.value)

    async def obey(self, order: Order) -> str | None:
        """Carry out an operator's order, and store it.

        Returns:
            Why it cannot be carried out, or None.

        Raises:
            StoreError: It holds, but only until the next restart.
        """
        after = ordered(self._state, self.rules, order, self.clock.monotonic())
        if isinstance(after, str):
            return after
        self._keep(*after)
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
        """Send one request when its turn has come, again where that may help, and read the answer.

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
        began, attempt = self.clock.monotonic(), 1
        id = f"{self.rng.getrandbits(64):016x}"
        while True:
            sent = _Asked(_numbered(request, id, attempt), hosts, purpose)
            try:
                return await self._attempt(sent, read, attempt)
            except (Unavailable, Throttled) as error:
                if purpose is Purpose.ROBOTS or self.network.is_down:
                    raise  # the next poll asks again
                left_s = began + RETRY_WITHIN_S - self.clock.monotonic()
                delay_s = self._retry_in_s(request, error, attempt, left_s)
                if delay_s is None:
                    raise
                await self.work.wait_until(self.clock.monotonic() + delay_s)
                if self.network.is_down:  # by what other domains have found meanwhile
                    raise
            attempt += 1

    def _retry_in_s(
        self, request: PageRequest, error: Unavailable | Throttled, attempt: int, left_s: float
    ) -> float | None:
        attempted = Attempted(
            method=request.method,
            attempts=attempt,
            status=error.status,
            after_s=_after_s(error, self.clock),
            left_s=left_s,
            is_read=request.is_read,
        )
        now = self.clock.monotonic()
        self._state, answer = gate.may_retry(self._state, self.rules, attempted, self.rng, now)
        return answer if isinstance(answer, float) else None

    async def _attempt(
        self, sent: "_Asked", read: Callable[[Page], Awaitable[R]], attempt: int
    ) -> R | Redirected:
        """Send the request once, with its own grant and permit."""
        while True:
            await self.work.begin()
            self.is_waiting = True
            await self._wait_for_turn()
            began = self.clock.monotonic()
            async with AsyncExitStack() as place:
                async with turns(self.shared, self.work):
                    self.is_waiting = False
                    self._note_wait(SHARED, began)
                    self.work.step(math.inf)  # each of those before us is bounded, their sum is not
                    exchange = await place.enter_async_context(
                        self.fetcher.exchange(sent.request, hosts=sent.hosts)
                    )
                    self.work.step()
                    sending = self._admit(sent, attempt)
                if sending is not None:
                    return await self._run(sending, exchange, sent, read)

    async def _wait_for_turn(self) -> None:
        """Wait outside the fetcher's places until the gate would admit; keeps no permit."""
        while True:  # noqa: ASYNC913  every path waits or leaves
            now = self.clock.monotonic()
            state, decision = gate.admit(self._state, self.rules, now, self.clock.utcnow())
            match decision:
                case Admit():
                    held_until = self.network.held_until()
                    if held_until is None:
                        return
                    await self.network.wait(self.work, held_until)
                    self._note_wait(WAITS_FOR, now)
                    continue
                case Wait(until=until, reason=reason):
                    pass
                case Refuse(reason=Reason.BREAKER as reason):
                    until = Monotonic(math.inf)  # an operator holds it, and wakes us
                case Refuse(reason=reason):
                    raise ValueError(f"{self.domain}: the gate refuses for good: {reason}")
                case _:
                    assert_never(decision)
            self._keep(state, decision.transitions)
            await self.work.wait_until(until)
            self._note_wait(reason.value, now)

    def _note_wait(self, reason: str, began: Monotonic) -> None:
        waited_s = self.clock.monotonic() - began
        if waited_s >= SHORTEST_WAIT_S:
            self.waits[reason] = self.waits.get(reason, 0.0) + waited_s

    def _admit(self, asked: "_Asked", attempt: int) -> "_Sending | None":
        now, utcnow = self.clock.monotonic(), self.clock.utcnow()
        state, decision = gate.admit(self._state, self.rules, now, utcnow)
        if asked.purpose is Purpose.ROBOTS and isinstance(decision, Admit):
            state, decision = gate.spare(self._state, state, decision, ROBOTS_WITHIN_S)
        if isinstance(decision, Admit) and not self.network.take():
            return None
        self._keep(state, decision.transitions)
        if not isinstance(decision, Admit):
            return None
        grants = tuple(pace.take() for pace in self.shared)
        return _Sending(
            permit=decision.permit,
            shared=grants,
            attempt=attempt,
            is_probe=self.network.is_down,
        )

    async def _run(
        self,
        sending: "_Sending",
        exchange: Exchange,
        asked: "_Asked",
        read: Callable[[Page], Awaitable[R]],
    ) -> R | Redirected:
        began = self.clock.monotonic()
        outcome: Outcome = Neutral(Aside.CANCELLED)
        hints = NO_HINTS
        failed: FetchError | MalformedPage | None = None
        result: R | Redirected
        try:
            await self.save()
            self.lease.check()
            began = self.clock.monotonic()  # what the store took is not the site's time
            answer = await _run_within(exchange, asked.request.url, EXCHANGE_WITHIN_S)
            took_s = self.clock.monotonic() - began
            hints = _hints_of(answer, self.clock)
            if isinstance(answer, Redirected):
                asked.check(answer)
                result, outcome = answer, Neutral(Aside.IGNORED)
            else:
                result = await read(answer)
                outcome = self._judge(None, answer.status, took_s)
        except (FetchError, MalformedPage) as error:
            failed, outcome = error, self._judge(error, None, self.clock.monotonic() - began)
            if asked.purpose is Purpose.ROBOTS and isinstance(error, Blocked):
                outcome = Neutral(Aside.IGNORED)
            if isinstance(error, Throttled):
                hints = read_hints(error.headers, self.clock.utcnow())
        finally:
            urgent = self._end(sending, outcome, hints, exchange.sent_at)
        if urgent:
            with trio.move_on_after(SAVE_WITHIN_S, shield=True):
                await self.save()
        if failed is not None:
            raise failed
        return result

    def _judge(
        self, error: FetchError | MalformedPage | None, status: int | None, duration_s: float
    ) -> Outcome:
        return outcome_of(
            error,
            status=status,
            duration_s=duration_s,
            utcnow=self.clock.utcnow(),
            succeeded_before=self._state.succeeded,
        )

    def _end(
        self, sending: "_Sending", outcome: Outcome, hints: Hints, sent_at: Monotonic | None
    ) -> bool:
        """End the permit exactly once, without awaiting; say whether the row must follow now."""
        was_sent = sent_at is not None
        if sent_at is not None:
            self._check_promise(sending, sent_at)
        if was_sent or not isinstance(outcome, Neutral):
            self.network.record(self.domain, outcome)
        elif sending.is_probe:
            self.network.give_back()
        if self.network.is_ours(outcome):
            outcome = Neutral(Aside.IGNORED)
        was_tried = was_sent or not isinstance(outcome, Neutral)
        if was_tried:
            self._count(outcome)
        for pace, grant in zip(self.shared, sending.shared, strict=True):
            pace.end(grant, sent=was_tried)
        if not was_tried:
            self._state = gate.take_back(self._state, self.rules, sending.permit)
            return False
        now, attempt = self.clock.monotonic(), sending.attempt
        state, transitions = gate.record(
            self._state,
            self.rules,
            sending.permit,
            outcome,
            now,
            self.rng,
            hints=hints,
            attempt=attempt,
            sent_at=now if sent_at is None else sent_at,  # its attempt to connect came until now
        )
        self._keep(state, transitions)
        return bool(transitions)

    def _count(self, outcome: Outcome) -> None:
        word = "other"  # a redirect, or one that was cut short
        match outcome:
            case Ok(duration_s=took_s):
                word, self.answers_s = "ok", self.answers_s + took_s
            case Failed(duration_s=took_s):
                word, self.answers_s = "failed", self.answers_s + took_s
            case Neutral(kind=Aside.GONE):
                word = "ok"
            case Limited():
                word = "limited"
            case _:
                pass
        self.answers[word] = self.answers.get(word, 0) + 1

    def _check_promise(self, sending: "_Sending", sent_at: Monotonic) -> None:
        """Say so where a request left too early: that is a bug of ours."""
        self._seen, violated = envelope.leave(
            self._seen,
            self.rules.limiter,
            self._state.limiter,
            sent_at,
            rate=self.rules.pace.max_rate,
            cost=sending.permit.grant.cost,
        )
        if violated is not None:
            self.emit(violated.event, domain=self.domain, **attrs.asdict(violated))

    def _keep(self, state: GateState, transitions: Transitions) -> None:
        self._state = state
        for transition in transitions:
            fields = attrs.asdict(transition)
            self.emit(transition.event, domain=self.domain, **fields)
            self.ladder.note_transition(transition)

    def raise_gap(self, gap_s: float) -> None:
        """Keep at least so many seconds between two requests; a smaller value changes nothing."""
        self._state = gate.raise_gap(self._state, gap_s)

    async def rest(self) -> None:
        """Close the domain's connection; nothing is due soon."""
        await self.fetcher.rest(self.domain)

    def take_waits(self) -> dict[str, float]:
        """Return the seconds waited for turns since the last call, by what was waited for."""
        waits, self.waits = self.waits, {}
        return waits

    def take_answers(self) -> tuple[dict[str, int], float]:
        """Return what became of the requests since the last call, and the site's time for them."""
        answers, self.answers = self.answers, {}
        answers_s, self.answers_s = self.answers_s, 0.0
        return answers, answers_s


def turn_of(view: GateView) -> tuple[float | None, str | None]:
    """Return the seconds to the next request, None if not known, and what it waits for."""
    if view.breaker is Phase.FORCED_OPEN:
        return None, HELD
    return view.wait_s, None if view.waits_for is None else view.waits_for.value


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
        raise Unavailable(url.partition("?")[0], exchange.lateness) from None


@attrs.frozen(kw_only=True)
class _Sending:
    """What ends with one request: its permit, and its grants of the shared paces.

    Attributes:
        is_probe: It shows whether our network is back.
    """

    permit: Permit
    shared: tuple[Grant, ...]
    attempt: int
    is_probe: bool


def _numbered(request: PageRequest, id: str, attempt: int) -> PageRequest:
    """Let the site's log tell our retries from our requests."""
    fields = (("X-Request-Id", id), ("X-Attempt", str(attempt)))
    return attrs.evolve(request, headers=(*request.headers, *fields))


def _hints_of(answer: Page | Redirected, clock: Clock) -> Hints:
    if isinstance(answer, Page):
        return read_hints(answer.headers, clock.utcnow())
    return moved_hints(answer.headers, clock.utcnow()) if answer.permanent else NO_HINTS


def _after_s(error: Unavailable | Throttled, clock: Clock) -> float | None:
    if isinstance(error, Unavailable):
        return None
    return retry_after_s(error.retry_after, error.date, clock.utcnow())
