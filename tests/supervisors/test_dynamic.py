"""Dynamic children: added and forgotten while the tree runs, stopped all at once."""

import pytest
import trio
from trio.testing import MockClock

from supervisors import (
    ActorStopped,
    AutoShutdown,
    Backoff,
    ChildSpec,
    ChildStateError,
    Context,
    IgnoreStart,
    Intensity,
    Mailbox,
    NoSuchChild,
    Restart,
    StartError,
    Strategy,
    Supervisor,
    SupervisorSpec,
)
from supervisors.testing import EventLog, ScriptedActor, settle

NOW = Backoff(base=0.0)


def pool(log: EventLog, *, max_children: int | None = None) -> Supervisor:
    spec = SupervisorSpec(
        strategy=Strategy.SIMPLE_ONE_FOR_ONE,
        backoff=NOW,
        max_children=max_children,
        intensity=Intensity(max_restarts=3),
    )
    return Supervisor(spec, hook=log)


def page(actor: ScriptedActor, restart: Restart = Restart.PERMANENT) -> ChildSpec[object]:
    return ChildSpec(id="page", start=actor.run, restart=restart)


def ids(root: Supervisor) -> list[str]:
    return [child.id for child in root.snapshot().children]


async def test_dynamic_children_get_numbers_and_refs_of_their_own(
    autojump_clock: MockClock,
) -> None:
    first, second = ScriptedActor(), ScriptedActor()
    root = pool(EventLog())
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        one = await root.start_child(page(first))
        two = await root.start_child(page(second))
        assert (one.path, two.path) == ("root/page#1", "root/page#2")
        two.tell("hello")
        await settle()
        assert (first.received, second.received) == ([], ["hello"])
        await root.stop()


async def test_dynamic_child_is_forgotten_when_it_ends_for_good(
    autojump_clock: MockClock,
) -> None:
    actors = [ScriptedActor() for _ in range(3)]
    root = pool(EventLog())
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        ref = await root.start_child(page(actors[0], Restart.TRANSIENT))
        await root.start_child(page(actors[1], Restart.TEMPORARY))
        await root.start_child(page(actors[2]))
        actors[0].finish()
        actors[1].crash()
        await settle()
        assert ids(root) == ["page#3"]
        with pytest.raises(ActorStopped):
            ref.tell("too late")
        await root.terminate_child("page#3")
        assert ids(root) == []
        await root.start_child(page(ScriptedActor()))
        assert ids(root) == ["page#4"]
        await root.stop()


async def test_dynamic_child_comes_back_under_its_number_with_its_mailbox(
    autojump_clock: MockClock,
) -> None:
    scripted = ScriptedActor()
    log = EventLog()
    root = pool(log)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        ref = await root.start_child(page(scripted))
        scripted.fail_starts = 1
        scripted.crash()
        await settle()
        ref.tell("again")
        await settle()
        assert log.lines()[-1] == "started root/page#1 3"
        assert scripted.received == ["again"]
        await root.stop()


@pytest.mark.parametrize("ignores", [False, True])
async def test_dynamic_child_that_does_not_start_keeps_nothing(
    ignores: bool, autojump_clock: MockClock
) -> None:
    async def start(ctx: Context[object]) -> None:
        raise IgnoreStart if ignores else ValueError("no")

    root = pool(EventLog())
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        spec = ChildSpec(id="page", start=start)
        if ignores:
            ref = await root.start_child(spec)
            with pytest.raises(ActorStopped):
                ref.tell("nobody")
        else:
            with pytest.raises(StartError, match="no"):
                await root.start_child(spec)
        assert ids(root) == []
        await root.stop()


async def test_dynamic_child_can_be_neither_deleted_nor_restarted(
    autojump_clock: MockClock,
) -> None:
    root = pool(EventLog())
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await root.start_child(page(ScriptedActor()))
        for request in (root.delete_child, root.restart_child):
            with pytest.raises(ChildStateError):
                await request("page#1")
            with pytest.raises(NoSuchChild):
                await request("page#9")
        await root.stop()


async def test_dynamic_children_stop_at_once_each_in_its_own_time(
    autojump_clock: MockClock,
) -> None:
    log = EventLog()
    root = pool(log)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        for delay in (3.0, 1.0, 2.0):
            await root.start_child(page(ScriptedActor(stop_delay=delay)))
        began = trio.current_time()
        report = await root.stop()
        assert trio.current_time() - began == pytest.approx(3.0)
    assert [child.path[-1] for child in report.children] == ["2", "3", "1"]


async def test_two_hundred_idle_children_stop_in_half_a_second() -> None:
    root = pool(EventLog())
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        for _ in range(200):
            await root.start_child(page(ScriptedActor()))
        began = trio.current_time()
        await root.stop()
        assert trio.current_time() - began < 0.5


async def test_more_children_than_the_supervisor_may_have_are_refused(
    autojump_clock: MockClock,
) -> None:
    root = pool(EventLog(), max_children=2)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await root.start_child(page(ScriptedActor()))
        await root.start_child(page(ScriptedActor()))
        with pytest.raises(StartError, match="has its 2 children"):
            await root.start_child(page(ScriptedActor()))
        await root.terminate_child("page#1")
        await root.start_child(page(ScriptedActor()))
        assert len(ids(root)) == 2
        await root.stop()


