import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from trio.testing import MockClock

from jobping.actors.domain_gate import DomainGate
from jobping.actors.messages import BoardPolled
from jobping.actors.network_gate import UNREACHING, NetworkGate
from jobping.clock import Clock
from jobping.core.breaker import Phase
from jobping.core.ids import Domain
from jobping.core.ladder import LadderRules, Tier
from jobping.core.outcome import Failed, Failure, Ok
from jobping.core.page import Page, PageRequest, Redirected
from jobping.core.retry import RetryRules
from jobping.errors import StoreUnavailable, Unavailable
from jobping.fetch import Fetcher
from jobping.sources.greenhouse import GREENHOUSE
from jobping.sources.source import with_base_url
from supervisors import Mailbox
from supervisors.testing import ScriptedActor
from tests.actors.rig import FAST, Rig, eventually, greenhouse, listener, open_tree
from tests.doubles.asking import open_test_fetcher
from tests.doubles.fault_server import FaultServer, open_fault_server, respond
from tests.doubles.postgres import Events

NAMES = ("one.example", "two.example", "three.example", "four.example")


@attrs.define
class Names:
    """A resolver that finds every name on loopback, or none.

    Attributes:
        asked: The names that were looked up, in order.
    """

    is_down: bool = True
    asked: list[str] = attrs.field(factory=list)

    async def __call__(self, host: str, _port: int) -> list[str]:
        self.asked.append(host)
        await trio.lowlevel.checkpoint()
        if self.is_down:
            raise socket.gaierror(socket.EAI_AGAIN, "no name server answers")
        return ["127.0.0.1"]


@attrs.define(kw_only=True)
class Sites:
    """Gates of several domains that are one server."""

    rig: Rig
    server: FaultServer
    names: Names
    fetcher: Fetcher
    gates: list[DomainGate] = attrs.field(factory=list)

    async def ask(self, gate: DomainGate) -> bytes | Redirected | None:
        """Return the answer, or None where there is none."""
        request = PageRequest(url=f"http://{gate.domain}/jobs")
        try:
            return await gate.ask(request, body_of, hosts=frozenset({gate.domain}))
        except Unavailable:
            return None

    async def lose(self) -> None:
        for gate in self.gates[:3]:
            assert await self.ask(gate) is None


async def body_of(page: Page) -> bytes:
    return page.body


@asynccontextmanager
async def open_sites(rig: Rig, names: Sequence[str] = NAMES) -> AsyncIterator[Sites]:
    resolve = Names()
    async with (
        open_fault_server(respond(b"page")) as server,
        open_test_fetcher(resolve=resolve) as fetcher,
    ):
        port = server.domain.rpartition(":")[2]
        sites = Sites(rig=rig, server=server, names=resolve, fetcher=fetcher)
        for name in names:
            gate = rig.gate(f"{name}:{port}", fetcher=fetcher)
            await gate.load()
            sites.gates.append(gate)
        yield sites


async def test_lost_network_is_said_once_and_nobody_is_blamed_for_it(rig: Rig) -> None:
    async with open_sites(rig) as sites:
        await sites.lose()
        last = sites.gates[2].view()
    [lost] = rig.said("network.lost")
    assert lost["domains"] == sorted(gate.domain for gate in sites.gates[:3])
    assert "`jobping demo`" in str(lost["hint"])
    assert (last.breaker, last.daily_used, last.in_flight) == (Phase.CLOSED, 0, 0)


async def test_one_domain_at_a_time_probes_and_its_answer_lets_all_go_on(
    rig: Rig, clock: MockClock
) -> None:
    answers: list[bytes | Redirected | None] = []
    async with open_sites(rig) as sites:
        await sites.lose()
        sites.names.asked.clear()

        async def ask(gate: DomainGate) -> None:
            answers.append(await sites.ask(gate))

        async with trio.open_nursery() as nursery:
            for gate in sites.gates:
                nursery.start_soon(ask, gate)
            await trio.sleep(0.05)
            assert {gate.turn()[1] for gate in sites.gates} == {"network"}
            clock.jump(29)
            await trio.sleep(0.05)
            assert (sites.names.asked, answers) == ([], [])
            clock.jump(1)
            await eventually(lambda: answers == [None])
            clock.jump(50)
            await trio.sleep(0.05)
            assert len(sites.names.asked) == 1
            sites.names.is_down = False
            clock.jump(10)
        assert answers == [None, b"page", b"page", b"page"]
        assert all(gate.view().breaker is Phase.CLOSED for gate in sites.gates)
        assert len(sites.server.requests) == 3
    names = [name for name in rig.events.names() if name.startswith("network")]
    assert names == ["network.lost", "network.regained"]


