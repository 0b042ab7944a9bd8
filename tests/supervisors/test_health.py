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
    HealthChanged,
    HealthState,
    Intensity,
    LifeWithheld,
    OnLimit,
    Phase,
    Restart,
    RestartPolicy,
    StopTimedOut,
    Supervisor,
    SupervisorSpec,
    Verdict,
    run_daemon,
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
            with ctx.busy(self.busy):
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


async def test_promise_of_one_task_counts_while_another_waits_for_messages(
    autojump_clock: MockClock,
) -> None:
    async def twofold(ctx: Context[object]) -> None:
        ctx.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work, ctx)
            async for _ in ctx.inbox:
                pass

    async def work(ctx: Context[object]) -> None:
        with ctx.busy(math.inf) as promise:
            await trio.sleep(100.0)  # longer than any look of the supervisor
            for _ in range(3):
                promise.renew(4.0)
                await trio.sleep(3.0)
        with ctx.busy(30.0):
            await trio.sleep_forever()

    log = EventLog()
    child = ChildSpec(id="w", start=twofold, max_idle=10.0)
    root = Supervisor(SupervisorSpec(children=(child,), backoff=NOW), hook=log)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await trio.sleep(138.9)
        assert log.of(ChildExited) == []
        await trio.sleep(10.2)
        (exited,) = log.of(ChildExited)
        assert exited.exit.kind is ExitKind.KILLED
        assert (exited.exit.error or "").startswith("no progress for 3")
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


async def test_waiting_for_messages_is_no_stall_and_work_after_it_has_its_whole_time(
    autojump_clock: MockClock,
) -> None:
    async def worker(ctx: Context[float]) -> None:
        ctx.started()
        while True:
            with trio.move_on_after(100.0):
                if await anext(ctx.inbox, None) is None:
                    return
            await trio.sleep(9.0)
            ctx.beat()
            await trio.sleep(20.0 if trio.current_time() > 200.0 else 0.0)

    log = EventLog()
    child = ChildSpec(id="w", start=worker, max_idle=10.0, stop_timeout=2.0)
    root = Supervisor(SupervisorSpec(children=(child,), backoff=NOW), hook=log)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await trio.sleep(227.0)
        assert log.of(ChildExited) == []
        await trio.sleep(2.0)
        assert [exited.exit.kind for exited in log.of(ChildExited)] == [ExitKind.KILLED]
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


class Notes:
    """A notifier that keeps what it is told, with the time."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(f"{trio.current_time():g} {text}")

    def ready(self) -> None:
        self.note("ready")

    def alive(self) -> None:
        self.note("alive")

    def extend(self, seconds: float) -> None:
        self.note("extend")

    def status(self, text: str) -> None:
        self.note(text)

    def stopping(self, reason: str) -> None:
        self.note(f"stopping by {reason}")


async def test_notifier_hears_of_life_only_while_every_critical_child_makes_progress(
    autojump_clock: MockClock,
) -> None:
    log = EventLog()
    root = tree(Plodder(shield=20.0), log)
    notes = Notes()
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            await run_daemon(root, grace_period=1.0, notifier=notes, heartbeat=4.0)

        nursery.start_soon(run)
        await trio.sleep(34.5)
        nursery.cancel_scope.cancel()
    assert notes.said == [
        "0 extend",
        "0 ready",
        "4 alive",
        "8 alive",
        "12 stalled root/p",  # no progress since 0, cancelled at 10, and it goes on
        "32 ok",
        "32 alive",
    ]
    assert [(e.before, e.after, e.paths) for e in log.of(HealthChanged)] == [
        (HealthState.OK, HealthState.STALLED, ("root/p",)),
        (HealthState.STALLED, HealthState.OK, ()),
    ]
    assert log.of(LifeWithheld) == [LifeWithheld(paths=("root/p",), silent=4.0)]


async def test_notifier_hears_of_no_life_before_readiness_nor_from_a_late_loop(
    mock_clock: MockClock,
) -> None:
    slow = ScriptedActor(start_delay=10.0)
    notes = Notes()
    root = Supervisor(SupervisorSpec(children=(ChildSpec(id="a", start=slow.run),)))
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            await run_daemon(root, grace_period=1.0, notifier=notes, heartbeat=4.0)

        nursery.start_soon(run)
        for seconds in (4.0, 6.0, 4.0, 9.0, 4.0):
            await settle()
            mock_clock.jump(seconds)
        await settle()
        nursery.cancel_scope.cancel()
    # the look that was due at 18 came at 23: the loop had hung for longer than a heartbeat
    starting = ["4 extend", "10 extend", "10 extend", "10 ready"]
    assert notes.said == [*starting, "14 alive", "27 alive"]
