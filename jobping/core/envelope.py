"""What a site really sees of us, held against what the limiter promises; a fault of it shows here.

Pure. It stands beside the limiter, knows no more of it than its rules and what the site asked for,
and is told when requests left, not when they were granted.
"""

from typing import ClassVar

import attrs

from jobping.core.ids import Monotonic
from jobping.core.limiter import Limiter, LimiterRules, interval_ns
from jobping.core.nanos import is_due, to_ns, to_s


@attrs.frozen(kw_only=True)
class Violated:
    """A request left before its time: a promise of ours is broken.

    Attributes:
        rule: `blocked`, `rate` or `min_gap`.
        by_s: So many seconds too early.
    """

    event: ClassVar[str] = "limiter.violated"
    rule: str
    by_s: float


@attrs.frozen
class Envelope:
    """The requests that a site has seen; moments in nanoseconds of the monotonic clock.

    Attributes:
        full_ns: When all of the burst is there again.
        latest_ns: When the latest request left, or None.
    """

    full_ns: int = 0
    latest_ns: int | None = None


def leave(
    seen: Envelope,
    rules: LimiterRules,
    limiter: Limiter,
    at: Monotonic,
    *,
    rate: float,
    cost: int,
) -> tuple[Envelope, Violated | None]:
    """Take a request that left.

    Args:
        limiter: Before the answer; only a block and a gap that the site asked for are read.
        rate: The most requests per second that the domain may ever see.
        cost: Requests that it counts for; 0: it stands outside of the rate.
    """
    at_ns, each_ns = to_ns(at), interval_ns(rate)
    earliest = {"blocked": limiter.blocked_ns}
    if cost:
        earliest["rate"] = seen.full_ns + (cost - rules.burst) * each_ns
    if seen.latest_ns is not None:
        earliest["min_gap"] = seen.latest_ns + max(limiter.gap_ns, to_ns(rules.min_gap_s))
    rule = max(earliest, key=earliest.__getitem__)
    after = Envelope(max(seen.full_ns, at_ns) + cost * each_ns if cost else seen.full_ns, at_ns)
    if is_due(at_ns, earliest[rule]):
        return after, None
    return after, Violated(rule=rule, by_s=to_s(earliest[rule] - at_ns))
