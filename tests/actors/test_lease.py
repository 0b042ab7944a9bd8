"""Domains that several daemons could poll: in virtual time, then with a real store and site."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from jobping.actors.lease import Lease
from jobping.actors.messages import ReadDomains
from jobping.clock import Clock
from jobping.core.ids import Domain, Monotonic
from jobping.core.tenure import Fence, Tenure, TenureRules
from jobping.errors import LeaseLost
from jobping.sources.greenhouse import GREENHOUSE
from jobping.sources.source import with_base_url
from jobping.store.leases import Leases
from supervisors import Mailbox
from supervisors.testing import EventLog
from tests.actors.rig import Rig, StayDown, eventually, greenhouse, listener, open_tree
from tests.actors.test_degradation import (
    OTHER,
    SITE,
    Stage,
    board,
    degrading,
    raises,
    read,
)
from tests.actors.test_domain_gate import ask
from tests.doubles.fault_server import hang, open_fault_server, respond
from tests.doubles.leases import LeaseTable, MemoryLeases, lease_of
from tests.doubles.postgres import Events


def lease(until: float) -> Lease:
    return Lease(fence=Fence(SITE, 1), clock=Clock(), tenure=Tenure(Monotonic(until)))


async def test_work_under_a_lease_is_cut_off_at_its_end(autojump_clock: MockClock) -> None:
    began = trio.current_time()
    with pytest.raises(LeaseLost), lease(began + 13).bound():
        await trio.sleep_forever()
    assert trio.current_time() - began == 13


async def test_work_under_a_lease_goes_on_with_its_renewals_and_ends_when_it_is_taken(
    autojump_clock: MockClock,
) -> None:
    began = trio.current_time()
    held = lease(began + 13)

    async def renew() -> None:
        for _ in range(6):
            await trio.sleep(5)
            held.renew(TenureRules(), Clock().monotonic())
        held.check()
        held.end()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(renew)
        with pytest.raises(LeaseLost), held.bound():
            await trio.sleep_forever()
    assert trio.current_time() - began == 30
    with pytest.raises(LeaseLost):
        held.check()


# --- two daemons in virtual time


@asynccontextmanager
async def daemon(
    table: LeaseTable, name: str, stage: Stage, events: Events | None = None
) -> AsyncIterator[tuple[Mailbox[ReadDomains], MemoryLeases]]:
    leases = MemoryLeases(table=table, daemon=name)
    async with degrading(
        stage.active_boards, stage.make_actor, leases=leases, events=events, log=EventLog()
    ) as (box, _):
        yield box, leases


async def test_second_daemon_takes_nothing_while_the_first_lives_and_all_when_it_stops(
    autojump_clock: MockClock,
) -> None:
    table, said = LeaseTable(), Events()
    first, second = (Stage(rows=[board(1, SITE), board(2, OTHER)]) for _ in range(2))
    async with daemon(table, "two", Stage(rows=[])) as _, trio.open_nursery() as nursery:
        stop = trio.Event()

        async def run_first() -> None:
            async with daemon(table, "one", first):
                await stop.wait()

        nursery.start_soon(run_first)
        await trio.sleep(1)
        async with daemon(table, "three", second, said) as (box, _):
            await trio.sleep(600)
            assert await read(box) == {}
            view = await box.ref.ask(ReadDomains(), within=4.0)
            assert view.elsewhere == (SITE, OTHER)
            stop.set()
            stopped_at = trio.current_time()
            await trio.sleep(5.1)
            assert set(await read(box)) == {SITE, OTHER}
    assert all(at - stopped_at <= 5.1 for _, _, at in second.starts)
    assert said.names() == ["lease.awaited", "lease.claimed"]


async def test_domains_of_a_daemon_that_died_are_taken_over_within_ttl_and_one_look(
    autojump_clock: MockClock,
) -> None:
    table = LeaseTable()
    table.rows = {SITE: ("dead", 7, trio.current_time() + 15), OTHER: ("dead", 3, -math.inf)}
    stage = Stage(rows=[board(1, SITE), board(2, OTHER)])
    began = trio.current_time()
    async with daemon(table, "one", stage) as (box, _):
        assert set(await read(box)) == {OTHER}
        await trio.sleep(20.1)
        assert set(await read(box)) == {SITE, OTHER}
    assert stage.starts[1][2] - began <= 20.1
    assert table.claims == [("one", Fence(OTHER, 4)), ("one", Fence(SITE, 8))]


async def test_actor_stops_before_its_lease_ends_while_the_store_is_away_and_returns_with_it(
    autojump_clock: MockClock,
) -> None:
    table, said = LeaseTable(), Events()
    ended: list[float] = []
    stage = Stage(rows=[board(1, SITE)])

    def make_actor(place):
        act = stage.make_actor(place)

        async def bounded(ctx):
            try:
                with place.lease.bound():
                    await act(ctx)
            except LeaseLost:
                ended.append(trio.current_time())
                raise

        return bounded

    leases = MemoryLeases(table=table)
    async with degrading(stage.active_boards, make_actor, leases=leases, events=said) as (box, _):
        await trio.sleep(12)
        leases.is_down = True
        await trio.sleep(40)
        assert ended == [leases.renewals[-1] + 13]
        assert ended[0] < table.rows[SITE][2]
        assert await read(box) == {}
        leases.is_down = False
        await trio.sleep(6)
        assert set(await read(box)) == {SITE}
    assert said.names() == ["lease.claimed", "lease.lost", "lease.claimed"]


async def test_actor_that_finds_its_fence_out_of_date_waits_for_the_lease_again(
    autojump_clock: MockClock,
) -> None:
    table, said = LeaseTable(), Events()
    stage = Stage(rows=[board(1, SITE)], scripts={SITE: [raises(LeaseLost(SITE))]})
    leases = MemoryLeases(table=table)
    async with degrading(stage.active_boards, stage.make_actor, leases=leases, events=said) as (
        box,
        _,
    ):
        await trio.sleep(1)
        assert await read(box) == {}
        await trio.sleep(21)
        assert set(await read(box)) == {SITE}
    assert said.names() == ["lease.claimed", "lease.lost", "lease.awaited", "lease.claimed"]
    assert len(stage.starts) == 2


# --- with a real store and a real site


async def test_gate_under_a_stale_fence_sends_nothing_and_gives_the_grant_back(rig: Rig) -> None:
    async with open_fault_server(respond()) as server:
        domain = Domain(server.domain)
        gate = await rig.loaded_gate(domain)
        assert await ask(gate, server) == b"{}"
        leases = Leases(database=rig.stores.gates.database, daemon="test", host="here")
        assert await leases.start([domain]) == (Fence(domain, 2),)
        with pytest.raises(LeaseLost):
            await ask(gate, server)
        assert len(server.requests) == 1
        assert (gate.view().daily_used, gate.view().in_flight) == (1, 0)


async def test_gate_sends_nothing_after_the_end_of_its_lease_though_the_row_is_still_its_own(
    rig: Rig,
) -> None:
    async with open_fault_server(respond()) as server:
        held = lease_of(server.domain)
        gate = rig.gate(server.domain, lease=held)
        await gate.load()
        held.end()
        with pytest.raises(LeaseLost):
            await ask(gate, server)
        assert server.requests == []


async def test_request_in_flight_is_cut_off_when_the_lease_ends(rig: Rig) -> None:
    async with open_fault_server(hang()) as server, rig.open_ingest() as ingest:
        source = with_base_url(GREENHOUSE, server.url("/gh"))
        await rig.add_board(source)
        cycle: Mailbox[object] = Mailbox()
        held, policy = lease_of(server.domain), StayDown()
        parts = rig.parts((source,), ingest, cycle)
        child = rig.scraper_child(server.domain, parts, lease=held)
        async with open_tree(listener("cycle", cycle), child, policy=policy):
            await eventually(lambda: len(server.requests) == 1)
            held.end()
            await eventually(lambda: policy.ends != [])
            assert rig.said("scraper.polled")[0]["outcome"] == "interrupted"
    assert isinstance(policy.ends[0][1], LeaseLost)


async def test_postings_fetched_under_a_lost_lease_are_not_stored(rig: Rig) -> None:
    async with open_fault_server(respond(greenhouse(1, 2))) as server, rig.open_ingest() as ingest:
        source = with_base_url(GREENHOUSE, server.url("/gh"))
        await rig.add_board(source)
        cycle: Mailbox[object] = Mailbox()
        policy = StayDown()
        parts = rig.parts((source,), ingest, cycle)
        lapsed = "UPDATE domain_lease SET expires_at = now()"
        await rig.stores.gates.load(Domain(server.domain))
        await rig.stores.gates.database.run(_execute, lapsed)
        child = rig.scraper_child(server.domain, parts)
        async with open_tree(listener("cycle", cycle), child, policy=policy):
            await eventually(lambda: policy.ends != [])
    assert isinstance(policy.ends[0][1], LeaseLost)
    assert await rig.stores.postings.count() == 0


async def _execute(connection, sql):
    await connection.execute(sql)
