"""A server of a dead owner that still runs on our data directory: ask it to stop, and wait.

It is not adopted, because a process that is not our child gets no death signal from us.
`postmaster.pid` is never removed, and no process is chosen by its command line.
"""

import enum
import os
import signal
from pathlib import Path

import trio

from jobping.errors import ConfigError
from jobping.store.cluster import Cluster

PATIENCE_S = 10.0
POLL_S = 0.05


class Found(enum.Enum):
    """What the process named by `postmaster.pid` is."""

    NOTHING = "nothing"
    SERVER = "server"
    OTHER = "other"
    """A process of the same user elsewhere, or one that ended and was not yet reaped."""


async def stop_leftover(cluster: Cluster) -> None:
    """Return once no process stands in the way of our own server.

    Raises:
        ConfigError: One still does after 10 s.
    """
    asked = False
    with trio.move_on_after(PATIENCE_S):
        while True:
            pid = _recorded_pid(cluster.data_dir)
            found = Found.NOTHING if pid is None else _examine(pid, cluster)
            if pid is None or found is Found.NOTHING:
                return
            if found is Found.SERVER and not asked:
                asked = True
                os.kill(pid, signal.SIGINT)
            await trio.sleep(POLL_S)
    raise ConfigError(
        f"{cluster.data_dir / 'postmaster.pid'} names process {pid} ({_command_line(pid)}), which "
        "does not go away. If it is a PostgreSQL, stop it; if it is not, remove that file."
    )


def _recorded_pid(data_dir: Path) -> int | None:
    try:
        return abs(int((data_dir / "postmaster.pid").read_text().partition("\n")[0]))
    except (FileNotFoundError, ValueError):
        return None


def _examine(pid: int, cluster: Cluster) -> Found:
    process = Path("/proc") / str(pid)
    try:
        if process.stat().st_uid != cluster.account.uid:
            return Found.NOTHING  # PostgreSQL does not mind processes of other users
        here = (process / "cwd").readlink()
    except FileNotFoundError:
        return Found.OTHER if process.exists() else Found.NOTHING
    except PermissionError:
        return Found.OTHER
    return Found.SERVER if here == cluster.data_dir else Found.OTHER


def _command_line(pid: int | None) -> str:
    try:
        words = (Path("/proc") / str(pid) / "cmdline").read_bytes()
    except OSError:
        return "not shown"
    return words.replace(b"\0", b" ").decode(errors="replace").strip() or "ended, not yet reaped"
