"""Reading an answer item by item: strict on what makes a job, tolerant of everything else."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, Protocol, Self, TypeVar
from urllib.parse import quote

import attrs
import msgspec

from jobping.core.addresses import domain_of
from jobping.core.board import Board, Coverage, Route
from jobping.core.ids import Domain, ExternalId, SourceName
from jobping.core.page import Page, PageRequest
from jobping.core.posting import PostingDraft
from jobping.core.text import clean_line
from jobping.errors import MalformedPage
from jobping.sources.decode import decode_tolerant, in_utf8, reason_of
from jobping.sources.fields import line, web_url
from jobping.sources.source import Pace, Parsed, RawItem, Rejected, Terms

MAX_ITEMS = 20_000
"""Most items of one answer; the largest recorded one holds 231."""
MAX_ID = 200
MAX_LINE = 1_000


class HasId(Protocol):
    """What every item class has: the id as the source writes it."""

    @property
    def id(self) -> int | str:
        """The source's id."""


Item = TypeVar("Item", bound=HasId)


@attrs.frozen(kw_only=True)
class Listing:
    """The items of an answer, each as JSON, before any of them is read.

    Attributes:
        merged: Items that were joined with another one of the same id.
        total: How many items the board says it has, or None.
        following: The request for the next page, or None.
    """

    items: Sequence[msgspec.Raw | bytes]
    merged: int = 0
    total: int | None = None
    following: PageRequest | None = None


@attrs.frozen(kw_only=True)
class Head:
    """What makes a job, as the source wrote it; checked by `ItemSource`."""

    title: str | None
    url: str | None
    company: str | None = None


