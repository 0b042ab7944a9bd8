"""The one task that owns a table: it feeds the pure core and does what that says."""

import math
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from operator import attrgetter
from typing import assert_never

import attrs
import trio

from supervisors._actor import OnReady
from supervisors._box import Box
from supervisors._child import AnyChildSpec
from supervisors._context import Running
from supervisors._decisions import cut_off, decide, make_table
from supervisors._events import StopTimedOut
from supervisors._incarnation import Incarnation
from supervisors._pending import Requests
from supervisors._policy import Escalate, ReplaceChild, Verdict
from supervisors._snapshot import StoppedChild, StopReport
from supervisors._specs import SupervisorSpec, subtree_of
from supervisors._states import ChildState, Exit, ExitKind
from supervisors._table import (
    Action,
    AddChild,
    AllStarted,
    AllStopped,
    AskStop,
    Begin,
    Cancel,
    Consult,
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
    Stalled,
    Start,
    StartFailed,
    StopAll,
    Stopped,
    Tick,
    Wake,
)
from supervisors._tree import Tree
from supervisors._turns import Turns
from supervisors.errors import (
    RestartLimitExceeded,
    StartError,
    StopActor,
    SupervisionError,
)

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
    inner: "Runner | None" = None
    report: StopReport | None = None
    error: Exception | None = None
    asked_at: float | None = None

    def note_request(self) -> None:
        """Note that its stop is asked for; the first time counts."""
        if self.asked_at is None:
            self.asked_at = trio.current_time()

    def silence(self, max_idle: float | None) -> tuple[float, float]:
        """Return since when its incarnation has given no sign of life, and until when it may."""
        now = trio.current_time()
        if self.incarnation is None or max_idle is None:
            return now, math.inf
        if self.incarnation.promises:
            promise = min(self.incarnation.promises, key=attrgetter("until"))
            return promise.since, promise.until
        since = now if self.box.is_awaiting() else self.box.progressed_at
        return since, since + max_idle


