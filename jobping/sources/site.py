"""Any careers site: from robots.txt over sitemaps to the JobPosting data of its pages.

The sitemaps are the list: an item is an address and when it was changed, so only the pages that are
new or changed are asked for. What a posting says, and whether it is one, stands in its own page.
Absence proves nothing here.
"""

import datetime as dt
import hashlib
import itertools
import re
import zlib
from collections.abc import Iterable
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

import attrs
import msgspec

from jobping.core.board import Board, Coverage
from jobping.core.ids import SourceName
from jobping.core.page import Page, PageRequest
from jobping.core.posting import CONTENT, PostingDraft
from jobping.errors import MalformedPage
from jobping.sources import dates
from jobping.sources.decode import check_media, read_xml
from jobping.sources.feed import HOST
from jobping.sources.fields import linked
from jobping.sources.items import MAX_ITEMS, Head, ItemSource, Listing
from jobping.sources.jobposting import AD_READER, end_of, is_missing, read_ads
from jobping.sources.reader import Single
from jobping.sources.source import Pace, Terms

MOST_SITEMAPS: Final = 20
MOST_BYTES: Final = 10_485_760
LONGEST_ID: Final = 150
UNDATED_DAYS: Final = 7
"""A page is read again so often where no sitemap says when it was changed; our choice."""
FRESH: Final = dt.timedelta(days=60)
"""A page that was not changed for longer is not asked for; our choice."""
ACCEPT: Final = ("text/html", "application/xml", "text/xml", "text/plain")
_SITEMAP = re.compile(r"^\s*sitemap\s*:\s*(\S+)", re.I | re.M)
_POSTING = re.compile(
    r"/(?:[\w-]*[-_])?(?:jobs?|careers?|vacanc(?:y|ies)|positions?|openings?|opportunit(?:y|ies)"
    r"|stellen(?:angebote?)?|karriere|emplois?|offres?|empleos?|ofertas?|vacatures?|lavoro)"
    r"(?:[-_][\w-]*)?/[^/]+",
    re.I,
)


_FILE = re.compile(r"\.(?:pdf|docx?|jpe?g|png|gif|webp|svg|mp4|zip|xml|json|rss)\Z", re.I)
_META = re.compile(r"<meta\s[^>]{0,500}", re.I)
_ROBOTS = re.compile(r"\bname\s*=\s*[\"']?robots\b", re.I)
_NOINDEX = re.compile(r"\b(?:noindex|none)\b", re.I)


@attrs.frozen(kw_only=True)
class Entry:
    """A page that a sitemap names.

    Attributes:
        changed: When, as the sitemap says; else a text that is another one every week.
    """

    id: str
    url: str
    changed: str


def _listing(page: Page) -> Listing:
    """Read robots.txt or a sitemap; a page for people in the place of one names nothing."""
    if urlsplit(page.url).path.endswith("/robots.txt"):
        return Listing(items=(), more=_asked(page, _sitemaps(page)))
    if page.media_type.endswith("html") or page.status != 200:
        return Listing(items=())
    packed = page.body.startswith(b"\x1f\x8b")
    root = read_xml(_unpacked(page) if packed else page, source="site")
    kind = root.tag.rpartition("}")[2]
    entries = [
        {part.tag.rpartition("}")[2]: (part.text or "").strip() for part in entry} for entry in root
    ]
    if kind == "sitemapindex":
        return Listing(items=(), more=_asked(page, _newest(page, entries)[:MOST_SITEMAPS]))
    if kind != "urlset":
        raise MalformedPage(f"site: expected a sitemap, found <{kind[:40]}>")
    changed = {entry.get("loc", ""): entry.get("lastmod") for entry in entries}
    found = ((url, _here(page, url)) for url in _newest(page, entries))
    postings = (
        _entry(page, place, changed[url]) for url, place in found if place and _is_posting(place)
    )
    return Listing(items=list(map(msgspec.json.encode, itertools.islice(postings, MAX_ITEMS))))


def _entry(page: Page, place: SplitResult, changed: str | None) -> Entry:
    url = place.geturl()
    id = f"{place.path.strip('/')}{'?' if place.query else ''}{place.query}"
    if len(id) > LONGEST_ID:
        id = hashlib.blake2b(id.encode(), digest_size=16).hexdigest()
    day = page.fetched_at.toordinal() + zlib.crc32(url.encode())
    return Entry(id=id, url=url, changed=changed or f"period {day // UNDATED_DAYS}")


def _is_posting(place: SplitResult) -> bool:
    return _POSTING.search(place.path) is not None and _FILE.search(place.path) is None


