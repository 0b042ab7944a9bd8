"""One domain's decision: limiter and breaker put together.

A request goes only if both let it go, and only then are both new states kept: no probe of a
half-open breaker is out while the limiter says wait.
"""

import datetime as dt
import enum
import json
import random
from typing import ClassVar, Final

import attrs

from jobping.core import breaker, limiter
from jobping.core.breaker import Breaker, BreakerRules, Phase, Results
from jobping.core.ids import Monotonic
from jobping.core.limiter import Limiter, LimiterRules
from jobping.core.nanos import to_ns
from jobping.core.outcome import Failed, Limited, Ok, Outcome

FORMAT: Final = 1


class Reason(enum.StrEnum):
    """Why a request does not go now."""

    IMPOSSIBLE = "impossible"
    DAILY = "daily"
    BUSY = "busy"
    BLOCKED = "blocked"
    RATE = "rate"
    MIN_GAP = "min_gap"
    BREAKER = "breaker"


@attrs.frozen(kw_only=True)
class GateRules:
    """The rules of one domain's gate."""

    limiter: LimiterRules
    breaker: BreakerRules = breaker.DAEMON


@attrs.frozen
class GateState:
    """The state of one domain's gate.

    Attributes:
        succeeded: The domain has answered well before, so that a 403 means a ban.
    """

    limiter: Limiter
    breaker: Breaker
    succeeded: bool = False


@attrs.frozen
class Permit:
    """Leave to send one request; ends with exactly one `record` or `take_back`."""

    grant: limiter.Grant
    breaker: breaker.Permit


@attrs.frozen(kw_only=True)
class Opened:
    """The breaker opened for `until_s` seconds after `failures` failures in its window."""

    event: ClassVar[str] = "breaker.opened"
    failures: int
    until_s: float
    cause: str


@attrs.frozen
class HalfOpened:
    """The breaker lets probes through."""

    event: ClassVar[str] = "breaker.half_opened"


@attrs.frozen
class Closed:
    """The breaker closed: the domain is well again."""

    event: ClassVar[str] = "breaker.closed"


@attrs.frozen(kw_only=True)
class Throttled:
    """The site refused; nothing goes for `retry_after_s` seconds."""

    event: ClassVar[str] = "limiter.throttled"
    retry_after_s: float
    clamped: bool
    refusals: int


@attrs.frozen(kw_only=True)
class Exhausted:
    """The grant just given was the last of the day, which ends in `until_s` seconds."""

    event: ClassVar[str] = "limiter.exhausted"
    until_s: float


Transition = Opened | HalfOpened | Closed | Throttled | Exhausted


@attrs.frozen
class Admit:
    """Send now."""

    permit: Permit
    transitions: tuple[Transition, ...] = ()


@attrs.frozen
class Wait:
    """Ask again at that moment."""

    until: Monotonic
    reason: Reason
    transitions: tuple[Transition, ...] = ()


@attrs.frozen
class Refuse:
    """No moment is known: never, or at the next release, or when the operator lets go."""

    reason: Reason
    transitions: tuple[Transition, ...] = ()


@attrs.frozen(kw_only=True)
class GateView:
    """A gate for people and logs; durations in seconds from now."""

    breaker: Phase
    breaker_cause: str
    retry_in_s: float
    blocked_s: float
    rate: float
    grants: int
    in_flight: int
    daily_used: int
    daily_limit: int | None
    refusals: int
    opened: int
    rejected: int


def fresh(rules: GateRules, now: Monotonic, utcnow: dt.datetime) -> GateState:
    """Return the gate of a domain that was never asked."""
    del utcnow  # the quota's day begins with the first request
    return GateState(limiter.fresh(rules.limiter, now), breaker.fresh(now))


def admit(
    state: GateState, rules: GateRules, now: Monotonic, utcnow: dt.datetime
) -> tuple[GateState, Admit | Wait | Refuse]:
    """Decide about one request.

    Args:
        utcnow: Wall clock, aware UTC, for the daily quota only.

    Returns:
        The state to keep, and the decision with the transitions that it made.
    """
    seen = GateState(
        state.limiter, breaker.look(state.breaker, rules.breaker, now), state.succeeded
    )
    breaker_after, permit = breaker.admit(seen.breaker, rules.breaker, now)
    if isinstance(permit, breaker.Denial):
        denied = GateState(seen.limiter, breaker_after, seen.succeeded)
        return denied, _denied(permit, _changes(state.breaker, breaker_after, now))
    limiter_after, grant = limiter.admit(seen.limiter, rules.limiter, now, utcnow)
    if isinstance(grant, limiter.Hold):
        held = GateState(limiter_after, seen.breaker, seen.succeeded)
        return held, _held(grant, _changes(state.breaker, seen.breaker, now))
    admitted = GateState(limiter_after, breaker_after, seen.succeeded)
    changes = _changes(state.breaker, breaker_after, now)
    return admitted, Admit(Permit(grant, permit), changes + _exhausted(admitted, rules, utcnow))


