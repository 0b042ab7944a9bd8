import datetime as dt
import itertools
import json
import random
from collections import Counter

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobping.core import breaker, gate, gate_text, limiter, pace
from jobping.core.breaker import Phase
from jobping.core.gate_state import (
    Admit,
    Blocked,
    Closed,
    Disabled,
    Exhausted,
    GateRules,
    GateState,
    HalfOpened,
    Held,
    Opened,
    PaceCut,
    Permit,
    QuotaView,
    Refuse,
    Throttled,
    Wait,
)
from jobping.core.ids import Monotonic
from jobping.core.limiter import LimiterRules, Reason
from jobping.core.nanos import to_ns
from jobping.core.outcome import Aside, Failed, Failure, Limited, Neutral, Ok, Outcome
from jobping.core.pace import Cut, PaceRules
from jobping.core.quota import Quota, Span
from jobping.core.retry import Attempted
from jobping.core.throttle import Hint, Hints

NOON = dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC)
RULES = GateRules(
    limiter=LimiterRules(rate=1 / 3, concurrency=1, quotas=(Quota(Span.DAY, 100),)),
    breaker=attrs.evolve(breaker.DAEMON, jitter=0.0),
    pace=PaceRules(max_rate=1 / 3, min_rate=1 / 900, jitter=0.0, jitter_below_ceiling=0.0),
)
CUT = PaceCut(rate=0.9 * 0.95 / 3, ceiling=0.95 / 3, cause=Cut.REFUSED)
OK = Ok(0.1)
TLS = Failed(Failure.TLS, 0.1)


def at(seconds: float) -> Monotonic:
    return Monotonic(float(seconds))


def wall(seconds: float) -> dt.datetime:
    return NOON + dt.timedelta(seconds=seconds)


def admitted(state: GateState, now: float, rules: GateRules = RULES) -> tuple[GateState, Admit]:
    state, answer = gate.admit(state, rules, at(now), wall(now))
    assert isinstance(answer, Admit), answer
    return state, answer


def asked(state: GateState, now: float, rules: GateRules = RULES) -> Admit | Wait | Refuse:
    return gate.admit(state, rules, at(now), wall(now))[1]


def after(state: GateState, now: float, outcome: Outcome) -> tuple[GateState, tuple[object, ...]]:
    state, answer = admitted(state, now)
    return gate.record(state, RULES, answer.permit, outcome, at(now), random.Random(1))


@pytest.fixture
def state() -> GateState:
    return gate.fresh(RULES, at(0))


def test_a_fresh_gate_admits_and_is_busy_until_the_permit_ends(state: GateState) -> None:
    state, answer = admitted(state, 0)
    assert asked(state, 0) == Refuse(Reason.BUSY)
    state, _ = gate.record(state, RULES, answer.permit, OK, at(1), random.Random(1))
    assert asked(state, 1) == Wait(at(3), Reason.RATE)
    assert isinstance(asked(state, 3), Admit)


def test_pace_and_gap_count_from_when_a_request_left(state: GateState) -> None:
    state, answer = admitted(gate.raise_gap(state, 5), 0)
    state, _ = gate.record(
        state, RULES, answer.permit, OK, at(2), random.Random(1), sent_at=at(1.5)
    )
    assert asked(state, 2) == Wait(at(6.5), Reason.MIN_GAP)
    assert asked(attrs.evolve(state, limiter=attrs.evolve(state.limiter, gap_ns=0)), 2) == (
        Wait(at(4.5), Reason.RATE)
    )


@pytest.mark.parametrize(("left_at", "due_at"), [(0.3, 3.6), (0.9, 3.9)])
def test_jitter_takes_the_time_in_that_a_request_left_late(
    state: GateState, left_at: float, due_at: float
) -> None:
    state, _ = admitted(state, 0)
    grown = limiter.release(state.limiter, late_ns=to_ns(left_at), jitter_s=0.6)
    assert asked(attrs.evolve(state, limiter=grown), 2) == Wait(at(due_at), Reason.RATE)


def test_a_429_blocks_for_the_time_told_and_says_nothing_about_health(state: GateState) -> None:
    state, transitions = after(state, 0, Limited(60.0))
    assert transitions == (Throttled(retry_after_s=60, clamped=False, refusals=1), CUT)
    assert asked(state, 59) == Wait(at(60), Reason.BLOCKED)
    assert state.breaker.phase is Phase.CLOSED


