"""Teamtailor: a JSON Feed per company, each item with its JobPosting; only the newest."""

import re

import attrs

from jobping.core.board import Coverage
from jobping.core.ids import SourceName
from jobping.core.page import Page
from jobping.sources.feed import ACCEPT, HOST, read_feed
from jobping.sources.fields import HOST_LABEL
from jobping.sources.items import ItemSource, Listing
from jobping.sources.jobposting import AD_READER, Ad
from jobping.sources.source import Pace, Terms


def _listing(page: Page) -> Listing:
    feed = read_feed(page, source="teamtailor")
    return attrs.evolve(feed, ads=[ad and _own(ad, feed.title) for ad in feed.ads]).listing()


def _own(ad: Ad, company: str | None) -> Ad:
    """Name an item by the number in its URL; the id of the feed is another one than RSS gives."""
    number = re.search(r"/jobs/([0-9]{1,19})(?![0-9])", ad.url or "")
    return attrs.evolve(ad, id=number.group(1) if number else ad.id, company=ad.company or company)


TEAMTAILOR = ItemSource(
    name=SourceName("teamtailor"),
    coverage=Coverage.NEWEST,
    terms=Terms(credit="Teamtailor"),
    pace=Pace(per_hour=1200),
    base_url="https://{slug}",
    place=lambda slug: slug if "." in slug else f"{slug}.teamtailor.com",
    path=lambda _slug: "/jobs.json",
    accept=ACCEPT,
    listing=_listing,
    item=Ad,
    head=AD_READER.head,
    fill=AD_READER.fill,
    slug=re.compile(rf"{HOST_LABEL.pattern}|{HOST}"),
    slug_help="the company's host name before .teamtailor.com, or its own host as careers.acme.com",
    ids_per_board=True,
    page_cap=5,
)
