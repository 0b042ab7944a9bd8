import datetime as dt
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from trio.testing import MockClock

from jobping.actors.domain_ladder import DomainLadder
from jobping.actors.messages import BoardPolled, DomainView, ReadDomain
from jobping.actors.scraper import BoardsOf
from jobping.core.board import StoredBoard
from jobping.core.gate_state import GateRules
from jobping.core.ids import Domain
from jobping.core.ladder import LadderRules, Tier
from jobping.core.limiter import LimiterRules
from jobping.core.page import Page, PageRequest
from jobping.core.robots import Use
from jobping.errors import DomainUnavailable, StoreUnavailable, Unavailable
from jobping.sources.feed import FEED
from jobping.sources.greenhouse import GREENHOUSE
from jobping.sources.lever import LEVER
from jobping.sources.smartrecruiters import SMARTRECRUITERS
from jobping.sources.source import Source, with_base_url
from jobping.store.boards import Kept
from supervisors import ChildExited, ExitKind, Mailbox, Supervisor
from supervisors.testing import EventLog, ScriptedActor
from tests.actors.rig import (
    DAY_S,
    FAST,
    Rig,
    StayDown,
    by_target,
    eventually,
    greenhouse,
    listener,
    open_tree,
    smart,
)
from tests.doubles.fault_server import (
    After,
    Behaviour,
    FaultServer,
    Received,
    delay,
    hang,
    in_turn,
    open_fault_server,
    redirect,
    respond,
)

QUICK = LadderRules(up=2, cooldown_s=0.05)
DOWN_AT_ONCE = LadderRules(down=1, up=2, cooldown_s=0.05)


@attrs.define(kw_only=True)
class Scraping:
    """A running domain actor.

    Attributes:
        polled: What it told the cycle.
        ends: How it ended, if it did by itself.
    """

    supervisor: Supervisor
    polled: list[BoardPolled]
    ends: list[tuple[ExitKind, Exception | None]]
    box: Mailbox[ReadDomain]
    log: EventLog

    async def wait_polled(self, count: int) -> None:
        await eventually(lambda: len(self.polled) >= count)

    async def view(self) -> DomainView:
        return await self.box.ref.ask(ReadDomain(), within=2.0)

    async def stop(self) -> ChildExited:
        """Stop it and say how it ended."""
        domain = self.supervisor.snapshot().children[0].path.rpartition("/")[2]
        await self.supervisor.terminate_child(domain)
        return self.log.of(ChildExited)[-1]


@asynccontextmanager
async def scraping(
    rig: Rig,
    domain: str,
    *sources: Source,
    ladder: DomainLadder | None = None,
    rules: GateRules = FAST,
    boards_of: BoardsOf | None = None,
    robots: Use = Use.API,
) -> AsyncIterator[Scraping]:
    cycle: Mailbox[BoardPolled] = Mailbox()
    cycle_actor, policy, log = ScriptedActor(), StayDown(), EventLog()
    async with (
        rig.open_ingest() as ingest,
        open_tree(listener("cycle", cycle, cycle_actor)),
    ):
        parts = rig.parts(sources, ingest, cycle, boards_of, robots=robots)
        box: Mailbox[ReadDomain] = Mailbox()
        child = rig.scraper_child(domain, parts, ladder=ladder, rules=rules, mailbox=box)
        async with open_tree(child, policy=policy, hook=log, name="domains") as supervisor:
            yield Scraping(
                supervisor=supervisor,
                polled=cycle_actor.received,
                ends=policy.ends,
                box=box,
                log=log,
            )


def at(source: Source, server: FaultServer) -> Source:
    return with_base_url(source, server.url("").rstrip("/"))


def polled(row: StoredBoard, *, ok: bool, fault: str | None = None) -> BoardPolled:
    return BoardPolled(
        board=row.id,
        domain=row.domain,
        source=row.board.source,
        slug=row.board.slug,
        ok=ok,
        fault=fault,
    )


def due_in_s(rig: Rig, row: StoredBoard) -> float:
    assert row.next_due_at is not None
    return (row.next_due_at - rig.clock.utcnow()).total_seconds()


# --- one poll and its row


