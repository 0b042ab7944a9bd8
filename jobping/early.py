"""Signals that arrive before the daemon can receive them are kept and delivered, not lost."""

import os
import signal
import types


class EarlySignals:
    """A signal handler for the time before the daemon's own.

    Until `keep` is called a signal ends the process with status 0: nothing has begun. After it
    signals are kept, and `deliver_signals` hands them to the daemon's receiver. So is the one whose
    SystemExit was raised where Python ignores exceptions, in a finalizer for instance.
    """

    def __init__(self) -> None:
        self._kept: list[int] = []
        self._keeping = False

    def __call__(self, signum: int, _frame: types.FrameType | None) -> None:
        """Handle a signal."""
        self._kept.append(signum)
        if not self._keeping:
            raise SystemExit(0)

    def install(self) -> None:
        """Handle SIGTERM and SIGINT from now on."""
        signal.signal(signal.SIGTERM, self)
        signal.signal(signal.SIGINT, self)

    def keep(self) -> None:
        """Keep signals from now on."""
        self._keeping = True

    def take(self) -> tuple[int, ...]:
        """Return and forget what was kept."""
        kept, self._kept = tuple(self._kept), []
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
