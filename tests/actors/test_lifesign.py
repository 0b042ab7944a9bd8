from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from jobping.actors.lifesign import EVERY_S, FIRST_AFTER_S, Lifesign
from supervisors import ChildSpec
from tests.actors.rig import eventually, open_tree
from tests.doubles.asking import open_test_fetcher
from tests.doubles.fault_server import Behaviour, FaultServer, hang, open_fault_server, respond
from tests.doubles.postgres import Events


@asynccontextmanager
async def signing(
    behaviour: Behaviour, is_well: Callable[[], bool] = lambda: True
) -> AsyncIterator[tuple[FaultServer, Events, Callable[[], bool]]]:
    """Run the sign of life against a server on loopback."""
    events = Events()
    async with open_fault_server(behaviour) as server, open_test_fetcher() as fetcher:
        sign = Lifesign(
            url=server.url("/ping/secret"), fetcher=fetcher, is_well=is_well, emit=events
        )
        async with open_tree(ChildSpec(id="lifesign", start=sign.run)):
            yield server, events, lambda: fetcher.statistics().in_flight == 0


async def test_sign_is_given_again_and_again_while_all_is_well(clock: MockClock) -> None:
    well = True
    async with signing(respond(b"OK"), lambda: well) as (server, events, is_quiet):
        clock.jump(FIRST_AFTER_S - 1)
        await trio.sleep(0.05)
        assert server.requests == []
        clock.jump(1)
        await eventually(lambda: len(server.requests) == 1 and is_quiet())
        clock.jump(EVERY_S - 1)
        await trio.sleep(0.05)
        assert len(server.requests) == 1
        clock.jump(1)
        await eventually(lambda: len(server.requests) == 2 and is_quiet())
        well = False
        clock.jump(EVERY_S)
        await trio.sleep(0.05)
        assert len(server.requests) == 2
    assert {(one.method, one.target) for one in server.requests} == {("GET", "/ping/secret")}
    assert events.seen == []


@pytest.mark.parametrize("status", [404, 500, 403, 302])
async def test_failure_is_said_once_and_so_is_its_end(clock: MockClock, status: int) -> None:
    answers = [respond(b"", status=status)] * 3 + [respond(b"OK")] * 2

    async def in_order(stream: trio.abc.Stream, received: object) -> object:
        return await answers.pop(0)(stream, received)

    async with signing(in_order) as (server, events, is_quiet):
        clock.jump(FIRST_AFTER_S)
        for number in range(1, 6):
            await eventually(lambda n=number: len(server.requests) == n and is_quiet())
            clock.jump(EVERY_S)
            if not answers:
                break
    assert events.names() == ["lifesign.lost", "lifesign.regained"]
    assert "secret" not in str(events.seen)


async def test_address_that_never_answers_is_left_and_holds_up_no_stop(clock: MockClock) -> None:
    async with signing(hang()) as (server, events, is_quiet):
        clock.jump(FIRST_AFTER_S)
        await eventually(lambda: len(server.requests) == 1)
        clock.jump(20)
        await eventually(lambda: bool(events.seen) and is_quiet())
        clock.jump(EVERY_S)
        await eventually(lambda: len(server.requests) == 2)
        began = trio.current_time()
    assert trio.current_time() - began < 3
    assert [fields["why"] for _, fields in events.seen] == ["no answer in 20 s"]


async def test_nobody_is_told_where_no_address_is_named(autojump_clock: MockClock) -> None:
    async with open_test_fetcher() as fetcher:
        sign = Lifesign(url=None, fetcher=fetcher, is_well=lambda: True, emit=Events())
        async with open_tree(ChildSpec(id="lifesign", start=sign.run)):
            await trio.sleep(3 * EVERY_S)
        assert fetcher.statistics().requests == 0
