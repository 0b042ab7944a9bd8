"""The event stream, read from the journal, a file or a pipe in bounded memory.

Whatever a line holds, it becomes an item and never an exception: an event, a notice of systemd, or
foreign text, which may hold any character and must be escaped before a terminal sees it.
"""

import contextlib
import datetime as dt
import os
import re
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final

import attrs
import msgspec

from jobping.errors import StreamFailed
from jobping.events import ENVELOPE, LEVELS

UNIT: Final = "jobping.service"
LINE_CAP: Final = 256 * 1024
"""Most bytes of a line. One of ours has 3,500; journald splits what a program writes at 48 KiB, and
spells it as a list of integers where a raw control byte was in it (design/operations.md)."""
TEXT_CAP: Final = 2_000
LAST_TS: Final = 4_000_000_000_000_000
"""Microseconds, of the year 2096: what is later is no time of ours."""
RUNS: Final = 16
"""Runs whose numbering is followed at a time."""

_CHUNK: Final = 64 * 1024
_AT_ONCE: Final = 1024 * 1024
_LOOK_EVERY_S: Final = 0.25  # how often a file is asked whether it grew
_STOP_S: Final = 2.0
_PREFIX: Final = re.compile(r"<([0-7])>")
_OURS: Final = frozenset(ENVELOPE)
_NOTICE_FIELDS: Final[tuple[str, ...]] = ("UNIT_RESULT", "N_RESTARTS", "EXIT_CODE", "EXIT_STATUS")
_KEPT: Final = ("MESSAGE", "MESSAGE_ID", "PRIORITY", "_PID", *_NOTICE_FIELDS)
_NOTICES: Final = {  # of systemd 257, design/operations.md section 8
    "39f53479d3a045ac8e11786248231fbf": "unit.started",
    "98e322203f7a4ed290d09fe03c09fe15": "unit.exited",
    "d9b373ed55a64feb8242e02dbe79a49c": "unit.failed",
    "5eb03494b6584870a536b337290809b3": "unit.restarted",
    "7ad2d189f7e94e70a38c781354912448": "unit.deactivated",
}


@attrs.frozen(kw_only=True)
class Event:
    """A line that the daemon wrote.

    Attributes:
        ts: Microseconds since 1970, UTC.
        level: One of `jobping.events.LEVELS`.
        fields: What is not in the envelope, as it came.
    """

    ts: int
    event: str
    level: str
    actor: str
    run: str
    seq: int
    v: int
    fields: Mapping[str, Any]


@attrs.frozen(kw_only=True)
class Notice:
    """What systemd says about the unit.

    Attributes:
        ts: Microseconds since 1970, UTC.
        event: `unit.started`, `.exited`, `.failed`, `.restarted` or `.deactivated`.
        fields: Of `UNIT_RESULT`, `N_RESTARTS`, `EXIT_CODE`, `EXIT_STATUS` those there are.
    """

    ts: int
    event: str
    fields: Mapping[str, str]


@attrs.frozen(kw_only=True)
class Lost:
    """So many lines of a run never came: a gap in its numbers.

    Attributes:
        ts: Of the line after the gap.
    """

    ts: int
    run: str
    n: int


@attrs.frozen(kw_only=True)
class Foreign:
    """A line that is no event of ours, cut to `TEXT_CAP` characters and not escaped.

    Attributes:
        ts: Microseconds since 1970, UTC; None where the line does not say.
    """

    ts: int | None
    level: str
    text: str


Item = Event | Notice | Lost | Foreign


