import gc
import math

import attrs
import pytest
import trio
from trio.testing import MockClock

from supervisors import (
    ActorError,
    ActorStopped,
    Ask,
    AskCycle,
    AskTimeout,
    Backoff,
    ChildSpec,
    ChildState,
    Context,
    DeadLetter,
    DeadLetterCause,
    Delivery,
    Drain,
    ExitKind,
    Intensity,
    Mailbox,
    MailboxFull,
    MailboxHigh,
    MailboxSpec,
    Overflow,
    Ref,
    Restart,
    Strategy,
    Supervisor,
    SupervisorSpec,
)
from supervisors._box import ReplySlot
from supervisors.testing import EventLog, settle

NOW = Backoff(base=0.0)


@attrs.frozen
class Work(Ask[str]):
    """Answered with its name; `crash` crashes the actor, `hold` takes a second, `later` waits."""

    name: str


class Worker:
    """Works off its mailbox, behind a gate that the test opens."""

    def __init__(self, spec: MailboxSpec[Work] | None = None) -> None:
        self.mailbox = Mailbox(spec)
        self.ref: Ref[Work] = self.mailbox.ref
        self.gate = trio.Event()
        self.taken: list[str] = []
        self.later: list[Delivery[Work]] = []
        self.log = EventLog()

    async def run(self, ctx: Context[Work]) -> None:
        ctx.started()
        async for delivery in ctx.inbox:
            await self.gate.wait()
            name = delivery.message.name
            self.taken.append(name)
            match name:
                case "crash":
                    raise RuntimeError("bad work")
                case "hold":
                    await trio.sleep(1)
                case "later":
                    self.later.append(delivery)
                    continue
            delivery.reply(name)

    def supervisor(self, backoff: Backoff = NOW, *, max_restarts: int = 1) -> Supervisor:
        child = ChildSpec(id="w", start=self.run, mailbox=self.mailbox)
        spec = SupervisorSpec(
            children=(child,),
            backoff=backoff,
            intensity=Intensity(max_restarts=max_restarts, period=100),
        )
        return Supervisor(spec, hook=self.log)

    def is_conserved(self) -> bool:
        counts = self.mailbox.statistics()
        ended = counts.processed + counts.rejected + counts.dead_letters
        return counts.sent == ended + counts.queued


async def fill(worker: Worker, *names: str) -> None:
    """Give the worker one message to hold and let the others wait."""
    worker.ref.tell(Work("first"))
    await settle()
    for name in names:
        worker.ref.tell(Work(name))


# Room


@pytest.mark.parametrize("overflow", [Overflow.BLOCK, Overflow.REJECT])
async def test_tell_raises_when_the_mailbox_is_full(
    overflow: Overflow, autojump_clock: MockClock
) -> None:
    worker = Worker(MailboxSpec(capacity=2, overflow=overflow))
    root = worker.supervisor()
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await fill(worker, "a", "b")
        with pytest.raises(MailboxFull) as caught:
            worker.ref.tell(Work("c"))
        assert (caught.value.path, caught.value.state) == ("root/w", ChildState.RUNNING)
        worker.gate.set()
        await settle()
        assert worker.taken == ["first", "a", "b"]
        assert worker.is_conserved()
        await root.stop()


async def test_put_waits_for_room_in_order(autojump_clock: MockClock) -> None:
    worker = Worker(MailboxSpec(capacity=1))
    root = worker.supervisor()
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await fill(worker, "a")
        for name in ("b", "c"):
            nursery.start_soon(worker.ref.put, Work(name))
            await settle()
        assert worker.mailbox.statistics().depth == 1
        worker.gate.set()
        await settle()
        assert worker.taken == ["first", "a", "b", "c"]
        assert worker.is_conserved()
        await root.stop()


async def test_put_to_a_rejecting_mailbox_raises(autojump_clock: MockClock) -> None:
    worker = Worker(MailboxSpec(capacity=1, overflow=Overflow.REJECT))
    root = worker.supervisor()
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await fill(worker, "a")
        with pytest.raises(MailboxFull):
            await worker.ref.put(Work("b"))
        with pytest.raises(MailboxFull):
            await worker.ref.ask(Work("b"))
        assert worker.is_conserved()
        await root.stop()


