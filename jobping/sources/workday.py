"""Workday: one host per tenant, read by POST, 20 postings a page; a list ends at 2,000.

The list says neither date nor text, and places only where there is one; the details say them. Where
a list reaches its end, it is asked for again by the values of the facet that divides it best.
"""

import re

import attrs
import msgspec

from jobping.core.board import Board, Coverage
from jobping.core.ids import SourceName
from jobping.core.page import Page, PageRequest
from jobping.core.places import distinct, place, places
from jobping.core.posting import PostingDraft, Precision, Remote
from jobping.errors import MalformedPage
from jobping.sources import dates
from jobping.sources.decode import decode_tolerant, is_json_object, read_json
from jobping.sources.fields import lines
from jobping.sources.items import Head, ItemSource, Listing
from jobping.sources.reader import Reader, Single, Wanted
from jobping.sources.source import Pace, Terms
from jobping.sources.text import html_to_text

PAGE_SIZE = 20
"""The site's own most; a larger limit answers 400."""
MOST = 2_000
"""No list goes on beyond so many, whatever there is: its offsets begin anew."""
_SEVERAL = re.compile(r"\d{1,3} (?:Locations|Standorte|Emplacements|Ubicaciones|Sedi|Locaties)")
_VOLATILE = re.compile(rb'"postedOn":\s*"(?:[^"\\]|\\.)*",?')
_PATH = re.compile(r"/(?:[a-z]{2}-[A-Z]{2}/)?[\w-]+(/job/[\w.~%/-]+)", re.ASCII)


@attrs.frozen(kw_only=True)
class Posting:
    """One item of `jobPostings`."""

    title: str
    externalPath: str
    locationsText: str | None = None
    postedOn: str | None = None
    bulletFields: list[str] | None = None
    remoteType: str | None = None
    timeType: str | None = None

    @property
    def id(self) -> str:
        """The requisition; without it, the end of the path, which repeats it."""
        named = (self.bulletFields or [""])[0].strip()
        return named or self.externalPath.rpartition("/")[2].rpartition("_")[2]


@attrs.frozen(kw_only=True)
class Named:
    """Something with a name: a country, a company."""

    descriptor: str | None = None
    name: str | None = None


@attrs.frozen(kw_only=True)
class Info:
    """The `jobPostingInfo` of a detail, with the company beside it."""

    title: str
    jobReqId: str
    externalUrl: str
    hiringOrganization: Named | None = None
    location: str | None = None
    additionalLocations: list[str] | None = None
    country: Named | None = None
    remoteType: str | None = None
    timeType: str | None = None
    jobDescription: str | None = None
    startDate: str | None = None
    endDate: str | None = None

    @property
    def id(self) -> str:
        """The id under the name that every item has."""
        return self.jobReqId


@attrs.frozen(kw_only=True)
class Value:
    """One value of a facet."""

    id: str
    count: int


@attrs.frozen(kw_only=True)
class Facet:
    """One way to divide the list."""

    facetParameter: str
    values: list[msgspec.Raw]


@attrs.frozen(kw_only=True)
class Answer:
    """One page; only the first one states the total."""

    jobPostings: list[msgspec.Raw]
    total: int | None = None
    facets: list[msgspec.Raw] | None = None


@attrs.frozen(kw_only=True)
class Asked:
    """The body of a request for a page."""

    limit: int = PAGE_SIZE
    offset: int = 0
    appliedFacets: dict[str, list[str]] = attrs.Factory(dict)
    searchText: str = ""


def _dress(request: PageRequest, _keys: tuple[str, ...]) -> PageRequest:
    """Ask for lists by POST: neither repeated nor made conditional, design/sources.md section 2."""
    if request.posting is not None:
        return request
    return attrs.evolve(
        request,
        method="POST",
        headers=(("Content-Type", "application/json"),),
        body=request.body or msgspec.json.encode(Asked()),
    )


def _listing(page: Page) -> Listing:
    if b'"widget"' in page.body[:200]:
        raise MalformedPage("workday: this is the widget tree of 2021, no list of `jobPostings`")
    answer = read_json(page, Answer, source="workday", expected="an object with `jobPostings`")
    asked = decode_tolerant(page.sent or b"{}", Asked)
    size = len(answer.jobPostings)
    if not asked.offset and not asked.appliedFacets and (answer.total or 0) >= MOST:
        return _divided(page, answer)
    following = attrs.evolve(asked, offset=asked.offset + PAGE_SIZE)
    is_last = size < PAGE_SIZE or following.offset >= MOST
    return Listing(
        items=answer.jobPostings,
        total=answer.total,
        following=None if is_last else _request(page, following),
    )


def _divided(page: Page, answer: Answer) -> Listing:
    """Return the first page of a list that is cut, and the requests for its parts.

    The total is what the parts come to: a walk that finds less is not complete.
    """
    facets = [(name, values) for name, values in map(_values, answer.facets or ()) if values]
    if not facets:
        following = _request(page, Asked(offset=PAGE_SIZE))
        return Listing(items=answer.jobPostings, total=MOST + 1, following=following)
    name, values = min(facets, key=lambda facet: max(value.count for value in facet[1]))
    parts = (Asked(appliedFacets={name: [value.id]}) for value in values if value.count)
    return Listing(
        items=answer.jobPostings,
        total=max(MOST + 1, sum(value.count for value in values)),
        more=tuple(_request(page, part) for part in parts),
    )


