"""The values of the decision core: the child table, what happens to it, what it asks for."""

import enum
import math
from operator import attrgetter
from typing import TypeAlias

import attrs

from supervisors._child import AnyChildSpec
from supervisors._events import ChildExited, Event
from supervisors._intensity import Window
from supervisors._policy import Verdict
from supervisors._specs import SupervisorSpec
from supervisors._states import ChildState, Exit
from supervisors.errors import SupervisionError


class Stage(enum.Enum):
    """Where the supervisor itself stands."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    ENDED = "ended"


class Origin(enum.Enum):
    """Who asked for a start: it decides what a failing one leads to.

    INITIAL: the tree fails. ADDED: the caller of start_child hears it, the spec goes. REQUESTED:
    the caller of restart_child hears it, the child stays down. RESTART: the policy is asked.
    """

    INITIAL = "initial"
    ADDED = "added"
    REQUESTED = "requested"
    RESTART = "restart"


class After(enum.Enum):
    """What becomes of a child once it has been stopped."""

    RESTART = "restart"
    DOWN = "down"
    DROP = "drop"


@attrs.define
class Child:
    """One row of the table; a decision changes copies of the rows it was given.

    Attributes:
        position: Its place in start order.
        number: The last incarnation's number; 0 before the first.
        since: When it became ready; None if it never did in this incarnation.
        started_at: When its incarnation began.
        attempt: Restarts since it last ran well.
        restarts: Restarts altogether.
        window: Its own count of restarts; None: it counts in the supervisor's.
        due: Before this moment it is not started.
        cancel_at: When it is cancelled; math.inf: not on the table's account.
        kill_at: When the cancellation is found to have had no effect.
        after: What follows its end; None: nobody has asked it to stop.
        cause: Why it was asked to stop.
        because: Whose restart it waits for, in a group restart.
        start_requests: Who waits for its readiness.
        stop_requests: Who waits for its end.
    """

    spec: AnyChildSpec
    position: int
    origin: Origin
    window: Window | None = None
    state: ChildState = ChildState.DOWN
    number: int = 0
    since: float | None = None
    started_at: float = 0.0
    attempt: int = 0
    restarts: int = 0
    due: float = 0.0
    cancel_at: float = math.inf
    kill_at: float = math.inf
    after: After | None = None
    cause: str = ""
    because: str = ""
    start_requests: tuple[int, ...] = ()
    stop_requests: tuple[int, ...] = ()
    last_exit: Exit | None = None

    @property
    def is_alive(self) -> bool:
        """Whether an incarnation of it exists."""
        return self.state not in (ChildState.DOWN, ChildState.RESTARTING)

    def copy(self) -> "Child":
        """Return a row of the same values."""
        return Child(*_values(self))


_values = attrgetter(*(field.name for field in attrs.fields(Child)))


@attrs.frozen(kw_only=True)
class Stopped:
    """The tree ended because it was asked to."""

    reason: str


@attrs.frozen(kw_only=True)
class StartFailed:
    """The tree ended because a child did not become ready in the initial start."""

    id: str
    exit: Exit


@attrs.frozen(kw_only=True)
class GaveUp:
    """The tree ended because a policy escalated."""

    id: str
    reason: str


Outcome: TypeAlias = Stopped | StartFailed | GaveUp


@attrs.define(kw_only=True)
class Table:
    """All that a supervisor knows; a decision makes the next table and leaves this one alone.

    Attributes:
        children: By id, in start order.
        waiting: Who is to be started: (due, position, id), sorted; due is 0 but for independent
            children.
        doomed: Who is to be asked to stop, the last one first.
        starting: Who is on the way to readiness.
        stopping: Who was asked to stop and may still do so.
        stuck: Who goes on although cancelled.
        next_position: The place of the next child that is added.
        outcome: Why it ends; None while it does not.
        deadline: When the grace period is over.
        is_root: Whether no supervisor above might start the tree again.
        is_final: Whether nothing will start again, so that mailboxes close.
        ended_early: The significant child whose end during the initial start will end the tree.
    """

    path: str
    spec: SupervisorSpec
    is_root: bool
    is_final: bool
    window: Window
    children: dict[str, Child] = attrs.field(factory=dict)
    waiting: list[tuple[float, int, str]] = attrs.field(factory=list)
    doomed: list[str] = attrs.field(factory=list)
    starting: set[str] = attrs.field(factory=set)
    stopping: set[str] = attrs.field(factory=set)
    stuck: set[str] = attrs.field(factory=set)
    stage: Stage = Stage.STARTING
    next_position: int = 0
    outcome: Outcome | None = None
    deadline: float = math.inf
    ended_early: str | None = None

    def copy(self) -> "Table":
        """Return a table of the same rows, whose collections are its own."""
        return Table(
            path=self.path,
            spec=self.spec,
            is_root=self.is_root,
            is_final=self.is_final,
            window=self.window,
            children=self.children.copy(),
            waiting=self.waiting.copy(),
            doomed=self.doomed.copy(),
            starting=self.starting.copy(),
            stopping=self.stopping.copy(),
            stuck=self.stuck.copy(),
            stage=self.stage,
            next_position=self.next_position,
            outcome=self.outcome,
            deadline=self.deadline,
            ended_early=self.ended_early,
        )


# What happens


@attrs.frozen(kw_only=True)
class Begin:
    """The supervisor starts."""


@attrs.frozen(kw_only=True)
class Ready:
    """An incarnation said that it is ready."""

    id: str
    number: int


@attrs.frozen(kw_only=True)
class Ended:
    """An incarnation ended.

    Attributes:
        is_ignored: It raised IgnoreStart before it was ready.
        depth: Messages that wait in its mailbox.
    """

    id: str
    number: int
    exit: Exit
    is_ignored: bool = False
    depth: int = 0


@attrs.frozen(kw_only=True)
class Judged:
    """The policy answered a Consult."""

    exited: ChildExited
    id: str
    verdict: Verdict


@attrs.frozen(kw_only=True)
class Stalled:
    """An incarnation made no progress for longer than its `max_idle`.

    Attributes:
        idle: Seconds since its last progress.
    """

    id: str
    number: int
    idle: float


@attrs.frozen(kw_only=True)
class Tick:
    """Time has passed."""


@attrs.frozen(kw_only=True)
class StopAll:
    """Somebody wants the tree to end.

    Attributes:
        deadline: The end of the grace period, or math.inf.
        is_final: False where a supervisor above will start the tree again.
    """

    reason: str
    deadline: float
    is_final: bool


@attrs.frozen(kw_only=True)
class AddChild:
    """start_child was called."""

    spec: AnyChildSpec
    request: int


@attrs.frozen(kw_only=True)
class TerminateChild:
    """terminate_child was called."""

    id: str
    request: int


@attrs.frozen(kw_only=True)
class StartAgain:
    """restart_child was called."""

    id: str
    request: int


@attrs.frozen(kw_only=True)
class DeleteChild:
    """delete_child was called."""

    id: str
    request: int


Request: TypeAlias = AddChild | TerminateChild | StartAgain | DeleteChild
Happening: TypeAlias = Begin | Ready | Ended | Judged | Stalled | Tick | StopAll | Request


# What the table asks for


@attrs.frozen(kw_only=True)
class Start:
    """Begin an incarnation."""

    id: str
    number: int


@attrs.frozen(kw_only=True)
class AskStop:
    """Ask an incarnation to stop.

    Attributes:
        deadline: What an inner supervisor gets as the end of its grace period.
        is_final: Whether its mailbox closes.
    """

    id: str
    cause: str
    deadline: float
    is_final: bool


@attrs.frozen(kw_only=True)
class Cancel:
    """Cancel an incarnation.

    Attributes:
        is_kill: Whether it overran its time; otherwise the cancellation only ends its start.
    """

    id: str
    cause: str
    is_kill: bool


@attrs.frozen(kw_only=True)
class ReportStuck:
    """Report where the tasks of an incarnation are."""

    id: str


@attrs.frozen(kw_only=True)
class Wake:
    """Send a Tick at that moment.

    Attributes:
        id: The child whose only moment it is, in the place of an earlier one; empty: the tree's.
    """

    id: str
    at: float


@attrs.frozen(kw_only=True)
class Consult:
    """Report the exit, ask the policy and answer with Judged at once."""

    id: str
    exited: ChildExited


@attrs.frozen(kw_only=True)
class Report:
    """Give an event to the hook."""

    event: Event


@attrs.frozen(kw_only=True)
class Reply:
    """Answer a request; without an error it was done.

    Attributes:
        id: The child it was about.
    """

    request: int
    id: str
    error: SupervisionError | None = None


@attrs.frozen(kw_only=True)
class Retire:
    """A child is down until somebody asks for it: its mailbox closes.

    Attributes:
        is_forgotten: Whether it has left the table.
    """

    id: str
    exit: Exit
    is_forgotten: bool


@attrs.frozen(kw_only=True)
class AllStarted:
    """Every child of the initial start is ready."""


@attrs.frozen(kw_only=True)
class AllStopped:
    """No child is alive: the supervisor ends."""

    outcome: Outcome


Action: TypeAlias = (
    Start
    | AskStop
    | Cancel
    | ReportStuck
    | Wake
    | Consult
    | Report
    | Reply
    | Retire
    | AllStarted
    | AllStopped
)