async def test_cancelled_put_leaves_no_message(autojump_clock: MockClock) -> None:
    worker = Worker(MailboxSpec(capacity=1))
    root = worker.supervisor()
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await fill(worker, "a")
        with trio.move_on_after(1):
            await worker.ref.put(Work("b"))
        worker.gate.set()
        await settle()
        assert worker.taken == ["first", "a"]
        assert worker.is_conserved()
        await root.stop()


async def test_coalescing_mailbox_replaces_the_message_of_the_same_key_in_its_place(
    autojump_clock: MockClock,
) -> None:
    worker = Worker(
        MailboxSpec(capacity=2, overflow=Overflow.COALESCE, key=lambda work: work.name[0])
    )
    root = worker.supervisor()
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await fill(worker, "a1", "b1")
        worker.ref.tell(Work("a2"))
        with pytest.raises(MailboxFull):
            worker.ref.tell(Work("c1"))
        worker.gate.set()
        await settle()
        worker.ref.tell(Work("a3"))
        await settle()
        assert worker.taken == ["first", "a2", "b1", "a3"]
        assert worker.is_conserved()
        await root.stop()


async def test_messages_of_one_key_that_waited_for_room_coalesce_as_well(
    autojump_clock: MockClock,
) -> None:
    worker = Worker(
        MailboxSpec(capacity=2, overflow=Overflow.COALESCE, key=lambda work: work.name[0])
    )
    root = worker.supervisor()
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await fill(worker, "b1", "c1")
        for name in ("a1", "a2", "d1"):
            nursery.start_soon(worker.ref.put, Work(name))
            await settle()
        worker.gate.set()
        await settle()
        assert worker.taken == ["first", "b1", "c1", "a2", "d1"]
        assert worker.is_conserved()
        await root.stop()


async def test_replaced_ask_fails_its_asker_at_once(autojump_clock: MockClock) -> None:
    worker = Worker(MailboxSpec(overflow=Overflow.COALESCE, key=lambda work: work.name))
    root = worker.supervisor()
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await fill(worker)

        async def ask() -> None:
            with pytest.raises(MailboxFull):
                await worker.ref.ask(Work("a"))
            assert trio.current_time() == began

        began = trio.current_time()
        nursery.start_soon(ask)
        await settle()
        worker.ref.tell(Work("a"))
        await settle()
        await root.stop()


async def test_mailbox_reports_once_that_it_is_nearly_full(autojump_clock: MockClock) -> None:
    worker = Worker(MailboxSpec(capacity=10))
    root = worker.supervisor()
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await fill(worker, *"abcdefghij")
        assert worker.log.of(MailboxHigh) == [MailboxHigh(path="root/w", depth=8, capacity=10)]
        worker.gate.set()
        await settle()
        worker.gate = trio.Event()
        await fill(worker, *"abcdefgh")
        assert len(worker.log.of(MailboxHigh)) == 2
        await root.stop()


async def test_control_does_not_queue_behind_work(autojump_clock: MockClock) -> None:
    worker = Worker()
    worker.gate.set()
    root = worker.supervisor()
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        for _ in range(50):
            worker.ref.tell(Work("hold"))
        await settle()
        assert (await root.stop()).took <= 1.0
        assert len(worker.taken) == 1


# Restarts and ends


async def test_mailbox_takes_messages_before_its_tree_runs(autojump_clock: MockClock) -> None:
    worker = Worker()
    worker.ref.tell(Work("early"))
    worker.gate.set()
    root = worker.supervisor()
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await settle()
        assert worker.taken == ["early"]
        await root.stop()


async def test_queue_survives_the_crash_but_not_the_message_in_hand(
    autojump_clock: MockClock,
) -> None:
    worker = Worker(MailboxSpec(capacity=3))
    root = worker.supervisor(Backoff(base=5.0, jitter=0.0))
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        worker.ref.tell(Work("crash"))
        worker.ref.tell(Work("next"))
        worker.gate.set()
        await settle()
        worker.ref.tell(Work("while restarting"))
        worker.ref.tell(Work("too"))
        with pytest.raises(MailboxFull) as caught:
            worker.ref.tell(Work("full"))
        assert caught.value.state is ChildState.RESTARTING
        (letter,) = worker.log.of(DeadLetter)
        assert letter.cause is DeadLetterCause.CRASHED
        last = root.snapshot().children[0].last_exit
        assert last is not None
        assert last.last_message == "Work"
        await trio.sleep(6)
        assert worker.taken == ["crash", "next", "while restarting", "too"]
        assert worker.is_conserved()
        await root.stop()


