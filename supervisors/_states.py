"""What a child and one of its runs can be: the words that every other module shares."""

import enum

import attrs


class ChildState(enum.Enum):
    """Where a child stands."""

    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STUCK = "stuck"
    DOWN = "down"


class ExitKind(enum.Enum):
    """How an incarnation ended; NORMAL and SHUTDOWN are normal ends."""

    NORMAL = "normal"
    SHUTDOWN = "shutdown"
    ABNORMAL = "abnormal"
    KILLED = "killed"


class Phase(enum.Enum):
    """Where an incarnation was when it ended."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"


class HealthState(enum.Enum):
    """How a tree fares.

    OK: all children run, or ended well. DEGRADED: some wait for a restart, ended badly, or are not
    critical and hang. STALLED: a critical child hangs.
    """

    OK = "ok"
    DEGRADED = "degraded"
    STALLED = "stalled"


@attrs.frozen(kw_only=True)
class Exit:
    """The end of one incarnation, as text: no exception object, hence no frame, is kept.

    Attributes:
        error: Class and message of the error, or why it was killed; None where nothing went wrong.
        traceback: The formatted traceback, cut to its last 16,000 characters.
        last_message: The type of the message in hand, never its contents.
    """

    kind: ExitKind
    error: str | None = None
    traceback: str | None = None
    last_message: str | None = None

    @property
    def is_normal(self) -> bool:
        """Whether a transient child stays down after it."""
        return self.kind in (ExitKind.NORMAL, ExitKind.SHUTDOWN)
