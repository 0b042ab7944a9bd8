"""Pay as the sources state it: amounts as Decimal, nothing annualised, converted or guessed."""

import re
from decimal import Decimal, InvalidOperation
from typing import Final

import attrs

from jobping.core.posting import Interval, Salary, SalaryOrigin
from jobping.core.text import clean_line

NOISE_ABOVE: Final = Decimal(10_000_000)
"""A yearly amount above this is noise (recorded: "$20000k - $40000k"); its raw text is kept."""
_MAX_RAW: Final = 300

_INTERVALS: Final = (
    (Interval.HOUR, "hour|hourly|hr|h|stunde|std|heure|uur|hora"),
    (Interval.DAY, "day|daily|tag|jour|dia|dag"),
    (Interval.WEEK, "week|weekly|woche|semaine"),
    (Interval.MONTH, "month|monthly|mo|monat|mois|mes|maand"),
    (Interval.YEAR, "year|yearly|annual|annually|annum|yr|pa|jahr|jahrlich|an|ans|jaar"),
    (Interval.ONCE, "once|one time|onetime|fixed"),
)
_WORDS: Final = {word: interval for interval, words in _INTERVALS for word in words.split("|")}
_STATED: Final = re.compile(
    r"(?:(?:/|(?<!\w)(?:per|an?|pro|par|je|por))\s*(hour|hr|h|day|week|month|mo|year|yr|annum|"
    r"stunde|std|tag|monat|jahr|heure|jour|mois|an)(?!\w)"
    r"|(?<!\w)(hourly|daily|weekly|monthly|yearly|annual|annually)(?!\w)|(?<!\w)(p\.?\s?a\.?)(?!\w))",
    re.I,
)
_SYMBOLS: Final = (
    ("US$", "USD"), ("CA$", "CAD"), ("C$", "CAD"), ("AU$", "AUD"), ("A$", "AUD"), ("NZ$", "NZD"),
    ("S$", "SGD"), ("HK$", "HKD"), ("R$", "BRL"), ("MX$", "MXN"), ("€", "EUR"), ("£", "GBP"),
    ("₹", "INR"), ("zł", "PLN"), ("₪", "ILS"), ("₩", "KRW"), ("₴", "UAH"), ("Kč", "CZK"),
)  # fmt: skip
"""Only signs that name one currency; a bare `$`, `kr` or `¥` names several."""
_CODES: Final = re.compile(
    r"(?<![A-Za-z])(USD|EUR|GBP|CAD|AUD|NZD|CHF|SEK|NOK|DKK|PLN|CZK|HUF|RON|BGN|ISK|TRY|UAH|RSD|"
    r"INR|SGD|HKD|JPY|CNY|KRW|MYR|THB|PHP|IDR|VND|TWD|BRL|MXN|ARS|CLP|COP|ZAR|NGN|KES|EGP|AED|SAR|"
    r"ILS)(?![A-Za-z])"
)
_AMOUNT: Final = re.compile(
    r"(?<![\w.,])[^\d\s\w]{0,3}(?:[A-Z]{1,3}\$?\s?)?(\d{1,12}(?:[.,' \u00a0\u202f]\d{1,3}){0,4})"
    r"\s?([kKmM](?!\w))?"
)
_JOIN: Final = re.compile(r"\s*(?:-|–|—|to|bis|until|and|à)\s*[^\d]{0,6}$", re.I)
_BOUND: Final = re.compile(
    r"(?<!\w)(?:(up to|bis zu|bis|max|maximum|jusqu'à)|from|starting at|min|minimum|ab|à partir de)"
    r"[\s.:]*[^\w\s]{0,3}(?:[A-Z]{1,3}\$?)?\s*$",
    re.I,
)


@attrs.frozen
class _Amount:
    value: Decimal
    suffix: str
    start: int
    end: int


def interval_of(text: str | None) -> Interval:
    """Read a source's word for a pay interval, such as `1 YEAR`, `per-hour-wage` or `monthly`."""
    for word in re.split(r"[^a-zä]+", (text or "").casefold().replace("ä", "a")):
        if word in _WORDS:
            return _WORDS[word]
    return Interval.UNKNOWN


def size_interval(amount: Decimal | None) -> Interval:
    """Guess the interval of an amount whose source never sends one; our choice of borders."""
    if amount is None or not amount.is_finite() or amount <= 0:
        return Interval.UNKNOWN
    if amount < 100:
        return Interval.HOUR
    if amount < 1_000:
        return Interval.DAY
    return Interval.YEAR if amount >= 5_000 else Interval.UNKNOWN


