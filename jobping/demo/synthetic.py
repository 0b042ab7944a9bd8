"""Boards of invented postings, the same for the same seed and time."""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Final

import attrs
import msgspec

from jobping.core.board import Board
from jobping.core.ids import SourceName
from jobping.demo.answers import Content, Items
from jobping.demo.feeds import ALL
from jobping.demo.jobs import Company, Job, jobs_of
from jobping.demo.pages import pages_of
from jobping.demo.shapes import SHAPES
from jobping.demo.world import Supply

LAG: Final = dt.timedelta(hours=24)
"""The world begins so long ago, that steps can bring newer postings without any in the future."""
STEP: Final = dt.timedelta(hours=3)

_NORTH = ("Berlin", "Hamburg", "Copenhagen", "Stockholm", "Warsaw")
_WEST = ("London", "Dublin", "Amsterdam", "Rotterdam", "Paris", "Manchester")
_SOUTH = ("Madrid", "Barcelona", "Milan", "Lisbon", "Lyon")
_ALPS = ("Munich", "Vienna", "Zurich")

COMPANIES: Final = {
    "greenhouse": (
        Company(name="Northlight Energy", slug="northlight", size=26, cities=_NORTH),
        Company(name="Quayside Bank", slug="quaysidebank", size=18, cities=_WEST),
        Company(name="Fernhill Robotics", slug="fernhill", size=9, cities=_ALPS),
    ),
    "lever": (
        Company(name="Papertrail Studio", slug="papertrail-studio", size=22, cities=_WEST),
        Company(name="Solstice Travel", slug="solstice", size=14, cities=_SOUTH),
    ),
    "ashby": (
        Company(name="Tidewater Analytics", slug="tidewater", size=24, cities=_NORTH + _WEST),
        Company(name="Lumen & Oak", slug="Lumen Oak", size=12, cities=_ALPS, remote_share=0.6),
        Company(name="Stillwater", slug="still.water", size=0, cities=_ALPS),
    ),
    "recruitee": (
        Company(name="Kestrel Logistics", slug="kestrel", size=16, cities=_WEST),
        Company(name="Atelier Brume", slug="atelierbrume", size=8, cities=_SOUTH),
    ),
    "smartrecruiters": (
        Company(name="Meridian Retail", slug="MeridianRetail", size=104, cities=_NORTH + _SOUTH),
        Company(name="Harbour Health", slug="HarbourHealth", size=11, cities=_WEST),
    ),
    "personio": (
        Company(name="Bergwerk Software GmbH", slug="bergwerk", size=19, cities=_ALPS + _NORTH),
        Company(name="Kräuterhaus AG", slug="kraeuterhaus", size=7, cities=_ALPS),
    ),
}
"""The companies with a board of their own."""
GUEST: Final = Company(
    name="Wanderlight Labs", slug="wanderlight", size=16, cities=_WEST + _ALPS, remote_share=1.0
)
"""A company that is found at the job boards only."""
FEEDS: Final = {"remoteok": 16, "jobicy": 18, "remotive": 12, "arbeitnow": 40}
"""Postings that each job board lists, its own and some of the companies' boards."""
JOBICY_BOARDS: Final = ("industry:engineering", "geo:germany")
UNTITLED: Final = "fernhill"
"""The company whose last posting lacks its title and is rejected."""
REPEATING: Final = "bergwerk"
"""The company whose first posting is listed twice."""


@attrs.frozen(kw_only=True)
class Synthetic:
    """A supplier of invented postings.

    Attributes:
        now: When the world is opened, aware UTC.
    """

    seed: int
    now: dt.datetime

    def supply(self, step: int) -> Supply:
        """Return the boards after so many steps of some hours each, never later than now."""
        start = self.now.replace(minute=0, second=0, microsecond=0) - LAG
        as_of = min(start + step * STEP, self.now)
        own = {
            source: tuple((company, self._jobs(company, as_of, step)) for company in companies)
            for source, companies in COMPANIES.items()
        }
        boards = [
            (Board(source=SourceName(source), slug=company.slug, company=company.name),
             _own_content(SourceName(source), company, jobs))
            for source, offers in own.items()
            for company, jobs in offers
        ]  # fmt: skip
        offered = [job for offers in own.values() for _, jobs in offers for job in jobs]
        guests = self._jobs(GUEST, as_of, step)
        pages = [
            page
            for source, offers in own.items()
            for company, jobs in offers
            for page in pages_of(SourceName(source), company, jobs)
        ]
        return Supply(boards=(*boards, *_feeds(offered, guests)), extras=tuple(pages), as_of=as_of)

    def _jobs(self, company: Company, as_of: dt.datetime, step: int) -> tuple[Job, ...]:
        return jobs_of(company, self.seed, as_of, step)


def _own_content(source: SourceName, company: Company, jobs: Sequence[Job]) -> Content:
    items = [SHAPES[source](job) for job in jobs]
    if company.slug == UNTITLED:
        items[-1] = _untitled(items[-1])
    if company.slug == REPEATING:
        items.append(items[0])
    return Items(tuple(items))


def _untitled(item: bytes) -> bytes:
    fields = msgspec.json.decode(item, type=dict[str, msgspec.Raw])
    return msgspec.json.encode({key: fields[key] for key in fields if key != "title"})


def _feeds(offered: Sequence[Job], guests: Sequence[Job]) -> Iterable[tuple[Board, Content]]:
    """Return the boards of the job boards: every posting of the guest, and some of the others."""
    remote = [job for job in offered if job.is_remote]
    pools = {"arbeitnow": [job for job in offered if job.city.country == "Germany"]}
    for turn, (name, size) in enumerate(FEEDS.items()):
        pool = pools.get(name, remote)
        listed = _newest([*guests[turn :: len(FEEDS)], *pool[turn::2]])[:size]
        source = SourceName(name)
        yield _feed(source, ALL, listed)
        if name == "jobicy":
            for slug in JOBICY_BOARDS:
                yield _feed(source, slug, [job for job in (*guests, *remote) if _is_of(job, slug)])


def _feed(source: SourceName, slug: str, jobs: Iterable[Job]) -> tuple[Board, Content]:
    return Board(source=source, slug=slug), Items(tuple(SHAPES[source](job) for job in jobs))


def _is_of(job: Job, slug: str) -> bool:
    return slug.partition(":")[2] in (job.role.department.lower(), job.city.country.lower())


def _newest(jobs: Iterable[Job]) -> list[Job]:
    return sorted(jobs, key=lambda job: (job.posted_at, job.number), reverse=True)