class Runner:
    """Runs the children of one supervisor; the root's has the others in its slots.

    Attributes:
        path: The supervisor's name, or its place below the root's name.
        spec: Of the supervisor.
        tree: What it shares with the other supervisors.
        table: All that the core knows.
        slots: What it does not: by the id of the child.
        requests: Those that somebody waits for.
        failure: What `run` raised, for those who could not catch it.
        is_over: Set when nothing is left to wait for.
    """

    def __init__(self, spec: SupervisorSpec, path: str, tree: Tree, *, is_root: bool) -> None:
        self.path = path
        self.spec = spec
        self.tree = tree
        self.table = make_table(spec, path, is_root=is_root)
        self.slots: dict[str, Slot] = {}
        self.requests = Requests()
        self.failure: SupervisionError | None = None
        self.is_over = trio.Event()
        self._turns = Turns()
        self._nursery: trio.Nursery | None = None
        self._status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
        self._stop: StopAll | None = None
        self._stop_asked_at = 0.0
        self._stopped: list[StoppedChild] = []
        self._last_words: list[Ended] = []
        self._watched: dict[str, float] = {}
        self._outcome: Outcome | None = None
        self._is_claimed = False

    # Running

    async def run(self, task_status: trio.TaskStatus[None]) -> StopReport:
        """Run until somebody stops it; see `Supervisor.run`."""
        if self._is_claimed:
            raise RuntimeError(f"supervisor {self.path} runs only once")
        self._is_claimed = True
        self._status = task_status
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                self._step(self._stop or Begin())
                while self._outcome is None:
                    happening = await self._turns.next()
                    if isinstance(happening, AddChild):
                        self._add(happening)
                    else:
                        self._step(happening)
        finally:
            self._leave()
        return self._conclude()

    def is_running(self) -> bool:
        """Tell whether it takes requests."""
        return self._nursery is not None and not self.is_over.is_set()

    def post(self, happening: Happening) -> None:
        """Let it know of something."""
        self._turns.post(happening)

    def request_stop(self, reason: str, deadline: float, *, is_final: bool) -> None:
        """Begin to stop all children in order; works before `run` too."""
        if self.is_over.is_set():
            return
        if self._stop is None:
            self._stop_asked_at = trio.current_time()
        self._stop = StopAll(reason=reason, deadline=deadline, is_final=is_final)
        if self._is_claimed:
            self.post(self._stop)

    def _add(self, add: AddChild) -> None:
        """Take in a child, and its mailboxes at once: it may have to wait for its start."""
        try:
            self.tree.check_new(add.spec)
        except ValueError as error:
            self.requests.answer(add.request, error, None)
            return
        self._step(add)
        child = next(reversed(self.table.children.values()), None)
        if child is not None and add.request in child.start_requests:
            self.tree.bind(child.spec, f"{self.path}/{child.spec.id}")

    def _step(self, happening: Happening) -> None:
        now = trio.current_time()
        self.table, actions = decide(self.table, happening, now, self.tree.rng)
        if isinstance(happening, Ended):
            self._note_ended(happening, now)
        elif isinstance(happening, Ready):
            self._show_state(happening.id)
            self._watch(happening.id)
        for action in actions:
            self._perform(action)
        if isinstance(happening, Tick):
            self._check_progress(now)
        table = self.table
        if table.outcome and now >= table.deadline and not (table.doomed or table.stopping):
            self.is_over.set()  # the grace period is over and only stuck children are left

    def _note_ended(self, ended: Ended, now: float) -> None:
        slot = self.slots[ended.id]
        self._show_state(ended.id)
        if self.table.outcome is not None:
            if slot.report is not None:
                self._stopped += slot.report.children
            took = 0.0 if slot.asked_at is None else now - slot.asked_at
            self._stopped.append(StoppedChild(path=slot.path, exit=ended.exit, took=took))

    def _leave(self) -> None:
        """End what a cancellation from outside has left open; after an ordered end, nothing is."""
        if self._outcome is None:
            self._step(StopAll(reason="cancelled", deadline=math.inf, is_final=False))
            for happening in (*self._turns.left(), *self._last_words):
                if isinstance(happening, Ended):
                    self._step(happening)
            for slot in self.slots.values():
                slot.box.interrupt()
                slot.box.state = ChildState.DOWN
            self.table = cut_off(self.table)
        self.requests.refuse_all(f"{self.path} has ended")
        self._close_mailboxes()
        self.is_over.set()

    def _close_mailboxes(self) -> None:
        if self.table.is_root:
            self.tree.close_below(self.path, _GONE, is_forgotten=False)
            return
        static = {child.id for child in self.spec.children}
        for id in self.table.children.keys() - static:
            self._close(id, _GONE, is_forgotten=True)

    def _conclude(self) -> StopReport:
        match self._outcome:
            case StartFailed(id=id, exit=exit):
                self.failure = StartError(f"{self.path}/{id}", exit)
                raise self.failure from self.slots[id].error
            case GaveUp(id=id, reason=reason):
                self.failure = RestartLimitExceeded(self.path, id, reason)
                raise self.failure from self.slots[id].error
            case Stopped() | None:
                return self.report()

    # What incarnations report

    def note_ready(self, id: str, number: int) -> None:
        """Hear that an incarnation is ready."""
        self.post(Ready(id=id, number=number))

    def note_end(self, ended: Ended, error: Exception | None) -> None:
        """Hear how an incarnation ended."""
        self.slots[ended.id].error = error
        self.post(ended)

    def note_last_words(self, ended: Ended) -> None:
        """Keep an end for the moment when the whole tree is gone."""
        self._last_words.append(ended)

    def _watch(self, id: str) -> None:
        child = self.table.children.get(id)
        if child is not None and child.spec.max_idle is not None:
            look_at = trio.current_time() + child.spec.max_idle  # a promise may come and go
            look_at = min(look_at, self.slots[id].silence(child.spec.max_idle)[1])
            self._watched[id] = look_at
            self._turns.wake_at(_idle(id), look_at)

    def _check_progress(self, now: float) -> None:
        for id in [id for id, limit in self._watched.items() if limit <= now]:
            del self._watched[id]
            child = self.table.children.get(id)
            if child is None or child.state is not ChildState.RUNNING:
                continue
            incarnation = self.slots[id].incarnation
            since, until = self.slots[id].silence(child.spec.max_idle)
            if incarnation is None or until > now:
                self._watch(id)
            else:
                self._step(Stalled(id=id, number=child.number, idle=now - since))

    # Carrying out actions

    def _perform(self, action: Action) -> None:
        match action:
            case Report(event=event):
                self.tree.emit(event)
            case Wake(id=id, at=at):
                self._turns.wake_at(id, at)
            case Start(id=id, number=number):
                self._start(id, number)
            case Consult():
                self._consult(action)
            case AskStop():
                self._ask_stop(action)
            case Cancel(id=id, cause=cause, is_kill=is_kill):
                self._cancel(id, cause, is_kill=is_kill)
            case ReportStuck(id=id):
                self._report_stuck(id)
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

    def _start(self, id: str, number: int) -> None:
        if self._nursery is None:
            raise RuntimeError(f"supervisor {self.path} does not run")
        spec = self.table.children[id].spec
        slot = self.slots.get(id)
        if slot is None:
            path = f"{self.path}/{id}"
            slot = self.slots[id] = Slot(path=path, box=self.tree.box(spec, path))
        slot.error = slot.report = slot.asked_at = None
        slot.box.open(number)
        slot.incarnation = Incarnation(
            id=id,
            box=slot.box,
            number=number,
            stop_patience=spec.patience(),
            run_actor=self._runner(slot, spec),
            owner=self,
        )
        self._show_state(id)
        self._nursery.start_soon(slot.incarnation.run, name=slot.path)

    def _runner(self, slot: Slot, spec: AnyChildSpec) -> Callable[[Running], Awaitable[None]]:
        subtree = subtree_of(spec)
        if subtree is None:
            slot.inner = None
            return spec.run
        slot.inner = Runner(subtree, slot.path, self.tree, is_root=False)
        return partial(self._run_inner, slot, slot.inner)

    async def _run_inner(self, slot: Slot, inner: "Runner", running: Running) -> None:
        slot.report = await inner.run(OnReady(lambda _: running.started()))
        if not running.is_stop_asked:
            raise StopActor(slot.report.reason)

    def _ask_stop(self, ask: AskStop) -> None:
        slot = self.slots.get(ask.id)
        if slot is None or slot.incarnation is None:
            return  # the process is ending, and its start was not carried out any more
        slot.note_request()
        self._show_state(ask.id)
        slot.incarnation.ask_to_stop()
        if slot.inner is not None:
            slot.inner.request_stop(ask.cause, ask.deadline, is_final=ask.is_final)
        elif ask.is_final:
            slot.box.shut()
        else:
            slot.box.halt()

    def _cancel(self, id: str, cause: str, *, is_kill: bool) -> None:
        slot = self.slots.get(id)
        if slot is not None and slot.incarnation is not None:
            slot.note_request()
            slot.incarnation.cancel(cause, is_kill=is_kill)

    def _report_stuck(self, id: str) -> None:
        self._show_state(id)
        for slot in self._leaves(id):
            if slot.incarnation is not None:
                self.tree.emit(StopTimedOut(path=slot.path, stack=slot.incarnation.stack()))

    def _consult(self, consult: Consult) -> None:
        slot = self.slots[consult.id]
        self.tree.emit(consult.exited)
        verdict = self._judge(consult, slot)
        self._step(Judged(id=consult.id, exited=consult.exited, verdict=verdict))
        self._show_state(consult.id)
        if not isinstance(self.table.outcome, GaveUp):
            slot.error = None

    def _judge(self, consult: Consult, slot: Slot) -> Verdict:
        try:
            verdict = self.spec.policy.decide(consult.exited, slot.error)
            if isinstance(verdict, ReplaceChild):
                self.spec.check_child(verdict.spec)
        except Exception as fault:  # the policy is a guest; its fault must not skip the stop
            return Escalate(reason=f"the policy raised {type(fault).__qualname__}: {fault}")
        if isinstance(verdict, ReplaceChild):
            box = verdict.spec.own_box()
            if verdict.spec.id != consult.id or box not in (None, slot.box):
                return Escalate(reason=f"the policy offered a spec that is not {consult.id}'s")
        return verdict

    def _reply(self, reply: Reply) -> None:
        slot = self.slots.get(reply.id)
        if isinstance(reply.error, StartError) and slot is not None:
            reply.error.__cause__ = slot.error
        self.requests.answer(reply.request, reply.error, None if slot is None else slot.box)

    def _close(self, id: str, exit: Exit, *, is_forgotten: bool) -> None:
        slot = self.slots.get(id)
        path = f"{self.path}/{id}"
        if slot is not None:
            slot.box.state = ChildState.DOWN
        if slot is None or slot.inner is not None:
            self.tree.close_below(path, exit, is_forgotten=is_forgotten)
        self.tree.close(path, exit, is_forgotten=is_forgotten)
        if is_forgotten:
            self._forget(id)

    def _forget(self, id: str) -> None:
        self._watched.pop(id, None)
        for name in (id, _idle(id)):
            self._turns.forget(name)
        if self.table.outcome is None:
            self.slots.pop(id, None)

    def _show_state(self, id: str) -> None:
        child, slot = self.table.children.get(id), self.slots.get(id)
        if child is not None and slot is not None:
            slot.box.state = child.state

    # Looking

    def _leaves(self, id: str) -> Iterator[Slot]:
        slot = self.slots[id]
        if slot.inner is None:
            yield slot
            return
        for inner_id, child in slot.inner.table.children.items():
            if child.is_alive:
                yield from slot.inner._leaves(inner_id)

    def report(self) -> StopReport:
        """Return how it stopped, as far as it has."""
        took = 0.0 if self._stop is None else trio.current_time() - self._stop_asked_at
        outcome = self.table.outcome
        return StopReport(
            reason=outcome.reason if isinstance(outcome, Stopped) else "gave up",
            took=took,
            children=tuple(self._stopped),
            stuck=tuple(leaf.path for id in sorted(self.table.stuck) for leaf in self._leaves(id)),
        )


def _idle(id: str) -> str:
    """Return the name of the moment until which a child may go without progress."""
    return f"{id}/idle"
