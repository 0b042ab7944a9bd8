"""Breezy: one host per company, a bare array without texts; those stand in the postings' pages."""

import re

import attrs
import msgspec

from jobping.core.board import Board, Coverage
from jobping.core.ids import SourceName
from jobping.core.page import Page
from jobping.core.places import distinct, place
from jobping.core.posting import Location, PostingDraft, Remote
from jobping.core.salary import read_salary
from jobping.sources import dates
from jobping.sources.decode import read_json
from jobping.sources.fields import HOST_LABEL, HOST_LABEL_HELP, line, lines
from jobping.sources.items import Head, ItemSource, Listing
from jobping.sources.jobposting import own_page
from jobping.sources.reader import Wanted
from jobping.sources.source import Pace, Terms


@attrs.frozen(kw_only=True)
class Named:
    """A value of a list: an id and a name."""

    id: str | None = None
    name: str | None = None


@attrs.frozen(kw_only=True)
class Place:
    """One of `locations`; `is_remote` may be absent."""

    name: str | None = None
    city: str | None = None
    state: Named | None = None
    country: Named | None = None
    is_remote: bool | None = None


@attrs.frozen(kw_only=True)
class Position:
    """One item; pay as a text for people."""

    id: int | str
    name: str
    url: str
    company: Named | None = None
    location: Place | None = None
    locations: list[Place] | None = None
    published_date: str | None = None
    type: Named | None = None
    department: str | None = None
    salary: str | None = None


def _listing(page: Page) -> Listing:
    raws = read_json(page, list[msgspec.Raw], source="breezy", expected="an array of positions")
    return Listing(items=raws)


def _head(position: Position, _board: Board) -> Head:
    company = position.company.name if position.company else None
    return Head(title=position.name, company=company, url=position.url)


def _fill(position: Position, draft: PostingDraft, page: Page) -> PostingDraft:
    stated = position.locations or ([position.location] if position.location else [])
    flags = {one.is_remote for one in stated if one.is_remote is not None}
    filled = attrs.evolve(
        draft,
        locations=distinct(found for one in stated for found in _place(one)),
        remote=(Remote.YES if True in flags else Remote.NO) if flags else Remote.UNKNOWN,
        salary=read_salary(position.salary),
        employment=lines(position.type.name if position.type else None),
        department=line(position.department),
    )
    return dates.posted(filled, dates.iso(position.published_date), page.fetched_at)


def _place(one: Place) -> tuple[Location, ...]:
    """Return a place by its parts; `Utrecht, NL` alone could be one in Newfoundland."""
    state, country = one.state or Named(), one.country or Named()
    return place(
        ", ".join(lines(one.city, state.name, country.name)) or one.name,
        city=one.city,
        region=state.name,
        country=country.id or country.name,
    )


def _page(position: Wanted) -> str | None:
    """Return the path of the position's own page."""
    found = re.fullmatch(r"/p/[\w.~%-]+", position.path or "", re.ASCII)
    return position.path if found else None


BREEZY = ItemSource(
    name=SourceName("breezy"),
    coverage=Coverage.WHOLE,
    terms=Terms(credit="Breezy"),
    pace=Pace(per_hour=1200),
    base_url="https://{slug}.breezy.hr",
    path=lambda _slug: "/json",
    listing=_listing,
    item=Position,
    head=_head,
    fill=_fill,
    slug=HOST_LABEL,
    slug_help=HOST_LABEL_HELP.format(".breezy.hr"),
    ids_per_board=True,
    weak=frozenset({"description"}),
    single=own_page("breezy", pages="https://{slug}.breezy.hr", path=_page),
)
