"""How ends are judged: exceptions, groups and cancellations from every side."""

import gc
import math
import weakref

import pytest
import trio
from trio.testing import MockClock

from supervisors import (
    Backoff,
    ChildExited,
    ChildSpec,
    ChildState,
    Context,
    Exit,
    ExitKind,
    Intensity,
    Phase,
    Restart,
    StopActor,
    Supervisor,
    SupervisorSpec,
)
from supervisors.testing import EventLog, ScriptedActor, settle

NOW = Backoff(base=0.0)


def leaves(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for inner in error.exceptions for leaf in leaves(inner)]


async def end_of(actor: ScriptedActor, error: BaseException | None) -> Exit:
    log = EventLog()
    spec = SupervisorSpec(
        children=(ChildSpec(id="a", start=actor.run, restart=Restart.TEMPORARY),), backoff=NOW
    )
    root = Supervisor(spec, hook=log)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        if error is None:
            actor.finish()
        else:
            actor.crash(error)
        await settle()
        await root.stop()
    (exited,) = log.of(ChildExited)
    return exited.exit


async def test_crash_keeps_its_error_and_traceback_as_text(autojump_clock: MockClock) -> None:
    exit = await end_of(ScriptedActor(), ValueError("bad page"))
    assert (exit.kind, exit.error) == (ExitKind.ABNORMAL, "ValueError: bad page")
    assert exit.traceback is not None
    assert "_doubles.py" in exit.traceback


async def test_return_is_a_normal_end(autojump_clock: MockClock) -> None:
    assert await end_of(ScriptedActor(), None) == Exit(kind=ExitKind.NORMAL)


async def test_group_of_exceptions_is_a_crash(autojump_clock: MockClock) -> None:
    exit = await end_of(ScriptedActor(), ExceptionGroup("two", [ValueError("x"), KeyError("y")]))
    assert exit.kind is ExitKind.ABNORMAL
    assert exit.error == "ExceptionGroup: two (2 sub-exceptions)"


async def test_group_of_one_is_judged_as_that_one(autojump_clock: MockClock) -> None:
    group = ExceptionGroup("nursery", [ExceptionGroup("inner", [StopActor("done")])])
    assert (await end_of(ScriptedActor(), group)).kind is ExitKind.SHUTDOWN


async def test_stray_cancelled_ends_only_its_actor_as_killed(autojump_clock: MockClock) -> None:
    stolen: list[trio.Cancelled] = []
    with trio.move_on_after(0):
        try:
            await trio.sleep_forever()
        except trio.Cancelled as cancelled:
            stolen.append(cancelled)
            raise
    exit = await end_of(ScriptedActor(), stolen[0])
    assert exit.kind is ExitKind.KILLED
    grouped = BaseExceptionGroup("mixed", [stolen[0], ValueError("too")])
    assert (await end_of(ScriptedActor(), grouped)).error == "ValueError: too"


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("is_grouped", [False, True])
async def test_exits_of_the_process_are_never_swallowed(
    kind: type[BaseException], is_grouped: bool, autojump_clock: MockClock
) -> None:
    actor, sibling, log = ScriptedActor(), ScriptedActor(), EventLog()
    error: BaseException = kind()
    if is_grouped:
        error = BaseExceptionGroup("mixed", [kind(), ValueError("reported")])
    spec = SupervisorSpec(
        children=(ChildSpec(id="a", start=actor.run), ChildSpec(id="b", start=sibling.run)),
        backoff=NOW,
    )
    root = Supervisor(spec, hook=log)

    async def run_and_crash() -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(root.run)
            actor.crash(error)

    with pytest.raises(BaseExceptionGroup) as caught:
        await run_and_crash()
    assert [type(leaf) for leaf in leaves(caught.value)] == [kind]
    assert (actor.starts, sibling.starts) == (1, 1)
    reported = [event.exit.error for event in log.of(ChildExited)]
    assert reported == (["ValueError: reported"] if is_grouped else [])


async def test_exit_of_the_process_between_two_starts_is_never_swallowed(
    autojump_clock: MockClock,
) -> None:
    def interrupt(event: object) -> None:
        raise KeyboardInterrupt

    spec = SupervisorSpec(
        children=tuple(ChildSpec(id=id, start=ScriptedActor().run) for id in "ab"), backoff=NOW
    )
    with pytest.raises(BaseExceptionGroup) as caught:
        await Supervisor(spec, hook=interrupt).run()
    assert {type(leaf) for leaf in leaves(caught.value)} == {KeyboardInterrupt}


