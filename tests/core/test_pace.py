import random

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobping.core import pace
from jobping.core.limiter import Grant
from jobping.core.pace import Cut, Pace, PaceRules

RULES = PaceRules(max_rate=10.0, min_rate=0.01)
SECOND = 10**9
thorough = settings(max_examples=1000, deadline=None, derandomize=True)


def grant(at_s: float, previous_s: float | None) -> Grant:
    previous_ns = None if previous_s is None else round(previous_s * SECOND)
    return Grant(number=1, cost=1, at_ns=round(at_s * SECOND), previous_ns=previous_ns, windows=())


def ok(state: Pace, at_s: float = 1.0, gap_s: float = 0.0, took_s: float = 0.1) -> Pace:
    return pace.on_ok(state, RULES, grant(at_s, at_s - gap_s), round(at_s * SECOND), took_s)[0]


def refusal(state: Pace, refusals: int = 1, at_s: float = 0.0) -> Pace:
    return pace.on_refusal(state, RULES, refusals, round(at_s * SECOND), random.Random(1))


def test_rate_climbs_by_two_percent_to_the_most_allowed_without_a_ceiling() -> None:
    state = ok(pace.fresh(1.0, RULES))
    assert state.rate == pytest.approx(1.02)
    for _ in range(300):
        state = ok(state)
    assert state.rate == 10.0


def test_rate_does_not_grow_while_it_is_not_used() -> None:
    state = pace.fresh(1.0, RULES)
    assert ok(state, at_s=10, gap_s=2.1).rate == 1.0
    assert ok(state, at_s=10, gap_s=2.0).rate > 1.0
    assert pace.on_ok(state, RULES, grant(10, None), 0, 0.1)[0].rate == 1.0


def test_refusals_set_a_ceiling_and_further_ones_in_a_row_lower_it_more() -> None:
    state = refusal(pace.fresh(1.0, RULES))
    assert (state.ceiling, state.rate) == pytest.approx((0.95, 0.855))
    state = refusal(state, refusals=2)
    assert state.ceiling == pytest.approx(0.855 * 0.7)


def test_rate_goes_a_tenth_of_the_way_to_just_below_the_ceiling() -> None:
    state = refusal(pace.fresh(1.0, RULES))
    goal = 0.985 * 0.95
    assert ok(state).rate == pytest.approx(0.855 + (goal - 0.855) / 10)
    for _ in range(200):
        state = ok(state)
    assert state.rate == pytest.approx(goal)


def test_try_that_holds_raises_the_ceiling_and_the_next_step_is_twice_as_big() -> None:
    state = refusal(pace.fresh(1.0, RULES))
    state = ok(state, at_s=120)
    assert state.rate == pytest.approx(1.02 * 0.95)
    for number in range(10):
        assert state.ceiling == 0.95
        state = ok(state, at_s=121 + number)
    assert state.ceiling == pytest.approx(1.02 * 0.95 / 0.985)
    assert state.under_try is not None
    assert state.under_try.step == 0.04


def test_try_lasts_ten_answers_and_ten_seconds() -> None:
    state = ok(refusal(pace.fresh(1.0, RULES)), at_s=120)
    for _ in range(30):
        state = ok(state, at_s=129.9)
    assert state.ceiling == 0.95
    assert ok(state, at_s=130).ceiling > 0.95


def test_refused_try_keeps_the_ceiling_and_makes_the_next_one_later() -> None:
    state = refusal(ok(refusal(pace.fresh(1.0, RULES)), at_s=120), at_s=121)
    assert (state.ceiling, state.rate, state.try_every_s) == pytest.approx((0.95, 0.855, 240))
    assert 121 + 192 <= state.try_ns / SECOND <= 121 + 240
    for _ in range(9):
        state = attrs.evolve(state, under_try=pace.Try(0.02, 0))
        state = refusal(state)
    assert state.try_every_s == 900