async def test_child_of_another_childs_mailbox_is_refused(autojump_clock: MockClock) -> None:
    mailbox = Mailbox[object]()
    root = pool(EventLog())
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        spec = ChildSpec(id="page", start=ScriptedActor().run, mailbox=mailbox)
        await root.start_child(spec)
        with pytest.raises(ValueError, match="belongs to root/page#1"):
            await root.start_child(spec)
        await root.terminate_child("page#1")
        await root.start_child(spec)
        assert mailbox.ref.path == "root/page#2"
        await root.stop()


async def test_one_of_two_children_that_are_added_with_one_mailbox_is_refused(
    autojump_clock: MockClock,
) -> None:
    mailbox = Mailbox[object]()
    root = pool(EventLog())
    refused: list[str] = []

    async def add() -> None:
        spec = ChildSpec(id="page", start=ScriptedActor(start_delay=1.0).run, mailbox=mailbox)
        try:
            await root.start_child(spec)
        except ValueError as error:
            refused.append(str(error))

    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        for _ in range(3):
            nursery.start_soon(add)
        await trio.sleep(5)
        assert refused == ["the mailbox of page belongs to root/page#1"] * 2
        assert ids(root) == ["page#1"]
        await root.stop()


async def test_child_whose_own_child_has_another_childs_mailbox_is_refused(
    autojump_clock: MockClock,
) -> None:
    mailbox = Mailbox[object]()
    root = pool(EventLog())
    page = ChildSpec(id="page", start=ScriptedActor().run, mailbox=mailbox)
    inner = ChildSpec[object](id="in", start=SupervisorSpec(children=(page,)))
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await root.start_child(page)
        with pytest.raises(ValueError, match="belongs to root/page#1"):
            await root.start_child(inner)
        await root.terminate_child("page#1")
        await root.start_child(inner)
        assert mailbox.ref.path == "root/in#2/page"
        await root.stop()


async def test_child_that_waits_for_its_start_has_its_mailbox_already(
    autojump_clock: MockClock,
) -> None:
    mailbox = Mailbox[object]()
    scripted = ScriptedActor()
    root = pool(EventLog())
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        nursery.start_soon(root.start_child, page(ScriptedActor(start_delay=5.0)))
        await settle()
        spec = ChildSpec(id="page", start=scripted.run, mailbox=mailbox)
        with trio.move_on_after(1):
            await root.start_child(spec)
        with pytest.raises(ValueError, match="belongs to root/page#2"):
            await root.start_child(spec)
        await trio.sleep(5)
        assert scripted.starts == 1
        await root.stop()


async def test_significant_child_without_auto_shutdown_is_refused(
    autojump_clock: MockClock,
) -> None:
    root = pool(EventLog())
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        spec = ChildSpec(
            id="a", start=ScriptedActor().run, restart=Restart.TRANSIENT, significant=True
        )
        with pytest.raises(ValueError, match="auto_shutdown"):
            await root.start_child(spec)
        await root.stop()


async def test_tree_whose_last_significant_child_ends_stops_in_order(
    autojump_clock: MockClock,
) -> None:
    actors = {id: ScriptedActor() for id in "abc"}
    log = EventLog()
    spec = SupervisorSpec(
        children=tuple(
            ChildSpec(id=id, start=actors[id].run, restart=Restart.TRANSIENT, significant=id != "c")
            for id in "abc"
        ),
        auto_shutdown=AutoShutdown.ALL_SIGNIFICANT,
        backoff=NOW,
    )
    root = Supervisor(spec, hook=log)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        actors["a"].finish()
        await settle()
        assert log.lines()[-1] == "exited root/a 1 normal while running"
        actors["b"].crash()
        await settle()
        assert log.lines()[-1] == "started root/b 2"
        actors["b"].finish()
        await settle()
        report = await root.stop()
    assert report.reason == "significant b ended"
    assert log.lines()[-2:] == [
        "exited root/b 2 normal while running",
        "exited root/c 1 shutdown while stopping",
    ]


async def test_significant_child_that_ends_during_the_start_ends_the_tree_after_it(
    autojump_clock: MockClock,
) -> None:
    async def brief(ctx: Context[object]) -> None:
        ctx.started()

    slow = ScriptedActor(start_delay=5.0)
    spec = SupervisorSpec(
        children=(
            ChildSpec(id="brief", start=brief, restart=Restart.TEMPORARY, significant=True),
            ChildSpec(id="slow", start=slow.run),
        ),
        auto_shutdown=AutoShutdown.ANY_SIGNIFICANT,
    )
    root = Supervisor(spec)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        assert slow.starts == 1
        report = await root.stop()
    assert report.reason == "significant brief ended"


async def test_inner_tree_that_shuts_itself_down_is_a_normal_end_for_its_parent(
    autojump_clock: MockClock,
) -> None:
    scripted = ScriptedActor()
    inner = SupervisorSpec(
        children=(
            ChildSpec(id="a", start=scripted.run, restart=Restart.TEMPORARY, significant=True),
        ),
        auto_shutdown=AutoShutdown.ANY_SIGNIFICANT,
    )
    log = EventLog()
    child = ChildSpec[object](id="in", start=inner, restart=Restart.TRANSIENT)
    root = Supervisor(SupervisorSpec(children=(child,)), hook=log)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        scripted.crash()
        await settle()
        assert log.lines()[-1] == "exited root/in 1 shutdown while running"
        await root.stop()
