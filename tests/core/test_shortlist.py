import pytest

from jobping.core.ids import ProfileId
from jobping.core.match import LOCAL, Match, MatchedPosting
from jobping.core.profile import Profile
from jobping.core.shortlist import BATCH, LAST_CALL_S, LEAD_S, SHORTLIST, is_time, shortlist
from tests.core.ranking_samples import posting

ME = Profile(name="me", max_per_company=2)


def pending(*items: tuple[int, str, str]) -> list[MatchedPosting]:
    """Return matches from id, company and origin, best first."""
    return [
        MatchedPosting(
            match=Match(
                profile_id=ProfileId(1),
                posting_id=stored.id,
                posting_version=stored.version,
                score=90,
                origin=origin,
                reason="Fits.",
            ),
            posting=stored,
        )
        for id, company, origin in items
        for stored in [posting(id=id, company=company)]
    ]


def ids(items: list[MatchedPosting]) -> list[int]:
    return [candidate.posting.id for candidate in shortlist(ME, items)]


def test_best_local_matches_are_chosen_in_order() -> None:
    assert ids(pending((3, "A", LOCAL), (1, "B", LOCAL), (2, "C", LOCAL))) == [3, 1, 2]


def test_matches_that_a_model_has_ranked_use_up_places() -> None:
    ranked = [(n, f"R{n}", "luna") for n in range(SHORTLIST - 2)]
    local = [(100 + n, f"L{n}", LOCAL) for n in range(5)]
    assert ids(pending(*ranked, *local)) == [100, 101]


def test_list_has_an_end() -> None:
    assert len(ids(pending(*((n, f"C{n}", LOCAL) for n in range(99))))) == SHORTLIST


def test_company_has_twice_the_places_of_a_digest() -> None:
    many = [(n, "Acme", LOCAL) for n in range(6)]
    assert ids(pending(*many, (50, "Other", LOCAL))) == [0, 1, 2, 3, 50]


@pytest.mark.parametrize(
    ("waiting", "due_in_s", "expected"),
    [
        (0, 0.0, False),
        (1, 0.0, True),
        (1, -5.0, True),
        (1, LAST_CALL_S, True),
        (1, LAST_CALL_S + 1, False),
        (BATCH, LAST_CALL_S + 1, True),
        (BATCH, LEAD_S, True),
        (BATCH, LEAD_S + 1, False),
    ],
)
def test_time_is_when_a_batch_is_full_or_the_digest_near(
    waiting: int, due_in_s: float, expected: bool
) -> None:
    assert is_time(waiting, due_in_s) is expected
