import datetime as dt
import random
import zoneinfo

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobping.core.schedule import (
    FIRST,
    DigestHistory,
    DigestRules,
    DigestWish,
    Period,
    PollEnd,
    PollRules,
    Weekday,
    When,
    describe,
    due_in_s,
    due_period,
    give_up_at,
    latest_period,
    next_attempt,
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


def test_no_poll_comes_before_what_the_board_asks_for_and_a_day_is_enough() -> None:
    rules = PollRules(poll_every_s=3600, jitter=0.1)
    for seed in range(50):
        assert wait_s(rules.kept_from(7200.0), PollEnd.STORED, 0, seed) >= 7200
    assert rules.kept_from(60.0) == rules
    assert rules.kept_from(9e9).poll_every_s == 86_400


def test_failures_wait_five_minutes_doubling_up_to_the_period() -> None:
    waits = [wait_s(HOURLY, PollEnd.FAILED, failures) for failures in (1, 2, 3, 4, 5, 10**6)]
    assert waits == [300, 600, 1200, 2400, 3600, 3600]


def test_a_failure_never_waits_longer_than_a_success() -> None:
    assert wait_s(PollRules(poll_every_s=60, jitter=0), PollEnd.FAILED, 1) == 60


def test_a_gone_board_is_asked_once_a_day() -> None:
    assert wait_s(HOURLY, PollEnd.GONE, 3) == 86_400


def due(
    rules: DigestRules, period: str | None, since: dt.datetime, utcnow: dt.datetime, count: int = 0
) -> str | None:
    history = DigestHistory(period=period, since=since, within_day=count)
    return due_period(rules, history, utcnow)


def test_the_first_digest_is_due_whenever_it_is_asked_for() -> None:
    for when in When:
        assert due(DigestRules(when=when), None, NOW, NOW) == FIRST


@pytest.mark.parametrize("zone", [dt.UTC, BERLIN])
def test_a_period_is_named_by_its_local_time_and_due_once(zone: dt.tzinfo) -> None:
    rules = DigestRules(at=(dt.time(8, 0),), zone=zone)
    eight = dt.datetime(2026, 11, 23, 8, tzinfo=zone).astimezone(dt.UTC)
    just_before = eight - dt.timedelta(seconds=1)
    assert due(rules, "2026-11-22T08:00", LONG_AGO, just_before) is None
    assert due(rules, "2026-11-22T08:00", LONG_AGO, eight) == "2026-11-23T08:00"
    assert due(rules, "2026-11-23T08:00", LONG_AGO, eight) is None


def test_after_the_first_digest_the_next_daily_one_follows_and_not_the_one_missed() -> None:
    rules = DigestRules(at=(dt.time(8, 0), dt.time(18, 0)))
    assert due(rules, FIRST, NOW, NOW) is None
    evening = NOW.replace(hour=18)
    assert due(rules, FIRST, NOW, evening) == "2026-11-23T18:00"
    assert due_in_s(rules, DigestHistory(period=FIRST, since=NOW), NOW) == 6 * 3600
    assert due_in_s(rules, DigestHistory(period=FIRST, since=NOW), evening) == 0


def test_only_the_latest_of_several_missed_periods_is_due() -> None:
    rules = DigestRules(at=(dt.time(18, 0), dt.time(8, 0)))
    assert due(rules, "2026-11-20T08:00", LONG_AGO, NOW) == "2026-11-23T08:00"


def test_a_clock_set_back_makes_no_earlier_period_due() -> None:
    yesterday = NOW - dt.timedelta(days=1)
    assert due(DigestRules(), "2026-11-23T08:00", LONG_AGO, yesterday) is None


def test_a_weekly_digest_is_due_on_its_day_alone() -> None:
    rules = DigestRules(when=When.WEEKLY, weekday=Weekday.SUNDAY, zone=BERLIN)
    assert latest_period(rules, NOW) == Period(
        "2026-11-22T08:00", dt.datetime(2026, 11, 22, 7, tzinfo=dt.UTC)
    )
    assert next_period(rules, NOW).id == "2026-11-29T08:00"
    assert due(rules, "2026-11-22T08:00", LONG_AGO, NOW + dt.timedelta(days=4)) is None


def test_an_instant_digest_is_bundled_and_the_most_of_a_day_holds() -> None:
    rules = DigestRules(when=When.INSTANT, every_s=900, most_a_day=3)
    just = NOW + dt.timedelta(minutes=16)
    assert due(rules, "2026-11-23T11:45:00Z", NOW - dt.timedelta(minutes=8), just) == (
        "2026-11-23T12:15:00Z"
    )
    assert due(rules, "2026-11-23T12:15:00Z", LONG_AGO, just) is None
    assert due(rules, "2026-11-23T12:00:00Z", LONG_AGO, just, count=3) is None
    assert next_period(rules, just).due_at == NOW + dt.timedelta(minutes=30)


def test_a_profile_that_changes_its_kind_of_schedule_gets_the_next_period_of_the_new_one() -> None:
    instant = DigestRules(when=When.INSTANT)
    assert due(instant, "2026-11-23T08:00", NOW - dt.timedelta(hours=4), NOW) == (
        "2026-11-23T12:00:00Z"
    )
    before_eight = NOW.replace(hour=7)
    assert due(DigestRules(), "2026-11-23T06:45:00Z", before_eight, NOW) == "2026-11-23T08:00"


def test_a_wish_of_a_profile_replaces_what_it_names_and_nothing_else() -> None:
    rules = DigestRules(at=(dt.time(7, 0),), zone=BERLIN, send_empty=True)
    assert DigestWish().over(rules) == rules
    wish = DigestWish(when=When.WEEKLY, weekday=Weekday.FRIDAY, send_empty=False)
    assert wish.over(rules) == attrs.evolve(
        rules, when=When.WEEKLY, weekday=Weekday.FRIDAY, send_empty=False
    )
    assert not DigestRules(when=When.INSTANT, send_empty=True).sends_empty


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        (DigestRules(), "daily at 08:00 (UTC)"),
        (
            DigestRules(when=When.WEEKLY, at=(dt.time(18, 0), dt.time(7, 5)), zone=BERLIN),
            "weekly on Monday at 07:05 and 18:00 (Europe/Berlin)",
        ),
        (DigestRules(when=When.INSTANT), "bundled over 15 minutes, at most 12 in 24 hours"),
    ],
)
def test_rules_are_said_in_words(rules: DigestRules, words: str) -> None:
    assert describe(rules) == words