async def test_message_in_hand_at_a_crash_comes_back_until_it_counts_as_poison(
    autojump_clock: MockClock,
) -> None:
    worker = Worker(MailboxSpec(capacity=2, poison_after=3))
    root = worker.supervisor(max_restarts=3)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await fill(worker)
        worker.ref.tell(Work("crash"))
        worker.ref.tell(Work("next"))
        worker.gate.set()
        await settle()
        assert worker.taken == ["first", "crash", "crash", "crash", "next"]
        (letter,) = worker.log.of(DeadLetter)
        assert letter == DeadLetter(path="root/w", cause=DeadLetterCause.CRASHED, message="Work")
        assert worker.is_conserved()
        await root.stop()


async def test_ask_in_hand_at_a_crash_never_comes_back(autojump_clock: MockClock) -> None:
    worker = Worker(MailboxSpec(poison_after=3))
    root = worker.supervisor()
    worker.gate.set()
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        with pytest.raises(ActorError):
            await worker.ref.ask(Work("crash"))
        await settle()
        assert worker.taken == ["crash"]
        assert [letter.cause for letter in worker.log.of(DeadLetter)] == [DeadLetterCause.CRASHED]
        assert worker.is_conserved()
        await root.stop()


async def test_returning_message_gives_way_to_a_later_one_of_its_key(
    autojump_clock: MockClock,
) -> None:
    worker = Worker(MailboxSpec(overflow=Overflow.COALESCE, key=type, poison_after=3))
    root = worker.supervisor()
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        worker.ref.tell(Work("crash"))
        await settle()
        worker.ref.tell(Work("later"))
        worker.gate.set()
        await settle()
        assert worker.taken == ["crash", "later"]
        assert [letter.cause for letter in worker.log.of(DeadLetter)] == [DeadLetterCause.REPLACED]
        assert worker.is_conserved()
        await root.stop()


async def test_ref_outlives_a_group_restart_with_its_queue(autojump_clock: MockClock) -> None:
    worker = Worker()
    fails = trio.Event()

    async def upstream(ctx: Context[object]) -> None:
        ctx.started()
        await fails.wait()
        if ctx.incarnation == 1:
            raise RuntimeError
        await ctx.stop_requested.wait()

    inner = SupervisorSpec(
        children=(ChildSpec(id="w", start=worker.run, mailbox=worker.mailbox),), backoff=NOW
    )
    spec = SupervisorSpec(
        children=(ChildSpec(id="up", start=upstream), ChildSpec[object](id="in", start=inner)),
        strategy=Strategy.REST_FOR_ONE,
        backoff=NOW,
    )
    root = Supervisor(spec)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await fill(worker, "a", "b")
        fails.set()
        await settle()
        worker.gate.set()
        await settle()
        assert worker.taken == ["first", "a", "b"]
        assert worker.is_conserved()
        await root.stop()


@pytest.mark.parametrize(
    ("drain", "taken"), [(Drain.CURRENT, ["hold"]), (Drain.ALL, ["hold", "a", "b"])]
)
async def test_stopping_actor_drains_as_agreed(
    drain: Drain, taken: list[str], autojump_clock: MockClock
) -> None:
    worker = Worker(MailboxSpec(drain=drain))
    worker.gate.set()
    root = worker.supervisor()
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        for name in ("hold", "a", "b"):
            worker.ref.tell(Work(name))
        await settle()
        root.request_stop()
        await settle()
        with pytest.raises(ActorStopped):
            worker.ref.tell(Work("too late"))
    assert worker.taken == taken
    assert worker.is_conserved()
    left = [letter.count for letter in worker.log.of(DeadLetter)]
    assert left == ([2] if drain is Drain.CURRENT else [])


