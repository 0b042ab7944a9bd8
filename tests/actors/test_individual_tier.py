"""The individual tier: known postings one by one and short lists, between reliable and backfill."""

import json
from collections.abc import Sequence

import attrs
import pytest
import trio
from trio.testing import MockClock

from jobping.actors.messages import ObeyOrder
from jobping.actors.scraper import INDIVIDUAL_POSTINGS
from jobping.core.board import StoredBoard
from jobping.core.gate_text import ladder_of
from jobping.core.ids import Domain
from jobping.core.ladder import LadderRules, Tier
from jobping.core.order import Order
from jobping.core.posting import PostingDraft
from jobping.core.profile import Profile
from jobping.errors import DomainUnavailable
from jobping.sources.greenhouse import GREENHOUSE
from jobping.sources.lever import LEVER
from jobping.sources.source import Source
from supervisors import ExitKind
from tests.actors.rig import Rig, eventually, greenhouse, lever
from tests.actors.test_degradation import running
from tests.actors.test_scraper import at, polled, scraping
from tests.doubles.fault_server import (
    After,
    Behaviour,
    FaultServer,
    Received,
    open_fault_server,
    respond,
)
from tests.store.store_samples import match_of, sql

TIERS = tuple(Tier)
PATIENT = LadderRules(tiers=TIERS, cooldown_s=1e6)
QUICK = LadderRules(tiers=TIERS, down=1, up=2, cooldown_s=0.05)
FAILS = respond(b"", status=500)
GONE = respond(b'{"status": 404, "error": "Job not found"}', status=404)
NO_LIST = attrs.evolve(GREENHOUSE, light=None)
SEEN = """
SELECT p.external_id FROM posting p JOIN posting_seen s ON s.posting_id = p.id
WHERE s.last_seen = (now() AT TIME ZONE 'UTC')::date AND p.closed_at IS NULL
"""
YESTERDAY = "UPDATE posting_seen SET last_seen = (now() AT TIME ZONE 'UTC')::date - 1"


def single(id: int, title: str = "Analyst") -> bytes:
    """Return a Greenhouse job that says less than the list does."""
    job = {"id": id, "title": f"{title} {id}", "absolute_url": f"https://boards.example/jobs/{id}"}
    return json.dumps(job | {"location": {"name": "Berlin, Germany"}}).encode()


def departments(*ids: int) -> bytes:
    jobs = [json.loads(single(id)) for id in ids]
    return json.dumps({"departments": [{"name": "All", "jobs": jobs}]}).encode()


def answers(slug: str, ids: Sequence[int], *, whole: Behaviour = FAILS) -> dict[str, Behaviour]:
    """Return what a board answers by both routes."""
    board = f"/v1/boards/{slug}"
    singles = {f"{board}/jobs/{id}": respond(single(id)) for id in ids}
    return {
        f"{board}/jobs": whole,
        f"{board}/departments": respond(departments(*ids)),
        **singles,
    }


async def stored(
    rig: Rig, server: FaultServer, source: Source, boards: dict[str, Sequence[int]]
) -> dict[str, StoredBoard]:
    """Poll boards by the reliable route, let a day pass, and let that route fail from then on."""
    for slug, ids in boards.items():
        await rig.add_board(source, slug)
        server.behaviours |= answers(slug, ids, whole=respond(greenhouse(*ids)))
    async with scraping(rig, server.domain, source) as actor:
        await actor.wait_polled(len(boards))
        await actor.stop()
    await sql(rig.faulty, YESTERDAY)
    for slug, ids in boards.items():
        server.behaviours |= answers(slug, ids)
    server.requests.clear()
    rig.events.seen.clear()
    return {row.board.slug: row for row in await rig.stores.boards.enabled()}


async def drafts(rig: Rig) -> dict[str, PostingDraft]:
    found = await rig.stores.postings.search("analyst", limit=99)
    return {p.draft.external_id: attrs.evolve(p.draft, source_digest=b"") for p in found}


async def seen_today(rig: Rig) -> set[object]:
    return {row[0] for row in await sql(rig.faulty, SEEN)}


def asked(server: FaultServer) -> list[str]:
    return [request.path.removeprefix("/v1/boards/") for request in server.requests]


# --- cycles