def test_a_local_time_that_the_day_skips_is_due_when_the_clocks_change() -> None:
    rules = DigestRules(at=(dt.time(2, 30),), zone=BERLIN)
    change = dt.datetime(2026, 3, 29, 1, 0, tzinfo=dt.UTC)
    assert latest_period(rules, change) == Period("2026-03-29T02:30", change)
    assert latest_period(rules, change - dt.timedelta(seconds=1)).id == "2026-03-28T02:30"


def test_a_local_time_that_comes_twice_is_due_at_the_first_and_only_then() -> None:
    rules = DigestRules(at=(dt.time(2, 30),), zone=BERLIN)
    first = dt.datetime(2026, 10, 25, 0, 30, tzinfo=dt.UTC)
    assert latest_period(rules, first) == Period("2026-10-25T02:30", first)
    second = first + dt.timedelta(hours=1)
    assert due(rules, "2026-10-25T02:30", first, second) is None
    assert next_period(rules, first).id == "2026-10-26T02:30"


def test_a_day_that_a_place_left_out_has_its_digest_when_it_is_over() -> None:
    apia = zoneinfo.ZoneInfo("Pacific/Apia")  # 30 December 2011 never came there
    rules = DigestRules(when=When.WEEKLY, weekday=Weekday.FRIDAY, zone=apia)
    change = dt.datetime(2011, 12, 30, 10, tzinfo=dt.UTC)
    assert latest_period(rules, change) == Period("2011-12-30T08:00", change)


def test_rules_without_any_moment_are_refused() -> None:
    with pytest.raises(ValueError, match="at"):
        DigestRules(at=())


def test_attempts_wait_a_minute_doubling_up_to_an_hour() -> None:
    waits = [(next_attempt(n, NOW) - NOW).total_seconds() for n in (1, 2, 3, 6, 7, 10**6)]
    assert waits == [60, 120, 240, 1920, 3600, 3600]


