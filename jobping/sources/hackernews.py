"""Hacker News: the newest thread "Who is hiring?", one posting for each comment at its top.

Several roles in one comment stay in its title. Only the first line has parts, `Company | role |
place | type`, in any order after the first; authors are not read.
"""

import datetime as dt
import re

import attrs
import msgspec

from jobping.core.board import Board, Coverage
from jobping.core.ids import SourceName
from jobping.core.page import Page, PageRequest
from jobping.core.places import places, says_remote
from jobping.core.posting import PostingDraft, Remote
from jobping.core.salary import read_salary
from jobping.errors import MalformedPage
from jobping.sources import dates
from jobping.sources.decode import read_json
from jobping.sources.fields import line
from jobping.sources.items import MAX_LINE, Head, ItemSource, Listing
from jobping.sources.source import Pace, Terms
from jobping.sources.text import html_to_text

OPEN_FOR = dt.timedelta(days=60)
"""After the thread's month; our choice."""
_THREAD = re.compile(r"who is hiring\?", re.I)
_PAY = re.compile(r"[€£$]\s?\d|\d\s?k\b|\b(?:USD|EUR|GBP)\b", re.I)
_KIND = re.compile(r"\b(?:full|part)[ -]?time\b|\bintern(?:ship)?s?\b|\bcontract(?:or)?\b", re.I)


@attrs.frozen(kw_only=True)
class Hit:
    """One story of the search."""

    objectID: str
    title: str = ""


@attrs.frozen(kw_only=True)
class Comment:
    """One of `children`; a deleted one has no text."""

    id: int
    text: str
    created_at: str | None = None


@attrs.frozen(kw_only=True)
class Answer:
    """The search's stories, the newest first, or a thread's comments."""

    hits: list[Hit] | None = None
    children: list[msgspec.Raw] | None = None


def _listing(page: Page) -> Listing:
    expected = "an object with `hits` or `children`"
    answer = read_json(page, Answer, source="hackernews", expected=expected)
    if answer.children is not None:
        return Listing(items=answer.children)
    for hit in answer.hits or ():
        if _THREAD.search(hit.title) and re.fullmatch(r"\d{1,12}", hit.objectID, re.ASCII):
            place = page.url.partition("/search_by_date")[0]
            return Listing(items=(), following=PageRequest(url=f"{place}/items/{hit.objectID}"))
    raise MalformedPage(f"hackernews: expected {expected}, found no thread among the stories")


def _first_line(comment: Comment) -> str:
    lines = html_to_text(comment.text.partition("<p>")[0]).splitlines()
    return lines[0][:MAX_LINE] if lines else ""


def _head(comment: Comment, _board: Board) -> Head:
    title = _first_line(comment)
    url = f"https://news.ycombinator.com/item?id={comment.id}"
    return Head(title=title, company=title.partition("|")[0] if "|" in title else None, url=url)


def _fill(comment: Comment, draft: PostingDraft, page: Page) -> PostingDraft:
    parts = [part.strip() for part in _first_line(comment).split("|")[1:]]
    where = [place for part in parts for place in places(part) if place.country or place.region]
    pay = next((part for part in parts if _PAY.search(part)), None)
    moment = dates.iso(comment.created_at)
    filled = attrs.evolve(
        draft,
        locations=tuple(where),
        remote=Remote.YES if says_remote(draft.title) else Remote.UNKNOWN,
        description=html_to_text(comment.text),
        closes_at=_month_end(moment.at) + OPEN_FOR if moment.at else None,
        salary=read_salary(pay),
        employment=tuple(text for part in parts if _KIND.search(part) and (text := line(part))),
        tags=("hybrid",) if "hybrid" in draft.title.lower() else (),
    )
    return dates.posted(filled, moment, page.fetched_at)


def _month_end(at: dt.datetime) -> dt.datetime:
    first = at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + dt.timedelta(days=31)).replace(day=1)


HACKERNEWS = ItemSource(
    name=SourceName("hackernews"),
    coverage=Coverage.NEWEST,
    terms=Terms(credit="Hacker News"),
    pace=Pace(per_hour=40, min_gap_s=2.5, burst=2, poll_every_s=6 * 3600),
    base_url="https://hn.algolia.com",
    path=lambda _slug: "/api/v1/search_by_date?tags=story,author_whoishiring",
    listing=_listing,
    item=Comment,
    head=_head,
    fill=_fill,
    slug=re.compile(r"all"),
    slug_help="the only board is `all`",
    page_cap=2,
)
