"""JSearch at RapidAPI: one page of a query over what others list; it needs a key."""

from decimal import Decimal
from urllib.parse import quote, urlencode

import attrs
import msgspec

from jobping.core.board import Board, Coverage
from jobping.core.ids import SourceName
from jobping.core.page import Page, PageRequest
from jobping.core.places import place
from jobping.core.posting import PostingDraft, Remote
from jobping.core.quota import Quota, Span
from jobping.core.salary import interval_of, stated_salary
from jobping.sources import dates
from jobping.sources.decode import read_json
from jobping.sources.fields import lines, query_of, query_slug
from jobping.sources.items import Head, ItemSource, Listing
from jobping.sources.source import Pace, Terms
from jobping.sources.text import html_to_text

HOST = "jsearch.p.rapidapi.com"


@attrs.frozen(kw_only=True)
class Job:
    """One item of `data`."""

    job_id: str
    job_title: str
    job_apply_link: str
    employer_name: str | None = None
    job_city: str | None = None
    job_state: str | None = None
    job_country: str | None = None
    job_is_remote: bool | None = None
    job_description: str | None = None
    job_posted_at_datetime_utc: str | None = None
    job_offer_expiration_datetime_utc: str | None = None
    job_min_salary: Decimal | None = None
    job_max_salary: Decimal | None = None
    job_salary_currency: str | None = None
    job_salary_period: str | None = None
    job_employment_type: str | None = None
    job_required_skills: list[str] | None = None

    @property
    def id(self) -> str:
        """The id under the name that every item has."""
        return self.job_id


@attrs.frozen(kw_only=True)
class Answer:
    """One page."""

    data: list[msgspec.Raw]


def _listing(page: Page) -> Listing:
    answer = read_json(page, Answer, source="jsearch", expected="an object with `data`")
    return Listing(items=answer.data)


def _head(job: Job, _board: Board) -> Head:
    return Head(title=job.job_title, company=job.employer_name, url=job.job_apply_link)


def _fill(job: Job, draft: PostingDraft, page: Page) -> PostingDraft:
    remote = Remote.YES if job.job_is_remote else Remote.NO
    filled = attrs.evolve(
        draft,
        locations=place(None, city=job.job_city, region=job.job_state, country=job.job_country),
        remote=Remote.UNKNOWN if job.job_is_remote is None else remote,
        description=html_to_text(job.job_description or ""),
        closes_at=dates.iso(job.job_offer_expiration_datetime_utc).at,
        salary=stated_salary(
            "",
            minimum=job.job_min_salary,
            maximum=job.job_max_salary,
            currency=job.job_salary_currency,
            interval=interval_of(job.job_salary_period),
        ),
        employment=lines(job.job_employment_type),
        tags=lines(*(job.job_required_skills or ())),
    )
    return dates.posted(filled, dates.iso(job.job_posted_at_datetime_utc), page.fetched_at)


def _path(slug: str) -> str:
    query = {"date_posted": "week", **dict(query_of(slug)), "page": "1", "num_pages": "1"}
    return f"/search?{urlencode(query, quote_via=quote)}"


def _dress(request: PageRequest, keys: tuple[str, ...]) -> PageRequest:
    fields = (("X-RapidAPI-Key", key) for key in keys)
    return attrs.evolve(request, headers=(*fields, ("X-RapidAPI-Host", HOST)))


JSEARCH = ItemSource(
    name=SourceName("jsearch"),
    coverage=Coverage.QUERY,
    terms=Terms(credit="JSearch", note="needs a key of RapidAPI"),
    pace=Pace(
        per_hour=3,
        min_gap_s=1200,
        quotas=(Quota(Span.DAY, 65), Quota(Span.MONTH, 2_000)),
        poll_every_s=24 * 3600,
    ),
    base_url=f"https://{HOST}",
    path=_path,
    dress=_dress,
    credentials=("JOBPING_JSEARCH_KEY",),
    listing=_listing,
    item=Job,
    head=_head,
    fill=_fill,
    slug=query_slug("query", "date_posted", "country", "employment_types"),
    slug_help="as query:graduate analyst in Berlin;date_posted:week, in the words of its API",
    id_key="job_id",
    page_cap=1,
)
