"""Greenhouse: one answer per board, texts escaped once more than HTML."""

import re
from decimal import Decimal

import attrs
import msgspec

from jobping.core.board import Board, Coverage
from jobping.core.ids import SourceName
from jobping.core.page import Page
from jobping.core.places import places, says_remote
from jobping.core.posting import CONTENT, Interval, PostingDraft, Precision, Remote, Salary
from jobping.core.salary import stated_salary
from jobping.core.text import clean_line, unescape
from jobping.sources import dates
from jobping.sources.decode import is_json_object, read_json
from jobping.sources.fields import language_of, line, lines
from jobping.sources.items import Head, ItemSource, Listing
from jobping.sources.reader import Light, Single, json_item
from jobping.sources.source import Pace, Terms
from jobping.sources.text import html_to_text


@attrs.frozen(kw_only=True)
class Named:
    """A thing with a name: a place, a department."""

    name: str | None = None


@attrs.frozen(kw_only=True)
class Metadata:
    """A field that the company added."""

    name: str | None = None
    value: str | list[str] | None = None


@attrs.frozen(kw_only=True)
class PayRange:
    """Stated pay in hundredths, without an interval; only in the answer about one job."""

    min_cents: Decimal | None = None
    max_cents: Decimal | None = None
    currency_type: str | None = None


@attrs.frozen(kw_only=True)
class Job:
    """One item of `jobs`."""

    id: int | str
    title: str
    absolute_url: str
    company_name: str | None = None
    location: Named | None = None
    offices: list[Named] | None = None
    content: str | None = None
    first_published: str | None = None
    updated_at: str | None = None
    application_deadline: str | None = None
    departments: list[Named] | None = None
    metadata: list[Metadata] | None = None
    language: str | None = None
    pay_input_ranges: list[PayRange] | None = None


@attrs.frozen(kw_only=True)
class Department:
    """A department with its jobs, which have no texts and name no department."""

    name: str | None = None
    jobs: list[msgspec.Raw] | None = None


@attrs.frozen(kw_only=True)
class Departments:
    """The answer of `/departments`."""

    departments: list[Department]


@attrs.frozen(kw_only=True)
class Meta:
    """The count of the whole board."""

    total: int | None = None


@attrs.frozen(kw_only=True)
class Answer:
    """The answer of `/jobs`."""

    jobs: list[msgspec.Raw]
    meta: Meta | None = None


def _listing(page: Page) -> Listing:
    answer = read_json(page, Answer, source="greenhouse", expected="an object with `jobs`")
    return Listing(items=answer.jobs, total=answer.meta.total if answer.meta else None)


def _departments(page: Page) -> Listing:
    """Return the jobs of all departments; one that stands in several counts once as merged."""
    answer = read_json(
        page, Departments, source="greenhouse", expected="an object with `departments`"
    )
    found = [job for department in answer.departments for job in department.jobs or ()]
    distinct = dict.fromkeys(map(bytes, found))
    return Listing(items=tuple(distinct), merged=len(found) - len(distinct))


def _head(job: Job, _board: Board) -> Head:
    return Head(title=job.title, company=job.company_name, url=job.absolute_url)


def _fill(job: Job, draft: PostingDraft, page: Page) -> PostingDraft:
    place = clean_line(job.location.name) if job.location else ""
    offices = [clean_line(office.name) for office in job.offices or ()]
    filled = attrs.evolve(
        draft,
        locations=places(place) or places(*offices),
        remote=Remote.YES if says_remote(place) else Remote.UNKNOWN,
        description=html_to_text(unescape(job.content or "")),
        closes_at=dates.iso(job.application_deadline).at,
        salary=_salary(job.pay_input_ranges or []),
        employment=_values(job, "employment type"),
        department=next((line(entry.name) for entry in job.departments or ()), None),
        language=language_of(job.language),
    )
    moment = dates.first(
        dates.iso(job.first_published), dates.iso(job.updated_at, precision=Precision.UPDATED)
    )
    return dates.posted(filled, moment, page.fetched_at)


def _values(job: Job, label: str) -> tuple[str, ...]:
    """Return what the company's own field of that label says."""
    found = [entry.value for entry in job.metadata or () if clean_line(entry.name).lower() == label]
    flat = [[value] if isinstance(value, str) else value or [] for value in found]
    return lines(*(value for values in flat for value in values))


def _salary(ranges: list[PayRange]) -> Salary | None:
    """Return the ranges of one currency joined, else the first one."""
    if not ranges:
        return None
    alike = [pay for pay in ranges if pay.currency_type == ranges[0].currency_type]
    same = alike if len(alike) == len(ranges) else ranges[:1]
    return stated_salary(
        "",
        minimum=min((pay.min_cents / 100 for pay in same if pay.min_cents), default=None),
        maximum=max((pay.max_cents / 100 for pay in same if pay.max_cents), default=None),
        currency=ranges[0].currency_type,
        interval=Interval.UNKNOWN,
    )


GREENHOUSE = ItemSource(
    name=SourceName("greenhouse"),
    version=2,
    coverage=Coverage.WHOLE,
    terms=Terms(credit="Greenhouse"),
    pace=Pace(per_hour=1200),
    base_url="https://boards-api.greenhouse.io",
    path=lambda slug: f"/v1/boards/{slug}/jobs?content=true",
    listing=_listing,
    item=Job,
    head=_head,
    fill=_fill,
    slug=re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}"),
    slug_help="the board's token: letters, digits, _ and -",
    gone=is_json_object,
    weak=frozenset({"salary"}),
    light=Light(
        path=lambda slug: f"/v1/boards/{slug}/departments",
        listing=_departments,
        weak=CONTENT - {"title", "locations", "remote"},
    ),
    single=Single(
        path=lambda job: f"/v1/boards/{job.slug}/jobs/{job.id}?pay_transparency=true",
        item=json_item("greenhouse"),
        gone=is_json_object,
    ),
)
