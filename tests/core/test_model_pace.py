"""When a model may be asked next."""

import math

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobping.core.ids import Monotonic
from jobping.core.model_pace import (
    FAILURES,
    KEY_S,
    LONGEST_OPEN_S,
    MOST_WAIT_S,
    OPEN_S,
    QUOTA_S,
    Go,
    Limits,
    ModelPace,
    Pause,
    Wait,
    admit,
    answered,
    begin,
    cancelled,
    duration_s,
    failed,
    retry_after_s,
)
from jobping.errors import (
    Billing,
    ModelQuotaGone,
    ModelRejected,
    ModelThrottled,
    ModelTimedOut,
    ModelUnavailable,
)

FRESH = ModelPace()
SLOW = ModelThrottled("slow", billing=Billing.NOT_BILLED, retry_after_s=5.0)
MUTE = ModelThrottled("slow", billing=Billing.NOT_BILLED)
GONE = ModelQuotaGone("quota", billing=Billing.NOT_BILLED)
LATE = ModelTimedOut("late", billing=Billing.UNKNOWN)
DOWN = ModelUnavailable("down", billing=Billing.NOT_SENT)
KEY = ModelRejected("key", billing=Billing.NOT_BILLED, status=401)
WRONG = ModelRejected("wrong", billing=Billing.NOT_BILLED, status=400)


def left(requests=5, tokens=9_000, reset="6m0s", limit=10):
    return (
        ("x-ratelimit-limit-requests", str(limit)),
        ("x-ratelimit-remaining-requests", str(requests)),
        ("x-ratelimit-reset-requests", reset),
        ("x-ratelimit-limit-tokens", "10000"),
        ("x-ratelimit-remaining-tokens", str(tokens)),
        ("x-ratelimit-reset-tokens", reset),
    )


def after(*errors, at=0.0):
    pace = FRESH
    for error in errors:
        pace = failed(pace, error, at)
    return pace


def test_fresh_pace_lets_go():
    assert admit(FRESH, 5_000, 0.0) == Go()


@pytest.mark.parametrize(
    ("errors", "until", "why"),
    [
        ([SLOW], 5.0, Pause.SLOW_DOWN),
        ([MUTE], 2.0, Pause.SLOW_DOWN),
        ([MUTE, MUTE, MUTE], 8.0, Pause.SLOW_DOWN),
        ([MUTE] * 50, 60.0, Pause.SLOW_DOWN),
        ([GONE], QUOTA_S, Pause.QUOTA_GONE),
        ([GONE, SLOW], QUOTA_S, Pause.QUOTA_GONE),
        ([KEY], KEY_S, Pause.KEY_REFUSED),
        ([LATE] * FAILURES, OPEN_S, Pause.FAILING),
        ([DOWN] * FAILURES, OPEN_S, Pause.FAILING),
    ],
)
def test_pause_lasts_as_long_as_its_cause(errors, until, why):
    assert admit(after(*errors), 1, 0.0) == Wait(Monotonic(until), why)
    assert admit(after(*errors), 1, until) == Go()


@pytest.mark.parametrize("errors", [[WRONG] * 9, [LATE], [LATE, DOWN, WRONG, LATE, DOWN]])
def test_refused_request_or_few_failures_pause_nothing(errors):
    assert admit(after(*errors), 1, 0.0) == Go()


def test_after_failing_one_call_probes_and_its_answer_ends_it():
    pace = begin(after(*[DOWN] * FAILURES), 1, OPEN_S)
    assert admit(pace, 1, OPEN_S) == Wait(Monotonic(2 * OPEN_S), Pause.PROBING)
    assert answered(pace, (), OPEN_S + 1) == attrs.evolve(
        FRESH, not_before=OPEN_S, why=Pause.FAILING
    )


def test_failed_probe_doubles_the_pause_up_to_its_longest():
    pace, now, pauses = after(*[DOWN] * FAILURES), 0.0, []
    for _ in range(7):
        pauses.append(pace.not_before - now)
        now = pace.not_before
        pace = failed(begin(pace, 1, now), LATE, now)
    assert pauses == [60, 120, 240, 480, 960, LONGEST_OPEN_S, LONGEST_OPEN_S]


def test_probe_that_was_cancelled_leaves_the_next_call_to_probe():
    pace = cancelled(begin(after(*[DOWN] * FAILURES), 1, OPEN_S))
    assert admit(pace, 1, OPEN_S) == Go()
    assert begin(pace, 1, OPEN_S).is_probing


def test_probe_after_a_quota_that_is_still_gone_waits_as_long_again():
    pace = failed(begin(after(GONE), 1, QUOTA_S), GONE, QUOTA_S)
    assert admit(pace, 1, QUOTA_S) == Wait(Monotonic(2 * QUOTA_S), Pause.QUOTA_GONE)


def test_begin_refuses_what_admit_does_not_let_go():
    with pytest.raises(ValueError, match="not be asked"):
        begin(after(SLOW), 1, 0.0)


def test_server_that_has_nothing_left_is_asked_after_its_reset():
    pace = answered(FRESH, left(requests=0, reset="6m0s"), 0.0)
    assert admit(pace, 1, 359.0) == Wait(Monotonic(360.0), Pause.SLOW_DOWN)
    assert admit(pace, 1, 360.0) == Go()


def test_request_that_needs_more_tokens_than_are_left_waits():
    pace = answered(FRESH, left(tokens=4_000, reset="6s"), 0.0)
    assert admit(pace, 4_000, 0.0) == Go()
    assert isinstance(admit(pace, 4_001, 0.0), Wait)
    assert isinstance(admit(begin(pace, 4_000, 0.0), 1, 0.0), Wait)


