"""What a site sees, held against the limiter's promises."""

import datetime as dt

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobping.core import limiter
from jobping.core.envelope import Envelope, Violated, leave
from jobping.core.ids import Monotonic
from jobping.core.limiter import Grant, LimiterRules
from jobping.core.nanos import to_ns

RULES = LimiterRules(rate=0.5, burst=2, min_gap_s=1.0)
UTCNOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
START = limiter.fresh(RULES, Monotonic(0.0))


def seen(*moments: float, cost: int = 1, state: limiter.Limiter = START) -> list[Violated | None]:
    """Return the verdict on each of the requests that left."""
    envelope, found = Envelope(), []
    for moment in moments:
        envelope, violated = leave(
            envelope, RULES, state, Monotonic(moment), rate=RULES.rate, cost=cost
        )
        found.append(violated)
    return found


def test_burst_then_one_per_interval_breaks_nothing() -> None:
    assert seen(10, 11, 12, 14, 16, 30, 31) == [None] * 7


@pytest.mark.parametrize(
    ("moments", "violated"),
    [
        ((10, 10.5), Violated(rule="min_gap", by_s=0.5)),
        ((10, 11, 12, 13), Violated(rule="rate", by_s=1.0)),
    ],
)
def test_request_before_its_time_is_named_with_how_much_too_early(
    moments: tuple[float, ...], violated: Violated
) -> None:
    *before, last = seen(*moments)
    assert before == [None] * len(before)
    assert last == violated


def test_request_within_a_block_breaks_a_promise() -> None:
    blocked = limiter.block(START, RULES, Monotonic(50.0))
    assert seen(49, state=blocked) == [Violated(rule="blocked", by_s=1.0)]
    assert seen(50, state=blocked) == [None]


def test_gap_that_the_site_asked_for_counts_from_then_on() -> None:
    assert seen(10, 14, state=limiter.raise_gap(START, 5.0))[1] == Violated(
        rule="min_gap", by_s=1.0
    )


def test_request_outside_of_the_rate_counts_for_the_gap_alone() -> None:
    assert seen(10, 11, 12, 13, cost=0) == [None] * 4


@settings(max_examples=1_000, derandomize=True)
@given(
    steps=st.lists(
        st.tuples(st.floats(0, 9), st.floats(0, 4), st.sampled_from(["sent", "unsent", "block"])),
        max_size=30,
    ),
    burst=st.integers(1, 4),
)
def test_limiter_that_counts_from_the_leaving_breaks_no_promise(
    steps: list[tuple[float, float, str]], burst: int
) -> None:
    """Requests leave some time after their grant; pauses, blocks and take-backs lie in between."""
    rules = attrs.evolve(RULES, burst=burst, concurrency=1)
    state, envelope, now = limiter.fresh(rules, Monotonic(0.0)), Envelope(), 0.0
    for pause, late, what in steps:
        now += pause
        if what == "block":
            state = limiter.block(state, rules, Monotonic(now + late))
        state, answer = limiter.admit(state, rules, Monotonic(now), UTCNOW)
        if not isinstance(answer, Grant):
            assert answer.until is not None
            now = answer.until
            state, answer = limiter.admit(state, rules, Monotonic(now), UTCNOW)
        assert isinstance(answer, Grant)
        now += late
        if what == "unsent":
            state = limiter.take_back(state, rules, answer)
            continue
        envelope, violated = leave(envelope, rules, state, Monotonic(now), rate=rules.rate, cost=1)
        assert violated is None
        state = limiter.release(state, late_ns=to_ns(now) - answer.at_ns)
