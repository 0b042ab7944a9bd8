"""The class form of an actor, functions written for `nursery.start`, and watching others."""

import math
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from supervisors import (
    Actor,
    ActorFunction,
    Ask,
    Backoff,
    ChildExited,
    ChildSpec,
    Context,
    ExitKind,
    Mailbox,
    Restarted,
    StopTimedOut,
    Supervisor,
    SupervisorSpec,
    Terminated,
    actor,
    startable,
)
from supervisors.testing import EventLog, ScriptedActor, settle

NOW = Backoff(base=0.0)


class Double(Ask[int]):
    def __init__(self, number: int) -> None:
        self.number = number


class Doubler(Actor[Double]):
    """Answers twice a number; crashes at 13; keeps what happened to all its kind."""

    life: list[str]

    def __init__(self, life: list[str], *, stop_delay: float = 0.0) -> None:
        self.life = life
        self.stop_delay = stop_delay

    async def on_start(self, ctx: Context[Double]) -> None:
        self.life.append(f"start {ctx.incarnation}")

    async def receive(self, message: Double) -> int:
        if message.number == 13:
            raise ValueError("unlucky")
        await trio.sleep(message.number)
        return 2 * message.number

    async def on_stop(self, reason: str) -> None:
        await trio.sleep(self.stop_delay)
        self.life.append(f"stop {reason}")


def doubler(life: list[str], *, stop_delay: float = 0.0) -> ActorFunction[Double]:
    return actor(lambda: Doubler(life, stop_delay=stop_delay))


async def test_class_form_answers_and_lives_anew_after_a_crash(autojump_clock: MockClock) -> None:
    life: list[str] = []
    mailbox = Mailbox[Double]()
    child = ChildSpec(id="d", start=doubler(life), mailbox=mailbox)
    root = Supervisor(SupervisorSpec(children=(child,), backoff=NOW))
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        assert await mailbox.ref.ask(Double(2)) == 4
        mailbox.ref.tell(Double(13))
        assert await mailbox.ref.ask(Double(0)) == 0
        await root.stop()
    assert life == ["start 1", "stop crashed", "start 2", "stop requested"]


async def test_class_form_finishes_the_message_in_hand_before_it_stops(
    autojump_clock: MockClock,
) -> None:
    life: list[str] = []
    mailbox = Mailbox[Double]()
    child = ChildSpec(id="d", start=doubler(life), mailbox=mailbox)
    root = Supervisor(SupervisorSpec(children=(child,)))
    answers: list[int] = []

    async def ask() -> None:
        answers.append(await mailbox.ref.ask(Double(3)))

    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        nursery.start_soon(ask)
        await trio.sleep(1)
        await root.stop()
    assert answers == [6]
    assert life == ["start 1", "stop requested"]


async def test_on_stop_of_a_cancelled_actor_may_await_within_its_stop_timeout(
    autojump_clock: MockClock,
) -> None:
    life: list[str] = []
    mailbox = Mailbox[Double]()
    child = ChildSpec(
        id="d", start=doubler(life, stop_delay=1.5), mailbox=mailbox, stop_timeout=2.0
    )
    log = EventLog()
    root = Supervisor(SupervisorSpec(children=(child,)), hook=log)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        mailbox.ref.tell(Double(1000))
        await settle()
        began = trio.current_time()
        await root.stop()
        assert trio.current_time() - began == pytest.approx(3.5)
    assert life == ["start 1", "stop cancelled"]
    (exited,) = log.of(ChildExited)
    assert exited.exit.kind is ExitKind.KILLED


async def test_on_stop_that_hangs_is_cut_short(autojump_clock: MockClock) -> None:
    life: list[str] = []
    child = ChildSpec(id="d", start=doubler(life, stop_delay=math.inf), stop_timeout=2.0)
    log = EventLog()
    root = Supervisor(SupervisorSpec(children=(child,)), hook=log)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        began = trio.current_time()
        await root.stop()
        assert trio.current_time() - began == pytest.approx(2.0)
    assert life == ["start 1"]
    assert log.of(StopTimedOut) == []


async def test_on_stop_is_not_called_where_on_start_failed(autojump_clock: MockClock) -> None:
    class Unready(Doubler):
        async def on_start(self, ctx: Context[Double]) -> None:
            await super().on_start(ctx)
            if ctx.incarnation == 1:
                raise ValueError("not yet")

    life: list[str] = []
    root = Supervisor(SupervisorSpec(backoff=NOW))
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        with pytest.raises(Exception, match="not yet"):
            await root.start_child(ChildSpec(id="d", start=actor(lambda: Unready(life))))
        await root.stop()
    assert life == ["start 1"]


# Functions written for nursery.start


