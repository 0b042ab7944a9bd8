"""Start a process of the embedded server through `server_child`, wait for it, end it.

Processes are started from the thread that runs Trio: the death signal is tied to that thread, and
Trio's own way of starting them uses one that soon ends.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import attrs
import trio

from jobping.store.account import Account

STUB = Path(__file__).parent / "server_child.py"
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
"""All that PostgreSQL gets: no secrets, no socket of systemd."""
KILL_AFTER_S = 5.0
"""How long a process may take after the signal that asks it to end."""


@attrs.define(eq=False)
class Child:
    """One process of ours; its output and errors come out of `output`."""

    process: "subprocess.Popen[bytes]"
    output: trio.lowlevel.FdStream

    @property
    def pid(self) -> int:
        """Return the number of the process."""
        return self.process.pid

    @property
    def ended(self) -> bool:
        """Return whether the process is over."""
        return self.process.poll() is not None

    async def wait(self) -> int:
        """Wait for the end; return the exit code, negative for a signal."""
        try:
            await _wait_pid(self.process)
        except OSError:  # no descriptor for processes here, or the process is gone already
            while not self.ended:  # noqa: ASYNC110  the system offers no event to wait for
                await trio.sleep(0.05)
        return self.process.wait()

    async def end(self, *signals: tuple[signal.Signals, float]) -> int:
        """Send each signal until the process is over, then kill; return the exit code.

        Args:
            signals: What to send, and how many seconds to wait afterwards.
        """
        for number, patience_s in (*signals, (signal.SIGKILL, KILL_AFTER_S)):
            if self.ended:
                break
            self.process.send_signal(number)
            with trio.move_on_after(patience_s):
                await self.wait()
        return await self.wait()


def spawn(account: Account, directory: Path, *command: str) -> Child:
    """Start a process as the account, in a directory; blocks for less than a millisecond.

    Args:
        command: A verb of `server_child` and its arguments.
    """
    identity = (account.uid, account.gid) if account.drops else (-1, -1)
    arguments = [*map(str, (*identity, os.getpid())), str(directory), *command]
    readable, writable = os.pipe()
    try:
        process = subprocess.Popen(  # noqa: S603  no shell, every argument is ours
            [sys.executable, "-I", "-S", str(STUB), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=writable,
            stderr=writable,
            env=ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        )
    except OSError:
        os.close(readable)
        raise
    finally:
        os.close(writable)
    return Child(process, trio.lowlevel.FdStream(readable))


async def run(account: Account, directory: Path, command: Sequence[str]) -> tuple[int, str]:
    """Run a process to its end and return its exit code and output; a cancel ends it first."""
    child = spawn(account, directory, *command)
    said = bytearray()
    try:
        async with child.output:
            async for chunk in child.output:
                said += chunk
        code = await child.wait()
    finally:
        with trio.move_on_after(3 * KILL_AFTER_S, shield=True):
            await child.end((signal.SIGINT, KILL_AFTER_S))
    return code, said.decode(errors="replace").strip()


async def _wait_pid(process: "subprocess.Popen[bytes]") -> None:
    if sys.platform != "linux":
        raise OSError("no process descriptors")
    descriptor = os.pidfd_open(process.pid)
    try:
        await trio.lowlevel.wait_readable(descriptor)
    finally:
        os.close(descriptor)