def _sitemaps(page: Page) -> list[str]:
    """Return the sitemaps of robots.txt; without any, where one mostly is."""
    text = page.body.decode("utf-8", "replace") if page.status == 200 else ""
    return _SITEMAP.findall(text)[:MOST_SITEMAPS] or ["/sitemap.xml"]


def _newest(page: Page, entries: Iterable[dict[str, str]]) -> list[str]:
    """Return the addresses changed last, those of unknown age at the end, none that is old."""
    found = [(dates.iso(entry.get("lastmod")).at, entry.get("loc", "")) for entry in entries]
    oldest = page.fetched_at - FRESH
    aged = [(at or oldest, url) for at, url in found if at is None or at >= oldest]
    return [url for _, url in sorted(aged, key=lambda one: one[0], reverse=True) if url]


def _here(page: Page, url: str) -> SplitResult | None:
    """Return an address of the same site in the scheme of the page, or None."""
    here, there = urlsplit(page.url), linked(page.url, url)
    if there is None or there.scheme not in ("http", "https") or there.netloc != here.netloc:
        return None
    return there._replace(scheme=here.scheme, fragment="")


def _asked(page: Page, urls: Iterable[str]) -> tuple[PageRequest, ...]:
    """Return the requests for addresses of the same site, each once."""
    places = (place.geturl() for url in urls if (place := _here(page, url)))
    return tuple(PageRequest(url=place, accept=ACCEPT) for place in dict.fromkeys(places))


def _unpacked(page: Page) -> Page:
    """Return a sitemap that is a gzip file, without the packing."""
    unpacker = zlib.decompressobj(31)
    try:
        body = unpacker.decompress(page.body, MOST_BYTES)
    except zlib.error as error:
        raise MalformedPage(f"site: a packed sitemap cannot be read: {error}") from error
    if unpacker.unconsumed_tail:
        raise MalformedPage(f"site: a sitemap of more than {MOST_BYTES} bytes")
    return attrs.evolve(page, body=body, headers=(("content-type", "application/xml"),))


def _head(entry: Entry, _board: Board) -> Head:
    """Return what an address says of a posting; its title is never shown."""
    name = unquote(urlsplit(entry.url).path).strip("/").rpartition("/")[2]
    return Head(title=re.sub(r"[-_\s]+", " ", name), url=entry.url)


def _fill(_entry: Entry, draft: PostingDraft, _page: Page) -> PostingDraft:
    return draft


def _item(page: Page, _request: PageRequest, id: str) -> bytes | str | None:
    """Return the one posting of a page by the id of its address; None: it is one no longer."""
    check_media(page, ("html",), source="site")
    markup = page.body.decode("utf-8", "replace")
    if _is_hidden(page, markup):
        return None
    found = list(read_ads(markup))
    here = urlsplit(page.url).path.rstrip("/")
    own = [ad for ad in found if ad.url and ad.url.partition("?")[0].rstrip("/").endswith(here)]
    match own if len(found) > 1 else found:
        case [ad]:
            if (end := end_of(ad)) is not None and end <= page.fetched_at:
                return None
            return msgspec.json.encode(attrs.evolve(ad, id=id, url=page.url))
        case [] if not found:
            return "a JobPosting that cannot be read" if "JobPosting" in markup else None
        case _:
            return "several postings in the page, of which none or more than one is its own"


def _is_hidden(page: Page, markup: str) -> bool:
    """Whether the page tells search engines to forget it."""
    metas = (meta.group() for meta in _META.finditer(markup))
    said = " ".join(meta for meta in metas if _ROBOTS.search(meta))
    return _NOINDEX.search(f"{page.header('x-robots-tag') or ''} {said}") is not None


SITE = ItemSource(
    name=SourceName("site"),
    coverage=Coverage.NEWEST,
    terms=Terms(credit="the site"),
    pace=Pace(per_hour=40, min_gap_s=2.5, burst=2, poll_every_s=24 * 3600, is_shared=False),
    base_url="https://{slug}",
    path=lambda _slug: "/robots.txt",
    accept=ACCEPT,
    listing=_listing,
    item=Entry,
    head=_head,
    fill=_fill,
    slug=re.compile(HOST),
    slug_help="the site's host, as careers.example.com",
    ids_per_board=True,
    passes=lambda _page: True,
    weak=CONTENT,
    single=Single(
        path=lambda wanted: wanted.path,
        accept=ACCEPT[:1],
        item=_item,
        reader=AD_READER,
        gone=is_missing,
    ),
    lists_pages=True,
)
