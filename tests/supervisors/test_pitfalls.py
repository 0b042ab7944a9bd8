"""Mistakes of other supervisors, and traps of Trio, that show nowhere else in the tests."""

import math
import threading
from functools import partial
from random import Random

import pytest
import trio
from trio.testing import MockClock

from supervisors import (
    Actor,
    ActorStopped,
    Backoff,
    ChildExited,
    ChildSpec,
    ChildState,
    Context,
    Intensity,
    Mailbox,
    MailboxFull,
    OnLimit,
    RestartLimitExceeded,
    RestartPolicy,
    StartError,
    StopOrder,
    StopTimedOut,
    Supervisor,
    SupervisorSpec,
    actor,
    run_daemon,
)
from supervisors.testing import EventLog, ScriptedActor, settle

NOW = Backoff(base=0.0)


def children(*actors: ScriptedActor, **changes: float) -> tuple[ChildSpec[object], ...]:
    return tuple(
        ChildSpec(id=id, start=scripted.run, **changes)
        for id, scripted in zip("abcdef", actors, strict=False)
    )


async def crash_at_once(ctx: Context[object]) -> None:
    ctx.started()
    raise RuntimeError("no luck")


async def return_at_once(ctx: Context[object]) -> None:
    ctx.started()


# Restarts


# erlang/otp#1287, omgnetwork/elixir-omg#1565: a backoff treats symptoms, the limit stays
async def test_limit_holds_where_a_backoff_slows_the_crashes(autojump_clock: MockClock) -> None:
    child = ChildSpec(id="a", start=crash_at_once)
    root = Supervisor(SupervisorSpec(children=(child,), backoff=Backoff(jitter=0.0)))
    began = trio.current_time()
    with trio.fail_after(600), pytest.raises(RestartLimitExceeded):
        await root.run()
    assert trio.current_time() - began == pytest.approx(0.5 + 1 + 2 + 4 + 8)


# vjt/grappa-irc#2005: with 3 in 5 s left at the root, a few flaps were the end of the node
async def test_default_limit_bears_a_burst_of_five(autojump_clock: MockClock) -> None:
    scripted = ScriptedActor()
    root = Supervisor(SupervisorSpec(children=children(scripted), backoff=NOW))
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        for _ in range(5):
            scripted.crash()
            await settle()
        assert scripted.starts == 6
        await root.stop()


# apache/pekko resets after (min + max) / 2, so that a slow flapping never backs off
async def test_backoff_is_not_reset_before_its_time(autojump_clock: MockClock) -> None:
    scripted = ScriptedActor()
    backoff = Backoff(base=1.0, cap=60.0, jitter=0.0, reset_after=60.0)
    spec = SupervisorSpec(
        children=children(scripted), backoff=backoff, intensity=Intensity(max_restarts=4, period=30)
    )
    root = Supervisor(spec)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        scripted.crash()
        await trio.sleep(1 + 59)
        scripted.crash()
        await settle()
        assert root.snapshot().children[0].restart_in == pytest.approx(2.0)
        await root.stop()


# thejerf/suture: all services resume at the same moment after a pause
async def test_paused_children_do_not_resume_together(autojump_clock: MockClock) -> None:
    actors = [ScriptedActor() for _ in range(3)]
    spec = SupervisorSpec(
        children=children(*actors),
        backoff=NOW,
        intensity=Intensity(max_restarts=0, period=5.0),
        policy=RestartPolicy(on_limit=OnLimit.PAUSE, cooldown=20.0, rng=Random(1)),
    )
    root = Supervisor(spec)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        for scripted in actors:
            scripted.crash()
        await settle()
        waits = [child.restart_in or 0.0 for child in root.snapshot().children]
        assert min(waits) >= 20.0
        assert len(set(waits)) == 3
        await root.stop()


# python-trio/trio#3192: an empty nursery makes no checkpoint, and a loop of them never ends
async def test_restart_loop_without_a_checkpoint_can_be_cancelled() -> None:
    child = ChildSpec(id="a", start=return_at_once)
    spec = SupervisorSpec(
        children=(child,), backoff=NOW, intensity=Intensity(max_restarts=10**6, period=0.001)
    )
    with trio.move_on_after(0.05) as scope:
        await Supervisor(spec).run()
    assert scope.cancelled_caught


# python-trio/trio#3192: what has much to do must let the others have their turns
async def test_supervisor_lets_others_run_between_two_requests(autojump_clock: MockClock) -> None:
    root = Supervisor(SupervisorSpec(children=children(ScriptedActor())))
    turns = 0
    answered_at: list[int] = []

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async def terminate() -> None:
        await root.terminate_child("a")
        answered_at.append(turns)

    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await root.terminate_child("a")
        async with trio.open_nursery() as counting:
            counting.start_soon(count)
            async with trio.open_nursery() as requests:
                for _ in range(50):
                    requests.start_soon(terminate)
            counting.cancel_scope.cancel()
        assert max(answered_at) - min(answered_at) > 40
        await root.stop()


