"""One domain's decision: limiter, pace, breaker and retry budget put together.

A request goes only if limiter and breaker both let it go, and only then are both new states kept:
no probe of a half-open breaker is out while the limiter says wait. The values stand in
`gate_state`, their form in a row in `gate_text`.
"""

import datetime as dt
import math
import random

import attrs

from jobping.core import breaker, limiter, pace, quota, retry
from jobping.core.breaker import Breaker, Phase
from jobping.core.gate_state import (
    Admit,
    Blocked,
    Closed,
    Disabled,
    Exhausted,
    GateRules,
    GateState,
    GateView,
    HalfOpened,
    Held,
    Opened,
    PaceCut,
    PaceRaised,
    Permit,
    QuotaView,
    Refuse,
    Throttled,
    Transition,
    Transitions,
    Wait,
)
from jobping.core.ids import Monotonic
from jobping.core.limiter import Limiter, LimiterRules, Reason
from jobping.core.nanos import to_ns, to_s
from jobping.core.outcome import Failed, Limited, Ok, Outcome
from jobping.core.pace import Cut, Pace
from jobping.core.retry import Attempted, NoRetry
from jobping.core.throttle import NO_HINTS, Hints


def fresh(rules: GateRules, now: Monotonic) -> GateState:
    """Return the gate of a domain that was never asked."""
    return GateState(
        limiter.fresh(rules.limiter, now),
        breaker.fresh(now),
        pace.fresh(rules.limiter.rate, rules.pace),
        retry.fresh(rules.retry),
    )


def admit(
    state: GateState, rules: GateRules, now: Monotonic, utcnow: dt.datetime
) -> tuple[GateState, Admit | Wait | Refuse]:
    """Decide about one request.

    Args:
        utcnow: Wall clock, aware UTC, for the quotas only.

    Returns:
        The state to keep, and the decision with the transitions that it made.
    """
    judged, permit = breaker.admit(state.breaker, rules.breaker, now)
    if isinstance(permit, breaker.Denial):
        changes = _changes(state.breaker, judged, now)
        return _with(state, judged=judged), _denied(permit, changes)
    paced, grant = limiter.admit(state.limiter, rules.limiter, now, utcnow)
    if isinstance(grant, limiter.Hold):
        judged = breaker.look(state.breaker, rules.breaker, now)
        changes = _changes(state.breaker, judged, now)
        return _with(state, judged=judged, paced=paced), _held(grant, changes)
    changes = _changes(state.breaker, judged, now) + _exhausted(paced, rules.limiter, utcnow)
    return _with(state, judged=judged, paced=paced), Admit(Permit(grant, permit), changes)


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
    return _with(state, paced=held), Admit(permit, changes)


def _with(
    state: GateState, *, judged: Breaker | None = None, paced: Limiter | None = None
) -> GateState:
    return GateState(
        paced or state.limiter,
        judged or state.breaker,
        state.pace,
        state.budget,
        state.succeeded,
    )


def _denied(denial: breaker.Denial, changes: Transitions) -> Wait | Refuse:
    if denial.until is not None:
        return Wait(denial.until, Reason.BREAKER, changes)
    return Refuse(Reason.BREAKER if denial.held else Reason.BUSY, changes)


def _held(hold: limiter.Hold, changes: Transitions) -> Wait | Refuse:
    if hold.until is None:
        return Refuse(hold.reason, changes)
    return Wait(hold.until, hold.reason, changes)


def _exhausted(state: Limiter, rules: LimiterRules, utcnow: dt.datetime) -> Transitions:
    return tuple(
        Exhausted(
            span=one.span,
            until_s=(quota.end_of(one.span, utcnow, rules.zone) - utcnow).total_seconds(),
        )
        for one, window in zip(rules.quotas, state.windows, strict=True)
        if window.used == one.most
    )


def _changes(before: Breaker, after: Breaker, now: Monotonic) -> Transitions:
    if after.generation == before.generation:
        return ()
    changes: list[Transition] = []
    if after.opened > before.opened:
        until_s = breaker.retry_in_s(after, now)
        changes.append(Opened(failures=after.failures, until_s=until_s, cause=after.cause))
    match after.phase:
        case Phase.HALF_OPEN:
            changes.append(HalfOpened())
        case Phase.CLOSED:
            changes.append(Closed())
        case Phase.FORCED_OPEN:
            changes.append(Held())
        case Phase.DISABLED:
            changes.append(Disabled())
        case Phase.OPEN:
            pass
    return tuple(changes)