async def test_waiting_put_hears_that_the_actor_stops(autojump_clock: MockClock) -> None:
    worker = Worker(MailboxSpec(capacity=1))
    root = worker.supervisor()
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await fill(worker, "a")

        async def put() -> None:
            with pytest.raises(ActorStopped):
                await worker.ref.put(Work("b"))

        nursery.start_soon(put)
        await settle()
        await root.stop()
    assert worker.is_conserved()


async def test_stopped_waits_for_the_final_end_not_for_a_restart(
    autojump_clock: MockClock,
) -> None:
    worker = Worker()
    worker.gate.set()
    root = worker.supervisor()
    ends: list[ExitKind] = []

    async def watch() -> None:
        ends.append((await worker.ref.stopped()).kind)

    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        nursery.start_soon(watch)
        worker.ref.tell(Work("crash"))
        await settle()
        assert ends == []
        await root.terminate_child("w")
        await settle()
        assert ends == [ExitKind.SHUTDOWN]
        await root.restart_child("w")
        assert await worker.ref.ask(Work("again")) == "again"
        await root.stop()


async def test_conservation_holds_when_the_tree_is_cancelled_from_outside(
    autojump_clock: MockClock,
) -> None:
    worker = Worker()
    root = worker.supervisor()
    with trio.move_on_after(5):
        async with trio.open_nursery() as nursery:
            await nursery.start(root.run)
            await fill(worker, "a", "b")
            await trio.sleep_forever()
    counts = worker.mailbox.statistics()
    assert (counts.queued, counts.dead_letters) == (0, 3)
    assert worker.is_conserved()
    with pytest.raises(ActorStopped):
        worker.ref.tell(Work("late"))


# Ask


async def test_ask_brings_the_answer(autojump_clock: MockClock) -> None:
    worker = Worker()
    worker.gate.set()
    root = worker.supervisor()
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        assert await worker.ref.ask(Work("a")) == "a"
        with trio.fail_after(1):
            assert await worker.ref.ask(Work("b"), within=math.inf) == "b"
        await root.stop()


async def test_ask_without_any_deadline_is_refused(autojump_clock: MockClock) -> None:
    with pytest.raises(ValueError, match="deadline"):
        await Worker().ref.ask(Work("a"), within=math.inf)


async def test_ask_times_out_and_is_skipped_in_the_queue(autojump_clock: MockClock) -> None:
    worker = Worker()
    root = worker.supervisor()
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await fill(worker)
        began = trio.current_time()
        with pytest.raises(AskTimeout) as caught:
            await worker.ref.ask(Work("a"), within=2.0)
        assert trio.current_time() - began == pytest.approx(2.0)
        assert (caught.value.path, caught.value.within) == ("root/w", 2.0)
        worker.gate.set()
        await settle()
        assert worker.taken == ["first"]
        assert worker.log.of(DeadLetter)[0].cause is DeadLetterCause.EXPIRED
        assert worker.is_conserved()
        await root.stop()


async def test_ask_inherits_an_earlier_deadline(autojump_clock: MockClock) -> None:
    worker = Worker()
    root = worker.supervisor()
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await fill(worker)
        began = trio.current_time()
        with pytest.raises(trio.TooSlowError), trio.fail_after(1):
            await worker.ref.ask(Work("a"), within=5.0)
        assert trio.current_time() - began == pytest.approx(1.0)
        worker.gate.set()
        await settle()
        assert worker.taken == ["first"]
        await root.stop()


async def test_ask_waits_for_room_inside_its_deadline(autojump_clock: MockClock) -> None:
    worker = Worker(MailboxSpec(capacity=1))
    root = worker.supervisor()
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await fill(worker, "a")
        with pytest.raises(AskTimeout):
            await worker.ref.ask(Work("b"), within=1.0)
        assert worker.is_conserved()
        await root.stop()


async def test_late_reply_is_counted_and_harms_nobody(autojump_clock: MockClock) -> None:
    worker = Worker()
    worker.gate.set()
    root = worker.supervisor()
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        with pytest.raises(AskTimeout):
            await worker.ref.ask(Work("hold"), within=0.5)
        await trio.sleep(1)
        assert worker.mailbox.statistics().late_replies == 1
        assert await worker.ref.ask(Work("b")) == "b"
        await root.stop()


