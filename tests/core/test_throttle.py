import datetime as dt
import email.utils

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobping.core.throttle import BEYOND, retry_after_s

NOW = dt.datetime(1994, 11, 6, 8, 49, 37, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("field", "seconds"),
    [
        ("120", 120),
        (" 120\t", 120),
        ("0", 0),
        ("000000000000000007", 7),
        ("9999999999", 9_999_999_999),
        ("1" * 19, BEYOND),
        ("9" * 5000, BEYOND),
        ("Sun, 06 Nov 1994 08:50:07 GMT", 30),
        ("Sunday, 06-Nov-94 08:50:07 GMT", 30),
        ("Sun Nov  6 08:50:07 1994", 30),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
        ("Sun, 06 Nov 1994 08:49:60 GMT", 22),
        ("Sun, 06 Nov 99999 08:49:37 GMT", BEYOND),
    ],
)
def test_a_valid_wait_is_read_in_every_form(field: str, seconds: float) -> None:
    assert retry_after_s((field,), None, NOW) == seconds


@pytest.mark.parametrize(
    "field",
    [
        "", "-1", "+5", "1.5", "1_000", "٣٠", "12ms", "soon", "1, 30",
        "Sun, 06 Nov 1994 08:49:36 GMT", "Sun, 06 Nov 1994 08:50:07 CET",
        "Sun, 31 Feb 1995 08:50:07 GMT", "Sun, 06 Foo 1995 08:50:07 GMT",
        "Sun, 06 Nov 1995 08:50:61 GMT", "Sun, 06 Nov 1995 25:50:07 GMT",
    ],
)  # fmt: skip
def test_anything_else_is_no_wait(field: str) -> None:
    assert retry_after_s((field,), None, NOW) is None


def test_the_longest_of_several_valid_fields_counts() -> None:
    assert retry_after_s(("5", "junk", "60", "7"), None, NOW) == 60
    assert retry_after_s((), None, NOW) is None


def test_a_date_counts_from_the_sites_own_clock_where_it_says_so() -> None:
    an_hour_fast = "Sun, 06 Nov 1994 09:49:37 GMT"
    assert retry_after_s(("Sun, 06 Nov 1994 09:50:07 GMT",), an_hour_fast, NOW) == 30
    assert retry_after_s(("Sun, 06 Nov 1994 09:50:07 GMT",), "nonsense", NOW) == 3630
    assert retry_after_s(("45",), an_hour_fast, NOW) == 45


def test_a_two_digit_year_far_ahead_lies_in_the_past() -> None:
    assert retry_after_s(("Monday, 06-Nov-70 08:50:07 GMT",), None, NOW) is None
    late = dt.datetime(2049, 12, 31, 23, 59, tzinfo=dt.UTC)
    assert retry_after_s(("Saturday, 01-Jan-50 00:00:00 GMT",), None, late) == 60


@given(st.datetimes(min_value=dt.datetime(1995, 1, 1), max_value=dt.datetime(2090, 1, 1)))
def test_every_date_that_a_server_may_write_is_read_to_the_second(moment: dt.datetime) -> None:
    until = moment.replace(microsecond=0, tzinfo=dt.UTC)
    text = email.utils.format_datetime(until, usegmt=True)
    assert retry_after_s((text,), None, NOW) == (until - NOW).total_seconds()


@given(st.text(max_size=60))
def test_no_text_raises_or_gives_a_negative_wait(text: str) -> None:
    wait = retry_after_s((text,), text, NOW)
    assert wait is None or wait >= 0
