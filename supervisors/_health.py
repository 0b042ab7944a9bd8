"""How a tree fares, read off a snapshot: progress counts, not the beating of a timer. Pure."""

from collections.abc import Iterator

import attrs

from supervisors._snapshot import ChildSnapshot, TreeSnapshot
from supervisors._states import ChildState, HealthState


@attrs.frozen(kw_only=True)
class Health:
    """How a tree fares.

    Attributes:
        paths: The children that are the reason; empty when all is well.
        loop_lag: Seconds that whoever asked was woken late.
    """

    state: HealthState
    paths: tuple[str, ...]
    loop_lag: float


def judge_health(tree: TreeSnapshot, loop_lag: float) -> Health:
    """Return the worst state of the tree's children, with those in it."""
    found = list(_ailing(tree))
    for state in (HealthState.STALLED, HealthState.DEGRADED):
        paths = tuple(path for ailment, path in found if ailment is state)
        if paths:
            return Health(state=state, paths=paths, loop_lag=loop_lag)
    return Health(state=HealthState.OK, paths=(), loop_lag=loop_lag)


def _ailing(tree: TreeSnapshot) -> Iterator[tuple[HealthState, str]]:
    for child in tree.children:
        state = _state_of(child)
        if state is not HealthState.OK:
            yield state, child.path
        if child.tree is not None:
            yield from _ailing(child.tree)


def _state_of(child: ChildSnapshot) -> HealthState:
    if child.is_stalled or child.state is ChildState.STUCK:
        return HealthState.STALLED if child.is_critical else HealthState.DEGRADED
    if child.state is ChildState.RESTARTING:
        return HealthState.DEGRADED
    is_bad_end = child.last_exit is not None and not child.last_exit.is_normal
    if child.state is ChildState.DOWN and is_bad_end:
        return HealthState.DEGRADED
    return HealthState.OK