async def test_cancellation_from_outside_passes_and_restarts_nothing(
    autojump_clock: MockClock,
) -> None:
    actor, log = ScriptedActor(), EventLog()
    spec = SupervisorSpec(children=(ChildSpec(id="a", start=actor.run),), backoff=NOW)
    root = Supervisor(spec, hook=log)
    with trio.move_on_after(3) as scope:
        await root.run()
    assert scope.cancelled_caught
    assert actor.starts == 1
    assert log.of(ChildExited) == []
    assert [child.state for child in root.snapshot().children] == [ChildState.DOWN]
    assert root.snapshot().counts.active == 0


async def test_crash_during_a_cancellation_from_outside_is_reported_and_not_restarted(
    autojump_clock: MockClock,
) -> None:
    starts = 0

    async def clumsy(ctx: Context[object]) -> None:
        nonlocal starts
        starts += 1
        ctx.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError("cleanup failed")

    log = EventLog()
    spec = SupervisorSpec(children=(ChildSpec(id="a", start=clumsy),), backoff=NOW)
    with trio.move_on_after(3) as scope:
        await Supervisor(spec, hook=log).run()
    assert scope.cancelled_caught
    assert starts == 1
    (exited,) = log.of(ChildExited)
    assert exited.exit.error == "ValueError: cleanup failed"


async def test_actor_that_cancels_its_own_scope_returns_normally(
    autojump_clock: MockClock,
) -> None:
    async def brief(ctx: Context[object]) -> None:
        ctx.started()
        with trio.move_on_after(1):
            await trio.sleep_forever()

    log = EventLog()
    spec = SupervisorSpec(
        children=(ChildSpec(id="a", start=brief, restart=Restart.TRANSIENT),), backoff=NOW
    )
    root = Supervisor(spec, hook=log)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await trio.sleep(2)
        await root.stop()
    (exited,) = log.of(ChildExited)
    assert (exited.exit.kind, exited.phase) == (ExitKind.NORMAL, Phase.RUNNING)
    assert exited.uptime == pytest.approx(1.0)


async def test_readiness_after_the_start_was_cancelled_comes_too_late(
    autojump_clock: MockClock,
) -> None:
    async def late(ctx: Context[object]) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(3)
        ctx.started()
        with trio.CancelScope(shield=True):
            await trio.sleep(1)

    log = EventLog()
    spec = SupervisorSpec(
        children=(ChildSpec(id="a", start=late, start_timeout=2.0, restart=Restart.TEMPORARY),)
    )
    root = Supervisor(spec, hook=log)
    with pytest.raises(Exception, match="not ready in time"):
        await root.run()
    assert [event.exit.kind for event in log.of(ChildExited)] == [ExitKind.KILLED]


async def test_crash_pins_no_frames(autojump_clock: MockClock) -> None:
    class Page:
        """Something large in a local variable of the actor."""

    pages: list[weakref.ref[Page]] = []

    async def crashing(ctx: Context[object]) -> None:
        page = Page()
        pages.append(weakref.ref(page))
        ctx.started()
        await trio.sleep(1)
        raise ValueError(repr(page))

    child = ChildSpec(id="a", start=crashing, restart=Restart.TRANSIENT)
    root = Supervisor(
        SupervisorSpec(
            children=(child,),
            backoff=Backoff(base=5.0, jitter=0.0),
            intensity=Intensity(max_restarts=1),
        )
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await trio.sleep(2)
        gc.collect()
        assert [page() for page in pages] == [None]
        await root.stop()


async def test_no_child_ever_cancels_its_siblings(autojump_clock: MockClock) -> None:
    actors = [ScriptedActor() for _ in range(20)]
    spec = SupervisorSpec(
        children=tuple(
            ChildSpec(id=str(n), start=actor.run, restart=Restart.TEMPORARY)
            for n, actor in enumerate(actors)
        )
    )
    root = Supervisor(spec)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        for actor in actors[:-1]:
            actor.crash()
        await trio.sleep(math.pi)
        assert [child.id for child in root.snapshot().children] == ["19"]
        assert actors[-1].starts == 1
        await root.stop()
