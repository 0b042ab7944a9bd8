import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobping.core.nanos import TOLERANCE_NS, is_due, to_ns, to_s


@pytest.mark.parametrize(
    ("seconds", "nanoseconds"),
    [(0.0, 0), (1 / (1 / 3), 3_000_000_000), (1e-9, 1), (1.5e-9, 2), (-2.0, -2_000_000_000)],
)
def test_seconds_become_whole_nanoseconds_rounded_up(seconds: float, nanoseconds: int) -> None:
    assert to_ns(seconds) == nanoseconds


@given(st.integers(0, 10**16))
def test_a_moment_that_was_named_in_seconds_is_due_at_that_moment(deadline_ns: int) -> None:
    assert is_due(to_ns(to_s(deadline_ns)), deadline_ns)


def test_a_deadline_is_inclusive_and_tolerates_a_microsecond_only() -> None:
    assert is_due(10**9, 10**9)
    assert is_due(10**9 - TOLERANCE_NS, 10**9)
    assert not is_due(10**9 - TOLERANCE_NS - 1, 10**9)
