"""Reading an answer item by item: strict on what makes a job, tolerant of everything else."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, Self
from urllib.parse import quote, urlsplit, urlunsplit

import attrs
import msgspec

from jobping.core.addresses import domain_of
from jobping.core.board import Board, Coverage, Route
from jobping.core.ids import Domain, ExternalId, SourceName
from jobping.core.page import Page, PageRequest
from jobping.core.posting import KnownPosting, PostingDraft, unknown_fields
from jobping.core.text import clean_line
from jobping.errors import MalformedPage
from jobping.sources.decode import in_utf8, reason_of
from jobping.sources.fields import line, web_url
from jobping.sources.reader import (
    Beginner,
    Finish,
    Head,
    Item,
    Light,
    Listing,
    Reader,
    Single,
    Wanted,
)
from jobping.sources.source import Form, Pace, Parsed, RawItem, Rejected, Terms

__all__ = ["MAX_ITEMS", "Head", "ItemSource", "Listing"]

MAX_ITEMS = 20_000
"""Most items of one answer; the largest recorded one holds 231."""
MAX_ID = 200
MAX_LINE = 1_000


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
        also: Further places that requests and redirects may lead to, while `base_url` is the
            vendor's own.
        weak: Fields that another route of the source says better than the reliable one.
        light: The list of the individual route, or None.
        single: How one posting is asked for alone, or None.
        place: From a slug to what stands for `{slug}` in places.
        dress: Makes a request as the source wants it: method, body, headers, keys; asked of every
            request, also of one that it has dressed before.
        credentials: The variables that hold the keys, which `dress` gets in their order.
        is_key_optional: It also answers without.
        keys: Their values; empty while they are not known.
        passes: Whether a 404 or 410 only says that this one page holds nothing.
        away: Where the vendor sends those who ask for a board that there is not; never asked.
        lists_pages: Its lists name pages alone; whether one is a posting says the page itself.
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
    weak: frozenset[str] = frozenset()
    light: Light | None = None
    single: Single | None = None
    place: Callable[[str], str] = str
    dress: Callable[[PageRequest, tuple[str, ...]], PageRequest] = lambda request, _keys: request
    credentials: tuple[str, ...] = ()
    is_key_optional: bool = False
    keys: tuple[str, ...] = attrs.field(default=(), repr=False)
    passes: Callable[[Page], bool] = lambda _page: False
    away: frozenset[Domain] = frozenset()
    lists_pages: bool = False

    @property
    def has_individual(self) -> bool:
        """Whether a board can be read in small pieces."""
        return self.light is not None or self.single is not None

    def with_base_url(self, base_url: str) -> Self:
        """Return the source asked at another place; see `source.with_base_url`."""
        _check_base_url(base_url)
        if "{slug}" in self.base_url and "{slug}" not in base_url:
            raise ValueError(f"{self.name}: {base_url!r} must hold {{slug}}: one place per company")
        return attrs.evolve(self, base_url=base_url.rstrip("/"), also=())

    def with_keys(self, keys: tuple[str, ...]) -> Self:
        """Return the source with the values of its `credentials`."""
        if len(keys) != len(self.credentials):
            raise ValueError(f"{self.name}: needs {len(self.credentials)} keys, not {len(keys)}")
        return attrs.evolve(self, keys=keys)

    def check_slug(self, slug: str) -> None:
        """Raise ValueError, saying what is allowed, unless a board can have that slug."""
        if not self.slug.fullmatch(slug):
            raise ValueError(f"{self.name}: {slug!r} is no slug here: {self.slug_help}")

    def domain(self, board: Board) -> Domain:
        """Return the network location that the board is asked at."""
        return domain_of(self._at(self.base_url, board))

    def hosts(self, board: Board) -> frozenset[Domain]:
        """Return every location that requests and redirects of the board may touch."""
        return frozenset(domain_of(self._at(url, board)) for url in (self.base_url, *self.also))

    def requests(self, board: Board, route: Route) -> tuple[PageRequest, ...]:
        """Return the first requests of a walk over lists; empty where the route has none."""
        self.check_slug(board.slug)
        path, accept = self.path, self.accept
        if route is Route.INDIVIDUAL:
            if self.light is None:
                return ()
            path, accept = self.light.path, self.light.accept
        url = self._at(self.base_url, board) + path(board.slug)
        return (self.dress(PageRequest(url=url, accept=accept), self.keys),)

    def individual(
        self, board: Board, known: Sequence[KnownPosting], limit: int
    ) -> tuple[PageRequest, ...]:
        """Return what to ask of a board whose reliable route fails; see `Source.individual`."""
        lists = self.requests(board, Route.INDIVIDUAL)
        singles = (self._detail(one.external_id, one.url, board) for one in known)
        return (*(one for one in singles if one is not None), *lists)[: max(limit, 0)]

    def parse(self, page: Page, board: Board) -> Iterator[RawItem | Parsed]:
        """Yield the postings of a page unconverted, then one Parsed; raises MalformedPage."""
        return self._parse(page, board, Form.LIST)

    def parse_individual(
        self, page: Page, board: Board, request: PageRequest
    ) -> Iterator[RawItem | Parsed]:
        """Yield the postings of an answer of the individual route; raises MalformedPage."""
        if request.posting is None:
            return self._parse(page, board, Form.LIGHT)
        if self.single is None:
            raise ValueError(f"{self.name}: asks for no single postings")
        return self._parse_single(page, board, request, self.single, request.posting)

    def convert(self, item: RawItem, page: Page, board: Board) -> PostingDraft | Rejected:
        """Read one item completely, texts included."""
        reader = self._reader(item.form)
        try:
            draft, finish = self._draft(item.raw, board, reader, item.source_digest)
            draft = finish(draft, page)
        except (ValueError, RecursionError) as error:
            return Rejected(external_id=item.external_id, reason=reason_of(error))
        weak = self._weak(item.form)
        if item.form is not Form.LIST:
            weak |= unknown_fields(draft)
        return attrs.evolve(draft, weak=weak) if weak else draft

    def is_gone(self, page: Page) -> bool:
        """Whether the page is the source's own way to say that it has no such board."""
        return page.status in (404, 410) and self.gone(page)

    def is_passed(self, page: Page) -> bool:
        """Whether the page is a 404 or 410 that only says that it itself holds nothing."""
        return page.status in (404, 410) and self.passes(page)

    def _parse(self, page: Page, board: Board, form: Form) -> Iterator[RawItem | Parsed]:
        page, replaced = in_utf8(self.name, page)
        listing = self._listing(page, form)
        base = self._digest_base(board)
        rejected: list[Rejected] = []
        accepted: dict[ExternalId, bool] = {}
        for raw in listing.items:
            found = self._read(bytes(raw), board, base, form)
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
            following=listing.following and self.dress(listing.following, self.keys),
            more=tuple(self.dress(request, self.keys) for request in listing.more),
            replaced=replaced,
            ttl_s=listing.ttl_s,
        )

    def _parse_single(
        self, page: Page, board: Board, request: PageRequest, single: Single, asked: ExternalId
    ) -> Iterator[RawItem | Parsed]:
        if page.status in (404, 410):
            if not single.gone(page):
                raise MalformedPage(f"{self.name}: {page.status} in an unknown form")
            yield Parsed(items=0, gone=(asked,))
            return
        page, replaced = in_utf8(self.name, page)
        raw = single.item(page, request, self._local_id(asked, board))
        if raw is None:
            yield Parsed(items=0, gone=(asked,), replaced=replaced)
            return
        if isinstance(raw, str):
            found: RawItem | Rejected = Rejected(external_id=asked, reason=raw)
        else:
            found = self._read(raw, board, self._digest_base(board), Form.SINGLE)
        if isinstance(found, RawItem) and found.external_id != asked:
            found = Rejected(external_id=asked, reason="the answer is about another posting")
        if isinstance(found, RawItem):
            yield found
        lost = () if isinstance(found, RawItem) else (attrs.evolve(found, external_id=asked),)
        yield Parsed(items=1, rejected=lost, seen=(asked,), replaced=replaced)

    def _listing(self, page: Page, form: Form) -> Listing:
        """Return the items of a page that can hold some."""
        if page.status in (404, 410) and not self.passes(page):
            raise MalformedPage(f"{self.name}: {page.status} in an unknown form")
        light = self.light.listing if self.light and form is Form.LIGHT else None
        listing = (light or self.listing)(page)
        if len(listing.items) > MAX_ITEMS:
            raise MalformedPage(f"{self.name}: {len(listing.items)} items; at most {MAX_ITEMS}")
        return listing

    def _read(
        self, raw: bytes, board: Board, base: "hashlib.blake2b", form: Form
    ) -> RawItem | Rejected:
        """Decode one item as far as it must be right."""
        try:
            id, head, _ = self._reader(form).begin(raw, board)
            external_id = self._external_id(id, board)
            url = web_url(head.url)
            _required(head.title, "title")
        except (ValueError, RecursionError) as error:
            return Rejected(external_id=self._id_of(raw, board), reason=reason_of(error))
        digest = base.copy()
        digest.update(self.stable(raw))
        return RawItem(
            external_id=external_id,
            source_digest=digest.digest(),
            raw=raw,
            form=form,
            detail=self._detail_of(external_id, url, board, form),
        )

    def _draft(
        self, raw: bytes, board: Board, reader: Beginner, source_digest: bytes = b""
    ) -> tuple[PostingDraft, Finish]:
        """Return the draft with what makes it a job, and what fills it; raises ValueError."""
        id, head, finish = reader.begin(raw, board)
        draft = PostingDraft(
            source=self.name,
            external_id=self._external_id(id, board),
            title=_required(head.title, "title"),
            company=line(head.company) or line(board.company),
            url=web_url(head.url),
            source_digest=source_digest,
        )
        return draft, finish

    def _reader(self, form: Form) -> Beginner:
        if form is Form.SINGLE and self.single is not None and self.single.reader is not None:
            return self.single.reader
        return Reader(item=self.item, head=self.head, fill=self.fill)

    def _weak(self, form: Form) -> frozenset[str]:
        route = {Form.LIST: self, Form.LIGHT: self.light, Form.SINGLE: self.single}[form]
        return route.weak if route else frozenset()

    def _detail_of(
        self, asked: ExternalId, url: str, board: Board, form: Form
    ) -> PageRequest | None:
        """Return the request for what an item of that form lacks."""
        if self.single is None or form is Form.SINGLE or "description" not in self._weak(form):
            return None
        return self._detail(asked, url, board)

    def _detail(self, asked: ExternalId, url: str, board: Board) -> PageRequest | None:
        """Return the request for one posting, or None where it cannot be asked for here."""
        id = self._local_id(asked, board)
        if self.single is None or not id:
            return None
        pages = self._at(self.single.pages or self.base_url, board)
        wanted = Wanted(
            slug=quote(board.slug, safe=""), id=quote(id, safe=""), path=_path_at(pages, url)
        )
        path = self.single.path(wanted)
        if path is None:
            return None
        place = pages if domain_of(pages) in self.hosts(board) else self._at(self.base_url, board)
        request = PageRequest(url=place + path, accept=self.single.accept, posting=asked)
        return self.dress(request, self.keys)

    def _at(self, url: str, board: Board) -> str:
        """Return the URL with the board's place in it, percent-encoded once."""
        return url.replace("{slug}", quote(self.place(board.slug), safe=""))

    def _local_id(self, id: ExternalId, board: Board) -> str:
        """Return the id as the source counts; empty where it is of another board."""
        if not self.ids_per_board:
            return id
        prefix = f"{board.slug}/"
        return id.removeprefix(prefix) if id.startswith(prefix) else ""

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


def _path_at(place: str, url: str) -> str | None:
    """Return path and query of a URL at that place, or None where it lies elsewhere."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    is_there = parts.netloc == urlsplit(place).netloc
    return urlunsplit(("", "", parts.path, parts.query, "")) if is_there else None


def _check_base_url(base_url: str) -> None:
    """Raise ValueError unless requests can be built upon the URL."""
    domain_of(base_url.replace("{slug}", "slug"))
    if "?" in base_url or "#" in base_url:
        raise ValueError(f"{base_url!r} must have no query and no fragment")
