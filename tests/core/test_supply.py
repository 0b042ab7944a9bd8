"""The supply of the whole system: standby domains come one by one and leave together."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobping.core.ids import Domain
from jobping.core.supply import FellShort, Recovered, Supply, SupplyRules, on_cycle

RULES = SupplyRules()
X, Y, Z = (Domain(f"{letter}.example") for letter in "xyz")


def cycle(
    supply: Supply,
    primary: int,
    standby: int = 0,
    *,
    closed: tuple[Domain, ...] = (),
    is_network_down: bool = False,
) -> tuple[Supply, FellShort | Recovered | None]:
    return on_cycle(
        supply,
        RULES,
        primary=primary,
        standby=standby,
        configured=(X, Y, Z),
        closed=closed,
        is_network_down=is_network_down,
    )


def test_enough_changes_nothing() -> None:
    assert cycle(Supply(), 50) == (Supply(), None)


def test_too_little_brings_in_one_standby_domain_after_the_other() -> None:
    supply, first = cycle(Supply(), 49)
    assert first == FellShort(found=49, came=X, backfill=51)
    supply, second = cycle(supply, 40, 20)
    assert second == FellShort(found=60, came=Y, backfill=40)
    assert supply == Supply((X, Y))


def test_standby_domains_stay_until_the_primary_ones_find_enough_alone() -> None:
    supply = Supply((X, Y))
    assert cycle(supply, 40, 70) == (supply, FellShort(found=110, came=None, backfill=0))
    assert cycle(supply, 50, 70) == (Supply(), Recovered(found=50, left=(X, Y)))


def test_standby_domain_that_cannot_be_asked_is_passed_over() -> None:
    supply, change = cycle(Supply(), 10, closed=(X,))
    assert change == FellShort(found=10, came=Y, backfill=90)
    assert supply == Supply((Y,))


def test_nobody_comes_in_while_our_network_is_down_but_stored_postings_do() -> None:
    assert cycle(Supply(), 0, is_network_down=True) == (
        Supply(),
        FellShort(found=0, came=None, backfill=100),
    )


def test_target_below_the_minimum_is_refused() -> None:
    with pytest.raises(ValueError, match="target 10 is below minimum 50"):
        SupplyRules(target=10)


def test_few_boards_need_half_of_what_they_usually_list() -> None:
    assert RULES.scaled([[9, 11, 40], [3], []]) == SupplyRules(minimum=7, target=14)
    assert RULES.scaled([[1_000]]) == RULES
    assert RULES.scaled([]) == SupplyRules(minimum=0, target=0)


@settings(max_examples=1_000, derandomize=True)
@given(
    cycles=st.lists(
        st.tuples(
            st.integers(0, 120),
            st.integers(0, 120),
            st.sets(st.sampled_from([X, Y, Z])),
            st.booleans(),
        ),
        max_size=20,
    )
)
def test_supply_keeps_its_promises_over_any_cycles(
    cycles: list[tuple[int, int, set[Domain], bool]],
) -> None:
    supply = Supply()
    for primary, standby, closed, is_down in cycles:
        before = supply
        supply, change = cycle(
            supply, primary, standby, closed=tuple(closed), is_network_down=is_down
        )
        assert len(set(supply.standby)) == len(supply.standby)
        if primary >= RULES.minimum:
            assert supply == Supply()
            assert isinstance(change, Recovered) == bool(before.standby)
            continue
        assert isinstance(change, FellShort)
        assert change.backfill == max(0, RULES.target - change.found)
        came = supply.standby[len(before.standby) :]
        assert supply.standby[: len(before.standby)] == before.standby
        assert came == (() if change.came is None else (change.came,))
        if change.came is not None:
            assert change.found < RULES.target
            assert not is_down
            assert change.came not in closed