async def test_asks_that_are_never_answered_leave_nothing_once_their_askers_are_gone(
    autojump_clock: MockClock,
) -> None:
    async def ignore(ctx: Context[Work]) -> None:
        ctx.started()
        async for _ in ctx.inbox:
            pass

    def slots() -> int:
        gc.collect()
        return sum(isinstance(each, ReplySlot) for each in gc.get_objects())

    mailbox, before = Mailbox[Work](), slots()
    root = Supervisor(SupervisorSpec(children=(ChildSpec(id="a", start=ignore, mailbox=mailbox),)))
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        for _ in range(100):
            with pytest.raises(AskTimeout):
                await mailbox.ref.ask(Work("a"), within=1.0)
        mailbox.ref.tell(Work("b"))
        await settle()
        assert slots() == before
        nursery.start_soon(root.stop)
        with pytest.raises(ActorStopped):
            await mailbox.ref.ask(Work("a"))


async def test_ask_fails_at_once_when_the_actor_crashes_over_it(
    autojump_clock: MockClock,
) -> None:
    worker = Worker()
    worker.gate.set()
    root = worker.supervisor()
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        began = trio.current_time()
        with pytest.raises(ActorError) as caught:
            await worker.ref.ask(Work("crash"))
        assert trio.current_time() == began
        assert isinstance(caught.value.__cause__, RuntimeError)
        assert await worker.ref.ask(Work("b")) == "b"
        assert worker.is_conserved()
        await root.stop()


async def test_deferred_answer_may_come_later_and_fails_with_its_incarnation(
    autojump_clock: MockClock,
) -> None:
    worker = Worker()
    worker.gate.set()
    root = worker.supervisor()
    outcomes: list[str] = []

    async def ask() -> None:
        try:
            outcomes.append(await worker.ref.ask(Work("later")))
        except ActorError:
            outcomes.append("crashed")

    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        nursery.start_soon(ask)
        await settle()
        worker.ref.tell(Work("a"))
        await settle()
        worker.later[0].reply("at last")
        with pytest.raises(RuntimeError, match="twice"):
            worker.later[0].reply("again")
        nursery.start_soon(ask)
        await settle()
        worker.ref.tell(Work("crash"))
        await settle()
        assert outcomes == ["at last", "crashed"]
        worker.later[1].reply("too late")
        await root.stop()


async def test_queued_asks_fail_at_once_at_the_final_stop(autojump_clock: MockClock) -> None:
    worker = Worker()
    root = worker.supervisor()
    failed: list[float] = []

    async def ask(name: str) -> None:
        with pytest.raises(ActorStopped):
            await worker.ref.ask(Work(name), within=1000.0)
        failed.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        for name in "abc":
            nursery.start_soon(ask, name)
        await settle()
        began = trio.current_time()
        await root.stop()
    assert len(failed) == 3
    assert max(failed) - began <= 5.0
    assert worker.is_conserved()


async def test_ask_of_a_stopped_actor_fails_at_once(autojump_clock: MockClock) -> None:
    worker = Worker()
    root = worker.supervisor()
    root.request_stop()
    await root.run()
    with pytest.raises(ActorStopped):
        await worker.ref.ask(Work("a"))


@attrs.frozen
class Forward(Ask[str]):
    """Asks on along a chain of refs."""

    refs: tuple["Ref[Forward]", ...]


async def forward(ctx: Context[Forward]) -> None:
    ctx.started()
    async for delivery in ctx.inbox:
        first, *rest = delivery.message.refs or (None,)
        if first is None:
            delivery.reply("end")
            continue
        try:
            delivery.reply(await first.ask(Forward(tuple(rest))))
        except AskCycle:
            delivery.reply("cycle")


