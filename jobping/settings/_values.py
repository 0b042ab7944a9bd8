"""From one value of the file to one typed value; a ValueError says what is allowed. Pure."""

import datetime as dt
import enum
import json
import re
import zoneinfo
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from ipaddress import ip_network
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

from jobping.core.addresses import Allowed, parse_url
from jobping.core.mail_address import check_mail_address
from jobping.core.posting import Interval
from jobping.core.profile import PayFloor
from jobping.settings._records import Network, Secret

T = TypeVar("T")
E = TypeVar("E", bound=enum.Enum)
Parse = Callable[[object], T]

_LONGEST: Final = 500
_MOST_DOLLARS: Final = 1_000_000
_SHOWN: Final = 80
_PAY = re.compile(
    r"(\d{1,3}(?:[,_ ]\d{3})+|\d+)(\.\d+)?\s*(k?)\s*([A-Za-z]{3})"
    r"(?:\s*(?:/|per)\s*(hour|day|week|month|year))?"
)
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


def shown(value: object) -> str:
    """Return a value of the file as an operator wrote it, about."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def truth(value: object) -> bool:
    """Read true or false."""
    if isinstance(value, bool):
        return value
    raise ValueError("true or false")


def whole(low: int, high: int) -> Parse[int]:
    """Read a whole number within bounds."""

    def parse(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        raise ValueError(f"a whole number from {low} to {high}")

    return parse


def number(low: float, high: float) -> Parse[float]:
    """Read a number within bounds."""

    def parse(value: object) -> float:
        fits = isinstance(value, (int, float)) and not isinstance(value, bool)
        if fits and low <= value <= high:  # type: ignore[operator]  # fits says it is a number
            return float(value)  # type: ignore[arg-type]  # likewise
        raise ValueError(f"a number from {low:g} to {high:g}")

    return parse


def text(value: object) -> str:
    """Read a text with something in it, on one line."""
    if isinstance(value, str) and value.strip() and value.isprintable() and len(value) <= _LONGEST:
        return value.strip()
    raise ValueError(f"a text on one line, of 1 to {_LONGEST} characters")


def one_of(choices: type[E]) -> Parse[E]:
    """Read the value of an Enum of texts."""
    names = [choice.value for choice in choices]

    def parse(value: object) -> E:
        if value in names:
            return choices(value)
        raise ValueError("one of " + ", ".join(names))

    return parse


def one_word_of(names: tuple[str, ...]) -> Parse[str]:
    """Read one of some words."""

    def parse(value: object) -> str:
        if isinstance(value, str) and value in names:
            return value
        raise ValueError("one of " + ", ".join(names))

    return parse


def many(parse_one: Parse[T], what: str) -> Parse[tuple[T, ...]]:
    """Read a list.

    Args:
        parse_one: Reads one item.
        what: What a list of these is called, for the message.
    """

    def parse(value: object) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise ValueError(f"a list of {what}")
        return tuple(parse_item(item) for item in value)

    def parse_item(item: object) -> T:
        try:
            return parse_one(item)
        except ValueError as error:
            raise ValueError(f"a list of {what}, each {error}; not {shown(item)}") from error

    return parse


def path_below(folder: Path) -> Parse[Path]:
    """Read a path; a relative one starts at the folder, `~` at the home."""

    def parse(value: object) -> Path:
        if not isinstance(value, str) or not value or "\0" in value:
            raise ValueError("a path")
        try:
            return (folder / Path(value).expanduser()).absolute()
        except RuntimeError as error:
            raise ValueError("a path whose home directory exists") from error

    return parse


def path_or_false(folder: Path) -> Parse[Path | None]:
    """Read a path, or false for none."""

    def parse(value: object) -> Path | None:
        if value is False:
            return None
        try:
            return path_below(folder)(value)
        except ValueError as error:
            raise ValueError(f"{error}, or false for none") from error

    return parse


def network(value: object) -> Network:
    """Read an address range."""
    try:
        return ip_network(str(value), strict=True)
    except ValueError as error:
        raise ValueError('an address range such as "127.0.0.0/8" or "fd00::/8"') from error


def contact(value: object) -> str:
    """Read a URL or a mail address for a header field."""
    if isinstance(value, str) and re.fullmatch(r"(https?://|[^\s@()]+@)[!-'*-~]{3,200}", value):
        return value
    raise ValueError("a URL or a mail address without blanks or brackets")


def mail_address(value: object) -> str:
    """Read exactly one mail address."""
    return check_mail_address(value if isinstance(value, str) else "")


def database_url(value: object) -> Secret:
    """Read the URL of a PostgreSQL database."""
    if isinstance(value, str):
        try:
            parts = urlsplit(value.strip())
            _ = parts.port
        except ValueError:
            parts = None
        if parts and parts.scheme in ("postgres", "postgresql") and (parts.netloc or parts.query):
            return Secret(value.strip())
    raise ValueError("a URL such as postgresql://USER@HOST:5432/DATABASE")


def has_password(url: Secret) -> bool:
    """Whether a database URL holds a password."""
    parts = urlsplit(url.reveal())
    return parts.password is not None or "password=" in parts.query


def dollars(value: object) -> Decimal:
    """Read an exact amount of dollars."""
    amount = decimal(value)
    if not 0 <= amount <= _MOST_DOLLARS or amount != round(amount, 9):
        raise ValueError("dollars from 0 to 1000000, with at most nine decimal places")
    return amount


def decimal(value: object) -> Decimal:
    """Read a number as it is written."""
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            amount = Decimal(value.strip() if isinstance(value, str) else repr(value))
        except InvalidOperation:
            amount = Decimal("nan")
        if amount.is_finite():
            return amount
    raise ValueError("a number")


def web_url(value: object) -> str:
    """Read an address of a web interface, without query or user."""
    if isinstance(value, str):
        try:
            parts = urlsplit(value.strip())
            _ = parts.port
        except ValueError:
            parts = None
        plain = parts and not (parts.query or parts.fragment or parts.username or parts.password)
        if parts and plain and parts.scheme in ("http", "https") and parts.hostname:
            return value.strip().rstrip("/")
    raise ValueError("a URL such as https://api.openai.com/v1")


def secret_url(value: object) -> Secret:
    """Read an address that is asked as it stands, and whose path or query may be a secret."""
    if isinstance(value, str) and isinstance(parse_url(value), Allowed):
        return Secret(value)
    raise ValueError("a URL such as https://example.org/ping/ID")


def word(value: object) -> str:
    """Read a name or a key: one word of printable ASCII."""
    if isinstance(value, str) and re.fullmatch(r"[!-~]{1,500}", value.strip()):
        return value.strip()
    raise ValueError("one word of ASCII")


def secret_word(value: object) -> Secret:
    """Read a key."""
    return Secret(word(value))


def worded(parse: Parse[T]) -> Parse[T]:
    """Read from the text of a variable what the file has as a number or a truth."""

    def parse_text(value: object) -> T:
        text = str(value).strip()
        if text.lower() in ("true", "yes", "on", "false", "no", "off"):
            return parse(text.lower() in ("true", "yes", "on"))
        return parse(int(text) if re.fullmatch(r"-?\d{1,18}", text) else text)

    return parse_text


def time_of_day(value: object) -> dt.time:
    """Read a local time of day."""
    if isinstance(value, dt.time) and value.tzinfo is None:
        return value.replace(second=0, microsecond=0)
    if isinstance(value, str) and (found := _TIME.fullmatch(value)):
        return dt.time(int(found[1]), int(found[2]))
    raise ValueError('a time such as "08:00"')


def zone(value: object) -> dt.tzinfo:
    """Read a time zone."""
    if value == "UTC":
        return dt.UTC
    try:
        return zoneinfo.ZoneInfo(text(value))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError('a time zone such as "UTC" or "Europe/Zurich"') from error


def language(value: object) -> str:
    """Read an ISO 639-1 code."""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z]{2}", value):
        return value.lower()
    raise ValueError('a code of two letters such as "en"')


def pay_floor(value: object) -> PayFloor:
    """Read the least pay, such as `30000 EUR/year` or `25.50 GBP/hour`; year if none is named."""
    if isinstance(value, str) and (found := _PAY.fullmatch(value.strip())):
        whole_part, fraction, thousands, currency, interval = found.groups()
        amount = Decimal(re.sub(r"[,_ ]", "", whole_part) + (fraction or ""))
        return PayFloor(
            amount=amount * 1000 if thousands else amount,
            currency=currency.upper(),
            interval=Interval(interval or "year"),
        )
    raise ValueError('an amount, a currency and a time such as "30000 EUR/year"')
