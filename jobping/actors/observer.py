"""Supervision events become log events; the supervision library itself does not log."""

from collections.abc import Callable
from typing import Final, assert_never

from jobping.events import Emit
from supervisors import (
    ChildExited,
    ChildReplaced,
    ChildStarted,
    DeadLetter,
    Event,
    HealthChanged,
    HealthState,
    LifeWithheld,
    LimitExceeded,
    MailboxHigh,
    Phase,
    RestartScheduled,
    StopTimedOut,
)

OPERATORS: Final = ("ConfigError:", "StoreUnavailable:")  # their message says all

LEVELS: Final = {
    HealthState.OK: "info",
    HealthState.DEGRADED: "warning",
    HealthState.STALLED: "error",
}


def observer(emit: Emit) -> Callable[[Event], None]:
    """Return the hook that writes one line for each supervision event."""

    def observe(event: Event) -> None:
        match event:
            case ChildStarted():
                emit(
                    "child.started",
                    child=event.path,
                    incarnation=event.incarnation,
                    duration_s=event.took,
                )
            case ChildExited():
                _exited(emit, event)
            case RestartScheduled():
                emit(
                    "child.restarted",
                    child=event.path,
                    attempt=event.attempt,
                    restart_in_s=event.delay,
                )
            case ChildReplaced():
                emit("child.replaced", child=event.path, restart_in_s=event.delay)
            case LimitExceeded():
                emit(
                    "supervisor.limit_exceeded",
                    child=event.path,
                    restarts=event.restarts,
                    period_s=event.period,
                )
            case StopTimedOut():
                emit("child.stop_timed_out", child=event.path, stack=event.stack)
            case DeadLetter():
                emit(
                    "message.dead_lettered",
                    child=event.path,
                    cause=event.cause.value,
                    message=event.message,
                    count=event.count,
                )
            case MailboxHigh():
                emit("mailbox.filled", child=event.path, depth=event.depth, capacity=event.capacity)
            case HealthChanged():
                emit(
                    "health.changed",
                    level=LEVELS[event.after],
                    state=event.after.value,
                    before=event.before.value,
                    children=event.paths,
                    loop_lag_s=event.loop_lag,
                )
            case LifeWithheld():
                culprits = event.paths or ("the loop",)
                emit("watchdog.withheld", culprit=culprits, silent_s=event.silent)
            case _:
                assert_never(event)

    return observe


def _exited(emit: Emit, event: ChildExited) -> None:
    """Say how a child ended; an end that was asked for is no news."""
    error = event.exit.error or ""
    as_asked = event.exit.is_normal and event.phase is Phase.STOPPING
    emit(
        "child.exited",
        level="debug" if as_asked else "info" if event.exit.is_normal else "warning",
        child=event.path,
        incarnation=event.incarnation,
        phase=event.phase.value,
        kind=event.exit.kind.value,
        error=event.exit.error,
        traceback=None if error.startswith(OPERATORS) else event.exit.traceback,
        uptime_s=event.uptime,
        mailbox_depth=event.mailbox_depth,
        restarts=event.restarts_in_window,
        wants_restart=event.wants_restart,
    )