# Starts


# goodboy/tractor#88: a start that fails half-way leaves nothing behind
async def test_start_that_overruns_its_time_leaves_nothing_behind(
    autojump_clock: MockClock,
) -> None:
    slow = ScriptedActor(start_delay=math.inf)
    mailbox = Mailbox[object]()
    spec = ChildSpec(id="a", start=slow.run, mailbox=mailbox, start_timeout=2.0)
    root = Supervisor(SupervisorSpec())
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        tasks = trio.lowlevel.current_statistics().tasks_living
        with pytest.raises(StartError, match="not ready in time"):
            await root.start_child(spec)
        assert root.snapshot().children == ()
        assert trio.lowlevel.current_statistics().tasks_living == tasks
        with pytest.raises(ActorStopped):
            mailbox.ref.tell("hello")
        slow.start_delay = 0.0
        await root.start_child(spec)
        mailbox.ref.tell("hello")
        await root.stop()


# `move_on_after` around `nursery.start` cancels the child, whoever else may count on it
async def test_child_stays_when_the_caller_of_start_child_gives_up(
    autojump_clock: MockClock,
) -> None:
    root = Supervisor(SupervisorSpec())
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        with trio.move_on_after(1) as scope:
            await root.start_child(ChildSpec(id="a", start=ScriptedActor(start_delay=5).run))
        assert scope.cancelled_caught
        await trio.sleep(5)
        assert [child.state for child in root.snapshot().children] == [ChildState.RUNNING]
        await root.stop()


# A request whose caller has gone is answered all the same, and forgotten
async def test_child_ends_when_the_caller_of_terminate_child_gives_up(
    autojump_clock: MockClock,
) -> None:
    root = Supervisor(SupervisorSpec(children=children(ScriptedActor(stop_delay=3.0))))
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        with trio.move_on_after(1):
            await root.terminate_child("a")
        await trio.sleep(3)
        assert [child.state for child in root.snapshot().children] == [ChildState.DOWN]
        assert not root._runner.requests._pending
        await root.stop()


# `nursery.start` lets a crash before `started()` come out bare: so must a tree's
async def test_failing_start_comes_bare_out_of_nursery_start(autojump_clock: MockClock) -> None:
    root = Supervisor(SupervisorSpec(children=children(ScriptedActor(fail_starts=1))))
    async with trio.open_nursery() as nursery:
        with pytest.raises(StartError, match="root/a failed to start"):
            await nursery.start(root.run)


# jodal/pykka#76: an actor that stops itself in its own start waits for itself for ever
async def test_actor_that_terminates_itself_in_its_start_ends_at_once(
    autojump_clock: MockClock,
) -> None:
    class Hasty(Actor[object]):
        async def on_start(self, ctx: Context[object]) -> None:
            await root.terminate_child("a")

    root = Supervisor(SupervisorSpec(children=(ChildSpec(id="a", start=actor(Hasty)),)))
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        assert [child.state for child in root.snapshot().children] == [ChildState.DOWN]
        assert trio.current_time() == began
        await root.stop()


# Mailboxes


# apache/pekko: the default mailbox is unbounded
async def test_mailbox_is_bounded_unless_somebody_says_otherwise() -> None:
    mailbox = Mailbox[int]()

    def flood() -> None:
        for number in range(1000):
            mailbox.ref.tell(number)

    with pytest.raises(MailboxFull):
        flood()
    assert mailbox.statistics().rejected == 1


# akka/akka#31814, apache/pekko#669: the queue was lost at the second crash
async def test_queue_survives_the_first_and_the_second_crash(autojump_clock: MockClock) -> None:
    taken: list[object] = []

    async def fragile(ctx: Context[object]) -> None:
        ctx.started()
        async for delivery in ctx.inbox:
            taken.append(delivery.message)
            if delivery.message == "crash":
                raise RuntimeError

    mailbox = Mailbox[object]()
    for message in ("crash", "crash", "a", "b"):
        mailbox.ref.tell(message)
    child = ChildSpec(id="a", start=fragile, mailbox=mailbox)
    backoff = Backoff(base=2.0, jitter=0.0)
    spec = SupervisorSpec(children=(child,), backoff=backoff, intensity=Intensity(max_restarts=2))
    root = Supervisor(spec)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        depths = []
        for seconds in (1, 2):
            await trio.sleep(seconds)
            depths.append(mailbox.statistics().depth)
        await trio.sleep(20)
        assert depths == [3, 2]
        assert taken == ["crash", "crash", "a", "b"]
        await root.stop()


# Ends


# python-trio/trio#455: an error in the cleanup eats the first one
async def test_crash_stays_visible_where_the_cleanup_fails_too(autojump_clock: MockClock) -> None:
    class Clumsy(Actor[object]):
        async def receive(self, message: object) -> object:
            raise ValueError("the first error")

        async def on_stop(self, reason: str) -> None:
            await trio.lowlevel.checkpoint()
            raise KeyError("the second error")

    mailbox = Mailbox[object]()
    log = EventLog()
    child = ChildSpec(id="a", start=actor(Clumsy), mailbox=mailbox)
    root = Supervisor(SupervisorSpec(children=(child,), backoff=NOW), hook=log)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        mailbox.ref.tell("hello")
        await settle()
        traceback = log.of(ChildExited)[0].exit.traceback or ""
        assert "the first error" in traceback
        assert "the second error" in traceback
        await root.stop()


