"""Single fields as strangers write them: lines, languages, links."""

import re
from urllib.parse import SplitResult, parse_qs, parse_qsl, quote, urlencode, urljoin, urlsplit

from jobping.core.page import PageRequest
from jobping.core.text import clean_line

MAX_URL = 2_000
MAX_WORD = 200
MAX_WORDS = 50

HOST_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
"""A slug that is part of a host's name."""
HOST_LABEL_HELP = "the company's host name before {}: lower-case letters, digits and -"


def line(text: str | None) -> str | None:
    """Return one cleaned line of at most `MAX_WORD` characters, or None where nothing is said."""
    return clean_line((text or "")[: 4 * MAX_WORD])[:MAX_WORD].strip() or None


def lines(*texts: str | None) -> tuple[str, ...]:
    """Return the cleaned lines that say something, each once, at most `MAX_WORDS`."""
    found = (line(text) for text in texts)
    return tuple(dict.fromkeys(text for text in found if text))[:MAX_WORDS]


def language_of(text: str | None) -> str | None:
    """Return the ISO 639-1 code that a tag such as `en` or `pt-BR` begins with, or None."""
    found = re.match(r"([a-z]{2})(?![a-z])", (text or "").lower())
    return found.group(1) if found else None


def web_url(text: str | None) -> str:
    """Return an absolute http or https URL as it was sent, without blanks around it.

    Raises:
        ValueError: It is none.
    """
    url = (text or "").strip()
    try:
        parts = urlsplit(url[: MAX_URL + 1])
    except ValueError:
        raise ValueError("no absolute http(s) URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or len(url) > MAX_URL:
        raise ValueError("no absolute http(s) URL")
    if not url.isprintable() or " " in url or parts.username is not None:
        raise ValueError("URL with blanks, control characters or a user part")
    return url


def query_slug(*keys: str) -> re.Pattern[str]:
    """Return what slugs match that are queries: `all`, or `key:value` joined by semicolons."""
    part = rf"(?:{'|'.join(keys)}):[^\W_](?:[\w .,'&()+/#-]{{0,58}}[\w.)+#])?"
    return re.compile(rf"all|{part}(?:;{part}){{0,5}}")


def query_of(slug: str) -> list[tuple[str, str]]:
    """Return the keys and values of such a slug; none for `all`."""
    parts = (part.partition(":") for part in slug.split(";") if slug != "all")
    return [(key, value) for key, _, value in parts]


def linked(base: str, link: str) -> SplitResult | None:
    """Return where a link of a page leads, or None where it is no address at all."""
    try:
        return urlsplit(urljoin(base, link))
    except ValueError:  # brackets that hold no address of IPv6
        return None


def number_in(url: str, parameter: str, default: int) -> int:
    """Return a whole number of a URL's query, else the default."""
    text = parse_qs(urlsplit(url).query).get(parameter, [""])[-1]
    return int(text) if text.isdecimal() and len(text) < 10 else default


def next_page(url: str, parameter: str, size: int) -> PageRequest:
    """Return the request for what comes after a page of that many items.

    Args:
        parameter: The one that counts the items to skip.
    """
    parts = urlsplit(url)
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    query[parameter] = str(number_in(url, parameter, 0) + size)
    return PageRequest(url=parts._replace(query=urlencode(query)).geturl())


def with_query(url: str, **values: str | int) -> str:
    """Return a URL with some parameters of its query set, the others as they were."""
    parts = urlsplit(url)
    kept = [
        pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] not in values
    ]
    query = urlencode([*kept, *values.items()], quote_via=quote)
    return parts._replace(query=query).geturl()
