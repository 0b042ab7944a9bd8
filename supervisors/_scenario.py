"""A scenario as plain data: a tree, what happens to it step by step, and the lines it leaves.

Time plays no part: restarts are immediate, children obey at once and no restart is ever forgotten.
"""

import enum
import itertools
from collections.abc import Iterable
from functools import partial
from typing import TypeAlias

import attrs

from supervisors._backoff import Backoff
from supervisors._child import AutoShutdown, Restart, Strategy
from supervisors._intensity import Intensity
from supervisors._specs import ActorFunction, ChildSpec, SupervisorSpec

ROOT = "root"
PERIOD = 1e9  # seconds: longer than any scenario
Lines: TypeAlias = tuple[str, ...]


class StepKind(enum.Enum):
    """What a step does.

    CRASH, RETURN: a running leaf ends. FAIL_STARTS, IGNORE_STARTS: the next starts of a leaf fail
    or raise IgnoreStart. TERMINATE, RESTART, DELETE: the request about the child at the path.
    START: start_child of a node under the supervisor at the path. STOP: the whole tree.
    """

    CRASH = "crash"
    RETURN = "return"
    FAIL_STARTS = "fail_starts"
    IGNORE_STARTS = "ignore_starts"
    TERMINATE = "terminate"
    RESTART = "restart"
    DELETE = "delete"
    START = "start"
    STOP = "stop"


@attrs.frozen(kw_only=True)
class Node:
    """A child of a tree: a leaf, or a supervisor where it has a tree of its own."""

    id: str
    restart: Restart = Restart.PERMANENT
    significant: bool = False
    tree: "Tree | None" = None

    def spec(self, leaf: ActorFunction[object]) -> ChildSpec[object]:
        """Return the spec of the child, with one actor function for all leaves."""
        return ChildSpec(
            id=self.id,
            start=leaf if self.tree is None else self.tree.spec(leaf),
            restart=self.restart,
            significant=self.significant,
        )


@attrs.frozen(kw_only=True)
class Tree:
    """A supervisor and its children."""

    strategy: Strategy = Strategy.ONE_FOR_ONE
    max_restarts: int = 5
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER
    children: tuple[Node, ...] = ()

    def spec(self, leaf: ActorFunction[object]) -> SupervisorSpec:
        """Return the spec of the supervisor, with one actor function for all leaves."""
        return SupervisorSpec(
            children=tuple(child.spec(leaf) for child in self.children),
            strategy=self.strategy,
            intensity=Intensity(max_restarts=self.max_restarts, period=PERIOD),
            backoff=Backoff(base=0.0, reset_after=PERIOD),
            auto_shutdown=self.auto_shutdown,
        )


@attrs.frozen(kw_only=True)
class Step:
    """One thing that happens to a tree at rest.

    Attributes:
        path: Whom it happens to, `root/a` for instance; it need not exist.
        count: How many starts fail or are ignored.
        node: What START starts.
    """

    kind: StepKind
    path: str = ROOT
    count: int = 1
    node: Node | None = None


@attrs.frozen(kw_only=True)
class Scenario:
    """A tree and what happens to it.

    Attributes:
        steps: Each happens when nothing is left to do after the one before.
        cues: FAIL_STARTS and IGNORE_STARTS for the initial start.
    """

    tree: Tree
    steps: tuple[Step, ...] = ()
    cues: tuple[Step, ...] = ()


def in_fixed_order(lines: Iterable[str]) -> Lines:
    """Sort what has no order: the ends of dynamic children that were asked to stop at once.

    Such lines follow each other; among them those of one child and of all below it keep their
    order. A `#` in the path tells a dynamic child.
    """
    ordered = list(lines)
    for depth in range(1, max((line.count("/") for line in ordered), default=0) + 1):
        runs = itertools.groupby(ordered, partial(_stopped_under, depth))
        at = partial(_stopped_at, depth)
        ordered = [line for _, run in runs for line in sorted(run, key=at)]
    return tuple(ordered)


def _stopped_at(depth: int, line: str) -> tuple[str, ...]:
    """Return the path down to the dynamic child at a depth that was asked to stop; else nothing."""
    words = line.split()
    path = words[1].split("/") if words[-1] == "stopping" else []
    is_dynamic = len(path) > depth and "#" in path[depth]
    return tuple(path[: depth + 1]) if is_dynamic else ()


def _stopped_under(depth: int, line: str) -> tuple[str, ...]:
    return _stopped_at(depth, line)[:-1]
