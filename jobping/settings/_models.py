"""`[budget]` and `[llm]`: what models may cost and which are asked, from file and environment."""

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Final, TypeVar

from jobping.core.budget import Limits
from jobping.core.model import Dialect
from jobping.core.pricing import PriceTable, check_chain, to_nanousd
from jobping.errors import ConfigError
from jobping.llm.prices import load_prices
from jobping.settings import _values as values
from jobping.settings._credentials import Exposed, read_credential
from jobping.settings._places import Surroundings, read_own_file
from jobping.settings._records import BudgetSettings, LlmSettings, Network
from jobping.settings._tables import DEFAULT, Notes, Table

T = TypeVar("T")

_MOST_TOKENS: Final = 10**15
_TOKENS: Final = values.worded(values.whole(0, _MOST_TOKENS))
_DOLLARS: Final = values.worded(values.dollars)
_PRICES: Final = ("input", "cached_input", "cache_write", "output")


def read_budget(root: Table, around: Surroundings) -> BudgetSettings:
    """Read `[budget]` with the variables that go before it, and the prices in force."""
    own, notes = Limits(), root.notes
    with root.table("budget") as table:
        tokens = values.whole(0, _MOST_TOKENS)
        daily = table.take("daily_tokens", tokens, own.daily_tokens)
        monthly = table.take("monthly_tokens", tokens, own.monthly_tokens)
        daily_usd = table.take("daily_cost_usd", values.dollars, Decimal("10.0"))
        monthly_usd = table.take("monthly_cost_usd", values.dollars, Decimal("300.0"))
        fallback = table.take("fallback", values.truth, True)
        records = _price_records(table)
    said = _Environment(around, notes)
    return BudgetSettings(
        limits=Limits(
            daily_tokens=said.take("OPENAI_DAILY_TOKEN_LIMIT", "daily_tokens", _TOKENS, daily),
            monthly_tokens=said.take(
                "OPENAI_MONTHLY_TOKEN_LIMIT", "monthly_tokens", _TOKENS, monthly
            ),
            daily_nanousd=to_nanousd(
                said.take("OPENAI_DAILY_COST_LIMIT", "daily_cost_usd", _DOLLARS, daily_usd)
            ),
            monthly_nanousd=to_nanousd(
                said.take("OPENAI_MONTHLY_COST_LIMIT", "monthly_cost_usd", _DOLLARS, monthly_usd)
            ),
        ),
        fallback=said.take(
            "OPENAI_ENABLE_FALLBACK", "fallback", values.worded(values.truth), fallback
        ),
        prices=_prices(records, around, notes),
    )


def _price_records(root: Table) -> dict[str, dict[str, object]]:
    """Read `[budget.prices.MODEL]`, once for each model."""
    records: dict[str, dict[str, object]] = {}
    with root.table("prices") as table:
        for model in table.names():
            with table.table(model) as prices:
                record: dict[str, object] = {
                    field: prices.take(field, values.decimal, None) for field in _PRICES
                }
                record["shutdown"] = prices.take("shutdown", _date, None)
                record["as_of"] = prices.need("as_of", _date)
                record["source"] = prices.need("source", values.text)
            records[model] = {key: value for key, value in record.items() if value is not None}
    return records


def _date(value: object) -> dt.date:
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    if isinstance(value, str):
        try:
            return dt.date.fromisoformat(value)
        except ValueError:
            pass
    raise ValueError("a date such as 2026-10-21")


def _prices(
    records: Mapping[str, Mapping[str, object]], around: Surroundings, notes: Notes
) -> PriceTable:
    files: dict[str, str] = {}
    if (path := around.path("JOBPING_PRICES_FILE")) is not None:
        try:
            files[str(path)] = read_own_file(path, around)[0]
        except ConfigError as error:
            notes.problems.append(f"{error} (named by environment JOBPING_PRICES_FILE)")
    if notes.problems:  # a record that is not whole has been told already
        return load_prices()
    try:
        return load_prices(files, records)
    except ValueError as error:
        notes.problems.append(f"prices: {error}")
        return load_prices()


def read_llm(
    root: Table,
    folder: Path,
    state_dir: Path,
    prices: PriceTable,
    around: Surroundings,
    allow: tuple[Network, ...],
) -> tuple[LlmSettings, Exposed]:
    """Read `[llm]` with the variables that go before it; also the secrets others could see."""
    own, notes = LlmSettings(), root.notes
    with root.table("llm") as table:
        notes.record("llm.api_key", None, DEFAULT)
        base_url = table.take("base_url", values.web_url, None)
        dialect = table.take("dialect", values.one_of(Dialect), own.dialect)
        models = table.take("models", values.many(values.word, "names of models"), own.models)
        concurrency = table.take("concurrency", values.whole(1, 32), own.concurrency)
        organization = table.take("organization", values.word, None)
        project = table.take("project", values.word, None)
        tokenizer = table.take("tokenizer_dir", values.path_below(folder), None)
    said = _Environment(around, notes, "llm")
    base_url = said.take("OPENAI_BASE_URL", "base_url", values.web_url, base_url)
    if dialect is Dialect.COMPATIBLE and base_url is None:
        notes.complain("[llm] dialect", "a compatible server needs its base_url")
    if (why := check_chain(prices, models)) is not None:
        notes.complain("[llm] models", why)
    key, exposed = read_credential(
        "llm.api_key", "OPENAI_API_KEY", values.secret_word, around, notes
    )
    dirs = (tokenizer, around.path("TIKTOKEN_CACHE_DIR"), state_dir / "tiktoken")
    llm = LlmSettings(
        api_key=key,
        base_url=base_url,
        dialect=dialect,
        models=models,
        concurrency=concurrency,
        organization=said.take("OPENAI_ORG_ID", "organization", values.word, organization),
        project=said.take("OPENAI_PROJECT_ID", "project", values.word, project),
        tokenizer_dirs=tuple(path for path in dirs if path is not None),
    )
    try:
        llm.place(allow)
    except ValueError as error:
        notes.complain("[llm] base_url", str(error))
    return llm, exposed


class _Environment:
    """The variables that go before the file; an empty one says nothing."""

    def __init__(self, around: Surroundings, notes: Notes, section: str = "budget") -> None:
        self._around, self._notes, self._section = around, notes, section

    def take(self, variable: str, key: str, parse: values.Parse[T], so_far: T) -> T:
        """Return what a variable says, or what was read so far."""
        text = self._around.environ.get(variable, "").strip()
        if not text:
            return so_far
        try:
            value = parse(text)
        except ValueError as error:
            self._notes.problems.append(f"environment {variable} = {text[:80]!r}: must be {error}")
            return so_far
        self._notes.override(f"{self._section}.{key}", value, f"environment {variable}")
        return value
