"""JobPing as real processes: start one, read what it says, signal it, see that nothing is left.

    async with jobping("demo", "--json", home=home) as daemon:
        await daemon.wait_for("daemon.became_ready")
        assert (await daemon.end_by(SIGTERM)).code == 0
    assert home.processes() == []

Every wait has a deadline, and a process that is still there when its block ends is killed.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from signal import SIGKILL, Signals
from typing import Any

import attrs
import trio

ROOT = Path(__file__).parents[2]
RECORDINGS = ROOT.parent / "shared" / "recordings"
PATIENCE_S = 90.0
"""For whatever a loaded machine may take its time with; what must be fast is measured."""
GONE_S = 5.0
"""The product promises 2 s after kill -9; a loaded machine may take longer."""
OURS = ("JOBPING_", "XDG_", "NOTIFY_", "WATCHDOG_", "CREDENTIALS_", "INVOCATION_", "JOURNAL_")
DIRECTORIES = ("RUNTIME_DIRECTORY", "STATE_DIRECTORY", "CONFIGURATION_DIRECTORY")

Line = dict[str, Any]


@attrs.frozen
class Home:
    """A directory for one state directory and what belongs to it.

    A server account that root drops to can pass through it: it lies directly below the temporary
    directory and may be searched by all.
    """

    path: Path

    @property
    def state(self) -> Path:
        return self.path / "state"

    @property
    def digests(self) -> list[Path]:
        return sorted(self.state.glob("digests/*/*.txt"))

    def write(self, name: str, text: str) -> Path:
        path = self.path / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        return path

    def processes(self) -> list[tuple[int, str]]:
        """Return number and command line of all that runs on the directory, but for the dead."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                words, place = _words(entry), _place(entry)
                if str(self.path) in words or place.startswith(str(self.path)):
                    found.append((int(entry.name), words))
        return sorted(found)

    def servers(self) -> list[tuple[int, str]]:
        """Return the processes of PostgreSQL, also those that are about to become one."""
        return [(pid, words) for pid, words in self.processes() if "-m jobping" not in words]

    async def wait_without_servers(self) -> float:
        """Wait until no process of PostgreSQL is there; return how many seconds it took."""
        began = time.monotonic()
        while left := self.servers():
            assert time.monotonic() - began < GONE_S, left
            await trio.sleep(0.02)
        return time.monotonic() - began


