"""BambooHR: one host per company; its list has neither text nor date, they stand in the details."""

from urllib.parse import quote

import attrs
import msgspec

from jobping.core.board import Board, Coverage
from jobping.core.ids import Domain, SourceName
from jobping.core.page import Page, PageRequest
from jobping.core.places import place
from jobping.core.posting import PostingDraft, Precision, Remote
from jobping.core.salary import read_salary
from jobping.sources import dates
from jobping.sources.decode import is_json_object, read_json
from jobping.sources.fields import HOST_LABEL, HOST_LABEL_HELP, line, lines
from jobping.sources.items import Head, ItemSource, Listing
from jobping.sources.reader import Single
from jobping.sources.source import Pace, Terms
from jobping.sources.text import html_to_text

HYBRID = "2"
_REMOTE = {"0": Remote.NO, "1": Remote.YES, HYBRID: Remote.NO}
"""What `locationType` means (unverified; 2 was seen on a job in a city)."""


@attrs.frozen(kw_only=True)
class Place:
    """Where; `atsLocation` has the country too, mostly all null."""

    city: str | None = None
    state: str | None = None
    province: str | None = None
    country: str | None = None
    addressCountry: str | None = None


@attrs.frozen(kw_only=True)
class Job:
    """One item of `result`, or the `jobOpening` of a detail."""

    id: int | str
    jobOpeningName: str
    departmentLabel: str | None = None
    employmentStatusLabel: str | None = None
    location: Place | None = None
    atsLocation: Place | None = None
    isRemote: bool | None = None
    locationType: int | str | None = None
    description: str | None = None
    datePosted: str | None = None
    compensation: str | None = None
    minimumExperience: str | None = None


@attrs.frozen(kw_only=True)
class Meta:
    """What stands beside the list."""

    totalCount: int | None = None


@attrs.frozen(kw_only=True)
class Answer:
    """The answer of `/careers/list`."""

    result: list[msgspec.Raw]
    meta: Meta | None = None


@attrs.frozen(kw_only=True)
class Opening:
    """What a detail holds."""

    jobOpening: dict[str, msgspec.Raw]


@attrs.frozen(kw_only=True)
class Detail:
    """The answer of `/careers/{id}/detail`."""

    result: Opening


def _listing(page: Page) -> Listing:
    answer = read_json(page, Answer, source="bamboohr", expected="an object with `result`")
    return Listing(items=answer.result, total=answer.meta.totalCount if answer.meta else None)


def _single(page: Page, _request: PageRequest, id: str) -> bytes:
    """Return the opening under the id that was asked for; the answer does not repeat it."""
    detail = read_json(page, Detail, source="bamboohr", expected="an object with `jobOpening`")
    named = {"id": msgspec.Raw(msgspec.json.encode(id)), **detail.result.jobOpening}
    return msgspec.json.encode(named)


def _head(job: Job, board: Board) -> Head:
    url = f"https://{board.slug}.bamboohr.com/careers/{quote(str(job.id), safe='')}"
    return Head(title=job.jobOpeningName, url=url)


def _fill(job: Job, draft: PostingDraft, page: Page) -> PostingDraft:
    where, other = job.location or Place(), job.atsLocation or Place()
    kind = str(job.locationType)
    flagged = Remote.YES if job.isRemote else Remote.NO
    filled = attrs.evolve(
        draft,
        locations=place(
            None,
            city=where.city or other.city,
            region=where.state or other.state or other.province,
            country=where.addressCountry or where.country or other.country,
        ),
        remote=_REMOTE.get(kind, Remote.UNKNOWN) if job.isRemote is None else flagged,
        description=html_to_text(job.description or ""),
        salary=read_salary(job.compensation),
        employment=lines(job.employmentStatusLabel),
        department=line(job.departmentLabel),
        level=line(job.minimumExperience),
        tags=("hybrid",) if kind == HYBRID else (),
    )
    moment = dates.iso(job.datePosted, precision=Precision.DATE)
    return dates.posted(filled, moment, page.fetched_at)


BAMBOOHR = ItemSource(
    name=SourceName("bamboohr"),
    coverage=Coverage.WHOLE,
    terms=Terms(credit="BambooHR"),
    pace=Pace(per_hour=1200),
    base_url="https://{slug}.bamboohr.com",
    path=lambda _slug: "/careers/list",
    listing=_listing,
    item=Job,
    head=_head,
    fill=_fill,
    slug=HOST_LABEL,
    slug_help=HOST_LABEL_HELP.format(".bamboohr.com"),
    ids_per_board=True,
    gone=is_json_object,
    away=frozenset({Domain("www.bamboohr.com")}),
    weak=frozenset({"description", "posted_at", "salary", "level"}),
    single=Single(path=lambda job: f"/careers/{job.id}/detail", item=_single, gone=is_json_object),
)
