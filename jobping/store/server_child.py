"""The first code of every process of the embedded server; runs alone, as `python -I -S`.

It gives up root for good, asks the kernel for a signal when the daemon dies, and becomes the named
program. The order matters: a change of user clears the death signal (prctl(2), PR_SET_PDEATHSIG).

Arguments: uid, gid (-1: stay who we are), pid of the parent, directory, then a verb:
`run PROGRAM ARGUMENT...` becomes the program; `guard PROGRAM ARGUMENT...` runs it and, told to
stop, kills it with all that it has started, which the death signal would not reach; `empty`
removes what the directory holds.
"""

import ctypes
import os
import shutil
import signal
import sys
from pathlib import Path

CANNOT_DROP = 90
CANNOT_ENTER = 91
CANNOT_RUN = 92
ORPHAN = 93

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """Do what the arguments say; returns only if that fails, or after `empty`.

    Returns:
        The exit code: one of the constants above; a line on stderr says what and where.
    """
    uid, gid, parent = (int(argument) for argument in arguments[:3])
    directory, verb, *rest = arguments[3:]
    try:
        _drop(uid, gid)
    except OSError as error:
        return _fail(CANNOT_DROP, f"cannot become uid {uid}: {error.strerror}")
    _die_with_parent()
    if os.getppid() != parent:
        return ORPHAN
    try:
        os.chdir(directory)
    except OSError:
        return _fail(CANNOT_ENTER, first_closed(Path(directory)))
    if verb == "empty":
        return _empty()
    if verb == "guard":
        return _guard(rest)
    try:
        os.execv(rest[0], rest)  # noqa: S606  the caller names the program, no shell is wanted
    except OSError as error:
        return _fail(CANNOT_RUN, f"{first_closed(Path(rest[0]))}: {error.strerror}")


def first_closed(path: Path) -> str:
    """Return the first part of a path that this user cannot pass, or the path itself."""
    for part in (*reversed(path.parents), path):
        if not os.access(part, os.X_OK):
            return str(part)
    return str(path)


def _drop(uid: int, gid: int) -> None:
    if uid < 0:
        return
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)


def _empty() -> int:
    for entry in os.scandir("."):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.name, ignore_errors=True)
        else:
            Path(entry.name).unlink(missing_ok=True)
    return 0


def _guard(command: list[str]) -> int:
    """Run a program; we lead a process group of our own, and everything it starts is in it."""
    signal.signal(signal.SIGINT, lambda *_: os.killpg(0, signal.SIGKILL))
    return os.spawnv(os.P_WAIT, command[0], command)  # noqa: S606  as above


def _fail(code: int, message: str) -> int:
    sys.stderr.write(message + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
