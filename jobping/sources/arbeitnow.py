"""Arbeitnow: pages of the newest jobs, mostly in Germany; texts escaped once more than HTML."""

import re
from urllib.parse import parse_qs, urlencode, urlsplit

import attrs
import msgspec

from jobping.core.board import Board, Coverage
from jobping.core.ids import SourceName
from jobping.core.page import Page, PageRequest
from jobping.core.places import places
from jobping.core.posting import PostingDraft, Remote
from jobping.core.text import unescape
from jobping.sources import dates
from jobping.sources.decode import read_json
from jobping.sources.fields import lines, linked
from jobping.sources.items import Head, ItemSource, Listing
from jobping.sources.source import Pace, Terms
from jobping.sources.text import html_to_text


@attrs.frozen(kw_only=True)
class Job:
    """One item of `data`; the slug is the id."""

    slug: str
    title: str
    url: str
    company_name: str | None = None
    description: str | None = None
    remote: bool | None = None
    location: str | None = None
    tags: list[str] | None = None
    job_types: list[str] | None = None
    created_at: int | float | None = None

    @property
    def id(self) -> str:
        """The id under the name that every item has."""
        return self.slug


@attrs.frozen(kw_only=True)
class Links:
    """Where the next page is."""

    next: str | None = None


@attrs.frozen(kw_only=True)
class Answer:
    """One page."""

    data: list[msgspec.Raw]
    links: Links | None = None


def _listing(page: Page) -> Listing:
    answer = read_json(page, Answer, source="arbeitnow", expected="an object with `data`")
    link = answer.links.next if answer.links else None
    return Listing(
        items=answer.data, following=_following(page.url, link) if link and answer.data else None
    )


def _following(url: str, link: str) -> PageRequest | None:
    """Return the request for the page of a link, at the place that was asked.

    Only the number is taken: a link of another host says nothing about where we may ask.
    """
    there = linked(url, link)
    numbers = parse_qs(there.query).get("page", []) if there else []
    if not numbers or not re.fullmatch(r"[0-9]{1,4}", numbers[-1]):
        return None
    return PageRequest(url=urlsplit(url)._replace(query=urlencode({"page": numbers[-1]})).geturl())


def _head(job: Job, _board: Board) -> Head:
    return Head(title=job.title, company=job.company_name, url=job.url)


def _fill(job: Job, draft: PostingDraft, page: Page) -> PostingDraft:
    remote = Remote.YES if job.remote else Remote.NO
    filled = attrs.evolve(
        draft,
        locations=places(job.location),
        remote=Remote.UNKNOWN if job.remote is None else remote,
        description=html_to_text(unescape(job.description or "")),
        employment=lines(*(job.job_types or ())),
        tags=lines(*(job.tags or ())),
    )
    return dates.posted(filled, dates.epoch(job.created_at), page.fetched_at)


ARBEITNOW = ItemSource(
    name=SourceName("arbeitnow"),
    coverage=Coverage.NEWEST,
    terms=Terms(credit="Arbeitnow"),
    pace=Pace(per_hour=40, min_gap_s=2.5, burst=2, poll_every_s=3600),
    base_url="https://www.arbeitnow.com",
    path=lambda _slug: "/api/job-board-api",
    listing=_listing,
    item=Job,
    head=_head,
    fill=_fill,
    slug=re.compile(r"all"),
    slug_help="the only board is `all`",
    id_key="slug",
    page_cap=3,
)
