"""Remotive: the newest remote jobs, a day late, four polls a day."""

import re
from urllib.parse import quote

import attrs
import msgspec

from jobping.core.board import Board, Coverage
from jobping.core.ids import SourceName
from jobping.core.page import Page
from jobping.core.places import places
from jobping.core.posting import PostingDraft, Remote
from jobping.core.quota import Quota, Span
from jobping.core.salary import read_salary
from jobping.sources import dates
from jobping.sources.decode import read_json
from jobping.sources.fields import line, lines
from jobping.sources.items import Head, ItemSource, Listing
from jobping.sources.source import Pace, Terms
from jobping.sources.text import html_to_text


@attrs.frozen(kw_only=True)
class Job:
    """One item of `jobs`."""

    id: int | str
    title: str
    url: str
    company_name: str | None = None
    category: str | None = None
    tags: list[str] | None = None
    job_type: str | None = None
    publication_date: str | None = None
    candidate_required_location: str | None = None
    salary: str | None = None
    description: str | None = None


@attrs.frozen(kw_only=True)
class Answer:
    """The answer."""

    jobs: list[msgspec.Raw]


def _listing(page: Page) -> Listing:
    answer = read_json(page, Answer, source="remotive", expected="an object with `jobs`")
    return Listing(items=answer.jobs)


def _head(job: Job, _board: Board) -> Head:
    return Head(title=job.title, company=job.company_name, url=job.url)


def _fill(job: Job, draft: PostingDraft, page: Page) -> PostingDraft:
    filled = attrs.evolve(
        draft,
        locations=places(*(job.candidate_required_location or "").split(",")),
        remote=Remote.YES,
        description=html_to_text(job.description or ""),
        salary=read_salary(job.salary),
        employment=lines(job.job_type),
        department=line(job.category),
        tags=lines(*(job.tags or ())),
    )
    return dates.posted(filled, dates.iso(job.publication_date), page.fetched_at)


def _path(slug: str) -> str:
    """Return the whole list, or one category of it."""
    _, _, category = slug.partition(":")
    query = f"?category={quote(category, safe='')}" if category else ""
    return f"/api/remote-jobs{query}"


REMOTIVE = ItemSource(
    name=SourceName("remotive"),
    coverage=Coverage.NEWEST,
    terms=Terms(
        credit="Remotive",
        polls_a_day=4,
        note="24 h late; never in exchange for a sign-up or a mail address",
    ),
    pace=Pace(per_hour=4, quotas=(Quota(Span.DAY, 4),), poll_every_s=6 * 3600),
    base_url="https://remotive.com",
    path=_path,
    listing=_listing,
    item=Job,
    head=_head,
    fill=_fill,
    slug=re.compile(r"all|category:[A-Za-z0-9][A-Za-z0-9 &/-]{0,59}"),
    slug_help="`all`, or `category:` with a category of Remotive's, as `category:design`",
)