async def test_first_walk_takes_recent_postings_only_for_news_later_ones_all(
    rig: Rig, clock: MockClock
) -> None:
    """What a new board already lists is stock; from then on whatever appears is news."""
    utcnow = rig.clock.utcnow()
    dates = dict.fromkeys((1, 2, 4), utcnow - dt.timedelta(days=30))
    dates[3] = utcnow - dt.timedelta(days=1)

    async def news() -> set[str]:
        found = await rig.stores.postings.newest_news(limit=9, within_s=DAY_S)
        return {item.draft.external_id for item in found}

    async with open_fault_server(respond(greenhouse(1, 2, 3, posted=dates))) as server:
        source = at(GREENHOUSE, server)
        await rig.add_board(source)
        async with scraping(rig, server.domain, source) as actor:
            await actor.wait_polled(1)
            assert await news() == {"3"}
            server.behaviours["*"] = respond(greenhouse(1, 2, 3, 4, posted=dates))
            clock.jump(4000)
            await actor.wait_polled(2)
            assert await news() == {"3", "4"}
    assert [fields["news"] for fields in rig.said("scraper.polled")] == [1, 1]
    assert await rig.stores.postings.count() == 4


async def test_good_poll_marks_the_board_and_tells_the_cycle(rig: Rig) -> None:
    async with open_fault_server(respond(greenhouse(1, 2, 3, 4, 5, broken=(6,)))) as server:
        source = at(GREENHOUSE, server)
        row = await rig.add_board(source)
        async with scraping(rig, server.domain, source) as actor:
            await actor.wait_polled(1)
            assert actor.polled == [polled(row, ok=True)]
            marked = await rig.board_row()
            assert rig.suspects.crashed(row.domain, rig.clock.monotonic()) is None
    assert marked.polled_at is not None
    assert (marked.failures, marked.outcome) == (0, "complete")
    assert due_in_s(rig, marked) == pytest.approx(3600, rel=0.12)
    [said] = rig.said("scraper.polled")
    assert {key: said[key] for key in ("outcome", "pages", "seen", "new", "rejected", "level")} == {
        "outcome": "complete",
        "pages": 1,
        "seen": 6,
        "new": 5,
        "rejected": 1,
        "level": "info",
    }
    [rejected] = rig.said("postings.rejected")
    assert (rejected["board"], rejected["count"]) == ("acme", 1)


async def test_failed_poll_is_made_again_soon_and_moves_no_poll_mark(
    rig: Rig, clock: MockClock
) -> None:
    """A page that fails in the middle: what came before stays, and nothing is closed."""
    answers = {
        f"/v1/companies/acme/postings?limit=100&offset={offset}": respond(page)
        for offset, page in (
            (0, smart(1, 2, total=4, limit=2)),
            (2, smart(3, 4, total=4, limit=2)),
        )
    }
    async with open_fault_server(by_target(answers)) as server:
        source = at(SMARTRECRUITERS, server)
        row = await rig.add_board(source)
        async with scraping(rig, server.domain, source) as actor:
            await actor.wait_polled(1)
            good = await rig.board_row()
            for target in answers:
                if target.endswith("=2"):
                    answers[target] = respond(b"", status=500)
            clock.jump(4000)
            await actor.wait_polled(2)
            failed = await rig.board_row()
            assert due_in_s(rig, failed) == pytest.approx(300, rel=0.12)
            clock.jump(400)
            await actor.wait_polled(3)
            again = await rig.board_row()
            assert due_in_s(rig, again) == pytest.approx(600, rel=0.12)
        assert actor.polled[1:] == [polled(row, ok=False, fault="5xx")] * 2
    assert failed == attrs.evolve(
        good, next_due_at=failed.next_due_at, failures=1, outcome="failed"
    )
    assert (again.polled_at, again.failures) == (good.polled_at, 2)
    stored = await rig.stores.postings.search("analyst", limit=9)
    assert sorted(item.draft.external_id for item in stored) == ["1", "2", "3", "4"]
    levels = [fields["level"] for fields in rig.said("scraper.polled")]
    assert levels == ["info", "warning", "warning"]


async def test_board_that_is_gone_rests_for_a_day_without_fault(rig: Rig) -> None:
    async with open_fault_server(respond(b"{}", status=404)) as server:
        source = at(GREENHOUSE, server)
        row = await rig.add_board(source)
        ladder = rig.ladder(server.domain, rules=DOWN_AT_ONCE)
        async with scraping(rig, server.domain, source, ladder=ladder) as actor:
            await actor.wait_polled(1)
            assert actor.polled == [polled(row, ok=True)]
            gone = await rig.board_row()
            assert (await actor.view()).tier is Tier.RELIABLE
    assert due_in_s(rig, gone) == pytest.approx(DAY_S, rel=0.12)
    assert (gone.polled_at, gone.failures, gone.outcome) == (None, 1, "gone")


