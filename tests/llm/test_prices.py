import datetime as dt
import json
from decimal import Decimal
from importlib import resources
from typing import Any

import pytest

from jobping.core.pricing import USD, check_chain
from jobping.llm.prices import PACKAGED, load_prices

TODAY = dt.date(2026, 11, 27)
OWN = {"input": 0, "output": 0, "as_of": "2026-11-01", "source": "our own machine"}


def packaged() -> dict[str, Any]:
    text = (resources.files("jobping.llm") / "prices.json").read_text(encoding="utf-8")
    found = json.loads(text, parse_float=Decimal)
    assert isinstance(found, dict)
    return found


def test_packaged_table_is_whole_and_right() -> None:
    table = load_prices()
    assert table.refused == {}
    assert len(table.prices) == 58
    assert table.as_of == dt.date(2026, 10, 21)
    assert all(price.origin == PACKAGED for price in table.prices.values())


def test_packaged_table_says_where_it_comes_from_and_under_which_licence() -> None:
    table = packaged()
    assert "litellm 1.106.2 (MIT)" in table["source"]
    assert "Berri AI" in table["licence"]
    assert {"as_of", "retrieved", "notes", "unit"} <= table.keys()


def test_every_packaged_price_is_read_to_the_nanodollar() -> None:
    prices = load_prices().prices
    for model, record in packaged()["models"].items():
        base = prices[model].base
        assert base.input == record["input"] * USD
        assert base.output == record["output"] * USD
        assert base.cached == record.get("cached_input", record["input"]) * USD
        assert base.written == record.get("cache_write", record["input"]) * USD


def test_alias_has_a_shutdown_date_where_all_its_snapshots_have_one() -> None:
    table = load_prices()
    assert table.prices["gpt-5-pro"].shutdown == dt.date(2026, 12, 11)
    for model, price in table.prices.items():
        snapshots = [p for name, p in table.prices.items() if name.startswith(f"{model}-20")]
        if snapshots and all(p.shutdown for p in snapshots):
            assert price.shutdown is not None, model


@pytest.mark.parametrize("model", ["gpt-3.5-turbo", "o4-mini", "gpt-4.1-nano", "gpt-6.2-luna"])
def test_model_that_is_gone_or_has_no_price_is_refused(model: str) -> None:
    assert load_prices().why_not(model, TODAY) is not None


def test_own_record_replaces_the_whole_record_of_a_model() -> None:
    table = load_prices(records={"gpt-6-luna": OWN})
    assert table.prices["gpt-6-luna"].base.output == 0
    assert table.prices["gpt-6-luna"].tiers == {}
    assert table.prices["gpt-6-luna"].origin == "configuration"
    assert table.prices["gpt-5.6-luna"].origin == PACKAGED
    assert table.version != load_prices().version


def test_file_of_the_same_shape_goes_before_the_packaged_table() -> None:
    own = packaged() | {"source": "the price page", "as_of": "2026-11-20"}
    own["models"] = {"gpt-6-luna": own["models"]["gpt-6-luna"] | {"input": Decimal("0.3")}}
    table = load_prices(files={"mine.json": json.dumps(own, default=float)})
    price = table.prices["gpt-6-luna"]
    assert (price.base.input, price.origin) == (3 * USD // 10, "mine.json")
    assert (price.as_of, price.source) == (dt.date(2026, 11, 20), "the price page")
    assert check_chain(table, ("gpt-6-luna",)) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "is not JSON"),
        ("{}", "no table of models"),
        ('{"models": {}}', "unit"),
        ('{"unit": "USD per 1 million tokens", "models": {}}', "source"),
        ('{"unit": "USD per 1 million tokens", "source": "x", "models": {}}', "as_of"),
    ],
)
def test_file_of_another_shape_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        load_prices(files={"mine.json": text})


@pytest.mark.parametrize("field", ["as_of", "source", "input", "output"])
def test_own_record_must_say_what_it_costs_and_where_that_is_from(field: str) -> None:
    record = {name: value for name, value in OWN.items() if name != field}
    with pytest.raises(ValueError, match=field):
        load_prices(records={"own": record})
