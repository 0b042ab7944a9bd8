"""Which rate the limiter runs at: find the site's limit from its refusals, and remember it.

Pure; jitter comes from a passed-in random.Random. Without a ceiling the rate climbs to the most
allowed. A refusal sets a ceiling just below the rate that was refused; from then on only tries go
above it, in steps that double while they hold.

Source:
    Our choice, by simulation (tests/core/test_politeness.py). No growth while unused:
    Netflix/concurrency-limits `AIMDLimit`. Latency against its long average: its `Gradient2`.
"""

import enum
import random
from typing import Final

import attrs

from jobping.core.limiter import Grant
from jobping.core.nanos import SECOND_NS, is_due, to_ns

GROWTH: Final = 1.02
FIRST_CUT: Final = 0.95
FURTHER_CUT: Final = 0.7
AFTER_REFUSAL: Final = 0.9
BELOW_CEILING: Final = 0.985
"""Share of the ceiling that the rate approaches, a tenth of the way with each good answer."""
APPROACH: Final = 0.1
FIRST_STEP: Final = 0.02
LAST_STEP: Final = 0.32
TRY_ANSWERS: Final = 10
TRY_S: Final = 10.0
TRY_EVERY_S: Final = 120.0
LONGEST_TRY_EVERY_S: Final = 900.0
TRY_JITTER: Final = 0.2
"""Tries come up to this share earlier; later ones would find a doubled limit too late."""
UNUSED_INTERVALS: Final = 2
LATENCIES: Final = 20
LONG_LATENCIES: Final = 600
SLOW_TIMES: Final = 2.0
SLOW_S: Final = 1.0
SLOW_CUT: Final = 0.8
AFTER_CLOSING: Final = 0.5
BARE_WAITS: Final = 4
BARE_WAIT_S: Final = 4.0


class Cut(enum.StrEnum):
    """Why the rate was lowered."""

    REFUSED = "refused"
    SLOW = "slow"
    RECOVERY = "recovery"


@attrs.frozen(kw_only=True)
class PaceRules:
    """Within which bounds the rate moves.

    Attributes:
        max_rate: Most requests per second: we look for a site's limit only below it.
        min_rate: Fewest requests per second.
        jitter: Intervals are lengthened by up to this share of themselves.
        jitter_below_ceiling: The same where a ceiling is known, since jitter costs goodput.

    Raises:
        ValueError: A number is out of range.
    """

    max_rate: float = attrs.field(validator=attrs.validators.gt(0))
    min_rate: float = attrs.field(validator=attrs.validators.gt(0))
    jitter: float = attrs.field(default=0.3, validator=attrs.validators.ge(0))
    jitter_below_ceiling: float = attrs.field(default=0.01, validator=attrs.validators.ge(0))

    @min_rate.validator
    def _check_min_rate(self, _attribute: object, value: float) -> None:
        if value > self.max_rate:
            raise ValueError(f"min_rate {value}: must be at most max_rate {self.max_rate}")


@attrs.frozen
class Try:
    """A rate above the ceiling, on trial.

    Attributes:
        step: By which share it is above.
        answers: Good answers so far.
    """

    step: float
    since_ns: int
    answers: int = 0


@attrs.frozen
class Latency:
    """How long good answers take.

    Attributes:
        recent: Durations since the last comparison, in seconds.
        average_s: The long average.
        count: Answers in the long average.
    """

    recent: tuple[float, ...] = ()
    average_s: float = 0.0
    count: int = 0


@attrs.frozen(kw_only=True)
class Pace:
    """The state of a domain's pace; rates in 1/s, moments in nanoseconds of the monotonic clock.

    Attributes:
        rate: In force.
        ceiling: The site's limit as far as we know it; None: it never refused.
        under_try: The try that is under way, or None.
        try_ns: No try begins before.
        try_every_s: From a refusal to the next try.
    """

    rate: float
    ceiling: float | None = None
    under_try: Try | None = None
    try_ns: int = 0
    try_every_s: float = TRY_EVERY_S
    latency: Latency = Latency()


def fresh(rate: float, rules: PaceRules) -> Pace:
    """Return the pace of a domain that was never asked."""
    return Pace(rate=_within(rate, rules))


def on_ok(
    state: Pace, rules: PaceRules, grant: Grant, now_ns: int, duration_s: float
) -> tuple[Pace, Cut | None]:
    """Take a good answer.

    Returns:
        The new state; and why the rate was lowered, where the answers have become slow.
    """
    latency, is_slow = _on_latency(state.latency, duration_s)
    state = attrs.evolve(state, latency=latency)
    if is_slow:
        rate = _within(state.rate * SLOW_CUT, rules)
        return attrs.evolve(state, rate=rate, under_try=None), Cut.SLOW
    if not _is_used(state, grant):
        return state, None
    if state.ceiling is None:
        rate = _within(state.rate * GROWTH, rules)
        return state if rate == state.rate else attrs.evolve(state, rate=rate), None
    if state.under_try is not None:
        return _go_on(state, state.under_try, state.ceiling, rules, now_ns), None
    goal = _within(BELOW_CEILING * state.ceiling, rules)
    if goal < rules.max_rate and is_due(now_ns, state.try_ns):
        return _step(state, state.ceiling, FIRST_STEP, rules, now_ns), None
    return attrs.evolve(state, rate=state.rate + (goal - state.rate) * APPROACH), None