@pytest.mark.parametrize(
    "headers",
    [
        (),
        left(requests=-1),
        left(requests=0, limit=0),
        left(requests=0, limit=-1),
        left(requests=0, reset="junk"),
        left(requests=0, reset=""),
        left(requests=0, reset="0s"),
    ],
)
def test_headers_that_say_nothing_pause_nothing(headers):
    assert admit(answered(FRESH, headers, 0.0), 1, 0.0) == Go()


def test_own_limits_hold_without_any_header():
    pace = ModelPace(limits=Limits(requests_per_minute=2, tokens_per_minute=1_000))
    pace = begin(begin(pace, 400, 0.0), 400, 1.0)
    assert admit(pace, 1, 2.0) == Wait(Monotonic(60.0), Pause.SLOW_DOWN)
    assert admit(pace, 1, 60.0) == Go()


def test_request_larger_than_the_whole_window_goes_when_it_is_untouched():
    pace = ModelPace(limits=Limits(tokens_per_minute=1_000))
    assert admit(pace, 5_000, 0.0) == Go()
    pace = begin(pace, 5_000, 0.0)
    assert admit(pace, 5_000, 1.0) == Wait(Monotonic(60.0), Pause.SLOW_DOWN)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6ms", 0.006), ("1s", 1.0), ("6m0s", 360.0), ("1h2m3.5s", 3_723.5), ("17.2ms", 0.0172),
        ("59.8s", 59.8), ("30", 30.0), ("", None), ("s", None), ("-1s", None), ("1d", None),
        ("1s1m", None), ("٣s", None), ("nan", None), ("9" * 40, None),
    ],
)  # fmt: skip
def test_duration_is_read_as_go_writes_it(text, seconds):
    assert duration_s(text) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([("retry-after-ms", "1500"), ("retry-after", "9")], 1.5),
        ([("retry-after-ms", "junk"), ("retry-after", "9")], 9.0),
        ([("retry-after", "0")], 0.0),
        ([("retry-after", "1000000000000")], 1e12),
        ([("retry-after", "9" * 99)], math.inf),
        ([("retry-after", "-3")], None),
        ([("retry-after", "Fri, 27 Nov 2026 10:00:30 GMT")], None),
        (
            [
                ("date", "Fri, 27 Nov 2026 10:00:00 GMT"),
                ("retry-after", "Fri, 27 Nov 2026 10:00:30 GMT"),
            ],
            30.0,
        ),
    ],
)
def test_retry_after_is_read_in_all_its_forms(headers, seconds):
    assert retry_after_s(headers) == seconds


_NUMBERS = st.one_of(
    st.integers(-2, 50).map(str), st.sampled_from(["6ms", "1s", "6m0s", "99h", "junk", "", "-1s"])
)
_NAMES = st.sampled_from(
    ["retry-after", "retry-after-ms", "date"]
    + [
        f"x-ratelimit-{part}-{kind}"
        for part in ("limit", "remaining", "reset")
        for kind in ("requests", "tokens")
    ]
)
_HEADERS = st.lists(st.tuples(_NAMES, st.one_of(_NUMBERS, st.text(max_size=8))), max_size=9)
_WAITS = st.one_of(st.none(), st.floats(0, 1e15), st.just(math.inf))
_ERRORS = st.one_of(
    st.builds(
        ModelThrottled,
        st.just(""),
        billing=st.just(Billing.NOT_BILLED),
        retry_after_s=_WAITS,
        headers=_HEADERS.map(tuple),
    ),
    st.sampled_from([GONE, LATE, DOWN, KEY, WRONG]),
    st.builds(
        ModelUnavailable,
        st.just(""),
        billing=st.just(Billing.UNKNOWN),
        headers=_HEADERS.map(tuple),
    ),
)
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("call"), st.integers(0, 20_000)),
        st.tuples(st.just("answer"), _HEADERS),
        st.tuples(st.just("fail"), _ERRORS),
        st.tuples(st.just("cancel"), st.none()),
        st.tuples(st.just("pass"), st.floats(0, 5_000)),
    ),
    max_size=25,
)
_OPTIONAL = st.one_of(st.none(), st.integers(1, 2_000))
_LIMITS = st.builds(Limits, requests_per_minute=_OPTIONAL, tokens_per_minute=_OPTIONAL)


@settings(max_examples=1_000, deadline=None)
@given(_LIMITS, _STEPS)
def test_pauses_are_kept_bounded_and_end(limits, steps):
    pace, now, in_flight, quota_until = ModelPace(limits=limits), Monotonic(0.0), 0, -math.inf
    for kind, value in steps:
        if kind == "pass":
            now = Monotonic(now + value)
        elif kind == "call":
            verdict = admit(pace, value, now)
            if isinstance(verdict, Go):
                assert now >= quota_until
                assert not (pace.is_probing and in_flight)
                pace, in_flight = begin(pace, value, now), in_flight + 1
            else:
                longest = QUOTA_S if verdict.why is Pause.QUOTA_GONE else LONGEST_OPEN_S
                assert now < verdict.until <= now + max(longest, MOST_WAIT_S)
        elif in_flight:
            in_flight -= 1
            if kind == "cancel":
                pace = cancelled(pace)
            elif kind == "answer":
                pace = answered(pace, value, now)
            else:
                pace = failed(pace, value, now)
                if isinstance(value, ModelQuotaGone):
                    quota_until = now + QUOTA_S
    assert _ends(pace, now)


def _ends(pace: ModelPace, now: Monotonic) -> bool:
    """Whether waiting as told, a few times, leads to a call once nothing is under way."""
    pace = cancelled(pace)
    for _ in range(4):
        match admit(pace, 5_000, now):
            case Go():
                return True
            case Wait(until=until):
                now = until
    return False
