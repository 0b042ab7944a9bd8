"""SmartRecruiters: pages of a company's postings, without texts; those stand in the details."""

import html
import re
from collections.abc import Iterator
from urllib.parse import quote

import attrs
import msgspec

from jobping.core.board import Board, Coverage
from jobping.core.ids import SourceName
from jobping.core.page import Page
from jobping.core.places import place
from jobping.core.posting import PostingDraft, Remote
from jobping.sources import dates
from jobping.sources.decode import is_json_object, read_json
from jobping.sources.fields import language_of, line, lines, next_page
from jobping.sources.items import Head, ItemSource, Listing
from jobping.sources.reader import Light, Single, json_item
from jobping.sources.source import Pace, Terms
from jobping.sources.text import html_to_text

PAGE_SIZE = 100
LIGHT_SIZE = 10
NOT_LISTED = frozenset({"description", "url"})
"""What only the detail says."""


@attrs.frozen(kw_only=True)
class Company:
    """Who posts."""

    identifier: str | None = None
    name: str | None = None


@attrs.frozen(kw_only=True)
class Place:
    """Where; the country as a lower-case code."""

    city: str | None = None
    region: str | None = None
    country: str | None = None
    remote: bool | None = None
    hybrid: bool | None = None


@attrs.frozen(kw_only=True)
class Labelled:
    """A value of a list: an id and a text for people."""

    id: str | None = None
    label: str | None = None


@attrs.frozen(kw_only=True)
class Language:
    """The language of the posting."""

    code: str | None = None


@attrs.frozen(kw_only=True)
class Section:
    """A headed part of the text, in HTML."""

    title: str | None = None
    text: str | None = None


@attrs.frozen(kw_only=True)
class Sections:
    """The parts of the text in the order of the page."""

    companyDescription: Section | None = None
    jobDescription: Section | None = None
    qualifications: Section | None = None
    additionalInformation: Section | None = None


@attrs.frozen(kw_only=True)
class JobAd:
    """The envelope of the text."""

    sections: Sections | None = None


@attrs.frozen(kw_only=True)
class Posting:
    """One item of `content`, or a detail; the person who created it is not read."""

    id: int | str
    name: str
    company: Company | None = None
    location: Place | None = None
    releasedDate: str | None = None
    typeOfEmployment: Labelled | None = None
    department: Labelled | None = None
    function: Labelled | None = None
    industry: Labelled | None = None
    experienceLevel: Labelled | None = None
    language: Language | None = None
    postingUrl: str | None = None
    jobAd: JobAd | None = None


@attrs.frozen(kw_only=True)
class Answer:
    """One page."""

    content: list[msgspec.Raw]
    totalFound: int | None = None
    limit: int | None = None


def _listing(page: Page) -> Listing:
    answer = read_json(page, Answer, source="smartrecruiters", expected="an object with `content`")
    size = len(answer.content)
    is_short = not size or size < (answer.limit or 0)
    return Listing(
        items=answer.content,
        total=answer.totalFound,
        following=None if is_short else next_page(page.url, "offset", size),
    )


def _head(posting: Posting, board: Board) -> Head:
    company = posting.company or Company()
    owner = quote(company.identifier or board.slug, safe="")
    url = f"https://jobs.smartrecruiters.com/{owner}/{quote(str(posting.id), safe='')}"
    return Head(title=posting.name, company=company.name, url=posting.postingUrl or url)


def _fill(posting: Posting, draft: PostingDraft, page: Page) -> PostingDraft:
    where = posting.location or Place()
    filled = attrs.evolve(
        draft,
        locations=place(None, city=where.city, region=where.region, country=where.country),
        remote=_remote(where),
        description=html_to_text("".join(_markup(posting.jobAd))) if posting.jobAd else "",
        employment=lines(_label(posting.typeOfEmployment)),
        department=_label(posting.department),
        level=line(posting.experienceLevel.id) if posting.experienceLevel else None,
        tags=lines(
            _label(posting.function), _label(posting.industry), "hybrid" if where.hybrid else None
        ),
        language=language_of(posting.language.code) if posting.language else None,
    )
    return dates.posted(filled, dates.iso(posting.releasedDate), page.fetched_at)


def _markup(ad: JobAd) -> Iterator[str]:
    """Yield the parts of the text under their headings."""
    parts = ad.sections or Sections()
    for part in (
        parts.companyDescription,
        parts.jobDescription,
        parts.qualifications,
        parts.additionalInformation,
    ):
        if part and part.text:
            heading = html.escape(part.title or "")
            yield f"<section><h3>{heading}</h3><div>{part.text}</div></section>"


def _remote(where: Place) -> Remote:
    """Read the flags; a missing one is unknown."""
    if where.hybrid:
        return Remote.NO
    if where.remote is None:
        return Remote.UNKNOWN
    return Remote.YES if where.remote else Remote.NO


def _label(value: Labelled | None) -> str | None:
    return line(value.label) if value else None


SMARTRECRUITERS = ItemSource(
    name=SourceName("smartrecruiters"),
    coverage=Coverage.WHOLE,
    terms=Terms(credit="SmartRecruiters"),
    pace=Pace(per_hour=1200),
    base_url="https://api.smartrecruiters.com",
    path=lambda slug: f"/v1/companies/{slug}/postings?limit={PAGE_SIZE}&offset=0",
    listing=_listing,
    item=Posting,
    head=_head,
    fill=_fill,
    slug=re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}"),
    slug_help="the company's identifier: letters, digits, _ and -",
    gone=is_json_object,
    weak=NOT_LISTED,
    light=Light(
        path=lambda slug: f"/v1/companies/{slug}/postings?limit={LIGHT_SIZE}&offset=0",
        weak=NOT_LISTED,
    ),
    single=Single(
        path=lambda job: f"/v1/companies/{job.slug}/postings/{job.id}",
        item=json_item("smartrecruiters"),
        gone=is_json_object,
    ),
)
