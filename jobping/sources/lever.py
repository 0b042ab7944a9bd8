"""Lever: a bare array of a site's postings; lists stand beside the description."""

import html
import re
from collections.abc import Iterator
from decimal import Decimal

import attrs
import msgspec

from jobping.core.board import Board, Coverage
from jobping.core.ids import SourceName
from jobping.core.page import Page
from jobping.core.places import distinct, place, places, says_remote
from jobping.core.posting import Location, PostingDraft, Remote, Salary
from jobping.core.salary import interval_of, read_salary, stated_salary
from jobping.core.text import clean_line
from jobping.sources import dates
from jobping.sources.decode import is_json_object, read_json
from jobping.sources.fields import line, lines, next_page, number_in
from jobping.sources.items import Head, ItemSource, Listing
from jobping.sources.reader import Light
from jobping.sources.source import Pace, Terms
from jobping.sources.text import html_to_text

LIGHT_SIZE = 10


@attrs.frozen(kw_only=True)
class Categories:
    """What kind of work, and where."""

    commitment: str | None = None
    department: str | None = None
    team: str | None = None
    location: str | None = None
    allLocations: list[str] | None = None


@attrs.frozen(kw_only=True)
class TextList:
    """A heading with list items in HTML."""

    text: str | None = None
    content: str | None = None


@attrs.frozen(kw_only=True)
class SalaryRange:
    """Stated pay."""

    min: Decimal | None = None
    max: Decimal | None = None
    currency: str | None = None
    interval: str | None = None


@attrs.frozen(kw_only=True)
class Posting:
    """One item of the array."""

    id: int | str
    text: str
    hostedUrl: str
    categories: Categories | None = None
    country: str | None = None
    workplaceType: str | None = None
    createdAt: int | float | None = None
    description: str | None = None
    lists: list[TextList] | None = None
    additional: str | None = None
    salaryRange: SalaryRange | None = None
    salaryDescription: str | None = None


def _listing(page: Page) -> Listing:
    raws = read_json(page, list[msgspec.Raw], source="lever", expected="an array of postings")
    return Listing(items=raws)


def _small_page(page: Page) -> Listing:
    """Return a page that `limit` has cut; a full one is followed by another."""
    listing = _listing(page)
    size = len(listing.items)
    is_full = size >= number_in(page.url, "limit", LIGHT_SIZE)
    following = next_page(page.url, "skip", size) if size and is_full else None
    return attrs.evolve(listing, following=following)


def _head(posting: Posting, _board: Board) -> Head:
    return Head(title=posting.text, url=posting.hostedUrl)


def _fill(posting: Posting, draft: PostingDraft, page: Page) -> PostingDraft:
    kinds = posting.categories or Categories()
    remote, tags = _remote(posting, kinds)
    filled = attrs.evolve(
        draft,
        locations=_places(posting, kinds),
        remote=remote,
        description=html_to_text("".join(_markup(posting))),
        salary=_salary(posting),
        employment=lines(kinds.commitment),
        department=clean_line(kinds.department) or line(kinds.team),
        tags=(*lines(kinds.team if kinds.department else None), *tags),
    )
    return dates.posted(filled, dates.epoch(posting.createdAt, unit_s=0.001), page.fetched_at)


def _places(posting: Posting, kinds: Categories) -> tuple[Location, ...]:
    """Return the places; the country belongs to the first one."""
    first = place(kinds.location, country=posting.country)
    others = [text for text in kinds.allLocations or () if text != kinds.location]
    return distinct((*first, *places(*others)))


def _remote(posting: Posting, kinds: Categories) -> tuple[Remote, tuple[str, ...]]:
    """Return whether the work is remote, and the tag of hybrid work."""
    match (posting.workplaceType or "").lower().replace("-", ""):
        case "remote":
            return Remote.YES, ()
        case "hybrid":
            return Remote.NO, ("hybrid",)
        case "onsite":
            return Remote.NO, ()
        case _:
            says = says_remote(kinds.location or "") or says_remote(kinds.commitment or "")
            return Remote.YES if says else Remote.UNKNOWN, ()


def _markup(posting: Posting) -> Iterator[str]:
    """Yield description, lists and closing text; `opening` is already in the description."""
    yield posting.description or ""
    for entry in posting.lists or ():
        yield f"<h3>{html.escape(entry.text or '')}</h3><ul>{entry.content or ''}</ul>"
    yield f"<section>{posting.additional or ''}</section>"


def _salary(posting: Posting) -> Salary | None:
    """Return the stated range, else what the text says."""
    text = html_to_text(posting.salaryDescription or "")
    stated = posting.salaryRange
    if stated is None:
        return read_salary(text)
    found = stated_salary(
        text,
        minimum=stated.min,
        maximum=stated.max,
        currency=stated.currency,
        interval=interval_of(stated.interval),
    )
    return found or read_salary(text)


LEVER = ItemSource(
    name=SourceName("lever"),
    coverage=Coverage.WHOLE,
    terms=Terms(credit="Lever"),
    pace=Pace(per_hour=1200),
    base_url="https://api.lever.co",
    path=lambda slug: f"/v0/postings/{slug}?mode=json",
    listing=_listing,
    item=Posting,
    head=_head,
    fill=_fill,
    slug=re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"),
    slug_help="the site's name: letters, digits, `.`, `_` and `-`",
    gone=is_json_object,
    light=Light(
        path=lambda slug: f"/v0/postings/{slug}?mode=json&skip=0&limit={LIGHT_SIZE}",
        listing=_small_page,
    ),
)