def test_a_503_with_a_wait_blocks_and_opens_for_exactly_that_long(state: GateState) -> None:
    state, transitions = after(state, 0, Failed(Failure.SERVER, 0.1, 300.0))
    assert transitions == (
        Throttled(retry_after_s=300, clamped=False, refusals=1),
        CUT,
        Opened(failures=0, until_s=300, cause="told"),
    )
    assert asked(state, 299) == Wait(at(300), Reason.BREAKER)
    assert isinstance(asked(state, 300), Admit)


def test_a_wait_beyond_any_maximum_is_clamped_for_both(state: GateState) -> None:
    state, transitions = after(state, 0, Failed(Failure.SERVER, 0.1, float("inf")))
    assert transitions == (
        Throttled(retry_after_s=86_400, clamped=True, refusals=1),
        CUT,
        Opened(failures=0, until_s=86_400, cause="told"),
    )


def test_a_bare_503_is_the_breakers_business_alone(state: GateState) -> None:
    state, transitions = after(state, 0, Failed(Failure.SERVER, 0.1))
    assert transitions == ()
    assert state.limiter.refusals == 0


def test_a_recovery_reports_each_transition_once(state: GateState) -> None:
    state, opened = after(state, 0, TLS)
    assert opened == (Opened(failures=1, until_s=30, cause="tls"),)
    state, answer = admitted(state, 30)
    assert answer.transitions == (HalfOpened(),)
    state, none = gate.record(state, RULES, answer.permit, OK, at(30), random.Random(1))
    assert none == ()
    state, closed = after(state, 33, OK)
    half = PaceCut(rate=1 / 6, ceiling=None, cause=Cut.RECOVERY)
    assert closed == (half, Closed())
    assert asked(state, 33) == Wait(at(39), Reason.RATE)


def test_no_probe_is_out_while_the_limiter_says_wait(state: GateState) -> None:
    still = PaceRules(max_rate=1 / 600, min_rate=1 / 600, jitter=0.0)
    slow = attrs.evolve(RULES, limiter=LimiterRules(rate=1 / 600, concurrency=1), pace=still)
    state, answer = gate.admit(gate.fresh(slow, at(0)), slow, at(0), NOON)
    assert isinstance(answer, Admit)
    state, _ = gate.record(state, slow, answer.permit, TLS, at(0), random.Random(1))
    state, wait = gate.admit(state, slow, at(40), wall(40))
    assert wait == Wait(at(600), Reason.RATE)
    assert (state.breaker.phase, state.breaker.issued) == (Phase.OPEN, 0)
    assert admitted(state, 600, slow)[1].transitions == (HalfOpened(),)


def test_a_held_breaker_refuses_without_a_moment(state: GateState) -> None:
    held = attrs.evolve(state, breaker=breaker.force_open(state.breaker, at(0)))
    assert asked(held, 1e6) == Refuse(Reason.BREAKER)


def test_a_permit_taken_back_leaves_no_trace_but_its_number(state: GateState) -> None:
    before, _ = after(state, 0, OK)
    taken, answer = admitted(before, 3)
    back = gate.take_back(taken, RULES, answer.permit)
    assert attrs.evolve(back.limiter, grants=before.limiter.grants) == before.limiter
    assert back.breaker == before.breaker


def test_the_last_grant_of_a_day_says_that_the_quota_is_used_up() -> None:
    rules = GateRules(limiter=LimiterRules(rate=1, burst=2, quotas=(Quota(Span.DAY, 2),)))
    state = gate.fresh(rules, at(0))
    state, first = gate.admit(state, rules, at(0), NOON)
    state, second = gate.admit(state, rules, at(0), NOON)
    assert isinstance(first, Admit)
    assert first.transitions == ()
    assert isinstance(second, Admit)
    assert second.transitions == (Exhausted(span=Span.DAY, until_s=12 * 3600),)
    assert gate.admit(state, rules, at(5), wall(5))[1] == Wait(at(12 * 3600), Reason.QUOTA)


def test_success_is_remembered_so_that_a_later_403_means_a_ban(state: GateState) -> None:
    state, _ = after(state, 0, Neutral(Aside.GONE))
    assert not state.succeeded
    state, _ = after(state, 3, OK)
    restored = gate_text.load(gate_text.save(state, RULES, at(3)), RULES, at(0), 0.0)
    assert restored.succeeded


