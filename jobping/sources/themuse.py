"""The Muse: pages of a query over its own places, levels and categories; a key is optional."""

from urllib.parse import quote, urlencode

import attrs
import msgspec

from jobping.core.board import Board, Coverage
from jobping.core.ids import SourceName
from jobping.core.page import Page, PageRequest
from jobping.core.places import places
from jobping.core.posting import PostingDraft, Remote
from jobping.core.quota import Quota, Span
from jobping.sources import dates
from jobping.sources.decode import read_json
from jobping.sources.fields import lines, number_in, query_of, query_slug, with_query
from jobping.sources.items import Head, ItemSource, Listing
from jobping.sources.source import Pace, Terms
from jobping.sources.text import html_to_text

ANYWHERE = "Flexible / Remote"


@attrs.frozen(kw_only=True)
class Named:
    """A value of one of its lists."""

    name: str | None = None


@attrs.frozen(kw_only=True)
class Links:
    """Where the posting is."""

    landing_page: str | None = None


@attrs.frozen(kw_only=True)
class Job:
    """One item of `results`."""

    id: int | str
    name: str
    refs: Links
    company: Named | None = None
    locations: list[Named] | None = None
    levels: list[Named] | None = None
    categories: list[Named] | None = None
    tags: list[Named] | None = None
    contents: str | None = None
    publication_date: str | None = None


@attrs.frozen(kw_only=True)
class Answer:
    """One page; `page` is counted from 0 in some reports and from 1 in others."""

    results: list[msgspec.Raw]
    page: int | None = None
    page_count: int | None = None


def _listing(page: Page) -> Listing:
    answer = read_json(page, Answer, source="themuse", expected="an object with `results`")
    here = number_in(page.url, "page", 0) if answer.page is None else answer.page
    is_last = not answer.results or here + 1 >= (answer.page_count or 0)
    following = None if is_last else PageRequest(url=with_query(page.url, page=here + 1))
    return Listing(items=answer.results, following=following)


def _head(job: Job, _board: Board) -> Head:
    company = job.company.name if job.company else None
    return Head(title=job.name, company=company, url=job.refs.landing_page)


def _fill(job: Job, draft: PostingDraft, page: Page) -> PostingDraft:
    where = _names(job.locations)
    filled = attrs.evolve(
        draft,
        locations=places(*(name for name in where if name != ANYWHERE)),
        remote=Remote.YES if ANYWHERE in where else Remote.UNKNOWN,
        description=html_to_text(job.contents or ""),
        department=", ".join(_names(job.categories)) or None,
        level=", ".join(_names(job.levels)) or None,
        tags=_names(job.tags),
    )
    return dates.posted(filled, dates.iso(job.publication_date), page.fetched_at)


def _names(values: list[Named] | None) -> tuple[str, ...]:
    return lines(*(value.name for value in values or ()))


def _path(slug: str) -> str:
    return f"/api/public/jobs?{urlencode([('page', '0'), *query_of(slug)], quote_via=quote)}"


def _dress(request: PageRequest, keys: tuple[str, ...]) -> PageRequest:
    """Add the key, which raises the limits."""
    return attrs.evolve(request, url=with_query(request.url, api_key=keys[0])) if keys else request


THEMUSE = ItemSource(
    name=SourceName("themuse"),
    coverage=Coverage.QUERY,
    terms=Terms(credit="The Muse", note="a key is optional"),
    pace=Pace(
        per_hour=400, min_gap_s=8, quotas=(Quota(Span.MONTH, 10_000),), poll_every_s=12 * 3600
    ),
    base_url="https://www.themuse.com",
    path=_path,
    dress=_dress,
    credentials=("JOBPING_THEMUSE_KEY",),
    is_key_optional=True,
    listing=_listing,
    item=Job,
    head=_head,
    fill=_fill,
    slug=query_slug("location", "level", "category", "company"),
    slug_help="`all`, or as location:Berlin, Germany;level:Entry Level, in the words of The Muse",
    page_cap=3,
)
