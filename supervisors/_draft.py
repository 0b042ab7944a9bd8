"""One decision in the making: a table that may be changed, and the actions so far."""

import math
from bisect import insort
from random import Random

import attrs

from supervisors._child import Strategy
from supervisors._events import Event
from supervisors._states import ChildState, Exit, ExitKind
from supervisors._table import (
    Action,
    After,
    Child,
    Outcome,
    Reply,
    Report,
    Retire,
    Stage,
    Table,
    Wake,
)
from supervisors.errors import ChildStateError, SupervisionError

_NO_EXIT = Exit(kind=ExitKind.SHUTDOWN)


class Draft:
    """A working copy of a table; `freeze` makes the next table of it.

    Attributes:
        table: The table before the decision.
        now: Trio's time.
        actions: What is asked for so far, in order.
    """

    def __init__(self, table: Table, now: float, rng: Random) -> None:
        self.table = table
        self.now = now
        self.rng = rng
        self.actions: list[Action] = []
        self.children = dict(table.children)
        self.waiting = list(table.waiting)
        self.doomed = list(table.doomed)
        self.members = {
            ChildState.STARTING: set(table.starting),
            ChildState.STOPPING: set(table.stopping),
            ChildState.STUCK: set(table.stuck),
        }
        self.window = table.window
        self.stage = table.stage
        self.next_position = table.next_position
        self.outcome: Outcome | None = table.outcome
        self.deadline = table.deadline
        self.is_final = table.is_final

    @property
    def starting(self) -> set[str]:
        """Who is on the way to readiness."""
        return self.members[ChildState.STARTING]

    @property
    def stopping(self) -> set[str]:
        """Who was asked to stop and may still do so."""
        return self.members[ChildState.STOPPING]

    @property
    def stuck(self) -> set[str]:
        """Who goes on although cancelled."""
        return self.members[ChildState.STUCK]

    @property
    def is_group(self) -> bool:
        """Whether the children are started one after the other, also in a restart."""
        return self.table.strategy is not Strategy.ONE_FOR_ONE

    def path(self, id: str) -> str:
        """Return the path of a child."""
        return f"{self.table.path}/{id}"

    def put(self, child: Child) -> None:
        """Write a row, new or changed, and keep the lists of who waits, starts and stops."""
        self._unlist(child.spec.id)
        self.children[child.spec.id] = child
        if child.state is ChildState.RESTARTING:
            insort(self.waiting, self._turn(child))
        elif child.state in self.members:
            self.members[child.state].add(child.spec.id)

    def remove(self, child: Child) -> None:
        """Forget a child."""
        self._unlist(child.spec.id)
        del self.children[child.spec.id]

    def _unlist(self, id: str) -> None:
        old = self.children.get(id)
        if old is None:
            return
        if old.state is ChildState.RESTARTING:
            self.waiting.remove(self._turn(old))
        elif old.state in self.members:
            self.members[old.state].discard(id)

    def _turn(self, child: Child) -> tuple[float, int, str]:
        return 0.0 if self.is_group else child.due, child.position, child.spec.id

    def act(self, action: Action) -> None:
        """Ask for something."""
        self.actions.append(action)

    def report(self, event: Event) -> None:
        """Give an event to the hook."""
        self.actions.append(Report(event=event))

    def wake_at(self, moment: float) -> None:
        """Ask for a Tick at that moment, unless it never comes."""
        if moment < math.inf:
            self.actions.append(Wake(at=moment))

    def reply(self, requests: tuple[int, ...], error: SupervisionError | None = None) -> None:
        """Answer everybody who waits for the same thing."""
        self.actions.extend(Reply(request=request, error=error) for request in requests)

    def settle(self, child: Child, after: After) -> None:
        """Give a child that is not alive its lasting state: down, or out of the table.

        Whoever still waits for its start hears that it is down, whoever waits for its end that it
        ended.
        """
        self.reply(child.start_requests, ChildStateError(child.spec.id, ChildState.DOWN))
        self.reply(child.stop_requests)
        down = attrs.evolve(
            child,
            state=ChildState.DOWN,
            after=None,
            cause="",
            because="",
            cancel_at=math.inf,
            kill_at=math.inf,
            start_requests=(),
            stop_requests=(),
        )
        self.put(down)
        is_forgotten = after is After.DROP
        if is_forgotten:
            self.remove(down)
        if is_forgotten or self.stage is not Stage.STOPPING or self.is_final:
            exit = child.last_exit or _NO_EXIT
            self.act(Retire(id=child.spec.id, exit=exit, is_forgotten=is_forgotten))

    def freeze(self) -> Table:
        """Return the table after the decision."""
        return attrs.evolve(
            self.table,
            children=self.children,
            waiting=tuple(self.waiting),
            doomed=tuple(self.doomed),
            starting=frozenset(self.starting),
            stopping=frozenset(self.stopping),
            stuck=frozenset(self.stuck),
            window=self.window,
            stage=self.stage,
            next_position=self.next_position,
            outcome=self.outcome,
            deadline=self.deadline,
            is_final=self.is_final,
        )