async def test_board_that_drifted_rests_for_a_day(rig: Rig) -> None:
    async with open_fault_server(redirect("https://elsewhere.example/")) as server:
        source = at(GREENHOUSE, server)
        row = await rig.add_board(source)
        async with scraping(rig, server.domain, source) as actor:
            await actor.wait_polled(1)
            assert actor.polled == [polled(row, ok=False, fault="parse")]
            drifted = await rig.board_row()
    assert due_in_s(rig, drifted) == pytest.approx(DAY_S, rel=0.12)
    assert (drifted.polled_at, drifted.outcome) == (None, "drift")


# --- robots.txt


def serving(robots: bytes, **boards: bytes) -> dict[str, Behaviour]:
    """Serve a robots.txt, and Greenhouse boards by slug."""
    found = {f"/v1/boards/{slug}/jobs": respond(body) for slug, body in boards.items()}
    return {"/robots.txt": respond(robots), **found}


async def test_board_that_robots_txt_denies_is_not_asked_and_rests_without_blame(rig: Rig) -> None:
    rules = b"User-agent: JobPing\nDisallow: /v1/boards/acme/\n"
    answers = serving(rules, acme=greenhouse(1), beta=greenhouse(2))
    async with open_fault_server(answers) as server:
        source = at(GREENHOUSE, server)
        row, _ = await rig.add_board(source), await rig.add_board(source, "beta")
        async with scraping(rig, server.domain, source, robots=Use.ASK) as actor:
            await actor.wait_polled(2)
            assert {each.slug: each.fault for each in actor.polled} == {
                "acme": "robots",
                "beta": None,
            }
            assert (await actor.view()).tier is Tier.RELIABLE
        paths = [request.path for request in server.requests]
        assert paths == ["/robots.txt", "/v1/boards/beta/jobs"]
    denied = await rig.board_row()
    assert due_in_s(rig, denied) == pytest.approx(DAY_S, rel=0.12)
    assert denied.outcome == "denied"
    assert len(rig.said("robots.denied")) == 1
    [said] = [each for each in rig.said("scraper.polled") if each["board"] == row.board.slug]
    assert "robots.txt does not let us ask" in str(said["why"])


async def test_site_whose_robots_txt_fails_is_not_asked_and_says_why(rig: Rig) -> None:
    answers = {**serving(b"", acme=greenhouse(1)), "/robots.txt": respond(b"", status=500)}
    async with open_fault_server(answers) as server:
        source = at(GREENHOUSE, server)
        await rig.add_board(source)
        async with scraping(rig, server.domain, source, robots=Use.ASK) as actor:
            await actor.wait_polled(1)
            assert [each.fault for each in actor.polled] == ["5xx"]
        assert [request.path for request in server.requests] == ["/robots.txt"]
    [said] = rig.said("scraper.polled")
    assert said["why"] == (
        "its robots.txt cannot be read, so nothing may be asked: the site answers 500"
    )


async def test_source_held_to_its_api_terms_is_asked_without_robots_txt(rig: Rig) -> None:
    async with open_fault_server(serving(b"", acme=greenhouse(1))) as server:
        source = at(GREENHOUSE, server)
        await rig.add_board(source)
        async with scraping(rig, server.domain, source, robots=Use.API) as actor:
            await actor.wait_polled(1)
        assert [request.path for request in server.requests] == ["/v1/boards/acme/jobs"]


async def test_long_crawl_delay_makes_polls_that_much_rarer(rig: Rig, clock: MockClock) -> None:
    rules = b"User-agent: *\nCrawl-delay: 120\n"
    async with open_fault_server(serving(rules, acme=greenhouse(1))) as server:
        source = at(GREENHOUSE, server)
        await rig.add_board(source)
        async with scraping(rig, server.domain, source, robots=Use.ASK) as actor:
            await eventually(lambda: len(server.requests) == 1)
            await trio.sleep(0.1)
            clock.jump(60)
            await actor.wait_polled(1)
            row = await rig.board_row()
    assert due_in_s(rig, row) == pytest.approx(2 * 3600.0, rel=0.12)


async def test_feed_is_not_polled_before_its_ttl_is_over_also_when_it_is_unchanged(
    rig: Rig, clock: MockClock
) -> None:
    body = b"<rss><channel><ttl>300</ttl></channel></rss>"
    feed = respond(body, headers=(("Content-Type", "text/xml"), ("ETag", '"1"')))
    unchanged = respond(b"", status=304)
    async with open_fault_server({"/jobs.xml": in_turn(feed, unchanged)}) as server:
        source = attrs.evolve(FEED, base_url=server.url("").rstrip("/"))
        await rig.add_board(source, "example.com/jobs.xml")
        async with scraping(rig, server.domain, source) as actor:
            for polls in (1, 2):
                await actor.wait_polled(polls)
                row = await rig.board_row("example.com/jobs.xml")
                assert 5 * 3600 - 60 < due_in_s(rig, row) < 6.3 * 3600
                clock.jump(6.3 * 3600)
        assert [request.header("if-none-match") for request in server.requests[:2]] == [None, '"1"']