async def test_postings_are_confirmed_one_by_one_and_nothing_of_them_is_lost(rig: Rig) -> None:
    async with open_fault_server({}) as server:
        source = at(GREENHOUSE, server)
        [row] = (await stored(rig, server, source, {"acme": [1, 2]})).values()
        before = await drafts(rig)
        ladder = rig.ladder(server.domain, Tier.INDIVIDUAL, PATIENT)
        async with scraping(rig, server.domain, source, ladder=ladder) as actor:
            await actor.wait_polled(1)
            view = await actor.view()
            assert actor.polled == [polled(row, ok=True)]
        assert asked(server) == ["acme/jobs/1", "acme/jobs/2", "acme/departments"]
    assert (view.tier, view.waits_for) == (Tier.INDIVIDUAL, "schedule")
    assert await drafts(rig) == before
    assert all(draft.description for draft in before.values())
    assert await seen_today(rig) == {"1", "2"}
    assert await rig.board_row() == row
    [line] = rig.said("scraper.polled")
    assert (line["tier"], line["outcome"], line["pages"]) == ("individual", "complete", 3)
    assert (line["unchanged"], line["new"], line["changed"], line["gone"]) == (4, 0, 0, 0)


async def test_short_list_brings_what_is_new(rig: Rig) -> None:
    async with open_fault_server({}) as server:
        source = at(GREENHOUSE, server)
        await stored(rig, server, source, {"acme": [1]})
        server.behaviours["/v1/boards/acme/departments"] = respond(departments(1, 3))
        ladder = rig.ladder(server.domain, Tier.INDIVIDUAL, PATIENT)
        async with scraping(rig, server.domain, source, ladder=ladder) as actor:
            await actor.wait_polled(1)
    assert (await drafts(rig)).keys() == {"1", "3"}


async def test_small_pages_follow_each_other_within_the_requests_of_a_cycle(rig: Rig) -> None:
    page = respond(lever(*range(10)))  # as full as asked for, so that it seems never to end
    async with open_fault_server(page) as server:
        source = at(LEVER, server)
        await rig.add_board(source)
        ladder = rig.ladder(server.domain, Tier.INDIVIDUAL, PATIENT)
        async with scraping(rig, server.domain, source, ladder=ladder) as actor:
            await actor.wait_polled(1)
            await actor.view()
        assert len(server.requests) <= INDIVIDUAL_POSTINGS
        assert server.requests[0].target.endswith("skip=0&limit=10")


async def test_cycle_asks_twenty_times_and_first_the_board_with_the_most_matches(
    rig: Rig, clock: MockClock
) -> None:
    ones, twos = range(100, 112), range(200, 212)
    async with open_fault_server({}) as server:
        source = at(GREENHOUSE, server)
        await stored(rig, server, source, {"one": ones, "two": twos})
        ana = await rig.stores.profiles.add(Profile(name="ana", words=("analyst",)))
        found = await rig.stores.postings.search("200", limit=1)
        await rig.stores.matches.record([match_of(ana, found[0])], done=[])
        ladder = rig.ladder(server.domain, Tier.INDIVIDUAL, PATIENT)
        async with scraping(rig, server.domain, source, ladder=ladder) as actor:
            await actor.wait_polled(2)
            clock.jump(3500)
            await trio.sleep(0.05)
            first = asked(server)
            assert len(first) == INDIVIDUAL_POSTINGS == 20
            assert [path.partition("/")[0] for path in first] == ["two"] * 13 + ["one"] * 7
            clock.jump(200)
            await actor.wait_polled(4)
        assert len(server.requests) <= 2 * INDIVIDUAL_POSTINGS
        singles = {path for path in asked(server) if "/jobs/" in path}
        assert singles == {f"one/jobs/{id}" for id in ones} | {f"two/jobs/{id}" for id in twos}


async def test_boards_that_found_no_room_come_first_in_the_next_cycle(
    rig: Rig, clock: MockClock
) -> None:
    async with open_fault_server({}) as server:
        source = at(GREENHOUSE, server)
        rows = await stored(rig, server, source, {"a": range(1, 41), "b": [50]})
        ladder = rig.ladder(server.domain, Tier.INDIVIDUAL, PATIENT)
        async with scraping(rig, server.domain, source, ladder=ladder) as actor:
            await actor.wait_polled(2)
            assert actor.polled[1] == polled(rows["b"], ok=False, fault="individual")
            clock.jump(3601)
            await actor.wait_polled(3)
            assert actor.polled[2] == polled(rows["b"], ok=True)
        assert asked(server)[20:22] == ["b/jobs/50", "b/departments"]


async def test_restart_of_the_actor_does_not_hasten_the_next_cycle(rig: Rig) -> None:
    async with open_fault_server({}) as server:
        source = at(GREENHOUSE, server)
        [row] = (await stored(rig, server, source, {"acme": [1]})).values()
        ladder = rig.ladder(server.domain, Tier.INDIVIDUAL, PATIENT)
        for fault in (None, "individual"):
            async with scraping(rig, server.domain, source, ladder=ladder) as actor:
                await actor.wait_polled(1)
                await trio.sleep(0.05)
                assert actor.polled == [polled(row, ok=fault is None, fault=fault)]
        assert asked(server) == ["acme/jobs/1", "acme/departments"]


