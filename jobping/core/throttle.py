"""The text of Retry-After as seconds, or nothing.

Source:
    RFC 9110, sections 10.2.3 (Retry-After) and 5.6.7 (the three forms of an HTTP-date).
"""

import datetime as dt
import math
import re
from typing import Final

MAX_DIGITS: Final = 18
BEYOND: Final = math.inf
"""A wait above any maximum: too many digits, or a year that no calendar has."""

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_TIME = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_MONTH = r"(?P<month>[A-Za-z]{3})"
_FORMS = (
    re.compile(rf"[A-Za-z]{{3}}, (?P<day>\d\d) {_MONTH} (?P<year>\d{{4,}}) {_TIME} GMT", re.ASCII),
    re.compile(rf"[A-Za-z]{{6,9}}, (?P<day>\d\d)-{_MONTH}-(?P<year>\d\d) {_TIME} GMT", re.ASCII),
    re.compile(rf"[A-Za-z]{{3}} {_MONTH} (?P<day>[ \d]\d) {_TIME} (?P<year>\d{{4,}})", re.ASCII),
)


def retry_after_s(fields: tuple[str, ...], date: str | None, utcnow: dt.datetime) -> float | None:
    """Return the wait that a response asks for.

    Args:
        fields: The raw Retry-After fields; a date's comma is no separator.
        date: The raw Date field: dates count from it, for a site's clock may be wrong.
        utcnow: Our clock, aware UTC; used where there is no valid Date.

    Returns:
        Seconds, 0 or more, `BEYOND` above every maximum; the longest of several valid fields; None
        where there is none. A sign, a fraction, junk or a date that has passed is not valid.
    """
    asked_at = None if date is None else parse_date(date, utcnow)
    base = asked_at if isinstance(asked_at, dt.datetime) else utcnow
    waits = [wait for wait in (_wait_s(field, base) for field in fields) if wait is not None]
    return max(waits, default=None)


def _wait_s(field: str, base: dt.datetime) -> float | None:
    text = field.strip(" \t")
    if text.isascii() and text.isdigit():
        return float(text) if len(text) <= MAX_DIGITS else BEYOND
    until = parse_date(text, base)
    if until is None:
        return None
    if not isinstance(until, dt.datetime):
        return BEYOND
    wait_s = (until - base).total_seconds()
    return wait_s if wait_s >= 0 else None


class BeyondCalendar:
    """A well-formed date whose year no calendar here can hold."""


def parse_date(text: str, utcnow: dt.datetime) -> dt.datetime | BeyondCalendar | None:
    """Read an HTTP-date in any of its three forms.

    Args:
        utcnow: Aware UTC; a two-digit year more than 50 years ahead of it lies in the past.

    Returns:
        Aware UTC; `BeyondCalendar` for a year after 9999; None for anything else.
    """
    for form in _FORMS:
        found = form.fullmatch(text.strip(" \t"))
        if found is not None:
            return _moment(found.groupdict(), utcnow)
    return None


def _moment(parts: dict[str, str], utcnow: dt.datetime) -> dt.datetime | BeyondCalendar | None:
    if parts["month"].lower() not in _MONTHS:
        return None
    if len(parts["year"].lstrip("0")) > 4:
        return BeyondCalendar()
    try:
        return dt.datetime(
            _year(parts["year"], utcnow),
            _MONTHS.index(parts["month"].lower()) + 1,
            int(parts["day"]),
            int(parts["hour"]),
            int(parts["minute"]),
            _second(parts["second"]),
            tzinfo=dt.UTC,
        )
    except ValueError:
        return None


def _second(text: str) -> int:
    return 59 if text == "60" else int(text)  # a leap second is valid, but not for datetime


def _year(text: str, utcnow: dt.datetime) -> int:
    if len(text) > 2:
        return int(text)
    year = utcnow.year - utcnow.year % 100 + int(text)
    return year - 100 if year > utcnow.year + 50 else year
