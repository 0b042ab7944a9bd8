"""What an actor costs: an ask, a thousand actors, an idle one, a crash.

Unit n is answered by 2n + 1, so that the right sum of all answers is the square of their number.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import cycle

import attrs
import trio
from trio.testing import wait_all_tasks_blocked

from supervisors import (
    BRUTAL_KILL,
    Ask,
    Backoff,
    ChildExited,
    ChildSpec,
    ChildStarted,
    Context,
    ExitKind,
    Intensity,
    Mailbox,
    MailboxSpec,
    Supervisor,
    SupervisorSpec,
)
from supervisors.testing import EventLog
from tests.bench.contender import Contender, Meter, Shape

ROOM = 128  # of every request queue
SIBLINGS = 1_000
ASKERS = 8  # at a time, of one actor as of many: nobody has a thousand for one caller
MANY = 1_000
THREADS = 40  # a peer with a thread for each actor gets no more of them


@attrs.frozen
class Question(Ask[int]):
    """What all are asked."""

    number: int

    def answer(self) -> int:
        return 2 * self.number + 1


Request = tuple[Question, trio.MemorySendChannel[int]]


def mailbox_rules() -> MailboxSpec[Question]:
    """Return the rules of a mailbox that does all it can."""
    return MailboxSpec(capacity=ROOM, poison_after=3)


@contextlib.asynccontextmanager
async def running_tree(spec: SupervisorSpec, log: EventLog) -> AsyncIterator[None]:
    """Run a tree until the block ends, with a hook that keeps every event."""
    supervisor = Supervisor(spec, hook=log)
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.run)
        yield
        await supervisor.stop()


# Asking


async def answer_questions(ctx: Context[Question]) -> None:
    ctx.started()
    async for delivery in ctx.inbox:
        delivery.reply(delivery.message.answer())


async def ask_actors(meter: Meter, count: int, askers: int = 1) -> None:
    """Ask so many actors in turn, each ask with its own deadline; the statistics must add up."""
    boxes = [Mailbox(mailbox_rules()) for _ in range(count)]
    children = tuple(
        ChildSpec(id=f"answerer-{number}", start=answer_questions, mailbox=box)
        for number, box in enumerate(boxes)
    )
    log = EventLog()
    work = zip(meter.each(), cycle([box.ref for box in boxes]), strict=False)

    async def ask() -> None:
        for number, ref in work:
            meter.add(await ref.ask(Question(number), within=5.0))

    async with running_tree(SupervisorSpec(children=children), log), trio.open_nursery() as asking:
        for _ in range(askers):
            asking.start_soon(ask)
    check_conserved(meter, boxes)
    assert len(log.of(ChildStarted)) == len(log.of(ChildExited)) == count


async def ask_inheriting(meter: Meter) -> None:
    """Ask one actor under the one deadline of the caller."""
    box = Mailbox(mailbox_rules())
    child = ChildSpec(id="answerer", start=answer_questions, mailbox=box)
    async with running_tree(SupervisorSpec(children=(child,)), EventLog()):
        with trio.fail_after(60):
            for number in meter.each():
                meter.add(await box.ref.ask(Question(number), within=120.0))
    check_conserved(meter, [box])


def check_conserved(meter: Meter, boxes: list[Mailbox[Question]]) -> None:
    seen = [box.statistics() for box in boxes]
    assert sum(box.sent for box in seen) == sum(box.processed for box in seen) == meter.begun
    assert not any(box.rejected or box.dead_letters or box.queued for box in seen)


async def ask_bare(meter: Meter, count: int, askers: int = 1) -> None:
    """Ask so many tasks in turn over their channels, with a fresh reply channel each time."""
    asked: list[trio.MemorySendChannel[Request]] = []

    async def serve(received: trio.MemoryReceiveChannel[Request]) -> None:
        async for question, reply in received:
            await reply.send(question.answer())

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            send, received = trio.open_memory_channel[Request](ROOM)
            asked.append(send)
            nursery.start_soon(serve, received)
        work = zip(meter.each(), cycle(asked), strict=False)

        async def ask() -> None:
            for number, send in work:
                reply, answer = trio.open_memory_channel[int](1)
                await send.send((Question(number), reply))
                meter.add(await answer.receive())

        async with trio.open_nursery() as asking:
            for _ in range(askers):
                asking.start_soon(ask)
        nursery.cancel_scope.cancel()


def ask_pykka(meter: Meter) -> None:
    """Ask an actor of Pykka, which runs in a thread."""
    import pykka

    class Answerer(pykka.ThreadingActor):
        def on_receive(self, message: Question) -> int:
            return message.answer()

    actor = Answerer.start()
    for number in meter.each():
        meter.add(actor.ask(Question(number), timeout=5.0))
    actor.stop()


# Being there


async def idle_actors(meter: Meter) -> None:
    """Start so many actors under one supervisor, each on its mailbox."""

    async def wait_idle(ctx: Context[Question]) -> None:
        meter.add(2 * int(ctx.path.rpartition("-")[2]) + 1)
        ctx.started()
        async for _ in ctx.inbox:
            pass

    meter.begin()
    rules = mailbox_rules()
    children = tuple(
        ChildSpec(id=f"idle-{number}", start=wait_idle, mailbox=rules)
        for number in range(meter.units)
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(Supervisor(SupervisorSpec(children=children)).run)
        await wait_all_tasks_blocked()
        meter.end()
        nursery.cancel_scope.cancel()


async def idle_tasks(meter: Meter) -> None:
    """Start so many tasks, each on its channel."""
    senders: list[trio.MemorySendChannel[Question]] = []

    async def wait_idle(number: int, received: trio.MemoryReceiveChannel[Question]) -> None:
        meter.add(2 * number + 1)
        async for _ in received:
            pass

    meter.begin()
    async with trio.open_nursery() as nursery:
        for number in range(meter.units):
            send, received = trio.open_memory_channel[Question](ROOM)
            senders.append(send)
            nursery.start_soon(wait_idle, number, received)
        await wait_all_tasks_blocked()
        meter.end()
        nursery.cancel_scope.cancel()


def idle_threads(meter: Meter) -> None:
    """Start so many actors of Pykka, each in its thread."""
    import pykka

    class Idle(pykka.ThreadingActor):
        def on_receive(self, message: int) -> int:
            return 2 * message + 1

    meter.begin()
    actors = [Idle.start() for _ in range(meter.units)]
    for number, actor in enumerate(actors):
        meter.add(actor.ask(number))
    meter.end()
    pykka.ActorRegistry.stop_all()


# Crashing


class Crashes:
    """The crashes of one contender; an interval ends with the first step of the next incarnation.

    Attributes:
        over: Set when all have happened.
    """

    def __init__(self, meter: Meter) -> None:
        self.over = trio.Event()
        self._meter = meter
        self._numbers = meter.each()
        self._last: int | None = None

    def note_start(self) -> None:
        if self._last is not None:
            self._meter.lap()
            self._meter.add(2 * self._last + 1)

    async def wait_next(self) -> None:
        self._last = next(self._numbers, None)
        if self._last is None:
            self.over.set()
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()


async def crash_actor(meter: Meter, siblings: int) -> None:
    """Crash an actor that its supervisor restarts at once."""
    crashes = Crashes(meter)

    async def crash(ctx: Context[Question]) -> None:
        crashes.note_start()
        ctx.started()
        await crashes.wait_next()
        meter.mark()
        raise ValueError("crashed as it should")

    async def idle(ctx: Context[Question]) -> None:
        ctx.started()
        await ctx.stop_requested.wait()

    spec = SupervisorSpec(
        children=(
            *(ChildSpec(id=f"idle-{number}", start=idle) for number in range(siblings)),
            ChildSpec(id="crash", start=crash, stop_timeout=BRUTAL_KILL),
        ),
        backoff=Backoff(base=0.0),
        intensity=Intensity(max_restarts=1_000_000, period=0.001),  # few are ever counted
    )
    log = EventLog()
    async with running_tree(spec, log):
        await crashes.over.wait()
    exits = [event.exit.kind for event in log.of(ChildExited)]
    assert exits.count(ExitKind.ABNORMAL) == meter.begun


async def crash_task(meter: Meter) -> None:
    """Crash a task that a loop starts again and waits for until it says that it is ready."""
    crashes = Crashes(meter)

    async def crash(*, task_status: trio.TaskStatus[None]) -> None:
        crashes.note_start()
        task_status.started()
        await crashes.wait_next()
        meter.mark()
        raise ValueError("crashed as it should")

    async def restart() -> None:
        while True:
            try:
                async with trio.open_nursery() as inner:
                    await inner.start(crash)
            except* ValueError:
                pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(restart)
        await crashes.over.wait()
        nursery.cancel_scope.cancel()


def on_trio(measure: Callable[..., Awaitable[None]], *args: int) -> Callable[[Meter], None]:
    return lambda meter: trio.run(measure, meter, *args)


SHAPES = (
    Shape(
        name="ask",
        units=30_000,
        contenders=(
            Contender("bare", on_trio(ask_bare, 1)),
            Contender("own deadline", on_trio(ask_actors, 1)),
            Contender("inherited", on_trio(ask_inheriting)),
            Contender("pykka", ask_pykka, needs="pykka"),
        ),
    ),
    Shape(
        name="scale",
        units=30_000,
        contenders=(
            Contender("one actor", on_trio(ask_actors, 1, ASKERS)),
            Contender("many actors", on_trio(ask_actors, MANY, ASKERS)),
            Contender("one task", on_trio(ask_bare, 1, ASKERS)),
            Contender("many tasks", on_trio(ask_bare, MANY, ASKERS)),
        ),
    ),
    Shape(
        name="idle",
        units=10_000,
        contenders=(
            Contender("actor", on_trio(idle_actors)),
            Contender("task", on_trio(idle_tasks)),
            Contender("pykka", idle_threads, needs="pykka", most_units=THREADS),
        ),
    ),
    Shape(
        name="crash",
        units=2_000,
        contenders=(
            Contender("alone", on_trio(crash_actor, 0)),
            Contender("among siblings", on_trio(crash_actor, SIBLINGS)),
            Contender("nursery.start", on_trio(crash_task)),
        ),
    ),
)