def test_the_view_names_the_figures_of_both_machines(state: GateState) -> None:
    state, _ = after(state, 0, TLS)
    state, _ = gate.admit(state, RULES, at(1), wall(1))
    view = gate.view(state, RULES, at(10), wall(10))
    assert (view.breaker, view.breaker_cause, view.retry_in_s) == (Phase.OPEN, "tls", 20)
    assert (view.opened, view.rejected, view.daily_used) == (1, 1, 1)
    assert view.rate == pytest.approx(1 / 3)


def test_a_saved_gate_counts_the_time_away_and_gives_no_new_burst() -> None:
    rules = GateRules(limiter=LimiterRules(rate=0.1, burst=3))
    state = gate.fresh(rules, at(500))
    for _ in range(3):
        state, _ = gate.admit(state, rules, at(500), NOON)
        state = attrs.evolve(state, limiter=limiter.release(state.limiter))
    text = gate_text.save(state, rules, at(500))
    for elapsed, expected in ((-50.0, 10.0), (4.0, 6.0)):
        restored = gate_text.load(text, rules, at(0), elapsed)
        assert gate.admit(restored, rules, at(0), NOON)[1] == Wait(at(expected), Reason.RATE)
    assert isinstance(
        gate.admit(gate_text.load(text, rules, at(0), 10.0), rules, at(0), NOON)[1], Admit
    )


def test_a_changed_configured_pace_holds_after_loading() -> None:
    before = GateRules(limiter=LimiterRules(rate=1.0))
    state, _ = gate.admit(gate.fresh(before, at(0)), before, at(0), NOON)
    slower = GateRules(limiter=LimiterRules(rate=0.1, min_gap_s=4))
    restored = gate_text.load(gate_text.save(state, before, at(0)), slower, at(0), 0.0)
    assert gate.admit(restored, slower, at(0), NOON)[1] == Wait(at(10), Reason.RATE)


@pytest.mark.parametrize("path", ["", "limiter", "breaker", "limiter.tat_ns", "breaker.phase"])
def test_a_text_that_is_no_saved_gate_is_refused(state: GateState, path: str) -> None:
    saved = json.loads(gate_text.save(state, RULES, at(0)))
    whole, _, field = path.partition(".")
    if field:
        saved[whole][field] = "nonsense"
    else:
        saved[whole or "format"] = None
    with pytest.raises(ValueError, match="saved gate"):
        gate_text.load(json.dumps(saved), RULES, at(0), 0.0)
    with pytest.raises(ValueError, match="saved gate"):
        gate_text.load("[]" if path else "nothing", RULES, at(0), 0.0)


outcomes = st.sampled_from(
    [
        OK,
        OK,
        TLS,
        Failed(Failure.SERVER, 0.1, 40.0),
        Limited(None),
        Limited(8.0),
        Neutral(Aside.GONE),
    ]
)
gaps = st.sampled_from([0.0, 0.5, 3.0, 31.0, 200.0])


@settings(deadline=None, max_examples=1000, derandomize=True)
@given(
    steps=st.lists(st.tuples(gaps, outcomes), max_size=25),
    away=st.sampled_from([0.0, 1.0, 45.0, 4000.0]),
    shift=st.floats(min_value=-1e6, max_value=1e6),
    asks=st.lists(gaps, min_size=1, max_size=5),
)
def test_a_loaded_gate_answers_like_the_living_one_to_a_millisecond(
    steps: list[tuple[float, Outcome]], away: float, shift: float, asks: list[float]
) -> None:
    state, now = gate.fresh(RULES, at(0)), 0.0
    for gap, outcome in steps:
        now += gap
        state, answer = gate.admit(state, RULES, at(now), wall(now))
        if isinstance(answer, Admit):
            state, _ = gate.record(state, RULES, answer.permit, outcome, at(now), random.Random(5))
    text = gate_text.save(state, RULES, at(now))
    now += away
    other = gate_text.load(text, RULES, at(now + shift), away)
    for gap in asks:
        now += gap
        living, loaded = asked(state, now), gate.admit(other, RULES, at(now + shift), wall(now))[1]
        if state.breaker.phase is Phase.HALF_OPEN:
            assert isinstance(loaded, Wait | Admit)
        elif isinstance(living, Wait):
            assert isinstance(loaded, Wait)
            assert loaded.reason is living.reason
            assert loaded.until - shift == pytest.approx(living.until, abs=0.001)
        else:
            assert type(loaded) is type(living)


