"""Progress, stalls and health: an actor that hangs is found, named and replaced."""

import math

import pytest
import trio
from trio.testing import MockClock

from supervisors import (
    Abandon,
    Backoff,
    ChildExited,
    ChildSpec,
    ChildState,
    Context,
    ExitKind,
    Health,
    HealthState,
    Intensity,
    OnLimit,
    Phase,
    Restart,
    RestartPolicy,
    StopTimedOut,
    Supervisor,
    SupervisorSpec,
    Verdict,
)
from supervisors.testing import EventLog, ScriptedActor, settle

NOW = Backoff(base=0.0)
WELL = Health(state=HealthState.OK, paths=(), loop_lag=0.0)


class Plodder:
    """Beats at every step of a plan of pauses, then hangs."""

    def __init__(self, *pauses: float, busy: float = 0.0, shield: float = 0.0) -> None:
        self.pauses = pauses
        self.busy = busy
        self.shield = shield

    async def run(self, ctx: Context[object]) -> None:
        ctx.started()
        if self.busy:
            with ctx.busy(until=trio.current_time() + self.busy):
                await trio.sleep(self.busy - 1)
        for pause in self.pauses:
            await trio.sleep(pause)
            ctx.beat()
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(self.shield)


def tree(plodder: Plodder, log: EventLog, *, critical: bool = True) -> Supervisor:
    child = ChildSpec(id="p", start=plodder.run, max_idle=10.0, critical=critical, stop_timeout=2.0)
    return Supervisor(SupervisorSpec(children=(child,), backoff=NOW), hook=log)


async def test_child_without_progress_is_killed_and_its_policy_asked(
    autojump_clock: MockClock,
) -> None:
    log = EventLog()
    root = tree(Plodder(), log)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await trio.sleep(9.9)
        assert log.of(ChildExited) == []
        await trio.sleep(0.2)
        (exited,) = log.of(ChildExited)
        assert (exited.exit.kind, exited.phase) == (ExitKind.KILLED, Phase.RUNNING)
        assert exited.exit.error == "no progress for 10 s"
        assert exited.wants_restart
        assert log.lines()[-1] == "started root/p 2"
        assert root.health() == WELL
        await root.stop()


async def test_progress_puts_the_kill_off(autojump_clock: MockClock) -> None:
    log = EventLog()
    root = tree(Plodder(9.0, 9.0, 9.0), log)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await trio.sleep(36.9)
        assert log.of(ChildExited) == []
        await trio.sleep(0.2)
        assert len(log.of(ChildExited)) == 1
        await root.stop()


async def test_long_job_that_was_announced_is_no_stall(autojump_clock: MockClock) -> None:
    log = EventLog()
    root = tree(Plodder(busy=100.0), log)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await trio.sleep(108.0)
        assert log.of(ChildExited) == []
        await trio.sleep(2.0)
        assert len(log.of(ChildExited)) == 1
        await root.stop()


async def test_next_incarnation_is_watched_as_well(autojump_clock: MockClock) -> None:
    log = EventLog()
    root = tree(Plodder(), log)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await trio.sleep(20.5)
        assert [exited.incarnation for exited in log.of(ChildExited)] == [1, 2]
        await root.stop()


async def test_stalled_child_that_shields_itself_is_stuck_and_makes_the_tree_stalled(
    autojump_clock: MockClock,
) -> None:
    log = EventLog()
    root = tree(Plodder(shield=50.0), log)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await trio.sleep(13.0)
        (stuck,) = log.of(StopTimedOut)
        assert "sleep" in stuck.stack
        assert root.snapshot().children[0].state is ChildState.STUCK
        assert root.health(loop_lag=0.5) == Health(
            state=HealthState.STALLED, paths=("root/p",), loop_lag=0.5
        )
        await trio.sleep(50.0)
        assert log.lines()[-1] == "started root/p 2"
        assert root.health() == WELL
        await root.stop(grace_period=0.0)


async def test_stuck_child_that_is_not_critical_only_degrades_the_tree(
    autojump_clock: MockClock,
) -> None:
    root = tree(Plodder(shield=50.0), EventLog(), critical=False)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await trio.sleep(13.0)
        assert root.health().state is HealthState.DEGRADED
        await trio.sleep(50.0)
        await root.stop(grace_period=0.0)


class AbandonAll:
    """Lets everybody stay down."""

    def decide(self, exited: ChildExited, error: Exception | None) -> Verdict:
        return Abandon()


async def test_health_names_whoever_waits_for_a_restart_or_ended_badly(
    autojump_clock: MockClock,
) -> None:
    paused, dropped, well = ScriptedActor(), ScriptedActor(), ScriptedActor()
    inner = SupervisorSpec(
        children=(ChildSpec(id="paused", start=paused.run),),
        intensity=Intensity(max_restarts=0, period=60.0),
        policy=RestartPolicy(on_limit=OnLimit.PAUSE, cooldown=30.0),
    )
    root = Supervisor(
        SupervisorSpec(
            children=(
                ChildSpec[object](id="in", start=inner),
                ChildSpec(id="dropped", start=dropped.run, restart=Restart.TRANSIENT),
                ChildSpec(id="well", start=well.run, restart=Restart.TRANSIENT),
            ),
            intensity=Intensity(max_restarts=0),
            policy=AbandonAll(),
        )
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        assert root.health() == WELL
        paused.crash()
        dropped.crash()
        well.finish()
        await settle()
        health = root.health()
        assert health.state is HealthState.DEGRADED
        assert health.paths == ("root/in/paused", "root/dropped")
        await trio.sleep(40.0)
        assert root.health().paths == ("root/dropped",)
        await root.stop()


async def test_child_that_is_not_watched_may_be_idle_for_ever(autojump_clock: MockClock) -> None:
    idle = ScriptedActor()
    log = EventLog()
    root = Supervisor(SupervisorSpec(children=(ChildSpec(id="a", start=idle.run),)), hook=log)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await trio.sleep(86_000.0)
        assert log.of(ChildExited) == []
        assert root.health() == WELL
        await root.stop()


@pytest.mark.parametrize("max_idle", [0.0, -1.0, math.inf, math.nan])
def test_impossible_idle_times_are_refused(max_idle: float) -> None:
    with pytest.raises(ValueError, match="max_idle"):
        ChildSpec(id="a", start=ScriptedActor().run, max_idle=max_idle)


def test_idle_time_of_a_supervisor_is_refused() -> None:
    with pytest.raises(ValueError, match="max_idle"):
        ChildSpec[object](id="a", start=SupervisorSpec(), max_idle=5.0)