def spare(
    before: GateState, state: GateState, admitted: Admit, most_s: float
) -> tuple[GateState, Admit]:
    """Take a request that was admitted out of the source's budget.

    It has passed the gate like any other and counts for gap, concurrency and breaker, but takes
    nothing of the quotas and delays the next one by the pace for `most_s` seconds at most.

    Args:
        before: The state that `admit` was given; `state` and `admitted` are its answer.
    """
    after, grant = state.limiter, admitted.permit.grant
    least_ns = max(before.limiter.tat_ns, grant.at_ns) + to_ns(most_s)
    held = attrs.evolve(
        before.limiter,
        tat_ns=min(after.tat_ns, least_ns),
        latest_ns=after.latest_ns,
        grants=after.grants,
        in_flight=after.in_flight,
    )
    permit = Permit(attrs.evolve(grant, cost=0), admitted.permit.breaker)
    changes = tuple(each for each in admitted.transitions if not isinstance(each, Exhausted))
    return GateState(held, state.breaker, state.succeeded), Admit(permit, changes)


def _denied(denial: breaker.Denial, changes: tuple[Transition, ...]) -> Wait | Refuse:
    if denial.until is not None:
        return Wait(denial.until, Reason.BREAKER, changes)
    return Refuse(Reason.BREAKER if denial.held else Reason.BUSY, changes)


def _held(hold: limiter.Hold, changes: tuple[Transition, ...]) -> Wait | Refuse:
    match hold.hindrance:
        case limiter.Hindrance.CONCURRENCY:
            return Refuse(Reason.BUSY, changes)
        case limiter.Hindrance.IMPOSSIBLE:
            return Refuse(Reason.IMPOSSIBLE, changes)
        case hindrance:
            if hold.until is None:
                raise ValueError(f"{hindrance} names no moment")
            return Wait(hold.until, Reason(hindrance.value), changes)


def _exhausted(state: GateState, rules: GateRules, utcnow: dt.datetime) -> tuple[Transition, ...]:
    if rules.limiter.daily is None or state.limiter.used != rules.limiter.daily:
        return ()
    ends_at = limiter.next_midnight(utcnow, rules.limiter.zone)
    return (Exhausted(until_s=(ends_at - utcnow).total_seconds()),)


def _changes(before: Breaker, after: Breaker, now: Monotonic) -> tuple[Transition, ...]:
    changes: list[Transition] = []
    if after.opened > before.opened:
        until_s = breaker.retry_in_s(after, now)
        changes.append(Opened(failures=after.failures, until_s=until_s, cause=after.cause))
    if after.generation != before.generation:
        if after.phase is Phase.HALF_OPEN:
            changes.append(HalfOpened())
        elif after.phase is Phase.CLOSED:
            changes.append(Closed())
    return tuple(changes)


def record(
    state: GateState,
    rules: GateRules,
    permit: Permit,
    outcome: Outcome,
    now: Monotonic,
    utcnow: dt.datetime,
    rng: random.Random,
) -> tuple[GateState, tuple[Transition, ...]]:
    """End a permit whose request was sent, and learn from its outcome.

    Returns:
        The state to keep and the transitions, in the order in which they happened.

    Raises:
        ValueError: No permit is out.
    """
    del utcnow  # an outcome changes no quota
    after, throttled = _limit(limiter.release(state.limiter), rules.limiter, outcome, now)
    judged = breaker.record(
        state.breaker, rules.breaker, permit.breaker, _clamp(outcome, rules.limiter), now, rng
    )
    succeeded = state.succeeded or isinstance(outcome, Ok)
    return GateState(after, judged, succeeded), throttled + _changes(state.breaker, judged, now)


def _limit(
    state: Limiter, rules: LimiterRules, outcome: Outcome, now: Monotonic
) -> tuple[Limiter, tuple[Transition, ...]]:
    match outcome:
        case Ok():
            return limiter.succeed(state), ()
        case Limited(after_s) | Failed(open_for_s=float() | int() as after_s):
            state, penalty = limiter.penalise(state, rules, now, after_s)
            throttled = Throttled(
                retry_after_s=penalty.left_s, clamped=penalty.clamped, refusals=state.refusals
            )
            return state, (throttled,)
        case _:
            return state, ()


def _clamp(outcome: Outcome, rules: LimiterRules) -> Outcome:
    """Open the breaker for as long as the limiter blocks, not for a wait beyond any maximum."""
    if isinstance(outcome, Failed) and outcome.open_for_s is not None:
        return attrs.evolve(outcome, open_for_s=min(outcome.open_for_s, rules.max_block_s))
    return outcome


