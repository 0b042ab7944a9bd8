"""Dates as the sources write them, to aware UTC with what can be trusted of them."""

import datetime as dt
import re
from email.utils import parsedate_to_datetime

import attrs

from jobping.core.posting import PostingDraft, Precision
from jobping.core.text import clean_line

EARLIEST = dt.datetime(1990, 1, 1, tzinfo=dt.UTC)
"""Before this a date is a mistake: no board existed."""


@attrs.frozen(kw_only=True)
class When:
    """A moment as a source stated it.

    Attributes:
        at: Aware UTC, or None where it could not be read.
        raw: As the source wrote it; empty where it wrote nothing.
    """

    at: dt.datetime | None = None
    raw: str = ""
    precision: Precision = Precision.NONE


def iso(text: str | None, *, precision: Precision = Precision.EXACT) -> When:
    """Read ISO 8601, also with a blank and `UTC` as Recruitee writes it.

    Without a zone UTC is assumed and the precision is no better than a date.
    """
    raw = clean_line((text or "")[:100])
    try:
        at = dt.datetime.fromisoformat(raw.removesuffix("UTC").strip())
    except ValueError:
        return When(raw=raw)
    if at.tzinfo is None and not raw.endswith("UTC"):
        precision = Precision.DATE if precision is Precision.EXACT else precision
    return _when(at.replace(tzinfo=at.tzinfo or dt.UTC), raw, precision)


def epoch(value: int | float | None, *, unit_s: float = 1.0) -> When:
    """Read a count since 1970; `unit_s` is 0.001 for milliseconds, and is never guessed."""
    if not value:
        return When()
    try:
        at = dt.datetime.fromtimestamp(value * unit_s, tz=dt.UTC)
    except (ValueError, OverflowError, OSError):
        return When(raw=str(value))
    return _when(at, str(value), Precision.EXACT)


def rfc2822(text: str | None) -> When:
    """Read a date as mails and RSS write it, such as `Fri, 11 Sep 2026 07:30:48 +0000`."""
    raw = clean_line((text or "")[:100])
    try:
        at = parsedate_to_datetime(raw)
    except (ValueError, IndexError, OverflowError):
        return When(raw=raw)
    return _when(at if at.tzinfo else at.replace(tzinfo=dt.UTC), raw, Precision.EXACT)


def day_first(text: str | None) -> When:
    """Read a date such as `05/11/2026`, the day before the month."""
    raw = clean_line((text or "")[:100])
    try:
        at = dt.datetime.strptime(raw, "%d/%m/%Y").replace(tzinfo=dt.UTC)
    except ValueError:
        return When(raw=raw)
    return _when(at, raw, Precision.DATE)


_AGO = re.compile(r"(?:posted )?(?:(today)|(yesterday)|(\d{1,3}) days? ago)", re.I)


def relative(text: str | None, fetched_at: dt.datetime) -> When:
    """Read a text such as `Posted 3 Days Ago`; another language, or `30+`, leaves the raw text."""
    raw = clean_line((text or "")[:100])
    found = _AGO.fullmatch(raw)
    if found is None:
        return When(raw=raw)
    days = 0 if found.group(1) else int(found.group(3) or 1)
    day = fetched_at.astimezone(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return _when(day - dt.timedelta(days=days), raw, Precision.RELATIVE)


def end_of(moment: When) -> dt.datetime | None:
    """Return when something ends; a day without time counts whole."""
    is_day = moment.at is not None and moment.precision is Precision.DATE
    return moment.at + dt.timedelta(days=1) if moment.at and is_day else moment.at


def first(*moments: When) -> When:
    """Return the first moment that could be read, else the first that said anything."""
    spoken = [moment for moment in moments if moment.raw]
    return next((moment for moment in spoken if moment.at), spoken[0] if spoken else When())


def posted(draft: PostingDraft, moment: When, fetched_at: dt.datetime) -> PostingDraft:
    """Return the draft with its date, never later than when the page was fetched."""
    return attrs.evolve(
        draft,
        posted_at=min(moment.at, fetched_at) if moment.at else None,
        posted_precision=moment.precision,
        posted_raw=moment.raw,
    )


def _when(at: dt.datetime, raw: str, precision: Precision) -> When:
    """Return the moment in UTC; one out of any sense keeps its raw text only."""
    try:
        utc = at.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return When(raw=raw)
    return When(at=utc, raw=raw, precision=precision) if utc >= EARLIEST else When(raw=raw)
