"""Recruitee: one host per company, ids that count per company, dates with a trailing UTC."""

import re
from decimal import Decimal

import attrs
import msgspec

from jobping.core.board import Board, Coverage
from jobping.core.ids import SourceName
from jobping.core.page import Page
from jobping.core.places import distinct, place
from jobping.core.posting import Location, PostingDraft, Precision, Remote, Salary
from jobping.core.salary import interval_of, stated_salary
from jobping.sources import dates
from jobping.sources.decode import is_json_object, read_json
from jobping.sources.fields import HOST_LABEL, HOST_LABEL_HELP, line, lines
from jobping.sources.items import Head, ItemSource, Listing
from jobping.sources.jobposting import own_page
from jobping.sources.reader import Wanted
from jobping.sources.source import Pace, Terms
from jobping.sources.text import html_to_text


@attrs.frozen(kw_only=True)
class Place:
    """One of `locations`."""

    name: str | None = None
    city: str | None = None
    state: str | None = None
    country: str | None = None
    country_code: str | None = None


@attrs.frozen(kw_only=True)
class Pay:
    """Stated pay: texts, or all null."""

    min: Decimal | None = None
    max: Decimal | None = None
    period: str | None = None
    currency: str | None = None


@attrs.frozen(kw_only=True)
class Offer:
    """One item of `offers`; older answers have one place and no `published_at`."""

    id: int | str
    title: str
    careers_url: str
    company_name: str | None = None
    locations: list[Place] | None = None
    location: str | None = None
    city: str | None = None
    state_name: str | None = None
    country: str | None = None
    country_code: str | None = None
    remote: bool | None = None
    hybrid: bool | None = None
    on_site: bool | None = None
    description: str | None = None
    requirements: str | None = None
    published_at: str | None = None
    created_at: str | None = None
    close_at: str | None = None
    salary: Pay | None = None
    employment_type_code: str | None = None
    experience_code: str | None = None
    category_code: str | None = None
    department: str | None = None
    tags: list[str] | None = None


@attrs.frozen(kw_only=True)
class Answer:
    """The answer of `/api/offers/`."""

    offers: list[msgspec.Raw]


def _listing(page: Page) -> Listing:
    answer = read_json(page, Answer, source="recruitee", expected="an object with `offers`")
    return Listing(items=answer.offers)


def _head(offer: Offer, _board: Board) -> Head:
    return Head(title=offer.title, company=offer.company_name, url=offer.careers_url)


def _fill(offer: Offer, draft: PostingDraft, page: Page) -> PostingDraft:
    filled = attrs.evolve(
        draft,
        locations=_places(offer),
        remote=_remote(offer),
        description=html_to_text(
            f"<section>{offer.description or ''}</section>"
            f"<section>{offer.requirements or ''}</section>"
        ),
        closes_at=dates.iso(offer.close_at).at,
        salary=_salary(offer.salary) if offer.salary else None,
        employment=lines(offer.employment_type_code),
        department=line(offer.department),
        level=line(offer.experience_code),
        tags=lines(*(offer.tags or ()), offer.category_code, "hybrid" if offer.hybrid else None),
    )
    moment = dates.first(
        dates.iso(offer.published_at), dates.iso(offer.created_at, precision=Precision.DATE)
    )
    return dates.posted(filled, moment, page.fetched_at)


def _places(offer: Offer) -> tuple[Location, ...]:
    """Return the places of either shape."""
    if not offer.locations:
        return place(
            offer.location,
            city=offer.city,
            region=offer.state_name,
            country=offer.country_code or offer.country,
        )
    return distinct(
        found
        for entry in offer.locations
        for found in place(
            ", ".join(lines(entry.city, entry.state, entry.country)) or entry.name,
            city=entry.city,
            region=entry.state,
            country=entry.country_code or entry.country,
        )
    )


def _remote(offer: Offer) -> Remote:
    """Join the three flags; where none is sent it stays unknown."""
    if offer.remote:
        return Remote.YES
    is_silent = offer.remote is None and offer.hybrid is None and offer.on_site is None
    return Remote.UNKNOWN if is_silent else Remote.NO


def _salary(pay: Pay) -> Salary | None:
    """Return the stated pay."""
    return stated_salary(
        "",
        minimum=pay.min,
        maximum=pay.max,
        currency=pay.currency,
        interval=interval_of(pay.period),
    )


def _page(offer: Wanted) -> str | None:
    """Return the path of the offer's page; a company's own domain is another site."""
    return offer.path if re.fullmatch(r"/o/[\w.~%-]+", offer.path or "", re.ASCII) else None


RECRUITEE = ItemSource(
    name=SourceName("recruitee"),
    coverage=Coverage.WHOLE,
    terms=Terms(credit="Recruitee"),
    pace=Pace(per_hour=1200),
    base_url="https://{slug}.recruitee.com",
    path=lambda _slug: "/api/offers/",
    listing=_listing,
    item=Offer,
    head=_head,
    fill=_fill,
    slug=HOST_LABEL,
    slug_help=HOST_LABEL_HELP.format(".recruitee.com"),
    ids_per_board=True,
    gone=is_json_object,
    single=own_page("recruitee", pages="https://{slug}.recruitee.com", path=_page),
)
