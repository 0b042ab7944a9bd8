"""Workable: the widget's list, in which a posting stands once for each of its places.

Else the first page of the list by POST, whose further ones are not asked for because how they are
named is not known, and the postings one by one.
"""

import re
from collections.abc import Iterable
from urllib.parse import quote

import attrs
import msgspec

from jobping.core.board import Board, Coverage
from jobping.core.ids import SourceName
from jobping.core.page import Page, PageRequest
from jobping.core.places import distinct, place
from jobping.core.posting import CONTENT, Location, PostingDraft, Precision, Remote
from jobping.sources import dates
from jobping.sources.decode import is_plain_not_found, read_json
from jobping.sources.fields import lines
from jobping.sources.items import Head, ItemSource, Listing
from jobping.sources.reader import Light, Single, json_item
from jobping.sources.source import Pace, Terms
from jobping.sources.text import html_to_text


@attrs.frozen(kw_only=True)
class Place:
    """One of `locations`."""

    country: str | None = None
    countryCode: str | None = None
    city: str | None = None
    region: str | None = None


@attrs.frozen(kw_only=True)
class Job:
    """One item of `jobs`, or a detail, where some keys have other names."""

    shortcode: str
    title: str
    company: str | None = None
    telecommuting: bool | None = None
    remote: bool | None = None
    workplace: str | None = None
    department: str | list[str] | None = None
    employment_type: str | None = None
    type: str | None = None
    published_on: str | None = None
    published: str | None = None
    created_at: str | None = None
    country: str | None = None
    city: str | None = None
    state: str | None = None
    location: Place | None = None
    locations: list[Place] | None = None
    description: str | None = None
    requirements: str | None = None
    benefits: str | None = None

    @property
    def id(self) -> str:
        """The id under the name that every item has."""
        return self.shortcode


@attrs.frozen(kw_only=True)
class Answer:
    """The answer of the widget."""

    jobs: list[msgspec.Raw]
    name: str | None = None


def _listing(page: Page) -> Listing:
    answer = read_json(page, Answer, source="workable", expected="an object with `jobs`")
    jobs = _merged(answer.jobs, answer.name)
    return Listing(items=jobs, merged=len(answer.jobs) - len(jobs))


@attrs.frozen(kw_only=True)
class Results:
    """The answer of the list by POST."""

    results: list[msgspec.Raw]


def _results(page: Page) -> Listing:
    answer = read_json(page, Results, source="workable", expected="an object with `results`")
    return Listing(items=answer.results)


def _dress(request: PageRequest, _keys: tuple[str, ...]) -> PageRequest:
    """Ask for the list of the individual route by POST, for everything it has."""
    if request.posting is not None or "/api/v3/" not in request.url:
        return request
    headers = (("Content-Type", "application/json"),)
    return attrs.evolve(request, method="POST", headers=headers, body=b"{}")


def _merged(raws: Iterable[msgspec.Raw], company: str | None) -> list[bytes]:
    """Join items of one shortcode: the first one, with the places of all and the company."""
    kept: list[bytes | dict[str, object]] = []
    by_id: dict[object, dict[str, object]] = {}
    for raw in raws:
        try:
            job = msgspec.json.decode(raw, type=dict[str, object])
        except (ValueError, RecursionError):
            kept.append(bytes(raw))  # left to be rejected
            continue
        code, places = str(job.get("shortcode")), job.get("locations")
        first = by_id.get(code) if "shortcode" in job else None
        if first is not None and isinstance(first["locations"], list):
            first["locations"] += places if isinstance(places, list) else []
            continue
        first = {**job, "company": company}
        kept.append(first)
        if "shortcode" in job and isinstance(places, list):
            by_id[code] = first
    return [one if isinstance(one, bytes) else msgspec.json.encode(one) for one in kept]


def _head(job: Job, _board: Board) -> Head:
    url = f"https://apply.workable.com/j/{quote(job.shortcode, safe='')}"
    return Head(title=job.title, company=job.company, url=url)


def _fill(job: Job, draft: PostingDraft, page: Page) -> PostingDraft:
    sections = (job.description, job.requirements, job.benefits)
    departments = [job.department] if isinstance(job.department, str) else job.department
    is_hybrid = (job.workplace or "").lower() == "hybrid"
    filled = attrs.evolve(
        draft,
        locations=_places(job),
        remote=_remote(job, is_hybrid=is_hybrid),
        description=html_to_text("".join(f"<section>{part or ''}</section>" for part in sections)),
        employment=lines(job.employment_type, job.type),
        department=", ".join(lines(*(departments or ()))) or None,
        tags=("hybrid",) if is_hybrid else (),
    )
    moment = dates.first(
        *(
            dates.iso(text, precision=Precision.DATE)
            for text in (job.published_on, job.published, job.created_at)
        )
    )
    return dates.posted(filled, moment, page.fetched_at)


def _places(job: Job) -> tuple[Location, ...]:
    """Return all places; an item without a list has one in its own keys."""
    own = Place(country=job.country, city=job.city, region=job.state)
    stated = job.locations or ([job.location] if job.location else [own])
    return distinct(
        found
        for entry in stated
        for found in place(
            ", ".join(lines(entry.city, entry.region, entry.country)),
            city=entry.city,
            region=entry.region,
            country=entry.countryCode or entry.country,
        )
    )


def _remote(job: Job, *, is_hybrid: bool) -> Remote:
    """Join flag and word; where neither is sent it stays unknown."""
    flag = job.remote if job.telecommuting is None else job.telecommuting
    if flag and not is_hybrid:
        return Remote.YES
    return Remote.UNKNOWN if flag is None and not job.workplace else Remote.NO


WORKABLE = ItemSource(
    name=SourceName("workable"),
    coverage=Coverage.WHOLE,
    terms=Terms(credit="Workable", note="its 429 asks for almost a day"),
    pace=Pace(per_hour=1200),
    base_url="https://apply.workable.com",
    path=lambda slug: f"/api/v1/widget/accounts/{slug}?details=true",
    listing=_listing,
    item=Job,
    head=_head,
    fill=_fill,
    slug=re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,98}[A-Za-z0-9])?"),
    slug_help="the account as in apply.workable.com/NAME: letters, digits and -",
    id_key="shortcode",
    gone=is_plain_not_found,
    dress=_dress,
    light=Light(path=lambda slug: f"/api/v3/accounts/{slug}/jobs", listing=_results, weak=CONTENT),
    single=Single(
        path=lambda job: f"/api/v1/accounts/{job.slug}/jobs/{job.id}",
        item=json_item("workable"),
        gone=is_plain_not_found,
    ),
)
