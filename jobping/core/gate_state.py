"""The values of one domain's gate: rules, state, decisions, transitions, and a view for people."""

from typing import ClassVar, Final

import attrs

from jobping.core import breaker, limiter
from jobping.core.breaker import Breaker, BreakerRules, Phase
from jobping.core.ids import Monotonic
from jobping.core.limiter import Limiter, LimiterRules, Reason
from jobping.core.pace import Cut, Pace, PaceRules
from jobping.core.quota import Span
from jobping.core.retry import RetryBudget, RetryRules

SLOWEST_RATE = 1 / 900
"""No learning makes the rate lower than one request per longest own back-off (our choice)."""
DAY_S: Final = 86_400.0


@attrs.frozen(kw_only=True)
class GateRules:
    """The rules of one domain's gate.

    Attributes:
        is_breaker_on: An operator may switch it off; pace, waits and tiers hold all the same.
        pace: By default the limiter's rate is the most allowed.
    """

    limiter: LimiterRules
    breaker: BreakerRules = breaker.DAEMON
    is_breaker_on: bool = True
    pace: PaceRules = attrs.field()
    retry: RetryRules = attrs.Factory(RetryRules)

    @pace.default
    def _within_the_rate(self) -> PaceRules:
        rate = self.limiter.rate
        return PaceRules(max_rate=rate, min_rate=min(rate, SLOWEST_RATE))


@attrs.frozen
class GateState:
    """The state of one domain's gate.

    Attributes:
        succeeded: The domain has answered well before, so that a 403 means a ban.
    """

    limiter: Limiter
    breaker: Breaker
    pace: Pace
    budget: RetryBudget
    succeeded: bool = False


@attrs.frozen
class Permit:
    """Leave to send one request; ends with exactly one `record` or `take_back`."""

    grant: limiter.Grant
    breaker: breaker.Permit


@attrs.frozen(kw_only=True)
class Opened:
    """The breaker opened for `until_s` seconds after `failures` failures in its window."""

    event: ClassVar[str] = "breaker.opened"
    failures: int
    until_s: float
    cause: str


@attrs.frozen
class HalfOpened:
    """The breaker lets probes through."""

    event: ClassVar[str] = "breaker.half_opened"


@attrs.frozen
class Closed:
    """The breaker closed: the domain is well again."""

    event: ClassVar[str] = "breaker.closed"


@attrs.frozen
class Held:
    """An operator holds the breaker open."""

    event: ClassVar[str] = "breaker.held"


@attrs.frozen
class Disabled:
    """An operator switched the breaker off."""

    event: ClassVar[str] = "breaker.disabled"


@attrs.frozen(kw_only=True)
class Throttled:
    """The site refused; nothing goes for `retry_after_s` seconds."""

    event: ClassVar[str] = "limiter.throttled"
    retry_after_s: float
    clamped: bool
    refusals: int


@attrs.frozen(kw_only=True)
class Blocked:
    """The site said, without refusing, that nothing is left for `until_s` seconds."""

    event: ClassVar[str] = "limiter.blocked"
    until_s: float


@attrs.frozen(kw_only=True)
class Exhausted:
    """The grant just given was the last of a quota, whose window ends in `until_s` seconds."""

    event: ClassVar[str] = "limiter.exhausted"
    span: Span
    until_s: float


@attrs.frozen(kw_only=True)
class PaceCut:
    """The rate was lowered."""

    event: ClassVar[str] = "pace.cut"
    rate: float
    ceiling: float | None
    cause: Cut


@attrs.frozen(kw_only=True)
class PaceRaised:
    """The site took a rate above its ceiling; the ceiling is higher now."""

    event: ClassVar[str] = "pace.raised"
    rate: float
    ceiling: float


Transition = (
    Opened
    | HalfOpened
    | Closed
    | Held
    | Disabled
    | Throttled
    | Blocked
    | Exhausted
    | PaceCut
    | PaceRaised
)
Transitions = tuple[Transition, ...]


@attrs.frozen
class Admit:
    """Send now."""

    permit: Permit
    transitions: Transitions = ()


@attrs.frozen
class Wait:
    """Ask again at that moment."""

    until: Monotonic
    reason: Reason
    transitions: Transitions = ()


@attrs.frozen
class Refuse:
    """No moment is known: never, or at the next release, or when the operator lets go."""

    reason: Reason
    transitions: Transitions = ()


@attrs.frozen
class QuotaView:
    """What is used of one quota."""

    span: Span
    used: int
    most: int


@attrs.frozen(kw_only=True)
class GateView:
    """A gate for people and logs; durations in seconds from now, rates in 1/s.

    Attributes:
        retry_budget: Retries that could be made now.
        waits_for: What stands against the next request, or None.
        wait_s: When that ends; None where no moment is known.
    """

    breaker: Phase
    breaker_cause: str
    retry_in_s: float
    blocked_s: float
    rate: float
    ceiling: float | None
    grants: int
    in_flight: int
    quotas: tuple[QuotaView, ...]
    refusals: int
    opened: int
    rejected: int
    retries: int
    retry_budget: float
    waits_for: Reason | None
    wait_s: float | None

    @property
    def daily_used(self) -> int:
        """Requests of the current day, where there is a daily quota; else 0."""
        return sum(one.used for one in self.quotas if one.span is Span.DAY)

    @property
    def daily_limit(self) -> int | None:
        """Most requests of a day; None where the pace itself allows no more than the quota."""
        most = next((one.most for one in self.quotas if one.span is Span.DAY), None)
        return None if most is None or most > self.rate * DAY_S else most