def _words(entry: Path) -> str:
    with contextlib.suppress(OSError):
        return (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def _place(entry: Path) -> str:
    """Return where a process is: PostgreSQL in its data directory, whatever its title says."""
    with contextlib.suppress(OSError):
        return str((entry / "cwd").readlink())
    return ""


def _wait_for_nobody(home: Home) -> list[tuple[int, str]]:
    """Return what still runs after the time that a killed daemon's server may take to end."""
    deadline = time.monotonic() + GONE_S
    while (left := home.processes()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


@contextmanager
def open_home() -> Iterator[Home]:
    """Make a home and remove it; a process that survives in it fails the test and is killed."""
    path = Path(tempfile.mkdtemp(prefix="jobping-daemon-"))
    path.chmod(0o711)
    home = Home(path)
    try:
        yield home
        survivors = _wait_for_nobody(home)
    finally:
        for pid, _ in home.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, SIGKILL)
        shutil.rmtree(path)
    assert survivors == []


@attrs.frozen(kw_only=True)
class Ended:
    """What a process has left.

    Attributes:
        code: Its exit code, negative for a signal.
        took_s: From the signal, else from its start, to its end.
    """

    code: int
    stdout: str
    stderr: str
    log: tuple[Line, ...]
    took_s: float

    def lines(self, event: str) -> list[Line]:
        return [line for line in self.log if line["event"] == event]

    def summary(self) -> Line:
        """Return the object of `--json`, after which nothing may stand."""
        found = json.loads(self.stdout)
        assert isinstance(found, dict)
        return found

    def __str__(self) -> str:
        return f"code {self.code} after {self.took_s:.2f} s\n{self.stdout}\n{self.stderr}"


@attrs.define(eq=False)
class Running:
    """A process that runs, or has ended."""

    process: trio.Process
    logs_to_stderr: bool
    stdout: bytearray = attrs.field(factory=bytearray)
    stderr: bytearray = attrs.field(factory=bytearray)
    began: float = attrs.field(factory=time.monotonic)
    _news: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)
    _open: int = 2

    @property
    def log(self) -> tuple[Line, ...]:
        """The complete lines of the log so far."""
        text = self.stderr if self.logs_to_stderr else self.stdout
        whole = bytes(text).decode().split("\n")[:-1]
        return tuple(json.loads(line) for line in whole if line.startswith('{"ts"'))

    def log_of(self, event: str) -> list[Line]:
        return [line for line in self.log if line["event"] == event]

    async def read(self, stream: trio.abc.ReceiveStream, into: bytearray) -> None:
        """Read one of the streams to its end."""
        async with stream:
            async for chunk in stream:
                into += chunk
                self._news.unpark_all()
        self._open -= 1
        self._news.unpark_all()

    async def wait_for(self, event: str, *, count: int = 1) -> Line:
        """Wait until the log has so many lines of that name; return the last of them."""
        with trio.fail_after(PATIENCE_S):
            while True:
                found = self.log_of(event)
                if len(found) >= count:
                    return found[count - 1]
                assert self._open, f"ended without {event}:\n{self._said()}"
                await self._news.park()

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds outside of the process while it runs."""
        with trio.fail_after(PATIENCE_S):
            while not condition():
                assert self._open, f"ended too early:\n{self._said()}"
                await trio.sleep(0.001)

    async def wait_for_signals(self) -> None:
        """Wait until the process handles SIGTERM: before that Python itself is starting."""
        status = Path(f"/proc/{self.process.pid}/status")
        bit = 1 << (signal.SIGTERM - 1)
        await self.wait_until(lambda: _caught(status) & bit != 0)

    def send(self, number: Signals) -> None:
        """Send a signal; `took_s` counts from the first one."""
        if self.process.returncode is None:
            self.began = time.monotonic()
            self.process.send_signal(number)

    async def ended(self, within_s: float = PATIENCE_S) -> Ended:
        """Wait until the process has ended and all it wrote is read."""
        with trio.fail_after(within_s):
            code = await self.process.wait()
            took_s = time.monotonic() - self.began
            while self._open:
                await self._news.park()
        return Ended(
            code=code,
            stdout=self.stdout.decode(),
            stderr=self.stderr.decode(),
            log=self.log,
            took_s=took_s,
        )

    async def end_by(self, number: Signals) -> Ended:
        """Send a signal and wait for the end."""
        self.send(number)
        return await self.ended()

    def _said(self) -> str:
        return f"{self.stdout.decode()[-3000:]}\n{self.stderr.decode()[-3000:]}"


def _caught(status: Path) -> int:
    for line in status.read_text().splitlines():
        if line.startswith("SigCgt:"):
            return int(line.split()[1], 16)
    return 0


@asynccontextmanager
async def jobping(
    *arguments: str | Path,
    home: Home,
    environ: Mapping[str, str] | None = None,
    module: str = "jobping",
) -> AsyncIterator[Running]:
    """Run `jobping` with `--state-dir` of the home, and kill it if the block leaves it running.

    What follows `--` in the arguments is kept last.

    Args:
        module: Another program with the same options.
    """
    words = [str(argument) for argument in arguments]
    place = words.index("--") if "--" in words else len(words)
    words[place:place] = ["--state-dir", str(home.state)]
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", module, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=environment(home) | dict(environ or {}),
    )
    running = Running(process, logs_to_stderr="--json" in words)
    assert process.stdout is not None
    assert process.stderr is not None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(running.read, process.stdout, running.stdout)
        nursery.start_soon(running.read, process.stderr, running.stderr)
        try:
            yield running
        finally:
            if process.returncode is None:
                process.kill()
            with trio.move_on_after(10, shield=True):
                await process.wait()
            nursery.cancel_scope.deadline = trio.current_time() + 10


def environment(home: Home) -> dict[str, str]:
    """Return our environment less all that JobPing or systemd would say in it."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(OURS) and name not in DIRECTORIES
    }
    return kept | {"HOME": str(home.path), "PYTHONFAULTHANDLER": "1"}


async def run(
    *arguments: str | Path, home: Home, environ: Mapping[str, str] | None = None
) -> Ended:
    """Run a command to its end."""
    async with jobping(*arguments, home=home, environ=environ) as running:
        return await running.ended()


async def rows(
    query: str, *, home: Home, environ: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Return what a query finds, read through `jobping db shell`."""
    statement = f"SELECT coalesce(json_agg(q), '[]') FROM ({query}) q"
    shell = await run("db", "shell", "--", "-XAtqc", statement, home=home, environ=environ)
    assert shell.code == 0, shell
    found = json.loads(shell.stdout)
    assert isinstance(found, list)
    return found