# --- answers that came before


async def test_validators_live_over_a_restart_and_a_304_confirms(
    rig: Rig, clock: MockClock
) -> None:
    async def behave(stream: trio.abc.Stream, received: Received) -> After:
        known = received.header("if-none-match") == 'W/"1"'
        answer = (b"", 304) if known else (greenhouse(1, 2), 200)
        fields = (("ETag", 'W/"1"'),)
        return await respond(answer[0], status=answer[1], headers=fields)(stream, received)

    async with open_fault_server(behave) as server:
        source = at(GREENHOUSE, server)
        await rig.add_board(source)
        for _ in range(2):
            async with scraping(rig, server.domain, source) as actor:
                await actor.wait_polled(1)
                assert actor.polled[0].ok
            clock.jump(2 * 3600)
        assert [each.header("if-none-match") for each in server.requests] == [None, 'W/"1"']
    first, second = rig.said("scraper.polled")
    assert (first["new"], first["unchanged_pages"]) == (2, 0)
    assert (second["outcome"], second["unchanged_pages"]) == ("complete", 1)
    assert (second["seen"], second["unchanged"], second["new"], second["bytes"]) == (2, 2, 0, 0)
    row = await rig.board_row()
    assert (row.failures, row.counts) == (0, (2,))


# --- boards that fall silent


async def set_counts(rig: Rig, row: StoredBoard, *counts: int) -> None:
    """Give a board a past, and make it due."""
    due_at = rig.clock.utcnow() - dt.timedelta(seconds=1)
    kept = Kept(counts=counts)
    await rig.stores.boards.mark_polled(row.id, next_due_at=due_at, outcome="complete", kept=kept)


async def test_board_that_empties_beside_a_full_one_is_believed(rig: Rig) -> None:
    answers = serving(b"", acme=greenhouse(), beta=greenhouse(*range(9)))
    async with open_fault_server(answers) as server:
        source = at(GREENHOUSE, server)
        row, beta = await rig.add_board(source), await rig.add_board(source, "beta")
        await set_counts(rig, row, 40, 50)
        due_at = rig.clock.utcnow() + dt.timedelta(hours=1)
        kept = Kept(counts=(9,))
        await rig.stores.boards.mark_polled(
            beta.id, next_due_at=due_at, outcome="complete", kept=kept
        )
        async with scraping(rig, server.domain, source) as actor:
            await actor.wait_polled(1)
            assert actor.polled == [polled(row, ok=True)]
        paths = [request.path for request in server.requests]
        assert paths == ["/v1/boards/acme/jobs", "/v1/boards/beta/jobs"]
    emptied = await rig.board_row()
    assert (emptied.outcome, emptied.counts, emptied.suspect_since) == ("complete", (0,), None)


async def test_site_whose_boards_all_fall_silent_is_empty_and_closes_nothing(rig: Rig) -> None:
    answers = serving(b"", acme=greenhouse(), beta=greenhouse())
    async with open_fault_server(answers) as server:
        source = at(GREENHOUSE, server)
        rows = [await rig.add_board(source), await rig.add_board(source, "beta")]
        for row in rows:
            await set_counts(rig, row, 40, 50)
        async with scraping(rig, server.domain, source) as actor:
            await actor.wait_polled(2)
            assert {each.fault for each in actor.polled} == {"empty"}
    silent = await rig.board_row()
    assert (silent.outcome, silent.counts) == ("empty", (40, 50))
    assert silent.suspect_since is not None
    assert {said["outcome"] for said in rig.said("scraper.polled")} == {"empty"}


async def test_only_board_of_a_site_is_empty_when_it_stays_silent_and_believed_after_a_day(
    rig: Rig, clock: MockClock
) -> None:
    async with open_fault_server(serving(b"", acme=greenhouse())) as server:
        source = at(GREENHOUSE, server)
        row = await rig.add_board(source)
        await set_counts(rig, row, 7)
        async with scraping(rig, server.domain, source) as actor:
            await actor.wait_polled(1)
            await eventually(lambda: len(rig.said("scraper.polled")) == 1)
            clock.jump(400)
            await actor.wait_polled(2)
            clock.jump(1.1 * DAY_S)
            await actor.wait_polled(3)
            assert [(each.ok, each.fault) for each in actor.polled] == [
                (True, None),
                (False, "empty"),
                (True, None),
            ]
    outcomes = [said["outcome"] for said in rig.said("scraper.polled")]
    assert outcomes == ["empty", "empty", "complete"]
    assert (await rig.board_row()).counts == (0,)


