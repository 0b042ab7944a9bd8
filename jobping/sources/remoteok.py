"""Remote OK: one list of the newest, with our own address in every text and broken characters."""

import re
from decimal import Decimal

import attrs
import msgspec

from jobping.core.board import Board, Coverage
from jobping.core.ids import SourceName
from jobping.core.page import Page
from jobping.core.places import places
from jobping.core.posting import Interval, PostingDraft, Remote, SalaryOrigin
from jobping.core.quota import Quota, Span
from jobping.core.salary import stated_salary
from jobping.core.text import repair_mojibake
from jobping.sources import dates
from jobping.sources.decode import read_json
from jobping.sources.fields import lines
from jobping.sources.items import Head, ItemSource, Listing
from jobping.sources.source import Pace, Terms
from jobping.sources.text import html_to_text

_TAG_LINE = re.compile(
    r"\s*(?:<br\s*/?>\s*)*(?:Please mention the word \*\*.*|Please mention the(?: wo?r?d?)?\W*)\Z",
    re.S,
)
_RAW_TAG_LINE = re.compile(rb'Please mention the word \*\*(?:[^"\\]|\\.)*')


@attrs.frozen(kw_only=True)
class Job:
    """One item after the legal notice."""

    id: int | str
    position: str
    url: str
    slug: str | None = None
    company: str | None = None
    location: str | None = None
    description: str | None = None
    epoch: int | float | None = None
    date: str | None = None
    salary_min: Decimal | None = None
    salary_max: Decimal | None = None
    tags: list[str] | None = None


@attrs.frozen(kw_only=True)
class Notice:
    """The first item: terms, no job."""

    legal: str


def _listing(page: Page) -> Listing:
    expected = "an array of a legal notice and jobs"
    raws = read_json(page, list[msgspec.Raw], source="remoteok", expected=expected)
    return Listing(items=raws[1:] if raws and _is_notice(raws[0]) else raws)


def _is_notice(raw: msgspec.Raw) -> bool:
    try:
        msgspec.json.decode(raw, type=Notice)
    except (ValueError, RecursionError):
        return False
    return True


def _head(job: Job, _board: Board) -> Head:
    """Name a job by its position; the rare one without goes by the name in its own URL."""
    title, company = repair_mojibake(job.position), repair_mojibake(job.company or "")
    return Head(title=title.strip() or job.slug or "", company=company, url=job.url)


def _fill(job: Job, draft: PostingDraft, page: Page) -> PostingDraft:
    filled = attrs.evolve(
        draft,
        locations=places(repair_mojibake(job.location or "")),
        remote=Remote.YES,
        description=without_tag_line(html_to_text(repair_mojibake(job.description or ""))),
        salary=stated_salary(
            "",
            minimum=job.salary_min,
            maximum=job.salary_max,
            currency="USD",
            interval=Interval.YEAR,
            origin=SalaryOrigin.INFERRED,
        ),
        tags=lines(*map(repair_mojibake, job.tags or ())),
    )
    moment = dates.first(dates.epoch(job.epoch), dates.iso(job.date))
    return dates.posted(filled, moment, page.fetched_at)


def without_tag_line(text: str) -> str:
    """Remove the paragraph that carries the caller's address, also where it is cut."""
    at = text.find("Please mention the")
    if at < 0:
        return text
    start = max(at - 100, 0)  # with the blanks before it
    return text[:start] + _TAG_LINE.sub("", text[start:])


def _stable(raw: bytes) -> bytes:
    return _RAW_TAG_LINE.sub(b"", raw)


REMOTEOK = ItemSource(
    name=SourceName("remoteok"),
    coverage=Coverage.NEWEST,
    terms=Terms(
        credit="Remote OK",
        polls_a_day=24,
        note="link back with a followed link, its logo only with permission",
    ),
    pace=Pace(per_hour=60, min_gap_s=1, burst=5, quotas=(Quota(Span.DAY, 24),), poll_every_s=3600),
    base_url="https://remoteok.com",
    path=lambda _slug: "/api",
    listing=_listing,
    item=Job,
    head=_head,
    fill=_fill,
    slug=re.compile(r"all"),
    slug_help="the only board is `all`",
    stable=_stable,
)