@settings(deadline=None, max_examples=1000, derandomize=True)
@given(st.lists(st.tuples(gaps, st.sampled_from(["ok", "fail", "back", "ask"])), max_size=40))
def test_every_permit_ends_once_and_nothing_goes_before_the_moment_named(
    steps: list[tuple[float, str]],
) -> None:
    state, now, floor = gate.fresh(RULES, at(0)), 0.0, 0.0
    out: Permit | None = None
    for gap, what in steps:
        now += gap
        if out is not None:
            if what == "back":
                state = gate.take_back(state, RULES, out)
                floor = 0.0
            else:
                outcome = TLS if what == "fail" else OK
                state, _ = gate.record(state, RULES, out, outcome, at(now), random.Random(2))
            out = None
            continue
        state, answer = gate.admit(state, RULES, at(now), wall(now))
        match answer:
            case Admit(permit):
                assert now >= floor - 1e-5
                out = permit
            case Wait(until):
                assert until > now
                floor = until
            case Refuse():
                raise AssertionError("nothing is in flight")
        assert state.limiter.in_flight == (out is not None)


@settings(deadline=None, max_examples=1000, derandomize=True)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.5, 1.0, 3.0, 31.0, 200.0]),
            st.sampled_from([0.0, 0.0, 0.0, -90_000.0, 40_000.0, 90_000.0]),
            outcomes,
            st.sampled_from([None, None, 0.0, 45.0]),
        ),
        max_size=40,
    )
)
def test_pace_and_quota_hold_over_restarts_outcomes_and_steps_of_the_wall_clock(
    steps: list[tuple[float, float, Outcome, float | None]],
) -> None:
    """A step is a pause, a jump of the wall clock, an answer, and perhaps a time away."""
    limits = LimiterRules(
        rate=1 / 3, burst=3, min_gap_s=1.0, concurrency=1, quotas=(Quota(Span.DAY, 5),)
    )
    rules = attrs.evolve(RULES, limiter=limits)
    state, now, utcnow, day = gate.fresh(rules, at(0)), 0.0, NOON, dt.date.min
    times, days = list[float](), Counter[dt.date]()
    for pause, jump, outcome, away in steps:
        now, utcnow = now + pause, utcnow + dt.timedelta(seconds=pause + jump)
        state, answer = gate.admit(state, rules, at(now), utcnow)
        if isinstance(answer, Admit) or answer.reason is not Reason.BREAKER:
            day = max(day, utcnow.date())  # a day that comes again is not a new one
        if isinstance(answer, Admit):
            times.append(now)
            days[day] += 1
            state, _ = gate.record(state, rules, answer.permit, outcome, at(now), random.Random(1))
        if away is not None:
            text = gate_text.save(state, rules, at(now))
            now, utcnow = now + away, utcnow + dt.timedelta(seconds=away)
            state = gate_text.load(text, rules, at(now), away)
    assert max(days.values(), default=0) <= 5
    for first, last in itertools.combinations(range(len(times)), 2):
        assert last - first + 1 <= 3 + (times[last] - times[first]) / 3 + 1e-4
    assert all(later - earlier >= 1 - 1e-5 for earlier, later in itertools.pairwise(times))


def test_a_spared_request_counts_for_gap_and_breaker_but_not_for_quota_and_little_for_pace() -> (
    None
):
    quotas = (Quota(Span.DAY, 1),)
    rules = attrs.evolve(RULES, limiter=LimiterRules(rate=1 / 900, concurrency=1, quotas=quotas))
    before = gate.fresh(rules, at(0))
    after_it, answer = admitted(before, 0, rules)
    assert answer.transitions != ()
    state, spared = gate.spare(before, after_it, answer, 10.0)
    assert spared.transitions == ()
    assert asked(state, 0, rules) == Refuse(Reason.BUSY)
    state, _ = gate.record(state, rules, spared.permit, OK, at(1), random.Random(1))
    view = gate.view(state, rules, at(1), wall(1))
    assert (view.daily_used, view.grants, view.in_flight) == (0, 1, 0)
    waiting = asked(state, 1, rules)
    assert isinstance(waiting, Wait)
    assert (waiting.until, waiting.reason) == (at(10), Reason.RATE)
    state, _ = admitted(state, 10, rules)
    assert gate.view(state, rules, at(10), wall(10)).daily_used == 1


