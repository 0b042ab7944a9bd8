"""What a site says of its limits, from header texts: Retry-After, RateLimit, X-RateLimit.

Source:
    RFC 9110, sections 10.2.3 (Retry-After) and 5.6.7 (the three forms of an HTTP-date);
    draft-ietf-httpapi-ratelimit-headers (RateLimit: each item has `r` left for `t` seconds). The
    older fields have no standard; of their resets we read seconds, epochs and dates.
"""

import datetime as dt
import math
import re
from collections.abc import Sequence
from typing import Final

import attrs

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


Headers = Sequence[tuple[str, str]]
"""Fields with lower-case names, in order, repeated ones repeated."""

EPOCH_S: Final = 10**9
EPOCH_MS: Final = 10**12
_NAME = r"(?:\"[^\"]*\"|[A-Za-z*][^\s\",;]*)"
_PARAMETER = r"[ \t]*;[ \t]*(?P<{0}>[a-z*][a-z0-9_.*-]*)(?:=(?P<{1}>\"[^\"]*\"|[^\s\",;]+))?"
_ANY_PARAMETER = _PARAMETER.replace("?P<{0}>", "?:").replace("?P<{1}>", "?:")
_ITEM = re.compile(rf"[ \t]*(?P<name>{_NAME})(?P<parameters>(?:{_ANY_PARAMETER})*)[ \t]*(?:,|$)")
_ONE_PARAMETER = re.compile(_PARAMETER.format("key", "value"))
_REMAINING = (
    ("ratelimit-remaining", "ratelimit-reset"),
    ("x-ratelimit-remaining", "x-ratelimit-reset"),
)
_PLAN_REMAINING = "x-ratelimit-requests-remaining"  # RapidAPI: a plan's day or month, no window


@attrs.frozen
class Hint:
    """So many requests are left until a window ends in so many seconds."""

    remaining: int
    reset_s: float


@attrs.frozen
class Hints:
    """What an answer says of the site's limits.

    Attributes:
        windows: One for each window that it names.
        plan_left: Requests that the plan of an API key leaves, or None.
    """

    windows: tuple[Hint, ...] = ()
    plan_left: int | None = None

    @property
    def exhausted_s(self) -> float | None:
        """Seconds until the last of the windows ends that have nothing left; None: none such."""
        return max((hint.reset_s for hint in self.windows if hint.remaining <= 0), default=None)


NO_HINTS: Final = Hints()


def read_hints(headers: Headers, utcnow: dt.datetime) -> Hints:
    """Read every field that says what is left; what is malformed is ignored.

    Args:
        utcnow: Our clock, aware UTC; epochs and dates count from the Date field where there is one.
    """
    if not any("ratelimit" in name for name, _ in headers) or _is_cached(headers):
        return NO_HINTS
    base = _base(_first(headers, "date"), utcnow)
    windows = [hint for field in _fields(headers, "ratelimit") for hint in _structured(field)]
    for remaining_name, reset_name in _REMAINING:
        counts = [_count(field) for field in _fields(headers, remaining_name)]
        resets = [_reset_s(field, base) for field in _fields(headers, reset_name)]
        known = [count for count in counts if count is not None]
        waits = [wait for wait in resets if wait is not None]
        if known and waits:
            windows.append(Hint(min(known), max(waits)))
    plan = [_count(field) for field in _fields(headers, _PLAN_REMAINING)]
    return Hints(tuple(windows), min((left for left in plan if left is not None), default=None))


def moved_hints(headers: Headers, utcnow: dt.datetime) -> Hints:
    """Read the Retry-After of a redirect: it asks for a pause, and is no refusal."""
    after_s = retry_after_s(_fields(headers, "retry-after"), _first(headers, "date"), utcnow)
    return NO_HINTS if after_s is None else Hints((Hint(0, after_s),))


def _is_cached(headers: Headers) -> bool:
    return any(_count(field) for field in _fields(headers, "age"))


def _fields(headers: Headers, name: str) -> tuple[str, ...]:
    return tuple(value for key, value in headers if key == name)


def _first(headers: Headers, name: str) -> str | None:
    return next(iter(_fields(headers, name)), None)


def _count(field: str) -> int | None:
    text = field.strip(" \t")
    if not (text.isascii() and text.isdigit()):
        return None
    return int(text[: MAX_DIGITS + 1])


def _reset_s(field: str, base: dt.datetime) -> float | None:
    count = _count(field)
    if count is None:
        until = parse_date(field, base)
        if isinstance(until, BeyondCalendar):
            return BEYOND
        return None if until is None else max(0.0, (until - base).total_seconds())
    if count > EPOCH_MS:
        return max(0.0, count / 1000 - base.timestamp())
    return max(0.0, count - base.timestamp()) if count > EPOCH_S else float(count)


def _structured(field: str) -> list[Hint]:
    """Read a RateLimit field: one malformed item spoils it, one without `t` says nothing."""
    hints: list[Hint] = []
    place = 0
    while place < len(field):
        item = _ITEM.match(field, place)
        if item is None:
            return []
        place = item.end()
        values = {
            found["key"]: found["value"] or ""
            for found in _ONE_PARAMETER.finditer(item["parameters"])
        }
        remaining, reset = _count(values.get("r", "")), _count(values.get("t", "0"))
        if remaining is None or reset is None:
            return []
        if "t" in values:
            hints.append(Hint(remaining, float(reset)))
    return hints


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
    base = _base(date, utcnow)
    waits = [wait for wait in (_wait_s(field, base) for field in fields) if wait is not None]
    return max(waits, default=None)


def _base(date: str | None, utcnow: dt.datetime) -> dt.datetime:
    """Return the moment from which an answer's dates count."""
    asked_at = None if date is None else parse_date(date, utcnow)
    return asked_at if isinstance(asked_at, dt.datetime) else utcnow


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
