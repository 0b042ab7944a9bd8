import random

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from jobping.core import breaker
from jobping.core.breaker import (
    DAEMON,
    Breaker,
    BreakerRules,
    Denial,
    HalfOpenPolicy,
    Permit,
    Phase,
)
from jobping.core.ids import Monotonic
from jobping.core.outcome import Aside, Failed, Failure, Limited, Neutral, Ok, Outcome

OK = Ok(0.1)
TIMEOUT = Failed(Failure.TIMEOUT, 0.1)
STEADY = attrs.evolve(DAEMON, jitter=0.0)


def at(seconds: float) -> Monotonic:
    return Monotonic(float(seconds))


def permitted(state: Breaker, rules: BreakerRules, now: float) -> tuple[Breaker, Permit]:
    state, answer = breaker.admit(state, rules, at(now))
    assert isinstance(answer, Permit), answer
    return state, answer


def after(state: Breaker, rules: BreakerRules, now: float, *outcomes: Outcome) -> Breaker:
    for outcome in outcomes:
        state, permit = permitted(state, rules, now)
        state = breaker.record(state, rules, permit, outcome, at(now), random.Random(1))
    return state


def opened(rules: BreakerRules, now: float = 0.0) -> Breaker:
    state = after(breaker.fresh(at(now)), rules, now, *[TIMEOUT] * 5)
    assert state.phase is Phase.OPEN
    return state


def test_five_failures_in_a_row_trip_and_four_do_not() -> None:
    state = after(breaker.fresh(at(0)), STEADY, 0, *[TIMEOUT] * 4)
    assert state.phase is Phase.CLOSED
    state = after(state, STEADY, 0, TIMEOUT)
    assert (state.phase, state.cause, state.failures) == (Phase.OPEN, "timeout", 5)
    assert breaker.retry_in_s(state, at(10)) == 20


def test_a_good_answer_ends_the_run_of_failures() -> None:
    outcomes = [*[TIMEOUT] * 4, OK] * 2
    rules = attrs.evolve(STEADY, failure_rate=1.0)
    assert after(breaker.fresh(at(0)), rules, 0, *outcomes).phase is Phase.CLOSED


def test_the_third_broken_page_in_a_row_trips_because_it_weighs_two() -> None:
    broken = Failed(Failure.PARSE, 0.1)
    state = after(breaker.fresh(at(0)), STEADY, 0, broken, broken)
    assert state.phase is Phase.CLOSED
    assert after(state, STEADY, 0, broken).phase is Phase.OPEN


def test_half_the_window_failing_trips_even_when_the_last_result_was_good() -> None:
    outcomes = [TIMEOUT, OK] * 4 + [TIMEOUT]
    state = after(breaker.fresh(at(0)), STEADY, 0, *outcomes)
    assert state.phase is Phase.CLOSED
    state = after(state, STEADY, 0, OK)
    assert (state.phase, state.cause) == (Phase.OPEN, "failure_rate")


def test_slow_answers_trip_by_their_share_and_the_limit_itself_is_not_slow() -> None:
    on_the_limit = after(breaker.fresh(at(0)), STEADY, 0, *[Ok(15.0)] * 12)
    assert on_the_limit.phase is Phase.CLOSED
    state = after(breaker.fresh(at(0)), STEADY, 0, OK, OK, *[Ok(15.1)] * 7)
    assert state.phase is Phase.CLOSED
    state = after(state, STEADY, 0, Ok(15.1))
    assert (state.phase, state.cause) == (Phase.OPEN, "slow_rate")


def test_an_open_breaker_gives_nothing_before_its_time_and_then_one_probe() -> None:
    state = opened(STEADY)
    for now in (0, 15, 29.999):
        assert breaker.admit(state, STEADY, at(now))[1] == Denial(at(30))
    state, _ = permitted(state, STEADY, 30)
    assert state.phase is Phase.HALF_OPEN
    for _ in range(1000):
        state, answer = breaker.admit(state, STEADY, at(30))
        assert answer == Denial(None)
    assert state.rejected == 1000


def test_two_good_probes_close_and_a_failed_one_opens_for_twice_as_long() -> None:
    state = after(opened(STEADY), STEADY, 30, OK)
    assert state.phase is Phase.HALF_OPEN
    assert after(state, STEADY, 31, OK).phase is Phase.CLOSED
    failed = after(state, STEADY, 31, TIMEOUT)
    assert (failed.phase, breaker.retry_in_s(failed, at(31))) == (Phase.OPEN, 60)


