"""Is a well-formed answer with hardly any postings right, or has the board fallen silent?

A count is suspect only beside what the board listed before, and judged only with further evidence:
what another board of the same domain lists at this moment, or the time that it stays so.
"""

import enum
import statistics
from collections.abc import Sequence
from typing import Final

KEPT: Final = 10
"""Good counts kept for each board."""
SHARE: Final = 0.1
"""A count below this share of the median of the kept ones is suspect."""
BELIEVED_AFTER_S: Final = 86_400.0
"""Our choice: what a board without another beside it keeps saying for a day is believed."""


class Evidence(enum.Enum):
    """What another board of the domain says.

    Attributes:
        NONE: Nothing: there is no other, or it gave no answer; a refusal is no evidence.
        USUAL: It lists postings as usual, so the suspect board has really emptied.
        EMPTY: It has fallen silent, too.
    """

    NONE = "none"
    USUAL = "usual"
    EMPTY = "empty"


class Verdict(enum.Enum):
    """What a count means.

    Attributes:
        BELIEVED: The board lists what it says.
        OPEN: Nothing is concluded before the next poll.
        EMPTY: The answer is worth nothing.
    """

    BELIEVED = "believed"
    OPEN = "open"
    EMPTY = "empty"


def is_suspect(count: int, before: Sequence[int]) -> bool:
    """Say whether a count needs evidence.

    Args:
        before: The counts of the last good walks of the same board.
    """
    usual = statistics.median(before[-KEPT:]) if before else 0
    return usual > 0 and count < SHARE * usual


def judge(evidence: Evidence, suspect_for_s: float | None) -> Verdict:
    """Judge a suspect count.

    Args:
        suspect_for_s: Seconds since the board's counts became suspect; None: they were not before.
    """
    match evidence:
        case Evidence.USUAL:
            return Verdict.BELIEVED
        case Evidence.EMPTY:
            return Verdict.EMPTY
        case Evidence.NONE if suspect_for_s is None:
            return Verdict.OPEN
        case Evidence.NONE:
            is_old = suspect_for_s >= BELIEVED_AFTER_S
            return Verdict.BELIEVED if is_old else Verdict.EMPTY


def counted(count: int, before: Sequence[int]) -> tuple[int, ...]:
    """Return the counts to keep after one more that is believed; a suspect one begins anew."""
    kept = () if is_suspect(count, before) else tuple(before)
    return (*kept, count)[-KEPT:]
