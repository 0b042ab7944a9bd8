"""One decision in the making: the next table, which may be changed, and the actions so far."""

import math
from bisect import insort
from random import Random

from supervisors._child import Restart, Strategy
from supervisors._events import Event
from supervisors._states import ChildState, Exit, ExitKind
from supervisors._table import Action, After, Child, Reply, Report, Retire, Stage, Table, Wake
from supervisors.errors import ChildStateError, SupervisionError

_NO_EXIT = Exit(kind=ExitKind.SHUTDOWN)
_INDEPENDENT = (Strategy.ONE_FOR_ONE, Strategy.SIMPLE_ONE_FOR_ONE)


class Draft:
    """The next table; the one it was made from stays as it was.

    Attributes:
        table: The next table. Its rows are changed only after `edit` or `find` gave them out.
        now: Trio's time.
        rng: Where the jitter comes from.
        actions: What is asked for so far, in order.
        is_group: Whether the children are started one after the other, also in a restart.
    """

    __slots__ = ("_edited", "_members", "actions", "is_group", "now", "rng", "table")

    def __init__(self, table: Table, now: float, rng: Random) -> None:
        self.table = table = table.copy()
        self.now = now
        self.rng = rng
        self.actions: list[Action] = []
        self.is_group = table.spec.strategy not in _INDEPENDENT
        self._edited: set[str] = set()
        self._members = {
            ChildState.STARTING: table.starting,
            ChildState.STOPPING: table.stopping,
            ChildState.STUCK: table.stuck,
        }

    def path(self, id: str) -> str:
        """Return the path of a child."""
        return f"{self.table.path}/{id}"

    # Rows

    def find(self, id: str, number: int) -> Child | None:
        """Return the row of a child to be changed, if that incarnation is its present one."""
        child = self.table.children.get(id)
        if child is None or child.number != number or not child.is_alive:
            return None
        return self.edit(id)

    def edit(self, id: str) -> Child:
        """Return the row of a child to be changed."""
        if id not in self._edited:
            self._edited.add(id)
            self.table.children[id] = self.table.children[id].copy()
        return self.table.children[id]

    def edit_all(self) -> list[Child]:
        """Return all rows to be changed, in start order."""
        return [self.edit(id) for id in list(self.table.children)]

    def add(self, child: Child) -> None:
        """Take in a row, the last in start order."""
        self._edited.add(child.spec.id)
        self.table.children[child.spec.id] = child

    def move(self, child: Child, state: ChildState, *, due: float = 0.0) -> None:
        """Change the state, and with it the lists of who waits, starts and stops.

        Args:
            due: Before this moment a RESTARTING child is not started.
        """
        self._unlist(child)
        child.state = state
        if state is ChildState.RESTARTING:
            child.due = due
            insort(self.table.waiting, self._turn(child))
        elif state in self._members:
            self._members[state].add(child.spec.id)

    def _unlist(self, child: Child) -> None:
        if child.state is ChildState.RESTARTING:
            self.table.waiting.remove(self._turn(child))
        elif child.state in self._members:
            self._members[child.state].discard(child.spec.id)

    def _turn(self, child: Child) -> tuple[float, int, str]:
        return 0.0 if self.is_group else child.due, child.position, child.spec.id

    def lasting(self, child: Child) -> After:
        """Return what becomes of a child that has ended for good."""
        is_dynamic = self.table.spec.strategy is Strategy.SIMPLE_ONE_FOR_ONE
        return After.DROP if is_dynamic or child.spec.restart is Restart.TEMPORARY else After.DOWN

    def settle(self, child: Child, after: After) -> None:
        """Give a child that is not alive its lasting state: down, or out of the table.

        Whoever still waits for its start hears that it is down, whoever waits for its end that it
        ended.
        """
        self.answer_start(child, ChildStateError(child.spec.id, ChildState.DOWN))
        self.answer_stop(child)
        self.move(child, ChildState.DOWN)
        child.after = None
        child.cause = child.because = ""
        child.cancel_at = child.kill_at = math.inf
        is_forgotten = after is After.DROP
        if is_forgotten:
            del self.table.children[child.spec.id]
        if is_forgotten or self.table.stage is not Stage.STOPPING or self.table.is_final:
            exit = child.last_exit or _NO_EXIT
            self.act(Retire(id=child.spec.id, exit=exit, is_forgotten=is_forgotten))

    # Actions

    def act(self, action: Action) -> None:
        """Ask for something."""
        self.actions.append(action)

    def report(self, event: Event) -> None:
        """Give an event to the hook."""
        self.actions.append(Report(event=event))

    def wake_at(self, moment: float, id: str = "") -> None:
        """Ask for a Tick at that moment of a child or the tree, unless it never comes."""
        if moment < math.inf:
            self.actions.append(Wake(id=id, at=moment))

    def reply(self, request: int, id: str, error: SupervisionError | None = None) -> None:
        """Answer a request; without an error it was done."""
        self.actions.append(Reply(request=request, id=id, error=error))

    def answer_start(self, child: Child, error: SupervisionError | None = None) -> None:
        """Answer all who wait for its readiness."""
        for request in child.start_requests:
            self.reply(request, child.spec.id, error)
        child.start_requests = ()

    def answer_stop(self, child: Child) -> None:
        """Answer all who wait for its end."""
        for request in child.stop_requests:
            self.reply(request, child.spec.id)
        child.stop_requests = ()
