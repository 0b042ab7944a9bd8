import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobping.core.hours import Hours
from jobping.core.schedule import FARTHEST, PollRules, due_at

LONDON = Hours(first=8, last=20, zone=ZoneInfo("Europe/London"))
MOMENTS = st.datetimes(dt.datetime(2026, 1, 1), dt.datetime(2028, 1, 1), timezones=st.just(dt.UTC))


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("at", "next_at"),
    [
        ("2026-11-12T08:00", "2026-11-12T08:00"),
        ("2026-11-12T19:59", "2026-11-12T19:59"),
        ("2026-11-12T20:00", "2026-11-13T08:00"),
        ("2026-11-12T03:00", "2026-11-12T08:00"),
        ("2026-07-01T19:00", "2026-07-02T07:00"),  # summer time: 20:00 there
        ("2026-03-28T21:00", "2026-03-29T07:00"),  # over the change to it
        ("2026-10-24T21:00", "2026-10-25T08:00"),
    ],
)
def test_polls_wait_for_the_hours_of_the_sources_own_zone(at: str, next_at: str) -> None:
    assert LONDON.next_at(utc(at)) == utc(next_at)


@given(at=MOMENTS)
def test_the_next_moment_is_never_earlier_nor_outside_the_hours(at: dt.datetime) -> None:
    found = LONDON.next_at(at)
    assert dt.timedelta() <= found - at <= dt.timedelta(hours=13)
    assert 8 <= found.astimezone(LONDON.zone).hour < 20
    assert LONDON.next_at(found) == found


@pytest.mark.parametrize(("first", "last"), [(8, 8), (20, 8), (-1, 8), (8, 25)])
def test_hours_that_are_none_are_refused(first: int, last: int) -> None:
    with pytest.raises(ValueError, match="two rising ones"):
        Hours(first=first, last=last, zone=dt.UTC)


def test_a_board_is_due_within_the_hours_and_not_before_its_time() -> None:
    rules = PollRules(poll_every_s=3600.0, hours=LONDON)
    night, day = utc("2026-11-12T03:00"), utc("2026-11-12T12:00")
    assert due_at(rules, None, night) == utc("2026-11-12T08:00")
    assert due_at(rules, None, day) == day
    assert due_at(rules, utc("2026-11-12T21:00"), day) == utc("2026-11-13T08:00")
    assert due_at(rules, day + 2 * FARTHEST, day) == day
