import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobping.core import tenure
from jobping.core.ids import Monotonic
from jobping.core.tenure import LOST, Tenure, TenureRules

RULES = TenureRules()


def at(second: float) -> Monotonic:
    return Monotonic(second)


def test_claim_lets_act_until_the_margin_before_its_end_counted_from_the_question() -> None:
    held = tenure.granted(RULES, at(100))
    assert held == Tenure(at(113))
    assert tenure.may_act(held, at(112.9))
    assert not tenure.may_act(held, at(113))


def test_renewal_counts_from_its_question_and_never_shortens() -> None:
    held = tenure.granted(RULES, at(100))
    assert tenure.renewed(held, RULES, at(105), at(109)) == Tenure(at(118))
    assert tenure.renewed(held, RULES, at(90), at(109)) == held


def test_renewal_that_comes_after_the_end_revives_nothing() -> None:
    held = tenure.granted(RULES, at(100))
    assert tenure.renewed(held, RULES, at(112), at(113)) == held
    assert tenure.renewed(LOST, RULES, at(100), at(100)) == LOST
    assert not tenure.may_act(LOST, at(-1e300))


@pytest.mark.parametrize(
    ("ttl_s", "renew_every_s", "margin_s"),
    [(15, 13, 2), (15, 0, 2), (15, 5, -1), (15, 5, 15), (math.nan, 5, 2)],
)
def test_rules_under_which_no_lease_can_be_kept_are_refused(
    ttl_s: float, renew_every_s: float, margin_s: float
) -> None:
    with pytest.raises(ValueError, match="keeps a lease"):
        TenureRules(ttl_s=ttl_s, renew_every_s=renew_every_s, margin_s=margin_s)


DELAYS = st.floats(0, 20)
ROUNDS = st.lists(st.tuples(DELAYS, DELAYS, DELAYS, st.booleans()), max_size=30)


@settings(max_examples=1000)
@given(ROUNDS, DELAYS)
def test_holder_never_acts_once_the_database_may_give_the_lease_away(
    rounds: list[tuple[float, float, float, bool]], look: float
) -> None:
    """Each round: a pause, the way there, the way back, and whether the answer arrives.

    The database's lease runs from the moment when the renewal is there, or not at all if it had
    run out before; the holder knows only of answers that came.
    """
    now, given_until = 0.0, RULES.ttl_s
    held = tenure.granted(RULES, at(0))
    for pause, there, back, arrives in rounds:
        asked_at = now + pause
        reached_at = asked_at + there
        is_ours = reached_at < given_until
        if is_ours:
            given_until = reached_at + RULES.ttl_s
        now = reached_at + back
        if arrives and is_ours:
            held = tenure.renewed(held, RULES, at(asked_at), at(now))
        moment = now + look
        if tenure.may_act(held, at(moment)):
            assert moment < given_until - RULES.margin_s + 1e-6


@settings(max_examples=1000)
@given(st.lists(st.tuples(st.floats(4, 6), st.floats(0, 1)), min_size=1, max_size=50))
def test_lease_renewed_in_time_is_held_throughout(rounds: list[tuple[float, float]]) -> None:
    now, held = 0.0, tenure.granted(RULES, at(0))
    for pause, round_trip in rounds:
        asked_at, now = now + pause, now + pause + round_trip
        assert tenure.may_act(held, at(now))
        held = tenure.renewed(held, RULES, at(asked_at), at(now))
    assert tenure.may_act(held, at(now))


@settings(max_examples=1000)
@given(st.floats(-1e6, 1e6), st.lists(DELAYS, max_size=20), st.floats(-1e6, 1e6))
def test_shifting_all_moments_changes_no_answer(
    start: float, delays: list[float], shift: float
) -> None:
    def answers(zero: float) -> list[bool]:
        now, held, found = zero, tenure.granted(RULES, at(zero)), []
        for delay in delays:
            now += round(delay * 8) / 8  # exact in binary at every offset used here
            found.append(tenure.may_act(held, at(now)))
            held = tenure.renewed(held, RULES, at(now), at(now))
        return found

    assert answers(round(start)) == answers(round(start) + round(shift))
