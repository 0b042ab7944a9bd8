import datetime as dt
import random
import zoneinfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobping.core.schedule import (
    FIRST,
    DigestRules,
    Period,
    PollEnd,
    PollRules,
    due_period,
    latest_period,
    next_period,
    next_poll,
)

NOW = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
HOURLY = PollRules(poll_every_s=3600, jitter=0)
LONG_AGO = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


def wait_s(rules: PollRules, end: PollEnd, failures: int, seed: int = 1) -> float:
    due = next_poll(rules, end, failures, NOW, random.Random(seed))
    return (due - NOW).total_seconds()


def test_a_good_poll_waits_the_period_within_its_jitter() -> None:
    rules = PollRules(poll_every_s=3600, jitter=0.1)
    waits = [wait_s(rules, PollEnd.STORED, 0, seed) for seed in range(100)]
    assert 3240 <= min(waits) < 3300
    assert 3900 < max(waits) <= 3960


def test_failures_wait_five_minutes_doubling_up_to_the_period() -> None:
    waits = [wait_s(HOURLY, PollEnd.FAILED, failures) for failures in (1, 2, 3, 4, 5, 10**6)]
    assert waits == [300, 600, 1200, 2400, 3600, 3600]


def test_a_failure_never_waits_longer_than_a_success() -> None:
    assert wait_s(PollRules(poll_every_s=60, jitter=0), PollEnd.FAILED, 1) == 60


def test_a_gone_board_is_asked_once_a_day() -> None:
    assert wait_s(HOURLY, PollEnd.GONE, 3) == 86_400


def test_the_first_digest_is_due_whenever_it_is_asked_for() -> None:
    assert due_period(DigestRules(), None, NOW, NOW) == FIRST


@pytest.mark.parametrize("zone", [dt.UTC, BERLIN])
def test_a_period_is_named_by_its_local_time_and_due_once(zone: dt.tzinfo) -> None:
    rules = DigestRules(at=(dt.time(8, 0),), zone=zone)
    eight = dt.datetime(2026, 11, 23, 8, tzinfo=zone).astimezone(dt.UTC)
    just_before = eight - dt.timedelta(seconds=1)
    assert due_period(rules, "2026-11-22T08:00", LONG_AGO, just_before) is None
    assert due_period(rules, "2026-11-22T08:00", LONG_AGO, eight) == "2026-11-23T08:00"
    assert due_period(rules, "2026-11-23T08:00", LONG_AGO, eight) is None


def test_after_the_first_digest_the_next_daily_one_follows_and_not_the_one_missed() -> None:
    rules = DigestRules(at=(dt.time(8, 0), dt.time(18, 0)))
    assert due_period(rules, FIRST, NOW, NOW) is None
    evening = NOW.replace(hour=18)
    assert due_period(rules, FIRST, NOW, evening) == "2026-11-23T18:00"


def test_only_the_latest_of_several_missed_periods_is_due() -> None:
    rules = DigestRules(at=(dt.time(18, 0), dt.time(8, 0)))
    assert due_period(rules, "2026-11-20T08:00", LONG_AGO, NOW) == "2026-11-23T08:00"


def test_a_clock_set_back_makes_no_earlier_period_due() -> None:
    yesterday = NOW - dt.timedelta(days=1)
    assert due_period(DigestRules(), "2026-11-23T08:00", LONG_AGO, yesterday) is None


def test_periods_of_seconds_are_numbered_from_the_epoch() -> None:
    rules = DigestRules(every_s=10)
    moment = dt.datetime(1970, 1, 1, 0, 1, 5, tzinfo=dt.UTC)
    assert due_period(rules, "every-5", LONG_AGO, moment) is None
    first_run = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    assert due_period(rules, "every-5", first_run, moment) == "every-6"
    assert due_period(rules, "every-6", first_run, moment) is None
    assert next_period(rules, moment).id == "every-7"


def test_periods_of_seconds_compare_as_numbers_and_not_as_texts() -> None:
    rules = DigestRules(every_s=1)
    moment = dt.datetime(1970, 1, 1, 0, 0, 10, tzinfo=dt.UTC)
    start = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    assert due_period(rules, "every-9", start, moment) == "every-10"


def test_a_local_time_that_the_day_skips_is_due_once_after_the_change() -> None:
    rules = DigestRules(at=(dt.time(2, 30),), zone=BERLIN)
    change = dt.datetime(2026, 3, 29, 1, 30, tzinfo=dt.UTC)
    assert latest_period(rules, change) == Period("2026-03-29T02:30", change)
    assert latest_period(rules, change - dt.timedelta(seconds=1)).id == "2026-03-28T02:30"


def test_rules_without_any_moment_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one time"):
        DigestRules(at=())


@settings(deadline=None, max_examples=300)
@given(
    at=st.lists(
        st.times().map(lambda t: t.replace(second=0, microsecond=0)), min_size=1, max_size=4
    ),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/Santiago", "Pacific/Auckland"]),
    moment=st.datetimes(min_value=dt.datetime(2000, 1, 2), max_value=dt.datetime(2035, 1, 1)).map(
        lambda moment: moment.replace(tzinfo=dt.UTC)
    ),
)
def test_the_latest_period_is_never_ahead_and_the_next_always_is(
    at: list[dt.time], zone: str, moment: dt.datetime
) -> None:
    rules = DigestRules(at=tuple(at), zone=zoneinfo.ZoneInfo(zone))
    latest, following = latest_period(rules, moment), next_period(rules, moment)
    assert latest.due_at <= moment < following.due_at
    assert following.due_at - latest.due_at <= dt.timedelta(hours=25)
    assert latest_period(rules, following.due_at).due_at == following.due_at
