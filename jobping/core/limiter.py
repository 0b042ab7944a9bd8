"""May this request go now; if not, until when and why. GCRA pace, gap, quotas and blocks.

Pure: the time is passed in, a refused request changes no later answer, and the state of a domain
never grows with the number of its requests.

Source:
    GCRA as in redis-cell `src/cell/mod.rs`; the other rules are our own (README, politeness).
"""

import datetime as dt
import enum
from typing import Final

import attrs

from jobping.core import quota
from jobping.core.ids import Monotonic
from jobping.core.nanos import SECOND_NS, TOLERANCE_NS, is_due, to_ns, to_s
from jobping.core.quota import Quota, Span, Windows

MAX_DOUBLINGS: Final = 40
"""Exponent clamp of the own back-off; 2**40 of anything is above every maximum."""


class Reason(enum.StrEnum):
    """Why a request does not go now; upper rows win over lower ones at equal moments.

    Attributes:
        BREAKER: Said by the gate, never by the limiter.
    """

    BREAKER = "breaker"
    IMPOSSIBLE = "impossible"
    QUOTA = "quota"
    BUSY = "busy"
    BLOCKED = "blocked"
    RATE = "rate"
    MIN_GAP = "min_gap"


@attrs.frozen(kw_only=True)
class LimiterRules:
    """The pace of one domain.

    Attributes:
        rate: Requests per second.
        burst: Requests that may go at once after a pause.
        min_gap_s: Least time between two grants.
        concurrency: Most grants in flight, or None for no cap.
        quotas: Most grants per calendar window, one for a span; all of them must have room.
        zone: Where the quotas' windows begin.
        max_block_s: Longest wait that a site can impose.
        backoff_s: First own back-off after a refusal that names no time.
        max_backoff_s: Longest own back-off.

    Raises:
        ValueError: A number is out of range.
    """

    rate: float = attrs.field(validator=attrs.validators.gt(0))
    burst: int = attrs.field(default=1, validator=attrs.validators.ge(1))
    min_gap_s: float = attrs.field(default=0.0, validator=attrs.validators.ge(0))
    concurrency: int | None = attrs.field(
        default=None, validator=attrs.validators.optional(attrs.validators.ge(1))
    )
    quotas: tuple[Quota, ...] = attrs.field(default=())
    zone: dt.tzinfo = dt.UTC
    max_block_s: float = attrs.field(default=86_400.0, validator=attrs.validators.ge(0))
    backoff_s: float = attrs.field(default=30.0, validator=attrs.validators.gt(0))
    max_backoff_s: float = attrs.field(default=900.0, validator=attrs.validators.gt(0))

    @quotas.validator
    def _check_quotas(self, _attribute: object, quotas: tuple[Quota, ...]) -> None:
        if len({one.span for one in quotas}) < len(quotas):
            raise ValueError("quotas: must be one for each span")


@attrs.frozen(kw_only=True)
class Limiter:
    """The limiter's state; moments and durations in nanoseconds of the monotonic clock.

    Attributes:
        tat_ns: Theoretical arrival time: when the bucket is full again.
        interval_ns: One over the rate in force.
        gap_ns: The least gap that the site asked for; the longer one of it and the rules' holds.
        latest_ns: The latest grant that was not taken back, or None.
        blocked_ns: No grant before this moment.
        grants: Grants so far; numbers them.
        in_flight: Grants that have not ended.
        windows: What was used of each of the rules' quotas.
        refusals: Refusals since the last good answer.
    """

    tat_ns: int
    interval_ns: int
    gap_ns: int = 0
    latest_ns: int | None = None
    blocked_ns: int
    grants: int = 0
    in_flight: int = 0
    windows: Windows = ()
    refusals: int = 0


@attrs.frozen(kw_only=True)
class Grant:
    """A permission to send; ends exactly once, by `release` or `take_back`."""

    number: int
    cost: int
    at_ns: int
    previous_ns: int | None
    windows: Windows


@attrs.frozen
class Hold:
    """Not now.

    Attributes:
        reason: What stands against it.
        until: The moment at which it may go; None where no moment is known (`impossible`: never;
            `busy`: at the next release).
    """

    reason: Reason
    until: Monotonic | None


@attrs.frozen
class Penalty:
    """What a refusal cost.

    Attributes:
        left_s: Seconds until the block ends; an older, longer block counts.
        clamped: The site asked for more than the longest wait it can impose.
    """

    left_s: float
    clamped: bool


def fresh(rules: LimiterRules, now: Monotonic) -> Limiter:
    """Return the limiter of a domain that was never asked: bucket full, nothing blocked."""
    now_ns = to_ns(now)
    return Limiter(
        tat_ns=now_ns,
        interval_ns=interval_ns(rules.rate),
        blocked_ns=now_ns,
        windows=quota.windows_of(rules.quotas),
    )


