"""Signals that arrive before the daemon can receive them are kept and delivered, not lost."""

import os
import signal
import types


class EarlySignals:
    """A signal handler for the time before the daemon's own.

    Until `keep` is called a signal ends the process with status 0: nothing has begun. After it
    signals are kept, and `deliver_signals` hands them to the daemon's receiver.
    """

    def __init__(self) -> None:
        self._kept: list[int] | None = None

    def __call__(self, signum: int, _frame: types.FrameType | None) -> None:
        """Handle a signal."""
        if self._kept is None:
            raise SystemExit(0)
        self._kept.append(signum)

    def install(self) -> None:
        """Handle SIGTERM and SIGINT from now on."""
        signal.signal(signal.SIGTERM, self)
        signal.signal(signal.SIGINT, self)

    def keep(self) -> None:
        """Keep signals from now on."""
        self._kept = self._kept or []

    def take(self) -> tuple[int, ...]:
        """Return and forget what was kept."""
        kept, self._kept = tuple(self._kept or ()), []
        return kept


def keep_signals() -> EarlySignals | None:
    """Keep signals from now on; return the handler that does, where one is installed."""
    handler = signal.getsignal(signal.SIGTERM)
    if not isinstance(handler, EarlySignals):
        return None
    handler.keep()
    return handler


def deliver_signals(early: EarlySignals | None) -> None:
    """Send the process what was kept; call it once the daemon's own receiver is open."""
    for signum in early.take() if early is not None else ():
        os.kill(os.getpid(), signum)
