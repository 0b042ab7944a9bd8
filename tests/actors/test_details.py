"""Postings whose text no list holds, asked for one by one beside the list."""

import datetime as dt
import json
from collections.abc import Mapping
from types import MappingProxyType

import attrs
import pytest
import trio

from jobping.actors.details import SLICE, Details
from jobping.actors.poll import Idle, Poll
from jobping.core.board import StoredBoard
from jobping.core.career_words import WORDS, CareerWords, with_more
from jobping.core.profile import Level, Profile
from jobping.core.schedule import MOST_DETAILS, PollRules
from jobping.core.walk import Complete, Limited, WalkEnd
from jobping.sources.smartrecruiters import SMARTRECRUITERS
from jobping.sources.source import Source
from tests.actors.rig import Rig, smart
from tests.actors.test_scraper import at
from tests.doubles.fault_server import (
    Behaviour,
    FaultServer,
    open_fault_server,
    redirect,
    reset,
    respond,
)

BOARD = "/v1/companies/acme/postings"


def single(id: int, title: str) -> Behaviour:
    part = {"title": "Job", "text": "<p>Count everything.</p>"}
    job = {"id": str(id), "name": title, "jobAd": {"sections": {"jobDescription": part}}}
    return respond(json.dumps(job).encode())


def board(*ids: int, titles: Mapping[int, str] = MappingProxyType({})) -> dict[str, Behaviour]:
    """Return a board and the page of each of its postings."""
    listed = respond(smart(*ids, total=len(ids), limit=100, titles=titles))
    pages = {f"{BOARD}/{id}": single(id, titles.get(id, f"Analyst {id}")) for id in ids}
    return {BOARD: listed, **pages}


@attrs.define(kw_only=True)
class Polls:
    """Polls one board as the scraper does, over and over."""

    rig: Rig
    source: Source
    row: StoredBoard
    words: CareerWords = WORDS
    last: Poll | None = None

    @classmethod
    async def of(cls, rig: Rig, server: FaultServer) -> "Polls":
        source = at(SMARTRECRUITERS, server)
        return cls(rig=rig, source=source, row=await rig.add_board(source))

    async def run(self, details: int, news_after: dt.datetime | None = None) -> WalkEnd | Idle:
        kept = self.last.answer if self.last else None
        async with self.rig.open_ingest() as ingest:
            self.last = Poll(
                row=self.row,
                source=self.source,
                gate=await self.rig.loaded_gate(self.row.domain),
                postings=self.rig.stores.postings,
                ingest=ingest.ref,
                news_after=news_after,
                details=Details(
                    profiles=self.rig.stores.profiles, clock=self.rig.clock, words=self.words
                ),
                details_left=details,
                last=kept,
            )
            with trio.fail_after(10):
                end = await self.last.run()
        return end

    def came_to(self) -> tuple[int, int, int]:
        """Return new, waiting, details."""
        assert self.last is not None
        return self.last.tally.new, self.last.tally.waiting, self.last.tally.details

    def items(self) -> int:
        """Return how many items the poll accounts for."""
        assert self.last is not None
        tally = self.last.tally
        return tally.new + tally.changed + tally.unchanged + tally.duplicate + tally.rejected


async def texts(rig: Rig) -> dict[str, str]:
    found = await rig.stores.postings.search("analyst or chef", limit=99)
    return {posting.draft.external_id: posting.draft.description for posting in found}


def singles(server: FaultServer) -> list[str]:
    asked = [request.path for request in server.requests if request.path != BOARD]
    server.requests.clear()
    return [path.removeprefix(f"{BOARD}/") for path in asked]


async def wish(rig: Rig, *unwanted: str) -> None:
    await rig.stores.profiles.add(Profile(name="me", not_words=unwanted))


async def test_new_postings_are_stored_with_their_texts_and_asked_for_once(rig: Rig) -> None:
    await wish(rig)
    async with open_fault_server(board(1, 2, 3)) as server:
        polls = await Polls.of(rig, server)
        assert await polls.run(10) == Complete()
        assert polls.came_to() == (3, 0, 3)
        assert singles(server) == ["1", "2", "3"]
        assert all("Count everything." in text for text in (await texts(rig)).values())
        server.behaviours |= board(1, 2, 3, titles={2: "Analyst two"})
        assert await polls.run(10) == Complete()
        assert singles(server) == ["2"]
        assert polls.last is not None
        assert (polls.last.tally.changed, polls.last.tally.unchanged) == (1, 2)
        await polls.run(10)
        assert singles(server) == []


async def test_what_the_budget_does_not_reach_waits_and_nothing_is_lost(rig: Rig) -> None:
    await wish(rig)
    async with open_fault_server(board(1, 2, 3, 4, 5)) as server:
        polls = await Polls.of(rig, server)
        for expected in ((5, 3, 2), (0, 1, 2), (0, 0, 1), (0, 0, 0)):
            assert await polls.run(2) == Complete()
            assert polls.came_to() == expected
            assert polls.items() == 5
            assert list((await texts(rig)).values()).count("") == expected[1]