def test_a_digest_is_given_up_when_the_next_is_due_or_a_day_is_over() -> None:
    twice = DigestRules(at=(dt.time(8, 0), dt.time(18, 0)))
    day = NOW + dt.timedelta(days=1)
    assert give_up_at(twice, NOW) == NOW.replace(hour=18)
    assert give_up_at(DigestRules(when=When.WEEKLY), NOW) == day
    assert give_up_at(DigestRules(when=When.INSTANT), NOW) == day


ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/Santiago", "Pacific/Auckland", "Australia/Lord_Howe",
     "Africa/Casablanca", "Asia/Kathmandu"]
).map(zoneinfo.ZoneInfo)  # fmt: skip
TIMES = st.times().map(lambda time: time.replace(second=0, microsecond=0))
MOMENTS = st.datetimes(min_value=dt.datetime(2000, 1, 2), max_value=dt.datetime(2035, 1, 1)).map(
    lambda moment: moment.replace(tzinfo=dt.UTC)
)
CHANGES = st.sampled_from(
    [dt.datetime(2026, *rest, tzinfo=dt.UTC) for rest in ((3, 29, 1), (10, 25, 1), (4, 4, 14),
     (9, 26, 14), (4, 5, 3), (9, 6, 4), (2, 15, 2), (3, 22, 2))]
)  # fmt: skip
NEAR_CHANGES = st.builds(
    lambda change, minutes: change + dt.timedelta(minutes=minutes),
    CHANGES,
    st.integers(-2000, 2000),
)
CALENDAR = st.builds(
    DigestRules,
    when=st.sampled_from([When.DAILY, When.WEEKLY]),
    at=st.lists(TIMES, min_size=1, max_size=4).map(tuple),
    weekday=st.sampled_from(Weekday),
    zone=ZONES,
)


@settings(deadline=None, max_examples=300)
@given(
    rules=CALENDAR | st.builds(DigestRules, when=st.just(When.INSTANT)),
    moment=MOMENTS | NEAR_CHANGES,
)
def test_the_latest_period_is_never_ahead_and_the_next_always_is(
    rules: DigestRules, moment: dt.datetime
) -> None:
    latest, following = latest_period(rules, moment), next_period(rules, moment)
    assert latest.due_at <= moment < following.due_at
    longest = {When.INSTANT: dt.timedelta(minutes=15), When.DAILY: dt.timedelta(hours=25)}
    assert following.due_at - latest.due_at <= longest.get(
        rules.when, dt.timedelta(days=7, hours=1)
    )
    assert latest_period(rules, following.due_at).due_at == following.due_at


@settings(deadline=None, max_examples=60)
@given(rules=CALENDAR, start=NEAR_CHANGES)
def test_every_local_time_of_a_fortnight_has_one_digest_across_changes_of_the_clocks(
    rules: DigestRules, start: dt.datetime
) -> None:
    start -= dt.timedelta(minutes=start.minute % 15)
    quarters = {at.replace(minute=at.minute // 15 * 15) for at in rules.at}
    rules = attrs.evolve(rules, at=tuple(quarters))
    history, got = DigestHistory(period=FIRST, since=start), list[str]()
    for number in range(14 * 96):
        look = start + number * dt.timedelta(minutes=15)
        period = due_period(rules, history, look)
        if period is not None:
            got.append(period)
            history = DigestHistory(period=period, since=look)
    first, last = start.astimezone(rules.zone).date(), look.astimezone(rules.zone).date()
    days = [first + dt.timedelta(days=n) for n in range(1, (last - first).days)]
    wanted = {
        dt.datetime.combine(day, at, tzinfo=rules.zone)
        for day in days
        for at in rules.at
        if rules.when is When.DAILY or list(Weekday)[day.weekday()] is rules.weekday
    }
    there = {f"{local:%Y-%m-%dT%H:%M}" for local in wanted if not is_skipped(local)}
    assert len(set(got)) == len(got)
    assert there <= set(got)
    assert got == sorted(got)


def is_skipped(local: dt.datetime) -> bool:
    """Whether no clock shows this time: it does not come back from UTC."""
    back = local.astimezone(dt.UTC).astimezone(local.tzinfo)
    return back.replace(tzinfo=None) != local.replace(tzinfo=None)
