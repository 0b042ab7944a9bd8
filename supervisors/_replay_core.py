"""Plays a scenario on the pure core alone: no loop, no time, and children that obey at once."""

import math
from collections import deque
from random import Random
from typing import assert_never

from supervisors._decisions import decide, make_table
from supervisors._play import Play
from supervisors._policy import RestartPolicy
from supervisors._scenario import ROOT, Lines, Node, Scenario, Step, StepKind
from supervisors._specs import SupervisorSpec, subtree_of
from supervisors._states import Exit, ExitKind
from supervisors._table import (
    Action,
    AddChild,
    AllStarted,
    AllStopped,
    AskStop,
    Begin,
    Cancel,
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
    Table,
    TerminateChild,
    Wake,
)
from supervisors.errors import IgnoreStart


def replay_core(scenario: Scenario) -> tuple[Lines, ...]:
    """Play a scenario on the pure core; the lines are those of `replay`."""
    play = CorePlay(scenario)
    return (play.take(), *(play.step(step) for step in scenario.steps))


class CorePlay(Play):
    """A play of `replay_core` that can be watched between its steps.

    Attributes:
        supervisors: The specs of the supervisors that run, by their paths.
    """

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario)
        self.supervisors: dict[str, SupervisorSpec] = {}
        self._tables: dict[str, Table] = {}
        self._todo: deque[tuple[str, Happening]] = deque()
        self._rng = Random(0)  # noqa: S311 - no delay, hence no jitter
        self._begin(ROOT, scenario.tree.spec(self.run_leaf))
        self.running.add(ROOT)
        self._work()

    def is_supervisor(self, path: str) -> bool:
        """Tell whether a supervisor runs at a path."""
        return path in self.supervisors

    def step(self, step: Step) -> Lines:
        """Take one step and return its lines; `take` returns those of the initial start."""
        if self.is_missing(step):
            return ("nobody",)
        parent, _, id = step.path.rpartition("/")
        match step:
            case Step(kind=StepKind.FAIL_STARTS | StepKind.IGNORE_STARTS):
                self.cue(step)
            case Step(kind=StepKind.CRASH):
                self._end_child(step.path, ExitKind.ABNORMAL)
            case Step(kind=StepKind.RETURN):
                self._end_child(step.path, ExitKind.NORMAL)
            case Step(kind=StepKind.STOP):
                self._post(ROOT, StopAll(reason="requested", deadline=math.inf, is_final=True))
            case Step(kind=StepKind.START, node=Node() as node):
                self._post(step.path, AddChild(spec=node.spec(self.run_leaf), request=0))
            case Step(kind=StepKind.TERMINATE):
                self._post(parent, TerminateChild(id=id, request=0))
            case Step(kind=StepKind.RESTART):
                self._post(parent, StartAgain(id=id, request=0))
            case Step(kind=StepKind.DELETE):
                self._post(parent, DeleteChild(id=id, request=0))
            case _:
                raise ValueError(f"a step that cannot be taken: {step}")
        self._work()
        return self.take()

    def _begin(self, path: str, spec: SupervisorSpec) -> None:
        self.supervisors[path] = spec
        self._tables[path] = make_table(spec, path, is_root=path == ROOT)
        self._post(path, Begin())

    def _post(self, path: str, happening: Happening) -> None:
        self._todo.append((path, happening))

    def _work(self) -> None:
        while self._todo:
            path, happening = self._todo.popleft()
            if path in self._tables:
                self._decide(path, happening)

    def _decide(self, path: str, happening: Happening) -> None:
        self._tables[path], actions = decide(self._tables[path], happening, 0.0, self._rng)
        for action in actions:
            self._perform(path, action)

    def _perform(self, path: str, action: Action) -> None:
        match action:
            case Start(id=id):
                self._start(path, id)
            case AskStop():
                self._ask_stop(f"{path}/{action.id}", action)
            case Consult(id=id, exited=exited):
                self.note(exited)
                verdict = RestartPolicy().decide(exited, None)
                self._decide(path, Judged(id=id, exited=exited, verdict=verdict))
            case Report(event=event):
                self.note(event)
            case Reply(error=error):
                self.answer(error)
            case AllStarted():
                if path != ROOT:
                    self._ready(path)
            case AllStopped(outcome=outcome):
                self._conclude(path, outcome)
            case Cancel() | ReportStuck() | Wake() | Retire():
                pass  # whoever was asked to stop obeys, no time passes, there are no mailboxes
            case _:
                assert_never(action)

    def _start(self, parent: str, id: str) -> None:
        path = f"{parent}/{id}"
        subtree = subtree_of(self._tables[parent].children[id].spec)
        if subtree is not None:
            self._begin(path, subtree)
            return
        refusal = self.actors[path].take_refusal()
        if refusal is None:
            self._ready(path)
        elif isinstance(refusal, IgnoreStart):
            self._end_child(path, ExitKind.NORMAL, is_ignored=True)
        else:
            self._end_child(path, ExitKind.ABNORMAL)

    def _ask_stop(self, path: str, ask: AskStop) -> None:
        if path in self._tables:
            stop = StopAll(reason=ask.cause, deadline=ask.deadline, is_final=ask.is_final)
            self._post(path, stop)
        else:
            self._end_child(path, ExitKind.SHUTDOWN)

    def _conclude(self, path: str, outcome: Outcome) -> None:
        del self._tables[path], self.supervisors[path]
        if path == ROOT:
            self.running.discard(ROOT)
            self.end(type(outcome).__name__)
            return
        match outcome:
            case Stopped():
                self._end_child(path, ExitKind.SHUTDOWN)
            case GaveUp() | StartFailed():
                self._end_child(path, ExitKind.ABNORMAL)

    def _ready(self, path: str) -> None:
        parent, _, id = path.rpartition("/")
        number = self._tables[parent].children[id].number
        self._post(parent, Ready(id=id, number=number))

    def _end_child(self, path: str, kind: ExitKind, *, is_ignored: bool = False) -> None:
        parent, _, id = path.rpartition("/")
        number = self._tables[parent].children[id].number
        ended = Ended(id=id, number=number, exit=Exit(kind=kind), is_ignored=is_ignored)
        self._post(parent, ended)
