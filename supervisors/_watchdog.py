"""The last resort of a daemon: a thread that ends the process when the loop no longer can."""

import contextlib
import enum
import faulthandler
import os
import queue
import threading
from collections.abc import Callable

FORCED_EXIT_AFTER = 15.0
"""Seconds that a cancelled tree has before the process ends all the same."""

EXIT_STUCK = 70
_ENOUGH_SIGNALS = 3


class _Word(enum.Enum):
    SIGNAL = "signal"
    DISARM = "disarm"


def _leave_process() -> None:
    with contextlib.suppress(OSError, RuntimeError, ValueError, AttributeError):
        faulthandler.dump_traceback(all_threads=True)  # stderr may be closed or replaced
    os._exit(EXIT_STUCK)


class Watchdog:
    """Counts signals in a thread of its own and ends the process at the third, or out of time.

    A hung loop reads no signals; `note_signal` is therefore called by the signal handler itself.
    The thread needs no clock: its timers wait.

    Attributes:
        noted: How many signals there were; a loop that was busy reads several as one.
    """

    def __init__(
        self,
        budget: float,
        *,
        forced_exit_after: float = FORCED_EXIT_AFTER,
        leave: Callable[[], None] = _leave_process,
    ) -> None:
        self._budget = budget
        self._forced_exit_after = forced_exit_after
        self._leave = leave
        self.noted = 0
        self._words: queue.SimpleQueue[_Word] = queue.SimpleQueue()
        self._timers: list[threading.Timer] = []
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to wait for signals."""
        self._thread.start()

    def note_signal(self) -> None:
        """Count a signal; safe in a signal handler, which a SimpleQueue is made for."""
        self.noted += 1
        self._words.put(_Word.SIGNAL)

    def stop(self) -> None:
        """Stop counting and take the timers back."""
        self._words.put(_Word.DISARM)
        self._thread.join()

    def _watch(self) -> None:
        for count in range(1, _ENOUGH_SIGNALS + 1):
            if self._words.get() is _Word.DISARM:
                self._disarm()
                return
            if count == 1:
                self._arm(self._budget + self._forced_exit_after)
            elif count == 2:
                self._arm(self._forced_exit_after)
        self._leave()

    def _arm(self, seconds: float) -> None:
        timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), self._leave)
        timer.daemon = True
        self._timers.append(timer)
        timer.start()

    def _disarm(self) -> None:
        for timer in self._timers:
            timer.cancel()
