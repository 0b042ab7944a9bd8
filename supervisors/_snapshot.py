"""What a look at a running tree shows: plain values, true at the moment they were taken."""

from collections.abc import Collection

import attrs

from supervisors._box import Box
from supervisors._mailbox import MailboxStatistics
from supervisors._specs import subtree_of
from supervisors._states import ChildState, Exit
from supervisors._table import Child


@attrs.frozen(kw_only=True)
class ChildSnapshot:
    """One child.

    Attributes:
        incarnation: The number of its last run; 0 before the first.
        restarts: How often it was started again.
        restart_in: Seconds until it starts; None unless it is RESTARTING.
        progress_age: Seconds since its last progress; None while it does not run.
        mailbox: None for an inner supervisor.
        last_exit: How its last ended incarnation ended.
        tree: The children of an inner supervisor that runs.
    """

    id: str
    path: str
    state: ChildState
    incarnation: int
    restarts: int
    restart_in: float | None
    progress_age: float | None
    mailbox: MailboxStatistics | None
    last_exit: Exit | None
    tree: "TreeSnapshot | None"


@attrs.frozen(kw_only=True)
class Counts:
    """The children of one supervisor, as OTP's count_children gives them.

    Attributes:
        active: Those with an incarnation.
    """

    specs: int
    active: int
    supervisors: int
    workers: int


@attrs.frozen(kw_only=True)
class TreeSnapshot:
    """One supervisor with all below it.

    Attributes:
        children: In start order.
        restarts_in_window: Restarts that count against its limit now.
        hook_failures: How often the hook raised, over the whole tree.
    """

    path: str
    children: tuple[ChildSnapshot, ...]
    counts: Counts
    restarts_in_window: int
    hook_failures: int


@attrs.frozen(kw_only=True)
class StoppedChild:
    """How a child's last run ended when its tree stopped.

    Attributes:
        took: Seconds from the request to the end.
    """

    path: str
    exit: Exit
    took: float


@attrs.frozen(kw_only=True)
class StopReport:
    """How a tree ended.

    Attributes:
        took: Seconds from the request to the end, or to the end of the grace period.
        children: In the order of their ends, those of inner supervisors before these.
        stuck: The paths of those that went on although cancelled.
    """

    reason: str
    took: float
    children: tuple[StoppedChild, ...]
    stuck: tuple[str, ...]


def count(rows: Collection[Child]) -> Counts:
    """Count the rows of a table."""
    supervisors = sum(subtree_of(child.spec) is not None for child in rows)
    return Counts(
        specs=len(rows),
        active=sum(child.is_alive for child in rows),
        supervisors=supervisors,
        workers=len(rows) - supervisors,
    )


def snapshot_child(
    child: Child,
    *,
    path: str,
    now: float,
    progressed_at: float | None,
    box: Box,
    tree: TreeSnapshot | None,
) -> ChildSnapshot:
    """Put together what its row, its mailbox and its incarnation say about a child."""
    is_waiting = child.state is ChildState.RESTARTING
    is_supervisor = subtree_of(child.spec) is not None
    return ChildSnapshot(
        id=child.spec.id,
        path=path,
        state=ChildState.DOWN if is_waiting and child.number == 0 else child.state,
        incarnation=child.number,
        restarts=child.restarts,
        restart_in=max(0.0, child.due - now) if is_waiting else None,
        progress_age=None if progressed_at is None else now - progressed_at,
        mailbox=None if is_supervisor else box.statistics(),
        last_exit=child.last_exit,
        tree=tree,
    )