def currency_of(text: str | None) -> str | None:
    """Return the ISO 4217 code that a text names, or None; a bare dollar sign names none."""
    found = _CODES.search(text or "")
    if found:
        return found.group(1)
    return next((code for symbol, code in _SYMBOLS if symbol in (text or "")), None)


def stated_salary(
    raw: str,
    *,
    minimum: Decimal | None,
    maximum: Decimal | None,
    currency: str | None,
    interval: Interval,
    origin: SalaryOrigin = SalaryOrigin.STATED,
) -> Salary | None:
    """Return pay that a source sends as amounts; None where both are missing or 0.

    Args:
        raw: What to keep as the source's own text; where empty, the amounts joined.
    """
    amounts = [_positive(minimum), _positive(maximum)]
    known = [amount for amount in amounts if amount is not None]
    if not known:
        return None
    if len(known) == 2:
        amounts = [min(known), max(known)]
    code = currency.strip().upper() if currency else None
    shown = (f"{amount:f}".removesuffix(".0") for amount in dict.fromkeys(known))
    words = [" - ".join(shown), code, interval.value]
    text = _line(raw) or " ".join(word for word in words if word and word != "unknown")
    if any(amount > NOISE_ABOVE and interval in _LONG for amount in known):
        return Salary(raw=text)
    return Salary(
        raw=text,
        minimum=amounts[0],
        maximum=amounts[1],
        currency=code if code and re.fullmatch(r"[A-Z]{3}", code) else None,
        interval=interval,
        origin=origin,
    )


def read_salary(text: str | None) -> Salary | None:
    """Read pay from free text; what it does not say stays unknown, None for a text of blanks."""
    raw = _line(text)
    if not raw:
        return None
    found = list(_amounts(raw))[:2]
    stated = _STATED.search(raw)
    minimum = maximum = None
    if found:
        minimum = maximum = found[0].value
        bound = _BOUND.search(raw[: found[0].start])
        if bound is not None:
            minimum, maximum = (None, maximum) if bound.group(1) else (minimum, None)
    if len(found) == 2 and _JOIN.search(raw[found[0].end : found[1].start]):
        minimum, maximum = _range(found[0], found[1])
    salary = stated_salary(
        raw,
        minimum=minimum,
        maximum=maximum,
        currency=currency_of(raw),
        interval=interval_of(stated.group().replace(".", "")) if stated else Interval.UNKNOWN,
    )
    return salary or Salary(raw=raw)


_LONG: Final = (Interval.YEAR, Interval.UNKNOWN)


def _amounts(raw: str) -> "list[_Amount]":
    """Return the amounts of a text in order."""
    found = []
    for match in _AMOUNT.finditer(raw):
        value = _number(match.group(1), has_suffix=match.group(2) is not None)
        if value is not None:
            suffix = (match.group(2) or "").lower()
            found.append(_Amount(value * _FACTORS[suffix], suffix, match.start(1), match.end()))
    return found


_FACTORS: Final = {"": Decimal(1), "k": Decimal(1000), "m": Decimal(1_000_000)}


def _range(low: _Amount, high: _Amount) -> tuple[Decimal, Decimal]:
    """Return both ends; `90 - 105k` means thousands on both sides."""
    if high.suffix and not low.suffix and low.value < high.value / 100:
        return low.value * _FACTORS[high.suffix], high.value
    return low.value, high.value


def _number(text: str, *, has_suffix: bool) -> Decimal | None:
    """Read digits with either kind of separators; three digits behind one mean thousands."""
    compact = re.sub(r"['\s\u00a0\u202f]", "", text)
    marks = re.findall(r"[.,]", compact)
    tail = len(re.split(r"[.,]", compact)[-1])
    if marks and (tail != 3 or has_suffix) and (len(set(marks)) == 2 or len(marks) == 1):
        whole, fraction = compact[: -tail - 1], compact[-tail:]
        compact = f"{re.sub('[.,]', '', whole)}.{fraction}"
    else:
        compact = re.sub("[.,]", "", compact)
    try:
        return Decimal(compact)
    except InvalidOperation:
        return None


def _positive(amount: Decimal | None) -> Decimal | None:
    """Return the amount; 0, less, or not a number mean unknown."""
    if amount is None or not amount.is_finite() or amount <= 0 or amount.adjusted() > 15:
        return None
    return amount


def _line(text: str | None) -> str:
    return clean_line((text or "")[: 4 * _MAX_RAW])[:_MAX_RAW].strip()
