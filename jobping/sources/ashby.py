"""Ashby: one answer per board; slugs keep their case and may hold dots and blanks."""

import re
from decimal import Decimal
from urllib.parse import quote

import attrs
import msgspec

from jobping.core.board import Board, Coverage
from jobping.core.ids import SourceName
from jobping.core.page import Page
from jobping.core.places import distinct, place, says_remote
from jobping.core.posting import Location, PostingDraft, Remote, Salary
from jobping.core.salary import interval_of, read_salary, stated_salary
from jobping.core.text import clean_line
from jobping.sources import dates
from jobping.sources.decode import is_plain_not_found, read_json
from jobping.sources.fields import lines
from jobping.sources.items import Head, ItemSource, Listing
from jobping.sources.jobposting import own_page
from jobping.sources.source import Pace, Terms
from jobping.sources.text import html_to_text


@attrs.frozen(kw_only=True)
class PostalAddress:
    """The parts of a place."""

    addressLocality: str | None = None
    addressRegion: str | None = None
    addressCountry: str | None = None


@attrs.frozen(kw_only=True)
class Address:
    """The envelope of the parts."""

    postalAddress: PostalAddress | None = None


@attrs.frozen(kw_only=True)
class Place:
    """A further place of a job."""

    location: str | None = None
    address: Address | None = None


@attrs.frozen(kw_only=True)
class Component:
    """A part of the pay: salary, bonus, equity."""

    compensationType: str | None = None
    interval: str | None = None
    currencyCode: str | None = None
    minValue: Decimal | None = None
    maxValue: Decimal | None = None


@attrs.frozen(kw_only=True)
class Compensation:
    """Pay, often present but empty."""

    compensationTierSummary: str | None = None
    summaryComponents: list[Component] | None = None


@attrs.frozen(kw_only=True)
class Job:
    """One item of `jobs`."""

    id: int | str
    title: str
    jobUrl: str
    location: str | None = None
    secondaryLocations: list[Place] | None = None
    address: Address | None = None
    isRemote: bool | None = None
    workplaceType: str | None = None
    descriptionHtml: str | None = None
    publishedAt: str | None = None
    compensation: Compensation | None = None
    employmentType: str | None = None
    department: str | None = None
    team: str | None = None


@attrs.frozen(kw_only=True)
class Answer:
    """The answer of a board."""

    jobs: list[msgspec.Raw]


def _listing(page: Page) -> Listing:
    answer = read_json(page, Answer, source="ashby", expected="an object with `jobs`")
    return Listing(items=answer.jobs)


def _head(job: Job, _board: Board) -> Head:
    return Head(title=job.title, url=job.jobUrl)


def _fill(job: Job, draft: PostingDraft, page: Page) -> PostingDraft:
    is_hybrid = (job.workplaceType or "").lower() == "hybrid"
    department, team = clean_line(job.department), clean_line(job.team)
    filled = attrs.evolve(
        draft,
        locations=_places(job),
        remote=Remote.NO if is_hybrid else _remote(job),
        description=html_to_text(job.descriptionHtml or ""),
        salary=_salary(job.compensation) if job.compensation else None,
        employment=lines(job.employmentType),
        department=department or team or None,
        tags=(*((team,) if team and team != department else ()), *(("hybrid",) * is_hybrid)),
    )
    return dates.posted(filled, dates.iso(job.publishedAt), page.fetched_at)


def _places(job: Job) -> tuple[Location, ...]:
    """Return the first and the further places."""
    stated = [Place(location=job.location, address=job.address), *(job.secondaryLocations or ())]
    found: list[Location] = []
    for entry in stated:
        parts = (entry.address and entry.address.postalAddress) or PostalAddress()
        found += place(
            entry.location,
            city=parts.addressLocality,
            region=parts.addressRegion,
            country=parts.addressCountry,
        )
    return distinct(found)


def _remote(job: Job) -> Remote:
    """Join the flag with the word in the place: null and the word is yes, no and it unknown."""
    says = says_remote(job.location or "")
    match job.isRemote:
        case True:
            return Remote.YES
        case False:
            return Remote.UNKNOWN if says else Remote.NO
        case None:
            return Remote.YES if says else Remote.UNKNOWN


def _salary(pay: Compensation) -> Salary | None:
    """Return the salary parts of one currency and interval joined; equity and bonus are none."""
    parts = [part for part in pay.summaryComponents or () if part.compensationType == "Salary"]
    if not parts:
        return None if pay.summaryComponents else read_salary(pay.compensationTierSummary)
    alike = [
        part
        for part in parts
        if (part.currencyCode, part.interval) == (parts[0].currencyCode, parts[0].interval)
    ]
    same = alike if len(alike) == len(parts) else parts[:1]
    lows = [part.minValue for part in same if part.minValue]
    highs = [part.maxValue for part in same if part.maxValue]
    return stated_salary(
        pay.compensationTierSummary or "",
        minimum=min(lows, default=None),
        maximum=max(highs, default=None),
        currency=parts[0].currencyCode,
        interval=interval_of(parts[0].interval),
    )


ASHBY = ItemSource(
    name=SourceName("ashby"),
    coverage=Coverage.WHOLE,
    terms=Terms(credit="Ashby"),
    pace=Pace(per_hour=1200),
    base_url="https://api.ashbyhq.com",
    path=lambda slug: f"/posting-api/job-board/{quote(slug, safe='')}?includeCompensation=true",
    listing=_listing,
    item=Job,
    head=_head,
    fill=_fill,
    slug=re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._&'+-]{0,98}[A-Za-z0-9._+-])?"),
    slug_help="the board's name as in jobs.ashbyhq.com/NAME, in its case, blanks as blanks",
    gone=is_plain_not_found,
    also=("https://jobs.ashbyhq.com",),
    single=own_page(
        "ashby", pages="https://jobs.ashbyhq.com", path=lambda job: f"/{job.slug}/{job.id}"
    ),
)