def record(
    state: GateState,
    rules: GateRules,
    permit: Permit,
    outcome: Outcome,
    now: Monotonic,
    rng: random.Random,
    *,
    hints: Hints = NO_HINTS,
    attempt: int = 1,
    sent_at: Monotonic | None = None,
) -> tuple[GateState, Transitions]:
    """End a permit whose request was sent, and learn from its outcome.

    Args:
        hints: What the answer says of the site's limits.
        attempt: Which attempt of the request this was; a first one earns budget for retries.
        sent_at: When it left, from which the next one's pace counts; None: when it was granted.

    Returns:
        The state to keep and the transitions, in the order in which they happened.

    Raises:
        ValueError: No permit is out.
    """
    bounded = _bounded(outcome, rules.limiter)
    judged = breaker.record(state.breaker, rules.breaker, permit.breaker, bounded, now, rng)
    paced, throttled = _limit(state.limiter, rules, outcome, hints, state.pace, now)
    learned, moved = _learn(state.pace, rules, permit, outcome, paced.refusals, now, rng)
    changes = _changes(state.breaker, judged, now)
    if Closed() in changes:
        learned = pace.on_closing(learned, rules.pace)
        moved += (PaceCut(rate=learned.rate, ceiling=learned.ceiling, cause=Cut.RECOVERY),)
    if learned.rate != state.pace.rate:
        paced = limiter.set_rate(paced, now, learned.rate)
    jitter_s = 0.0
    if permit.grant.cost:  # a spared request must not delay the next one by more than it may
        jitter_s = pace.jitter_s(learned, rules.pace, rng)
    late_ns = 0 if sent_at is None else max(0, to_ns(sent_at) - permit.grant.at_ns)
    paced = limiter.release(paced, late_ns=late_ns, jitter_s=jitter_s)
    budget = retry.earn(state.budget, rules.retry) if attempt == 1 else state.budget
    succeeded = state.succeeded or isinstance(outcome, Ok)
    return GateState(paced, judged, learned, budget, succeeded), throttled + moved + changes


def _bounded(outcome: Outcome, rules: LimiterRules) -> Outcome:
    """Open the breaker for as long as the limiter blocks, not for a wait beyond any maximum."""
    if isinstance(outcome, Failed) and outcome.open_for_s is not None:
        return attrs.evolve(outcome, open_for_s=min(outcome.open_for_s, rules.max_block_s))
    return outcome


def _limit(
    state: Limiter, rules: GateRules, outcome: Outcome, hints: Hints, known: Pace, now: Monotonic
) -> tuple[Limiter, Transitions]:
    """Let the limiter take an outcome and what came with it; Retry-After goes before hints."""
    if hints.plan_left is not None:
        state = limiter.leave_today(state, rules.limiter, hints.plan_left)
    match outcome:
        case Limited(after_s) | Failed(open_for_s=float() | int() as after_s):
            after_s = hints.exhausted_s if after_s is None else after_s
            if after_s is None:
                after_s = pace.bare_wait_s(known, state.refusals + 1)
            state, penalty = limiter.penalise(state, rules.limiter, now, after_s)
            throttled = Throttled(
                retry_after_s=penalty.left_s, clamped=penalty.clamped, refusals=state.refusals
            )
            return state, (throttled,)
        case Ok():
            state = limiter.succeed(state)
        case _:
            pass
    before = state
    for window in hints.windows:
        state = limiter.hint(state, rules.limiter, now, window.remaining, window.reset_s)
    if state.blocked_ns <= max(before.blocked_ns, to_ns(now)):
        return state, ()
    return state, (Blocked(until_s=limiter.blocked_s(state, now)),)


def _learn(
    state: Pace,
    rules: GateRules,
    permit: Permit,
    outcome: Outcome,
    refusals: int,
    now: Monotonic,
    rng: random.Random,
) -> tuple[Pace, Transitions]:
    match outcome:
        case Ok(duration_s):
            after, cut = pace.on_ok(state, rules.pace, permit.grant, to_ns(now), duration_s)
        case Limited() | Failed(open_for_s=float() | int()):
            after = pace.on_refusal(state, rules.pace, refusals, to_ns(now), rng)
            cut = Cut.REFUSED
        case _:
            return state, ()
    if cut is not None:
        return after, (PaceCut(rate=after.rate, ceiling=after.ceiling, cause=cut),)
    if after.ceiling is not None and after.ceiling != state.ceiling:
        return after, (PaceRaised(rate=after.rate, ceiling=after.ceiling),)
    return after, ()


def take_back(state: GateState, rules: GateRules, permit: Permit) -> GateState:
    """End a permit of which no byte was sent, as if it had not been given.

    Raises:
        ValueError: No permit is out.
    """
    return _with(
        state,
        paced=limiter.take_back(state.limiter, rules.limiter, permit.grant),
        judged=breaker.give_back(state.breaker, permit.breaker),
    )


