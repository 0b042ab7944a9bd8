"""Reed: pages of a query in the United Kingdom; texts are cut in the list; it needs a key."""

import base64
import re
from decimal import Decimal
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

import attrs
import msgspec

from jobping.core.board import Board, Coverage
from jobping.core.hours import Hours
from jobping.core.ids import SourceName
from jobping.core.page import Page, PageRequest
from jobping.core.places import places
from jobping.core.posting import Interval, Location, PostingDraft, Salary, SalaryOrigin
from jobping.core.salary import interval_of, size_interval, stated_salary
from jobping.sources import dates
from jobping.sources.decode import is_json_object, read_json
from jobping.sources.fields import lines, next_page, query_of, query_slug
from jobping.sources.items import Head, ItemSource, Listing
from jobping.sources.reader import Single, json_item
from jobping.sources.source import Pace, Terms
from jobping.sources.text import html_to_text

PAGE_SIZE = 100
_POSTCODE = re.compile(r"[A-Z]{1,2}\d[A-Z\d]?(?:\s?\d[A-Z]{2})?", re.I)


@attrs.frozen(kw_only=True)
class Job:
    """One item of `results`, or a detail, which alone says what kind of contract it is."""

    jobId: int | str
    jobTitle: str
    employerName: str | None = None
    locationName: str | None = None
    jobUrl: str | None = None
    jobDescription: str | None = None
    date: str | None = None
    datePosted: str | None = None
    expirationDate: str | None = None
    minimumSalary: Decimal | None = None
    maximumSalary: Decimal | None = None
    currency: str | None = None
    salaryType: str | None = None
    contractType: str | None = None
    jobType: str | None = None

    @property
    def id(self) -> int | str:
        """The id under the name that every item has."""
        return self.jobId


@attrs.frozen(kw_only=True)
class Answer:
    """One page."""

    results: list[msgspec.Raw]
    totalResults: int | None = None


def _listing(page: Page) -> Listing:
    answer = read_json(page, Answer, source="reed", expected="an object with `results`")
    size = len(answer.results)
    following = next_page(page.url, "resultsToSkip", size) if size >= PAGE_SIZE else None
    return Listing(items=answer.results, total=answer.totalResults, following=following)


def _head(job: Job, _board: Board) -> Head:
    url = job.jobUrl or f"https://www.reed.co.uk/jobs/{quote(str(job.jobId), safe='')}"
    return Head(title=job.jobTitle, company=job.employerName, url=url)


def _fill(job: Job, draft: PostingDraft, page: Page) -> PostingDraft:
    filled = attrs.evolve(
        draft,
        locations=_places(job.locationName or ""),
        description=html_to_text(job.jobDescription or ""),
        closes_at=dates.end_of(dates.day_first(job.expirationDate)),
        salary=_salary(job),
        employment=lines(job.contractType, job.jobType),
    )
    moment = dates.first(dates.day_first(job.date), dates.day_first(job.datePosted))
    return dates.posted(filled, moment, page.fetched_at)


def _places(text: str) -> tuple[Location, ...]:
    """Read a place; a bare postcode says the country and no city."""
    if _POSTCODE.fullmatch(text.strip()):
        return (Location(raw=text.strip(), country="GB"),)
    return places(text)


def _salary(job: Job) -> Salary | None:
    """Return the pay; the list never sends its interval, so that its size has to say it."""
    stated = interval_of(job.salaryType)
    is_stated = stated is not Interval.UNKNOWN
    return stated_salary(
        "",
        minimum=job.minimumSalary,
        maximum=job.maximumSalary,
        currency=job.currency,
        interval=stated if is_stated else size_interval(job.minimumSalary or job.maximumSalary),
        origin=SalaryOrigin.STATED if is_stated else SalaryOrigin.INFERRED,
    )


def _path(slug: str) -> str:
    query = {**dict(query_of(slug)), "resultsToTake": str(PAGE_SIZE), "resultsToSkip": "0"}
    return f"/api/1.0/search?{urlencode(query, quote_via=quote)}"


def _dress(request: PageRequest, keys: tuple[str, ...]) -> PageRequest:
    """Add the key as the user of Basic Authentication, without a password."""
    fields = (base64.b64encode(f"{key}:".encode()).decode() for key in keys)
    headers = tuple(("Authorization", f"Basic {field}") for field in fields)
    return attrs.evolve(request, headers=headers)


REED = ItemSource(
    name=SourceName("reed"),
    coverage=Coverage.QUERY,
    terms=Terms(credit="Reed", note="needs a key; polled from 8 to 20 h London time"),
    pace=Pace(
        per_hour=1_800,
        min_gap_s=2,
        poll_every_s=24 * 3600,
        hours=Hours(first=8, last=20, zone=ZoneInfo("Europe/London")),
    ),
    base_url="https://www.reed.co.uk",
    path=_path,
    dress=_dress,
    credentials=("JOBPING_REED_KEY",),
    listing=_listing,
    item=Job,
    head=_head,
    fill=_fill,
    slug=query_slug(
        "keywords",
        "locationName",
        "distanceFromLocation",
        "permanent",
        "graduate",
        "contract",
        "temp",
        "partTime",
        "fullTime",
    ),
    slug_help="as locationName:London;keywords:graduate analyst, in the words of its API",
    id_key="jobId",
    page_cap=3,
    weak=frozenset({"description", "employment"}),
    single=Single(
        path=lambda job: f"/api/1.0/jobs/{job.id}", item=json_item("reed"), gone=is_json_object
    ),
)
