"""Any careers site: from robots.txt over sitemaps to the JobPosting data of its pages.

A walk reads robots.txt, the sitemaps that it names, and of the pages that look like postings those
that were changed last. Absence proves nothing here: a walk reads `MOST_PAGES` at most.
"""

import datetime as dt
import re
import zlib
from collections.abc import Iterable
from typing import Final
from urllib.parse import SplitResult, urlsplit

import attrs

from jobping.core.board import Coverage
from jobping.core.ids import SourceName
from jobping.core.page import Page, PageRequest
from jobping.errors import MalformedPage
from jobping.sources import dates
from jobping.sources.decode import read_xml
from jobping.sources.feed import HOST
from jobping.sources.fields import linked
from jobping.sources.items import ItemSource, Listing
from jobping.sources.jobposting import AD_READER, Ad, page_ads
from jobping.sources.source import Pace, Terms

MOST_SITEMAPS: Final = 20
MOST_PAGES: Final = 60
"""Pages of postings that one walk asks for: an hour and a half at the usual pace; our choice."""
MOST_BYTES: Final = 10_485_760
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


def _listing(page: Page) -> Listing:
    """Read a page by what it is: robots.txt, a sitemap, or a page for people."""
    if urlsplit(page.url).path.endswith("/robots.txt"):
        return Listing(items=(), more=_asked(page, _sitemaps(page)))
    if page.media_type.endswith("html") or page.status != 200:
        return Listing(items=page_ads(page) if page.status == 200 else ())
    packed = page.body.startswith(b"\x1f\x8b")
    root = read_xml(_unpacked(page) if packed else page, source="site")
    kind = root.tag.rpartition("}")[2]
    entries = [
        {part.tag.rpartition("}")[2]: (part.text or "").strip() for part in entry} for entry in root
    ]
    if kind == "sitemapindex":
        return Listing(items=(), more=_asked(page, _newest(page, entries, MOST_SITEMAPS)))
    if kind != "urlset":
        raise MalformedPage(f"site: expected a sitemap, found <{kind[:40]}>")
    postings = [one for one in entries if _is_posting(linked(page.url, one.get("loc", "")))]
    return Listing(items=(), more=_asked(page, _newest(page, postings, MOST_PAGES)))


def _is_posting(place: SplitResult | None) -> bool:
    return place is not None and _POSTING.search(place.path) is not None


def _sitemaps(page: Page) -> list[str]:
    """Return the sitemaps of robots.txt; without any, where one mostly is."""
    text = page.body.decode("utf-8", "replace") if page.status == 200 else ""
    return _SITEMAP.findall(text)[:MOST_SITEMAPS] or ["/sitemap.xml"]


def _newest(page: Page, entries: Iterable[dict[str, str]], most: int) -> list[str]:
    """Return the addresses changed last, those of unknown age at the end, none that is old."""
    found = [(dates.iso(entry.get("lastmod")).at, entry.get("loc", "")) for entry in entries]
    oldest = page.fetched_at - FRESH
    aged = [(at or oldest, url) for at, url in found if at is None or at >= oldest]
    return [url for _, url in sorted(aged, key=lambda one: one[0], reverse=True)[:most] if url]


def _asked(page: Page, urls: Iterable[str]) -> tuple[PageRequest, ...]:
    """Return the requests for addresses of the same site, each once and never the page itself."""
    here = urlsplit(page.url)
    found: dict[str, PageRequest] = {}
    for url in urls:
        there = linked(page.url, url)
        if there is None:
            continue
        place = there._replace(scheme=here.scheme, fragment="").geturl()
        if there.scheme in ("http", "https") and there.netloc == here.netloc and place != page.url:
            found.setdefault(place, PageRequest(url=place, accept=ACCEPT))
    return tuple(found.values())


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


SITE = ItemSource(
    name=SourceName("site"),
    coverage=Coverage.NEWEST,
    terms=Terms(credit="the site"),
    pace=Pace(per_hour=40, min_gap_s=2.5, burst=2, poll_every_s=24 * 3600, is_shared=False),
    base_url="https://{slug}",
    path=lambda _slug: "/robots.txt",
    accept=ACCEPT,
    listing=_listing,
    item=Ad,
    head=AD_READER.head,
    fill=AD_READER.fill,
    slug=re.compile(HOST),
    slug_help="the site's host, as careers.example.com",
    ids_per_board=True,
    page_cap=100,
    passes=lambda _page: True,
)
