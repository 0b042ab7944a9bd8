"""RSS, Atom and JSON Feed of any site; a board is the feed's address without `https://`.

`read_feed` reads all three into the form of `jobposting`, also for the sources that answer so.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element

import attrs
import msgspec

from jobping.core.board import Coverage
from jobping.core.ids import SourceName
from jobping.core.page import Page, PageRequest
from jobping.errors import MalformedPage
from jobping.sources.decode import decode_tolerant, read_json, read_xml
from jobping.sources.fields import linked
from jobping.sources.items import MAX_ID, ItemSource, Listing
from jobping.sources.jobposting import AD_READER, Ad, Where, ad_of
from jobping.sources.source import Pace, Terms

ACCEPT = (
    "application/rss+xml", "application/atom+xml", "application/feed+json", "application/xml",
    "text/xml", "application/json",
)  # fmt: skip
_MINUTES = re.compile(r"[0-9]{1,6}")
HOST = r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,24}"
"""A host's name that has a dot."""


@attrs.frozen(kw_only=True)
class Entry:
    """One item of a JSON Feed; some sites add a JobPosting."""

    id: int | str | None = None
    title: str | None = None
    url: str | None = None
    external_url: str | None = None
    content_html: str | None = None
    content_text: str | None = None
    summary: str | None = None
    date_published: str | None = None
    tags: list[str] | None = None
    _jobposting: dict[str, object] | None = attrs.field(default=None, alias="_jobposting")


@attrs.frozen(kw_only=True)
class JsonFeed:
    """A JSON Feed."""

    version: str
    items: list[msgspec.Raw]
    title: str | None = None
    next_url: str | None = None


@attrs.frozen(kw_only=True)
class Feed:
    """A feed in one form.

    Attributes:
        ads: Its items; what is no item is None.
        following: The request for its next page, at the same place.
        ttl_s: So long, it says, it need not be asked for again; 0 where it says nothing.
    """

    ads: Sequence[Ad | None]
    title: str | None = None
    following: PageRequest | None = None
    ttl_s: float = 0.0

    def listing(self) -> Listing:
        """Return the items in JSON; one that is none is left to be rejected."""
        return Listing(
            items=[b"null" if ad is None else msgspec.json.encode(ad) for ad in self.ads],
            following=self.following,
            ttl_s=self.ttl_s,
        )


def read_feed(page: Page, *, source: str) -> Feed:
    """Read a feed of any of the three kinds.

    Raises:
        MalformedPage: It is none.
    """
    if page.media_type.endswith("json") or page.body.lstrip()[:1] == b"{":
        return _json_feed(page, source)
    root = read_xml(page, source=source)
    kind = _name(root)
    if kind not in ("rss", "RDF", "feed"):
        raise MalformedPage(f"{source}: expected a feed, found <{kind[:40]}>")
    title = next((one.text for one in root.iter() if _name(one) == "title"), None)
    items = [one for one in root.iter() if _name(one) in ("item", "entry")]
    ads = [_from_xml(item, page.url) for item in items]
    return Feed(ads=ads, title=title, ttl_s=_ttl_s(root.findtext("channel/ttl", "")))


def _ttl_s(minutes: str) -> float:
    """Return the `ttl` of RSS 2.0 in seconds; 0 for what is none."""
    return 60.0 * int(found.group()) if (found := _MINUTES.fullmatch(minutes.strip())) else 0.0


def _json_feed(page: Page, source: str) -> Feed:
    expected = "a JSON Feed with `version` and `items`"
    feed = read_json(page, JsonFeed, source=source, expected=expected)
    following = None
    if feed.next_url:
        there, here = linked(page.url, feed.next_url), urlsplit(page.url)
        if there and (there.scheme, there.netloc) == (here.scheme, here.netloc):
            following = PageRequest(url=there.geturl(), accept=ACCEPT)
    return Feed(ads=list(map(_from_json, feed.items)), title=feed.title, following=following)


def _from_json(raw: msgspec.Raw) -> Ad | None:
    try:
        entry = decode_tolerant(raw, Entry)
    except (ValueError, RecursionError):
        return None
    url = entry.url or entry.external_url
    stated = ad_of(entry._jobposting) if entry._jobposting else Ad()
    text = entry.content_html or entry.content_text or entry.summary
    return attrs.evolve(
        stated,
        id=_id(str(entry.id or ""), url, entry.title, entry.date_published),
        title=entry.title or stated.title,
        url=url or stated.url,
        description=stated.description or text,
        posted=entry.date_published or stated.posted,
        skills=stated.skills or tuple(entry.tags or ()),
    )


def _from_xml(item: Element, place: str) -> Ad:
    """Read an item of RSS or an entry of Atom; persons are not read."""
    texts: defaultdict[str, list[str]] = defaultdict(list)
    for part in item:
        name = _name(part)
        stated = (
            part.get("href")
            if name == "link" and part.get("rel", "alternate") == "alternate"
            else None
        )
        text = (stated or part.get("term") or "".join(part.itertext())).strip()
        if text:
            texts[name].append(text)
    first = {name: found[0] for name, found in texts.items()}
    guid, link = first.get("guid") or first.get("id"), first.get("link")
    posted = _first(first, ("pubDate", "published", "date", "updated"))
    url = link or (guid if guid and guid.startswith("http") else None)
    return Ad(
        id=_id(guid, url, first.get("title"), posted),
        title=first.get("title"),
        url=there.geturl() if url and (there := linked(place, url)) else None,
        company=first.get("company"),
        places=tuple(Where(raw=text) for text in (*texts["region"], *texts["location"])),
        description=_first(first, ("encoded", "content", "description", "summary")),
        posted=posted,
        closes=first.get("expires_at"),
        employment=tuple(texts["type"]),
        skills=tuple(texts["category"] + texts["skills"]),
    )


def _first(texts: dict[str, str], names: Iterable[str]) -> str | None:
    return next((texts[name] for name in names if name in texts), None)


def _id(*texts: str | None) -> str:
    """Return the id, else the link, else a hash of title and date; a long one as its hash."""
    guid, link, *rest = texts
    id = guid or link or ""
    if id and len(id) <= MAX_ID:
        return id
    named = id or "\n".join(text or "" for text in rest)
    return hashlib.blake2b(named.encode("utf-8", "replace"), digest_size=16).hexdigest()


def _name(element: Element) -> str:
    """Return an element's name without its namespace."""
    return element.tag.rpartition("}")[2]


FEED = ItemSource(
    name=SourceName("feed"),
    coverage=Coverage.NEWEST,
    terms=Terms(credit="the site"),
    pace=Pace(per_hour=40, min_gap_s=2.5, burst=2, is_shared=False),
    base_url="https://{slug}",
    place=lambda slug: re.split(r"[/?]", slug, maxsplit=1)[0],
    path=lambda slug: slug[len(re.split(r"[/?]", slug, maxsplit=1)[0]) :] or "/",
    accept=ACCEPT,
    listing=lambda page: read_feed(page, source="feed").listing(),
    item=Ad,
    head=AD_READER.head,
    fill=AD_READER.fill,
    slug=re.compile(
        rf"{HOST}(?:/(?!\.\.?(?:[/?]|\Z))[\w.~%+-]{{1,100}}){{0,9}}/?(?:\?[\w.~%&=+-]{{1,200}})?",
        re.ASCII,
    ),
    slug_help="the feed's address without https://, as example.com/jobs.rss",
    ids_per_board=True,
    page_cap=5,
)
