"""Careers sites: of the pages that sitemaps name, what is asked for, stored and closed."""

import datetime as dt
import json
from collections.abc import AsyncIterator

import attrs
import pytest
import trio

from jobping.actors.details import Details
from jobping.actors.poll import Idle, Poll
from jobping.actors.site_rules import SiteRules
from jobping.core.board import Board, Route, StoredBoard
from jobping.core.ids import ExternalId, SourceName
from jobping.core.walk import Complete, WalkEnd
from jobping.sources.site import SITE
from jobping.sources.source import Source
from tests.actors.rig import Rig
from tests.doubles.cluster_keeper import execute
from tests.doubles.fault_server import Behaviour, FaultServer, open_fault_server, respond

SLUG = "careers.example.com"


def day(ago: int) -> str:
    return (dt.datetime.now(dt.UTC) - dt.timedelta(days=ago)).date().isoformat()


def page(markup: str = "", *, status: int = 200, tag: str = "") -> Behaviour:
    headers = (("Content-Type", "text/html"), *((("X-Robots-Tag", tag),) if tag else ()))
    return respond(markup.encode(), status=status, headers=headers)


def ad(title: str, **fields: str) -> Behaviour:
    data = {"@type": "JobPosting", "title": title, "description": "Count.", **fields}
    return page(f'<script type="application/ld+json">{json.dumps(data)}</script>')


@attrs.define(kw_only=True)
class Site:
    """A careers site, polled over and over as the scraper does."""

    rig: Rig
    server: FaultServer
    source: Source
    row: StoredBoard
    forbidden: str = "/never"
    changed: dict[str, str] = attrs.field(factory=dict)
    passed: dict[ExternalId, bytes] = attrs.field(factory=dict)
    last: Poll | None = None

    def show(self, **pages: Behaviour) -> None:
        """Add pages to the site and its sitemap."""
        self.changed |= dict.fromkeys(pages, day(5))
        self.server.behaviours |= {f"/jobs/{name}": answer for name, answer in pages.items()}

    def _publish(self) -> None:
        text, xml = (("Content-Type", "text/plain"),), (("Content-Type", "text/xml"),)
        robots = f"User-agent: *\nDisallow: {self.forbidden}\nSitemap: /map.xml"
        place = self.server.url("").rstrip("/")
        urls = "".join(
            f"<url><loc>{place}/jobs/{name}</loc><lastmod>{at}</lastmod></url>"
            for name, at in self.changed.items()
        )
        self.server.behaviours["/robots.txt"] = respond(robots.encode(), headers=text)
        listed = f"<urlset>{urls}</urlset>".encode()
        self.server.behaviours["/map.xml"] = respond(listed, headers=xml)

    async def poll(
        self, most: int = 10, *, route: Route = Route.RELIABLE
    ) -> tuple[WalkEnd | Idle, list[str]]:
        """Return how the walk ended, and which pages of postings were asked for."""
        self._publish()
        self.server.requests.clear()
        gate = await self.rig.loaded_gate(self.row.domain)
        postings, boards = self.rig.stores.postings, self.rig.stores.boards
        known = await postings.least_seen(self.row.id, limit=most)
        async with self.rig.open_ingest() as ingest:
            self.last = poll = Poll(
                row=self.row,
                source=self.source,
                gate=gate,
                rules=SiteRules(gate=gate, clock=self.rig.clock, emit=gate.emit),
                route=route,
                known=known if route is Route.INDIVIDUAL else (),
                postings=postings,
                ingest=ingest.ref,
                news_after=None,
                details=Details(profiles=self.rig.stores.profiles, clock=self.rig.clock),
                details_left=most,
                passed=self.passed,
            )
            with trio.fail_after(10):
                end = await poll.run()
        await boards.close_gone(self.row.id, poll.gone)
        asked = [request.path for request in self.server.requests]
        return end, [path.removeprefix("/jobs/") for path in asked if path.startswith("/jobs/")]

    async def titles(self) -> list[str]:
        """Return the titles of the open postings."""
        found = await self.rig.stores.postings.newest_of_each(limit=99)
        return sorted(posting.draft.title for posting in found)


@pytest.fixture
async def site(rig: Rig) -> AsyncIterator[Site]:
    async with open_fault_server({}) as server:
        source = attrs.evolve(SITE, base_url=server.url("").rstrip("/"))
        board = Board(source=SourceName("site"), slug=SLUG)
        row = await rig.stores.boards.add(board, source.domain(board))
        yield Site(rig=rig, server=server, source=source, row=row)


