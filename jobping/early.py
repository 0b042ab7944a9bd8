"""Signals that arrive before the daemon can receive them are kept and delivered, not lost."""

import os
import signal
import types

import trio

LOOK_EVERY_S = 0.005


class EarlySignals:
    """A signal handler for the time before the daemon's own.

    Until `keep` is called a signal ends the process with status 0: nothing has begun. After it
    signals are kept, and `deliver_early_signals` hands them to the daemon's receiver.
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


def early_signals() -> EarlySignals | None:
    """Return the handler that is installed, or None."""
    handler = signal.getsignal(signal.SIGTERM)
    return handler if isinstance(handler, EarlySignals) else None


async def deliver_early_signals() -> None:
    """Send the process what was kept, once the daemon's own receiver is open."""
    early = early_signals()
    if early is None:
        return
    while early_signals() is early:
        await trio.sleep(LOOK_EVERY_S)
    for signum in early.take():
        os.kill(os.getpid(), signum)