async def test_probe_of_which_nothing_was_tried_is_given_back(rig: Rig, clock: MockClock) -> None:
    async with open_sites(rig) as sites:
        await sites.lose()
        sites.names.is_down = False
        clock.jump(30)
        rig.faulty.is_down = True
        with pytest.raises(StoreUnavailable):
            await sites.ask(sites.gates[0])
        rig.faulty.is_down = False
        with trio.fail_after(5):
            assert await sites.ask(sites.gates[1]) == b"page"


async def test_request_is_not_sent_again_while_the_network_is_down(
    rig: Rig, clock: MockClock
) -> None:
    """It would wait for the network, and its poll would not end meanwhile."""
    patient = attrs.evolve(FAST, retry=RetryRules(base_s=20.0))
    async with open_sites(rig) as sites, trio.open_nursery() as nursery:
        early = rig.gate(sites.gates[3].domain, rules=patient, fetcher=sites.fetcher)
        await early.load()
        answers: list[bytes | Redirected | None] = []

        async def ask() -> None:
            answers.append(await sites.ask(early))

        nursery.start_soon(ask)
        await eventually(lambda: len(sites.names.asked) == 1)
        for gate in sites.gates[:2]:
            await sites.ask(gate)
        assert rig.network.is_down
        clock.jump(20)
        await eventually(lambda: answers == [None])
        assert len(sites.names.asked) == 3


async def test_stop_ends_the_wait_for_the_network(rig: Rig) -> None:
    async with open_sites(rig) as sites:
        await sites.lose()
        work = sites.gates[0].work

        async def ask() -> None:
            with work.scope:
                await sites.ask(sites.gates[0])

        with trio.fail_after(1):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask)
                await trio.sleep(0.02)
                work.stop(within_s=10)
        assert work.scope.cancelled_caught


async def test_lost_network_leaves_boards_due_and_the_tier_as_it_is(
    rig: Rig, clock: MockClock
) -> None:
    rig.network.polled = 1
    resolve = Names()
    cycle: Mailbox[BoardPolled] = Mailbox()
    told = ScriptedActor()
    ladder_rules = LadderRules(down=1, up=1, cooldown_s=0.05)
    async with (
        open_fault_server(respond(greenhouse(1))) as server,
        open_test_fetcher(resolve=resolve) as fetcher,
        rig.open_ingest() as ingest,
        open_tree(listener("cycle", cycle, told)),
    ):
        rig.fetcher = fetcher
        port = server.domain.rpartition(":")[2]
        source = with_base_url(GREENHOUSE, f"http://one.example:{port}")
        row = await rig.add_board(source)
        ladder = rig.ladder(row.domain, rules=ladder_rules)
        parts = rig.parts([source], ingest, cycle)
        async with open_tree(rig.scraper_child(row.domain, parts, ladder=ladder)):
            await eventually(lambda: len(told.received) == 1)
            assert await rig.board_row() == row
            resolve.is_down = False
            await trio.sleep(0.05)
            clock.jump(30)
            await eventually(lambda: len(told.received) == 2)
    assert (told.received[0].fault, told.received[1].ok) == ("dns", True)
    assert ladder.tier is Tier.RELIABLE
    assert rig.said("tier.demoted") == []
    assert [fields["fault"] for fields in rig.said("scraper.polled")] == ["dns", None]


# --- how many must fail


@pytest.mark.parametrize(("polled", "needed"), [(None, 3), (9, 3), (2, 2), (1, 1), (0, 1)])
async def test_as_many_domains_must_fail_as_there_are_up_to_three(
    autojump_clock: MockClock, polled: int | None, needed: int
) -> None:
    gate = NetworkGate(clock=Clock(), emit=Events(), polled=polled)
    for number in range(1, needed + 1):
        assert not gate.is_down
        gate.record(Domain(f"site-{number}.example"), Failed(Failure.UNREACHABLE, 0.1))
    assert gate.is_down
    await trio.lowlevel.checkpoint()


@pytest.mark.parametrize(
    "outcome",
    [Ok(0.1), *(Failed(failure, 0.1) for failure in Failure if failure not in UNREACHING)],
)
async def test_whatever_reached_a_site_shows_a_network(
    autojump_clock: MockClock, outcome: Ok | Failed
) -> None:
    gate = NetworkGate(clock=Clock(), emit=Events(), polled=1)
    gate.record(Domain("one.example"), Failed(Failure.DNS, 0.1))
    assert gate.is_ours(Failed(Failure.DNS, 0.1))
    assert not gate.is_ours(outcome)
    gate.record(Domain("one.example"), outcome)
    assert not gate.is_down
    await trio.lowlevel.checkpoint()
