"""The one task that owns a tree: it feeds what happens to the pure core and does what that says."""

import math
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from random import Random
from typing import TypeVar, assert_never

import attrs
import trio

from supervisors._box import Box
from supervisors._child import AnyChildSpec
from supervisors._context import Running
from supervisors._decisions import decide, make_table
from supervisors._events import (
    Emitter,
    Hook,
    StopTimedOut,
    ignore_event,
)
from supervisors._incarnation import Incarnation
from supervisors._pending import Requests
from supervisors._policy import Escalate, ReplaceChild, Verdict
from supervisors._ref import Ref
from supervisors._snapshot import (
    ChildSnapshot,
    StoppedChild,
    StopReport,
    TreeSnapshot,
    count,
    snapshot_child,
)
from supervisors._specs import ChildSpec, SupervisorSpec, subtree_of
from supervisors._states import ChildState, Exit, ExitKind
from supervisors._table import (
    Action,
    AddChild,
    AllStarted,
    AllStopped,
    AskStop,
    Begin,
    Cancel,
    Child,
    Consult,
    DeleteChild,
    Ended,
    GaveUp,
    Happening,
    Judged,
    Outcome,
    Ready,
    Reply,
    Report,
    ReportStuck,
    Retire,
    Start,
    StartAgain,
    StartFailed,
    StopAll,
    Stopped,
    TerminateChild,
    Wake,
)
from supervisors._tree import Tree
from supervisors._turns import Turns
from supervisors.errors import (
    NoSuchChild,
    RestartLimitExceeded,
    StartError,
    SupervisionError,
    SupervisorStopping,
)

M = TypeVar("M")
_GONE = Exit(kind=ExitKind.SHUTDOWN)


@attrs.define(kw_only=True, eq=False)
class Slot:
    """What belongs to a child beside its row: the parts that are no values.

    Attributes:
        incarnation: The running one, or the last.
        inner: The inner supervisor of that incarnation, if the child is one.
        report: How that one stopped.
        error: What the last incarnation raised, without its frames, until it was judged.
        asked_at: When its stop was asked for.
    """

    path: str
    box: Box
    incarnation: Incarnation | None = None
    inner: "Supervisor | None" = None
    report: StopReport | None = None
    error: Exception | None = None
    asked_at: float | None = None

    def note_request(self) -> None:
        """Note that its stop is asked for; the first time counts."""
        if self.asked_at is None:
            self.asked_at = trio.current_time()

    def progressed_at(self) -> float | None:
        """Return when its incarnation last made progress."""
        return None if self.incarnation is None else self.incarnation.running.progressed_at


