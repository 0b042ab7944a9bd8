"""Actors that hang: the one is named, ended and started again, and the others notice nothing."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import trio
from trio.testing import MockClock

from jobping.actors.degradation import Place
from jobping.actors.messages import DegradationMessage, ScraperMessage
from jobping.actors.operator import Generation, Operator
from jobping.actors.statistics import Sample
from jobping.actors.work import STEP_S, Work
from jobping.control import NAME, ask_daemon
from jobping.errors import DaemonAway
from supervisors import (
    ActorFunction,
    ChildExited,
    ChildSpec,
    Context,
    ExitKind,
    HealthState,
    Mailbox,
    StopTimedOut,
    Supervisor,
    SupervisorSpec,
)
from supervisors.testing import EventLog
from tests.actors.test_degradation import OTHER, SITE, Stage, board, degrading

MAX_IDLE_S = 30.0  # half the unit's watchdog
HOUR_S = 3_600.0


async def well(ctx: Context[ScraperMessage]) -> None:
    """Wait as a domain's actor does: for messages, and for the next poll in hours."""
    ctx.started()
    with ctx.busy(STEP_S) as promise:
        work = Work(promise=promise)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer, ctx, nursery)
            while True:
                await work.wait_until(trio.current_time() + 5 * HOUR_S)


async def answer(ctx: Context[ScraperMessage], nursery: trio.Nursery) -> None:
    async for _ in ctx.inbox:
        pass
    nursery.cancel_scope.cancel()


def with_one(domain: str, hang: ActorFunction[ScraperMessage]) -> Any:
    """Return what makes the actors: one that hangs, and others that are well."""

    def make(place: Place) -> ActorFunction[ScraperMessage]:
        return hang if place.domain == domain else well

    return make


async def test_domain_that_hangs_is_started_again_alone(autojump_clock: MockClock) -> None:
    async def hang(ctx: Context[ScraperMessage]) -> None:
        ctx.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer, ctx, nursery)
            work = Work()
            with ctx.busy(STEP_S) as work.promise:
                await work.wait_until(trio.current_time() + HOUR_S)
                await trio.sleep_forever()  # a request that no deadline ends, for instance

    log, stage = EventLog(), Stage(rows=[board(1, SITE), board(2, OTHER)])
    make = with_one(SITE, hang)
    async with degrading(stage.active_boards, make, log=log, max_idle=MAX_IDLE_S) as (_, tree):
        await trio.sleep(HOUR_S)
        assert log.of(ChildExited) == []
        await trio.sleep(STEP_S + MAX_IDLE_S + 1)
        (exited,) = log.of(ChildExited)
        assert exited.path == f"domains/{SITE}"
        assert exited.exit.kind is ExitKind.KILLED
        assert (exited.exit.error or "").startswith("no progress for 1")
        assert tree.health().state is HealthState.OK
        await trio.sleep(4 * HOUR_S)
        assert {one.path for one in log.of(ChildExited)} == {f"domains/{SITE}"}


async def test_domain_that_cannot_be_ended_makes_the_whole_hang_and_is_named(
    autojump_clock: MockClock,
) -> None:
    async def stuck(ctx: Context[ScraperMessage]) -> None:
        if released.is_set():
            return await well(ctx)
        ctx.started()
        with trio.CancelScope(shield=True):
            return await released.wait()

    released = trio.Event()
    log, stage = EventLog(), Stage(rows=[board(1, SITE), board(2, OTHER)])
    make = with_one(SITE, stuck)
    async with degrading(stage.active_boards, make, log=log, max_idle=MAX_IDLE_S) as (_, tree):
        await trio.sleep(60.0)
        assert log.of(StopTimedOut)[0].path == f"domains/{SITE}"
        await trio.sleep(120.0)
        health = tree.health()
        assert (health.state, health.paths) == (HealthState.STALLED, ("root/degradation",))
        released.set()
        await trio.sleep(30.0)
        assert tree.health().state is HealthState.OK


async def test_control_socket_that_somebody_removes_is_made_anew(home: Path) -> None:
    async def look() -> Sample:
        raise AssertionError("nobody asks for the figures")

    box: Mailbox[DegradationMessage] = Mailbox()
    operator = Operator(
        directory=home,
        run_id="run-1",
        look=look,
        degradation=box.ref,
        generation=Generation,
        reload=lambda: None,
        look_every_s=0.1,
    )
    log = EventLog()
    root = Supervisor(
        SupervisorSpec(children=(ChildSpec(id="control", start=operator.run, max_idle=1.0),)),
        hook=log,
    )

    async def ask() -> Mapping[str, Any]:
        return await trio.to_thread.run_sync(ask_daemon, (home,), {"ask": "generation"})

    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        assert (await ask())["number"] == 1
        await trio.sleep(0.5)
        assert log.of(ChildExited) == []
        (home / NAME).unlink()
        with trio.fail_after(30):
            while not log.of(ChildExited):  # noqa: ASYNC110  the log offers no event
                await trio.sleep(0.05)
            while True:
                with contextlib.suppress(DaemonAway):
                    assert (await ask())["number"] == 1
                    break
                await trio.sleep(0.05)
        assert (log.of(ChildExited)[0].exit.error or "").startswith("DaemonAway")
        await root.stop()
