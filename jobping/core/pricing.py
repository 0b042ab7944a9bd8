"""What a model's tokens cost: prices, upper bounds before a call, costs after it. Pure.

Money is integer nano-dollars. Prices are nano-dollars per million tokens, so that every price of
the table is a whole number; a sum is divided once, at its end, and rounded up.
"""

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Final, NewType

import attrs

from jobping.core.model import Usage

NanoUsd = NewType("NanoUsd", int)

USD: Final = 10**9
"""Nano-dollars of a dollar."""
MILLION: Final = 10**6
LONG_PROMPT_TOKENS: Final = 272_000
"""Above it some models bill the whole request at other prices; none of our prompts comes near."""
STALE_AFTER: Final = dt.timedelta(days=90)
WARN_BEFORE: Final = dt.timedelta(days=60)
TIERS: Final = ("flex", "priority", "batch")
DEFAULT_TIERS: Final = (None, "default", "auto")

_MOST: Final = 1_000 * USD
_LEAST: Final = USD // 1_000
_MOST_TIER: Final = 5
_SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}")
_TYPICAL: Final = Usage(input_tokens=4_200, output_tokens=800)


@attrs.frozen(kw_only=True)
class Rate:
    """Prices of one tier, nano-dollars per million tokens.

    Attributes:
        cached: Of prompt tokens read from the cache.
        written: Of prompt tokens written to the cache.
        output: Of completion tokens, reasoning included.
    """

    input: int
    cached: int
    written: int
    output: int

    def parts(self, usage: Usage) -> int:
        """Return the cost in millionths of a nano-dollar."""
        plain = usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens
        return (
            plain * self.input
            + usage.cached_tokens * self.cached
            + usage.cache_write_tokens * self.written
            + usage.output_tokens * self.output
        )

    @property
    def prompt(self) -> int:
        """The dearest that a prompt token can be."""
        return max(self.input, self.cached, self.written)


@attrs.frozen(kw_only=True)
class Price:
    """The prices of one model.

    Attributes:
        tiers: Service tiers other than the default one, where they are offered.
        long: For prompts above `LONG_PROMPT_TOKENS`; None: the same as others.
        uplift: Factor of regional endpoints.
        is_strict: It answers in a strict JSON schema.
        shutdown: From this UTC date on it is not asked.
        as_of: When the record was right.
        origin: Where the record stands: `packaged`, a file, or the configuration.
    """

    model: str
    base: Rate
    tiers: Mapping[str, Rate] = attrs.field(factory=dict)
    long: Rate | None = None
    uplift: Fraction = Fraction(1)
    is_strict: bool = True
    shutdown: dt.date | None = None
    as_of: dt.date
    source: str
    origin: str


@attrs.frozen(kw_only=True)
class Bound:
    """The most that a call can use."""

    tokens: int
    nanousd: NanoUsd


@attrs.frozen(kw_only=True)
class Cost:
    """What an answer cost.

    Attributes:
        doubt: Why the price is a guess on the dear side, or empty.
    """

    tokens: int
    nanousd: NanoUsd
    doubt: str = ""


@attrs.frozen(kw_only=True)
class PriceTable:
    """All prices in force.

    Attributes:
        refused: Models whose record is wrong, with the reason.
        version: Of table and overrides, 12 hexadecimal digits.
        as_of: Of the packaged table.
    """

    prices: Mapping[str, Price]
    refused: Mapping[str, str] = attrs.field(factory=dict)
    version: str
    as_of: dt.date

    def why_not(self, model: str, today: dt.date) -> str | None:
        """Say why a model must not be asked, or None.

        Args:
            today: The UTC date.
        """
        if model in self.refused:
            return self.refused[model]
        price = self.prices.get(model)
        if price is None:
            return "no price is known"
        if price.shutdown is not None and price.shutdown <= today:
            return f"shut down on {price.shutdown}"
        return None if price.is_strict else "no strict JSON schema"


def read_prices(
    records: Mapping[str, object], *, as_of: dt.date, source: str, origin: str
) -> tuple[dict[str, Price], dict[str, str]]:
    """Return the prices of a table in dollars per million tokens, and the models refused and why.

    Args:
        records: By model, with numbers as int or Decimal.
    """
    prices: dict[str, Price] = {}
    refused: dict[str, str] = {}
    for model, record in records.items():
        try:
            prices[model] = read_price(model, record, as_of=as_of, source=source, origin=origin)
        except ValueError as error:
            refused[model] = str(error)
    return {model: _with_shutdown(price, prices) for model, price in prices.items()}, refused


def read_price(model: str, record: object, *, as_of: dt.date, source: str, origin: str) -> Price:
    """Return one model's prices from its record.

    Raises:
        ValueError: Something is missing or cannot be a price; the message names the field.
    """
    if not isinstance(record, Mapping):
        raise ValueError("no table of prices")
    base = _base(record)
    tiers = {tier: rate for tier in TIERS if (rate := _variant(record, tier, base)) is not None}
    uplift = record.get("regional_uplift", 1)
    if not isinstance(uplift, (int, Decimal)) or not 1 <= uplift <= 2:
        raise ValueError("regional_uplift: not from 1 to 2")
    return Price(
        model=model,
        base=base,
        tiers=tiers,
        long=_variant(record, "above_272k", base),
        uplift=Fraction(uplift),
        is_strict=record.get("strict_json_schema", True) is True,
        shutdown=_date(record.get("shutdown")),
        as_of=as_of,
        source=source,
        origin=origin,
    )


