"""The log pipeline: structlog in front, a queue behind it, one line per event.

`_lines` makes the JSON line, `_console` the line for people, `_queue` holds and writes them. The
one who emits renders and queues, and never waits for the reader of the log.
"""

import contextlib
import enum
import itertools
import logging
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any, Protocol

import attrs
import structlog

from jobping.clock import utc_us
from jobping.events import CATALOGUE, ENVELOPE, EVENTS, LEVELS
from jobping.logs import _console, _lines
from jobping.logs._console import render as console_line
from jobping.logs._lines import LINE_BYTES, mask_text
from jobping.logs._queue import LineQueue

__all__ = [
    "LINE_BYTES",
    "Form",
    "Log",
    "LogConfig",
    "console_line",
    "is_journal",
    "mask_text",
    "open_log",
]

_RANK: Mapping[str, int] = {name: rank for rank, name in enumerate(LEVELS)}
_PRIORITY = (b"<7>", b"<6>", b"<4>", b"<3>")  # sd-daemon(3), in the order of LEVELS
_LIBRARIES = (
    *("httpx", "httpcore", "trio", "trio-asyncio", "asyncio", "asyncpg"),
    *("openai", "httpx2", "httpcore2"),
)
_FIGURES = frozenset({"stats.taken", "domain.sampled"})
_CLOSE_S = 1.0  # design/operations.md, section 4, stage 7


class Form(enum.Enum):
    """How a line looks; CONSOLE leaves out the regular figures, which `jobping top` shows."""

    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"


@attrs.frozen(kw_only=True)
class LogConfig:
    """What is written, and how.

    Attributes:
        level: The least important level written, one of `LEVELS`.
        form: AUTO: CONSOLE on a terminal, JSON elsewhere.
        colour: Colours may be used on a terminal (`NO_COLOR` is not set).
        run: The name of this run in every line; None: a random one.
        capacity: Most lines that wait for a slow reader.
        strict: An event or a field outside the catalogue raises `ValueError`; for tests.
    """

    level: str = attrs.field(default="info", validator=attrs.validators.in_(LEVELS))
    form: Form = Form.AUTO
    colour: bool = True
    run: str | None = None
    capacity: int = 10_000
    strict: bool = False


Tap = Callable[[str, Mapping[str, object]], None]
"""Sees every event of the catalogue as it is emitted, in whatever thread; must not wait."""


class Stream(Protocol):
    """What a log is written to: a file or pipe that the operating system knows."""

    def fileno(self) -> int:
        """Return the descriptor."""

    def isatty(self) -> bool:
        """Return whether it is a terminal."""


@attrs.frozen
class Emitter:
    """An `Emit` with the envelope's `actor` bound to it."""

    _logger: "_Logger"
    _strict: bool
    _threshold: "_Threshold"
    _tap: "Tap | None" = None

    def __call__(self, event: str, /, *, level: str | None = None, **fields: object) -> None:
        """Write one complete line; see `jobping.events.Emit`."""
        allowed = _FIELDS.get(event)
        if allowed is None or not allowed.issuperset(fields) or level not in _LEVELS:
            self._outside(event, level, fields)
            return
        if self._tap is not None:
            self._tap(event, fields)
        level = level or CATALOGUE[event].level
        if _RANK[level] >= self._threshold.rank:
            self._logger.write(level, event, fields)

    def bind(self, *, actor: str) -> "Emitter":
        """Return the same with another `actor` in every line."""
        return attrs.evolve(self, logger=self._logger.bind(actor=actor))

    def _outside(self, event: str, level: str | None, fields: dict[str, object]) -> None:
        if self._strict:
            raise ValueError(f"{event} {sorted(fields)} {level}: not in jobping.events.EVENTS")
        safe = {f"{key}_" if key in _RESERVED else key: fields[key] for key in fields}
        known = CATALOGUE[event].level if event in CATALOGUE else "warning"
        level = level if level and level in _RANK else known
        if _RANK[level] >= self._threshold.rank:
            self._logger.write(level, event, safe | {"uncatalogued": True})


@attrs.define
class _Threshold:
    """The least important level that is written, for all emitters of a log."""

    rank: int


_LEVELS = frozenset({*LEVELS, None})
_VERSIONS: Mapping[object, int] = {kind.name: kind.version for kind in EVENTS}
_RESERVED = frozenset(ENVELOPE) - {"actor"} | {"self", "uncatalogued", "cut"}
_FIELDS: Mapping[str, frozenset[str]] = {
    kind.name: frozenset({*kind.fields, "actor"}) for kind in EVENTS
}