# --- which board, and when


async def test_boards_are_polled_the_longest_waiting_first(rig: Rig) -> None:
    """First those never polled, then by the moment since when they are due."""
    async with open_fault_server(respond(greenhouse())) as server:
        source = at(GREENHOUSE, server)
        rows = [await rig.add_board(source, slug) for slug in ("new", "late", "later", "not-due")]
        utcnow = rig.clock.utcnow()
        for row, minutes in zip(rows[1:], (-60, -120, 30), strict=True):
            due_at = utcnow + dt.timedelta(minutes=minutes)
            await rig.stores.boards.mark_polled(row.id, next_due_at=due_at, outcome="complete")
        async with scraping(rig, server.domain, source) as actor:
            await actor.wait_polled(3)
            await actor.view()
        assert [message.slug for message in actor.polled] == ["new", "later", "late"]


async def test_sources_that_share_a_host_are_each_read_in_their_own_way(rig: Rig) -> None:
    answers = {"/gh/v1/boards/acme/jobs": greenhouse(1, 2), "/lv/v0/postings/acme": b"[]"}
    behaviours = {path: respond(body) for path, body in answers.items()}
    async with open_fault_server(behaviours) as server:
        sources = [
            with_base_url(GREENHOUSE, server.url("/gh")),
            with_base_url(LEVER, server.url("/lv")),
        ]
        for source in sources:
            await rig.add_board(source)
        async with scraping(rig, server.domain, *sources) as actor:
            await actor.wait_polled(2)
            assert all(message.ok for message in actor.polled)
        assert sorted(request.path for request in server.requests) == sorted(answers)
        outcomes = {fields["source"]: fields["new"] for fields in rig.said("scraper.polled")}
    assert outcomes == {"greenhouse": 2, "lever": 0}


async def test_board_added_by_command_is_polled_within_a_minute(rig: Rig, clock: MockClock) -> None:
    looks: list[int] = []

    async def look(domain: Domain) -> Sequence[StoredBoard]:
        rows = await rig.stores.boards.enabled(domain)
        looks.append(len(rows))
        return rows

    async with open_fault_server(respond(greenhouse(1))) as server:
        source = at(GREENHOUSE, server)
        async with scraping(rig, server.domain, source, boards_of=look) as actor:
            await eventually(lambda: looks == [0])
            row = await rig.add_board(source)
            await trio.sleep(0.05)
            assert (looks, server.requests) == ([0], [])
            clock.jump(60)
            await actor.wait_polled(1)
            assert actor.polled == [polled(row, ok=True)]


async def test_board_removed_by_command_is_polled_no_more(rig: Rig, clock: MockClock) -> None:
    async with open_fault_server(respond(greenhouse(1))) as server:
        source = at(GREENHOUSE, server)
        for slug in ("kept", "removed"):
            await rig.add_board(source, slug)
        async with scraping(rig, server.domain, source) as actor:
            await actor.wait_polled(2)
            await rig.stores.boards.remove(source.name, "removed")
            clock.jump(4000)
            await actor.wait_polled(3)
            await actor.view()
            await trio.sleep(0.05)
            assert [message.slug for message in actor.polled[2:]] == ["kept"]


async def test_board_that_rests_after_a_crash_lets_the_others_through(rig: Rig) -> None:
    async with open_fault_server(respond(greenhouse())) as server:
        source = at(GREENHOUSE, server)
        rows = [await rig.add_board(source, slug) for slug in ("good", "poison")]
        rig.suspects.begin(rows[1].id, rows[1].domain)
        rig.suspects.crashed(rows[1].domain, rig.clock.monotonic())
        async with scraping(rig, server.domain, source) as actor:
            await actor.wait_polled(1)
            await actor.view()
            await trio.sleep(0.05)
            assert [message.slug for message in actor.polled] == ["good"]


# --- stopping


async def test_stop_ends_a_wait_for_the_next_board_at_once(rig: Rig) -> None:
    async with open_fault_server(respond(greenhouse())) as server:
        source = at(GREENHOUSE, server)
        await rig.add_board(source)
        async with scraping(rig, server.domain, source) as actor:
            await actor.wait_polled(1)
            with trio.fail_after(2):
                ended = await actor.stop()
    assert ended.exit.kind is ExitKind.SHUTDOWN


