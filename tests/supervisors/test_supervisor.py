"""The running supervisor under a virtual clock; restarts are immediate unless a test says so."""

import math
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio
from trio.testing import MockClock

from supervisors import (
    BRUTAL_KILL,
    ActorStopped,
    AnyChildSpec,
    Backoff,
    ChildExited,
    ChildSpec,
    ChildState,
    ChildStateError,
    Context,
    Escalate,
    ExitKind,
    IgnoreStart,
    Intensity,
    Mailbox,
    NoSuchChild,
    Phase,
    Restart,
    RestartLimitExceeded,
    StartError,
    StopActor,
    StopOrder,
    StopTimedOut,
    Strategy,
    Supervisor,
    SupervisorSpec,
    SupervisorStopping,
)
from supervisors.testing import EventLog, ScriptedActor, settle

NOW = Backoff(base=0.0)


class Bench:
    """Actors a, b, c, ... under one supervisor."""

    def __init__(self, count: int, restart: Restart = Restart.PERMANENT) -> None:
        self.actors = {id: ScriptedActor() for id in "abcdefgh"[:count]}
        self.restart = restart
        self.log = EventLog()

    def __getitem__(self, id: str) -> ScriptedActor:
        return self.actors[id]

    def children(self, **changes: float) -> tuple[AnyChildSpec, ...]:
        return tuple(
            ChildSpec(id=id, start=actor.run, restart=self.restart, **changes)
            for id, actor in self.actors.items()
        )

    def starts(self) -> str:
        return " ".join(f"{id}{actor.starts}" for id, actor in self.actors.items())

    def supervisor(self, spec: SupervisorSpec) -> Supervisor:
        return Supervisor(spec, hook=self.log)

    @asynccontextmanager
    async def running(self, spec: SupervisorSpec) -> AsyncIterator[Supervisor]:
        root = self.supervisor(spec)
        async with trio.open_nursery() as nursery:
            await nursery.start(root.run)
            self.log.events.clear()
            yield root
            await root.stop()


def states(root: Supervisor) -> str:
    return " ".join(f"{child.id}:{child.state.value}" for child in root.snapshot().children)


# Start


async def test_children_start_in_order_each_ready_before_the_next(
    autojump_clock: MockClock,
) -> None:
    bench = Bench(3)
    bench["a"].start_delay = 2.0
    root = bench.supervisor(SupervisorSpec(children=bench.children()))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(root.run)
        await trio.sleep(1)
        assert bench.starts() == "a1 b0 c0"
        assert states(root) == "a:starting b:down c:down"
        await trio.sleep(2)
        assert bench.log.lines() == ["started root/a 1", "started root/b 1", "started root/c 1"]
        await root.stop()


async def test_failing_start_undoes_the_whole_tree_in_reverse(autojump_clock: MockClock) -> None:
    bench = Bench(4)
    bench["c"].fail_starts = 1
    root = bench.supervisor(SupervisorSpec(children=bench.children()))
    with pytest.raises(StartError) as caught:
        await root.run()
    assert caught.value.path == "root/c"
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert root.failure is caught.value
    assert bench.starts() == "a1 b1 c1 d0"
    assert bench.log.lines()[2:] == [
        "exited root/c 1 abnormal while starting",
        "exited root/b 1 shutdown while stopping",
        "exited root/a 1 shutdown while stopping",
    ]


async def test_start_past_its_time_fails_the_tree(autojump_clock: MockClock) -> None:
    bench = Bench(1)
    bench["a"].start_delay = math.inf
    root = bench.supervisor(SupervisorSpec(children=bench.children(start_timeout=3.0)))
    began = trio.current_time()
    with pytest.raises(StartError, match="not ready in time"):
        await root.run()
    assert trio.current_time() - began == pytest.approx(3.0)


async def test_start_without_a_time_limit_is_waited_for(autojump_clock: MockClock) -> None:
    bench = Bench(1)
    bench["a"].start_delay = 86_400.0
    async with bench.running(SupervisorSpec(children=bench.children(start_timeout=math.inf))):
        assert bench.starts() == "a1"


async def test_actor_that_returns_before_it_is_ready_has_failed_to_start(
    autojump_clock: MockClock,
) -> None:
    async def hasty(ctx: Context[object]) -> None:
        await trio.lowlevel.checkpoint()

    root = Supervisor(SupervisorSpec(children=(ChildSpec(id="a", start=hasty),)))
    with pytest.raises(StartError, match="before it was ready"):
        await root.run()


