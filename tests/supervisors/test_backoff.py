from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisors import Backoff


@given(
    base=st.floats(1e-300, 1e6),
    extra=st.floats(0, 1e300),
    factor=st.floats(1, 1e6),
    attempt=st.integers(0, 10**6),
    seed=st.integers(0, 2**32),
)
def test_delay_is_positive_and_capped_for_any_attempt(
    base: float, extra: float, factor: float, attempt: int, seed: int
) -> None:
    backoff = Backoff(base=base, cap=base + extra, factor=factor)
    assert 0 < backoff.delay(attempt, Random(seed)) <= backoff.cap


def test_delay_is_the_plain_power_without_jitter() -> None:
    backoff = Backoff(base=0.5, cap=60.0, factor=2.0, jitter=0.0)
    assert [backoff.delay(n, Random(1)) for n in range(9)] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]


def test_delay_spreads_over_the_whole_range_with_full_jitter() -> None:
    rng = Random(7)
    delays = [Backoff(base=8.0).delay(0, rng) for _ in range(1000)]
    assert min(delays) < 0.1
    assert max(delays) > 7.9


def test_delay_is_zero_only_when_configured() -> None:
    assert Backoff(base=0.0).delay(10**6, Random(1)) == 0.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"base": -1.0},
        {"base": 2.0, "cap": 1.0},
        {"factor": 0.5},
        {"jitter": 1.5},
        {"reset_after": 0.0},
        {"base": float("nan")},
    ],
)
def test_backoff_refuses_what_makes_no_delay(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"base|factor|jitter|reset_after"):
        Backoff(**wrong)
