"""Which pairs are worth a model's time, and when: the best local matches, shortly before a digest.

A call for each new posting would spend a day's budget on postings that no digest carries. So pairs
wait until they fill a batch or their digest is near.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from jobping.core.match import LOCAL, MatchedPosting
from jobping.core.profile import Profile
from jobping.core.prompt import Candidate
from jobping.core.words import tokens

SHORTLIST: Final = 40
"""Pairs of one profile that a model sees for one digest."""
BATCH: Final = 20
"""Pairs in one call."""
LEAD_S: Final = 3_600.0
LAST_CALL_S: Final = 600.0
"""Seconds before a digest from which full batches, and then all that is left, are ranked."""


def shortlist(profile: Profile, pending: Sequence[MatchedPosting]) -> tuple[Candidate, ...]:
    """Return the pairs that a model should rank for the next digest, best first.

    Pairs that a model has ranked count against the length of the list. A company has twice the
    places that it has in a digest, so that a model can choose.

    Args:
        pending: What the next digest may carry, best first.
    """
    left = SHORTLIST - sum(item.match.origin != LOCAL for item in pending)
    chosen: list[Candidate] = []
    jobs: set[bytes] = set()
    companies: Counter[str] = Counter()
    for item in pending:
        company = " ".join(tokens(item.posting.draft.company or ""))
        job = item.posting.fingerprint
        is_repeat = job is not None and job in jobs
        jobs |= {job} if job is not None else set()
        companies[company] += not is_repeat
        if is_repeat or (company and companies[company] > 2 * profile.max_per_company):
            continue
        if item.match.origin == LOCAL and len(chosen) < left:
            chosen.append(Candidate(posting=item.posting, local=item.match))
    return tuple(chosen)


def is_time(waiting: int, due_in_s: float) -> bool:
    """Say whether pairs should be ranked now.

    Args:
        waiting: How many of a profile wait.
        due_in_s: Seconds until its next digest; not above 0 where it is due.
    """
    if due_in_s > LEAD_S or not waiting:
        return False
    return waiting >= BATCH or due_in_s <= LAST_CALL_S
