"""What a look at a running tree shows: plain values, true at the moment they were taken."""

import attrs

from supervisors._mailbox import MailboxStatistics
from supervisors._states import ChildState, Exit


@attrs.frozen(kw_only=True)
class ChildSnapshot:
    """One child.

    Attributes:
        is_critical: Whether the daemon counts as hung while it is stalled or stuck.
        is_stalled: Whether it has gone without progress for longer than it may.
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
    is_critical: bool
    is_stalled: bool
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
