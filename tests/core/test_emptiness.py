import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobping.core.emptiness import (
    BELIEVED_AFTER_S,
    KEPT,
    Evidence,
    Verdict,
    counted,
    is_suspect,
    judge,
)

COUNTS = st.lists(st.integers(0, 5000), max_size=15)


@pytest.mark.parametrize(
    ("count", "before", "suspect"),
    [
        (0, [], False),
        (0, [0, 0, 0], False),
        (0, [1], True),
        (9, [100, 90, 110], True),
        (10, [100, 90, 110], False),
        (0, [50, 0, 0], False),
        (0, [0, 50, 50], True),
        (5, [1] * 5 + [100] * KEPT, True),
    ],
)
def test_count_is_suspect_below_a_tenth_of_the_usual(
    count: int, before: list[int], suspect: bool
) -> None:
    assert is_suspect(count, before) is suspect


@pytest.mark.parametrize(
    ("evidence", "suspect_for_s", "verdict"),
    [
        (Evidence.USUAL, None, Verdict.BELIEVED),
        (Evidence.USUAL, 60.0, Verdict.BELIEVED),
        (Evidence.EMPTY, None, Verdict.EMPTY),
        (Evidence.EMPTY, 10 * BELIEVED_AFTER_S, Verdict.EMPTY),
        (Evidence.NONE, None, Verdict.OPEN),
        (Evidence.NONE, 0.0, Verdict.EMPTY),
        (Evidence.NONE, BELIEVED_AFTER_S, Verdict.BELIEVED),
    ],
)
def test_suspect_count_is_judged_by_evidence_and_time(
    evidence: Evidence, suspect_for_s: float | None, verdict: Verdict
) -> None:
    assert judge(evidence, suspect_for_s) is verdict


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(COUNTS, st.integers(0, 5000))
def test_believed_count_is_never_suspect_when_it_comes_again(before: list[int], count: int) -> None:
    kept = counted(count, before)
    assert len(kept) <= KEPT
    assert kept[-1] == count
    if is_suspect(count, before):
        assert kept == (count,)
        assert not is_suspect(count, kept)