async def test_restart_of_the_daemon_does_not_hasten_the_next_cycle(rig: Rig) -> None:
    async with open_fault_server({}) as server:
        source = at(GREENHOUSE, server)
        await stored(rig, server, source, {"acme": [1]})
        for _ in range(2):
            ladder = rig.ladder(server.domain, Tier.INDIVIDUAL, PATIENT)
            saved = await rig.stores.gates.load(Domain(server.domain))
            assert saved is not None
            ladder.load(ladder_of(saved.state), saved.elapsed_s)
            async with scraping(rig, server.domain, source, ladder=ladder) as actor:
                await actor.wait_polled(1)
                await trio.sleep(0.05)
        assert asked(server) == ["acme/jobs/1", "acme/departments"]


async def test_trial_that_is_due_comes_before_the_word_that_nothing_is_polled(rig: Rig) -> None:
    """A run of one cycle ends at that word, and would never find that the site is well again."""
    async with open_fault_server({}) as server:
        source = at(GREENHOUSE, server)
        [row] = (await stored(rig, server, source, {"acme": [1]})).values()
        server.behaviours["/v1/boards/acme/jobs"] = respond(greenhouse(1))
        ladder = rig.ladder(server.domain, Tier.BACKFILL, attrs.evolve(QUICK, up=3))
        ladder.probe_now()
        async with scraping(rig, server.domain, source, ladder=ladder) as actor:
            await eventually(lambda: bool(actor.ends))
        assert actor.polled[0] == polled(row, ok=True)
    assert ladder.tier is Tier.INDIVIDUAL


async def test_posting_that_is_gone_is_counted_and_stays_open(rig: Rig) -> None:
    async with open_fault_server({}) as server:
        source = at(NO_LIST, server)
        await stored(rig, server, source, {"acme": [1, 2]})
        server.behaviours["/v1/boards/acme/jobs/1"] = GONE
        ladder = rig.ladder(server.domain, Tier.INDIVIDUAL, PATIENT)
        async with scraping(rig, server.domain, source, ladder=ladder) as actor:
            await actor.wait_polled(1)
            assert actor.polled[0].ok
    [line] = rig.said("scraper.polled")
    assert (line["outcome"], line["gone"], line["unchanged"]) == ("complete", 1, 1)
    assert await seen_today(rig) == {"2"}
    assert (await drafts(rig)).keys() == {"1", "2"}


async def test_board_with_nothing_to_ask_says_nothing_of_its_domain(rig: Rig) -> None:
    async with open_fault_server({}) as server:
        source = at(NO_LIST, server)
        row = await rig.add_board(source)
        ladder = rig.ladder(server.domain, Tier.INDIVIDUAL, attrs.evolve(PATIENT, down=1))
        async with scraping(rig, server.domain, source, ladder=ladder) as actor:
            await actor.wait_polled(1)
            assert actor.polled == [polled(row, ok=True)]
            assert (await actor.view()).tier is Tier.INDIVIDUAL
        assert server.requests == []
    [line] = rig.said("scraper.polled")
    assert (line["outcome"], line["fault"]) == ("idle", None)


@pytest.mark.parametrize("count", [2, 5])
async def test_answers_about_other_postings_make_a_bad_cycle(rig: Rig, count: int) -> None:
    async with open_fault_server({}) as server:
        source = at(NO_LIST, server)
        ids = range(1, 1 + count)
        await stored(rig, server, source, {"acme": ids})
        for id in ids:
            server.behaviours[f"/v1/boards/acme/jobs/{id}"] = respond(single(77))
        ladder = rig.ladder(server.domain, Tier.INDIVIDUAL, attrs.evolve(PATIENT, down=1))
        async with scraping(rig, server.domain, source, ladder=ladder) as actor:
            await eventually(lambda: bool(actor.ends))
    assert [line["outcome"] for line in rig.said("scraper.polled")] == ["drift"]
    assert ladder.tier is Tier.BACKFILL
    assert await seen_today(rig) == set()


