"""Dates as the sources write them, to aware UTC with what can be trusted of them."""

import datetime as dt

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
