"""May a failed request be sent again, and how late; a budget keeps retries few.

Pure; the delay is drawn from a passed-in random.Random. Requests sent are at most 1.1 times those
first sent, plus 3, at the default rules.

Source:
    Full jitter: AWS Architecture Blog, "Exponential Backoff and Jitter". Idempotent methods: RFC
    9110, section 9.2.2. A budget as in Finagle and Envoy, tighter.
"""

import enum
import random
from typing import Final

import attrs

from jobping.core.limiter import MAX_DOUBLINGS

IDEMPOTENT: Final = ("GET", "HEAD", "OPTIONS")
STATUSES: Final = (408, 500, 502, 503, 504)
TOKEN_M: Final = 1000
"""Thousandths of a token in one retry."""


class NoRetry(enum.StrEnum):
    """Why a request is not sent again; the first of them that holds."""

    NOT_IDEMPOTENT = "not_idempotent"
    STATUS = "status"
    ATTEMPTS = "attempts"
    BREAKER = "breaker"
    DEADLINE = "deadline"
    BUDGET = "budget"


@attrs.frozen(kw_only=True)
class RetryRules:
    """How much is sent again.

    Attributes:
        ratio: Tokens earned by each first attempt; a retry costs 1.
        start: Tokens at the beginning.
        most: Most tokens.
        attempts: Most attempts of one request, the first included.
        base_s: Longest delay of the first retry; doubles with each further one.
        cap_s: Longest delay of any, but for what the site asks.
    """

    ratio: float = attrs.field(default=0.1, validator=attrs.validators.ge(0))
    start: float = attrs.field(default=3.0, validator=attrs.validators.ge(0))
    most: float = attrs.field(default=10.0, validator=attrs.validators.ge(0))
    attempts: int = attrs.field(default=3, validator=attrs.validators.ge(1))
    base_s: float = attrs.field(default=1.0, validator=attrs.validators.gt(0))
    cap_s: float = attrs.field(default=60.0, validator=attrs.validators.gt(0))


@attrs.frozen
class RetryBudget:
    """What is left for retries.

    Attributes:
        left_m: In thousandths of a token.
        retries: Retries ever.
    """

    left_m: int
    retries: int = 0


@attrs.frozen(kw_only=True)
class Attempted:
    """A request that failed.

    Attributes:
        attempts: Attempts made so far.
        status: The answer's, or None where there was none.
        after_s: The wait that the site asked for, or None.
        left_s: Seconds until nobody wants the answer any more.
        is_read: The source says that its request only reads, whatever its method.
    """

    method: str
    attempts: int
    status: int | None
    after_s: float | None = None
    left_s: float
    is_read: bool = False


def fresh(rules: RetryRules) -> RetryBudget:
    """Return the budget of a domain that was never asked."""
    return RetryBudget(round(min(rules.start, rules.most) * TOKEN_M))


def earn(budget: RetryBudget, rules: RetryRules) -> RetryBudget:
    """Take a first attempt."""
    most_m = round(rules.most * TOKEN_M)
    if budget.left_m >= most_m:
        return budget
    return RetryBudget(min(most_m, budget.left_m + round(rules.ratio * TOKEN_M)), budget.retries)


def may_retry(
    budget: RetryBudget,
    rules: RetryRules,
    attempted: Attempted,
    rng: random.Random,
    *,
    is_open: bool,
) -> tuple[RetryBudget, float | NoRetry]:
    """Decide whether a failed request is sent again.

    Args:
        is_open: The breaker lets nothing through.

    Returns:
        The new budget and the delay in seconds, which ends within `left_s`; or the budget and why
        not.
    """
    refused = _refusal(budget, rules, attempted, is_open=is_open)
    if refused is not None:
        return budget, refused
    doubled_s = rules.base_s * 2 ** min(attempted.attempts - 1, MAX_DOUBLINGS)
    delay_s = max(rng.uniform(0, min(rules.cap_s, doubled_s)), attempted.after_s or 0.0)
    spent = RetryBudget(budget.left_m - TOKEN_M, budget.retries + 1)
    return spent, min(delay_s, attempted.left_s)


def _refusal(
    budget: RetryBudget, rules: RetryRules, attempted: Attempted, *, is_open: bool
) -> NoRetry | None:
    after_s, left_s = attempted.after_s or 0.0, attempted.left_s
    reasons = (
        (NoRetry.NOT_IDEMPOTENT, not attempted.is_read and attempted.method not in IDEMPOTENT),
        (NoRetry.STATUS, attempted.status is not None and attempted.status not in STATUSES),
        (NoRetry.ATTEMPTS, attempted.attempts >= rules.attempts),
        (NoRetry.BREAKER, is_open),
        (NoRetry.DEADLINE, after_s > left_s or left_s <= 0),
        (NoRetry.BUDGET, budget.left_m < TOKEN_M),
    )
    return next((reason for reason, holds in reasons if holds), None)