# thejerf/suture#34: a stop right after a removal began to wait anew
@pytest.mark.parametrize("stop_order", StopOrder)
async def test_stop_after_terminate_waits_only_for_what_is_left_of_the_childs_time(
    stop_order: StopOrder, autojump_clock: MockClock
) -> None:
    hanging = children(ScriptedActor(stop_delay=math.inf), stop_timeout=5.0)
    root = Supervisor(SupervisorSpec(children=hanging, stop_order=stop_order))
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        nursery.start_soon(root.terminate_child, "a")
        await trio.sleep(3)
        assert (await root.stop()).took == pytest.approx(2.0)


# python-trio/trio#60, #2392: a cancellation waits for a thread, unless the thread is abandoned
@pytest.mark.parametrize("abandons", [False, True])
async def test_child_in_a_thread_does_not_hold_the_report(abandons: bool) -> None:
    leave = threading.Event()

    async def wait_in_thread(ctx: Context[object]) -> None:
        ctx.started()
        await trio.to_thread.run_sync(leave.wait, abandon_on_cancel=abandons)

    child = ChildSpec(id="a", start=wait_in_thread, stop_timeout=0.02, kill_timeout=0.02)
    log = EventLog()
    root = Supervisor(SupervisorSpec(children=(child,)), hook=log)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        try:
            with trio.fail_after(2):
                report = await root.stop(grace_period=0.2)
        finally:
            leave.set()
    assert report.stuck == (() if abandons else ("root/a",))
    assert ["run_sync" in event.stack for event in log.of(StopTimedOut)] == [True] * (not abandons)


# Daemons


class Notes:
    """A notifier that keeps what it was told, and when."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.alive_at: list[float] = []

    def alive(self) -> None:
        self.alive_at.append(trio.current_time())

    def status(self, text: str) -> None:
        self.words.append(text)

    def ready(self) -> None:
        self.words.append("ready")

    def extend(self, seconds: float) -> None:
        self.words.append("extend")

    def stopping(self, reason: str) -> None:
        self.words.append("stopping")


# systemd/systemd#37288, #5868: a flood of notifications hangs PID 1
async def test_daemon_says_alive_once_per_heartbeat_also_after_a_hang(
    autojump_clock: MockClock,
) -> None:
    async def hang_once(ctx: Context[object]) -> None:
        ctx.started()
        await trio.sleep(25)
        autojump_clock.jump(100)
        await ctx.stop_requested.wait()

    notes = Notes()
    root = Supervisor(SupervisorSpec(children=(ChildSpec(id="a", start=hang_once),)))
    daemon = partial(run_daemon, root, grace_period=9.0, notifier=notes, heartbeat=10.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(daemon)
        await trio.sleep(150)
        root.request_stop()
    assert notes.alive_at == pytest.approx([10.0, 20.0, 135.0, 145.0])


# An alive from a timer hides a hung actor
async def test_daemon_says_no_alive_while_a_critical_child_hangs(
    autojump_clock: MockClock,
) -> None:
    async def hang(ctx: Context[object]) -> None:
        ctx.started()
        with trio.CancelScope(shield=True):
            await trio.sleep(100)

    notes = Notes()
    child = ChildSpec(id="a", start=hang, max_idle=8.0, kill_timeout=1.0)
    root = Supervisor(SupervisorSpec(children=(child,), backoff=NOW))
    daemon = partial(run_daemon, root, grace_period=9.0, notifier=notes, heartbeat=5.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(daemon)
        await trio.sleep(99)
        root.request_stop()
    assert notes.alive_at == pytest.approx([5.0])
    assert notes.words[-1] == "stalled root/a"


# tracewayapp/traceway#361: a slow start was killed, for nobody asked for more time
async def test_daemon_asks_for_time_at_each_start_until_it_is_ready_and_never_after(
    autojump_clock: MockClock,
) -> None:
    actors = [ScriptedActor(start_delay=20.0), ScriptedActor(start_delay=20.0)]
    notes = Notes()
    root = Supervisor(SupervisorSpec(children=children(*actors, start_timeout=30.0), backoff=NOW))
    daemon = partial(run_daemon, root, grace_period=9.0, notifier=notes, heartbeat=15.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(daemon)
        await trio.sleep(39)
        assert notes.words == ["extend"] * 3  # at 15 and 30, and at 20 the first was ready
        assert notes.alive_at == []
        await trio.sleep(2)
        actors[0].crash()
        await trio.sleep(21)
        assert actors[0].starts == 2
        assert notes.words == [*["extend"] * 4, "ready"]
        root.request_stop()