async def test_stop_ends_a_wait_for_the_gate_at_once(rig: Rig) -> None:
    refusal = respond(b"", status=429, headers=(("Retry-After", "600"),))
    async with open_fault_server(refusal) as server:
        source = at(GREENHOUSE, server)
        for slug in ("one", "two"):
            await rig.add_board(source, slug)
        async with scraping(rig, server.domain, source) as actor:
            await actor.wait_polled(1)
            await trio.sleep(0.05)  # the second board waits for its turn now
            with trio.fail_after(2):
                ended = await actor.stop()
        assert len(server.requests) == 1
    assert ended.exit.kind is ExitKind.SHUTDOWN
    assert [fields["outcome"] for fields in rig.said("scraper.polled")] == [
        "limited",
        "interrupted",
    ]


async def test_stop_lets_the_request_on_its_way_end(rig: Rig) -> None:
    async with open_fault_server(delay(0.2, respond(greenhouse(1)))) as server:
        source = at(GREENHOUSE, server)
        await rig.add_board(source)
        async with scraping(rig, server.domain, source) as actor:
            with trio.fail_after(5):
                await server.wait_until(lambda: bool(server.requests))
            ended = await actor.stop()
        row = await rig.board_row()
    assert ended.exit.kind is ExitKind.SHUTDOWN
    assert (row.outcome, await rig.stores.postings.count()) == ("complete", 1)


async def test_stop_gives_a_request_on_its_way_ten_seconds(rig: Rig, clock: MockClock) -> None:
    async with open_fault_server(hang()) as server:
        source = at(GREENHOUSE, server)
        row = await rig.add_board(source)
        async with scraping(rig, server.domain, source) as actor, trio.open_nursery() as nursery:
            with trio.fail_after(5):
                await server.wait_until(lambda: bool(server.requests))
            nursery.start_soon(actor.stop)
            await trio.sleep(0.02)
            clock.jump(9)
            await trio.sleep(0.02)
            assert actor.log.of(ChildExited) == []
            clock.jump(1)
            await eventually(lambda: bool(actor.log.of(ChildExited)), within_s=2)
        [ended] = actor.log.of(ChildExited)
        assert actor.polled == []
    assert ended.exit.kind is ExitKind.SHUTDOWN
    assert await rig.board_row() == row
    assert [fields["outcome"] for fields in rig.said("scraper.polled")] == ["interrupted"]


async def test_actor_answers_how_it_stands_while_a_request_is_on_its_way(rig: Rig) -> None:
    async with open_fault_server(hang()) as server:
        source = at(GREENHOUSE, server)
        await rig.add_board(source)
        async with scraping(rig, server.domain, source) as actor:
            with trio.fail_after(5):
                await server.wait_until(lambda: bool(server.requests))
            view = await actor.view()
            actor.supervisor.request_stop(grace_period=0.05)
    assert (view.domain, view.tier, view.gate.in_flight) == (server.domain, Tier.RELIABLE, 1)


# --- down and up


async def test_bad_cycles_end_the_actor_for_the_ladder_to_judge(rig: Rig) -> None:
    async with open_fault_server(respond(b"", status=500)) as server:
        source = at(GREENHOUSE, server)
        await rig.add_board(source)
        ladder = rig.ladder(server.domain, rules=DOWN_AT_ONCE)
        async with scraping(rig, server.domain, source, ladder=ladder) as actor:
            await eventually(lambda: bool(actor.ends))
    [(kind, error)] = actor.ends
    assert kind is ExitKind.ABNORMAL
    assert isinstance(error, DomainUnavailable)
    assert (error.domain, ladder.tier) == (server.domain, Tier.BACKFILL)
    assert [fields["cause"] for fields in rig.said("tier.demoted")] == ["bad_cycles"]


async def test_cycle_is_good_if_one_of_its_boards_is(rig: Rig) -> None:
    behaviours = {
        "/v1/boards/bad/jobs": respond(b"", status=500),
        "/v1/boards/worse/jobs": respond(b"", status=500),
        "/v1/boards/good/jobs": respond(greenhouse()),
    }
    async with open_fault_server(behaviours) as server:
        source = at(GREENHOUSE, server)
        for slug in ("bad", "good", "worse"):
            await rig.add_board(source, slug)
        ladder = rig.ladder(server.domain, rules=DOWN_AT_ONCE)
        async with scraping(rig, server.domain, source, ladder=ladder) as actor:
            await actor.wait_polled(3)
            await actor.view()
            await trio.sleep(0.05)
            assert actor.ends == []
    assert ladder.tier is Tier.RELIABLE


async def test_long_block_ends_the_actor_at_once(rig: Rig) -> None:
    refusal = respond(b"", status=429, headers=(("Retry-After", "7200"),))
    async with open_fault_server(refusal) as server:
        source = at(GREENHOUSE, server)
        for slug in ("one", "two"):
            await rig.add_board(source, slug)
        async with scraping(rig, server.domain, source) as actor:
            await eventually(lambda: bool(actor.ends))
        assert len(server.requests) == 1
    assert isinstance(actor.ends[0][1], DomainUnavailable)
    assert [fields["cause"] for fields in rig.said("tier.demoted")] == ["long_block"]