class Log:
    """The open log of a process. Get one from `open_log`."""

    def __init__(
        self, config: LogConfig, *, stream: Stream, journal: bool, tap: Tap | None = None
    ) -> None:
        """Start the writer on the stream's descriptor."""
        people = stream.isatty() if config.form is Form.AUTO else config.form is Form.CONSOLE
        self._queue = LineQueue(
            stream.fileno(), capacity=config.capacity, on_dropped=self._say_dropped
        )
        self.run = config.run or uuid.uuid4().hex
        logger = structlog.wrap_logger(
            self._queue,
            processors=[
                _envelope(self.run),
                _console_line(colour=config.colour and stream.isatty())
                if people
                else _json_line(journal=journal),
            ],
            wrapper_class=_Logger,
            context_class=dict,
            cache_logger_on_first_use=True,
        )
        self._threshold = _Threshold(_RANK[config.level])
        self.emit = Emitter(logger.bind(), config.strict, self._threshold, tap)

    @property
    def level(self) -> str:
        """The least important level that is written; may be set, one of `LEVELS`."""
        return LEVELS[self._threshold.rank]

    @level.setter
    def level(self, level: str) -> None:
        self._threshold.rank = _RANK[level]

    def bind(self, *, actor: str) -> Emitter:
        """Return an `Emit` that names the actor in every line."""
        return self.emit.bind(actor=actor)

    @property
    def is_broken(self) -> bool:
        """Whether the reader of the log is gone; lines are thrown away since."""
        return self._queue.broken

    def close(self) -> None:
        """Write what is queued, for at most a second."""
        self._queue.close(_CLOSE_S)

    def _say_dropped(self, dropped: Sequence[int]) -> None:
        by_level = {name: n for name, n in zip(LEVELS, dropped, strict=True) if n}
        self.emit("log.dropped", n=sum(dropped), by_level=by_level)


_Fields = MutableMapping[str, object]


class _Logger(structlog.BoundLoggerBase):
    """Takes a finished event through the processors; without the copies of `BoundLogger`."""

    def write(self, level: str, event: str, fields: dict[str, object]) -> None:
        """Queue one line; the fields are used up."""
        fields |= self._context
        fields["event"] = event
        line: Any = fields
        for processor in self._processors:
            line = processor(self._logger, level, line)
        if line:
            self._logger.put(_RANK[level], line)


def _envelope(run: str) -> Callable[[object, str, _Fields], _Fields]:
    seq = itertools.count(1)

    def add(_logger: object, level: str, fields: _Fields) -> _Fields:
        event = fields.pop("event")
        return {
            "ts": utc_us(),
            "event": event,
            "v": _VERSIONS.get(event, 0),
            "level": level,
            "actor": fields.pop("actor", None),
            "run": run,
            "seq": next(seq),
            **fields,
        }

    return add


_Render = Callable[[object, str, _Fields], bytes]


def _console_line(*, colour: bool) -> _Render:
    return lambda _logger, _level, fields: (
        b"" if fields["event"] in _FIGURES else _console.render(fields, colour=colour) + b"\n"
    )


def _json_line(*, journal: bool) -> _Render:
    prefixes = dict(zip(LEVELS, _PRIORITY, strict=True)) if journal else dict.fromkeys(LEVELS, b"")
    return lambda _logger, level, fields: b"%b%b\n" % (prefixes[level], _lines.render(fields))


class _Bridge(logging.Handler):
    """Turns the warnings of libraries into events."""

    def __init__(self, emit: Emitter) -> None:
        super().__init__(logging.WARNING)
        self._emit = emit

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record as one event."""
        error = record.exc_info[1] if record.exc_info else None
        level = "error" if record.levelno >= logging.ERROR else "warning"
        self._emit(
            "library.complained",
            level=level,
            logger=record.name,
            text=_message(record),
            error=error,
        )


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):  # the library's own arguments do not fit its own text
        return str(record.msg)


@contextlib.contextmanager
def _bridged(emit: Emitter) -> Iterator[None]:
    bridge = _Bridge(emit)
    loggers = [logging.getLogger(name) for name in _LIBRARIES]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(bridge)
        logger.setLevel(logging.WARNING)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(bridge)
            logger.setLevel(level)
            logger.propagate = propagate


def is_journal(stream: Stream, journal_stream: str | None) -> bool:
    """Whether a stream is the journal's.

    Args:
        stream: What will be written to.
        journal_stream: `JOURNAL_STREAM` as systemd set it: `device:inode`, or None.
    """
    status = os.fstat(stream.fileno())
    return journal_stream == f"{status.st_dev}:{status.st_ino}"


@contextlib.contextmanager
def open_log(
    config: LogConfig, *, stream: Stream, journal: bool, tap: Tap | None = None
) -> Iterator[Log]:
    """Open the log of this process, with the warnings of our libraries in it.

    Args:
        config: What is written, and how.
        stream: Where the lines go; standard output as a rule.
        journal: The stream is the journal's (`JOURNAL_STREAM` names it): each JSON line gets the
            journal's priority as a prefix.
        tap: Sees every event of the catalogue too, whatever level is written.

    Yields:
        The log; closing it takes at most a second, also where its reader stands still.
    """
    log = Log(config, stream=stream, journal=journal, tap=tap)
    try:
        with _bridged(log.emit):
            yield log
    finally:
        log.close()
