import datetime as dt
import itertools
import zoneinfo

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from jobping.core import limiter
from jobping.core.ids import Monotonic
from jobping.core.limiter import Grant, Hold, Limiter, LimiterRules, Reason
from jobping.core.quota import Quota, Span, end_of

NOON = dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC)
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


def at(seconds: float) -> Monotonic:
    return Monotonic(float(seconds))


def granted(
    state: Limiter, rules: LimiterRules, now: float, utcnow: dt.datetime = NOON, cost: int = 1
) -> tuple[Limiter, Grant]:
    state, answer = limiter.admit(state, rules, at(now), utcnow, cost)
    assert isinstance(answer, Grant), answer
    return state, answer


def held(
    state: Limiter, rules: LimiterRules, now: float, utcnow: dt.datetime = NOON, cost: int = 1
) -> Hold:
    _, answer = limiter.admit(state, rules, at(now), utcnow, cost)
    assert isinstance(answer, Hold), answer
    return answer


def test_a_fresh_bucket_gives_its_burst_and_then_one_per_interval() -> None:
    rules = LimiterRules(rate=0.5, burst=3)
    state = limiter.fresh(rules, at(100))
    for _ in range(3):
        state, _ = granted(state, rules, 100)
    assert held(state, rules, 100) == Hold(Reason.RATE, at(102))
    state, _ = granted(state, rules, 102)
    assert held(state, rules, 102) == Hold(Reason.RATE, at(104))


def test_a_cost_above_the_burst_is_impossible_at_once() -> None:
    rules = LimiterRules(rate=1, burst=2, quotas=(Quota(Span.DAY, 0),))
    assert held(limiter.fresh(rules, at(0)), rules, 0, cost=3) == Hold(Reason.IMPOSSIBLE, None)


def test_the_quota_answers_before_the_concurrency_and_that_before_any_wait() -> None:
    rules = LimiterRules(rate=1, concurrency=1, quotas=(Quota(Span.DAY, 1),))
    state, _ = granted(limiter.fresh(rules, at(0)), rules, 0)
    midnight = 12 * 3600
    assert held(state, rules, 0) == Hold(Reason.QUOTA, at(midnight))
    unlimited = attrs.evolve(rules, quotas=())
    state = attrs.evolve(state, windows=())
    assert held(state, unlimited, 0) == Hold(Reason.BUSY, None)
    assert held(limiter.release(state), unlimited, 0) == Hold(Reason.RATE, at(1))


def test_the_latest_of_block_rate_and_gap_answers_and_the_upper_row_at_equal_moments() -> None:
    rules = LimiterRules(rate=0.1, min_gap_s=10)
    state, _ = granted(limiter.fresh(rules, at(0)), rules, 0)
    assert held(state, rules, 0) == Hold(Reason.RATE, at(10))
    assert held(state, attrs.evolve(rules, min_gap_s=11), 0) == Hold(Reason.MIN_GAP, at(11))
    blocked = limiter.block(state, rules, at(10))
    assert held(blocked, rules, 0) == Hold(Reason.BLOCKED, at(10))


def test_the_day_ends_at_local_midnight_on_days_of_23_and_25_hours() -> None:
    rules = LimiterRules(rate=1, quotas=(Quota(Span.DAY, 0),), zone=BERLIN)
    state = limiter.fresh(rules, at(0))
    spring = dt.datetime(2026, 3, 29, 0, 0, tzinfo=BERLIN)
    autumn = dt.datetime(2026, 10, 25, 0, 0, tzinfo=BERLIN)
    assert held(state, rules, 0, spring.astimezone(dt.UTC)).until == 23 * 3600
    assert held(state, rules, 0, autumn.astimezone(dt.UTC)).until == 25 * 3600


def test_the_quota_is_counted_anew_at_midnight_and_not_when_the_clock_goes_back() -> None:
    rules = LimiterRules(rate=1, quotas=(Quota(Span.DAY, 1),))
    state, _ = granted(limiter.fresh(rules, at(0)), rules, 0)
    state = limiter.release(state)
    yesterday = NOON - dt.timedelta(days=1)
    assert held(state, rules, 10, yesterday).reason is Reason.QUOTA
    midnight = dt.datetime(2026, 3, 11, tzinfo=dt.UTC)
    assert held(state, rules, 10, midnight - dt.timedelta(seconds=1)).until == 11
    granted(state, rules, 11, midnight)