async def test_wait_that_the_site_asked_for_while_the_store_was_away_holds_over_a_restart(
    rig: Rig,
) -> None:
    refusal = respond(b"", status=429, headers=(("Retry-After", "600"),))

    async def refuse(stream: trio.abc.Stream, received: Received) -> After:
        rig.faulty.is_down = True
        return await refusal(stream, received)

    async with open_fault_server(refuse) as server:
        source = at(GREENHOUSE, server)
        await rig.add_board(source)
        async with scraping(rig, server.domain, source) as actor:
            await eventually(lambda: bool(actor.ends))
        assert isinstance(actor.ends[0][1], StoreUnavailable)
        rig.faulty.is_down = False
        async with scraping(rig, server.domain, source) as actor:
            view = await actor.view()
            assert view.gate.blocked_s == pytest.approx(600, abs=10)
            await trio.sleep(0.1)
        assert len(server.requests) == 1
        stored = await rig.loaded_gate(server.domain)
        assert stored.view().blocked_s == pytest.approx(600, abs=10)


async def test_gate_that_another_daemon_used_meanwhile_goes_on_from_its_row(rig: Rig) -> None:
    async with open_fault_server(respond(b"", status=500)) as server:
        source = at(GREENHOUSE, server)
        await rig.add_board(source)
        async with scraping(rig, server.domain, source) as actor:
            await actor.wait_polled(1)
        other = await rig.loaded_gate(server.domain)
        request = PageRequest(url=server.url("/"))
        with pytest.raises(Unavailable):
            await other.ask(request, _no_page, hosts=frozenset({Domain(server.domain)}))
        async with scraping(rig, server.domain, source) as actor:
            assert (await actor.view()).gate.grants >= other.view().grants == 2


async def _no_page(_page: Page) -> None:
    raise AssertionError


async def test_backfill_says_so_to_the_cycle_and_asks_nothing_before_the_cooldown(
    rig: Rig, clock: MockClock
) -> None:
    async with open_fault_server(respond(greenhouse())) as server:
        source = at(GREENHOUSE, server)
        rows = [await rig.add_board(source, slug) for slug in ("one", "two")]
        ladder = rig.ladder(server.domain, Tier.BACKFILL)
        async with scraping(rig, server.domain, source, ladder=ladder) as actor:
            await actor.wait_polled(2)
            assert actor.polled == [polled(row, ok=False, fault="backfill") for row in rows]
            clock.jump(890)
            await trio.sleep(0.05)
            assert server.requests == []
            clock.jump(10)
            await eventually(lambda: bool(server.requests))


async def test_good_trials_in_turn_over_the_boards_promote_and_end_the_actor(rig: Rig) -> None:
    async with open_fault_server(respond(greenhouse(1))) as server:
        source = at(GREENHOUSE, server)
        for slug in ("one", "two", "three"):
            await rig.add_board(source, slug)
        ladder = rig.ladder(server.domain, Tier.BACKFILL, rules=QUICK)
        async with scraping(rig, server.domain, source, ladder=ladder) as actor:
            await eventually(lambda: bool(actor.ends))
        asked = [request.path for request in server.requests]
    assert actor.ends == [(ExitKind.NORMAL, None)]
    assert asked == ["/v1/boards/one/jobs", "/v1/boards/three/jobs"]
    assert [fields["good"] for fields in rig.said("tier.probed")] == [True, True]
    assert rig.said("tier.promoted") == [
        {"domain": server.domain, "from_tier": "backfill", "to_tier": "reliable"}
    ]


async def test_bad_trial_waits_for_a_whole_cooldown_and_good_ones_start_anew(rig: Rig) -> None:
    answers = in_turn(
        respond(greenhouse()),
        respond(b"", status=500),
        respond(greenhouse()),
        respond(greenhouse()),
    )
    moments: list[float] = []
    async with open_fault_server(answers) as server:
        source = at(GREENHOUSE, server)
        await rig.add_board(source)
        ladder = rig.ladder(server.domain, Tier.BACKFILL, rules=LadderRules(up=2, cooldown_s=0.2))

        async def note() -> None:
            while True:
                await rig.events.wait("tier.probed")
                moments.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(note)
            async with scraping(rig, server.domain, source, ladder=ladder) as actor:
                await eventually(lambda: bool(actor.ends))
            nursery.cancel_scope.cancel()
    assert [fields["good"] for fields in rig.said("tier.probed")] == [True, False, True, True]
    assert moments[2] - moments[1] >= 0.2


