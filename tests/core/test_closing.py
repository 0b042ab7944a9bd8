import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobping.core.board import Coverage
from jobping.core.closing import HELD_FOR, MOST, Absent, Proof, due, proof_of
from jobping.core.ids import PostingId
from jobping.core.walk import BoardGone, Complete, Drift, Limited, Partial

NOW = dt.datetime(2026, 10, 1, tzinfo=dt.UTC)


def absent(*hours: float) -> list[Absent]:
    return [
        Absent(id=PostingId(number), since=NOW - dt.timedelta(hours=each))
        for number, each in enumerate(hours)
    ]


@pytest.mark.parametrize(
    ("coverage", "proof"),
    [
        (Coverage.WHOLE, Proof.ABSENCE),
        (Coverage.NEWEST, Proof.AGE),
        (Coverage.QUERY, Proof.AGE),
        (Coverage.EACH, Proof.NOTHING),
    ],
)
def test_only_a_complete_walk_proves_anything(coverage, proof):
    assert proof_of(Complete(), coverage) is proof
    for end in (Partial(reason=""), BoardGone(status=404), Drift(reason=""), Limited(reason="")):
        assert proof_of(end, coverage) is Proof.NOTHING


def test_few_are_closed_and_most_are_held_for_a_day():
    assert due(absent(1, 2), 4, NOW) == (0, 1)
    assert due(absent(1, 2, 3), 4, NOW) == ()
    assert due(absent(1, 24, 30), 4, NOW) == (1, 2)
    assert due([], 0, NOW) == ()


@settings(max_examples=1_000)
@given(st.lists(st.floats(0, 100), max_size=20), st.integers(0, 30))
def test_what_is_closed_was_absent_and_is_not_most_of_a_board_at_once(hours, others):
    missing = absent(*hours)
    closed = due(missing, len(missing) + others, NOW)
    assert set(closed) <= {posting.id for posting in missing}
    young = [each for each in missing if each.id in closed and NOW - each.since < HELD_FOR]
    assert not young or len(closed) <= MOST * (len(missing) + others)
