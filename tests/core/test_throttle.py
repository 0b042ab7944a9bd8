import datetime as dt
import email.utils

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobping.core.throttle import (
    BEYOND,
    NO_HINTS,
    Hint,
    Hints,
    moved_hints,
    read_hints,
    retry_after_s,
)

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


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(st.datetimes(min_value=dt.datetime(1995, 1, 1), max_value=dt.datetime(2090, 1, 1)))
def test_every_date_that_a_server_may_write_is_read_to_the_second(moment: dt.datetime) -> None:
    until = moment.replace(microsecond=0, tzinfo=dt.UTC)
    text = email.utils.format_datetime(until, usegmt=True)
    assert retry_after_s((text,), None, NOW) == (until - NOW).total_seconds()


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(st.text(max_size=60))
def test_no_text_raises_or_gives_a_negative_wait(text: str) -> None:
    wait = retry_after_s((text,), text, NOW)
    assert wait is None or wait >= 0


# --- hints


WHEN = dt.datetime(2026, 3, 10, tzinfo=dt.UTC)
EPOCH = int(WHEN.timestamp())


def hinted(*headers: tuple[str, str]) -> Hints:
    return read_hints(headers, WHEN)


@pytest.mark.parametrize(
    ("field", "windows"),
    [
        ('"default";r=0;t=30', (Hint(0, 30),)),
        ('"default";r=50;t=30, "day" ; r=0 ; t=7200', (Hint(50, 30), Hint(0, 7200))),
        ('"a, b";r=1;t=2;pk=:Yq==:', (Hint(1, 2),)),
        ("token;r=9;t=1", (Hint(9, 1),)),
        ('"default";r=5', ()),
        ('"default";t=5', ()),
        ('"default";r=-1;t=5', ()),
        ('"default";r=1.5;t=5', ()),
        ('"default";r=0;t=30, nonsense here', ()),
        ("limit=100, remaining=0, reset=5", ()),
        ("0", ()),
        ("", ()),
    ],
)
def test_structured_field_is_read_item_by_item_or_not_at_all(
    field: str, windows: tuple[Hint, ...]
) -> None:
    assert hinted(("ratelimit", field)) == Hints(windows)


@pytest.mark.parametrize("prefix", ["ratelimit", "x-ratelimit"])
@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        ("30", 30),
        (str(EPOCH + 40), 40),
        (str((EPOCH + 50) * 1000), 50),
        (str(EPOCH - 40), 0),
        ("Tue, 10 Mar 2026 00:01:00 GMT", 60),
        ("Mon, 09 Mar 2026 00:01:00 GMT", 0),
        ("Tue, 10 Mar 99999 00:01:00 GMT", BEYOND),
    ],
)
def test_reset_is_read_as_seconds_epoch_or_date(prefix: str, reset: str, seconds: float) -> None:
    fields = ((f"{prefix}-remaining", "0"), (f"{prefix}-reset", reset))
    assert hinted(*fields) == Hints((Hint(0, seconds),))


@pytest.mark.parametrize("reset", ["12ms", "", "-5", "1.5", "soon"])
def test_reset_that_is_none_of_them_is_ignored(reset: str) -> None:
    assert hinted(("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", reset)) == NO_HINTS


def test_epochs_and_dates_count_from_the_sites_own_clock() -> None:
    date = ("date", "Tue, 10 Mar 2026 01:00:00 GMT")
    fields = (("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", str(EPOCH + 3610)))
    assert hinted(date, *fields) == Hints((Hint(0, 10),))


def test_hints_of_a_cached_answer_are_ignored() -> None:
    fields = (("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "9"))
    assert hinted(*fields, ("age", "7")) == NO_HINTS
    assert hinted(*fields, ("age", "0")) == Hints((Hint(0, 9),))


def test_figures_of_a_plan_are_no_window() -> None:
    fields = (
        ("x-ratelimit-requests-limit", "200"),
        ("x-ratelimit-requests-remaining", "12"),
        ("x-ratelimit-requests-reset", "2000000"),
    )
    assert hinted(*fields) == Hints((), 12)


def test_longest_of_the_windows_with_nothing_left_counts() -> None:
    assert Hints((Hint(0, 5), Hint(0, 60), Hint(3, 900))).exhausted_s == 60
    assert Hints((Hint(3, 900),)).exhausted_s is None


def test_redirect_may_ask_for_a_pause() -> None:
    assert moved_hints((("retry-after", "30"),), WHEN) == Hints((Hint(0, 30),))
    assert moved_hints((), WHEN) == NO_HINTS


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(
    st.sampled_from(["ratelimit", "x-ratelimit-remaining", "x-ratelimit-reset", "age", "date"]),
    st.text(max_size=60) | st.from_regex(r'("[a-z]*"|[a-z]+)(;[rt]=\d{1,25}){0,3}', fullmatch=True),
)
def test_no_field_raises_or_names_a_negative_wait(name: str, text: str) -> None:
    fields = (("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "9"), (name, text))
    assert all(hint.reset_s >= 0 for hint in hinted(*fields).windows)
