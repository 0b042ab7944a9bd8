"""What systemd is told: readiness, status, life, reload and stop, in the words of sd_notify(3)."""

import contextlib
import faulthandler
import signal
import socket
import sys
import types
from collections.abc import Callable, Iterator
from typing import Final

import attrs
import trio

from jobping.clock import monotonic_ns

_SEND_WITHIN_S: Final = 0.05  # where systemd does not read, the loop waits no longer
_STATUS_CHARACTERS: Final = 200


def notify(address: str | None, *assignments: str) -> None:
    """Send one datagram; do nothing where there is nobody to tell.

    Args:
        address: `NOTIFY_SOCKET`: a path, or `@` and an abstract name; None: nobody.
        assignments: Such as `READY=1`; a line break in one becomes a blank, it would start another.
    """
    if address is None or not address.startswith(("/", "@")):
        return
    text = "\n".join(" ".join(assignment.splitlines()) for assignment in assignments)
    place = "\0" + address[1:] if address.startswith("@") else address
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.settimeout(_SEND_WITHIN_S)
        out.sendto(text.encode(errors="replace"), place)


@attrs.define(kw_only=True)
class ServiceManager:
    """Tells systemd how the daemon fares; the notifier of `run_daemon`.

    Attributes:
        address: `NOTIFY_SOCKET`; None: nobody is told.
        watchdog_s: A daemon that says nothing for so long is ended; None: it may be silent.
        on_ready: Called at readiness; returns the sentence for the status.
        on_stop: Called when the stop begins, with the signal's name.
        is_mute: Says whether the reader of our log is gone.
    """

    address: str | None
    watchdog_s: float | None
    on_ready: Callable[[], str]
    on_stop: Callable[[str], None] = lambda reason: None
    is_mute: Callable[[], bool] = lambda: False
    _sentence: str = attrs.field(default="", init=False)
    _was_mute: bool = attrs.field(default=False, init=False)

    def ready(self) -> None:
        """Say that every part has started."""
        self._sentence = self.on_ready()
        self._tell("READY=1", _status(self._sentence))
        self._await_next_sign()

    def alive(self) -> None:
        """Say that the loop turns and every critical part makes progress."""
        if self.watchdog_s is not None:
            self._tell("WATCHDOG=1")
            self._await_next_sign()
        if self.is_mute() and not self._was_mute:
            self._was_mute = True
            self.status("nobody reads the log any more")

    def status(self, text: str) -> None:
        """Say in a line how the daemon fares."""
        self._tell(_status(f"{text}: {self._sentence}"))

    def extend(self, seconds: float) -> None:
        """Ask for that many seconds more until readiness."""
        self._tell(f"EXTEND_TIMEOUT_USEC={seconds * 1e6:.0f}", _status("starting"))

    def reloading(self) -> None:
        """Say that the configuration is read anew; `reloaded` ends it."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={monotonic_ns() // 1000}")

    def reloaded(self, sentence: str) -> None:
        """Say that the daemon serves anew."""
        self._sentence = sentence
        self._tell("READY=1", _status(sentence))

    def refused(self, why: str) -> None:
        """Say that the daemon serves as before, and why."""
        self._tell("READY=1", _status(f"the old configuration holds: {why}"))

    def stopping(self, reason: str) -> None:
        """Say that the stop has begun."""
        self.on_stop(reason)
        self._tell("STOPPING=1", _status("stopping"))

    def _tell(self, *assignments: str) -> None:
        notify(self.address, *assignments)

    def _await_next_sign(self) -> None:
        """Let a thread without Python write where all threads are before systemd gives up.

        A loop that hangs cannot say so itself.
        """
        if self.watchdog_s is not None:
            faulthandler.dump_traceback_later(self.watchdog_s / 2)


@contextlib.contextmanager
def explained_aborts() -> Iterator[None]:
    """Let the process write where all threads are at SIGABRT, by the watchdog, and at SIGQUIT.

    SIGQUIT shows Trio's tasks, too.
    """
    was_enabled = faulthandler.is_enabled()
    faulthandler.enable()
    before = signal.signal(signal.SIGQUIT, _show_stacks)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGQUIT, before)
        if not was_enabled:
            faulthandler.disable()


def _show_stacks(_number: int, _frame: types.FrameType | None) -> None:
    faulthandler.dump_traceback(all_threads=True)
    root = trio.lowlevel.current_root_task()
    sys.stderr.writelines(_tasks(root, "") if root else ())
    sys.stderr.flush()


def _tasks(task: trio.lowlevel.Task, indent: str) -> Iterator[str]:
    """Yield a line for each task of a tree: its name, and where it waits."""
    place = ""
    for frame, line in task.iter_await_frames():
        place = f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_name}"
    yield f"{indent}{task.name}  {place}\n"
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield from _tasks(child, indent + "  ")


def _status(text: str) -> str:
    return f"STATUS={text[:_STATUS_CHARACTERS]}"