def test_a_block_gives_exactly_one_request_at_its_end_and_then_the_pace() -> None:
    rules = LimiterRules(rate=1, burst=5)
    state = limiter.block(limiter.fresh(rules, at(0)), rules, at(60))
    assert held(state, rules, 59.999) == Hold(Reason.BLOCKED, at(60))
    state, _ = granted(state, rules, 60)
    assert held(state, rules, 60) == Hold(Reason.RATE, at(61))


def test_own_back_off_doubles_up_to_its_maximum_for_any_number_of_refusals() -> None:
    rules = LimiterRules(rate=1)
    state = limiter.fresh(rules, at(0))
    waits = []
    now = 0.0
    for _ in range(9):
        state, penalty = limiter.penalise(state, rules, at(now), None)
        waits.append(penalty.left_s)
        now += penalty.left_s
    assert waits == [30, 60, 120, 240, 480, 900, 900, 900, 900]
    far = attrs.evolve(state, refusals=10**6)
    assert limiter.penalise(far, rules, at(now), None)[1].left_s == 900


def test_a_good_answer_ends_the_row_of_refusals() -> None:
    rules = LimiterRules(rate=1)
    state, _ = limiter.penalise(limiter.fresh(rules, at(0)), rules, at(0), 5)
    state = limiter.succeed(state)
    assert limiter.penalise(state, rules, at(100), None)[1].left_s == 30


def test_a_told_wait_is_kept_in_full_and_clamped_only_above_the_maximum() -> None:
    rules = LimiterRules(rate=1, max_block_s=86_400)
    fresh = limiter.fresh(rules, at(0))
    assert limiter.penalise(fresh, rules, at(0), 85_943)[1] == limiter.Penalty(85_943, False)
    assert limiter.penalise(fresh, rules, at(0), 86_400)[1] == limiter.Penalty(86_400, False)
    assert limiter.penalise(fresh, rules, at(0), float("inf"))[1] == limiter.Penalty(86_400, True)


def test_a_wait_of_zero_does_not_block_but_leaves_one_token() -> None:
    rules = LimiterRules(rate=1, burst=5)
    state, penalty = limiter.penalise(limiter.fresh(rules, at(0)), rules, at(0), 0)
    assert penalty.left_s == 0
    state, _ = granted(state, rules, 0)
    assert held(state, rules, 0) == Hold(Reason.RATE, at(1))


def test_an_older_and_longer_block_stays_and_is_what_a_refusal_reports() -> None:
    rules = LimiterRules(rate=1)
    state = limiter.block(limiter.fresh(rules, at(0)), rules, at(500))
    state, penalty = limiter.penalise(state, rules, at(0), 10)
    assert penalty.left_s == 500
    assert limiter.blocked_s(state, at(0)) == 500


def test_a_hint_blocks_only_when_nothing_is_left() -> None:
    rules = LimiterRules(rate=1)
    state = limiter.fresh(rules, at(0))
    assert limiter.hint(state, rules, at(0), 1, 50) == state
    hinted = limiter.hint(state, rules, at(0), 0, 50)
    assert limiter.blocked_s(hinted, at(0)) == 50
    assert hinted.refusals == 0


def test_a_grant_taken_back_leaves_pace_quota_and_gap_as_if_it_had_not_been() -> None:
    rules = LimiterRules(rate=0.1, min_gap_s=20, quotas=(Quota(Span.DAY, 2),), concurrency=1)
    state, _ = granted(limiter.fresh(rules, at(0)), rules, 0)
    before = limiter.release(state)
    state, second = granted(before, rules, 30)
    after = limiter.take_back(state, rules, second)
    assert (after.latest_ns, after.windows, after.in_flight) == (
        before.latest_ns,
        before.windows,
        0,
    )
    granted(after, rules, 30)


