"""The catalogue of log events: names, fields, levels, versions. This is the monitoring interface."""

from typing import Protocol

import attrs


class Emit(Protocol):
    """Where a part says what happened; the log pipeline stands behind it."""

    def __call__(self, event: str, /, *, level: str | None = None, **fields: object) -> None:
        """Write one complete line.

        Args:
            event: A name of `EVENTS`.
            level: Another level than the catalogue's, where it allows one.
            fields: Values of the fields that the catalogue names for this event.
        """


@attrs.frozen
class EventType:
    """One kind of log line.

    Attributes:
        name: `noun.past_verb`.
        level: `debug`, `info`, `warning` or `error`.
        fields: Names of all fields it may carry.
        summary: What it means and what to do, one sentence.
        version: Raised when a field is renamed or removed.
    """

    name: str
    level: str
    fields: tuple[str, ...]
    summary: str
    version: int = 1


EVENTS: tuple[EventType, ...] = (
    EventType("daemon.started", "info", ("version", "pid", "python", "state_dir"), "The process runs."),
    EventType("daemon.became_ready", "info", ("start_s", "boards", "domains", "profiles"), "Every part has started."),
    EventType("daemon.stopped", "info", ("reason", "code", "drained_s", "stuck"), "The last line of a run."),
)  # fmt: skip