def test_a_good_round_waits_for_its_next_request_without_running_out_of_time() -> None:
    state = after(opened(STEADY), STEADY, 30, OK)
    assert after(state, STEADY, 3630, OK).phase is Phase.CLOSED


def test_a_probe_that_never_ends_opens_as_if_at_the_moment_its_time_was_up() -> None:
    state, permit = permitted(opened(STEADY), STEADY, 30)
    late = breaker.look(state, STEADY, at(100))
    assert (late.phase, late.cause) == (Phase.OPEN, "undecided")
    assert breaker.retry_in_s(late, at(100)) == 60 - 10
    assert breaker.record(late, STEADY, permit, OK, at(101), random.Random(1)) == late


def test_a_probe_taken_back_may_be_given_again() -> None:
    state, permit = permitted(opened(STEADY), STEADY, 30)
    state = breaker.give_back(state, permit)
    permitted(state, STEADY, 30)


@pytest.mark.parametrize("outcome", [Neutral(Aside.GONE), Neutral(Aside.CANCELLED), Limited(3.0)])
def test_neutral_outcomes_give_the_probe_back_and_count_for_nothing(outcome: Outcome) -> None:
    state, permit = permitted(opened(STEADY), STEADY, 30)
    state = breaker.record(state, STEADY, permit, outcome, at(30), random.Random(1))
    assert (state.phase, state.issued, state.results.count) == (Phase.HALF_OPEN, 0, 0)
    closed = after(breaker.fresh(at(0)), STEADY, 0, *[TIMEOUT] * 4)
    assert after(closed, STEADY, 0, outcome) == closed


def test_a_result_of_an_earlier_state_changes_nothing() -> None:
    state, early = permitted(breaker.fresh(at(0)), STEADY, 0)
    state = after(state, STEADY, 0, *[TIMEOUT] * 5)
    for outcome in (OK, TIMEOUT, Failed(Failure.SERVER, 0.1, 500.0)):
        assert breaker.record(state, STEADY, early, outcome, at(1), random.Random(1)) == state


def test_a_time_told_by_the_site_opens_for_exactly_that_long() -> None:
    told = Failed(Failure.SERVER, 0.1, 5000.0)
    state = after(breaker.fresh(at(0)), DAEMON, 0, told)
    assert (state.phase, state.cause, breaker.retry_in_s(state, at(0))) == (
        Phase.OPEN,
        "told",
        5000,
    )


def test_a_ban_opens_for_six_hours_or_a_little_more() -> None:
    state = after(breaker.fresh(at(0)), DAEMON, 0, OK, Failed(Failure.BAN, 0.1))
    assert 21_600 <= breaker.retry_in_s(state, at(0)) <= 21_600 * 1.1


def test_open_times_double_up_to_their_maximum_for_any_number_of_attempts() -> None:
    first = [breaker.escalated_s(DAEMON, attempts) for attempts in range(1, 8)]
    assert first == [30, 60, 120, 240, 480, 900, 900]
    assert breaker.escalated_s(DAEMON, 10**9) == 900


def test_jitter_varies_own_open_times_by_its_share() -> None:
    waits = set()
    for seed in range(200):
        state, permit = permitted(breaker.fresh(at(0)), DAEMON, 0)
        tls = Failed(Failure.TLS, 0.1)
        state = breaker.record(state, DAEMON, permit, tls, at(0), random.Random(seed))
        waits.add(breaker.retry_in_s(state, at(0)))
    assert 27 <= min(waits) < 28
    assert 32 < max(waits) <= 33


def test_open_times_start_anew_after_ten_minutes_of_health_and_not_before() -> None:
    closed = after(opened(STEADY), STEADY, 30, OK, OK)
    soon = after(closed, STEADY, 629, *[TIMEOUT] * 5)
    late = after(closed, STEADY, 630, *[TIMEOUT] * 5)
    assert breaker.retry_in_s(soon, at(629)) == 60
    assert breaker.retry_in_s(late, at(630)) == 30


def test_without_flap_protection_each_closing_starts_open_times_anew() -> None:
    rules = attrs.evolve(STEADY, flap_s=None)
    closed = after(opened(rules), rules, 30, OK, OK)
    assert closed.attempts == 0


def test_a_round_of_several_permits_is_decided_by_its_share() -> None:
    rules = attrs.evolve(
        STEADY, permits=4, close_after=1, half_open_policy=HalfOpenPolicy.RATE, consecutive=5
    )
    state = opened(rules)
    assert after(state, rules, 30, TIMEOUT, OK, OK, OK).phase is Phase.CLOSED
    assert after(state, rules, 30, TIMEOUT, OK, OK, TIMEOUT).phase is Phase.OPEN


