"""Postings in the pages of careers sites: schema.org JobPosting as JSON-LD, however broken.

Microdata is read where a page has no JSON-LD of a posting.

`read_ads` gives every posting of a page in one plain form, `ad_of` one that stands elsewhere, and
`own_page` the one that was asked for. Feeds are read into the same form.

Source:
    schema.org/JobPosting; Google, "Job posting (JobPosting) structured data".
"""

import datetime as dt
import html
import json
import re
from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from typing import Final
from urllib.parse import unquote, urlsplit

import attrs
import msgspec

from jobping.core.board import Board
from jobping.core.page import Page, PageRequest
from jobping.core.places import distinct, place, places, says_remote
from jobping.core.posting import CONTENT, Interval, Location, PostingDraft, Remote, Salary
from jobping.core.salary import currency_of, interval_of, read_salary, stated_salary
from jobping.core.text import MAX_MARKUP, drop_controls, unescape
from jobping.sources import dates
from jobping.sources.decode import check_media
from jobping.sources.fields import language_of, line, lines, web_url
from jobping.sources.microdata import read_microdata
from jobping.sources.reader import Head, Reader, Single, Wanted
from jobping.sources.text import html_to_text, script_texts

MAX_SCRIPT: Final = 1_048_576
MAX_NODES: Final = 50_000

PAGE_WEAK: Final = CONTENT - {"closes_at"}
"""A page says everything in other words than its source's list, perhaps in another language."""
_WRAPPINGS = ("\ufeff", "<!--", "//", "/*", "<![CDATA[", "]]>", "*/", "-->", ";")
_LOOSE_COMMA = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|,(?=\s*[}\]])', re.S)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@attrs.frozen(kw_only=True)
class Where:
    """A place in parts."""

    raw: str | None = None
    city: str | None = None
    region: str | None = None
    country: str | None = None


@attrs.frozen(kw_only=True)
class Pay:
    """Pay in parts; amounts as they were written."""

    text: str | None = None
    minimum: str | None = None
    maximum: str | None = None
    currency: str | None = None
    unit: str | None = None


@attrs.frozen(kw_only=True)
class Ad:
    """One JobPosting in one plain form.

    Attributes:
        id: The id that it was asked for by; empty until it is known.
        identifiers: What the page calls it.
        applicants: Where applicants may live.
        is_remote: It says TELECOMMUTE; otherwise it says nothing.
    """

    id: int | str = ""
    identifiers: tuple[str, ...] = ()
    title: str | None = None
    url: str | None = None
    company: str | None = None
    places: tuple[Where, ...] = ()
    applicants: tuple[str, ...] = ()
    is_remote: bool = False
    description: str | None = None
    posted: str | None = None
    closes: str | None = None
    pay: Pay | None = None
    employment: tuple[str, ...] = ()
    industry: str | None = None
    skills: tuple[str, ...] = ()
    language: str | None = None


_Object = dict[str, object]


def read_ads(markup: str) -> Iterator[Ad]:
    """Yield the postings of a page in their order; what cannot be read is passed over."""
    is_found = False
    for text in script_texts(markup, "application/ld+json"):
        for value in _objects(_loads(text[:MAX_SCRIPT])):
            if _is_posting(value):
                is_found = True
                yield ad_of(value)
    yield from () if is_found else map(ad_of, read_microdata(markup))


def own_page(source: str, *, pages: str, path: Callable[[Wanted], str | None]) -> Single:
    """Return how a posting is asked for at its own page, and read there."""
    return Single(
        path=path,
        pages=pages,
        accept=("text/html",),
        item=lambda page, request, id: _item(source, page, request, id),
        reader=AD_READER,
        weak=PAGE_WEAK,
        gone=is_missing,
    )


def _item(source: str, page: Page, request: PageRequest, id: str) -> bytes | str:
    """Return the posting of that id as an `Ad` in JSON, or why there is none."""
    check_media(page, ("html",), source=source)
    found = list(read_ads(page.body.decode("utf-8", "replace")))
    named = [ad for ad in found if id in ad.identifiers]
    if not named and _path(page.url) != _path(request.url):
        return "redirected to a page that does not name the posting"
    if not found:
        return "no JobPosting in the page"
    if not named and len(found) > 1:
        return "several postings in the page, none of which is named"
    return _encoded(attrs.evolve((named or found)[0], id=id), page.url)