def empty_at(state: Limiter, rules: LimiterRules, at: Monotonic) -> Limiter:
    """Take that the bucket was empty at a moment in the past, for all that is known."""
    tat_ns = to_ns(at) + rules.burst * state.interval_ns
    return attrs.evolve(state, tat_ns=max(state.tat_ns, tat_ns))


def interval_ns(rate: float) -> int:
    """Return the time of one request at a rate in 1/s, rounded up."""
    return to_ns(1 / rate)


def admit(
    state: Limiter, rules: LimiterRules, now: Monotonic, utcnow: dt.datetime, cost: int = 1
) -> tuple[Limiter, Grant | Hold]:
    """Decide about one request.

    Args:
        utcnow: Wall clock, aware UTC; only the quotas' windows read it.
        cost: Requests that this one counts for.

    Returns:
        The new state and a grant, or the state (with windows turned, if they were due) and what
        stands against the request. Asked again at a moment named, with nothing in between, it is
        granted, except that a wall clock set back over a window's end may name one more end.
    """
    if cost > rules.burst:
        return state, Hold(Reason.IMPOSSIBLE, None)
    windows = quota.turn(state.windows, utcnow, rules.zone)
    if windows is not state.windows:
        state = attrs.evolve(state, windows=windows)
    ends_at = quota.exhausted_until(rules.quotas, windows, cost, utcnow, rules.zone)
    if ends_at is not None:
        until = Monotonic(now + (ends_at - utcnow).total_seconds())
        return state, Hold(Reason.QUOTA, until)
    if rules.concurrency is not None and state.in_flight >= rules.concurrency:
        return state, Hold(Reason.BUSY, None)
    now_ns = to_ns(now)
    reason, until_ns = _latest_deadline(state, rules, cost)
    if not is_due(now_ns, until_ns):
        return state, Hold(reason, Monotonic(to_s(until_ns)))
    return _grant(state, now_ns, cost)


def _latest_deadline(state: Limiter, rules: LimiterRules, cost: int) -> tuple[Reason, int]:
    reason, until_ns = Reason.BLOCKED, state.blocked_ns
    rate_ns = state.tat_ns + (cost - rules.burst) * state.interval_ns
    if rate_ns > until_ns + TOLERANCE_NS:
        reason, until_ns = Reason.RATE, rate_ns
    if state.latest_ns is not None:
        gap_ns = state.latest_ns + max(state.gap_ns, to_ns(rules.min_gap_s))
        if gap_ns > until_ns + TOLERANCE_NS:
            reason, until_ns = Reason.MIN_GAP, gap_ns
    return reason, until_ns


def _grant(state: Limiter, now_ns: int, cost: int) -> tuple[Limiter, Grant]:
    grant = Grant(
        number=state.grants + 1,
        cost=cost,
        at_ns=now_ns,
        previous_ns=state.latest_ns,
        windows=state.windows,
    )
    granted = Limiter(
        tat_ns=max(state.tat_ns, now_ns) + cost * state.interval_ns,
        interval_ns=state.interval_ns,
        gap_ns=state.gap_ns,
        latest_ns=now_ns,
        blocked_ns=state.blocked_ns,
        grants=state.grants + 1,
        in_flight=state.in_flight + 1,
        windows=quota.charge(state.windows, cost),
        refusals=state.refusals,
    )
    return granted, grant


def release(state: Limiter, *, late_ns: int = 0, jitter_s: float = 0.0) -> Limiter:
    """End a grant whose request was sent.

    Args:
        late_ns: From the grant to the request's leaving: the site counts from there.
        jitter_s: Lengthens the interval after the latest grant, unless `late_ns` is more.

    Raises:
        ValueError: No grant is in flight.
    """
    if state.in_flight == 0:
        raise ValueError("no grant is in flight")
    return attrs.evolve(
        state,
        in_flight=state.in_flight - 1,
        tat_ns=state.tat_ns + max(late_ns, to_ns(jitter_s)),
        latest_ns=None if state.latest_ns is None else state.latest_ns + late_ns,
    )


def take_back(state: Limiter, rules: LimiterRules, grant: Grant) -> Limiter:
    """End a grant of which no byte was sent: pace, quotas and gap are as if it had not been.

    What a block since then has taken from the bucket stays taken. With several grants in flight
    the gap counts from the grant before the latest, even if that one was taken back as well.

    Raises:
        ValueError: No grant is in flight.
    """
    state = release(state)
    tat_ns = state.tat_ns - grant.cost * state.interval_ns
    if grant.at_ns < state.blocked_ns:
        tat_ns = min(state.tat_ns, max(tat_ns, _floor_ns(state, rules)))
    return attrs.evolve(
        state,
        tat_ns=tat_ns,
        latest_ns=grant.previous_ns if grant.number == state.grants else state.latest_ns,
        windows=quota.refund(state.windows, grant.windows, grant.cost),
    )


