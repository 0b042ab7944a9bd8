"""The packaged table of prices, and what an operator puts in its place.

The table is a third party's; its source, licence and date stand in the file. An operator's record
replaces a model's whole record: nothing is merged field by field.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from importlib import resources
from typing import Final

from jobping.core.pricing import Price, PriceTable, read_prices

PACKAGED: Final = "packaged"


def load_prices(
    files: Mapping[str, str] | None = None,
    records: Mapping[str, Mapping[str, object]] | None = None,
) -> PriceTable:
    """Return the prices in force.

    Args:
        files: Texts of further tables of the packaged one's shape, by where they came from.
        records: Single records of the configuration, by model; numbers as int or Decimal. Each
            names its own `as_of` and `source`.

    Raises:
        ValueError: What an operator wrote is wrong; a wrong record of the packaged table is refused
            instead.
    """
    packaged = (resources.files("jobping.llm") / "prices.json").read_text(encoding="utf-8")
    as_of, table = _decode(packaged, "the packaged table")
    prices, refused = read_prices(
        _models(table), as_of=as_of, source=str(table["source"]), origin=PACKAGED
    )
    digest = hashlib.sha256(packaged.encode())
    for origin, text in (files or {}).items():
        dated, own = _decode(text, origin)
        _add(prices, refused, _models(own), as_of=dated, source=str(own["source"]), origin=origin)
        digest.update(text.encode())
    for model, record in (records or {}).items():
        dated, source = _dated(record, model)
        _add(prices, refused, {model: record}, as_of=dated, source=source, origin="configuration")
        digest.update(repr((model, sorted(record.items(), key=str))).encode())
    return PriceTable(prices=prices, refused=refused, version=digest.hexdigest()[:12], as_of=as_of)


def _add(
    prices: dict[str, Price],
    refused: dict[str, str],
    records: Mapping[str, object],
    *,
    as_of: dt.date,
    source: str,
    origin: str,
) -> None:
    found, wrong = read_prices(records, as_of=as_of, source=source, origin=origin)
    for model, why in wrong.items():
        raise ValueError(f"{model}: {why}")
    prices.update(found)
    for model in found:
        refused.pop(model, None)


def _decode(text: str, origin: str) -> tuple[dt.date, Mapping[str, object]]:
    try:
        table = json.loads(text, parse_float=Decimal)
    except ValueError as error:
        raise ValueError(f"{origin}: is not JSON: {error}") from error
    if not isinstance(table, dict) or not isinstance(table.get("models"), dict):
        raise ValueError(f"{origin}: has no table of models")
    if table.get("unit") != "USD per 1 million tokens":
        raise ValueError(f'{origin}: unit must be "USD per 1 million tokens"')
    as_of, _ = _dated(table, origin)
    return as_of, table


def _dated(record: Mapping[str, object], where: str) -> tuple[dt.date, str]:
    """Return the date and the source that a table or a record states."""
    as_of, source = record.get("as_of"), record.get("source")
    if not isinstance(source, str) or not source.strip():
        raise ValueError(f"{where}: source is missing")
    try:
        date = as_of if isinstance(as_of, dt.date) else dt.date.fromisoformat(str(as_of))
    except ValueError as error:
        raise ValueError(f"{where}: as_of must be a date such as 2026-10-21") from error
    return date, source


def _models(table: Mapping[str, object]) -> Mapping[str, object]:
    models = table["models"]
    assert isinstance(models, dict)  # noqa: S101  `_decode` has looked
    return models