class Decoder:
    """Bytes in, items out. Holds at most one line of `LINE_CAP` bytes."""

    def __init__(self, *, within_line: bool = False) -> None:
        """Begin at the start of a line, or within one, whose rest is left out."""
        self._rest = b""
        self._skips = within_line
        self._last: dict[str, int] = {}

    def feed(self, chunk: bytes) -> Iterator[Item]:
        """Yield the items of all lines that end in this piece of the stream."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            if self._skips:
                self._skips = False
            else:
                yield from self._items(line)
        if len(self._rest) > LINE_CAP:
            if not self._skips:
                yield from self._items(self._rest)
            self._rest, self._skips = b"", True

    def end(self) -> Iterator[Item]:
        """Yield the item of a last line that lacks its end."""
        rest, self._rest = self._rest, b""
        if not self._skips:
            yield from self._items(rest)

    def _items(self, line: bytes) -> Iterator[Item]:
        if not line.strip():
            return
        item = _item(line)
        if isinstance(item, Event):
            last = self._last.pop(item.run, item.seq - 1)
            self._last[item.run] = max(last, item.seq)
            if len(self._last) > RUNS:
                del self._last[next(iter(self._last))]
            if item.seq > last + 1:
                yield Lost(ts=item.ts, run=item.run, n=item.seq - last - 1)
        yield item


def _item(line: bytes) -> Item:
    found = _object(line) if len(line) <= LINE_CAP else None
    if found is None or "__REALTIME_TIMESTAMP" not in found:
        return _of_message(line, found, ts=None, level="info")
    ts = min(_whole(found["__REALTIME_TIMESTAMP"]) or 0, LAST_TS)
    level = _level_of(found.get("PRIORITY"))
    name = _NOTICES.get(str(found.get("MESSAGE_ID")))
    if name is not None and found.get("_PID") == "1":  # which no one else can say
        fields = {key: str(found[key]) for key in _NOTICE_FIELDS if key in found}
        return Notice(ts=ts, event=name, fields=fields)
    message = _bytes_of(found.get("MESSAGE"))
    return _of_message(message, _object(message), ts=ts, level=level)


def _of_message(
    line: bytes, found: Mapping[str, Any] | None, *, ts: int | None, level: str
) -> Event | Foreign:
    match found:
        case {
            "event": str(event),
            "ts": int(own),
            "run": str(run),
            "seq": int(seq),
            **rest,
        } if 0 < own < LAST_TS:
            said = rest.get("level")
            return Event(
                ts=own,
                event=event,
                level=said if said in LEVELS else "info",
                actor=str(rest.get("actor") or ""),
                run=run,
                seq=seq,
                v=_whole(rest.get("v")) or 0,
                fields={str(key): value for key, value in rest.items() if key not in _OURS},
            )
        case _:
            text = line[: 4 * TEXT_CAP].decode("utf-8", "replace")
            prefix = _PREFIX.match(text)
            if prefix is not None:
                level, text = _level_of(prefix[1]), text[prefix.end() :]
            return Foreign(ts=ts, level=level, text=text[:TEXT_CAP])


def _object(line: bytes) -> dict[str, Any] | None:
    start = line[:1]
    if start == b"<" and line[2:3] == b">":
        start = line[3:4]
        line = line[3:]
    if start != b"{":
        return None
    try:
        found = msgspec.json.decode(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _bytes_of(message: object) -> bytes:
    """Return a MESSAGE: a text, a list of integers where it is no clean text, or null."""
    match message:
        case str():
            return message.encode("utf-8", "replace")
        case list():
            try:
                return bytes(message)
            except (TypeError, ValueError):  # the field occurs several times
                return " ".join(map(str, message)).encode("utf-8", "replace")
        case _:
            return b"(a line without a message)"


def _level_of(priority: object) -> str:
    match priority:
        case "0" | "1" | "2" | "3":
            return "error"
        case "4":
            return "warning"
        case "7":
            return "debug"
        case _:
            return "info"


def _whole(value: object) -> int | None:
    try:
        return int(value)  # type: ignore[call-overload, no-any-return]  # whatever it is
    except (TypeError, ValueError, OverflowError):
        return None


@attrs.define
class Stream:
    """A stream that is read as far as it goes, or as it grows.

    Attributes:
        name: What is read, for people.
        ended: Nothing more comes.
    """

    name: str
    _descriptor: int
    _grows: bool = False
    _path: Path | None = None
    _program: subprocess.Popen[bytes] | None = None
    _complaints: IO[bytes] | None = None
    _decoder: Decoder = attrs.field(factory=Decoder)
    ended: bool = attrs.field(default=False, init=False)

    def __iter__(self) -> Iterator[Item]:
        """Yield everything up to the end; of a stream that grows, for ever.

        Raises:
            StreamFailed: The journal cannot be read.
        """
        while not self.ended:
            yield from self.read(within_s=60.0)

    def read(self, within_s: float = 0.0) -> Iterator[Item]:
        """Yield what has come, up to a mebibyte of it, and wait so long for the first of it.

        Raises:
            StreamFailed: The journal cannot be read.
        """
        size = 0
        while size < _AT_ONCE and not self.ended and self._has_more(within_s):
            chunk = os.read(self._descriptor, _CHUNK)
            if chunk:
                yield from self._decoder.feed(chunk)
            elif not self._grows:
                self.ended = True
                yield from self._decoder.end()
                self._check()
            elif self._is_new_file():
                yield from self._decoder.end()
            else:
                time.sleep(min(within_s, _LOOK_EVERY_S))
                return
            size += len(chunk)
            within_s = 0.0

    def _has_more(self, within_s: float) -> bool:
        return bool(select.select([self._descriptor], [], [], within_s)[0])

    def _is_new_file(self) -> bool:
        """Go on with the file that has taken the place of ours, or with ours that was emptied."""
        assert self._path is not None  # noqa: S101  only files grow
        here = os.fstat(self._descriptor)
        try:
            there = self._path.stat()
        except OSError:
            return False
        if (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino):
            if os.lseek(self._descriptor, 0, os.SEEK_CUR) <= here.st_size:
                return False
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            return True
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        os.dup2(descriptor, self._descriptor, inheritable=False)
        os.close(descriptor)
        return True

    @property
    def failed(self) -> str:
        """What the program that reads the journal complained of so far."""
        if self._complaints is None:
            return ""
        text = os.pread(self._complaints.fileno(), TEXT_CAP, 0)
        return text.decode("utf-8", "replace").strip()

    def _check(self) -> None:
        if self._program is not None and (code := self._program.wait()):
            raise StreamFailed(f"{self.name} cannot be read: {self.failed or f'exit code {code}'}")


@contextlib.contextmanager
def open_file(path: Path, *, follow: bool = False, last: int | None = None) -> Iterator[Stream]:
    """Open a log file, which may be turned over while it is followed, or a named pipe.

    Args:
        last: Read of a longer file only so many of its last bytes; None: all of it.

    Raises:
        StreamFailed: It cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise StreamFailed(f"{path} cannot be read: {error.strerror}") from error
    try:
        skipped = os.fstat(descriptor).st_size - last if last is not None else 0
        if skipped > 0:
            os.lseek(descriptor, skipped, os.SEEK_SET)
        yield Stream(
            str(path),
            descriptor,
            grows=follow and path.is_file(),
            path=path,
            decoder=Decoder(within_line=skipped > 0),
        )
    except IsADirectoryError as error:
        raise StreamFailed(f"{path} cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)


def open_pipe(descriptor: int) -> Stream:
    """Read a descriptor that is open, such as that of standard input."""
    return Stream("standard input", descriptor)


@contextlib.contextmanager
def open_journal(
    unit: str = UNIT,
    *,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    follow: bool = False,
) -> Iterator[Stream]:
    """Read the journal of a unit through `journalctl`.

    Args:
        since: Of this moment on, aware; None: from its beginning.
        until: Up to this moment, aware.
        follow: Wait for what is written from now on.

    Raises:
        StreamFailed: There is no `journalctl`.
    """
    program = shutil.which("journalctl")
    if program is None:
        raise StreamFailed("there is no journal here: no journalctl; name a log with --file")
    words = [program, "--unit", unit, "--output", "json", "--all", "--no-pager"]
    words.append(f"--output-fields={','.join(_KEPT)}")
    words += [f"--since=@{since.timestamp():.6f}"] if since else []
    words += [f"--until=@{until.timestamp():.6f}"] if until else []
    words += ["--follow", "--no-tail"] if follow else []
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(  # noqa: S603  a fixed program, arguments without a shell
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints
        ) as running,
    ):
        assert running.stdout is not None  # noqa: S101  asked for
        try:
            yield Stream(
                f"the journal of {unit}",
                running.stdout.fileno(),
                program=running,
                complaints=complaints,
            )
        finally:
            running.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(_STOP_S)
            if running.poll() is None:
                running.kill()