def _is_used(state: Pace, grant: Grant) -> bool:
    """Say whether requests follow each other so closely that the rate is what holds them back."""
    if grant.previous_ns is None:
        return False
    return grant.at_ns - grant.previous_ns <= UNUSED_INTERVALS * SECOND_NS / state.rate


def _step(state: Pace, ceiling: float, step: float, rules: PaceRules, now_ns: int) -> Pace:
    rate = _within(ceiling * (1 + step), rules)
    return attrs.evolve(state, rate=rate, ceiling=ceiling, under_try=Try(step, now_ns))


def _go_on(state: Pace, under_try: Try, ceiling: float, rules: PaceRules, now_ns: int) -> Pace:
    answers = under_try.answers + 1
    held = is_due(now_ns, under_try.since_ns + to_ns(TRY_S))
    if answers < TRY_ANSWERS or not held:
        return attrs.evolve(state, under_try=attrs.evolve(under_try, answers=answers))
    raised = attrs.evolve(state, try_every_s=TRY_EVERY_S)
    ceiling = max(ceiling, state.rate / BELOW_CEILING)
    if state.rate >= rules.max_rate:
        return attrs.evolve(raised, ceiling=ceiling, under_try=None)
    return _step(raised, ceiling, min(LAST_STEP, 2 * under_try.step), rules, now_ns)


def _on_latency(latency: Latency, duration_s: float) -> tuple[Latency, bool]:
    """Say whether the latest answers, once for each so many, are slow beside the long average."""
    count = min(latency.count + 1, LONG_LATENCIES)
    average_s = latency.average_s + (duration_s - latency.average_s) / count
    recent = (*latency.recent, duration_s)
    if len(recent) < LATENCIES:
        return Latency(recent, average_s, count), False
    is_slow = sorted(recent)[LATENCIES // 2] > max(SLOW_TIMES * average_s, SLOW_S)
    return Latency((), average_s, count), is_slow


def on_refusal(
    state: Pace, rules: PaceRules, refusals: int, now_ns: int, rng: random.Random
) -> Pace:
    """Take a refusal: never a higher rate after it.

    Args:
        refusals: Refusals in a row, this one included.
    """
    ceiling, every_s = state.ceiling, state.try_every_s
    if state.under_try is not None and ceiling is not None:
        every_s = min(LONGEST_TRY_EVERY_S, 2 * every_s)
    else:
        refused = state.rate if ceiling is None else min(ceiling, state.rate)
        ceiling = max(rules.min_rate, refused * (FIRST_CUT if refusals <= 1 else FURTHER_CUT))
    return attrs.evolve(
        state,
        rate=min(state.rate, _within(AFTER_REFUSAL * ceiling, rules)),
        ceiling=ceiling,
        under_try=None,
        try_ns=now_ns + to_ns(every_s * (1 - rng.uniform(0, TRY_JITTER))),
        try_every_s=every_s,
    )


def on_closing(state: Pace, rules: PaceRules) -> Pace:
    """Go on at half the rate after the breaker has closed, so that no rush follows an outage."""
    return attrs.evolve(state, rate=_within(state.rate * AFTER_CLOSING, rules), under_try=None)


def bare_wait_s(state: Pace, refusals: int) -> float | None:
    """Return the wait after a refusal that names none; None: the limiter's own back-off.

    Args:
        refusals: Refusals in a row, this one included.
    """
    if state.ceiling is None or refusals > BARE_WAITS:
        return None
    return BARE_WAIT_S * 2.0 ** (refusals - 1)


def jitter_s(state: Pace, rules: PaceRules, rng: random.Random) -> float:
    """Return by how much the next interval is lengthened."""
    share = rules.jitter if state.ceiling is None else rules.jitter_below_ceiling
    return rng.uniform(0, share) / state.rate


def rebound(state: Pace, rules: PaceRules, was_max_rate: float) -> Pace:
    """Return a stored pace within rules that may have changed since.

    Args:
        was_max_rate: The most allowed when it was stored.
    """
    if state.ceiling is None and rules.max_rate > was_max_rate:
        return attrs.evolve(state, rate=rules.max_rate)
    return attrs.evolve(state, rate=_within(state.rate, rules))


def shift(state: Pace, by_ns: int) -> Pace:
    """Return the pace with its moments moved; no try is under way."""
    rate = state.rate
    if state.under_try is not None and state.ceiling is not None:
        rate = min(rate, BELOW_CEILING * state.ceiling)
    return attrs.evolve(state, rate=rate, under_try=None, try_ns=state.try_ns + by_ns)


def _within(rate: float, rules: PaceRules) -> float:
    return min(max(rate, rules.min_rate), rules.max_rate)
