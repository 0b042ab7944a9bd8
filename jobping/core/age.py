"""How old something is, as people say it."""

import datetime as dt
from typing import Final

_MONTHS: Final = "Jan,Feb,Mar,Apr,May,Jun,Jul,Aug,Sep,Oct,Nov,Dec"


def age_of(moment: dt.datetime, now: dt.datetime) -> dt.timedelta:
    """Return the time since a moment; 0 where it is still to come."""
    return max(now - moment, dt.timedelta(0))


def ago(moment: dt.datetime, now: dt.datetime) -> str:
    """Return `just now`, `3 hours ago`, `yesterday`, `12 days ago` or `5 months ago`."""
    age = age_of(moment, now)
    hours, days = age // dt.timedelta(hours=1), age.days
    if hours < 1:
        return "just now"
    if days < 1:
        return "1 hour ago" if hours == 1 else f"{hours} hours ago"
    if days == 1:
        return "yesterday"
    if days < 60:
        return f"{days} days ago"
    return f"{days // 30} months ago" if days < 730 else f"{days // 365} years ago"


def day(moment: dt.datetime) -> str:
    """Return the UTC day as `3 Nov 2026`, the same under every locale."""
    utc = moment.astimezone(dt.UTC)
    return f"{utc.day} {_MONTHS[4 * utc.month - 4 : 4 * utc.month - 1]} {utc.year}"


def day_ago(seen: dt.date, now: dt.datetime) -> str:
    """Return `today`, `yesterday` or `3 days ago`, by days of UTC."""
    days = (now.astimezone(dt.UTC).date() - seen).days
    return f"{days} days ago" if days > 1 else "yesterday" if days == 1 else "today"


def minute(moment: dt.datetime) -> str:
    """Return the UTC minute as `3 Nov 2026 08:05`."""
    return f"{day(moment)} {moment.astimezone(dt.UTC):%H:%M}"