@attrs.frozen(kw_only=True)
class ItemSource(Generic[Item]):
    """A source whose answers are lists of items; each module of a source makes one value of it.

    Attributes:
        base_url: Scheme and host, perhaps with port and path; may hold `{slug}`.
        path: From the slug to what follows `base_url`, percent-encoded.
        listing: From a page to its items; raises MalformedPage.
        item: The class that one item is decoded into.
        head: From an item to what makes it a job.
        fill: Adds everything else to the draft; gets the page for `fetched_at`.
        slug: What a slug must match completely.
        slug_help: The same for people.
        id_key: The key of the id.
        ids_per_board: The ids count per board, so the external id carries the slug.
        version: Of the parser; a new one has every item converted again.
        stable: Takes out of a raw item what differs between two calls.
        gone: Whether a 404 or 410 is the source's own answer for an unknown board.
        also: Further places that redirects may lead to, while `base_url` is the vendor's own.
    """

    name: SourceName
    coverage: Coverage
    terms: Terms
    pace: Pace
    base_url: str
    path: Callable[[str], str]
    listing: Callable[[Page], Listing]
    item: type[Item]
    head: Callable[[Item, Board], Head]
    fill: Callable[[Item, PostingDraft, Page], PostingDraft]
    slug: re.Pattern[str]
    slug_help: str
    id_key: str = "id"
    ids_per_board: bool = False
    version: int = 1
    accept: tuple[str, ...] = ("application/json",)
    page_cap: int = 100
    stable: Callable[[bytes], bytes] = bytes
    gone: Callable[[Page], bool] = lambda _page: False
    also: tuple[str, ...] = ()

    def with_base_url(self, base_url: str) -> Self:
        """Return the source asked at another place; see `source.with_base_url`."""
        _check_base_url(base_url)
        if "{slug}" in self.base_url and "{slug}" not in base_url:
            raise ValueError(f"{self.name}: {base_url!r} must hold {{slug}}: one place per company")
        return attrs.evolve(self, base_url=base_url.rstrip("/"), also=())

    def check_slug(self, slug: str) -> None:
        """Raise ValueError, saying what is allowed, unless a board can have that slug."""
        if not self.slug.fullmatch(slug):
            raise ValueError(f"{self.name}: {slug!r} is no slug here: {self.slug_help}")

    def domain(self, board: Board) -> Domain:
        """Return the network location that the board is asked at."""
        return domain_of(_at(self.base_url, board))

    def hosts(self, board: Board) -> frozenset[Domain]:
        """Return every location that requests and redirects of the board may touch."""
        return frozenset(domain_of(_at(url, board)) for url in (self.base_url, *self.also))

    def requests(self, board: Board, route: Route) -> tuple[PageRequest, ...]:
        """Return the first requests of a walk; empty where the source has no such route."""
        self.check_slug(board.slug)
        if route is not Route.RELIABLE:
            return ()
        url = _at(self.base_url, board) + self.path(board.slug)
        return (PageRequest(url=url, accept=self.accept),)

    def parse(self, page: Page, board: Board) -> Iterator[RawItem | Parsed]:
        """Yield the postings of a page unconverted, then one Parsed; raises MalformedPage."""
        page, replaced = in_utf8(self.name, page)
        listing = self._listing(page)
        base = self._digest_base(board)
        rejected: list[Rejected] = []
        accepted: dict[ExternalId, bool] = {}
        for raw in listing.items:
            found = self._read(bytes(raw), board, base)
            if isinstance(found, Rejected):
                rejected.append(found)
                if found.external_id is not None:
                    accepted.setdefault(found.external_id, False)
            elif not accepted.get(found.external_id):
                accepted[found.external_id] = True
                yield found
        items = len(listing.items) + listing.merged
        yield Parsed(
            items=items,
            repeated=items - sum(accepted.values()) - len(rejected),
            rejected=tuple(rejected),
            seen=tuple(accepted),
            total=listing.total,
            following=listing.following,
            replaced=replaced,
        )

    def convert(self, item: RawItem, page: Page, board: Board) -> PostingDraft | Rejected:
        """Read one item completely, texts included."""
        try:
            value = decode_tolerant(item.raw, self.item)
            draft = self.fill(value, self._draft(value, board), page)
        except (ValueError, RecursionError) as error:
            return Rejected(external_id=item.external_id, reason=reason_of(error))
        return attrs.evolve(draft, source_digest=item.source_digest)

    def is_gone(self, page: Page) -> bool:
        """Whether the page is the source's own way to say that it has no such board."""
        return page.status in (404, 410) and self.gone(page)

    def _listing(self, page: Page) -> Listing:
        """Return the items of a page that can hold some."""
        if page.status in (404, 410):
            raise MalformedPage(f"{self.name}: {page.status} in an unknown form")
        listing = self.listing(page)
        if len(listing.items) > MAX_ITEMS:
            raise MalformedPage(f"{self.name}: {len(listing.items)} items; at most {MAX_ITEMS}")
        return listing

    def _read(self, raw: bytes, board: Board, base: "hashlib.blake2b") -> RawItem | Rejected:
        """Decode one item as far as it must be right."""
        try:
            draft = self._draft(decode_tolerant(raw, self.item), board)
        except (ValueError, RecursionError) as error:
            return Rejected(external_id=self._id_of(raw, board), reason=reason_of(error))
        digest = base.copy()
        digest.update(self.stable(raw))
        return RawItem(external_id=draft.external_id, source_digest=digest.digest(), raw=raw)

    def _draft(self, value: Item, board: Board) -> PostingDraft:
        """Return the draft with what makes it a job; raises ValueError."""
        head = self.head(value, board)
        return PostingDraft(
            source=self.name,
            external_id=self._external_id(value.id, board),
            title=_required(head.title, "title"),
            company=line(head.company) or line(board.company),
            url=web_url(head.url),
        )

    def _external_id(self, value: int | str, board: Board) -> ExternalId:
        """Return the id as text, with the slug where it counts per board."""
        text = str(value).strip()
        if not text or len(text) > MAX_ID or not text.isprintable():
            raise ValueError("id is empty, too long or unprintable")
        return ExternalId(f"{board.slug}/{text}" if self.ids_per_board else text)

    def _id_of(self, raw: bytes, board: Board) -> ExternalId | None:
        """Return the id of an item that is no posting otherwise, or None."""
        try:
            fields = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
            value = msgspec.json.decode(fields[self.id_key], type=int | str)
            return self._external_id(value, board)
        except (ValueError, KeyError, RecursionError):
            return None

    def _digest_base(self, board: Board) -> "hashlib.blake2b":
        """Begin a digest that changes when the draft of an unchanged item could change."""
        key = json.dumps([self.name, self.version, board.slug, board.company])
        return hashlib.blake2b(key.encode(), digest_size=16)


def _required(text: str | None, what: str) -> str:
    """Return a line that must be there."""
    if text is not None and len(text) > 4 * MAX_LINE:
        raise ValueError(f"{what} of {len(text)} characters")
    found = clean_line(text)
    if not found or len(found) > MAX_LINE:
        raise ValueError(f"no {what}" if not found else f"{what} of {len(found)} characters")
    return found


def _at(url: str, board: Board) -> str:
    """Return the URL with the board's slug in it, percent-encoded once."""
    return url.replace("{slug}", quote(board.slug, safe=""))


def _check_base_url(base_url: str) -> None:
    """Raise ValueError unless requests can be built upon the URL."""
    domain_of(base_url.replace("{slug}", "slug"))
    if "?" in base_url or "#" in base_url:
        raise ValueError(f"{base_url!r} must have no query and no fragment")