def test_a_grant_taken_back_during_a_block_does_not_refill_the_bucket() -> None:
    rules = LimiterRules(rate=1, burst=3)
    state, grant = granted(limiter.fresh(rules, at(0)), rules, 0)
    state = limiter.take_back(limiter.block(state, rules, at(10)), rules, grant)
    state, _ = granted(state, rules, 10)
    assert held(state, rules, 10) == Hold(Reason.RATE, at(11))


def test_a_grant_taken_back_the_next_day_does_not_change_that_days_count() -> None:
    rules = LimiterRules(rate=1, quotas=(Quota(Span.DAY, 5),))
    state, grant = granted(limiter.fresh(rules, at(0)), rules, 0)
    state, _ = granted(state, rules, 50_000, NOON + dt.timedelta(days=1))
    assert limiter.take_back(state, rules, grant).windows[0].used == 1


def test_releasing_more_grants_than_were_given_is_refused() -> None:
    rules = LimiterRules(rate=1)
    with pytest.raises(ValueError, match="no grant is in flight"):
        limiter.release(limiter.fresh(rules, at(0)))


def test_a_slower_rate_does_not_hand_an_empty_bucket_a_new_burst() -> None:
    rules = LimiterRules(rate=10, burst=5)
    state = limiter.fresh(rules, at(0))
    for _ in range(5):
        state, _ = granted(state, rules, 0)
    slower = limiter.set_rate(state, at(0), 0.1)
    assert held(slower, rules, 0) == Hold(Reason.RATE, at(10))


def test_a_gap_can_only_be_raised() -> None:
    rules = LimiterRules(rate=10, min_gap_s=5)
    state = limiter.raise_gap(limiter.raise_gap(limiter.fresh(rules, at(0)), 8), 3)
    state, _ = granted(state, rules, 0)
    assert held(state, rules, 0) == Hold(Reason.MIN_GAP, at(8))


def test_what_is_missing_by_a_microsecond_is_not_missing() -> None:
    rules = LimiterRules(rate=1)
    state, _ = granted(limiter.fresh(rules, at(0)), rules, 0)
    held(state, rules, 0.99999)
    granted(state, rules, 0.9999995)


@pytest.mark.parametrize(
    "wrong", [{"rate": 0}, {"burst": 0}, {"max_block_s": -1}, {"concurrency": 0}]
)
def test_rules_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        LimiterRules(**{"rate": 1, **wrong})


rules_strategy = st.builds(
    LimiterRules,
    rate=st.floats(min_value=0.01, max_value=20),
    burst=st.integers(1, 6),
    min_gap_s=st.sampled_from([0.0, 0.5, 3.0]),
    concurrency=st.none() | st.integers(1, 3),
    quotas=st.lists(
        st.builds(Quota, st.sampled_from(Span), st.integers(1, 30)),
        max_size=3,
        unique_by=lambda quota: quota.span,
    ).map(tuple),
    zone=st.sampled_from([dt.UTC, BERLIN]),
    max_block_s=st.just(600.0),
)


