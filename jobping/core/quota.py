"""Quotas over calendar windows: so many requests a minute, hour, day, week or month.

Pure. A window is counted from its own calendar, in the quota's zone: weeks begin on Monday, months
on their first. A wall clock set back changes no window.
"""

import datetime as dt
import enum
from collections.abc import Iterable, Sequence
from typing import assert_never

import attrs


class Span(enum.StrEnum):
    """The windows that a quota can be counted over."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@attrs.frozen
class Quota:
    """At most `most` requests in each `span`.

    Raises:
        ValueError: `most` is negative.
    """

    span: Span
    most: int = attrs.field(validator=attrs.validators.ge(0))


@attrs.frozen
class Window:
    """What was used of a quota in the current window.

    Attributes:
        ends_at: Aware UTC; None: none has begun.
    """

    span: Span
    used: int = 0
    ends_at: dt.datetime | None = None


Windows = tuple[Window, ...]
"""One for each quota, in their order."""


def strictest(quotas: Iterable[Quota]) -> tuple[Quota, ...]:
    """Return one quota for each span that is named, the smallest, in the order of the spans."""
    named = tuple(quotas)
    spans = [span for span in Span if any(quota.span is span for quota in named)]
    return tuple(
        min((quota for quota in named if quota.span is span), key=lambda quota: quota.most)
        for span in spans
    )


def windows_of(quotas: Sequence[Quota], kept: Sequence[Window] = ()) -> Windows:
    """Return the windows of some quotas, going on with those that are kept for the same span."""
    known = {window.span: window for window in kept}
    return tuple(known.get(quota.span, Window(quota.span)) for quota in quotas)


def turn(windows: Windows, utcnow: dt.datetime, zone: dt.tzinfo) -> Windows:
    """Return the windows with those begun anew whose end the wall clock has reached."""
    if all(window.ends_at is not None and utcnow < window.ends_at for window in windows):
        return windows
    return tuple(
        window
        if window.ends_at is not None and utcnow < window.ends_at
        else Window(window.span, 0, end_of(window.span, utcnow, zone))
        for window in windows
    )


def charge(windows: Windows, cost: int) -> Windows:
    """Return the windows with a grant counted in each."""
    return tuple(Window(window.span, window.used + cost, window.ends_at) for window in windows)


def refund(windows: Windows, charged: Windows, cost: int) -> Windows:
    """Return the windows without a grant, in those that have not ended since it was charged."""
    ends = {window.span: window.ends_at for window in charged}
    return tuple(
        attrs.evolve(window, used=max(0, window.used - cost))
        if ends.get(window.span) == window.ends_at
        else window
        for window in windows
    )


def exhausted_until(
    quotas: Sequence[Quota], windows: Windows, cost: int, utcnow: dt.datetime, zone: dt.tzinfo
) -> dt.datetime | None:
    """Return the latest end among the windows that have no room for a request, or None.

    Ends are the next ones after the wall clock, by the calendar.
    """
    full = [
        end_of(quota.span, utcnow, zone)
        for quota, window in zip(quotas, windows, strict=True)
        if window.used + cost > quota.most
    ]
    return max(full, default=None)


def spread_s(quotas: Sequence[Quota], windows: Windows, since: dt.datetime, requests: int) -> float:
    """Return the pause after which some requests leave the rest of every quota spread evenly.

    That is (rest of the window) / (rest of the quota) for each request, both as they were before.

    Args:
        since: When the requests were made, aware UTC.
        requests: How many they were; they are counted in the windows.
    """
    pauses = [0.0]
    for quota, window in zip(quotas, windows, strict=True):
        if window.ends_at is not None:
            left_s = max(0.0, (window.ends_at - since).total_seconds())
            left = max(1, quota.most - window.used + requests)
            pauses.append(left_s * min(1.0, requests / left))
    return max(pauses)


def leave_at_most(quotas: Sequence[Quota], windows: Windows, span: Span, left: int) -> Windows:
    """Return the windows with no more than so much left of one quota; others stay."""
    return tuple(
        attrs.evolve(window, used=max(window.used, quota.most - left))
        if window.span is span
        else window
        for quota, window in zip(quotas, windows, strict=True)
    )


def end_of(span: Span, utcnow: dt.datetime, zone: dt.tzinfo) -> dt.datetime:
    """Return the end of the window that the wall clock stands in, aware UTC, by the calendar.

    A day may have 23 or 25 hours; where midnight does not exist the day begins at the change.
    """
    local = utcnow.astimezone(zone)
    past = dt.timedelta(seconds=local.second, microseconds=local.microsecond)
    match span:
        case Span.MINUTE:
            return utcnow - past + dt.timedelta(minutes=1)
        case Span.HOUR:
            return utcnow - past + dt.timedelta(minutes=60 - local.minute)
        case Span.DAY:
            first = local.date() + dt.timedelta(days=1)
        case Span.WEEK:
            first = local.date() + dt.timedelta(days=7 - local.weekday())
        case Span.MONTH:
            first = (local.date().replace(day=1) + dt.timedelta(days=31)).replace(day=1)
        case _:
            assert_never(span)
    return dt.datetime.combine(first, dt.time(), tzinfo=zone).astimezone(dt.UTC)
