"""What a source is: the requests that read a board and the reading of the answers, without I/O."""

import enum
from collections.abc import Iterator, Sequence
from typing import Protocol, Self

import attrs

from jobping.core.board import Board, Coverage, Route
from jobping.core.hours import Hours
from jobping.core.ids import Domain, ExternalId, SourceName
from jobping.core.page import Page, PageRequest
from jobping.core.posting import KnownPosting, PostingDraft
from jobping.core.quota import Quota
from jobping.core.walk import Parsed, Rejected

__all__ = ["Form", "Pace", "Parsed", "RawItem", "Rejected", "Source", "Terms", "with_base_url"]


@attrs.frozen(kw_only=True)
class Pace:
    """How fast a source may be asked; its hosts together, and each of them.

    Attributes:
        per_hour: Requests an hour.
        min_gap_s: Least seconds between two requests.
        burst: Requests that may follow each other without the hourly spacing.
        quotas: Most requests per calendar window, in UTC.
        poll_every_s: Seconds between two polls of one board.
        is_shared: Its hosts belong to one vendor and keep the figures together; else each does.
        hours: The only ones of a day in which it is polled; None: all.

    Source:
        design/sources.md section 14.
    """

    per_hour: float
    min_gap_s: float = 0.0
    burst: int = 1
    quotas: tuple[Quota, ...] = ()
    poll_every_s: float = 3600.0
    is_shared: bool = True
    hours: Hours | None = None


@attrs.frozen(kw_only=True)
class Terms:
    """What the source asks of those who show its postings.

    Attributes:
        credit: The name to show beside a posting.
        hands_on: Postings may be passed to other boards.
        polls_a_day: Most polls a day that the terms allow, or None where they name none.
        note: Anything else, one line, or an empty text.
    """

    credit: str
    hands_on: bool = False
    polls_a_day: int | None = None
    note: str = ""


class Form(enum.Enum):
    """What kind of answer an item comes from, and so how it is read."""

    LIST = "list"
    LIGHT = "light"
    SINGLE = "single"


@attrs.frozen(kw_only=True)
class RawItem:
    """One item of an answer that has an id, a title and a URL, not converted yet.

    Attributes:
        detail: The request for the whole posting, where this item lacks its text. Its answer,
            stored under the digest of this item, is asked for once per change.
        source_digest: 16 bytes over parser version, board and raw item less its volatile fields.
        raw: The item as JSON, its own copy.
    """

    external_id: ExternalId
    source_digest: bytes
    raw: bytes = attrs.field(repr=False)
    form: Form = Form.LIST
    detail: PageRequest | None = None


class Source(Protocol):
    """One job source; a frozen value."""

    @property
    def name(self) -> SourceName:
        """The source's name in settings, logs and rows."""

    @property
    def coverage(self) -> Coverage:
        """What a complete walk of a board lists."""

    @property
    def terms(self) -> Terms:
        """What the source asks of those who show its postings."""

    @property
    def pace(self) -> Pace:
        """How fast it may be asked."""

    @property
    def page_cap(self) -> int:
        """Most pages of one walk."""

    @property
    def version(self) -> int:
        """Of the parser; a new one reads every page and item again."""

    @property
    def has_individual(self) -> bool:
        """Whether there is an individual route: a board can be read in small pieces."""

    @property
    def base_url(self) -> str:
        """Where the source is asked; may hold `{slug}`."""

    @property
    def credentials(self) -> tuple[str, ...]:
        """The variables that hold its keys; empty where it needs none."""

    @property
    def is_key_optional(self) -> bool:
        """Whether it also answers without its keys."""

    def with_base_url(self, base_url: str) -> Self:
        """Return the source asked at another place."""

    def with_keys(self, keys: tuple[str, ...]) -> Self:
        """Return the source with the values of its `credentials`, in their order."""

    def check_slug(self, slug: str) -> None:
        """Raise ValueError, saying what is allowed, unless a board can have that slug."""

    def domain(self, board: Board) -> Domain:
        """Return the network location that the board is asked at."""

    def hosts(self, board: Board) -> frozenset[Domain]:
        """Return every location that requests and redirects of the board may touch."""

    def requests(self, board: Board, route: Route) -> tuple[PageRequest, ...]:
        """Return the first requests of a walk over lists; empty where the route has none."""

    def individual(
        self, board: Board, known: Sequence[KnownPosting], limit: int
    ) -> tuple[PageRequest, ...]:
        """Return what to ask of a board whose reliable route fails, at most so many requests.

        First the known postings one by one, as far as the source answers for single ones, then
        the first page of its light list. A walk over them has `Coverage.EACH`: only `Parsed.gone`
        says that a posting is gone. Empty where there is nothing to ask.

        Args:
            known: Open postings of the board, those first that matter most.
        """

    def parse(self, page: Page, board: Board) -> Iterator[RawItem | Parsed]:
        """Yield the postings of a page of the reliable route unconverted, then one Parsed.

        Raises:
            MalformedPage: Status, content type or top-level shape is not the known one.
        """

    def parse_individual(
        self, page: Page, board: Board, request: PageRequest
    ) -> Iterator[RawItem | Parsed]:
        """Yield the postings of an answer to `individual`, to what followed it, or to a `detail`.

        About one posting the answer holds exactly that one, or rejects it, or says it is gone.

        Args:
            request: As it was given, also where redirects led elsewhere.

        Raises:
            MalformedPage: As for `parse`; also a 404 in another form than the source's own.
        """

    def convert(self, item: RawItem, page: Page, board: Board) -> PostingDraft | Rejected:
        """Read one item completely, texts included; says in `weak` what it does not know well."""

    def is_gone(self, page: Page) -> bool:
        """Whether the page is the source's own way to say that it has no such board."""

    def is_passed(self, page: Page) -> bool:
        """Whether the page is a 404 or 410 that only says that it itself holds nothing."""

    @property
    def lists_pages(self) -> bool:
        """Whether its lists name pages alone: a posting is what has one in its own page."""

    @property
    def away(self) -> frozenset[Domain]:
        """Where those are sent who ask for a board that there is not; never asked."""


def with_base_url(source: Source, base_url: str) -> Source:
    """Return the source asked at another place: a region, a proxy, a local server.

    Args:
        base_url: Absolute http or https URL without query, with or without port and path; holds
            `{slug}` where the source has one host per company.

    Raises:
        ValueError: It is no such URL.
    """
    return source.with_base_url(base_url)