def test_a_spared_request_that_never_left_is_as_if_it_had_not_been() -> None:
    before = gate.fresh(RULES, at(0))
    state, spared = gate.spare(before, *admitted(before, 0), 10.0)
    back = gate.take_back(state, RULES, spared.permit)
    view = gate.view(back, RULES, at(0), wall(0))
    assert (view.daily_used, view.in_flight) == (0, 0)


# --- what answers say beside refusing


def hinted(outcome: Outcome, hints: Hints) -> tuple[GateState, tuple[object, ...]]:
    state, answer = admitted(gate.fresh(RULES, at(0)), 0)
    return gate.record(state, RULES, answer.permit, outcome, at(0), random.Random(1), hints=hints)


def test_nothing_left_blocks_until_the_reset_and_is_no_refusal() -> None:
    state, transitions = hinted(OK, Hints((Hint(0, 60), Hint(5, 900))))
    assert transitions == (Blocked(until_s=60),)
    assert asked(state, 59) == Wait(at(60), Reason.BLOCKED)
    assert (state.limiter.refusals, state.pace.ceiling) == (0, None)
    assert hinted(OK, Hints((Hint(1, 60),)))[1] == ()


def test_hint_is_clamped_to_the_longest_block() -> None:
    assert hinted(OK, Hints((Hint(0, float("inf")),)))[1] == (Blocked(until_s=86_400),)


def test_hint_stands_in_for_a_retry_after_that_is_missing_and_not_for_one_that_is_there() -> None:
    hints = Hints((Hint(0, 7),))
    _, bare = hinted(Limited(None), hints)
    assert bare == (Throttled(retry_after_s=7, clamped=False, refusals=1), CUT)
    _, told = hinted(Limited(3.0), hints)
    assert told == (Throttled(retry_after_s=3, clamped=False, refusals=1), CUT)


def test_plan_of_a_key_lowers_what_is_left_of_the_day() -> None:
    state, _ = hinted(OK, Hints((), 4))
    assert gate.view(state, RULES, at(0), NOON).quotas == (QuotaView(Span.DAY, 96, 100),)


# --- operators


def test_held_gate_lets_nothing_go_until_released(state: GateState) -> None:
    state, said = gate.hold(state, at(0))
    assert said == (Held(),)
    view = gate.view(state, RULES, at(5), wall(5))
    assert (view.waits_for, view.wait_s) == (Reason.BREAKER, None)
    state, said = gate.release(state, RULES, at(5))
    assert said == (Closed(),)
    assert gate.release(state, RULES, at(5)) == (state, ())
    admitted(state, 5)


def test_disabled_breaker_lets_all_go_at_the_pace(state: GateState) -> None:
    off = attrs.evolve(RULES, is_breaker_on=False)
    assert gate.switch(state, RULES, at(0)) == (state, ())
    state, said = gate.switch(state, off, at(0))
    assert said == (Disabled(),)
    assert gate.switch(state, off, at(0)) == (state, ())
    for number in range(9):
        state, _ = after(state, 3 * number, TLS)
    assert asked(state, 24) == Wait(at(27), Reason.RATE)
    held, _ = gate.hold(state, at(27))
    assert gate.switch(held, RULES, at(27)) == gate.switch(held, off, at(27)) == (held, ())
    assert gate.release(held, off, at(27))[1] == (Disabled(),)
    assert gate.reset(state, off, at(27))[0].breaker.phase is Phase.DISABLED
    assert gate.switch(state, RULES, at(27))[1] == (Closed(),)


def test_open_breaker_probes_at_once_when_told_and_a_block_holds_all_the_same(
    state: GateState,
) -> None:
    opened, _ = after(state, 0, TLS)
    probing, said = gate.probe_now(opened, at(3))
    assert said == (HalfOpened(),)
    admitted(probing, 3)
    assert gate.probe_now(state, at(0)) == (state, ())
    blocked, _ = after(state, 0, Failed(Failure.SERVER, 0.1, 300.0))
    assert asked(gate.probe_now(blocked, at(3))[0], 3) == Wait(at(300), Reason.BLOCKED)