async def test_ignored_start_leaves_the_child_down_and_is_no_failure(
    autojump_clock: MockClock,
) -> None:
    async def nothing_to_do(ctx: Context[object]) -> None:
        raise IgnoreStart

    bench = Bench(1)
    spec = SupervisorSpec(children=(ChildSpec(id="x", start=nothing_to_do), *bench.children()))
    async with bench.running(spec) as root:
        assert states(root) == "x:down a:running"


async def test_readiness_can_be_said_only_once(autojump_clock: MockClock) -> None:
    async def eager(ctx: Context[object]) -> None:
        ctx.started()
        ctx.started()

    log = EventLog()
    spec = SupervisorSpec(
        children=(ChildSpec(id="a", start=eager, restart=Restart.TEMPORARY),), backoff=NOW
    )
    root = Supervisor(spec, hook=log)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(root.run)
        await settle()
        (exited,) = log.of(ChildExited)
        assert exited.exit.error is not None
        assert "said twice" in exited.exit.error
        await root.stop()


async def test_stop_interrupts_a_start_that_would_last_for_ever(
    autojump_clock: MockClock,
) -> None:
    bench = Bench(3)
    bench["b"].start_delay = math.inf
    root = bench.supervisor(SupervisorSpec(children=bench.children(start_timeout=math.inf)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(root.run)
        await trio.sleep(1)
        began = trio.current_time()
        report = await root.stop(reason="test")
        assert trio.current_time() == began
    assert bench.starts() == "a1 b1 c0"
    assert [child.path for child in report.children] == ["root/b", "root/a"]
    assert {child.exit.kind for child in report.children} == {ExitKind.SHUTDOWN}


async def test_stop_interrupts_the_start_of_an_inner_tree_in_order(
    autojump_clock: MockClock,
) -> None:
    bench = Bench(2)
    bench["a"].stop_delay = 1.0
    bench["b"].start_delay = math.inf
    inner = ChildSpec[object](
        id="in", start=SupervisorSpec(children=bench.children(start_timeout=math.inf))
    )
    root = bench.supervisor(SupervisorSpec(children=(inner,)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(root.run)
        await trio.sleep(1)
        report = await root.stop()
    assert report.took == pytest.approx(1.0)
    assert [(child.path, child.exit.kind) for child in report.children] == [
        ("root/in/b", ExitKind.SHUTDOWN),
        ("root/in/a", ExitKind.SHUTDOWN),
        ("root/in", ExitKind.SHUTDOWN),
    ]


async def test_stop_before_run_starts_nothing(autojump_clock: MockClock) -> None:
    bench = Bench(1)
    root = bench.supervisor(SupervisorSpec(children=bench.children()))
    root.request_stop(reason="early")
    assert (await root.run()).reason == "early"
    assert bench.starts() == "a0"


async def test_supervisor_runs_only_once(autojump_clock: MockClock) -> None:
    root = Supervisor(SupervisorSpec())
    root.request_stop()
    await root.run()
    with pytest.raises(RuntimeError, match="only once"):
        await root.run()


# Strategies and restart types


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Strategy.ONE_FOR_ONE, "a1 b2 c1"),
        (Strategy.REST_FOR_ONE, "a1 b2 c2"),
        (Strategy.ONE_FOR_ALL, "a2 b2 c2"),
    ],
)
async def test_crash_restarts_whom_the_strategy_says(
    strategy: Strategy, expected: str, autojump_clock: MockClock
) -> None:
    bench = Bench(3)
    spec = SupervisorSpec(children=bench.children(), strategy=strategy, backoff=NOW)
    async with bench.running(spec) as root:
        bench["b"].crash()
        await settle()
        assert bench.starts() == expected
        assert states(root) == "a:running b:running c:running"


async def test_rest_for_one_stops_in_reverse_then_starts_in_order(
    autojump_clock: MockClock,
) -> None:
    bench = Bench(4)
    spec = SupervisorSpec(children=bench.children(), strategy=Strategy.REST_FOR_ONE, backoff=NOW)
    async with bench.running(spec):
        bench["b"].crash()
        await settle()
        assert bench.log.take() == [
            "exited root/b 1 abnormal while running",
            "restarting root/b after attempt 0",
            "exited root/d 1 shutdown while stopping",
            "exited root/c 1 shutdown while stopping",
            "started root/b 2",
            "started root/c 2",
            "started root/d 2",
        ]


@pytest.mark.parametrize(
    ("restart", "crashed", "returned"),
    [
        (Restart.PERMANENT, "a2", "a2"),
        (Restart.TRANSIENT, "a2", "a1"),
        (Restart.TEMPORARY, "a1", "a1"),
    ],
)
async def test_restart_type_decides_what_an_end_leads_to(
    restart: Restart, crashed: str, returned: str, autojump_clock: MockClock
) -> None:
    for cue, expected in (("crash", crashed), ("finish", returned)):
        bench = Bench(1, restart)
        spec = SupervisorSpec(children=bench.children(), backoff=NOW)
        async with bench.running(spec) as root:
            getattr(bench["a"], cue)()
            await settle()
            assert bench.starts() == expected
            is_forgotten = restart is Restart.TEMPORARY
            assert len(root.snapshot().children) == (0 if is_forgotten else 1)


async def test_stop_actor_counts_as_a_normal_end(autojump_clock: MockClock) -> None:
    bench = Bench(1, Restart.TRANSIENT)
    async with bench.running(SupervisorSpec(children=bench.children(), backoff=NOW)) as root:
        bench["a"].crash(StopActor("nothing left to do"))
        await settle()
        assert states(root) == "a:down"
        last = root.snapshot().children[0].last_exit
        assert last is not None
        assert (last.kind, last.error) == (ExitKind.SHUTDOWN, "nothing left to do")


async def test_end_without_restart_has_no_group_effect(autojump_clock: MockClock) -> None:
    bench = Bench(3, Restart.TRANSIENT)
    spec = SupervisorSpec(children=bench.children(), strategy=Strategy.ONE_FOR_ALL, backoff=NOW)
    async with bench.running(spec) as root:
        bench["b"].finish()
        await settle()
        assert bench.starts() == "a1 b1 c1"
        assert states(root) == "a:running b:down c:running"


async def test_group_restart_brings_back_a_member_that_was_down_and_drops_a_temporary_one(
    autojump_clock: MockClock,
) -> None:
    bench = Bench(3)
    a, b, c = bench.actors.values()
    spec = SupervisorSpec(
        children=(
            ChildSpec(id="a", start=a.run),
            ChildSpec(id="b", start=b.run, restart=Restart.TRANSIENT),
            ChildSpec(id="c", start=c.run, restart=Restart.TEMPORARY),
        ),
        strategy=Strategy.REST_FOR_ONE,
        backoff=NOW,
    )
    async with bench.running(spec) as root:
        b.finish()
        await settle()
        a.crash()
        await settle()
        assert bench.starts() == "a2 b2 c1"
        assert states(root) == "a:running b:running"


@pytest.mark.parametrize(
    ("strategy", "survives"), [(Strategy.ONE_FOR_ALL, True), (Strategy.ONE_FOR_ONE, False)]
)
async def test_two_crashing_together_are_one_restart_only_in_a_group(
    strategy: Strategy, survives: bool, autojump_clock: MockClock
) -> None:
    bench = Bench(2)
    spec = SupervisorSpec(
        children=bench.children(),
        strategy=strategy,
        backoff=NOW,
        intensity=Intensity(max_restarts=1, period=5.0),
    )
    root = bench.supervisor(spec)
    gave_up = False
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            nonlocal gave_up
            try:
                await root.run()
            except RestartLimitExceeded:
                gave_up = True

        nursery.start_soon(run)
        await settle()
        bench["a"].crash()
        bench["b"].crash()
        await settle()
        assert gave_up is not survives
        if survives:
            assert bench.starts() == "a2 b2"
            await root.stop()


async def test_failing_restart_under_rest_for_one_continues_from_the_failing_child(
    autojump_clock: MockClock,
) -> None:
    bench = Bench(4)
    spec = SupervisorSpec(children=bench.children(), strategy=Strategy.REST_FOR_ONE, backoff=NOW)
    async with bench.running(spec):
        bench["c"].fail_starts = 2
        bench["b"].crash()
        await settle()
        assert bench.starts() == "a1 b2 c4 d2"


async def test_failing_restart_under_one_for_all_starts_the_whole_group_again(
    autojump_clock: MockClock,
) -> None:
    bench = Bench(3)
    spec = SupervisorSpec(children=bench.children(), strategy=Strategy.ONE_FOR_ALL, backoff=NOW)
    async with bench.running(spec):
        bench["b"].fail_starts = 1
        bench["c"].crash()
        await settle()
        assert bench.starts() == "a3 b3 c2"


async def test_crash_during_a_group_restart_restarts_the_larger_group_once(
    autojump_clock: MockClock,
) -> None:
    bench = Bench(3)
    spec = SupervisorSpec(children=bench.children(), strategy=Strategy.REST_FOR_ONE, backoff=NOW)
    async with bench.running(spec) as root:
        bench["c"].start_delay = 10.0
        bench["b"].crash()
        await trio.sleep(1)
        bench["a"].crash()
        await trio.sleep(12)
        assert bench.starts() == "a2 b3 c3"
        assert states(root) == "a:running b:running c:running"


# Intensity and backoff


async def test_supervisor_gives_up_past_the_limit_and_stops_the_others_in_reverse(
    autojump_clock: MockClock,
) -> None:
    bench = Bench(3)
    spec = SupervisorSpec(
        children=bench.children(), backoff=NOW, intensity=Intensity(max_restarts=2, period=5.0)
    )
    root = bench.supervisor(spec)
    caught: list[RestartLimitExceeded] = []

    async def run() -> None:
        try:
            await root.run()
        except RestartLimitExceeded as error:
            caught.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await settle()
        for _ in range(3):
            bench["b"].crash()
            await settle()
    (gave_up,) = caught
    assert (gave_up.path, gave_up.child) == ("root", "b")
    assert isinstance(gave_up.__cause__, RuntimeError)
    assert bench.starts() == "a1 b3 c1"
    assert bench.log.lines()[-4:] == [
        "exited root/b 3 abnormal while running",
        "limit of root/b exceeded after 2",
        "exited root/c 1 shutdown while stopping",
        "exited root/a 1 shutdown while stopping",
    ]


async def test_child_with_its_own_intensity_leaves_the_others_window_alone(
    autojump_clock: MockClock,
) -> None:
    bench = Bench(2)
    a, b = bench.actors.values()
    spec = SupervisorSpec(
        children=(
            ChildSpec(
                id="a", start=a.run, intensity=Intensity(max_restarts=50, period=60.0), backoff=NOW
            ),
            ChildSpec(id="b", start=b.run),
        ),
        backoff=NOW,
        intensity=Intensity(max_restarts=1, period=60.0),
    )
    async with bench.running(spec) as root:
        for _ in range(20):
            a.crash()
            await settle()
        b.crash()
        await settle()
        assert bench.starts() == "a21 b2"
        assert root.snapshot().restarts_in_window == 1


async def test_backoff_is_a_visible_state_that_doubles_and_resets(
    autojump_clock: MockClock,
) -> None:
    bench = Bench(1)
    backoff = Backoff(base=1.0, jitter=0.0, reset_after=60.0)
    spec = SupervisorSpec(
        children=bench.children(), backoff=backoff, intensity=Intensity(max_restarts=4, period=30)
    )
    async with bench.running(spec) as root:
        for expected in (1.0, 2.0, 4.0):
            bench["a"].crash()
            await settle()
            child = root.snapshot().children[0]
            assert child.state is ChildState.RESTARTING
            assert child.restart_in == pytest.approx(expected)
            await trio.sleep(expected + 0.1)
            assert root.snapshot().children[0].state is ChildState.RUNNING
        await trio.sleep(61)
        bench["a"].crash()
        await settle()
        assert root.snapshot().children[0].restart_in == pytest.approx(1.0)


async def test_stop_interrupts_a_backoff(autojump_clock: MockClock) -> None:
    bench = Bench(2)
    slow = Backoff(base=60.0, cap=60.0, jitter=0.0)
    spec = SupervisorSpec(
        children=bench.children(),
        backoff=slow,
        intensity=Intensity(max_restarts=1, period=100.0),
    )
    async with bench.running(spec) as root:
        bench["a"].crash()
        await settle()
        began = trio.current_time()
        report = await root.stop()
        assert trio.current_time() == began
        assert [child.path for child in report.children] == ["root/b"]


async def test_group_waits_for_the_backoff_with_its_dependants_stopped(
    autojump_clock: MockClock,
) -> None:
    bench = Bench(3)
    spec = SupervisorSpec(
        children=bench.children(),
        strategy=Strategy.REST_FOR_ONE,
        backoff=Backoff(base=2.0, jitter=0.0),
        intensity=Intensity(max_restarts=2, period=30.0),
    )
    async with bench.running(spec) as root:
        bench["b"].crash()
        await trio.sleep(1)
        assert states(root) == "a:running b:restarting c:restarting"
        await trio.sleep(1.1)
        assert states(root) == "a:running b:running c:running"


async def test_restarts_overlap_up_to_max_starting_under_one_for_one(
    autojump_clock: MockClock,
) -> None:
    bench = Bench(4)
    spec = SupervisorSpec(children=bench.children(), backoff=NOW, max_starting=2)
    async with bench.running(spec) as root:
        for actor in bench.actors.values():
            actor.start_delay = 1.0
            actor.crash()
        await settle()
        counted = Counter(child.state for child in root.snapshot().children)
        assert counted == {ChildState.STARTING: 2, ChildState.RESTARTING: 2}
        await trio.sleep(2.5)
        assert states(root) == "a:running b:running c:running d:running"


# Stop


async def test_stop_asks_the_children_in_reverse_order(autojump_clock: MockClock) -> None:
    bench = Bench(3)
    for actor in bench.actors.values():
        actor.stop_delay = 1.0
    root = bench.supervisor(SupervisorSpec(children=bench.children()))
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        report = await root.stop(reason="enough")
    assert report.reason == "enough"
    assert report.took == pytest.approx(3.0)
    assert [(child.path, round(child.took, 3)) for child in report.children] == [
        ("root/c", 1.0),
        ("root/b", 1.0),
        ("root/a", 1.0),
    ]


async def test_stop_in_parallel_takes_as_long_as_the_slowest(autojump_clock: MockClock) -> None:
    bench = Bench(3)
    for actor in bench.actors.values():
        actor.stop_delay = 1.0
    spec = SupervisorSpec(children=bench.children(), stop_order=StopOrder.PARALLEL)
    root = bench.supervisor(spec)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        assert (await root.stop()).took == pytest.approx(1.0)


async def test_child_that_ignores_the_request_is_cancelled_after_its_stop_timeout(
    autojump_clock: MockClock,
) -> None:
    bench = Bench(1)
    bench["a"].stop_delay = math.inf
    root = bench.supervisor(SupervisorSpec(children=bench.children(stop_timeout=5.0)))
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        report = await root.stop()
    (stopped,) = report.children
    assert stopped.took == pytest.approx(5.0)
    assert stopped.exit.kind is ExitKind.KILLED
    assert stopped.exit.error == "not stopped in time: requested"


async def test_cancelled_text_names_the_cause(autojump_clock: MockClock) -> None:
    reasons: list[str] = []

    async def stubborn(ctx: Context[object]) -> None:
        ctx.started()
        try:
            await trio.sleep_forever()
        except trio.Cancelled as cancelled:
            reasons.append(str(cancelled))
            raise

    bench = Bench(1)
    spec = SupervisorSpec(
        children=(*bench.children(), ChildSpec(id="x", start=stubborn)),
        strategy=Strategy.ONE_FOR_ALL,
        backoff=NOW,
    )
    async with bench.running(spec):
        bench["a"].crash()
        await trio.sleep(6)
    assert "one_for_all after a" in reasons[0]


async def test_brutal_kill_cancels_without_asking(autojump_clock: MockClock) -> None:
    asked: list[bool] = []

    async def child(ctx: Context[object]) -> None:
        ctx.started()
        try:
            await trio.sleep_forever()
        finally:
            asked.append(ctx.stop_requested.is_set())

    spec = SupervisorSpec(children=(ChildSpec(id="a", start=child, stop_timeout=BRUTAL_KILL),))
    root = Supervisor(spec)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        report = await root.stop()
    assert asked == [False]
    assert report.children[0].exit.kind is ExitKind.KILLED


async def test_brutally_killed_child_is_not_asked_by_a_second_stop_either(
    autojump_clock: MockClock,
) -> None:
    asked: list[bool] = []

    async def child(ctx: Context[object]) -> None:
        ctx.started()
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(2)
            asked.append(ctx.stop_requested.is_set())

    spec = SupervisorSpec(children=(ChildSpec(id="a", start=child, stop_timeout=BRUTAL_KILL),))
    root = Supervisor(spec)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        root.request_stop()
        await trio.sleep(1)
        await root.stop()
    assert asked == [False]


async def test_stop_timeout_of_zero_asks_first_and_then_kills(autojump_clock: MockClock) -> None:
    bench = Bench(1)
    bench["a"].stop_delay = 1.0
    root = bench.supervisor(SupervisorSpec(children=bench.children(stop_timeout=0.0)))
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        report = await root.stop()
    assert report.took == 0.0
    assert report.children[0].exit.kind is ExitKind.KILLED


async def test_infinite_stop_timeout_is_bounded_by_the_grace_period(
    autojump_clock: MockClock,
) -> None:
    bench = Bench(3)
    bench["c"].stop_delay = math.inf
    root = bench.supervisor(SupervisorSpec(children=bench.children(stop_timeout=math.inf)))
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        report = await root.stop(grace_period=7.0)
    assert report.took == pytest.approx(7.0)
    assert report.children[0].path == "root/c"
    assert {child.path for child in report.children} == {"root/a", "root/b", "root/c"}
    assert report.stuck == ()


async def test_shielded_child_is_named_stuck_and_does_not_hold_the_report(
    autojump_clock: MockClock,
) -> None:
    bench = Bench(2)
    bench["b"].stop_delay = math.inf
    bench["b"].shield = 1000.0
    root = bench.supervisor(SupervisorSpec(children=bench.children(stop_timeout=2.0)))
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        began = trio.current_time()
        report = await root.stop(grace_period=10.0)
        assert trio.current_time() - began == pytest.approx(10.0)
        (timed_out,) = bench.log.of(StopTimedOut)
        assert timed_out.path == "root/b"
        assert "trio.sleep(self.shield)" in timed_out.stack
        assert states(root) == "a:down b:stuck"
    assert report.stuck == ("root/b",)
    assert [child.path for child in report.children] == ["root/a"]


async def test_child_that_swallows_its_cancellation_is_reported_stuck(
    autojump_clock: MockClock,
) -> None:
    async def swallower(ctx: Context[object]) -> None:
        ctx.started()
        with suppress(trio.Cancelled):
            await trio.sleep_forever()
        with trio.CancelScope(shield=True):
            await trio.sleep(100)

    log = EventLog()
    spec = SupervisorSpec(children=(ChildSpec(id="a", start=swallower, stop_timeout=1.0),))
    root = Supervisor(spec, hook=log)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        report = await root.stop()
    assert [event.path for event in log.of(StopTimedOut)] == ["root/a"]
    assert report.children[0].exit.kind is ExitKind.KILLED


async def test_stuck_leaf_of_an_inner_tree_is_named_itself(autojump_clock: MockClock) -> None:
    bench = Bench(1)
    bench["a"].stop_delay = math.inf
    bench["a"].shield = 1000.0
    inner = SupervisorSpec(children=bench.children(stop_timeout=math.inf))
    root = bench.supervisor(SupervisorSpec(children=(ChildSpec[object](id="in", start=inner),)))
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        report = await root.stop(grace_period=3.0)
    assert {event.path for event in bench.log.of(StopTimedOut)} == {"root/in/a"}
    assert report.stuck == ("root/in/a",)


async def test_crash_while_stopping_is_reported_and_not_restarted(
    autojump_clock: MockClock,
) -> None:
    async def clumsy(ctx: Context[object]) -> None:
        ctx.started()
        await ctx.stop_requested.wait()
        raise RuntimeError("dropped it")

    spec = SupervisorSpec(children=(ChildSpec(id="a", start=clumsy),), backoff=NOW)
    log = EventLog()
    root = Supervisor(spec, hook=log)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        report = await root.stop()
    (exited,) = log.of(ChildExited)
    assert (exited.phase, exited.exit.kind) == (Phase.STOPPING, ExitKind.ABNORMAL)
    assert report.children[0].exit.error == "RuntimeError: dropped it"


async def test_second_stop_request_can_only_shorten_the_first(autojump_clock: MockClock) -> None:
    bench = Bench(1)
    bench["a"].stop_delay = math.inf
    root = bench.supervisor(SupervisorSpec(children=bench.children(stop_timeout=60.0)))
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        root.request_stop(reason="first", grace_period=50.0)
        await trio.sleep(1)
        report = await root.stop(reason="second", grace_period=4.0)
    assert report.reason == "first"
    assert report.took == pytest.approx(5.0)


async def test_stop_right_after_terminate_does_not_wait_twice(autojump_clock: MockClock) -> None:
    bench = Bench(2)
    bench["b"].stop_delay = 4.0
    root = bench.supervisor(SupervisorSpec(children=bench.children()))
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        nursery.start_soon(root.terminate_child, "b")
        await settle()
        assert (await root.stop()).took == pytest.approx(4.0)


async def test_requests_to_a_stopping_supervisor_are_refused_at_once(
    autojump_clock: MockClock,
) -> None:
    bench = Bench(2)
    bench["a"].stop_delay = 4.0
    root = bench.supervisor(SupervisorSpec(children=bench.children()))
    extra = ScriptedActor()
    with pytest.raises(SupervisorStopping):
        await root.start_child(ChildSpec(id="x", start=extra.run))
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        root.request_stop()
        await settle()
        began = trio.current_time()
        with pytest.raises(SupervisorStopping):
            await root.start_child(ChildSpec(id="x", start=extra.run))
        with pytest.raises(SupervisorStopping):
            await root.terminate_child("a")
        assert trio.current_time() == began
    with pytest.raises(SupervisorStopping):
        await root.restart_child("a")


@pytest.mark.parametrize("is_over", [False, True])
async def test_callers_that_a_stop_refuses_get_an_error_each(
    is_over: bool, autojump_clock: MockClock
) -> None:
    root = Supervisor(SupervisorSpec())
    errors: list[SupervisorStopping] = []

    async def add(name: str) -> None:
        child = ChildSpec(id=name, start=ScriptedActor(start_delay=9.0).run)
        with pytest.raises(SupervisorStopping) as caught:
            await root.start_child(child)
        errors.append(caught.value)

    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        if is_over:
            root.request_stop()
        for name in "abc":
            nursery.start_soon(add, name)
        await settle()
        root.request_stop()
    assert len({id(error) for error in errors}) == 3


# Nesting


async def test_inner_supervisor_that_gives_up_is_restarted_with_its_static_children(
    autojump_clock: MockClock,
) -> None:
    bench = Bench(2)
    inner = SupervisorSpec(
        children=bench.children(),
        backoff=NOW,
        intensity=Intensity(max_restarts=0, period=5.0),
    )
    outer = SupervisorSpec(children=(ChildSpec[object](id="in", start=inner),), backoff=NOW)
    async with bench.running(outer) as root:
        extra = ScriptedActor()
        await root.nested("root/in").start_child(ChildSpec(id="x", start=extra.run))
        bench["a"].crash()
        await settle()
        assert bench.starts() == "a2 b2"
        assert extra.starts == 1
        (tree,) = [child.tree for child in root.snapshot().children]
        assert tree is not None
        assert [child.path for child in tree.children] == ["root/in/a", "root/in/b"]
        assert root.snapshot().children[0].incarnation == 2


async def test_static_child_gets_its_mailbox_back_from_one_that_took_its_place(
    autojump_clock: MockClock,
) -> None:
    static, added, other = ScriptedActor(), ScriptedActor(), ScriptedActor()
    own, foreign = Mailbox[object](), Mailbox[object]()
    inner = SupervisorSpec(
        children=(
            ChildSpec(id="a", start=static.run, mailbox=own),
            ChildSpec(id="b", start=other.run),
        ),
        intensity=Intensity(max_restarts=0),
    )
    root = Supervisor(
        SupervisorSpec(children=(ChildSpec[object](id="in", start=inner),), backoff=NOW)
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        nested = root.nested("root/in")
        await nested.terminate_child("a")
        await nested.delete_child("a")
        await nested.start_child(ChildSpec(id="a", start=added.run, mailbox=foreign))
        other.crash()
        await settle()
        own.ref.tell("hello")
        await settle()
        assert static.received == ["hello"]
        with pytest.raises(ActorStopped):
            foreign.ref.tell("hello")
        await root.stop()


async def test_inner_supervisor_that_gives_up_counts_as_abnormal_for_its_parent(
    autojump_clock: MockClock,
) -> None:
    bench = Bench(1)
    inner = SupervisorSpec(
        children=bench.children(), backoff=NOW, intensity=Intensity(max_restarts=0)
    )
    child = ChildSpec[object](id="in", start=inner, restart=Restart.TRANSIENT)
    async with bench.running(SupervisorSpec(children=(child,), backoff=NOW)):
        bench["a"].crash()
        await settle()
        exited = bench.log.of(ChildExited)[-1]
        assert (exited.path, exited.exit.kind) == ("root/in", ExitKind.ABNORMAL)
        assert bench.starts() == "a2"


async def test_nested_supervisor_is_found_only_while_it_runs(autojump_clock: MockClock) -> None:
    bench = Bench(1)
    inner = ChildSpec[object](id="in", start=SupervisorSpec(children=bench.children()))
    async with bench.running(SupervisorSpec(children=(inner,))) as root:
        assert root.nested("root/in").path == "root/in"
        with pytest.raises(NoSuchChild):
            root.nested("root/in/a")
        await root.terminate_child("in")
        with pytest.raises(NoSuchChild):
            root.nested("root/in")


async def test_nested_supervisor_that_the_root_gave_up_over_is_not_found(
    autojump_clock: MockClock,
) -> None:
    class Strict:
        def decide(self, exited: ChildExited, error: Exception | None) -> Escalate:
            return Escalate(reason="no end is borne")

    bench = Bench(1)
    fragile = SupervisorSpec(children=bench.children(), policy=Strict())
    inner = ChildSpec[object](id="in", start=fragile, restart=Restart.TEMPORARY)
    root = bench.supervisor(SupervisorSpec(children=(inner,), policy=Strict()))

    async def crash() -> None:
        await settle()
        bench["a"].crash()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(crash)
        with pytest.raises(RestartLimitExceeded):
            await root.run()
    with pytest.raises(NoSuchChild):
        root.nested("root/in")


# Requests


async def test_start_child_appends_a_child_and_waits_until_it_is_ready(
    autojump_clock: MockClock,
) -> None:
    bench = Bench(1)
    extra = ScriptedActor(start_delay=2.0)
    async with bench.running(SupervisorSpec(children=bench.children())) as root:
        ref = await root.start_child(ChildSpec(id="x", start=extra.run))
        assert ref.path == "root/x"
        assert states(root) == "a:running x:running"
        with pytest.raises(ChildStateError) as caught:
            await root.start_child(ChildSpec(id="x", start=extra.run))
        assert caught.value.state is ChildState.RUNNING


async def test_start_child_forgets_a_child_whose_start_fails(autojump_clock: MockClock) -> None:
    bench = Bench(1)
    extra = ScriptedActor(fail_starts=1)
    async with bench.running(SupervisorSpec(children=bench.children())) as root:
        with pytest.raises(StartError, match="start failed on cue"):
            await root.start_child(ChildSpec(id="x", start=extra.run))
        assert states(root) == "a:running"
        await root.start_child(ChildSpec(id="x", start=extra.run))
        assert states(root) == "a:running x:running"


async def test_terminate_child_is_no_crash_and_keeps_the_spec(autojump_clock: MockClock) -> None:
    bench = Bench(3)
    spec = SupervisorSpec(
        children=bench.children(),
        strategy=Strategy.ONE_FOR_ALL,
        backoff=NOW,
        intensity=Intensity(max_restarts=0),
    )
    async with bench.running(spec) as root:
        await root.terminate_child("b")
        await root.terminate_child("b")
        assert states(root) == "a:running b:down c:running"
        await root.restart_child("b")
        assert bench.starts() == "a1 b2 c1"
        with pytest.raises(ChildStateError):
            await root.restart_child("b")
        with pytest.raises(ChildStateError):
            await root.delete_child("b")
        await root.terminate_child("b")
        await root.delete_child("b")
        assert states(root) == "a:running c:running"
        for request in (root.terminate_child, root.restart_child, root.delete_child):
            with pytest.raises(NoSuchChild):
                await request("b")


async def test_terminate_child_cancels_a_pending_restart(autojump_clock: MockClock) -> None:
    bench = Bench(1)
    spec = SupervisorSpec(
        children=bench.children(), backoff=Backoff(base=5.0), intensity=Intensity(max_restarts=1)
    )
    async with bench.running(spec) as root:
        bench["a"].crash()
        await settle()
        assert states(root) == "a:restarting"
        await root.terminate_child("a")
        await trio.sleep(100)
        assert (states(root), bench.starts()) == ("a:down", "a1")


async def test_terminated_offender_leaves_those_that_wait_for_it_down(
    autojump_clock: MockClock,
) -> None:
    bench = Bench(3)
    spec = SupervisorSpec(
        children=bench.children(),
        strategy=Strategy.REST_FOR_ONE,
        backoff=Backoff(base=5.0),
        intensity=Intensity(max_restarts=1),
    )
    async with bench.running(spec) as root:
        bench["b"].crash()
        await settle()
        await root.terminate_child("b")
        await trio.sleep(100)
        assert states(root) == "a:running b:down c:down"


async def test_restart_child_whose_start_fails_stays_down(autojump_clock: MockClock) -> None:
    bench = Bench(1)
    async with bench.running(SupervisorSpec(children=bench.children())) as root:
        await root.terminate_child("a")
        bench["a"].fail_starts = 1
        with pytest.raises(StartError):
            await root.restart_child("a")
        assert states(root) == "a:down"
        assert root.snapshot().restarts_in_window == 0


async def test_child_spec_is_readable_by_id(autojump_clock: MockClock) -> None:
    bench = Bench(1)
    async with bench.running(SupervisorSpec(children=bench.children())) as root:
        assert root.child_spec("a").id == "a"
        with pytest.raises(NoSuchChild):
            root.child_spec("z")


async def test_hook_that_raises_harms_nobody_and_is_counted(autojump_clock: MockClock) -> None:
    def hook(event: object) -> None:
        raise ValueError("no disk")

    bench = Bench(2)
    root = Supervisor(SupervisorSpec(children=bench.children()), hook=hook)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        assert root.snapshot().hook_failures == 2
        await root.stop()


async def test_snapshot_counts_the_children(autojump_clock: MockClock) -> None:
    bench = Bench(2, Restart.TRANSIENT)
    inner = ChildSpec[object](id="in", start=SupervisorSpec())
    async with bench.running(SupervisorSpec(children=(*bench.children(), inner))) as root:
        bench["a"].finish()
        await settle()
        counts = root.snapshot().counts
        assert (counts.specs, counts.active, counts.supervisors, counts.workers) == (3, 2, 1, 2)