async def test_only_new_and_changed_pages_are_asked_for(site: Site) -> None:
    site.show(a=ad("Analyst"), b=ad("Buyer"), c=page("<h1>About jobs</h1>"))
    end, asked = await site.poll()
    assert (end, sorted(asked)) == (Complete(), ["a", "b", "c"])
    assert await site.titles() == ["Analyst", "Buyer"]
    assert await site.poll() == (Complete(), [])
    site.changed["b"] = day(4)
    site.show(d=ad("Driver"))
    site.server.behaviours["/jobs/b"] = ad("Senior Buyer")
    assert await site.poll() == (Complete(), ["b", "d"])
    assert await site.titles() == ["Analyst", "Driver", "Senior Buyer"]


async def test_pages_beyond_the_budget_wait_for_the_next_poll_and_are_not_stored(
    site: Site,
) -> None:
    site.show(**{name: ad(f"Job {name}") for name in "abcde"})
    for stored in (2, 4, 5, 5):
        await site.poll(most=2)
        assert len(await site.titles()) == stored


async def test_a_page_that_robots_forbids_is_passed_over_and_the_walk_goes_on(site: Site) -> None:
    site.forbidden = "/jobs/a"
    site.show(a=ad("Analyst"), b=ad("Buyer"))
    assert await site.poll() == (Complete(), ["b"])
    assert await site.titles() == ["Buyer"]


async def test_a_known_page_that_robots_forbids_now_does_not_end_the_individual_route(
    site: Site,
) -> None:
    site.show(a=ad("Analyst"), b=ad("Buyer"))
    await site.poll()
    site.forbidden = "/jobs/a"
    assert await site.poll(route=Route.INDIVIDUAL) == (Complete(), ["b"])
    assert await site.titles() == ["Analyst", "Buyer"]


@pytest.mark.parametrize(
    "answer",
    [
        page(status=404),
        page(status=410),
        page("<h1>All jobs</h1>"),
        page("<meta name='robots' content='noindex, follow'>" + "x" * 9),
        page("<p>x</p>", tag="noindex"),
        ad("Analyst", validThrough="2020-01-01"),
    ],
)
async def test_a_posting_is_closed_when_its_page_says_that_it_is_gone(
    site: Site, answer: Behaviour
) -> None:
    site.show(a=ad("Analyst"), b=ad("Buyer"), c=ad("Cook"))
    await site.poll()
    site.changed["a"] = day(4)
    site.server.behaviours["/jobs/a"] = answer
    await site.poll()
    assert site.last is not None
    assert site.last.tally.gone == 1
    assert await site.titles() == ["Buyer", "Cook"]
    assert await site.poll() == (Complete(), [])
    site.changed["a"] = day(3)
    site.server.behaviours["/jobs/a"] = ad("Analyst")
    await site.poll()
    assert await site.titles() == ["Analyst", "Buyer", "Cook"]


async def test_a_posting_that_no_sitemap_names_is_closed_when_its_page_is_gone(
    site: Site,
) -> None:
    site.show(a=ad("Analyst"), b=ad("Buyer"), c=ad("Cook"))
    await site.poll()
    del site.changed["a"], site.changed["b"]
    site.server.behaviours["/jobs/a"] = page(status=404)
    end, asked = await site.poll()
    assert (end, sorted(asked)) == (Complete(), ["a", "b"])
    assert await site.titles() == ["Buyer", "Cook"]


async def test_most_of_a_site_gone_at_once_is_believed_a_day_later(site: Site) -> None:
    site.show(a=ad("Analyst"), b=ad("Buyer"), c=ad("Cook"))
    await site.poll()
    site.changed |= dict.fromkeys("abc", day(4))
    site.server.behaviours |= {f"/jobs/{name}": page("<h1>New look</h1>") for name in "abc"}
    await site.poll()
    assert len(await site.titles()) == 3
    earlier = "UPDATE posting_seen SET absent_since = absent_since - interval '25 hours'"
    await site.rig.faulty.run(execute, earlier)
    _, asked = await site.poll()
    assert sorted(asked) == ["a", "b", "c"]
    assert await site.titles() == []


@pytest.mark.parametrize("answer", [page(status=500), page(status=403), page("JobPosting {")])
async def test_a_broken_page_closes_nothing(site: Site, answer: Behaviour) -> None:
    site.show(a=ad("Analyst"), b=ad("Buyer"), c=ad("Cook"))
    await site.poll()
    site.changed["a"] = day(4)
    site.server.behaviours["/jobs/a"] = answer
    await site.poll()
    assert await site.titles() == ["Analyst", "Buyer", "Cook"]


async def test_a_posting_past_its_end_is_closed_without_asking(site: Site) -> None:
    site.show(a=ad("Analyst", validThrough="2090-01-01"), b=ad("Buyer"), c=ad("Cook"))
    await site.poll()
    past = "UPDATE posting SET closes_at = now() WHERE title = 'Analyst'"
    await site.rig.faulty.run(execute, past)
    assert await site.poll() == (Complete(), [])
    assert await site.titles() == ["Buyer", "Cook"]
