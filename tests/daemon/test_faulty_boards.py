"""Boards that answer wrongly, each in its own way, beside good ones, in a whole daemon."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import trio

from tests.daemon.boards import config, greenhouse, lever, page
from tests.daemon.processes import Ended, Home, rows, run
from tests.doubles.fault_server import (
    After,
    Behaviour,
    Received,
    hang,
    head,
    open_fault_server,
    reset,
    respond,
)

GOOD = ("greenhouse", "lever")
STORED = (
    "SELECT p.source, external_id, version, encode(content_hash, 'hex') AS hash, title, url,"
    " first_seen_at, news_at, closed_at, s.absent_since, md5(t.description) AS text"
    " FROM posting p JOIN posting_seen s ON s.posting_id = p.id"
    " JOIN posting_text t ON t.posting_id = p.id ORDER BY 1, 2"
)
HTML = b"<!doctype html><html><head><title>Just a moment...</title></head></html>"
UNKNOWN_SHAPE = b'{"version": 3, "data": {"results": [{"name": "Widget counter"}]}}'
MEGABYTE = b" " * 1_000_000


def hundred_megabytes() -> Behaviour:
    """Answer with 100 MB of JSON white space, which no header announces."""

    async def behave(stream: trio.abc.Stream, _received: Received) -> After:
        fields = (("Content-Type", "application/json"), ("Transfer-Encoding", "chunked"))
        await stream.send_all(head(200, *fields))
        for _ in range(100):
            await stream.send_all(b"%x\r\n%b\r\n" % (len(MEGABYTE), MEGABYTE))
        await stream.send_all(b"0\r\n\r\n")
        return After.KEEP

    return behave


FAULTS: Mapping[str, tuple[Behaviour, str, str]] = {
    "ashby": (respond(b"oops", status=500), "5xx", "500"),
    "recruitee": (hang(), "timeout", "in time"),
    "smartrecruiters": (reset(), "reset", "the connection broke"),
    "remotive": (hundred_megabytes(), "parse", "larger than"),
    "arbeitnow": (respond(HTML), "ban", "captcha"),
    "jobicy": (respond(UNKNOWN_SHAPE), "parse", "an object with"),
}
"""By source: what its board does, and the fault and a part of the reason that the log must say."""


@asynccontextmanager
async def open_boards(behaviours: Mapping[str, Behaviour]) -> AsyncIterator[dict[str, str]]:
    """Serve each source's board on a port of its own; yield where each is."""
    async with AsyncExitStack() as stack:
        yield {
            source: (await stack.enter_async_context(open_fault_server(behaviour))).url("")
            for source, behaviour in behaviours.items()
        }


async def poll_once(home: Home, behaviours: Mapping[str, Behaviour]) -> Ended:
    async with open_boards(behaviours) as servers:
        file: Path = home.write("boards.toml", config(servers))
        return await run("run", "--once", "--minutes", "2", "--json", "--config", file, home=home)


async def test_faulty_boards_leave_the_others_and_all_that_is_stored_alone(home: Home) -> None:
    right = {source: respond(page(source)) for source in FAULTS}
    good = right | {
        "greenhouse": respond(greenhouse(range(10))),
        "lever": respond(lever(range(10))),
    }
    first = await poll_once(home, good)
    assert first.code == 0, first
    before = await rows(STORED, home=home)
    assert {row["source"] for row in before} == {*GOOD, *FAULTS}

    faulty = {source: behaviour for source, (behaviour, _fault, _why) in FAULTS.items()} | {
        "greenhouse": respond(greenhouse(range(300))),
        "lever": respond(lever(range(300))),
    }
    second = await poll_once(home, faulty)

    assert second.code == 1, second
    assert second.summary()["boards"] == {"polled": len(GOOD), "failed": len(FAULTS)}
    assert second.summary()["postings"]["new"] == 2 * 290
    for line in second.lines("scraper.polled"):
        print(line["source"], line["outcome"], line["fault"], line["why"], line["duration_s"])
    for source, (_behaviour, fault, why) in FAULTS.items():
        [line] = [line for line in second.lines("scraper.polled") if line["source"] == source]
        assert line["level"] == "warning"
        assert line["fault"] == fault, line
        assert why in line["why"], line
        assert line["new"] == line["changed"] == 0
        assert line["duration_s"] < 35.0
    for source in GOOD:
        [line] = [line for line in second.lines("scraper.polled") if line["source"] == source]
        assert (line["level"], line["outcome"]) == ("info", "complete")
        assert (line["new"], line["unchanged"], line["rejected"]) == (290, 10, 0)
        assert line["duration_s"] < 10.0
    [cycle] = second.lines("cycle.completed")
    assert len(cycle["failed"]) == len(FAULTS)
    assert cycle["waiting"] == []

    after = {(row["source"], row["external_id"]): row for row in await rows(STORED, home=home)}
    assert len(after) == len(before) + 2 * 290
    for row in before:
        assert after[row["source"], row["external_id"]] == row