def test_an_operator_holds_disables_and_resets_from_any_state() -> None:
    for state in (breaker.fresh(at(0)), opened(STEADY)):
        held = breaker.force_open(state, at(1))
        assert breaker.admit(held, STEADY, at(1e6))[1] == Denial(None, held=True)
        free = breaker.disable(held, at(2))
        assert after(free, STEADY, 2, *[TIMEOUT] * 50).phase is Phase.DISABLED
        closed = breaker.reset(free, at(3))
        assert (closed.phase, closed.attempts) == (Phase.CLOSED, 0)


def test_a_saved_open_breaker_waits_what_was_left_less_the_time_away() -> None:
    saved = breaker.shift(opened(STEADY, 100), -to_ns(110))
    assert breaker.retry_in_s(breaker.resume(saved, STEADY, at(5), 12.0), at(5)) == 8
    assert breaker.retry_in_s(breaker.resume(saved, STEADY, at(5), 99.0), at(5)) == 0
    assert breaker.retry_in_s(breaker.resume(saved, STEADY, at(5), -99.0), at(5)) == 20


def test_a_clock_set_back_keeps_an_open_breaker_no_longer_than_its_maximum() -> None:
    banned = after(breaker.fresh(at(0)), STEADY, 0, Failed(Failure.BAN, 0.1))
    resumed = breaker.resume(banned, STEADY, at(0), -1.0)
    assert breaker.retry_in_s(resumed, at(0)) == 900


def test_a_saved_half_open_breaker_comes_back_open_with_its_probe_due() -> None:
    half_open, stale = permitted(opened(STEADY), STEADY, 30)
    saved = breaker.shift(half_open, -to_ns(30))
    state = breaker.resume(saved, STEADY, at(7), 1.0)
    assert (state.phase, state.opened, state.attempts) == (Phase.OPEN, 2, 2)
    assert breaker.record(state, STEADY, stale, OK, at(7), random.Random(1)) == state
    state, _ = permitted(state, STEADY, 7)
    assert breaker.admit(state, STEADY, at(7))[1] == Denial(None)


def test_rules_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="min_calls"):
        BreakerRules(size=5, min_calls=6)
    with pytest.raises(ValueError, match="jitter"):
        BreakerRules(jitter=1.0)


def to_ns(seconds: float) -> int:
    return round(seconds * 1e9)


outcomes = st.sampled_from(
    [
        OK,
        OK,
        Ok(20.0),
        TIMEOUT,
        TIMEOUT,
        Failed(Failure.PARSE, 0.2),
        Failed(Failure.TLS, 0.2),
        Failed(Failure.BAN, 0.2),
        Failed(Failure.SERVER, 0.2, 45.0),
        Neutral(Aside.GONE),
        Limited(None),
    ]
)
ALLOWED = {
    (Phase.CLOSED, Phase.OPEN),
    (Phase.OPEN, Phase.HALF_OPEN),
    (Phase.HALF_OPEN, Phase.OPEN),
    (Phase.HALF_OPEN, Phase.CLOSED),
}