def check_chain(table: PriceTable, chain: Iterable[str]) -> str | None:
    """Say what is wrong with a chain of models, or None; one that is shut down is skipped later."""
    before: Price | None = None
    for model in chain:
        why = table.why_not(model, dt.date.min)
        if why is not None:
            return f"{model}: {why}"
        price = table.prices[model]
        if before is not None and price.base.parts(_TYPICAL) > before.base.parts(_TYPICAL):
            return f"{model} is dearer than {before.model} before it"
        before = price
    return None


def bound(price: Price, prompt_tokens: int, output_tokens: int, *, regional: bool = False) -> Bound:
    """Return the most that a call at the default tier can use.

    Args:
        prompt_tokens: Upper bound, framing and schema included.
        output_tokens: The maximum sent along.
        regional: It goes to a regional endpoint.

    Raises:
        ValueError: The prompt is longer than any of ours may be.
    """
    if prompt_tokens > LONG_PROMPT_TOKENS:
        raise ValueError(f"a prompt of up to {prompt_tokens} tokens")
    parts = prompt_tokens * price.base.prompt + output_tokens * price.base.output
    return Bound(
        tokens=prompt_tokens + output_tokens, nanousd=_nanousd(parts, price, regional=regional)
    )


def cost(
    table: PriceTable,
    asked: str,
    usage: Usage,
    *,
    model: str,
    tier: str | None,
    regional: bool = False,
) -> Cost:
    """Return what an answer cost, by the model and the tier that answered.

    Args:
        asked: The model that was asked; it has a price.
        model: The name in the answer.
        tier: The tier in the answer; None: the default one.
    """
    price, doubt = table.prices.get(model), ""
    if price is None:
        price, doubt = table.prices[asked], f"{model} has no price"
    rate = price.base if tier in DEFAULT_TIERS else price.tiers.get(str(tier))
    if rate is None:
        rate = max((price.base, *price.tiers.values()), key=lambda rate: rate.parts(usage))
        doubt = doubt or f"tier {tier} has no price"
    if usage.input_tokens > LONG_PROMPT_TOKENS and price.long is not None:
        rate = max(rate, price.long, key=lambda rate: rate.parts(usage))
    return Cost(
        tokens=usage.input_tokens + usage.output_tokens,
        nanousd=_nanousd(rate.parts(usage), price, regional=regional),
        doubt=doubt,
    )


def to_nanousd(dollars: Decimal) -> NanoUsd:
    """Return an amount in nano-dollars.

    Raises:
        ValueError: It is not a whole number of them.
    """
    amount = dollars * USD
    if not dollars.is_finite() or amount != amount.to_integral_value():
        raise ValueError("more than nine decimal places")
    return NanoUsd(int(amount))


def dollars(nanousd: int) -> str:
    """Return an amount in dollars, rounded up to a millionth."""
    millionths = -(-nanousd // 1_000)
    text = f"{millionths // 10**6}.{millionths % 10**6:06d}"
    whole, _, rest = text.partition(".")
    return f"${whole}.{rest[:2]}{rest[2:].rstrip('0')}"


def _nanousd(parts: int, price: Price, *, regional: bool) -> NanoUsd:
    factor = price.uplift if regional else Fraction(1)
    return NanoUsd(-(-parts * factor.numerator // (MILLION * factor.denominator)))


def _base(record: Mapping[str, object]) -> Rate:
    input = _amount(record, "input", None)
    cached = _amount(record, "cached_input", input)
    written = _amount(record, "cache_write", input)
    output = _amount(record, "output", None)
    if output * 2 < input:
        raise ValueError("output: less than half of input")
    if cached > input:
        raise ValueError("cached_input: more than input")
    return Rate(input=input, cached=cached, written=written, output=output)


def _variant(record: Mapping[str, object], name: str, base: Rate) -> Rate | None:
    """Return the prices of a tier, or of long prompts; None where they are not offered."""
    values = record.get(name)
    if not isinstance(values, Mapping) or "output" not in values or "input" not in values:
        return None
    input = _amount(values, "input", None, within=name)
    rate = Rate(
        input=input,
        cached=_amount(values, "cached_input", input, within=name),
        written=_amount(values, "cache_write", max(input, base.written), within=name),
        output=_amount(values, "output", None, within=name),
    )
    for field in attrs.asdict(rate):
        if getattr(rate, field) > _MOST_TIER * max(base.input, getattr(base, field)):
            raise ValueError(f"{name}.{field}: more than {_MOST_TIER} times the default tier's")
    return rate


def _amount(
    values: Mapping[str, object], field: str, default: int | None, *, within: str = ""
) -> int:
    name, value = f"{within}.{field}".lstrip("."), values.get(field, default)
    if field not in values and default is not None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise ValueError(f"{name}: no number")
    try:
        amount = to_nanousd(Decimal(value))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    if amount != 0 and not _LEAST <= amount <= _MOST:
        raise ValueError(f"{name}: {value} is not in dollars per million tokens")
    return amount


def _date(value: object) -> dt.date | None:
    if value is None:
        return None
    if isinstance(value, dt.date):
        return value
    try:
        return dt.date.fromisoformat(str(value))
    except ValueError as error:
        raise ValueError(f"shutdown: {value} is no date") from error


def _with_shutdown(price: Price, prices: Mapping[str, Price]) -> Price:
    """Give a name without a date the last one of its dated snapshots, if all have one."""
    if price.shutdown is not None:
        return price
    dates = [
        other.shutdown
        for name, other in prices.items()
        if name.startswith(price.model) and _SNAPSHOT.fullmatch(name[len(price.model) :])
    ]
    known = [date for date in dates if date is not None]
    ends = max(known) if dates and len(known) == len(dates) else None
    return attrs.evolve(price, shutdown=ends)
