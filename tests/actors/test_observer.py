import attrs
import pytest

from jobping.actors.observer import observer
from jobping.events import EVENTS
from supervisors import (
    ChildExited,
    ChildReplaced,
    ChildStarted,
    DeadLetter,
    DeadLetterCause,
    Event,
    Exit,
    ExitKind,
    HealthChanged,
    HealthState,
    LimitExceeded,
    MailboxHigh,
    Phase,
    RestartScheduled,
    StopTimedOut,
)
from tests.doubles.postgres import Events

EXITED = ChildExited(
    path="root/a",
    incarnation=2,
    phase=Phase.RUNNING,
    exit=Exit(kind=ExitKind.ABNORMAL, error="KeyError: 'x'", traceback="where"),
    uptime=3.0,
    mailbox_depth=4,
    restarts_in_window=1,
    wants_restart=True,
    limit_exceeded=False,
    delay=0.5,
)


@pytest.mark.parametrize(
    "event",
    [
        ChildStarted(path="root/a", incarnation=1, took=0.5),
        EXITED,
        RestartScheduled(path="root/a", attempt=1, delay=2.0),
        ChildReplaced(path="root/a", delay=0.5),
        LimitExceeded(path="root/a", restarts=5, period=60.0),
        StopTimedOut(path="root/a", stack="where"),
        DeadLetter(path="root/a", cause=DeadLetterCause.STOPPED, message="Nudge", count=3),
        MailboxHigh(path="root/a", depth=13, capacity=16),
    ],
    ids=lambda event: type(event).__name__,
)
def test_supervision_event_becomes_one_line_of_the_catalogue(events: Events, event: Event) -> None:
    observer(events)(event)
    [(name, fields)] = events.seen
    [known] = [kind for kind in EVENTS if kind.name == name]
    assert fields["child"] == "root/a"
    assert fields.keys() - {"level"} <= set(known.fields)


@pytest.mark.parametrize(
    ("state", "level"),
    [(HealthState.OK, "info"), (HealthState.DEGRADED, "warning"), (HealthState.STALLED, "error")],
)
def test_health_is_reported_as_grave_as_it_is(
    events: Events, state: HealthState, level: str
) -> None:
    changed = HealthChanged(before=HealthState.OK, after=state, paths=("root/a",), loop_lag=0.25)
    observer(events)(changed)
    assert events.seen == [
        (
            "health.changed",
            {
                "level": level,
                "state": state.value,
                "before": "ok",
                "children": ("root/a",),
                "loop_lag_s": 0.25,
            },
        )
    ]


@pytest.mark.parametrize(
    ("kind", "phase", "level"),
    [
        (ExitKind.ABNORMAL, Phase.RUNNING, "warning"),
        (ExitKind.KILLED, Phase.STOPPING, "warning"),
        (ExitKind.NORMAL, Phase.RUNNING, "info"),
        (ExitKind.SHUTDOWN, Phase.STOPPING, "debug"),
    ],
)
def test_end_that_was_asked_for_is_no_news(
    events: Events, kind: ExitKind, phase: Phase, level: str
) -> None:
    observer(events)(attrs.evolve(EXITED, exit=Exit(kind=kind), phase=phase))
    assert events.seen[0][1]["level"] == level


@pytest.mark.parametrize(
    ("error", "is_traced"),
    [
        ("KeyError: 'x'", True),
        ("StoreUnavailable: no connection within 5 s", False),
        ("ConfigError: port taken", False),
    ],
)
def test_traceback_is_left_out_where_the_message_says_all(
    events: Events, error: str, *, is_traced: bool
) -> None:
    exit = Exit(kind=ExitKind.ABNORMAL, error=error, traceback="where")
    observer(events)(attrs.evolve(EXITED, exit=exit))
    fields = events.seen[0][1]
    assert (fields["error"], fields["traceback"]) == (error, "where" if is_traced else None)
