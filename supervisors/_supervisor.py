"""A supervisor as its users see it: run it, change it, stop it, look at it."""

import math
from collections.abc import Callable
from random import Random
from typing import TypeVar

import trio

from supervisors._box import Box
from supervisors._child import AnyChildSpec
from supervisors._events import Emitter, Event, Hook, ignore_event
from supervisors._health import Health, judge_health
from supervisors._look import snapshot_of
from supervisors._ref import Ref
from supervisors._runner import Runner
from supervisors._snapshot import StopReport, TreeSnapshot
from supervisors._specs import ChildSpec, SupervisorSpec
from supervisors._table import AddChild, DeleteChild, Request, StartAgain, TerminateChild
from supervisors._tree import Tree
from supervisors.errors import NoSuchChild, SupervisionError, SupervisorStopping

M = TypeVar("M")


class Supervisor:
    """Runs one tree of children; see `SupervisorSpec` for what happens when one ends."""

    def __init__(
        self,
        spec: SupervisorSpec,
        *,
        name: str = "root",
        hook: Hook = ignore_event,
        rng: Random | None = None,
    ) -> None:
        rng = rng or Random()  # noqa: S311 - jitter is no secret
        tree = Tree(spec, name, Emitter(hook), rng)
        self._runner = Runner(spec, name, tree, is_root=True)

    @classmethod
    def _of(cls, runner: Runner) -> "Supervisor":
        inner = cls.__new__(cls)
        inner._runner = runner
        return inner

    @property
    def path(self) -> str:
        """Its name, or its place below the root's name."""
        return self._runner.path

    @property
    def failure(self) -> SupervisionError | None:
        """What `run` raised, for those who could not catch it."""
        return self._runner.failure

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> StopReport:
        """Run the tree until somebody stops it; `started` when every child is ready.

        Raises:
            StartError: A child did not become ready; those before it were stopped again.
            RestartLimitExceeded: The policy escalated; the children are stopped.
            RuntimeError: It ran before.
        """
        return await self._runner.run(task_status)

    # Requests

    async def start_child(self, spec: ChildSpec[M]) -> Ref[M]:
        """Add a child, last in order, and wait until it is ready.

        Under simple_one_for_one its id is the spec's with a number, `page#7` for instance.

        Raises:
            ValueError: The spec contradicts the supervisor's, or its mailbox is another child's.
            ChildStateError: The id is taken; `state` tells by what.
            StartError: It did not become ready and was forgotten again, or there is no room for it.
            SupervisorStopping: The supervisor takes no requests.
        """
        self._runner.spec.check_child(spec)
        box = await self._ask(lambda number: AddChild(spec=spec, request=number))
        if box is None:
            raise SupervisorStopping(f"{self.path} has ended")
        return Ref(box)

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

    async def _ask(self, make: Callable[[int], Request]) -> Box | None:
        runner = self._runner
        if not runner.is_running():
            raise SupervisorStopping(f"{self.path} does not run")
        number = runner.requests.open()
        runner.post(make(number))
        return await runner.requests.wait(number)

    # Stopping

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
        await self._runner.is_over.wait()
        return self._runner.report()

    def request_stop(self, *, reason: str = "requested", grace_period: float | None = None) -> None:
        """Begin to stop all children in order, without waiting; works before `run` too.

        Args:
            reason: For the children's Cancelled and for the report.
            grace_period: Seconds until everything is cancelled; None: as long as the children may.
        """
        grace = math.inf if grace_period is None else grace_period
        self._runner.request_stop(reason, trio.current_time() + grace, is_final=True)

    # Looking

    def observe(self, hook: Hook) -> None:
        """Let one more function see every event of the whole tree from now on."""
        self._runner.tree.emit.add(hook)

    def publish(self, event: Event) -> None:
        """Give an event of one's own making to the hooks."""
        self._runner.tree.emit(event)

    def child_spec(self, id: str) -> AnyChildSpec:
        """Return the spec that a child runs by now.

        Raises:
            NoSuchChild: There is no child of that id.
        """
        child = self._runner.table.children.get(id)
        if child is None:
            raise NoSuchChild(f"{self.path} has no child {id}")
        return child.spec

    def nested(self, path: str) -> "Supervisor":
        """Return the running inner supervisor at a path; keep the path, not the object.

        Raises:
            NoSuchChild: There is none at that path now.
        """
        runner = self._runner
        while path != runner.path:
            for id, slot in runner.slots.items():
                is_way = path == slot.path or path.startswith(f"{slot.path}/")
                child = runner.table.children.get(id)
                if is_way and slot.inner is not None and child is not None and child.is_alive:
                    runner = slot.inner
                    break
            else:
                raise NoSuchChild(f"{self.path} has no supervisor at {path}")
        return Supervisor._of(runner)

    def snapshot(self) -> TreeSnapshot:
        """Return the state of the whole tree."""
        return snapshot_of(self._runner, trio.current_time())

    def health(self, *, loop_lag: float = 0.0) -> Health:
        """Return how the whole tree fares, by the progress of its children.

        Args:
            loop_lag: Seconds that the caller was woken late, if it knows; only passed on.
        """
        return judge_health(self.snapshot(), loop_lag)
