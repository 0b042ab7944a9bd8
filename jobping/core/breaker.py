"""Is the domain well enough to be asked: closed, open, half-open, forced open, disabled.

Pure: the time is passed in, and jitter comes from a passed-in random.Random. A permit carries the
generation of the state that gave it; every change of state raises the generation, so that a late
result cannot extend, reopen or close anything.
"""

import enum
import math
import random
from typing import Final

import attrs

from jobping.core.ids import Monotonic
from jobping.core.nanos import is_due, to_ns, to_s
from jobping.core.outcome import Failed, Failure, Limited, Neutral, Ok, Outcome, weight


class Phase(enum.StrEnum):
    """The states of a breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    FORCED_OPEN = "forced_open"
    DISABLED = "disabled"


class HalfOpenPolicy(enum.StrEnum):
    """What decides about a half-open round."""

    RATE = "rate"
    FIRST_FAILURE = "first_failure"


class Cause(enum.StrEnum):
    """Why a breaker opened, where no failure class says it."""

    TOLD = "told"
    SHARE = "failure_rate"
    SLOW = "slow_rate"
    UNDECIDED = "undecided"
    OPERATOR = "operator"
    RESTART = "restart"


@attrs.frozen(kw_only=True)
class BreakerRules:
    """When a breaker trips and for how long it stays open.

    Attributes:
        size: The last results that shares are taken over.
        min_calls: Results needed before a share counts.
        failure_rate: Share of failures that trips, inclusive.
        slow_s: A result that took longer is slow; None: none is.
        slow_rate: Share of slow results that trips, inclusive.
        consecutive: Weight of failures in a row that trips, inclusive; None: off.
        open_s: The first open time.
        multiplier: Growth of the open time per opening without a recovery.
        max_open_s: Longest own open time, before jitter.
        jitter: Share by which own open times vary; a told time is never changed.
        flap_s: Closed for this long, the open times start anew; None: they do at each closing.
        permits: Results that make one half-open round.
        close_after: Good rounds in a row that close.
        half_open_max_wait_s: A round undecided for this long since its first permit opens; a round
            with no permit out and no result waits for a request. None: it may wait for ever.
        ban_open_s: Open time after a ban, not limited by `max_open_s` and never shortened by
            jitter; None: as any failure.

    Raises:
        ValueError: A number is out of range.
    """

    size: int = attrs.field(default=20, validator=attrs.validators.ge(1))
    min_calls: int = attrs.field(default=10, validator=attrs.validators.ge(1))
    failure_rate: float = attrs.field(default=0.5, validator=attrs.validators.gt(0))
    slow_s: float | None = None
    slow_rate: float = attrs.field(default=1.0, validator=attrs.validators.gt(0))
    consecutive: int | None = attrs.field(
        default=None, validator=attrs.validators.optional(attrs.validators.ge(1))
    )
    open_s: float = attrs.field(default=30.0, validator=attrs.validators.gt(0))
    multiplier: float = attrs.field(default=1.0, validator=attrs.validators.ge(1))
    max_open_s: float = attrs.field(default=900.0, validator=attrs.validators.gt(0))
    jitter: float = attrs.field(
        default=0.0, validator=[attrs.validators.ge(0), attrs.validators.lt(1)]
    )
    flap_s: float | None = None
    permits: int = attrs.field(default=1, validator=attrs.validators.ge(1))
    close_after: int = attrs.field(default=1, validator=attrs.validators.ge(1))
    half_open_policy: HalfOpenPolicy = HalfOpenPolicy.RATE
    half_open_max_wait_s: float | None = None
    ban_open_s: float | None = None

    @min_calls.validator
    def _check_min_calls(self, _attribute: object, value: int) -> None:
        if value > self.size:
            raise ValueError(f"min_calls {value}: at most size {self.size}")


DAEMON: Final = BreakerRules(
    slow_s=15.0,
    slow_rate=0.8,
    consecutive=5,
    multiplier=2.0,
    jitter=0.1,
    flap_s=600.0,
    close_after=2,
    half_open_policy=HalfOpenPolicy.FIRST_FAILURE,
    half_open_max_wait_s=60.0,
    ban_open_s=21_600.0,
)
"""The settings that the daemon uses for every domain."""


@attrs.frozen
class Results:
    """The latest results, one bit each, the newest lowest.

    Attributes:
        count: Results held, at most the window's size.
        failed: Bits of those that failed.
        slow: Bits of those that were slow.
    """

    count: int = 0
    failed: int = 0
    slow: int = 0

    def add(self, *, failed: bool, slow: bool, size: int) -> "Results":
        """Return the results with one more; the oldest leaves a full window."""
        mask = (1 << size) - 1
        return Results(
            min(self.count + 1, size),
            (self.failed << 1 | failed) & mask,
            (self.slow << 1 | slow) & mask,
        )


@attrs.frozen(kw_only=True)
class Breaker:
    """The breaker's state; moments in nanoseconds of the monotonic clock.

    Attributes:
        generation: Raised by every change of state.
        since_ns: When this state began, or the half-open round gave its first permit.
        until_ns: When an open breaker may be probed.
        attempts: Openings since the last recovery; escalate the open time.
        spread: The jitter drawn at the last opening, -1 to 1.
        results: The window while closed, the round while half-open.
        run: Weight of the failures in a row.
        issued: Permits of the round that are out or have a result.
        good_rounds: Good half-open rounds in a row.
        opened: Openings ever.
        rejected: Requests ever refused.
        failures: Failures in the window when it last opened.
        cause: A failure class or a `Cause`: why it last opened; empty before.
    """

    phase: Phase = Phase.CLOSED
    generation: int = 0
    since_ns: int
    until_ns: int = 0
    attempts: int = 0
    spread: float = 0.0
    results: Results = Results()
    run: int = 0
    issued: int = 0
    good_rounds: int = 0
    opened: int = 0
    rejected: int = 0
    failures: int = 0
    cause: str = ""


@attrs.frozen
class Permit:
    """Leave to send one request, given by the state of that generation."""

    generation: int


@attrs.frozen
class Denial:
    """No leave.

    Attributes:
        until: When a probe may be asked for; None where no moment is known: an operator holds the
            breaker open, or the permits of the round are out.
        held: An operator holds it open.
    """

    until: Monotonic | None
    held: bool = False


def fresh(now: Monotonic) -> Breaker:
    """Return the breaker of a domain that was never asked."""
    return Breaker(since_ns=to_ns(now))


def admit(state: Breaker, rules: BreakerRules, now: Monotonic) -> tuple[Breaker, Permit | Denial]:
    """Decide whether one request may be sent.

    Returns:
        The new state and a permit, which ends with exactly one `record` or `give_back`; or a
        denial, which is counted but is no failure and moves no deadline.
    """
    state = look(state, rules, now)
    if state.phase is Phase.OPEN and is_due(to_ns(now), state.until_ns):
        state = _enter(state, Phase.HALF_OPEN, to_ns(now))
    match state.phase:
        case Phase.CLOSED | Phase.DISABLED:
            return state, Permit(state.generation)
        case Phase.HALF_OPEN if state.issued < rules.permits:
            since_ns = state.since_ns if state.issued else to_ns(now)
            issued = attrs.evolve(state, issued=state.issued + 1, since_ns=since_ns)
            return issued, Permit(state.generation)
        case Phase.OPEN:
            denial = Denial(Monotonic(to_s(state.until_ns)))
        case Phase.HALF_OPEN:
            denial = Denial(None)
        case Phase.FORCED_OPEN:
            denial = Denial(None, held=True)
    return attrs.evolve(state, rejected=state.rejected + 1), denial


def look(state: Breaker, rules: BreakerRules, now: Monotonic) -> Breaker:
    """Return the state as time alone has changed it."""
    match state.phase:
        case Phase.CLOSED if state.attempts and _has_lasted(state, rules.flap_s, now):
            return attrs.evolve(state, attempts=0)
        case Phase.HALF_OPEN if state.issued and _has_lasted(
            state, rules.half_open_max_wait_s, now
        ):
            limit_ns = state.since_ns + to_ns(rules.half_open_max_wait_s or 0.0)
            return _open(state, rules, limit_ns, Cause.UNDECIDED, None)
        case _:
            return state


def _has_lasted(state: Breaker, limit_s: float | None, now: Monotonic) -> bool:
    return limit_s is not None and is_due(to_ns(now), state.since_ns + to_ns(limit_s))


def record(
    state: Breaker,
    rules: BreakerRules,
    permit: Permit,
    outcome: Outcome,
    now: Monotonic,
    rng: random.Random,
) -> Breaker:
    """Take the result of one permitted request."""
    state = look(state, rules, now)
    if permit.generation != state.generation:
        return state
    if state.phase in (Phase.DISABLED, Phase.FORCED_OPEN):
        return state
    match outcome:
        case Neutral() | Limited():
            return give_back(state, permit)
        case Failed(open_for_s=float() | int() as open_for_s):
            return _open(state, rules, to_ns(now), Cause.TOLD, rng, told_s=open_for_s)
        case _:
            return _count(state, rules, outcome, now, rng)


def give_back(state: Breaker, permit: Permit) -> Breaker:
    """End a permit without a result: the round may give it again."""
    if permit.generation != state.generation or state.phase is not Phase.HALF_OPEN:
        return state
    return attrs.evolve(state, issued=state.issued - 1)


def _count(
    state: Breaker, rules: BreakerRules, outcome: Ok | Failed, now: Monotonic, rng: random.Random
) -> Breaker:
    failed = isinstance(outcome, Failed)
    size = rules.permits if state.phase is Phase.HALF_OPEN else rules.size
    results = state.results.add(failed=failed, slow=_is_slow(outcome, rules), size=size)
    run = state.run + weight(outcome.failure) if isinstance(outcome, Failed) else 0
    if results != state.results or run != state.run:  # a full window of good results stays
        state = attrs.evolve(state, results=results, run=run)
    cause = _trips(state, rules, outcome)
    if cause is not None:
        return _open(state, rules, to_ns(now), cause, rng)
    if state.phase is Phase.HALF_OPEN and state.results.count >= rules.permits:
        return _end_good_round(state, rules, to_ns(now))
    return state


def _is_slow(outcome: Ok | Failed, rules: BreakerRules) -> bool:
    return rules.slow_s is not None and outcome.duration_s > rules.slow_s


def _trips(state: Breaker, rules: BreakerRules, outcome: Ok | Failed) -> str | None:
    failure = outcome.failure if isinstance(outcome, Failed) else None
    if failure is Failure.BAN and rules.ban_open_s is not None:
        return failure
    if state.phase is Phase.HALF_OPEN:
        if failure is not None and rules.half_open_policy is HalfOpenPolicy.FIRST_FAILURE:
            return failure
        return _share(state.results, rules, failure, needed=rules.permits)
    if rules.consecutive is not None and state.run >= rules.consecutive:
        return failure or Cause.SHARE
    return _share(state.results, rules, failure, needed=rules.min_calls)


def _share(
    results: Results, rules: BreakerRules, failure: Failure | None, *, needed: int
) -> str | None:
    if results.count < needed:
        return None
    if results.failed.bit_count() >= rules.failure_rate * results.count:
        return failure or Cause.SHARE
    if rules.slow_s is not None and results.slow.bit_count() >= rules.slow_rate * results.count:
        return Cause.SLOW
    return None


def _end_good_round(state: Breaker, rules: BreakerRules, now_ns: int) -> Breaker:
    if state.good_rounds + 1 < rules.close_after:
        return attrs.evolve(state, good_rounds=state.good_rounds + 1, results=Results(), issued=0)
    closed = _enter(state, Phase.CLOSED, now_ns)
    return closed if rules.flap_s is not None else attrs.evolve(closed, attempts=0)


def _open(
    state: Breaker,
    rules: BreakerRules,
    now_ns: int,
    cause: str,
    rng: random.Random | None,
    *,
    told_s: float | None = None,
) -> Breaker:
    spread = state.spread if rng is None else rng.uniform(-1, 1)
    attempts = state.attempts + 1
    opened = attrs.evolve(
        _enter(state, Phase.OPEN, now_ns),
        attempts=attempts,
        spread=spread,
        opened=state.opened + 1,
        failures=state.results.failed.bit_count(),
        cause=cause,
    )
    if told_s is None:
        told_s = _own_open_s(rules, attempts, spread, banned=cause == Failure.BAN)
    return attrs.evolve(opened, until_ns=now_ns + to_ns(told_s))


def _own_open_s(rules: BreakerRules, attempts: int, spread: float, *, banned: bool) -> float:
    if banned and rules.ban_open_s is not None:
        return rules.ban_open_s * (1 + rules.jitter * abs(spread))
    return escalated_s(rules, attempts) * (1 + rules.jitter * spread)


def escalated_s(rules: BreakerRules, attempts: int) -> float:
    """Return the own open time of that opening in a row, before jitter, for any number."""
    if rules.multiplier == 1 or attempts <= 1:
        return min(rules.open_s, rules.max_open_s)
    doublings_needed = math.log(rules.max_open_s / rules.open_s, rules.multiplier)
    if attempts - 1 >= doublings_needed:
        return rules.max_open_s
    return min(rules.open_s * rules.multiplier ** (attempts - 1), rules.max_open_s)


def _enter(state: Breaker, phase: Phase, now_ns: int) -> Breaker:
    return attrs.evolve(
        state,
        phase=phase,
        generation=state.generation + 1,
        since_ns=now_ns,
        results=Results(),
        run=0,
        issued=0,
        good_rounds=0,
    )


def force_open(state: Breaker, now: Monotonic) -> Breaker:
    """Hold the domain: nothing goes until `reset`."""
    held = _enter(state, Phase.FORCED_OPEN, to_ns(now))
    return attrs.evolve(held, cause=Cause.OPERATOR)


def disable(state: Breaker, now: Monotonic) -> Breaker:
    """Let everything go and count nothing until `reset`."""
    return _enter(state, Phase.DISABLED, to_ns(now))


def expire(state: Breaker, now: Monotonic) -> Breaker:
    """Make an open breaker half-open now: the next request is its probe."""
    return _enter(state, Phase.HALF_OPEN, to_ns(now)) if state.phase is Phase.OPEN else state


def reset(state: Breaker, now: Monotonic) -> Breaker:
    """Return to closed from any state; open times start anew."""
    return attrs.evolve(_enter(state, Phase.CLOSED, to_ns(now)), attempts=0)


def retry_in_s(state: Breaker, now: Monotonic) -> float:
    """Return the seconds until an open breaker may be probed; 0 in every other state."""
    if state.phase is not Phase.OPEN:
        return 0.0
    return to_s(max(0, state.until_ns - to_ns(now)))


def resume(saved: Breaker, rules: BreakerRules, now: Monotonic, elapsed_s: float) -> Breaker:
    """Live on from a saved state whose moments are relative to the time of saving.

    Permits in flight are void. A half-open breaker becomes open with nothing left to wait.

    Args:
        elapsed_s: Seconds since it was saved; negative where the clock was set back: an open
            breaker then waits what was left, at most `max_open_s`.
    """
    now_ns = to_ns(now)
    left_ns = saved.until_ns - to_ns(max(0.0, elapsed_s))
    if elapsed_s < 0:
        left_ns = min(left_ns, to_ns(rules.max_open_s))
    base_ns = now_ns - to_ns(max(0.0, elapsed_s))
    state = attrs.evolve(
        saved, since_ns=saved.since_ns + base_ns, until_ns=now_ns + max(0, left_ns), issued=0
    )
    if state.phase is not Phase.HALF_OPEN:
        return state
    return attrs.evolve(
        _enter(state, Phase.OPEN, now_ns),
        attempts=state.attempts + 1,
        opened=state.opened + 1,
        until_ns=now_ns,
        cause=Cause.RESTART,
    )


def shift(state: Breaker, by_ns: int) -> Breaker:
    """Return the state with its moments moved; `shift(state, -now)` is what a store keeps."""
    return attrs.evolve(state, since_ns=state.since_ns + by_ns, until_ns=state.until_ns + by_ns)