class BreakerMachine(RuleBasedStateMachine):
    """Every order of events takes only the transitions that there are, and no probe too many."""

    @initialize(
        permits=st.integers(1, 3),
        policy=st.sampled_from(HalfOpenPolicy),
        max_wait=st.sampled_from([None, 60.0]),
        jitter=st.sampled_from([0.0, 0.1]),
    )
    def begin(
        self, permits: int, policy: HalfOpenPolicy, max_wait: float | None, jitter: float
    ) -> None:
        self.limits = attrs.evolve(
            DAEMON,
            permits=permits,
            half_open_policy=policy,
            half_open_max_wait_s=max_wait,
            jitter=jitter,
        )
        self.rng = random.Random(7)
        self.now = 0.0
        self.state = self.shifted = breaker.fresh(at(0))
        self.shifted = breaker.fresh(at(1e6))
        self.permits: list[Permit] = []
        self.window: list[tuple[bool, bool]] = []

    def step(self, state: Breaker) -> None:
        before, self.state = self.state, state
        if state.phase is not before.phase:
            assert state.generation > before.generation
            assert (before.phase, state.phase) in ALLOWED
        if state.generation != before.generation:
            self.window.clear()

    @rule(seconds=st.sampled_from([0.0, 0.5, 29.0, 61.0, 700.0, 22_000.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def ask(self) -> None:
        looked = breaker.look(self.state, self.limits, at(self.now))
        state, answer = breaker.admit(self.state, self.limits, at(self.now))
        self.shifted, _ = breaker.admit(self.shifted, self.limits, at(self.now + 1e6))
        if isinstance(answer, Permit):
            self.permits.append(answer)
            assert looked.phase is not Phase.OPEN or self.now >= looked.until_ns / 1e9 - 2e-6
        elif answer.until is not None:
            assert answer.until > self.now
        self.step(state)

    @precondition(lambda self: self.permits)
    @rule(outcome=outcomes, which=st.integers(0, 50), sent=st.booleans())
    def end_one(self, outcome: Outcome, which: int, sent: bool) -> None:
        permit = self.permits.pop(which % len(self.permits))
        if not sent:
            self.shifted = breaker.give_back(self.shifted, permit)
            return self.step(breaker.give_back(self.state, permit))
        before = self.state
        rng, twin = random.Random(3), random.Random(3)
        state = breaker.record(self.state, self.limits, permit, outcome, at(self.now), rng)
        self.shifted = breaker.record(
            self.shifted, self.limits, permit, outcome, at(self.now + 1e6), twin
        )
        if before.phase is Phase.CLOSED and isinstance(outcome, Neutral | Limited):
            assert state == breaker.look(before, self.limits, at(self.now))
        counted = isinstance(outcome, Ok | Failed) and permit.generation == state.generation
        self.step(state)
        if counted and state.phase is Phase.CLOSED:
            failed = isinstance(outcome, Failed)
            self.window.append((failed, isinstance(outcome, Ok) and outcome.duration_s > 15))
        return None

    @rule(away=st.sampled_from([0.0, 40.0]))
    def restart(self, away: float) -> None:
        saved = breaker.shift(self.state, -to_ns(self.now))
        twin = breaker.shift(self.shifted, -to_ns(self.now + 1e6))
        self.now += away
        self.permits.clear()
        self.shifted = breaker.resume(twin, self.limits, at(self.now + 1e6), away)
        self.step(breaker.resume(saved, self.limits, at(self.now), away))

    @invariant()
    def moving_the_clock_moves_no_decision(self) -> None:
        moved = breaker.shift(self.shifted, -to_ns(1e6))
        same = attrs.evolve(moved, since_ns=0, until_ns=0)
        assert same == attrs.evolve(self.state, since_ns=0, until_ns=0)

    @invariant()
    def no_more_probes_are_out_than_the_round_has(self) -> None:
        if self.state.phase is Phase.HALF_OPEN:
            current = [p for p in self.permits if p.generation == self.state.generation]
            assert len(current) <= self.state.issued <= self.limits.permits

    @invariant()
    def the_window_equals_a_recount(self) -> None:
        if self.state.phase is not Phase.CLOSED:
            return
        kept = self.window[-self.limits.size :]
        assert self.state.results.count == len(kept)
        assert self.state.results.failed.bit_count() == sum(failed for failed, _ in kept)
        assert self.state.results.slow.bit_count() == sum(slow for _, slow in kept)
        assert self.state.run < 5


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(
    max_examples=1000, stateful_step_count=15, deadline=None, derandomize=True
)


@settings(deadline=None, max_examples=1000, derandomize=True)
@given(st.lists(outcomes, max_size=30), st.integers(0, 30), st.integers(1, 5))
def test_neutral_outcomes_inserted_while_closed_change_no_decision(
    sequence: list[Outcome], place: int, times: int
) -> None:
    plain, mixed = breaker.fresh(at(0)), breaker.fresh(at(0))
    for number, outcome in enumerate(sequence):
        if number == place and mixed.phase is Phase.CLOSED:
            mixed = after(mixed, STEADY, 0, *[Neutral(Aside.IGNORED)] * times)
        if plain.phase is not Phase.CLOSED:
            break
        plain, mixed = after(plain, STEADY, 0, outcome), after(mixed, STEADY, 0, outcome)
    assert plain == mixed


@settings(deadline=None, max_examples=1000, derandomize=True)
@given(st.integers(1, 12), st.floats(min_value=1, max_value=4))
def test_open_times_never_shrink_over_failed_probes_in_a_row(probes: int, factor: float) -> None:
    rules = attrs.evolve(STEADY, multiplier=factor)
    state, now, last = opened(rules), 0.0, 0.0
    for _ in range(probes):
        wait = breaker.retry_in_s(state, at(now))
        assert last - 1e-6 <= wait <= rules.max_open_s
        last, now = wait, now + wait
        state = after(state, rules, now, TIMEOUT)