@pytest.mark.parametrize(
    ("answer", "outcome", "fault"),
    [
        (respond(b"<h1>Not found</h1>", status=404), "drift", "parse"),
        (respond(b"", status=429), "limited", "429"),
        (FAILS, "failed", "5xx"),
    ],
    ids=["unknown-404", "429", "500"],
)
async def test_failure_ends_the_walk_and_closes_nothing(
    rig: Rig, answer: Behaviour, outcome: str, fault: str
) -> None:
    async with open_fault_server({}) as server:
        source = at(GREENHOUSE, server)
        [row] = (await stored(rig, server, source, {"acme": [1, 2]})).values()
        server.behaviours["/v1/boards/acme/jobs/2"] = answer
        ladder = rig.ladder(server.domain, Tier.INDIVIDUAL, PATIENT)
        async with scraping(rig, server.domain, source, ladder=ladder) as actor:
            await actor.wait_polled(1)
            assert actor.polled == [polled(row, ok=False, fault=fault)]
        assert asked(server) == ["acme/jobs/1", "acme/jobs/2"]
    assert [line["outcome"] for line in rig.said("scraper.polled")] == [outcome]
    assert (await drafts(rig)).keys() == {"1", "2"}
    assert await seen_today(rig) == {"1"}
    assert await rig.board_row() == row


async def test_no_condition_is_sent_and_what_was_kept_of_the_list_stays(rig: Rig) -> None:
    tagged = respond(greenhouse(1), headers=(("ETag", '"a"'),))
    async with open_fault_server({"/v1/boards/acme/jobs": tagged}) as server:
        source = at(GREENHOUSE, server)
        row = await rig.add_board(source)
        async with scraping(rig, server.domain, source) as actor:
            await actor.wait_polled(1)
        server.behaviours |= answers("acme", [1])
        server.requests.clear()
        kept = await rig.stores.boards.last_answer(row.id)
        ladder = rig.ladder(server.domain, Tier.INDIVIDUAL, PATIENT)
        async with scraping(rig, server.domain, source, ladder=ladder) as actor:
            await actor.wait_polled(1)
        assert [request.header("If-None-Match") for request in server.requests] == [None, None]
    assert kept is not None
    assert await rig.stores.boards.last_answer(row.id) == kept


# --- down and up


async def test_bad_cycle_sends_the_domain_on_to_backfill(rig: Rig) -> None:
    async with open_fault_server({}) as server:
        source = at(GREENHOUSE, server)
        await stored(rig, server, source, {"acme": [1]})
        server.behaviours |= dict.fromkeys(server.behaviours, FAILS)
        ladder = rig.ladder(server.domain, Tier.INDIVIDUAL, attrs.evolve(QUICK, cooldown_s=60))
        async with scraping(rig, server.domain, source, ladder=ladder) as actor:
            await eventually(lambda: bool(actor.ends))
    assert isinstance(actor.ends[0][1], DomainUnavailable)
    [demoted] = rig.said("tier.demoted")
    assert (demoted["from_tier"], demoted["to_tier"]) == ("individual", "backfill")
    assert demoted["cause"] == "bad_cycles"


async def test_good_trials_of_the_reliable_route_bring_it_back(rig: Rig) -> None:
    async with open_fault_server({}) as server:
        source = at(GREENHOUSE, server)
        await stored(rig, server, source, {"acme": [1]})
        server.behaviours["/v1/boards/acme/jobs"] = respond(greenhouse(1))
        ladder = rig.ladder(server.domain, Tier.INDIVIDUAL, QUICK)
        async with scraping(rig, server.domain, source, ladder=ladder) as actor:
            await eventually(lambda: bool(actor.ends))
        assert asked(server)[-2:] == ["acme/jobs", "acme/jobs"]
    assert actor.ends == [(ExitKind.NORMAL, None)]
    assert rig.said("tier.promoted") == [
        {"domain": server.domain, "from_tier": "individual", "to_tier": "reliable"}
    ]


async def test_trials_are_made_also_where_a_cycle_takes_longer_than_the_time_between_two(
    rig: Rig,
) -> None:
    async with open_fault_server({}) as server:
        source = at(GREENHOUSE, server)
        await stored(rig, server, source, {"acme": [1]})
        ladder = rig.ladder(server.domain, Tier.INDIVIDUAL, QUICK)

        async def answer(stream: trio.abc.Stream, received: Received) -> After:
            ladder.cycle_at = rig.clock.monotonic()  # the next one is due before this one ends
            return await respond(single(1))(stream, received)

        server.behaviours |= {
            "/v1/boards/acme/jobs": respond(greenhouse(1)),
            "/v1/boards/acme/jobs/1": answer,
        }
        async with scraping(rig, server.domain, source, ladder=ladder) as actor:
            await eventually(lambda: bool(actor.ends))
    assert len(rig.said("tier.promoted")) == 1


