"""When a posting is closed: what its absence proves, and what holds it open.

A posting is closed when two complete answers in a row of a whole board lack it. When most of a
board would be closed at once it is held: the board may have answered wrongly in a known shape. What
stays away for a day, in every complete answer, is believed all the same.
"""

import datetime as dt
import enum
from collections.abc import Sequence
from typing import Final

import attrs

from jobping.core.board import Coverage
from jobping.core.ids import PostingId
from jobping.core.walk import Complete, WalkEnd

MOST: Final = 0.5
"""Share of a board's open postings above which nothing is closed at once."""
HELD_FOR: Final = dt.timedelta(days=1)
"""So long is held what would close most of a board; our choice."""
EXPIRES_DAYS: Final = 30
"""So long after it was last seen a posting of a list of the newest is closed; our choice."""


class Proof(enum.Enum):
    """What a walk says of the open postings that it did not list.

    Attributes:
        ABSENCE: It read a whole board: they are not there.
        AGE: It read the newest, or what a query found: only those long unseen are closed.
    """

    NOTHING = "nothing"
    ABSENCE = "absence"
    AGE = "age"


@attrs.frozen(kw_only=True)
class Absent:
    """An open posting that an earlier complete answer lacked, as this one does.

    Attributes:
        since: When the first of them came, aware UTC.
    """

    id: PostingId
    since: dt.datetime


def proof_of(end: WalkEnd, coverage: Coverage) -> Proof:
    """Return what a walk proves; one that is not complete, nothing."""
    if not isinstance(end, Complete) or coverage is Coverage.EACH:
        return Proof.NOTHING
    return Proof.ABSENCE if coverage is Coverage.WHOLE else Proof.AGE


def due(absent: Sequence[Absent], open_count: int, utcnow: dt.datetime) -> tuple[PostingId, ...]:
    """Return the postings to close now.

    Args:
        absent: Those that two answers in a row lack, of one board.
        open_count: The board's open postings, these included.
    """
    if len(absent) <= MOST * open_count:
        return tuple(posting.id for posting in absent)
    return tuple(posting.id for posting in absent if utcnow - posting.since >= HELD_FOR)