def test_bare_refusals_wait_a_little_once_a_ceiling_is_known() -> None:
    state = pace.fresh(1.0, RULES)
    assert pace.bare_wait_s(state, 1) is None
    known = refusal(state)
    waits = [pace.bare_wait_s(known, number) for number in range(1, 7)]
    assert waits == [4, 8, 16, 32, None, None]


def test_answers_that_become_slow_lower_the_rate_once_for_each_twenty() -> None:
    state = pace.fresh(10.0, RULES)
    for _ in range(600):
        state = ok(state, took_s=0.6)
    cuts = []
    for _ in range(40):
        state, cut = pace.on_ok(state, RULES, grant(1, None), SECOND, 3.0)
        cuts.append(cut)
    assert cuts.count(Cut.SLOW) == 2
    assert state.rate == pytest.approx(10 * 0.8**2)


def test_short_answers_are_never_slow() -> None:
    state = pace.fresh(10.0, RULES)
    for took_s in [0.01] * 600 + [0.9] * 40:
        state = ok(state, took_s=took_s)
    assert state.rate == 10.0


def test_rate_is_halved_when_a_breaker_closes() -> None:
    assert pace.on_closing(pace.fresh(2.0, RULES), RULES).rate == 1.0


def test_stored_pace_follows_a_changed_setting_but_keeps_what_it_learned() -> None:
    wider = attrs.evolve(RULES, max_rate=20.0)
    assert pace.rebound(pace.fresh(10.0, RULES), wider, 10.0).rate == 20.0
    known = refusal(pace.fresh(10.0, RULES))
    assert pace.rebound(known, wider, 10.0) == known
    assert pace.rebound(known, attrs.evolve(RULES, max_rate=1.0), 10.0).rate == 1.0
    slowed = attrs.evolve(pace.fresh(10.0, RULES), rate=0.5)
    assert pace.rebound(slowed, attrs.evolve(RULES, max_rate=1.0), 10.0) == slowed


def test_bounds_that_cross_are_refused() -> None:
    with pytest.raises(ValueError, match="at most max_rate"):
        PaceRules(max_rate=1.0, min_rate=2.0)


steps = st.lists(
    st.tuples(
        st.sampled_from(["ok", "slow", "refused", "closed", "restart"]),
        st.sampled_from([0.0, 0.05, 1.0, 130.0, 1000.0]),
    ),
    max_size=80,
)


@thorough
@given(st.floats(min_value=0.001, max_value=100), steps, st.integers(0, 9))
def test_rate_stays_within_its_bounds_and_no_refusal_raises_it(
    rate: float, events: list[tuple[str, float]], seed: int
) -> None:
    state, now, previous, refusals = pace.fresh(rate, RULES), 0.0, None, 0
    rng = random.Random(seed)
    for event, gap_s in events:
        now, before = now + gap_s, state
        now_ns = round(now * SECOND)
        match event:
            case "ok" | "slow":
                took_s = 30.0 if event == "slow" else 0.1
                state, _ = pace.on_ok(state, RULES, grant(now, previous), now_ns, took_s)
                previous, refusals = now, 0
            case "refused":
                refusals += 1
                state = pace.on_refusal(state, RULES, refusals, now_ns, rng)
                assert state.rate <= before.rate
                assert state.ceiling is not None
                assert state.ceiling <= (before.ceiling or before.rate)
            case "closed":
                state = pace.on_closing(state, RULES)
            case _:
                saved = pace.shift(state, -now_ns)
                state = pace.shift(pace.rebound(saved, RULES, RULES.max_rate), now_ns)
                assert state.rate <= before.rate
        assert RULES.min_rate <= state.rate <= RULES.max_rate
        assert 120 <= state.try_every_s <= 900
        share = 0.3 if state.ceiling is None else 0.01
        assert 0 <= pace.jitter_s(state, RULES, rng) <= share / state.rate
        assert len(state.latency.recent) < 20
