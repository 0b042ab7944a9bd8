"""The local ranking beside BM25 and trigrams on postings labelled by hand."""

import pytest

from tests.bench.ranking import (
    LABELS,
    PROFILES,
    Quality,
    judge,
    load_labels,
    load_postings,
    mean,
    measure,
)
from tests.sources.conftest import RECORDINGS


@pytest.fixture(scope="module")
def found():
    if not RECORDINGS.is_dir():
        pytest.skip("no recordings")
    return measure()


def test_every_label_has_a_grade_and_a_reason():
    text = LABELS.read_text(encoding="utf-8")
    rows = [line.split(" ", 2) for line in text.splitlines() if line and line[0] != "["]
    assert len(rows) == 12 * 40
    assert all(row[0] in "0123" and len(row[2]) > 3 for row in rows)


def test_every_label_is_of_a_recorded_posting():
    labels = load_labels()
    assert labels.keys() == {profile.name for profile in PROFILES}
    if not RECORDINGS.is_dir():
        pytest.skip("no recordings")
    postings = load_postings()
    assert [key for grades in labels.values() for key in grades if key not in postings] == []
    assert {len(grades) for grades in labels.values()} == {40}


@pytest.mark.parametrize("peer", ["bm25", "trigram", "filters, bm25", "filters, trigram"])
def test_local_ranking_is_clearly_better_than(found, peer):
    ours, theirs = mean(found["local"]), mean(found[peer])
    assert ours.ndcg > theirs.ndcg + 0.1
    assert ours.recall > theirs.recall + 0.1


def test_local_ranking_holds_what_it_has_reached(found):
    ours = mean(found["local"])
    assert ours.ndcg > 0.90
    assert ours.recall > 0.95
    assert min(quality.ndcg for quality in found["local"].values()) > 0.75


def test_quality_is_worked_by_hand():
    grades = {"a": 3, "b": 0, "c": 2}
    assert judge([9, 5, 7, 8], ["a", "b", "c", "unjudged"], grades) == Quality(1.0, 1.0)
    worst = judge([1, 9, -1, 3], ["a", "b", "c", "unjudged"], grades)
    assert worst.recall == 0.5
    assert worst.ndcg == pytest.approx((7 / 1.584963 + 3 / 2) / (7 + 3 / 1.584963))