class LimiterMachine(RuleBasedStateMachine):
    """Every order of events keeps the promises of the limiter."""

    @initialize(rules=rules_strategy)
    def begin(self, rules: LimiterRules) -> None:
        self.limits = rules
        self.now = 1000.0
        self.utcnow = NOON
        self.state = limiter.fresh(rules, at(self.now))
        self.given: list[tuple[float, dt.datetime]] = []
        self.open: list[tuple[Grant, tuple[float, dt.datetime]]] = []
        self.taken_back = 0
        self.floor = 0.0

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.4, 3.0, 50.0, 20_000.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.utcnow += dt.timedelta(seconds=seconds)

    @rule(asked=st.integers(1, 8))
    def ask(self, asked: int) -> None:
        for _ in range(asked):
            state, answer = limiter.admit(self.state, self.limits, at(self.now), self.utcnow)
            if isinstance(answer, Hold):
                self.check_hold(state, answer)
                self.state = state
                return
            assert self.now >= self.floor - 2e-6
            self.state = state
            self.open.append((answer, (self.now, self.utcnow)))
            self.given.append((self.now, self.utcnow))

    def check_hold(self, state: Limiter, hold: Hold) -> None:
        assert attrs.evolve(state, windows=()) == attrs.evolve(self.state, windows=())
        if hold.until is None:
            assert hold.reason is Reason.BUSY
            return
        wait = hold.until - self.now
        longest = max(600.0, self.limits.burst / self.limits.rate, self.limits.min_gap_s)
        if hold.reason is Reason.QUOTA:
            longest = 31 * 86_400 + 3600
        assert 0 < wait <= longest + 1e-6
        if hold.reason is not Reason.QUOTA:
            early = limiter.admit(state, self.limits, at(hold.until - 0.001), self.utcnow)[1]
            if wait > 0.002:
                assert isinstance(early, Hold)
        then = self.utcnow + dt.timedelta(seconds=wait)
        late = limiter.admit(state, self.limits, hold.until, then)[1]
        if hold.reason is not Reason.QUOTA:
            assert isinstance(late, Grant) or late.reason in (
                Reason.BUSY,
                Reason.QUOTA,
            )
        elif isinstance(late, Hold):
            assert late.reason is not Reason.QUOTA

    @precondition(lambda self: self.open)
    @rule(sent=st.booleans())
    def end_one(self, sent: bool) -> None:
        grant, when = self.open.pop()
        if sent:
            self.state = limiter.release(self.state)
            return
        self.state = limiter.take_back(self.state, self.limits, grant)
        self.taken_back += 1
        self.given.remove(when)

    @rule(after=st.sampled_from([None, 0.0, 2.0, 1e9]))
    def refuse(self, after: float | None) -> None:
        self.state, penalty = limiter.penalise(self.state, self.limits, at(self.now), after)
        assert penalty.left_s <= 900
        self.floor = max(self.floor, self.now + penalty.left_s)

    @rule()
    def restart(self) -> None:
        saved = limiter.shift(self.state, -round(self.now * 1e9))
        self.now += 7.5
        self.utcnow += dt.timedelta(seconds=7.5)
        self.state = limiter.shift(saved, round((self.now - 7.5) * 1e9))
        self.open.clear()

    @invariant()
    def the_envelope_holds(self) -> None:
        if self.taken_back:
            return
        rules, times = self.limits, [given for given, _ in self.given[-12:]]
        for first, start in enumerate(times):
            for last in range(first, len(times)):
                most = rules.burst + rules.rate * (times[last] - start) + 1e-4
                assert last - first + 1 <= most
        for earlier, later in itertools.pairwise(times):
            assert later - earlier >= rules.min_gap_s - 1e-5

    @invariant()
    def no_window_sees_more_than_its_quota(self) -> None:
        for one in self.limits.quotas:
            ends_at = end_of(one.span, self.utcnow, self.limits.zone)
            ends = [end_of(one.span, when, self.limits.zone) for _, when in self.given[-40:]]
            assert ends.count(ends_at) <= one.most

    @invariant()
    def every_grant_is_in_flight_once(self) -> None:
        assert self.state.in_flight == len(self.open)


TestLimiterMachine = LimiterMachine.TestCase
TestLimiterMachine.settings = settings(
    max_examples=1000, stateful_step_count=15, deadline=None, derandomize=True
)


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(
    rate=st.floats(min_value=0.001, max_value=100),
    steps=st.lists(st.floats(min_value=0.001, max_value=100), max_size=6),
    now=st.floats(min_value=0, max_value=1e7),
)
def test_changing_the_rate_keeps_the_level_in_tokens(
    rate: float, steps: list[float], now: float
) -> None:
    rules = LimiterRules(rate=rate, burst=4)
    state = limiter.fresh(rules, at(now))
    for _ in range(3):
        state, _ = granted(state, rules, now)
    for step in steps:
        state = limiter.set_rate(state, at(now), step)
    ahead = (state.tat_ns - now * 1e9) / state.interval_ns
    assert ahead == pytest.approx(3, abs=0.05)