async def test_trial_of_one_page_does_not_mark_a_board_of_several_as_polled(rig: Rig) -> None:
    async with open_fault_server(respond(smart(1, 2, total=4, limit=2))) as server:
        source = at(SMARTRECRUITERS, server)
        row = await rig.add_board(source)
        ladder = rig.ladder(server.domain, Tier.BACKFILL, rules=QUICK)
        async with scraping(rig, server.domain, source, ladder=ladder) as actor:
            await eventually(lambda: bool(actor.ends))
        assert len(server.requests) == 2
        assert await rig.board_row() == row
        assert await rig.stores.postings.count() == 2


async def test_trial_that_read_the_whole_board_marks_it_as_polled(rig: Rig) -> None:
    async with open_fault_server(respond(greenhouse(1))) as server:
        source = at(GREENHOUSE, server)
        await rig.add_board(source)
        ladder = rig.ladder(server.domain, Tier.BACKFILL, rules=QUICK)
        async with scraping(rig, server.domain, source, ladder=ladder) as actor:
            await eventually(lambda: bool(actor.ends))
        row = await rig.board_row()
    assert row.polled_at is not None
    assert row.outcome == "complete"


async def test_backfill_without_boards_waits_and_asks_nothing(rig: Rig) -> None:
    async with open_fault_server(respond()) as server:
        ladder = rig.ladder(server.domain, Tier.BACKFILL, rules=QUICK)
        source = at(GREENHOUSE, server)
        async with scraping(rig, server.domain, source, ladder=ladder) as actor:
            await trio.sleep(0.15)
            assert (await actor.view()).tier is Tier.BACKFILL
        assert (server.requests, actor.polled) == ([], [])


# --- politeness


async def test_requests_of_all_boards_of_a_domain_keep_one_pace(rig: Rig, clock: MockClock) -> None:
    paced = GateRules(limiter=LimiterRules(rate=0.1, burst=1, concurrency=1))
    async with open_fault_server(respond(greenhouse())) as server:
        source = at(GREENHOUSE, server)
        for slug in ("one", "two", "three"):
            await rig.add_board(source, slug)
        async with scraping(rig, server.domain, source, rules=paced) as actor:
            for count in (1, 2, 3):
                await actor.wait_polled(count)
                await trio.sleep(0.05)
                assert len(server.requests) == count
                clock.jump(9.5)
                await trio.sleep(0.05)
                assert len(server.requests) == count
                clock.jump(4)
    waits = [fields["limiter_wait_s"] for fields in rig.said("scraper.polled")]
    assert waits[0] == pytest.approx(0, abs=1)
    assert all(9 <= wait <= 14 for wait in waits[1:])  # intervals are lengthened by up to 30 %
    reasons = [fields["wait_s"] for fields in rig.said("scraper.polled")]
    assert reasons[1:] == [{"rate": wait} for wait in waits[1:]]


# --- closing


async def test_board_that_empties_and_returns_smaller_closes_what_stays_away_alone(
    rig: Rig, clock: MockClock
) -> None:
    """Full, empty, then for good with two of four: the others go, and not by the empty answer."""
    full, part = greenhouse(1, 2, 3, 4), greenhouse(1, 2)
    answers = in_turn(*map(respond, (full, greenhouse(), part, part, part, full)))
    async with open_fault_server(answers) as server:
        source = at(GREENHOUSE, server)
        await rig.add_board(source)
        left = []
        async with scraping(rig, server.domain, source) as actor:
            for turn in range(1, 7):
                await actor.wait_polled(turn)
                left.append(len(await rig.stores.postings.search("Analyst", limit=9)))
                clock.jump(2 * 3600.0)
    assert left == [4, 4, 4, 2, 2, 4]
    assert [said["count"] for said in rig.said("postings.closed")] == [2]


async def test_board_that_is_gone_on_a_second_day_takes_its_postings_along(
    rig: Rig, clock: MockClock
) -> None:
    gone = respond(b'{"status":404,"error":"Job board not found"}', status=404)
    async with open_fault_server(in_turn(respond(greenhouse(1, 2)), gone, gone)) as server:
        source = at(GREENHOUSE, server)
        await rig.add_board(source)
        async with scraping(rig, server.domain, source) as actor:
            await actor.wait_polled(1)
            clock.jump(2 * 3600.0)
            await actor.wait_polled(2)
            assert rig.said("postings.closed") == []
            clock.jump(1.2 * DAY_S)
            await actor.wait_polled(3)
    assert [said["count"] for said in rig.said("postings.closed")] == [2]
