"""One of a hundred domains fails in any way: the others are asked as often as without it.

The domains share one pace, which is always used up: what a fault takes from others shows at once in
the server's log.
"""

import itertools
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

import attrs
import pytest
import trio

from jobping.actors.degradation import ASKS_WAITING
from jobping.clock import Clock
from jobping.control import NAME
from jobping.core.page import Page
from jobping.core.posting import PostingDraft
from jobping.sources.recruitee import RECRUITEE, Offer
from jobping.sources.source import Pace, Source, with_base_url
from jobping.store.bridge import Database
from jobping.store.connection import Connection
from tests.doubles.asking import open_test_fetcher
from tests.doubles.fault_server import (
    After,
    Behaviour,
    FaultServer,
    Received,
    drip,
    endless_body,
    endless_headers,
    hang,
    head,
    open_fault_server,
    raw,
    reset,
    respond,
)
from tests.doubles.postgres import Events
from tests.whole_tree import enter, open_whole_tree

DOMAINS = 100
PER_S = 40
PACE = Pace(per_hour=3600 * PER_S, burst=10, poll_every_s=0.001)
TURN_S = 1.1 * DOMAINS / PER_S
"""In which each domain has its turn."""
ATTEMPTS = 3
POISON = "Poison"


def page(title: str = "Analyst") -> Behaviour:
    offer = {"id": 1, "title": title, "careers_url": "https://jobs.example/o/1"}
    return respond(json.dumps({"offers": [offer]}).encode())


def _fill(offer: Offer, draft: PostingDraft, page: Page) -> PostingDraft:
    if offer.title == POISON:
        raise KeyError("a bug in a source")
    return RECRUITEE.fill(offer, draft, page)


@attrs.define(eq=False, kw_only=True)
class Stage:
    """A hundred domains on one server.

    Attributes:
        home: Where the control socket is.
        asked: The host of each request, in order.
        faulty: What those answer that do not answer well.
        unresolved: Hosts whose name is not found.
        met: How often a fault showed.
    """

    database: Database
    home: Path
    asked: list[str] = attrs.field(factory=list)
    faulty: dict[str, Behaviour] = attrs.field(factory=dict)
    unresolved: set[str] = attrs.field(factory=set)
    met: int = 0
    server: FaultServer = attrs.field(init=False)

    def host(self, number: int) -> str:
        return f"company-{number}.test"

    def domain(self, number: int) -> str:
        return f"{self.host(number)}:{self.server.port}"

    async def behave(self, stream: trio.abc.Stream, received: Received) -> After:
        host = (received.header("host") or "").partition(":")[0]
        self.asked.append(host)
        self.met += host in self.faulty
        return await self.faulty.get(host, GOOD)(stream, received)

    async def resolve(self, host: str, _port: int) -> Sequence[str]:
        await trio.lowlevel.checkpoint()
        if host in self.unresolved:
            self.met += 1
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return ["127.0.0.1"]

    async def read_refusals(self, stream: trio.abc.Stream) -> None:
        async with stream:
            with suppress(trio.BrokenResourceError):  # the daemon went before it read our last word
                while answer := await stream.receive_some(65_536):
                    self.met += answer.count(b'"error"')


GOOD = page()
Fault = Callable[[Stage, int], AbstractAsyncContextManager[None]]


def answering(behaviour: Behaviour) -> Fault:
    @asynccontextmanager
    async def fault(stage: Stage, number: int) -> AsyncIterator[None]:
        stage.faulty[stage.host(number)] = behaviour
        yield
        del stage.faulty[stage.host(number)]

    return fault


@asynccontextmanager
async def without_name(stage: Stage, number: int) -> AsyncIterator[None]:
    stage.unresolved.add(stage.host(number))
    async with answering(raw(b"", after=After.CLOSE))(stage, number):  # ends the connection it has
        yield
    stage.unresolved.remove(stage.host(number))


@asynccontextmanager
async def with_a_full_mailbox(stage: Stage, number: int) -> AsyncIterator[None]:
    """Let somebody lock the domain's row, so that its actor waits at the first of many orders."""
    locked, leave = trio.Event(), trio.Event()

    async def hold(connection: Connection) -> None:
        query = "SELECT FROM domain_gate WHERE domain = $1 FOR UPDATE"
        async with connection.transaction():
            await connection.execute(query, stage.domain(number))
            locked.set()
            while not leave.is_set():
                await connection.execute("SELECT pg_sleep(0.05)")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.database.run, hold)
        await locked.wait()
        order = json.dumps({"order": "reset", "domain": stage.domain(number)}).encode() + b"\n"
        async with trio.open_nursery() as clients:
            for _ in range(8):
                stream = await trio.open_unix_socket(str(stage.home / NAME))
                await stream.send_all(order * 4)
                clients.start_soon(stage.read_refusals, stream)
            before = stage.met
            yield
            assert stage.met - before > ASKS_WAITING, "no order was refused at once"
            clients.cancel_scope.cancel()
        leave.set()


