"""Boards, the routes that read them, and what a complete walk proves."""

import datetime as dt
import enum

import attrs

from jobping.core.ids import BoardId, Domain, SourceName


class Coverage(enum.Enum):
    """What a complete walk of a board lists.

    Attributes:
        EACH: Postings one by one: each answer speaks of its own posting, absence of none.
    """

    WHOLE = "whole"
    NEWEST = "newest"
    QUERY = "query"
    EACH = "each"


class Route(enum.Enum):
    """A way to read a board; backfill has none."""

    RELIABLE = "reliable"
    INDIVIDUAL = "individual"


class Origin(enum.Enum):
    """Who put a board or a profile into the database, and so where it can be changed."""

    DEFAULT = "default"
    FILE = "file"
    COMMAND = "command"


@attrs.frozen(kw_only=True, order=True)
class Board:
    """One company's or category's list at a source.

    Attributes:
        slug: The source's name for it, checked against the source's pattern.
        company: The company's name where the answers of the source have none; else None.
        standby: Polled only while the other boards find too little; see `core.supply`.
    """

    source: SourceName
    slug: str
    company: str | None = None
    standby: bool = False


@attrs.frozen(kw_only=True)
class StoredBoard:
    """A board as the store holds it.

    Attributes:
        polled_at: The last poll whose postings were stored; None before the first.
        next_due_at: When it is due again; None: now.
        failures: Polls in a row that brought nothing.
        outcome: The end of the last walk in one word, or None.
        counts: Postings that the last good walks listed, the latest last.
        suspect_since: When it began to list hardly any of them, or None; see `core.emptiness`.
    """

    id: BoardId
    board: Board
    domain: Domain
    origin: Origin
    polled_at: dt.datetime | None = None
    next_due_at: dt.datetime | None = None
    failures: int = 0
    outcome: str | None = None
    counts: tuple[int, ...] = ()
    suspect_since: dt.datetime | None = None