def _path(url: str) -> str:
    return urlsplit(url).path.rstrip("/")


def is_missing(page: Page) -> bool:
    """Whether a 404 or 410 is a page for people, as sites answer for what they have no longer."""
    return page.media_type in ("text/html", "text/plain", "")


def _encoded(ad: Ad, url: str) -> bytes:
    try:
        own = web_url(ad.url)
    except ValueError:
        own = url
    return msgspec.json.encode(attrs.evolve(ad, url=own))


def _loads(text: str) -> object:
    """Decode JSON as people write it into pages; None where it cannot be read.

    Wrapped in comments or CDATA, with control characters in texts, commas before brackets, or
    escaped as HTML.
    """
    plain = _unwrapped(text)
    for attempt in (plain, html.unescape(plain)):
        for variant in (attempt, _LOOSE_COMMA.sub(_unless_comma, attempt)):
            try:
                return json.loads(variant, strict=False, parse_constant=_nothing, parse_float=str)
            except (ValueError, RecursionError):
                continue
    return None


def _unwrapped(text: str) -> str:
    for _ in range(3):
        for mark in _WRAPPINGS:
            text = text.strip().removeprefix(mark).removesuffix(mark)
    return text


def _unless_comma(match: re.Match[str]) -> str:
    return "" if match.group() == "," else match.group()


def _nothing(_name: str) -> None:
    """Read NaN and Infinity as null."""


def _objects(value: object) -> Iterator[_Object]:
    """Yield the objects of a JSON value in document order; of a posting only itself."""
    stack = [value]
    for _ in range(MAX_NODES):
        if not stack:
            return
        node = stack.pop()
        if isinstance(node, dict):
            yield node
            if not _is_posting(node):
                stack += reversed(node.values())
        elif isinstance(node, list):
            stack += reversed(node)


def _is_posting(value: _Object) -> bool:
    return any(re.split(r"[/#:]", kind)[-1] == "JobPosting" for kind in _texts(value.get("@type")))


def ad_of(value: _Object) -> Ad:
    """Bring a JobPosting into the plain form."""
    url = _first(value.get("url"))
    employment = (part for text in _texts(value.get("employmentType")) for part in text.split(","))
    return Ad(
        identifiers=_identifiers(value, url),
        title=_first(value.get("title")) or _first(value.get("name")),
        url=url,
        company=_first(value.get("hiringOrganization")),
        places=tuple(_wheres(value.get("jobLocation"))),
        applicants=_texts(value.get("applicantLocationRequirements")),
        is_remote="TELECOMMUTE" in map(str.upper, _texts(value.get("jobLocationType"))),
        description=_first(value.get("description"), most=4 * MAX_MARKUP),
        posted=_first(value.get("datePosted")),
        closes=_first(value.get("validThrough")),
        pay=_pay(value),
        employment=lines(*employment),
        industry=_first(value.get("industry")),
        skills=_texts(value.get("skills")),
        language=_first(value.get("inLanguage")),
    )


def _identifiers(value: _Object, url: str | None) -> tuple[str, ...]:
    """Return what the page calls the posting: its identifiers and the parts of its URLs."""
    urls = [text for text in (url, _first(value.get("@id"))) if text]
    parts = (unquote(part) for text in urls for part in re.split(r"[/?#=&]", text))
    return tuple(dict.fromkeys((*_texts(value.get("identifier")), *parts)))[:100]


def _texts(value: object, *, most: int = 2_000) -> tuple[str, ...]:
    """Return the texts of a value: itself, of a list all, of an object its value or its name."""
    found: list[str] = []
    stack = [value]
    for _ in range(100):
        if not stack:
            break
        node = stack.pop()
        if isinstance(node, list):
            stack += reversed(node[:100])
        elif isinstance(node, dict):
            keys = (key for key in ("@value", "value", "name") if node.get(key) is not None)
            stack.append(node.get(next(keys, "")))
        elif isinstance(node, str | int) and not isinstance(node, bool):
            found.append(drop_controls(str(node)[:most]).strip())
    return tuple(text for text in found if text)