async def test_tcp_server_becomes_a_child_in_one_line() -> None:
    async def echo(stream: trio.SocketStream) -> None:
        async for chunk in stream:
            await stream.send_all(chunk)

    listeners: list[object] = []
    serve = startable(
        partial(trio.serve_tcp, host="127.0.0.1"), echo, 0, on_started=listeners.append
    )
    child = ChildSpec[object](id="echo", start=serve)
    log = EventLog()
    root = Supervisor(SupervisorSpec(children=(child,)), hook=log)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        (opened,) = listeners
        assert isinstance(opened, list)
        stream = await trio.testing.open_stream_to_socket_listener(opened[0])
        await stream.send_all(b"hello")
        assert await stream.receive_some() == b"hello"
        with trio.fail_after(5):
            await root.stop()
        await stream.aclose()
    (exited,) = log.of(ChildExited)
    assert exited.exit.kind is ExitKind.SHUTDOWN


async def test_crash_of_a_startable_function_is_a_crash_of_its_child(
    autojump_clock: MockClock,
) -> None:
    async def function(text: str, *, task_status: trio.TaskStatus[str]) -> None:
        task_status.started(text)
        await trio.sleep(1)
        raise ValueError(text)

    log = EventLog()
    child = ChildSpec[object](id="a", start=startable(function, "bad"))
    root = Supervisor(SupervisorSpec(children=(child,), backoff=NOW), hook=log)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await trio.sleep(1.5)
        assert [exited.exit.error for exited in log.of(ChildExited)] == ["ValueError: bad"]
        assert log.lines()[-1] == "started root/a 2"
        await root.stop()


async def test_startable_function_that_returns_ends_its_child_normally(
    autojump_clock: MockClock,
) -> None:
    async def function(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await trio.sleep(1)

    log = EventLog()
    child = ChildSpec[object](id="a", start=startable(function))
    root = Supervisor(SupervisorSpec(children=(child,), backoff=NOW), hook=log)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await trio.sleep(1.5)
        assert log.of(ChildExited)[0].exit.kind is ExitKind.NORMAL
        await root.stop()


# Watching


class Watcher:
    """Watches one mailbox and keeps what it hears."""

    def __init__(self, mailbox: Mailbox[object]) -> None:
        self.heard: list[object] = []
        self._mailbox = mailbox

    async def run(self, ctx: Context[object]) -> None:
        ctx.started()
        async for change in ctx.watch(self._mailbox.ref):
            self.heard.append(change)
        self.heard.append("over")
        await ctx.stop_requested.wait()


async def test_watcher_hears_of_restarts_and_of_the_end(autojump_clock: MockClock) -> None:
    target = ScriptedActor()
    mailbox = Mailbox[object]()
    watcher = Watcher(mailbox)
    root = Supervisor(
        SupervisorSpec(
            children=(
                ChildSpec(id="w", start=watcher.run),
                ChildSpec(id="t", start=target.run, mailbox=mailbox),
            ),
            backoff=NOW,
        )
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await settle()
        assert watcher.heard == []
        target.crash()
        await settle()
        target.crash()
        await settle()
        assert watcher.heard == [Restarted(incarnation=2), Restarted(incarnation=3)]
        await root.terminate_child("t")
        await settle()
        (terminated, over) = watcher.heard[2:]
        assert isinstance(terminated, Terminated)
        assert terminated.exit.kind is ExitKind.SHUTDOWN
        assert over == "over"
        await root.stop()


async def test_watcher_of_an_actor_that_has_ended_hears_so_at_once(
    autojump_clock: MockClock,
) -> None:
    target = ScriptedActor()
    mailbox = Mailbox[object]()
    root = Supervisor(
        SupervisorSpec(children=(ChildSpec(id="t", start=target.run, mailbox=mailbox),))
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await root.terminate_child("t")
        watcher = Watcher(mailbox)
        await root.start_child(ChildSpec(id="w", start=watcher.run))
        await settle()
        assert [type(change) for change in watcher.heard] == [Terminated, str]
        await root.stop()


async def test_delivery_knows_whether_its_asker_still_waits(autojump_clock: MockClock) -> None:
    seen: list[bool] = []

    async def slow(ctx: Context[Double]) -> None:
        ctx.started()
        async for delivery in ctx.inbox:
            seen.append(delivery.is_awaited)
            await trio.sleep(delivery.message.number)
            seen.append(delivery.is_awaited)
            delivery.reply(0)

    box: Mailbox[Double] = Mailbox()
    supervisor = Supervisor(SupervisorSpec(children=(ChildSpec(id="a", start=slow, mailbox=box),)))
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.run)
        assert await box.ref.ask(Double(1), within=5) == 0
        with trio.move_on_after(1):
            await box.ref.ask(Double(3), within=5)
        box.ref.tell(Double(1))
        await trio.sleep(10)
        await supervisor.stop(reason="test")
    assert seen == [True, True, True, False, False, False]