def take_back(
    state: GateState, rules: GateRules, permit: Permit, now: Monotonic, utcnow: dt.datetime
) -> GateState:
    """End a permit of which no byte was sent, as if it had not been given.

    Raises:
        ValueError: No permit is out.
    """
    del now, utcnow  # the grant knows its own moment and day
    return GateState(
        limiter.take_back(state.limiter, rules.limiter, permit.grant),
        breaker.give_back(state.breaker, permit.breaker),
        state.succeeded,
    )


def save(state: GateState, now: Monotonic, utcnow: dt.datetime) -> str:
    """Return the state as JSON text whose moments are relative to now, in nanoseconds."""
    del utcnow  # the quota's day is an absolute moment
    held = limiter.shift(state.limiter, -to_ns(now))
    judged = breaker.shift(state.breaker, -to_ns(now))
    return json.dumps(
        {
            "format": FORMAT,
            "limiter": attrs.asdict(held) | {"day_ends_at": _isoformat(held.day_ends_at)},
            "breaker": attrs.asdict(judged),
            "succeeded": state.succeeded,
        }
    )


def _isoformat(moment: dt.datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def load(
    text: str, rules: GateRules, now: Monotonic, utcnow: dt.datetime, elapsed_s: float
) -> GateState:
    """Live on from a saved state: it answers as the living one would, never more permissively.

    Downtime counts, grants in flight are void. Where the configured pace has changed since, the
    new one holds and the level of the bucket stays.

    Args:
        text: What `save` made.
        elapsed_s: Seconds since then by the store's clock; negative counts as 0.

    Raises:
        ValueError: The text is not a saved gate.
    """
    del utcnow
    try:
        saved = json.loads(text)
        if saved["format"] != FORMAT:
            raise ValueError(f"format {saved['format']}, not {FORMAT}")
        held = _limiter_of(saved["limiter"])
        judged = _breaker_of(saved["breaker"], saved["breaker"]["results"])
        succeeded = bool(saved["succeeded"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"saved gate: {error}") from error
    held = limiter.shift(held, to_ns(now) - to_ns(max(0.0, elapsed_s)))
    if held.interval_ns != limiter.interval_ns(rules.limiter.rate):
        held = limiter.set_rate(held, now, rules.limiter.rate)
    return GateState(held, breaker.resume(judged, rules.breaker, now, elapsed_s), succeeded)


def _limiter_of(fields: dict[str, object]) -> Limiter:
    ends_at, latest = fields["day_ends_at"], fields["latest_ns"]
    return Limiter(
        tat_ns=_int(fields["tat_ns"]),
        interval_ns=_int(fields["interval_ns"]),
        gap_ns=_int(fields["gap_ns"]),
        latest_ns=None if latest is None else _int(latest),
        blocked_ns=_int(fields["blocked_ns"]),
        grants=_int(fields["grants"]),
        used=_int(fields["used"]),
        day_ends_at=None if ends_at is None else dt.datetime.fromisoformat(str(ends_at)),
        refusals=_int(fields["refusals"]),
    )


def _breaker_of(fields: dict[str, object], results: dict[str, object]) -> Breaker:
    return Breaker(
        phase=Phase(str(fields["phase"])),
        generation=_int(fields["generation"]),
        since_ns=_int(fields["since_ns"]),
        until_ns=_int(fields["until_ns"]),
        attempts=_int(fields["attempts"]),
        spread=float(str(fields["spread"])),
        results=Results(_int(results["count"]), _int(results["failed"]), _int(results["slow"])),
        run=_int(fields["run"]),
        good_rounds=_int(fields["good_rounds"]),
        opened=_int(fields["opened"]),
        rejected=_int(fields["rejected"]),
        failures=_int(fields["failures"]),
        cause=str(fields["cause"]),
    )


def _int(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is no whole number")
    return value


def view(state: GateState, rules: GateRules, now: Monotonic) -> GateView:
    """Return the gate's figures for logs and people."""
    judged = breaker.look(state.breaker, rules.breaker, now)
    return GateView(
        breaker=judged.phase,
        breaker_cause=judged.cause,
        retry_in_s=breaker.retry_in_s(judged, now),
        blocked_s=limiter.blocked_s(state.limiter, now),
        rate=limiter.rate_of(state.limiter),
        grants=state.limiter.grants,
        in_flight=state.limiter.in_flight,
        daily_used=state.limiter.used,
        daily_limit=rules.limiter.daily,
        refusals=state.limiter.refusals,
        opened=judged.opened,
        rejected=judged.rejected,
    )