def _first(value: object, *, most: int = 2_000) -> str | None:
    return next(iter(_texts(value, most=most)), None)


def _wheres(value: object) -> Iterator[Where]:
    for entry in value[:100] if isinstance(value, list) else [value]:
        if not isinstance(entry, dict):
            yield from (Where(raw=text) for text in _texts(entry))
            continue
        address = entry.get("address")
        parts = address[0] if isinstance(address, list) and address else address
        if isinstance(parts, dict):
            names = ("addressLocality", "addressRegion", "addressCountry")
            city, region, country = (_first(parts.get(name)) for name in names)
            yield Where(city=city, region=region, country=country)
        else:
            yield Where(raw=_first(parts) or _first(entry.get("name")))


def _pay(value: _Object) -> Pay | None:
    """Return the pay in parts; a number, a text, a list and objects within objects are known."""
    stated = value.get("baseSalary")
    if isinstance(stated, list):
        stated = stated[0] if stated else None
    if stated is None:
        return None
    fields: _Object = stated if isinstance(stated, dict) else {"value": stated}
    amount = fields.get("value")
    inner: _Object = amount if isinstance(amount, dict) else fields
    currency = fields.get("currency") or inner.get("currency") or value.get("salaryCurrency")
    exact = _first(inner.get("value"))
    return Pay(
        text=exact,
        minimum=_first(inner.get("minValue")) or exact,
        maximum=_first(inner.get("maxValue")) or exact,
        currency=_first(currency),
        unit=_first(inner.get("unitText") or fields.get("unitText")),
    )


def _head(ad: Ad, _board: Board) -> Head:
    return Head(title=ad.title, company=ad.company, url=ad.url)


def _fill(ad: Ad, draft: PostingDraft, page: Page) -> PostingDraft:
    where = _places(ad)
    is_remote = ad.is_remote or any(says_remote(found.raw) for found in where)
    filled = attrs.evolve(
        draft,
        locations=where,
        remote=Remote.YES if is_remote else Remote.UNKNOWN,
        description=_text(ad.description or ""),
        closes_at=end_of(ad),
        salary=_salary(ad.pay) if ad.pay else None,
        employment=ad.employment,
        department=line(ad.industry),
        tags=lines(*ad.skills),
        language=language_of(ad.language),
    )
    moment = dates.first(dates.iso(ad.posted), dates.rfc2822(ad.posted))
    return dates.posted(filled, moment, page.fetched_at)


def _places(ad: Ad) -> tuple[Location, ...]:
    """Return where the work is; of remote work without a place, where applicants may live."""
    stated = distinct(
        found
        for entry in ad.places
        for found in place(entry.raw, city=entry.city, region=entry.region, country=entry.country)
    )
    return stated or places(*ad.applicants)


def _text(markup: str) -> str:
    """Return the text, also of markup that was escaped once more."""
    return html_to_text(markup if "<" in markup else unescape(markup))


def end_of(ad: Ad) -> dt.datetime | None:
    """Return when the posting ends; a day without time counts whole."""
    at = dates.iso(ad.closes).at
    if at is None or at.year == dt.MAXYEAR or not _DAY.fullmatch((ad.closes or "").strip()):
        return at
    return at + dt.timedelta(days=1)


def _salary(pay: Pay) -> Salary | None:
    """Return the stated amounts; of a text what it says, joined with what stands beside it."""
    low, high = _amount(pay.minimum), _amount(pay.maximum)
    code, unit = currency_of((pay.currency or "").upper()), interval_of(pay.unit)
    if low is not None or high is not None:
        return stated_salary("", minimum=low, maximum=high, currency=code, interval=unit)
    read = read_salary(pay.text)
    if read is None:
        return None
    interval = read.interval if read.interval is not Interval.UNKNOWN else unit
    return attrs.evolve(read, currency=read.currency or code, interval=interval)


def _amount(text: str | None) -> Decimal | None:
    try:
        return Decimal((text or "").replace(" ", ""))
    except InvalidOperation:
        return None


AD_READER: Final = Reader(item=Ad, head=_head, fill=_fill)