FAULTS: dict[str, Fault] = {
    "hang": answering(hang()),
    "hang in the body": answering(hang(head(200, ("Content-Length", "9")) + b"x")),
    "reset": answering(reset()),
    "429": answering(respond(b"", status=429)),
    "503": answering(respond(b"", status=503, headers=(("Retry-After", "1"),))),
    "garbage": answering(raw(b"\x00\xff nonsense\r\n\r\n", after=After.CLOSE)),
    "unreadable": answering(respond(b"[" * 100_000)),
    "drip": answering(drip(head(200, ("Content-Length", "9999")), every_s=0.01)),
    "endless body": answering(endless_body()),
    "endless headers": answering(endless_headers()),
    "crash": answering(page(POISON)),
    "no name": without_name,
    "full mailbox": with_a_full_mailbox,
}


@asynccontextmanager
async def open_stage(database: Database, home: Path) -> AsyncIterator[tuple[Stage, Events]]:
    stage, events = Stage(database=database, home=home), Events()
    async with (
        open_fault_server(stage.behave) as server,
        open_test_fetcher(resolve=stage.resolve) as fetcher,
    ):
        stage.server = server
        source: Source = attrs.evolve(RECRUITEE, fill=_fill)
        source = with_base_url(source, f"http://{{slug}}.test:{server.port}")
        await enter(database, source, [f"company-{number}" for number in range(DOMAINS)])
        sources = {source.name: source}
        async with open_whole_tree(
            database, fetcher, sources, home=home, clock=Clock(), emit=events, pace=PACE
        ):
            with trio.fail_after(60):
                await server.wait_until(lambda: len(set(stage.asked)) == DOMAINS)
            yield stage, events


@attrs.frozen
class Count:
    """How often the others were asked in how many seconds."""

    asked: int
    for_s: float

    @property
    def rate(self) -> float:
        return self.asked / self.for_s


async def measure(stage: Stage, number: int, fault: Fault, for_s: float) -> Count:
    """Let one domain have a fault until it has met it and some time has passed; count the rest."""
    before, met, began = len(stage.asked), stage.met, trio.current_time()
    async with fault(stage, number):
        await trio.sleep(TURN_S)  # by then it was asked, or tried to be
        await trio.sleep(for_s)
        assert stage.met > met or fault is nothing
        asked = [host for host in stage.asked[before:] if host != stage.host(number)]
        return Count(len(asked), trio.current_time() - began)


async def best(
    stage: Stage, numbers: Iterator[int], fault: Fault, for_s: float, *, enough: float
) -> Count:
    """Measure a fault again, on another domain, where it seems to take something.

    What it takes it takes each time; a machine with other things to do does not.
    """
    counts = [await measure(stage, next(numbers), fault, for_s)]
    while counts[-1].rate < enough and len(counts) < ATTEMPTS:
        counts.append(await measure(stage, next(numbers), fault, for_s))
    return max(counts, key=lambda count: count.rate)


@asynccontextmanager
async def nothing(_stage: Stage, _number: int) -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize(
    ("names", "for_s"),
    [
        (("hang", "endless body", "crash", "full mailbox"), 1.0),
        pytest.param(tuple(FAULTS), 3.0, marks=pytest.mark.slow),
    ],
    ids=["some_faults", "all_faults"],
)
async def test_others_keep_99_of_100_grants_while_one_domain_has_any_fault(
    database: Database, home: Path, names: Sequence[str], for_s: float
) -> None:
    async with open_stage(database, home) as (stage, events):
        without = await measure(stage, 99, nothing, for_s + TURN_S)
        usual = min(without.rate, PER_S * (DOMAINS - 1) / DOMAINS)  # the rest was saved up before
        numbers = itertools.count()
        counts = {
            name: await best(stage, numbers, FAULTS[name], for_s, enough=0.99 * usual)
            for name in names
        }
    print(f"{without.rate:.2f} per second without", end="")
    for name, count in counts.items():
        print(f", {count.rate:.2f} with {name}", end="")
    together = Count(
        sum(count.asked for count in counts.values()), sum(count.for_s for count in counts.values())
    )
    print(f", {together.rate:.2f} over all faults")
    assert together.rate >= 0.99 * usual
    assert min(count.rate for count in counts.values()) >= 0.95 * usual
    assert "scraper.crashed" in events.names()
