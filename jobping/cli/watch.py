"""Where `status` and `top` get what they show: the event stream, and the daemon itself."""

import argparse
import contextlib
import datetime as dt
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from jobping.cli.domains import ask
from jobping.cli.parser import Parser, add_config_options
from jobping.cli.session import settings_of
from jobping.clock import utc_us
from jobping.errors import (
    ConfigError,
    DaemonAway,
    DaemonForbidden,
    DaemonSilent,
    OrderFailed,
    StreamFailed,
)
from jobping.monitor.state import DaemonState, RunState
from jobping.monitor.stream import UNIT, Stream, open_file, open_journal, open_pipe
from jobping.settings import Settings

BACK_S: Final = 6 * 3_600.0
"""Of the journal: what began before and lasts is in the samples (our choice)."""
LAST_BYTES: Final = 16 * 1024 * 1024
"""Of a log file only its end is read: hours of it, in a second or two."""

_STATE: Final = Path("/var/lib")


@attrs.frozen(kw_only=True)
class Silence:
    """Why the daemon itself says nothing.

    Attributes:
        is_trouble: One that lives would answer.
    """

    why: str
    is_trouble: bool = False


Answer = Mapping[str, Any] | Silence


def add_stream_options(parser: Parser) -> None:
    """Add the options that say where the events are."""
    where = parser.add_argument_group("where the events are").add_mutually_exclusive_group()
    where.add_argument(
        "--journal",
        nargs="?",
        const=UNIT,
        metavar="UNIT",
        help=f"the journal of a unit; by default of the one whose state directory this is: {UNIT}"
        " or jobping@NAME.service",
    )
    where.add_argument("--file", metavar="FILE", help="a log file or named pipe; -: standard input")
    add_config_options(parser)


def now() -> float:
    """Return seconds since 1970."""
    return utc_us() / 1e6


def unit_of(state_dir: Path) -> str | None:
    """Return the unit of ours that has this state directory; None: a daemon of another kind."""
    if state_dir in (_STATE / "jobping", _STATE / "private" / "jobping"):
        return UNIT
    if state_dir.parent == _STATE and state_dir.name.startswith("jobping-"):
        return f"jobping@{state_dir.name.removeprefix('jobping-')}.service"
    return None


@attrs.define
class Watch:
    """What is known of the daemon: from the stream, and from the daemon itself.

    Attributes:
        settings: None where the configuration is wrong.
        source: What the reader should know about the stream.
        silence: Why the daemon itself says nothing.
    """

    arguments: argparse.Namespace
    settings: Settings | None
    state: DaemonState = attrs.field(factory=DaemonState)
    source: str = ""
    silence: str = ""

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> "Watch":
        """Return one that knows nothing yet; a configuration with a mistake is no obstacle."""
        try:
            return cls(arguments, settings_of(arguments))
        except ConfigError as error:
            return cls(
                arguments,
                None,
                silence=f"the daemon is not asked, the configuration is wrong: {error}",
            )

    @property
    def note(self) -> str:
        """What the reader should know about where this comes from."""
        return "; ".join(filter(None, (self.source, self.silence)))

    @property
    def is_chosen(self) -> bool:
        """Whether the command line names the stream."""
        return self.arguments.file is not None or self.arguments.journal is not None

    @contextlib.contextmanager
    def opened(
        self, *, follow: bool = False, since: float | None = None, until: float | None = None
    ) -> Iterator[Stream]:
        """Open the stream that the arguments name, else the journal of the daemon's unit.

        Args:
            follow: Wait for what is written from now on.
            since: Read a whole file, or the journal from then on; seconds since 1970. None: only
                the last of it.
            until: Read the journal only so far.

        Raises:
            StreamFailed: It cannot be read.
        """
        if self.arguments.file == "-":
            yield open_pipe(sys.stdin.fileno())
        elif self.arguments.file is not None:
            last = LAST_BYTES if since is None else None
            with open_file(Path(self.arguments.file), follow=follow, last=last) as stream:
                yield stream
        else:
            begin = dt.datetime.fromtimestamp(now() - BACK_S if since is None else since, dt.UTC)
            end = None if until is None else dt.datetime.fromtimestamp(until, dt.UTC)
            with open_journal(self._unit(), since=begin, until=end, follow=follow) as stream:
                yield stream

    def _unit(self) -> str:
        """Return the unit whose journal is meant: a state directory that was named decides."""
        if self.arguments.journal is not None:
            return str(self.arguments.journal)
        unit = unit_of(self.settings.state_dir) if self.settings is not None else UNIT
        if unit is None and self.arguments.state_dir is not None:
            raise StreamFailed("no log is read, as no unit of ours runs there; name it with --file")
        return unit or UNIT

    def read_all(self) -> None:
        """Read the stream to its end; where it cannot be read, `note` says so."""
        try:
            with self.opened() as stream:
                for item in stream:
                    self.state.note(item)
                is_empty = self.state.current is None
                self.source = stream.failed or (f"{stream.name} has no event" if is_empty else "")
        except StreamFailed as error:
            self.source = str(error)

    def ask(self) -> Answer:
        """Return what the daemon says on its control socket, or why it says nothing."""
        if self.settings is None:
            return Silence(why=self.silence)
        try:
            return ask(self.settings, {"ask": "status"})
        except (DaemonForbidden, OrderFailed) as error:
            return Silence(why=f"the daemon is not asked: {error}")
        except DaemonSilent as error:
            return Silence(why=f"it gives no answer: {error}", is_trouble=True)
        except DaemonAway:
            return Silence(
                why="nobody answers on its control socket: it may be dead", is_trouble=True
            )

    def take(self, answer: Answer) -> None:
        """Take in an answer, unless another daemon than the one asked about gave it."""
        run = self.state.current
        if isinstance(answer, Silence):
            is_reason = answer.is_trouble and self._is_here(run)
            self.state.silence = answer.why if is_reason else ""
            self.silence = "" if answer.is_trouble else answer.why
        elif not self.is_chosen or (run is not None and answer.get("run") == run.run):
            self.state.note_answer(answer, now())
            self.silence = ""

    def _is_here(self, run: RunState | None) -> bool:
        """Whether the daemon whose log is read has the state directory that we know."""
        if self.settings is None or run is None:
            return False
        here = self.settings.state_dir
        return run.state_dir == str(here) or (not self.is_chosen and unit_of(here) is not None)
