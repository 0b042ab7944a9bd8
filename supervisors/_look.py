"""What a look at a running tree finds."""

from collections.abc import Collection

from supervisors._runner import Runner
from supervisors._snapshot import ChildSnapshot, Counts, TreeSnapshot
from supervisors._specs import subtree_of
from supervisors._states import ChildState
from supervisors._table import Child


def _count(rows: Collection[Child]) -> Counts:
    """Count the rows of a table."""
    supervisors = sum(subtree_of(child.spec) is not None for child in rows)
    return Counts(
        specs=len(rows),
        active=sum(child.is_alive for child in rows),
        supervisors=supervisors,
        workers=len(rows) - supervisors,
    )


def snapshot_of(runner: Runner, now: float) -> TreeSnapshot:
    """Return the state of a supervisor with all below it."""
    rows = runner.table.children.values()
    return TreeSnapshot(
        path=runner.path,
        children=tuple(_child_of(runner, child, now) for child in rows),
        counts=_count(rows),
        restarts_in_window=len(runner.table.window.at(now).times),
        hook_failures=runner.tree.emit.failures,
    )


def _child_of(runner: Runner, child: Child, now: float) -> ChildSnapshot:
    id = child.spec.id
    path = f"{runner.path}/{id}"
    is_waiting = child.state is ChildState.RESTARTING
    slot = runner.slots.get(id) if child.is_alive else None
    running = None if slot is None else slot.incarnation
    is_supervisor = subtree_of(child.spec) is not None
    box = runner.tree.box(child.spec, path)
    return ChildSnapshot(
        id=id,
        path=path,
        state=ChildState.DOWN if is_waiting and child.number == 0 else child.state,
        is_critical=child.spec.critical,
        is_stalled=slot is not None and now >= slot.silence(child.spec.max_idle)[1],
        incarnation=child.number,
        restarts=child.restarts,
        restart_in=max(0.0, child.due - now) if is_waiting else None,
        progress_age=None if running is None else now - box.progressed_at,
        mailbox=None if is_supervisor else box.statistics(),
        last_exit=child.last_exit,
        tree=None if slot is None or slot.inner is None else snapshot_of(slot.inner, now),
    )