def may_retry(
    state: GateState, rules: GateRules, attempted: Attempted, rng: random.Random, now: Monotonic
) -> tuple[GateState, float | NoRetry]:
    """Decide whether a request that failed, and was recorded, is sent again.

    Returns:
        The state to keep, and the delay in seconds or why not.
    """
    judged = breaker.look(state.breaker, rules.breaker, now)
    is_open = judged.phase in (Phase.OPEN, Phase.FORCED_OPEN)
    budget, answer = retry.may_retry(state.budget, rules.retry, attempted, rng, is_open=is_open)
    return attrs.evolve(state, budget=budget), answer


def spread_until(
    state: GateState, rules: GateRules, now: Monotonic, utcnow: dt.datetime, requests: int
) -> Monotonic:
    """Return when the next poll may begin so that every quota lasts to the end of its window.

    Args:
        requests: Those of the last poll.
    """
    if state.limiter.latest_ns is None:
        return Monotonic(-math.inf)
    latest = to_s(state.limiter.latest_ns)
    since = utcnow - dt.timedelta(seconds=max(0.0, now - latest))
    windows = state.limiter.windows
    return Monotonic(latest + quota.spread_s(rules.limiter.quotas, windows, since, requests))


def raise_gap(state: GateState, gap_s: float) -> GateState:
    """Lengthen the least gap between requests, as robots.txt asks; nothing shortens it."""
    return _with(state, paced=limiter.raise_gap(state.limiter, gap_s))


def hold(state: GateState, now: Monotonic) -> tuple[GateState, Transitions]:
    """Let nothing go until `release` or `reset`: the operator's word."""
    return _turned(state, breaker.force_open(state.breaker, now), now)


def release(state: GateState, rules: GateRules, now: Monotonic) -> tuple[GateState, Transitions]:
    """End `hold`; a breaker in any other state stays as it is."""
    if state.breaker.phase is not Phase.FORCED_OPEN:
        return state, ()
    return _begin_anew(state, rules, now)


def switch(state: GateState, rules: GateRules, now: Monotonic) -> tuple[GateState, Transitions]:
    """Switch the breaker off or on again, as the rules say now; one held open stays so."""
    is_on = state.breaker.phase is not Phase.DISABLED
    if is_on is rules.is_breaker_on or state.breaker.phase is Phase.FORCED_OPEN:
        return state, ()
    return _begin_anew(state, rules, now)


def _begin_anew(
    state: GateState, rules: GateRules, now: Monotonic
) -> tuple[GateState, Transitions]:
    anew = breaker.reset if rules.is_breaker_on else breaker.disable
    return _turned(state, anew(state.breaker, now), now)


def probe_now(state: GateState, now: Monotonic) -> tuple[GateState, Transitions]:
    """Let an open breaker's probe go now; blocks, quotas and the pace hold all the same."""
    return _turned(state, breaker.expire(state.breaker, now), now)


def reset(state: GateState, rules: GateRules, now: Monotonic) -> tuple[GateState, Transitions]:
    """Close the breaker and forget what was learned of the pace.

    What the site told us stays: blocks and quotas.
    """
    learned = pace.fresh(rules.limiter.rate, rules.pace)
    paced = limiter.set_rate(limiter.succeed(state.limiter), now, learned.rate)
    return _begin_anew(attrs.evolve(state, limiter=paced, pace=learned), rules, now)


def _turned(state: GateState, judged: Breaker, now: Monotonic) -> tuple[GateState, Transitions]:
    return _with(state, judged=judged), _changes(state.breaker, judged, now)


def view(state: GateState, rules: GateRules, now: Monotonic, utcnow: dt.datetime) -> GateView:
    """Return the gate's figures for logs and people."""
    judged = breaker.look(state.breaker, rules.breaker, now)
    windows = quota.turn(state.limiter.windows, utcnow, rules.limiter.zone)
    waits_for, wait_s = _next(admit(state, rules, now, utcnow)[1], now)
    return GateView(
        breaker=judged.phase,
        breaker_cause=judged.cause,
        retry_in_s=breaker.retry_in_s(judged, now),
        blocked_s=limiter.blocked_s(state.limiter, now),
        rate=limiter.rate_of(state.limiter),
        ceiling=state.pace.ceiling,
        grants=state.limiter.grants,
        in_flight=state.limiter.in_flight,
        quotas=tuple(
            QuotaView(one.span, window.used, one.most)
            for one, window in zip(rules.limiter.quotas, windows, strict=True)
        ),
        refusals=state.limiter.refusals,
        opened=judged.opened,
        rejected=judged.rejected,
        retries=state.budget.retries,
        retry_budget=state.budget.left_m / retry.TOKEN_M,
        waits_for=waits_for,
        wait_s=wait_s,
    )


def _next(decision: Admit | Wait | Refuse, now: Monotonic) -> tuple[Reason | None, float | None]:
    match decision:
        case Admit():
            return None, 0.0
        case Wait(until, reason):
            return reason, until - now
        case Refuse(reason):
            return reason, None