async def test_ask_to_oneself_or_in_a_cycle_is_refused_at_once(
    autojump_clock: MockClock,
) -> None:
    boxes = {id: Mailbox[Forward]() for id in "abc"}
    spec = SupervisorSpec(
        children=tuple(
            ChildSpec(id=id, start=forward, mailbox=box, restart=Restart.TEMPORARY)
            for id, box in boxes.items()
        )
    )
    a, b, c = (box.ref for box in boxes.values())
    root = Supervisor(spec)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        began = trio.current_time()
        assert await a.ask(Forward((b, c))) == "end"
        assert await a.ask(Forward((a,))) == "cycle"
        assert await a.ask(Forward((b, c, a))) == "cycle"
        assert await c.ask(Forward((b, a))) == "end"
        assert trio.current_time() == began
        await root.stop()


async def test_actor_that_asks_itself_before_it_is_ready_is_refused_at_once(
    autojump_clock: MockClock,
) -> None:
    refused: list[float] = []

    async def eager(ctx: Context[Work]) -> None:
        with pytest.raises(AskCycle):
            await ctx.ref.ask(Work("a"))
        refused.append(trio.current_time())
        ctx.started()
        async for delivery in ctx.inbox:
            delivery.reply(delivery.message.name)

    root = Supervisor(SupervisorSpec(children=(ChildSpec(id="a", start=eager),)))
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        assert refused == [began]
        await root.stop()


async def test_actor_that_asks_itself_between_or_after_its_messages_is_refused_at_once(
    autojump_clock: MockClock,
) -> None:
    """Also in its clean-up before a restart, when its mailbox still takes messages."""
    refused: list[float] = []

    async def expect_refusal(ref: Ref[Work]) -> None:
        began = trio.current_time()
        with pytest.raises(AskCycle):
            await ref.ask(Work("a"))
        refused.append(trio.current_time() - began)

    async def run(ctx: Context[Work]) -> None:
        ctx.started()
        with trio.move_on_after(1.0):
            await anext(ctx.inbox)
        await expect_refusal(ctx.ref)
        async for delivery in ctx.inbox:
            delivery.reply(delivery.message.name)
        await expect_refusal(ctx.ref)

    crashing = Worker()
    crashing.gate.set()
    spec = SupervisorSpec(
        strategy=Strategy.ONE_FOR_ALL,
        children=(
            ChildSpec(id="a", start=run),
            ChildSpec(id="w", start=crashing.run, mailbox=crashing.mailbox),
        ),
        backoff=NOW,
    )
    root = Supervisor(spec)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await trio.sleep(2.0)
        crashing.ref.tell(Work("crash"))
        await trio.sleep(2.0)
        assert refused == [0.0, 0.0, 0.0]
        await root.stop()


class AsksBack:
    """Answers `work`, asks the one it knows, and keeps the answer; at `now` or a second `later`."""

    def __init__(self, ref: Ref[Work]) -> None:
        self.ref = ref
        self.answers: list[str] = []

    async def ask(self, seconds: float) -> None:
        await trio.sleep(seconds)
        try:
            self.answers.append(await self.ref.ask(Work("back")))
        except AskCycle:
            self.answers.append("cycle")

    async def run(self, ctx: Context[Work]) -> None:
        ctx.started()
        async with trio.open_nursery() as nursery:
            async for delivery in ctx.inbox:
                match delivery.message.name:
                    case "first":
                        await self.ask(0)
                        delivery.reply("asked first")
                    case "now":
                        delivery.reply("asks now")
                        await self.ask(0)
                    case "later":
                        nursery.start_soon(self.ask, 1)
                        delivery.reply("asks later")
                    case name:
                        delivery.reply(name)


@pytest.mark.parametrize(
    ("when", "answers"), [("first", ["cycle"]), ("now", ["back"]), ("later", ["back"])]
)
async def test_ask_back_is_a_cycle_only_while_the_other_waits(
    when: str, answers: list[str], autojump_clock: MockClock
) -> None:
    mailboxes = {id: Mailbox[Work]() for id in "ab"}
    asker = AsksBack(mailboxes["b"].ref)

    async def ask_on(ctx: Context[Work]) -> None:
        ctx.started()
        async for delivery in ctx.inbox:
            name = delivery.message.name
            delivery.reply(name if name == "back" else await mailboxes["b"].ref.ask(Work(name)))

    asker.ref = mailboxes["a"].ref
    spec = SupervisorSpec(
        children=(
            ChildSpec(id="a", start=ask_on, mailbox=mailboxes["a"]),
            ChildSpec(id="b", start=asker.run, mailbox=mailboxes["b"]),
        )
    )
    root = Supervisor(spec)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await mailboxes["a"].ref.ask(Work(when))
        await trio.sleep(2)
        assert asker.answers == answers
        await root.stop()


