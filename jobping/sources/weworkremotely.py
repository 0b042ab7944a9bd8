"""We Work Remotely: an RSS feed for each category; the title names the company first."""

import re

import attrs

from jobping.core.board import Board, Coverage
from jobping.core.ids import SourceName
from jobping.core.page import Page
from jobping.core.posting import PostingDraft, Remote
from jobping.core.quota import Quota, Span
from jobping.sources.feed import ACCEPT, read_feed
from jobping.sources.items import Head, ItemSource, Listing
from jobping.sources.jobposting import AD_READER, Ad
from jobping.sources.source import Pace, Terms


def _listing(page: Page) -> Listing:
    return read_feed(page, source="weworkremotely").listing()


def _head(ad: Ad, _board: Board) -> Head:
    company, colon, title = (ad.title or "").partition(": ")
    return Head(title=title if colon else ad.title, company=company if colon else None, url=ad.url)


def _fill(ad: Ad, draft: PostingDraft, page: Page) -> PostingDraft:
    filled = AD_READER.fill(ad, draft, page)
    category, *tags = *filled.tags, None
    return attrs.evolve(
        filled,
        remote=Remote.YES,
        department=filled.department or category,
        tags=tuple(filter(None, tags)),
    )


WEWORKREMOTELY = ItemSource(
    name=SourceName("weworkremotely"),
    coverage=Coverage.NEWEST,
    terms=Terms(credit="We Work Remotely"),
    pace=Pace(
        per_hour=40, min_gap_s=2.5, burst=2, quotas=(Quota(Span.DAY, 24),), poll_every_s=6 * 3600
    ),
    base_url="https://weworkremotely.com",
    path=lambda slug: f"/categories/{slug}.rss",
    accept=ACCEPT,
    listing=_listing,
    item=Ad,
    head=_head,
    fill=_fill,
    slug=re.compile(r"[a-z0-9][a-z0-9-]{0,79}"),
    version=2,
    slug_help="a category as in its address, as remote-programming-jobs",
)
