import datetime as dt
import zoneinfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobping.core import limiter, quota
from jobping.core.ids import Monotonic
from jobping.core.limiter import Grant, Hold, LimiterRules, Reason
from jobping.core.quota import Quota, Span, Window, end_of

NOON = dt.datetime(2026, 3, 10, 12, 30, 15, tzinfo=dt.UTC)  # a Tuesday
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
LORD_HOWE = zoneinfo.ZoneInfo("Australia/Lord_Howe")
ADZUNA = (
    Quota(Span.MINUTE, 25),
    Quota(Span.DAY, 250),
    Quota(Span.WEEK, 1000),
    Quota(Span.MONTH, 2500),
)
moments = st.datetimes(min_value=dt.datetime(2000, 1, 1), max_value=dt.datetime(2090, 1, 1)).map(
    lambda moment: moment.replace(tzinfo=dt.UTC)
)
thorough = settings(max_examples=1000, deadline=None, derandomize=True)


@pytest.mark.parametrize(
    ("span", "end"),
    [
        (Span.MINUTE, dt.datetime(2026, 3, 10, 12, 31)),
        (Span.HOUR, dt.datetime(2026, 3, 10, 13, 0)),
        (Span.DAY, dt.datetime(2026, 3, 11)),
        (Span.WEEK, dt.datetime(2026, 3, 16)),
        (Span.MONTH, dt.datetime(2026, 4, 1)),
    ],
)
def test_window_ends_by_the_calendar(span: Span, end: dt.datetime) -> None:
    assert end_of(span, NOON, dt.UTC) == end.replace(tzinfo=dt.UTC)


def test_weeks_and_months_end_at_local_midnight() -> None:
    assert end_of(Span.WEEK, NOON, BERLIN) == dt.datetime(2026, 3, 15, 23, tzinfo=dt.UTC)
    assert end_of(Span.MONTH, NOON, BERLIN) == dt.datetime(2026, 3, 31, 22, tzinfo=dt.UTC)


@thorough
@given(moments, st.sampled_from(Span), st.sampled_from([dt.UTC, BERLIN, LORD_HOWE]))
def test_window_always_ends_later_and_never_later_than_its_length(
    moment: dt.datetime, span: Span, zone: dt.tzinfo
) -> None:
    longest = {Span.MINUTE: 60, Span.HOUR: 3600, Span.DAY: 90_000, Span.WEEK: 608_400}
    left_s = (end_of(span, moment, zone) - moment).total_seconds()
    assert 0 < left_s <= longest.get(span, 31 * 86_400 + 3600)


def test_latest_end_answers_among_the_quotas_that_are_used_up() -> None:
    rules = LimiterRules(rate=1000, burst=3000, quotas=ADZUNA)
    state, now, utcnow = limiter.fresh(rules, Monotonic(0.0)), 0.0, NOON
    for used in range(1, 251):
        state, answer = limiter.admit(state, rules, Monotonic(now), utcnow)
        assert isinstance(answer, Grant)
        state = limiter.release(state)
        if used % 25 == 0 and used < 250:
            hold = limiter.admit(state, rules, Monotonic(now), utcnow)[1]
            assert hold == Hold(Reason.QUOTA, Monotonic(now + 60 - utcnow.second))
            wait_s = 60 - utcnow.second
            now, utcnow = now + wait_s, utcnow + dt.timedelta(seconds=wait_s)
    midnight = (end_of(Span.DAY, utcnow, dt.UTC) - utcnow).total_seconds()
    hold = limiter.admit(state, rules, Monotonic(now), utcnow)[1]
    assert hold == Hold(Reason.QUOTA, Monotonic(now + midnight))


def test_take_back_refunds_the_windows_that_have_not_ended() -> None:
    rules = LimiterRules(rate=1, burst=9, quotas=(Quota(Span.MINUTE, 5), Quota(Span.DAY, 9)))
    state, first = limiter.admit(limiter.fresh(rules, Monotonic(0.0)), rules, Monotonic(0.0), NOON)
    assert isinstance(first, Grant)
    later = NOON + dt.timedelta(minutes=2)
    state, _ = limiter.admit(state, rules, Monotonic(120.0), later)
    state = limiter.take_back(state, rules, first)
    assert [window.used for window in state.windows] == [1, 1]


def test_two_quotas_for_one_span_are_refused() -> None:
    with pytest.raises(ValueError, match="one for each span"):
        LimiterRules(rate=1, quotas=(Quota(Span.DAY, 5), Quota(Span.DAY, 6)))


def test_strictest_quota_of_each_span_holds() -> None:
    named = (Quota(Span.MONTH, 9), Quota(Span.DAY, 5), Quota(Span.DAY, 3))
    assert quota.strictest(named) == (Quota(Span.DAY, 3), Quota(Span.MONTH, 9))


def test_what_a_plan_leaves_lowers_the_quota_of_the_day_alone() -> None:
    rules = LimiterRules(rate=1, quotas=(Quota(Span.DAY, 65), Quota(Span.MONTH, 2000)))
    state = limiter.fresh(rules, Monotonic(0.0))
    state, _ = limiter.admit(state, rules, Monotonic(0.0), NOON)
    assert [w.used for w in limiter.leave_today(state, rules, 1000).windows] == [1, 1]
    assert [w.used for w in limiter.leave_today(state, rules, 3).windows] == [62, 1]


@thorough
@given(
    st.integers(1, 30),
    st.integers(1, 4),
    st.lists(st.floats(min_value=0, max_value=20_000), max_size=40),
    moments,
)
def test_polls_that_wait_for_the_spread_never_find_the_quota_used_up(
    polls: int, pages: int, idle: list[float], start: dt.datetime
) -> None:
    """However long they wait beyond it, there is room for each poll in the day it comes in."""
    most = polls * pages
    quotas, windows, utcnow = (Quota(Span.DAY, most),), (Window(Span.DAY),), start
    for pause_s in idle:
        windows = quota.turn(windows, utcnow, dt.UTC)
        assert windows[0].used + pages <= most
        windows = quota.charge(windows, pages)
        spread_s = quota.spread_s(quotas, windows, utcnow, pages)
        utcnow += dt.timedelta(seconds=max(spread_s, pause_s) + 1e-6)


def test_quota_of_four_a_day_is_spread_over_the_day() -> None:
    midnight = dt.datetime(2026, 3, 10, tzinfo=dt.UTC)
    quotas, windows, hours = (Quota(Span.DAY, 4),), (Window(Span.DAY),), 0.0
    times = []
    for _ in range(6):
        utcnow = midnight + dt.timedelta(hours=hours)
        windows = quota.charge(quota.turn(windows, utcnow, dt.UTC), 1)
        times.append(hours)
        hours += quota.spread_s(quotas, windows, utcnow, 1) / 3600
    assert times == [0, 6, 12, 18, 24, 30]