def _values(raw: msgspec.Raw) -> tuple[str, list[Value]]:
    """Return the values of a facet; one of groups has none."""
    try:
        facet = decode_tolerant(raw, Facet)
        return facet.facetParameter, [decode_tolerant(value, Value) for value in facet.values]
    except (ValueError, RecursionError):
        return "", []


def _request(page: Page, asked: Asked) -> PageRequest:
    return PageRequest(url=page.url, body=msgspec.json.encode(asked))


def _single(page: Page, _request: PageRequest, _id: str) -> bytes:
    expected = "an object with `jobPostingInfo`"
    raw = read_json(page, dict[str, msgspec.Raw], source="workday", expected=expected)
    try:
        info = msgspec.json.decode(raw["jobPostingInfo"], type=dict[str, msgspec.Raw])
    except (KeyError, ValueError, RecursionError) as error:
        raise MalformedPage(f"workday: expected {expected}") from error
    beside = {key: raw[key] for key in ("hiringOrganization",) if key in raw}
    return msgspec.json.encode({**beside, **info})


def _head(posting: Posting, board: Board) -> Head:
    tenant, number, site = board.slug.split(":")
    place = f"https://{tenant}.{number}.myworkdayjobs.com/{site}"
    return Head(title=posting.title, url=f"{place}{posting.externalPath}")


def _fill(posting: Posting, draft: PostingDraft, page: Page) -> PostingDraft:
    where = posting.locationsText or ""
    filled = attrs.evolve(
        draft,
        locations=() if _SEVERAL.fullmatch(where) else places(where),
        remote=_remote(posting.remoteType),
        employment=lines(posting.timeType),
    )
    return dates.posted(filled, dates.relative(posting.postedOn, page.fetched_at), page.fetched_at)


def _info_head(info: Info, _board: Board) -> Head:
    company = info.hiringOrganization.name if info.hiringOrganization else None
    return Head(title=info.title, company=company, url=info.externalUrl)


def _info_fill(info: Info, draft: PostingDraft, page: Page) -> PostingDraft:
    country = info.country.descriptor if info.country else None
    filled = attrs.evolve(
        draft,
        locations=distinct(
            (*place(info.location, country=country), *places(*(info.additionalLocations or ())))
        ),
        remote=_remote(info.remoteType),
        description=html_to_text(info.jobDescription or ""),
        closes_at=dates.end_of(dates.iso(info.endDate, precision=Precision.DATE)),
        employment=lines(info.timeType),
        tags=("hybrid",) if "hybrid" in (info.remoteType or "").lower() else (),
    )
    moment = dates.iso(info.startDate, precision=Precision.DATE)
    return dates.posted(filled, moment, page.fetched_at)


def _remote(kind: str | None) -> Remote:
    """Read a word such as `Fully Remote`, `Hybrid` or `On-Site`; tenants choose their own."""
    text = (kind or "").lower()
    if "hybrid" in text or "site" in text or "office" in text:
        return Remote.NO
    return Remote.YES if "remote" in text else Remote.UNKNOWN


def _path(slug: str) -> str:
    """Return the place of a board's list; the slug is `TENANT:wdN:SITE`."""
    tenant, _, rest = slug.partition(":")
    return f"/wday/cxs/{tenant}/{rest.partition(':')[2]}"


def _detail(job: Wanted) -> str | None:
    """Return the path of a detail, from that of the posting's page."""
    found = _PATH.fullmatch(job.path or "")
    return f"{_path(job.slug.replace('%3A', ':'))}{found.group(1)}" if found else None


WORKDAY = ItemSource(
    name=SourceName("workday"),
    coverage=Coverage.WHOLE,
    terms=Terms(credit="Workday"),
    pace=Pace(per_hour=18, min_gap_s=3, burst=2, poll_every_s=6 * 3600),
    base_url="https://{slug}.myworkdayjobs.com",
    place=lambda slug: ".".join(slug.split(":")[:2]),
    path=lambda slug: f"{_path(slug)}/jobs",
    dress=_dress,
    listing=_listing,
    item=Posting,
    head=_head,
    fill=_fill,
    slug=re.compile(r"[a-z0-9][a-z0-9_-]{0,59}:wd[0-9]{1,4}:[A-Za-z0-9][A-Za-z0-9_-]{0,59}"),
    slug_help="tenant, number and site, as acme:wd3:Careers for acme.wd3.myworkdayjobs.com/Careers",
    id_key="jobReqId",
    ids_per_board=True,
    page_cap=400,
    stable=lambda raw: _VOLATILE.sub(b"", raw),
    gone=is_json_object,
    weak=frozenset({"description", "locations", "posted_at", "closes_at", "remote", "url"}),
    single=Single(
        path=_detail,
        pages="https://{slug}.myworkdayjobs.com",
        item=_single,
        reader=Reader(item=Info, head=_info_head, fill=_info_fill),
        gone=is_json_object,
    ),
)
