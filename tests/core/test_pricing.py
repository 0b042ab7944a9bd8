import datetime as dt
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobping.core.model import Usage
from jobping.core.pricing import (
    MILLION,
    USD,
    Bound,
    Cost,
    PriceTable,
    Rate,
    bound,
    check_chain,
    cost,
    read_price,
    read_prices,
    to_nanousd,
)

AS_OF = dt.date(2026, 10, 21)
LUNA = {
    "input": Decimal("0.1"), "cached_input": Decimal("0.01"), "cache_write": Decimal("0.125"),
    "output": Decimal("0.5"), "regional_uplift": Decimal("1.1"), "strict_json_schema": True,
    "priority": {"input": Decimal("0.2"), "cached_input": Decimal("0.02"), "output": Decimal(1)},
    "flex": {"input": Decimal("0.05"), "output": Decimal("0.25")},
    "above_272k": {"input": Decimal("0.2"), "cache_write": Decimal("0.25"), "output": Decimal(1)},
}  # fmt: skip
MINI = {"input": Decimal("0.15"), "cached_input": Decimal("0.075"), "output": Decimal("0.6")}


def table(**records: object) -> PriceTable:
    prices, refused = read_prices(records, as_of=AS_OF, source="here", origin="test")
    return PriceTable(prices=prices, refused=refused, version="test", as_of=AS_OF)


def usage(input: int, output: int, cached: int = 0, written: int = 0) -> Usage:
    return Usage(
        input_tokens=input, output_tokens=output, cached_tokens=cached, cache_write_tokens=written
    )


def cost_of(prices: PriceTable, used: Usage, **answered: object) -> Cost:
    named = {"model": "luna", "tier": "default"} | answered
    return cost(prices, "luna", used, **named)


def test_bound_of_a_batch_is_that_of_the_worked_example() -> None:
    """4,558 x 0.125 + 1,400 x 0.5 dollars per million: design/budget.md, section 2."""
    luna = table(luna=LUNA).prices["luna"]
    assert bound(luna, 4_558, 1_400) == Bound(tokens=5_958, nanousd=1_269_750)


def test_prompt_longer_than_any_of_ours_has_no_bound() -> None:
    with pytest.raises(ValueError, match="272001"):
        bound(table(luna=LUNA).prices["luna"], 272_001, 1)


def test_cost_counts_each_token_once_by_its_kind() -> None:
    used = usage(1_000, 100, cached=300, written=200)
    nanousd = (500 * 100_000_000 + 300 * 10_000_000 + 200 * 125_000_000 + 100 * 500_000_000) / 10**6
    assert cost_of(table(luna=LUNA), used) == Cost(tokens=1_100, nanousd=nanousd)


def test_cost_of_a_part_of_a_nanodollar_is_rounded_up() -> None:
    prices = table(luna={"input": Decimal("0.0025"), "output": Decimal("0.0025")})
    assert cost_of(prices, usage(1, 0)).nanousd == 3  # 2.5
    assert cost_of(prices, usage(0, 0)).nanousd == 0


def test_price_without_a_cache_discount_has_none() -> None:
    prices = table(luna={"input": 1, "output": 2})
    assert prices.prices["luna"].base == Rate(input=USD, cached=USD, written=USD, output=2 * USD)


@pytest.mark.parametrize(
    ("tier", "nanousd", "doubt"),
    [
        (None, 100_000, ""),
        ("default", 100_000, ""),
        ("flex", 50_000, ""),
        ("priority", 200_000, ""),
        ("scale", 200_000, "tier scale has no price"),
    ],
)
def test_cost_is_that_of_the_tier_that_answered(tier: str | None, nanousd: int, doubt: str) -> None:
    found = cost_of(table(luna=LUNA), usage(1_000, 0), tier=tier)
    assert found == Cost(tokens=1_000, nanousd=nanousd, doubt=doubt)


def test_cost_is_that_of_the_model_that_answered() -> None:
    prices = table(luna=LUNA, mini=MINI)
    assert cost_of(prices, usage(1_000, 0), model="mini").nanousd == 150_000
    unknown = cost_of(prices, usage(1_000, 0), model="luna-2027-01-01")
    assert unknown == Cost(tokens=1_000, nanousd=100_000, doubt="luna-2027-01-01 has no price")


def test_cost_of_a_long_prompt_is_the_long_price_for_all_of_it() -> None:
    assert cost_of(table(luna=LUNA), usage(272_000, 0)).nanousd == 27_200_000
    assert cost_of(table(luna=LUNA), usage(272_001, 0)).nanousd == 54_400_200


def test_regional_endpoint_costs_its_uplift_rounded_once() -> None:
    prices = table(luna=LUNA)
    assert prices.prices["luna"].uplift == Fraction(11, 10)
    assert cost_of(prices, usage(1, 0), regional=True).nanousd == 110
    assert bound(prices.prices["luna"], 1, 0, regional=True).nanousd == 138  # 137.5