class OnReady:
    """A task status that calls a function."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call

    def started(self, value: object = None) -> None:
        self._call()


class Supervisor:
    """Runs one tree of children; see `SupervisorSpec` for what happens when one ends.

    Attributes:
        path: Its name, or its place below the root's name.
        failure: What `run` raised, for those who could not catch it.
    """

    def __init__(
        self,
        spec: SupervisorSpec,
        *,
        name: str = "root",
        hook: Hook = ignore_event,
        rng: Random | None = None,
    ) -> None:
        rng = rng or Random()  # noqa: S311 - jitter is no secret
        self._set_up(spec, name, Tree(spec, name, Emitter(hook), rng), is_root=True)

    @classmethod
    def _within(cls, tree: Tree, spec: SupervisorSpec, path: str) -> "Supervisor":
        inner = cls.__new__(cls)
        inner._set_up(spec, path, tree, is_root=False)
        return inner

    def _set_up(self, spec: SupervisorSpec, path: str, tree: Tree, *, is_root: bool) -> None:
        self.path = path
        self.failure: SupervisionError | None = None
        self._spec = spec
        self._tree = tree
        self._table = make_table(spec, path, is_root=is_root)
        self._turns = Turns()
        self._slots: dict[str, Slot] = {}
        self._requests = Requests()
        self._nursery: trio.Nursery | None = None
        self._status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
        self._stop: StopAll | None = None
        self._stop_asked_at = 0.0
        self._stopped: list[StoppedChild] = []
        self._last_words: list[Ended] = []
        self._outcome: Outcome | None = None
        self._is_claimed = False
        self._is_over = trio.Event()

    # Running

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> StopReport:
        """Run the tree until somebody stops it; `started` when every child is ready.

        Raises:
            StartError: A child did not become ready; those before it were stopped again.
            RestartLimitExceeded: The policy escalated; the children are stopped.
            RuntimeError: It ran before.
        """
        if self._is_claimed:
            raise RuntimeError(f"supervisor {self.path} runs only once")
        self._is_claimed = True
        self._status = task_status
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                await self._serve()
        finally:
            self._leave()
        return self._conclude()

    async def _serve(self) -> None:
        self._step(self._stop or Begin())
        while self._outcome is None:
            self._step(await self._turns.next())

    def _step(self, happening: Happening) -> None:
        now = trio.current_time()
        self._table, actions = decide(self._table, happening, now, self._tree.rng)
        if isinstance(happening, Ready | Ended):
            self._note(happening, now)
        for action in actions:
            self._perform(action)
        table = self._table
        if table.outcome and now >= table.deadline and not (table.doomed or table.stopping):
            self._is_over.set()  # the grace period is over and only stuck children are left

    def _note(self, happening: Ready | Ended, now: float) -> None:
        slot = self._slots[happening.id]
        self._show_state(happening.id)
        if isinstance(happening, Ended) and self._table.outcome is not None:
            if slot.report is not None:
                self._stopped += slot.report.children
            took = 0.0 if slot.asked_at is None else now - slot.asked_at
            self._stopped.append(StoppedChild(path=slot.path, exit=happening.exit, took=took))

    def _leave(self) -> None:
        """End what a cancellation from outside has left open; after an ordered end, nothing is."""
        if self._outcome is None:
            self._step(StopAll(reason="cancelled", deadline=math.inf, is_final=False))
            for happening in (*self._turns.left(), *self._last_words):
                if isinstance(happening, Ended):
                    self._step(happening)
            for slot in self._slots.values():
                slot.box.interrupt()
        self._requests.fail_all(SupervisorStopping(f"{self.path} has ended"))
        self._close_mailboxes()
        self._is_over.set()

    def _close_mailboxes(self) -> None:
        if self._table.is_root:
            self._tree.close_below(self.path, _GONE, is_forgotten=False)
            return
        static = {child.id for child in self._spec.children}
        for id in self._table.children.keys() - static:
            self._close(id, _GONE, is_forgotten=True)

    def _conclude(self) -> StopReport:
        match self._outcome:
            case StartFailed(id=id, exit=exit):
                self.failure = StartError(f"{self.path}/{id}", exit)
                raise self.failure from self._slots[id].error
            case GaveUp(id=id, reason=reason):
                self.failure = RestartLimitExceeded(self.path, id, reason)
                raise self.failure from self._slots[id].error
            case Stopped() | None:
                return self._report()

    # Carrying out actions

    def _perform(self, action: Action) -> None:
        match action:
            case Start():
                self._start(action)
            case AskStop():
                self._ask_stop(action)
            case Cancel(id=id, cause=cause, is_kill=is_kill):
                self._cancel(id, cause, is_kill=is_kill)
            case ReportStuck(id=id):
                self._report_stuck(id)
            case Wake(at=at):
                self._turns.wake_at(at)
            case Consult():
                self._consult(action)
            case Report(event=event):
                self._tree.emit(event)
            case Reply():
                self._reply(action)
            case Retire(id=id, exit=exit, is_forgotten=is_forgotten):
                self._close(id, exit, is_forgotten=is_forgotten)
            case AllStarted():
                self._status.started()
            case AllStopped(outcome=outcome):
                self._outcome = outcome
            case _:
                assert_never(action)

    def _start(self, start: Start) -> None:
        if self._nursery is None:
            raise RuntimeError(f"supervisor {self.path} does not run")
        spec = self._table.children[start.id].spec
        slot = self._slot(spec)
        slot.error = slot.report = None
        slot.asked_at = None
        if start.number > 1:
            slot.box.prepare_restart()
        slot.box.open()
        running = Running(
            box=slot.box,
            number=start.number,
            on_ready=partial(self._turns.post, Ready(id=start.id, number=start.number)),
        )
        slot.incarnation = Incarnation(
            id=start.id,
            running=running,
            run_actor=self._runner(slot, spec),
            on_end=partial(self._on_end, slot),
            on_last_words=self._last_words.append,
        )
        self._show_state(start.id)
        self._nursery.start_soon(slot.incarnation.run, name=slot.path)

    def _runner(self, slot: Slot, spec: AnyChildSpec) -> Callable[[Running], Awaitable[None]]:
        subtree = subtree_of(spec)
        if subtree is None:
            slot.inner = None
            return spec.run
        slot.inner = Supervisor._within(self._tree, subtree, slot.path)
        return partial(self._run_inner, slot, slot.inner)

    async def _run_inner(self, slot: Slot, inner: "Supervisor", running: Running) -> None:
        slot.report = await inner.run(task_status=OnReady(running.started))

    def _on_end(self, slot: Slot, ended: Ended, error: Exception | None) -> None:
        slot.error = error
        self._turns.post(ended)

    def _ask_stop(self, ask: AskStop) -> None:
        slot = self._slots[ask.id]
        if slot.incarnation is None:
            return
        slot.note_request()
        self._show_state(ask.id)
        slot.incarnation.ask_to_stop()
        if slot.inner is not None:
            slot.inner._request(ask.cause, ask.deadline, is_final=ask.is_final)
        elif ask.is_final:
            slot.box.shut()
        else:
            slot.box.halt()

    def _cancel(self, id: str, cause: str, *, is_kill: bool) -> None:
        slot = self._slots[id]
        if slot.incarnation is not None:
            slot.note_request()
            slot.incarnation.cancel(cause, is_kill=is_kill)

    def _report_stuck(self, id: str) -> None:
        self._show_state(id)
        for slot in self._leaves(id):
            if slot.incarnation is not None:
                self._tree.emit(StopTimedOut(path=slot.path, stack=slot.incarnation.stack()))

    def _consult(self, consult: Consult) -> None:
        slot = self._slots[consult.id]
        self._tree.emit(consult.exited)
        verdict = self._judge(consult, slot)
        self._step(Judged(id=consult.id, exited=consult.exited, verdict=verdict))
        self._show_state(consult.id)
        if not isinstance(self._table.outcome, GaveUp):
            slot.error = None

    def _judge(self, consult: Consult, slot: Slot) -> Verdict:
        try:
            verdict = self._spec.policy.decide(consult.exited, slot.error)
        except Exception as fault:  # the policy is a guest; its fault must not skip the stop
            return Escalate(reason=f"the policy raised {type(fault).__qualname__}: {fault}")
        if isinstance(verdict, ReplaceChild):
            box = verdict.spec.own_box()
            if verdict.spec.id != consult.id or box not in (None, slot.box):
                return Escalate(reason=f"the policy offered a spec that is not {consult.id}'s")
        return verdict

    def _reply(self, reply: Reply) -> None:
        if isinstance(reply.error, StartError):
            slot = self._slots[reply.error.path.removeprefix(f"{self.path}/")]
            reply.error.__cause__ = slot.error
        self._requests.answer(reply.request, reply.error)

    def _close(self, id: str, exit: Exit, *, is_forgotten: bool) -> None:
        slot = self._slots.get(id)
        path = f"{self.path}/{id}"
        if slot is not None:
            slot.box.state = ChildState.DOWN
            if slot.inner is not None:
                self._tree.close_below(path, exit, is_forgotten=is_forgotten)
        self._tree.close(path, exit, is_forgotten=is_forgotten)
        if is_forgotten and self._table.outcome is None:
            self._slots.pop(id, None)

    def _slot(self, spec: AnyChildSpec) -> Slot:
        slot = self._slots.get(spec.id)
        if slot is None:
            path = f"{self.path}/{spec.id}"
            slot = self._slots[spec.id] = Slot(path=path, box=self._tree.box(spec, path))
        return slot

    def _show_state(self, id: str) -> None:
        child, slot = self._table.children.get(id), self._slots.get(id)
        if child is not None and slot is not None:
            slot.box.state = child.state

    # Requests from other tasks

    async def start_child(self, spec: ChildSpec[M]) -> Ref[M]:
        """Add a child, last in order, and wait until it is ready.

        Raises:
            ChildStateError: The id is taken; `state` tells by what.
            StartError: It did not become ready and was forgotten again.
            SupervisorStopping: The supervisor takes no requests.
        """
        await self._ask(lambda number: AddChild(spec=spec, request=number))
        return Ref(self._slot(spec).box)

    async def terminate_child(self, id: str) -> None:
        """Stop a child and wait for its end; it stays in the table, DOWN, unless temporary.

        Raises:
            NoSuchChild: There is no child of that id.
            SupervisorStopping: The supervisor takes no requests.
        """
        await self._ask(lambda number: TerminateChild(id=id, request=number))

    async def restart_child(self, id: str) -> None:
        """Start a child that is DOWN and wait until it is ready.

        Raises:
            ChildStateError: It is not DOWN.
            StartError: It did not become ready and is DOWN again.
            NoSuchChild: There is no child of that id.
            SupervisorStopping: The supervisor takes no requests.
        """
        await self._ask(lambda number: StartAgain(id=id, request=number))

    async def delete_child(self, id: str) -> None:
        """Forget a child that is DOWN.

        Raises:
            ChildStateError: It is not DOWN.
            NoSuchChild: There is no child of that id.
            SupervisorStopping: The supervisor takes no requests.
        """
        await self._ask(lambda number: DeleteChild(id=id, request=number))

    async def _ask(self, make: Callable[[int], Happening]) -> None:
        if self._nursery is None or self._is_over.is_set():
            raise SupervisorStopping(f"{self.path} does not run")
        number = self._requests.open()
        self._turns.post(make(number))
        await self._requests.wait(number)

    async def stop(
        self, *, reason: str = "requested", grace_period: float | None = None
    ) -> StopReport:
        """Stop all children in order and wait for the end; never called by one of them.

        Args:
            reason: For the children's Cancelled and for the report.
            grace_period: Seconds until everything is cancelled; None: as long as the children may.

        Returns:
            What happened. Where cancelled children go on, it names them: at the end of the grace
            period, or when their `kill_timeout` is over after it.
        """
        self.request_stop(reason=reason, grace_period=grace_period)
        await self._is_over.wait()
        return self._report()

    def request_stop(self, *, reason: str = "requested", grace_period: float | None = None) -> None:
        """Begin to stop all children in order, without waiting; works before `run` too.

        Args:
            grace_period: Seconds until everything is cancelled; None: as long as the children may.
        """
        grace = math.inf if grace_period is None else grace_period
        self._request(reason, trio.current_time() + grace, is_final=True)

    def _request(self, reason: str, deadline: float, *, is_final: bool) -> None:
        if self._is_over.is_set():
            return
        if self._stop is None:
            self._stop_asked_at = trio.current_time()
        self._stop = StopAll(reason=reason, deadline=deadline, is_final=is_final)
        if self._is_claimed:
            self._turns.post(self._stop)

    # Looking

    def observe(self, hook: Hook) -> None:
        """Let one more function see every event of the whole tree from now on."""
        self._tree.emit.add(hook)

    def child_spec(self, id: str) -> AnyChildSpec:
        """Return the spec that a child runs by now.

        Raises:
            NoSuchChild: There is no child of that id.
        """
        child = self._table.children.get(id)
        if child is None:
            raise NoSuchChild(f"{self.path} has no child {id}")
        return child.spec

    def nested(self, path: str) -> "Supervisor":
        """Return the running inner supervisor at a path; keep the path, not the object.

        Raises:
            NoSuchChild: There is none at that path now.
        """
        if path == self.path:
            return self
        for id, slot in self._slots.items():
            is_way = path == slot.path or path.startswith(f"{slot.path}/")
            if is_way and slot.inner is not None and self._table.children[id].is_alive:
                return slot.inner.nested(path)
        raise NoSuchChild(f"{self.path} has no supervisor at {path}")

    def snapshot(self) -> TreeSnapshot:
        """Return the state of the whole tree."""
        now = trio.current_time()
        rows = self._table.children.values()
        return TreeSnapshot(
            path=self.path,
            children=tuple(self._snapshot_of(child, now) for child in rows),
            counts=count(rows),
            restarts_in_window=len(self._table.window.at(now).times),
            hook_failures=self._tree.emit.failures,
        )

    def _snapshot_of(self, child: Child, now: float) -> ChildSnapshot:
        path = f"{self.path}/{child.spec.id}"
        slot = self._slots.get(child.spec.id)
        is_running = slot is not None and child.is_alive
        return snapshot_child(
            child,
            path=path,
            now=now,
            progressed_at=slot.progressed_at() if slot is not None and is_running else None,
            box=self._tree.box(child.spec, path),
            tree=slot.inner.snapshot() if slot is not None and is_running and slot.inner else None,
        )

    def _leaves(self, id: str) -> Iterator[Slot]:
        slot = self._slots[id]
        if slot.inner is None:
            yield slot
            return
        for inner_id, child in slot.inner._table.children.items():
            if child.is_alive:
                yield from slot.inner._leaves(inner_id)

    def _report(self) -> StopReport:
        took = 0.0 if self._stop is None else trio.current_time() - self._stop_asked_at
        outcome = self._table.outcome
        return StopReport(
            reason=outcome.reason if isinstance(outcome, Stopped) else "gave up",
            took=took,
            children=tuple(self._stopped),
            stuck=tuple(leaf.path for id in sorted(self._table.stuck) for leaf in self._leaves(id)),
        )
