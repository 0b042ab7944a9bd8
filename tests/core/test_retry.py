import random

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobping.core import retry
from jobping.core.retry import Attempted, NoRetry, RetryBudget, RetryRules

RULES = RetryRules()
FULL = RetryBudget(10_000)
FAILED = Attempted(method="GET", attempts=1, status=503, left_s=300.0)
thorough = settings(max_examples=1000, deadline=None, derandomize=True)


def decided(
    attempted: Attempted, budget: RetryBudget = FULL, *, is_open: bool = False
) -> float | NoRetry:
    return retry.may_retry(budget, RULES, attempted, random.Random(1), is_open=is_open)[1]


@pytest.mark.parametrize("status", [None, 408, 500, 502, 503, 504])
def test_failure_that_may_pass_is_tried_again(status: int | None) -> None:
    assert isinstance(decided(attrs.evolve(FAILED, status=status)), float)


@pytest.mark.parametrize("status", [200, 400, 403, 404, 429, 501])
def test_answer_that_will_not_change_is_not_asked_for_again(status: int) -> None:
    assert decided(attrs.evolve(FAILED, status=status)) is NoRetry.STATUS


def test_first_reason_of_the_row_answers() -> None:
    none = RetryBudget(999)
    worst = Attempted(method="POST", attempts=3, status=404, after_s=10.0, left_s=9.0)
    assert decided(worst, none, is_open=True) is NoRetry.NOT_IDEMPOTENT
    worst = attrs.evolve(worst, is_read=True)
    assert decided(worst, none, is_open=True) is NoRetry.STATUS
    worst = attrs.evolve(worst, status=500)
    assert decided(worst, none, is_open=True) is NoRetry.ATTEMPTS
    worst = attrs.evolve(worst, attempts=2)
    assert decided(worst, none, is_open=True) is NoRetry.BREAKER
    assert decided(worst, none) is NoRetry.DEADLINE
    worst = attrs.evolve(worst, after_s=9.0)
    assert decided(worst, none) is NoRetry.BUDGET
    assert decided(worst) == 9.0


@thorough
@given(
    attempts=st.integers(1, 10**6),
    after_s=st.none() | st.floats(min_value=0, max_value=1e5),
    left_s=st.floats(min_value=0, max_value=1e5),
    seed=st.integers(0, 100),
)
def test_delay_keeps_to_retry_after_to_the_cap_and_to_the_deadline(
    attempts: int, after_s: float | None, left_s: float, seed: int
) -> None:
    rules = RetryRules(attempts=10**9)
    attempted = attrs.evolve(FAILED, attempts=attempts, after_s=after_s, left_s=left_s)
    rng = random.Random(seed)
    budget, answer = retry.may_retry(FULL, rules, attempted, rng, is_open=False)
    if isinstance(answer, NoRetry):
        assert answer is NoRetry.DEADLINE
        assert budget == FULL
        return
    assert (after_s or 0) <= answer <= left_s
    assert answer <= max(rules.cap_s, after_s or 0)
    assert budget == RetryBudget(9_000, 1)


@thorough
@given(st.lists(st.booleans(), max_size=200))
def test_retries_are_at_most_a_tenth_of_the_requests_and_three(firsts: list[bool]) -> None:
    budget, first, again = retry.fresh(RULES), 0, 0
    for is_first in firsts:
        if is_first:
            budget, first = retry.earn(budget, RULES), first + 1
            continue
        budget, answer = retry.may_retry(budget, RULES, FAILED, random.Random(1), is_open=False)
        again += isinstance(answer, float)
        assert 0 <= budget.left_m <= 10_000
        assert first + again <= 1.1 * first + 3
    assert budget.retries == again