async def test_backfill_tries_the_individual_route_with_one_request(rig: Rig) -> None:
    async with open_fault_server({}) as server:
        source = at(GREENHOUSE, server)
        await stored(rig, server, source, {"acme": [1, 2, 3]})
        ladder = rig.ladder(server.domain, Tier.BACKFILL, QUICK)
        async with scraping(rig, server.domain, source, ladder=ladder) as actor:
            await eventually(lambda: bool(actor.ends))
        assert asked(server) == ["acme/jobs/1", "acme/jobs/2"]
    assert ladder.tier is Tier.INDIVIDUAL
    assert [fields["good"] for fields in rig.said("tier.probed")] == [True, True]


async def test_backfill_tries_the_reliable_route_where_the_other_has_nothing_to_ask(
    rig: Rig,
) -> None:
    async with open_fault_server({}) as server:
        source = at(NO_LIST, server)
        await stored(rig, server, source, {"acme": []})
        server.behaviours["/v1/boards/acme/jobs"] = respond(greenhouse())
        ladder = rig.ladder(server.domain, Tier.BACKFILL, QUICK)
        async with scraping(rig, server.domain, source, ladder=ladder) as actor:
            await eventually(lambda: bool(actor.ends))
        assert asked(server) == ["acme/jobs", "acme/jobs"]
    assert ladder.tier is Tier.INDIVIDUAL


async def test_domain_goes_down_after_three_bad_cycles_and_up_again(
    rig: Rig, clock: MockClock
) -> None:
    async def stored_tier() -> str:
        [(_, saved)] = await rig.stores.gates.all()
        return saved.tier

    async def wait_polled(count: int, jump_s: float) -> None:
        clock.jump(jump_s)
        await eventually(lambda: len(rig.said("scraper.polled")) >= count)
        await trio.sleep(0.05)

    rules = LadderRules(up=1)
    async with open_fault_server({}) as server:
        source = at(GREENHOUSE, server)
        await stored(rig, server, source, {"acme": [1]})
        async with running(rig, source, rules, individual=frozenset({GREENHOUSE.name})):
            for count, jump_s in ((1, 4000), (2, 400), (3, 800)):
                assert rig.said("tier.demoted") == []
                await wait_polled(count, jump_s)
            await wait_polled(4, 1)
            [demoted] = rig.said("tier.demoted")
            assert (demoted["from_tier"], demoted["to_tier"]) == ("reliable", "individual")
            assert rig.said("scraper.polled")[3]["tier"] == "individual"
            assert await stored_tier() == "individual"
            assert await seen_today(rig) == {"1"}
            server.behaviours["/v1/boards/acme/jobs"] = respond(greenhouse(1, 2))
            await wait_polled(5, 900)
            await eventually(lambda: bool(rig.said("tier.promoted")))
            await wait_polled(6, 4000)
            assert await stored_tier() == "reliable"
    assert rig.said("scraper.polled")[5]["tier"] == "reliable"
    assert (await drafts(rig)).keys() == {"1", "2"}


async def test_long_block_in_a_cycle_ends_it_and_goes_down_one_tier(rig: Rig) -> None:
    blocked = respond(b"", status=429, headers=(("Retry-After", "7200"),))
    async with open_fault_server({}) as server:
        source = at(GREENHOUSE, server)
        await stored(rig, server, source, {"one": [1], "two": [2]})
        server.behaviours |= dict.fromkeys(server.behaviours, blocked)
        ladder = rig.ladder(server.domain, Tier.INDIVIDUAL, attrs.evolve(PATIENT, down=1))
        async with scraping(rig, server.domain, source, ladder=ladder) as actor:
            await eventually(lambda: bool(actor.ends))
        assert len(server.requests) == 1
    assert isinstance(actor.ends[0][1], DomainUnavailable)
    assert [fields["cause"] for fields in rig.said("tier.demoted")] == ["long_block"]
    assert ladder.tier is Tier.BACKFILL


async def test_probe_of_an_operator_is_a_trial_now(rig: Rig) -> None:
    async with open_fault_server({}) as server:
        source = at(GREENHOUSE, server)
        await stored(rig, server, source, {"acme": [1]})
        ladder = rig.ladder(server.domain, Tier.INDIVIDUAL, PATIENT)
        async with scraping(rig, server.domain, source, ladder=ladder) as actor:
            await actor.wait_polled(1)
            await actor.box.ref.ask(ObeyOrder(Order.PROBE), within=2.0)
            await actor.wait_polled(2)
        assert asked(server) == ["acme/jobs/1", "acme/departments", "acme/jobs"]
    assert [fields["good"] for fields in rig.said("tier.probed")] == [False]
