"""What a posting is, before and after it is stored."""

import datetime as dt
import enum
from decimal import Decimal
from typing import Final

import attrs

from jobping.core.ids import BoardId, Domain, ExternalId, PostingId, SourceName


class Remote(enum.Enum):
    """Whether the work can be done from elsewhere; hybrid is NO plus the tag `hybrid`."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Interval(enum.Enum):
    """The time that a pay amount covers."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"
    ONCE = "once"
    UNKNOWN = "unknown"


class SalaryOrigin(enum.Enum):
    """Where amount and interval come from."""

    STATED = "stated"
    PREDICTED = "predicted"
    INFERRED = "inferred"


class Precision(enum.Enum):
    """How far `posted_at` can be trusted."""

    EXACT = "exact"
    DATE = "date"
    RELATIVE = "relative"
    UPDATED = "updated"
    NONE = "none"


@attrs.frozen(kw_only=True)
class Salary:
    """Pay as the source wrote it, and as far as it could be read.

    Attributes:
        raw: The source's own text, never empty.
        minimum: Lower amount, or None where unknown.
        maximum: Upper amount, or None where unknown.
        currency: ISO 4217 code, or None; a bare dollar sign is no currency.
    """

    raw: str
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    currency: str | None = None
    interval: Interval = Interval.UNKNOWN
    origin: SalaryOrigin = SalaryOrigin.STATED


@attrs.frozen(kw_only=True)
class Location:
    """One place of a posting.

    Attributes:
        raw: The source's own text, never empty.
        country: ISO 3166-1 alpha-2, upper case, or None where unknown.
        region: A part of a country, or a group of countries such as `Europe`.
    """

    raw: str
    city: str | None = None
    region: str | None = None
    country: str | None = None


@attrs.frozen(kw_only=True)
class PostingDraft:
    """A parsed posting that is not stored yet. What the source does not say stays unknown.

    Attributes:
        external_id: The source's id; with the board's slug in front where ids count per board.
        title: Stripped, inner blanks folded, entities unescaped; never empty.
        company: The company's name; None where neither answer nor configuration has one.
        url: The source's own page, absolute http or https.
        description: Plain text with lines and `- ` lists; empty where the answer has none.
        posted_at: Aware UTC, or None.
        posted_raw: The date as the source wrote it, or an empty text.
        employment: The source's own words, such as `Full-time`.
        level: The source's own words for seniority, or None.
        language: ISO 639-1 of the text where the source says it.
        source_digest: 16 bytes over parser version and raw item less its volatile fields.
        weak: Names of the fields that the route says less well than another one of the source, or
            not at all; see `over_stored`. Not part of the content.
    """

    source: SourceName
    external_id: ExternalId
    title: str
    company: str | None
    url: str
    locations: tuple[Location, ...] = ()
    remote: Remote = Remote.UNKNOWN
    description: str = ""
    posted_at: dt.datetime | None = None
    posted_precision: Precision = Precision.NONE
    posted_raw: str = ""
    closes_at: dt.datetime | None = None
    salary: Salary | None = None
    employment: tuple[str, ...] = ()
    department: str | None = None
    level: str | None = None
    tags: tuple[str, ...] = ()
    language: str | None = None
    source_digest: bytes = b""
    weak: frozenset[str] = attrs.field(default=frozenset(), eq=False)


CONTENT: Final = frozenset(
    ("title", "company", "url", "locations", "remote", "description", "posted_at", "closes_at",
     "salary", "employment", "department", "level", "tags", "language")
)  # fmt: skip
"""The fields that can be weak; `posted_at` stands for its precision and raw text too."""
_POSTED: Final = ("posted_at", "posted_precision", "posted_raw")


def unknown_fields(draft: PostingDraft) -> frozenset[str]:
    """Return the fields in which the draft says nothing."""
    return frozenset(name for name in CONTENT if not _is_known(getattr(draft, name)))


def over_stored(draft: PostingDraft, stored: PostingDraft) -> PostingDraft:
    """Return what becomes of a stored posting: the draft, but in its weak fields what is stored.

    Of a weak field that the store does not know the draft's value is taken.
    """
    kept = [name for name in draft.weak if _is_known(getattr(stored, name))]
    names = [*kept, *(_POSTED if "posted_at" in kept else ())]
    return attrs.evolve(draft, weak=frozenset(), **{name: getattr(stored, name) for name in names})


def _is_known(value: object) -> bool:
    return value not in (None, "", (), Remote.UNKNOWN)


@attrs.frozen(kw_only=True)
class KnownPosting:
    """A posting that can be asked for alone, because its id and its page are known."""

    external_id: ExternalId
    url: str


@attrs.frozen(kw_only=True)
class StoredPosting:
    """A posting as the store holds it.

    Attributes:
        version: 1 when inserted, more after each change of content or reopening.
        domain: The domain of its board.
        first_seen_at: When the first poll saw it, aware UTC.
        news_at: When it became news; None for stock found by a board's first walk.
        fingerprint: 32 bytes, the same for all postings of one job, or None (company unknown).
    """

    id: PostingId
    version: int
    board_id: BoardId
    domain: Domain
    draft: PostingDraft
    first_seen_at: dt.datetime
    news_at: dt.datetime | None
    closed_at: dt.datetime | None
    fingerprint: bytes | None