def _floor_ns(state: Limiter, rules: LimiterRules) -> int:
    return state.blocked_ns + (rules.burst - 1) * state.interval_ns


def block(state: Limiter, rules: LimiterRules, until: Monotonic) -> Limiter:
    """Let nothing go before that moment; at it one request goes, then one per interval.

    Blocks only grow: an earlier moment changes nothing but the bucket.
    """
    blocked = attrs.evolve(state, blocked_ns=max(state.blocked_ns, to_ns(until)))
    return attrs.evolve(blocked, tat_ns=max(blocked.tat_ns, _floor_ns(blocked, rules)))


def penalise(
    state: Limiter, rules: LimiterRules, now: Monotonic, after_s: float | None
) -> tuple[Limiter, Penalty]:
    """Take a refusal: wait as long as told, or else the own back-off, doubled per refusal.

    Args:
        after_s: Seconds that the site asked for; None or negative where it named no valid time.
    """
    refusals = state.refusals + 1
    if after_s is None or after_s < 0:
        doubled = rules.backoff_s * 2 ** min(refusals - 1, MAX_DOUBLINGS)
        after_s = min(rules.max_backoff_s, doubled)
    until = Monotonic(now + min(after_s, rules.max_block_s))
    blocked = block(attrs.evolve(state, refusals=refusals), rules, until)
    return blocked, Penalty(blocked_s(blocked, now), clamped=after_s > rules.max_block_s)


def hint(
    state: Limiter, rules: LimiterRules, now: Monotonic, remaining: float, reset_s: float
) -> Limiter:
    """Take what the site says is left: nothing left blocks until the reset; else no change."""
    if remaining > 0:
        return state
    return block(state, rules, Monotonic(now + min(reset_s, rules.max_block_s)))


def succeed(state: Limiter) -> Limiter:
    """Take a good answer: it ends a row of refusals."""
    return attrs.evolve(state, refusals=0) if state.refusals else state


def set_rate(state: Limiter, now: Monotonic, rate: float) -> Limiter:
    """Change the rate; the level of the bucket in tokens stays.

    Args:
        rate: Requests per second, above 0.
    """
    changed_ns = interval_ns(rate)
    base_ns = max(to_ns(now), state.blocked_ns)
    ahead_ns = state.tat_ns - base_ns
    tat_ns = state.tat_ns
    if ahead_ns > 0:
        tat_ns = base_ns - (-ahead_ns * changed_ns) // state.interval_ns
    return attrs.evolve(state, tat_ns=tat_ns, interval_ns=changed_ns)


def leave_today(state: Limiter, rules: LimiterRules, left: int) -> Limiter:
    """Take what the site's plan leaves: no more than that is left of the day's quota, if any."""
    windows = quota.leave_at_most(rules.quotas, state.windows, Span.DAY, left)
    return attrs.evolve(state, windows=windows)


def raise_gap(state: Limiter, gap_s: float) -> Limiter:
    """Lengthen the least gap; a smaller value never shortens it."""
    return attrs.evolve(state, gap_ns=max(state.gap_ns, to_ns(gap_s)))


def blocked_s(state: Limiter, now: Monotonic) -> float:
    """Return the seconds until the block ends, 0 where none stands."""
    return to_s(max(0, state.blocked_ns - to_ns(now)))


def rate_of(state: Limiter) -> float:
    """Return the rate in force in 1/s."""
    return SECOND_NS / state.interval_ns


def delay(state: Limiter, late_ns: int) -> Limiter:
    """Let the latest grant count from so much later, when its request may have left."""
    latest_ns = None if state.latest_ns is None else state.latest_ns + late_ns
    return attrs.evolve(state, tat_ns=state.tat_ns + late_ns, latest_ns=latest_ns)


def shift(state: Limiter, by_ns: int) -> Limiter:
    """Return the state with all monotonic moments moved, and nothing in flight.

    `shift(state, -now)` is what a store keeps; `shift(saved, now - elapsed)` lives on from it.
    """
    return attrs.evolve(
        state,
        tat_ns=state.tat_ns + by_ns,
        blocked_ns=state.blocked_ns + by_ns,
        latest_ns=None if state.latest_ns is None else state.latest_ns + by_ns,
        in_flight=0,
    )
