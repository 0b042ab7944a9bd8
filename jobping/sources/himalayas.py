"""Himalayas: pages of the newest remote jobs; pay by the hour or the year under the same keys."""

import re
from decimal import Decimal

import attrs
import msgspec

from jobping.core.board import Board, Coverage
from jobping.core.ids import SourceName
from jobping.core.page import Page, PageRequest
from jobping.core.places import places
from jobping.core.posting import PostingDraft, Remote
from jobping.core.salary import interval_of, stated_salary
from jobping.sources import dates
from jobping.sources.decode import read_json
from jobping.sources.fields import lines, with_query
from jobping.sources.items import Head, ItemSource, Listing
from jobping.sources.source import Pace, Terms
from jobping.sources.text import html_to_text


@attrs.frozen(kw_only=True)
class Job:
    """One item of `jobs`; the guid is its page's URL."""

    guid: str
    title: str
    applicationLink: str | None = None
    companyName: str | None = None
    locationRestrictions: list[str] | None = None
    description: str | None = None
    pubDate: int | float | None = None
    expiryDate: int | float | None = None
    minSalary: Decimal | None = None
    maxSalary: Decimal | None = None
    currency: str | None = None
    salaryPeriod: str | None = None
    employmentType: str | None = None
    seniority: list[str] | None = None
    categories: list[str] | None = None
    parentCategories: list[str] | None = None

    @property
    def id(self) -> str:
        """The id under the name that every item has."""
        return self.guid


@attrs.frozen(kw_only=True)
class Answer:
    """One page; what differs per call stands beside `jobs` and is not read."""

    jobs: list[msgspec.Raw]
    nextCursor: str | None = None


def _listing(page: Page) -> Listing:
    answer = read_json(page, Answer, source="himalayas", expected="an object with `jobs`")
    cursor = answer.nextCursor if answer.jobs else None
    following = PageRequest(url=with_query(page.url, cursor=cursor)) if cursor else None
    return Listing(items=answer.jobs, following=following)


def _head(job: Job, _board: Board) -> Head:
    return Head(title=job.title, company=job.companyName, url=job.applicationLink or job.guid)


def _fill(job: Job, draft: PostingDraft, page: Page) -> PostingDraft:
    filled = attrs.evolve(
        draft,
        locations=places(*(job.locationRestrictions or ())),
        remote=Remote.YES,
        description=html_to_text(job.description or ""),
        closes_at=dates.epoch(job.expiryDate).at,
        salary=stated_salary(
            "",
            minimum=job.minSalary,
            maximum=job.maxSalary,
            currency=job.currency,
            interval=interval_of(job.salaryPeriod),
        ),
        employment=lines(job.employmentType),
        department=", ".join(lines(*(job.parentCategories or ()))) or None,
        level=", ".join(lines(*(job.seniority or ()))) or None,
        tags=lines(*(job.categories or ())),
    )
    return dates.posted(filled, dates.epoch(job.pubDate), page.fetched_at)


HIMALAYAS = ItemSource(
    name=SourceName("himalayas"),
    coverage=Coverage.NEWEST,
    terms=Terms(credit="Himalayas", note="asks to be named and linked"),
    pace=Pace(per_hour=40, min_gap_s=2.5, burst=2),
    base_url="https://himalayas.app",
    path=lambda _slug: "/jobs/api",
    listing=_listing,
    item=Job,
    head=_head,
    fill=_fill,
    slug=re.compile(r"all"),
    slug_help="the only board is `all`",
    id_key="guid",
    page_cap=5,
)