async def test_an_unchanged_list_is_read_again_while_postings_wait(rig: Rig) -> None:
    await wish(rig)
    tagged = respond(smart(1, 2, total=2, limit=100), headers=(("ETag", '"a"'),))
    async with open_fault_server(board(1, 2) | {BOARD: tagged}) as server:
        polls = await Polls.of(rig, server)
        await polls.run(1)
        await polls.run(1)
        assert "" not in (await texts(rig)).values()


async def test_operators_own_words_for_levels_hold_here_too(rig: Rig) -> None:
    await rig.stores.profiles.add(Profile(name="me", levels=(Level.INTERN,)))
    titles = {1: "Senior living analyst", 2: "Senior analyst"}
    async with open_fault_server(board(1, 2, titles=titles)) as server:
        polls = await Polls.of(rig, server)
        polls.words = with_more(none=("senior living",))
        assert await polls.run(10) == Complete()
        assert singles(server) == ["1"]


async def test_stock_of_a_first_walk_is_stored_as_listed(rig: Rig) -> None:
    await wish(rig)
    old = {"id": "1", "name": "Analyst 1", "releasedDate": "2020-01-01T00:00:00.000Z"}
    listed = {"offset": 0, "limit": 100, "totalFound": 1, "content": [old]}
    answers = board(1) | {BOARD: respond(json.dumps(listed).encode())}
    async with open_fault_server(answers) as server:
        polls = await Polls.of(rig, server)
        await polls.run(10, news_after=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
        assert polls.came_to() == (1, 0, 0)


async def test_what_every_profile_rules_out_costs_no_request(rig: Rig) -> None:
    await wish(rig, "chef")
    answers = board(1, 2, titles={2: "Chef"})
    async with open_fault_server(answers) as server:
        polls = await Polls.of(rig, server)
        await polls.run(10)
        assert singles(server) == ["1"]
        assert (await texts(rig))["2"] == ""


async def test_one_of_many_profiles_is_enough_to_ask_for_a_text(rig: Rig) -> None:
    others = [Profile(name=f"p{number}", not_words=("analyst",)) for number in range(SLICE + 1)]
    await rig.stores.profiles.sync([*others, Profile(name="z", not_words=("chef",))])
    async with open_fault_server(board(1, 2, titles={2: "Analyst and chef"})) as server:
        polls = await Polls.of(rig, server)
        await polls.run(10)
        assert singles(server) == ["1"]


@pytest.mark.parametrize(
    "answer",
    [
        respond(b"", status=500),
        respond(b"[1]"),
        respond(b"<html>", status=404),
        redirect("https://elsewhere.example/"),
    ],
)
async def test_a_posting_whose_own_page_is_broken_is_stored_as_listed(
    rig: Rig, answer: Behaviour
) -> None:
    """It is not asked for again and again; the others wait for the next poll."""
    await wish(rig)
    async with open_fault_server(board(1, 2) | {f"{BOARD}/1": answer}) as server:
        polls = await Polls.of(rig, server)
        assert await polls.run(10) == Complete()
        assert (await texts(rig)) == {"1": "", "2": ""}
        await polls.run(10)
        assert set((await texts(rig)).values()) == {"", "Job\n\nCount everything."}


async def test_a_posting_whose_own_page_is_gone_is_stored_as_listed(rig: Rig) -> None:
    await wish(rig)
    gone = respond(b'{"message": "Job not found"}', status=404)
    async with open_fault_server(board(1, 2) | {f"{BOARD}/1": gone}) as server:
        polls = await Polls.of(rig, server)
        assert await polls.run(10) == Complete()
        assert sorted(await texts(rig)) == ["1", "2"]
        assert polls.last is not None
        assert polls.last.tally.gone == 1


@pytest.mark.parametrize("answer", [respond(b"", status=429), reset()])
async def test_a_site_that_has_enough_is_left_alone_and_nothing_is_stored_without_text(
    rig: Rig, answer: Behaviour
) -> None:
    await wish(rig)
    async with open_fault_server(board(1, 2) | {f"{BOARD}/1": answer}) as server:
        polls = await Polls.of(rig, server)
        end = await polls.run(10)
        assert end == Limited(reason="429") or not isinstance(end, Complete)
        assert await texts(rig) == {}


@pytest.mark.parametrize(
    ("per_hour", "every_s", "boards", "is_first", "limit"),
    [
        (9, 3600, 1, False, 9),
        (9, 3600, 20, False, 1),
        (600, 3600, 1, False, MOST_DETAILS),
        (600, 3600, 1, True, 10),
        (600, 60, 4, False, 2),
    ],
)
def test_details_of_a_poll_share_half_of_the_sites_pace(
    per_hour: float, every_s: float, boards: int, is_first: bool, limit: int
) -> None:
    rules = PollRules(poll_every_s=every_s, details_per_hour=per_hour)
    assert rules.details(boards, is_first=is_first) == limit