async def test_actor_may_ask_itself_from_a_task_that_outlives_the_message(
    autojump_clock: MockClock,
) -> None:
    mailbox = Mailbox[Work]()
    asker = AsksBack(mailbox.ref)
    root = Supervisor(
        SupervisorSpec(children=(ChildSpec(id="a", start=asker.run, mailbox=mailbox),))
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        for name in ("now", "later"):
            mailbox.ref.tell(Work(name))
        await trio.sleep(2)
        assert asker.answers == ["cycle", "back"]
        await root.stop()


class Places:
    """Asks `self.ref` from a task in a nursery: of the message, of the actor, or of somebody else.

    In the actor's, the answer is left to that task; in somebody else's, the task lasts on until the
    actor is at the next message.
    """

    def __init__(self, elsewhere: trio.Nursery) -> None:
        self.mailbox = Mailbox[Work]()
        self.ref = self.mailbox.ref
        self.elsewhere = elsewhere
        self.outcomes: list[str] = []

    async def ask(self, delivery: Delivery[Work], seconds: float = 0.0) -> None:
        await trio.sleep(seconds)
        try:
            self.outcomes.append(await self.ref.ask(Work("back")))
        except AskCycle:
            self.outcomes.append("cycle")
        if delivery.message.name == "deferred":
            delivery.reply("done")

    async def run(self, ctx: Context[Work]) -> None:
        ctx.started()
        async for delivery in ctx.inbox:
            match delivery.message.name:
                case "inner":
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self.ask, delivery)
                case "elsewhere":
                    self.elsewhere.start_soon(self.ask, delivery, 1.0)
                case "hold":
                    await trio.sleep(2)
                case name:
                    delivery.reply(name)

    async def run_with_nursery(self, ctx: Context[Work]) -> None:
        ctx.started()
        async with trio.open_nursery() as nursery:
            async for delivery in ctx.inbox:
                nursery.start_soon(self.ask, delivery)


async def test_task_of_a_message_is_at_it_and_one_that_outlives_it_is_not(
    autojump_clock: MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        places = Places(nursery)
        child = ChildSpec(id="a", start=places.run, mailbox=places.mailbox)
        root = Supervisor(SupervisorSpec(children=(child,)))
        await nursery.start(root.run)
        for name in ("inner", "elsewhere", "hold"):
            places.ref.tell(Work(name))
        await trio.sleep(3)
        assert places.outcomes == ["cycle", "back"]
        await root.stop()


async def test_task_that_an_answer_was_left_to_cannot_ask_the_asker(
    autojump_clock: MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        places = Places(nursery)
        asking = Mailbox[Work]()

        async def ask_on(ctx: Context[Work]) -> None:
            ctx.started()
            async for delivery in ctx.inbox:
                delivery.reply(await places.mailbox.ref.ask(delivery.message))

        places.ref = asking.ref
        spec = SupervisorSpec(
            children=(
                ChildSpec(id="a", start=places.run_with_nursery, mailbox=places.mailbox),
                ChildSpec(id="b", start=ask_on, mailbox=asking),
            )
        )
        root = Supervisor(spec)
        await nursery.start(root.run)
        assert await asking.ref.ask(Work("deferred")) == "done"
        assert places.outcomes == ["cycle"]
        await root.stop()


async def test_two_tasks_cannot_receive_from_one_mailbox(autojump_clock: MockClock) -> None:
    async def greedy(ctx: Context[Work]) -> None:
        ctx.started()
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(ctx.inbox.__anext__)

    log = EventLog()
    child = ChildSpec(id="a", start=greedy, restart=Restart.TEMPORARY)
    root = Supervisor(SupervisorSpec(children=(child,)), hook=log)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await settle()
        assert "BusyResourceError" in log.lines()[-1] or "abnormal" in log.lines()[-1]
        await root.stop()