@pytest.mark.parametrize(
    ("record", "field"),
    [
        ({"output": 1}, "input"),
        ({"input": 1}, "output"),
        ({"input": 3, "output": 1}, "output"),
        ({"input": 1, "cached_input": 2, "output": 2}, "cached_input"),
        ({"input": 2000, "output": 2000}, "input"),
        ({"input": Decimal("0.0000001"), "output": Decimal("0.0000004")}, "input"),
        ({"input": Decimal("0.10000000001"), "output": 1}, "input"),
        ({"input": True, "output": 1}, "input"),
        ({"input": "1", "output": 1}, "input"),
        ({"input": 1, "output": 1, "priority": {"input": 6, "output": 1}}, "priority.input"),
        ({"input": 1, "output": 1, "regional_uplift": 11}, "regional_uplift"),
        ({"input": 1, "output": 1, "shutdown": "soon"}, "shutdown"),
        ("free", "no table"),
    ],
)
def test_record_that_cannot_be_right_is_refused_with_its_field(record: object, field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}"):
        read_price("m", record, as_of=AS_OF, source="here", origin="test")
    assert table(m=record).why_not("m", AS_OF) == table(m=record).refused["m"]


def test_tier_without_an_output_price_is_not_offered() -> None:
    nano = {
        "input": Decimal("0.05"),
        "output": Decimal("0.4"),
        "priority": {"input": Decimal("2.5")},
    }
    assert table(nano=nano).prices["nano"].tiers == {}


def test_free_model_has_prices_of_nothing() -> None:
    prices = table(own={"input": 0, "output": 0})
    assert bound(prices.prices["own"], 1_000, 100) == Bound(tokens=1_100, nanousd=0)


def test_model_is_refused_from_its_shutdown_date_on() -> None:
    prices = table(old=MINI | {"shutdown": "2026-12-11"})
    assert prices.why_not("old", dt.date(2026, 12, 10)) is None
    assert prices.why_not("old", dt.date(2026, 12, 11)) == "shut down on 2026-12-11"
    assert prices.why_not("other", AS_OF) == "no price is known"
    lax = table(lax=MINI | {"strict_json_schema": False})
    assert lax.why_not("lax", AS_OF) == "no strict JSON schema"


def test_alias_ends_with_the_last_of_its_snapshots_when_all_of_them_end() -> None:
    ends = {"pro-2025-10-06": "2026-12-11", "pro-2026-01-01": "2027-01-01"}
    records = {name: MINI | {"shutdown": date} for name, date in ends.items()}
    assert table(pro=MINI, **records).prices["pro"].shutdown == dt.date(2027, 1, 1)
    assert table(pro=MINI, **records, **{"pro-2026-09-09": MINI}).prices["pro"].shutdown is None


def test_chain_goes_downwards_in_price_and_over_known_models_only() -> None:
    prices = table(luna=LUNA, mini=MINI)
    assert check_chain(prices, ("mini", "luna")) is None
    assert check_chain(prices, ("luna", "mini")) == "mini is dearer than luna before it"
    assert check_chain(prices, ("mini", "none")) == "none: no price is known"


@pytest.mark.parametrize("text", ["10", "10.0", "0.000000001", "0"])
def test_amount_of_dollars_is_exact(text: str) -> None:
    assert to_nanousd(Decimal(text)) == Decimal(text) * USD


@pytest.mark.parametrize("text", ["0.0000000001", "NaN", "Infinity"])
def test_amount_that_is_not_exact_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="decimal places"):
        to_nanousd(Decimal(text))


amounts = st.integers(10**6, 10**9).map(lambda n: 4 * n)
rates = st.builds(
    dict,
    input=amounts.map(lambda n: Decimal(n) / USD),
    output=st.integers(5 * 10**9, 10**11).map(lambda n: Decimal(n) / USD),
)


@settings(max_examples=1_000)
@given(
    record=rates,
    prompt=st.integers(0, 272_000),
    maximum=st.integers(0, 128_000),
    shares=st.tuples(*[st.floats(0, 1)] * 4),
    regional=st.booleans(),
)
def test_no_answer_within_its_bound_costs_more_than_the_bound(
    record: dict[str, object],
    prompt: int,
    maximum: int,
    shares: tuple[float, ...],
    regional: bool,
) -> None:
    written_price = record["input"] * Decimal("1.25")
    record = record | {"cache_write": written_price, "regional_uplift": Decimal("1.1")}
    prices = table(luna=record)
    billed = int(prompt * shares[0])
    cached = int(billed * shares[1])
    written = int((billed - cached) * shares[2])
    used = usage(billed, int(maximum * shares[3]), cached=cached, written=written)
    most = bound(prices.prices["luna"], prompt, maximum, regional=regional)
    found = cost_of(prices, used, regional=regional)
    assert found.tokens <= most.tokens
    assert found.nanousd <= most.nanousd
    exact = Fraction(prices.prices["luna"].base.parts(used), MILLION)
    assert found.nanousd - 1 < exact * (prices.prices["luna"].uplift if regional else 1)
