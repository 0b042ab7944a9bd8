"""What a supervisor reports: frozen values for one synchronous hook."""

import enum
from collections.abc import Callable
from typing import TypeAlias

import attrs

from supervisors._states import Exit, HealthState, Phase


class DeadLetterCause(enum.Enum):
    """Why a message was never processed."""

    CRASHED = "crashed"
    STOPPED = "stopped"
    EXPIRED = "expired"
    REPLACED = "replaced"


@attrs.frozen(kw_only=True)
class ChildStarted:
    """An incarnation is ready.

    Attributes:
        incarnation: 1 for the first run of the child; more after restarts.
        took: Seconds from its start to its readiness.
    """

    path: str
    incarnation: int
    took: float


@attrs.frozen(kw_only=True)
class ChildExited:
    """An incarnation ended; the policy judges this same value unless the end was requested.

    Attributes:
        phase: STOPPING where the end was asked for.
        uptime: Seconds since it was ready; 0 if it never was.
        mailbox_depth: Messages that wait for the next incarnation.
        restarts_in_window: Restarts that count against the limit, this one not among them.
        wants_restart: What the restart type asks for.
        limit_exceeded: Whether one restart more is too many.
        delay: Seconds that the backoff would wait.
    """

    path: str
    incarnation: int
    phase: Phase
    exit: Exit
    uptime: float
    mailbox_depth: int
    restarts_in_window: int
    wants_restart: bool
    limit_exceeded: bool
    delay: float


@attrs.frozen(kw_only=True)
class RestartScheduled:
    """A child waits for its restart.

    Attributes:
        attempt: Restarts since it last ran well, counted from 0.
        delay: Seconds until it starts.
    """

    path: str
    attempt: int
    delay: float


@attrs.frozen(kw_only=True)
class ChildReplaced:
    """A policy put another spec in the place of the child's own.

    Attributes:
        delay: Seconds until it starts.
    """

    path: str
    delay: float


@attrs.frozen(kw_only=True)
class LimitExceeded:
    """A child asked for one restart more than its intensity bears.

    Attributes:
        restarts: Restarts within the period, the refused one not among them.
        period: Seconds.
    """

    path: str
    restarts: int
    period: float


@attrs.frozen(kw_only=True)
class StopTimedOut:
    """A child goes on although it was cancelled.

    Attributes:
        stack: Where its tasks are, as text.
    """

    path: str
    stack: str


@attrs.frozen(kw_only=True)
class DeadLetter:
    """Messages that nobody will process.

    Attributes:
        message: The type of the message, never its contents.
        count: How many of that type went the same way at the same moment.
    """

    path: str
    cause: DeadLetterCause
    message: str
    count: int = 1


@attrs.frozen(kw_only=True)
class MailboxHigh:
    """A mailbox is four fifths full; reported again after it was half empty in between."""

    path: str
    depth: int
    capacity: int


@attrs.frozen(kw_only=True)
class HealthChanged:
    """The tree as a whole fares better or worse; found by `run_daemon` at its heartbeat.

    Attributes:
        paths: The children that are the reason; empty when all is well.
        loop_lag: Seconds that the heartbeat came late.
    """

    before: HealthState
    after: HealthState
    paths: tuple[str, ...]
    loop_lag: float


@attrs.frozen(kw_only=True)
class LifeWithheld:
    """`run_daemon` gives its notifier no sign of life from now on; said once each time.

    Attributes:
        paths: The critical children that hang; empty where the loop itself came late.
        silent: Seconds since the last sign.
    """

    paths: tuple[str, ...]
    silent: float


Event: TypeAlias = (
    ChildStarted
    | ChildExited
    | RestartScheduled
    | ChildReplaced
    | LimitExceeded
    | StopTimedOut
    | DeadLetter
    | MailboxHigh
    | HealthChanged
    | LifeWithheld
)
Hook: TypeAlias = Callable[[Event], None]


def ignore_event(event: Event) -> None:
    """Drop an event: the hook of those who want none."""


class Emitter:
    """Calls the hook of a whole tree; an exception of the hook harms nobody and is counted.

    Attributes:
        failures: How often the hook raised.
    """

    def __init__(self, hook: Hook) -> None:
        self._hooks = [hook]
        self.failures = 0

    def add(self, hook: Hook) -> None:
        """Let one more function see every event from now on."""
        self._hooks.append(hook)

    def __call__(self, event: Event) -> None:
        for hook in self._hooks:
            try:
                hook(event)
            except Exception:  # a supervisor outlives the fault of its observer
                self.failures += 1
