"""Until when the holder of a lease may act, by its own monotonic clock.

Pure. The database's clock says when others may take a lease over; the holder stops earlier by its
own, counted from the start of the last renewal that is known to have happened.
"""

import math
from typing import Final

import attrs

from jobping.core.ids import Domain, Monotonic


@attrs.frozen
class Fence:
    """The number that proves the ownership of a domain; each claim raises it."""

    domain: Domain
    number: int


@attrs.frozen(kw_only=True)
class TenureRules:
    """How long a lease lasts; durations in seconds. Design: storage.md section 9.

    Attributes:
        ttl_s: From a claim or renewal until others may take it over.
        renew_every_s: Between two renewals, and between two looks for free leases.
        margin_s: So much earlier the holder stops.

    Raises:
        ValueError: A renewal would come after the holder's stop.
    """

    ttl_s: float = 15.0
    renew_every_s: float = 5.0
    margin_s: float = 2.0

    def __attrs_post_init__(self) -> None:
        """Refuse rules under which no lease can be kept."""
        if not (self.margin_s >= 0 and 0 < self.renew_every_s < self.ttl_s - self.margin_s):
            raise ValueError(f"no renewal each {self.renew_every_s} s keeps a lease: {self}")


@attrs.frozen
class Tenure:
    """A lease in hand.

    Attributes:
        until: The holder may act before this moment.
    """

    until: Monotonic


LOST: Final = Tenure(Monotonic(-math.inf))
"""The tenure of a lease that is another's, or was given back."""


def granted(rules: TenureRules, asked_at: Monotonic) -> Tenure:
    """Return the tenure of a claim that succeeded.

    Args:
        asked_at: When the claim was begun; the answer may have come much later.
    """
    return Tenure(Monotonic(asked_at + rules.ttl_s - rules.margin_s))


def renewed(tenure: Tenure, rules: TenureRules, asked_at: Monotonic, now: Monotonic) -> Tenure:
    """Take a renewal that is known to have happened; one that came too late revives nothing.

    Args:
        asked_at: When the renewal was begun.
    """
    if not may_act(tenure, now):
        return tenure
    return Tenure(max(tenure.until, granted(rules, asked_at).until))


def may_act(tenure: Tenure, now: Monotonic) -> bool:
    """Say whether the holder may still send and write."""
    return now < tenure.until
