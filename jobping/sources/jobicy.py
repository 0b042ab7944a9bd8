"""Jobicy: the newest remote jobs of one query; a board is `all` or a query."""

import re
from decimal import Decimal
from urllib.parse import quote

import attrs
import msgspec

from jobping.core.board import Board, Coverage
from jobping.core.ids import SourceName
from jobping.core.page import Page
from jobping.core.places import places
from jobping.core.posting import Interval, PostingDraft, Remote, Salary
from jobping.core.quota import Quota, Span
from jobping.core.salary import interval_of, stated_salary
from jobping.core.text import clean_line
from jobping.sources import dates
from jobping.sources.decode import read_json
from jobping.sources.fields import lines
from jobping.sources.items import Head, ItemSource, Listing
from jobping.sources.source import Pace, Terms
from jobping.sources.text import html_to_text


@attrs.frozen(kw_only=True)
class Job:
    """One item of `jobs`; pay as texts."""

    id: int | str
    jobTitle: str
    url: str
    companyName: str | None = None
    jobGeo: str | None = None
    jobIndustry: list[str] | None = None
    jobType: list[str] | None = None
    jobLevel: str | None = None
    jobDescription: str | None = None
    pubDate: str | None = None
    annualSalaryMin: Decimal | None = None
    annualSalaryMax: Decimal | None = None
    salaryMin: Decimal | None = None
    salaryMax: Decimal | None = None
    salaryPeriod: str | None = None
    salaryCurrency: str | None = None


@attrs.frozen(kw_only=True)
class Answer:
    """The answer; what differs per call stands beside `jobs` and is not read."""

    jobs: list[msgspec.Raw]


def _listing(page: Page) -> Listing:
    answer = read_json(page, Answer, source="jobicy", expected="an object with `jobs`")
    return Listing(items=answer.jobs)


def _head(job: Job, _board: Board) -> Head:
    return Head(title=job.jobTitle, company=job.companyName, url=job.url)


def _fill(job: Job, draft: PostingDraft, page: Page) -> PostingDraft:
    level = clean_line(job.jobLevel)
    filled = attrs.evolve(
        draft,
        locations=places(*(job.jobGeo or "").split(",")),
        remote=Remote.YES,
        description=html_to_text(job.jobDescription or ""),
        salary=_salary(job),
        employment=lines(*(job.jobType or ())),
        department=", ".join(lines(*(job.jobIndustry or ()))) or None,
        level=level if level.lower() != "any" else None,
    )
    return dates.posted(filled, dates.iso(job.pubDate), page.fetched_at)


def _salary(job: Job) -> Salary | None:
    """Return the pay of a year, else of the period named (the latter key is unverified)."""
    annual = job.annualSalaryMin or job.annualSalaryMax
    return stated_salary(
        "",
        minimum=job.annualSalaryMin if annual else job.salaryMin,
        maximum=job.annualSalaryMax if annual else job.salaryMax,
        currency=job.salaryCurrency,
        interval=Interval.YEAR if annual else interval_of(job.salaryPeriod),
    )


def _path(slug: str) -> str:
    """Return the query of a board: `all`, or one parameter and its value."""
    key, _, value = slug.partition(":")
    query = f"&{key}={quote(value, safe='')}" if value else ""
    return f"/api/v2/remote-jobs?count=50{query}"


JOBICY = ItemSource(
    name=SourceName("jobicy"),
    coverage=Coverage.NEWEST,
    terms=Terms(credit="Jobicy", polls_a_day=4, note="a few polls a day"),
    pace=Pace(per_hour=4, quotas=(Quota(Span.DAY, 4),), poll_every_s=6 * 3600),
    base_url="https://jobicy.com",
    path=_path,
    listing=_listing,
    item=Job,
    head=_head,
    fill=_fill,
    slug=re.compile(r"all|(?:tag|geo|industry):[A-Za-z0-9][A-Za-z0-9 .,+#-]{0,59}"),
    slug_help="`all`, or `tag:`, `geo:` or `industry:` with a word of Jobicy's, as `geo:europe`",
)