def test_reset_forgets_what_we_learned_and_keeps_what_the_site_told(state: GateState) -> None:
    state, _ = after(state, 0, Limited(60.0))
    state, _ = after(state, 60, TLS)
    state, said = gate.reset(state, RULES, at(61))
    assert said == (Closed(),)
    assert state.pace == pace.fresh(1 / 3, RULES.pace)
    assert (state.limiter.refusals, state.breaker.attempts) == (0, 0)
    blocked, _ = after(gate.fresh(RULES, at(0)), 0, Limited(60.0))
    assert asked(gate.reset(blocked, RULES, at(1))[0], 1) == Wait(at(60), Reason.BLOCKED)


# --- rows


def test_row_of_the_format_before_keeps_count_block_and_breaker(state: GateState) -> None:
    state, _ = after(state, 0, Limited(60.0))
    saved = json.loads(gate_text.save(state, RULES, at(0)))
    [window] = saved["limiter"].pop("windows")
    saved["limiter"] |= {"used": window["used"], "day_ends_at": window["ends_at"]}
    old = {key: saved[key] for key in ("limiter", "breaker", "succeeded")} | {"format": 1}
    loaded = gate_text.load(json.dumps(old), RULES, at(0), 0.0)
    assert asked(loaded, 1) == Wait(at(60), Reason.BLOCKED)
    assert gate.view(loaded, RULES, at(0), NOON).daily_used == 1
    assert loaded.pace == pace.fresh(1 / 3, RULES.pace)


def test_row_keeps_ceiling_rate_budget_and_windows(state: GateState) -> None:
    state, _ = after(state, 0, Limited(60.0))
    attempted = Attempted(method="GET", attempts=1, status=None, left_s=9.0)
    state, _ = gate.may_retry(state, RULES, attempted, random.Random(1), at(0))
    loaded = gate_text.load(gate_text.save(state, RULES, at(0)), RULES, at(100), 0.0)
    assert (loaded.pace.ceiling, loaded.pace.rate) == (state.pace.ceiling, state.pace.rate)
    assert (loaded.budget, loaded.limiter.windows) == (state.budget, state.limiter.windows)
    assert loaded.pace.try_ns - state.pace.try_ns == 100 * 10**9


def test_quota_that_is_new_in_the_settings_begins_at_nothing_used(state: GateState) -> None:
    state, _ = after(state, 0, OK)
    wider = attrs.evolve(
        RULES,
        limiter=attrs.evolve(RULES.limiter, quotas=(Quota(Span.MONTH, 9), Quota(Span.DAY, 5))),
    )
    loaded = gate_text.load(gate_text.save(state, RULES, at(0)), wider, at(0), 0.0)
    used = [one.used for one in gate.view(loaded, wider, at(0), NOON).quotas]
    assert used == [0, 1]


def test_jitter_only_lengthens_intervals() -> None:
    rules = GateRules(limiter=LimiterRules(rate=0.1))
    rng, now = random.Random(3), 0.0
    state, gaps = gate.fresh(rules, at(0)), []
    for _ in range(200):
        state, answer = gate.admit(state, rules, at(now), NOON)
        assert isinstance(answer, Admit)
        state, _ = gate.record(state, rules, answer.permit, OK, at(now), rng)
        wait = gate.admit(state, rules, at(now), NOON)[1]
        assert isinstance(wait, Wait)
        gaps.append(wait.until - now)
        now = wait.until
    assert 10 <= min(gaps) < 10.3
    assert 12.7 < max(gaps) <= 13.0001


def test_request_in_flight_at_a_crash_counts_from_when_it_may_have_left(state: GateState) -> None:
    granted, answer = gate.admit(state, RULES, at(0), NOON)
    assert isinstance(answer, Admit)
    text = gate_text.save(granted, RULES, at(0))
    back = gate_text.load(text, RULES, at(2), 2)
    assert back.limiter.in_flight == 0
    assert asked(back, 4.9) == Wait(at(5), Reason.RATE)
    admitted(back, 5)
    long_ago = gate_text.load(text, RULES, at(32), 32)
    assert asked(long_ago, 32.9) == Wait(at(33), Reason.RATE)
    ended, _ = gate.record(granted, RULES, answer.permit, OK, at(1), random.Random(1))
    admitted(gate_text.load(gate_text.save(ended, RULES, at(1)), RULES, at(9), 8), 9)
