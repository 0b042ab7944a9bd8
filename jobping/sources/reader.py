"""How the answers of a source are cut into items and an item becomes a draft; records, no rules."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, Protocol, TypeVar

import attrs
import msgspec

from jobping.core.board import Board
from jobping.core.page import Page, PageRequest
from jobping.core.posting import PostingDraft
from jobping.errors import MalformedPage
from jobping.sources.decode import decode_tolerant, is_json_object


class HasId(Protocol):
    """What every item class has: the id as the source writes it."""

    @property
    def id(self) -> int | str:
        """The source's id."""


Item = TypeVar("Item", bound=HasId)
Finish = Callable[[PostingDraft, Page], PostingDraft]
"""Fills a draft from its item; raises ValueError or RecursionError."""


@attrs.frozen(kw_only=True)
class Listing:
    """The items of an answer, each as JSON, before any of them is read.

    Attributes:
        merged: Items that were joined with another one of the same id.
        total: How many items the board says it has, or None.
        following: The request for the next page, or None.
        more: Requests for other parts of the board, asked after all that is pending.
        ttl_s: So long the answer says that it need not be asked for again; 0: it says nothing.
    """

    items: Sequence[msgspec.Raw | bytes]
    merged: int = 0
    total: int | None = None
    following: PageRequest | None = None
    more: tuple[PageRequest, ...] = ()
    ttl_s: float = 0.0


@attrs.frozen(kw_only=True)
class Head:
    """What makes a job, as the source wrote it; checked by `ItemSource`."""

    title: str | None
    url: str | None
    company: str | None = None


@attrs.frozen(kw_only=True)
class Reader(Generic[Item]):
    """From an item to a draft.

    Attributes:
        item: The class that one item is decoded into.
        head: From an item to what makes it a job.
        fill: Adds everything else to the draft; gets the page for `fetched_at`.
    """

    item: type[Item]
    head: Callable[[Item, Board], Head]
    fill: Callable[[Item, PostingDraft, Page], PostingDraft]

    def begin(self, raw: bytes, board: Board) -> tuple[int | str, Head, Finish]:
        """Decode an item; raises ValueError or RecursionError."""
        value = decode_tolerant(raw, self.item)
        return value.id, self.head(value, board), partial(self.fill, value)


class Beginner(Protocol):
    """A reader of any kind of items."""

    def begin(self, raw: bytes, board: Board) -> tuple[int | str, Head, Finish]:
        """Decode an item; raises ValueError or RecursionError."""


@attrs.frozen(kw_only=True)
class Light:
    """A list that is read instead of the reliable route: small pages, or heads without texts.

    Attributes:
        path: From the slug to what follows `base_url`, percent-encoded.
        listing: From a page to items of the source's own shape; None: as the reliable route's.
        weak: Fields that another route of the source says better.
    """

    path: Callable[[str], str]
    listing: Callable[[Page], Listing] | None = None
    weak: frozenset[str] = frozenset()
    accept: tuple[str, ...] = ("application/json",)


@attrs.frozen(kw_only=True)
class Wanted:
    """One posting to be asked for.

    Attributes:
        id: As the source counts, percent-encoded.
        path: Path and query of its page, where that lies at `Single.pages`; else None.
    """

    slug: str
    id: str
    path: str | None


@attrs.frozen(kw_only=True)
class Single:
    """One posting asked for alone.

    Attributes:
        path: What follows the place; None where the posting cannot be asked for there.
        pages: The place of the postings' own pages; None: asked at `base_url`. A source that is
            asked elsewhere has its pages there too.
        item: From page, request and id to the item as JSON, or to the reason why there is none, or
            to None where the page says that there is none any longer; raises MalformedPage.
        reader: Of that item; None: the source's own.
        weak: Fields that another route of the source says better.
        gone: Whether a 404 or 410 is the source's own answer for a posting that it has no longer.
    """

    path: Callable[[Wanted], str | None]
    pages: str | None = None
    item: Callable[[Page, PageRequest, str], bytes | str | None]
    reader: Beginner | None = None
    weak: frozenset[str] = frozenset()
    accept: tuple[str, ...] = ("application/json",)
    gone: Callable[[Page], bool]


def json_item(source: str) -> Callable[[Page, PageRequest, str], bytes]:
    """Return the reading of an answer that is the item itself."""

    def item(page: Page, _request: PageRequest, _id: str) -> bytes:
        if not is_json_object(page):
            raise MalformedPage(f"{source}: expected an object for a single posting")
        return page.body

    return item
