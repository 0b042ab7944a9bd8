"""The deadlines of asks: one alarm for a whole Trio run, as a scope for each ask costs far more."""

import math

import trio

from supervisors._box import Box, ReplySlot
from supervisors.errors import AskTimeout


class Timer:
    """Fails each ask whose own time is over; it keeps none that has ended.

    Asks that give the same time are over in the order in which they began, so that a line of them
    need not be sorted. The alarm is never later than the first of a line that still waits; it may
    be earlier, for an ask that was answered leaves it as it is.

    Attributes:
        is_over: Whether the run is ending: it takes no more asks.
    """

    def __init__(self) -> None:
        self._lines: dict[float, dict[ReplySlot, Box]] = {}
        self._alarm = trio.CancelScope()
        self.is_over = False

    def add(self, slot: ReplySlot, box: Box, within: float) -> None:
        """Watch the ask that a box has just taken."""
        line = self._lines.get(within)
        if line is None:
            line = self._lines[within] = {}
        line[slot] = box
        if slot.deadline < self._alarm.deadline:  # also behind those that have just been failed
            self._alarm.deadline = slot.deadline

    def remove(self, slot: ReplySlot, within: float) -> None:
        """Forget an ask that has ended."""
        line = self._lines[within]
        del line[slot]
        if not line:
            del self._lines[within]
            if self.is_over and not self._lines:
                self._alarm.cancel(reason="no ask is left")

    async def run(self) -> None:
        """Ring until the run ends, and for those whose shield keeps it up until they have ended."""
        try:
            while True:
                await self._wait_and_ring()
        finally:
            self.is_over = True
            while self._lines:
                with trio.CancelScope(shield=True):
                    await self._wait_and_ring()

    async def _wait_and_ring(self) -> None:
        try:
            with self._alarm:
                await trio.sleep_forever()
        finally:
            self._alarm = trio.CancelScope(deadline=self._ring(trio.current_time()))

    def _ring(self, now: float) -> float:
        """Fail what is over; return when to ring next."""
        first = math.inf
        for within, line in self._lines.items():
            for slot, box in line.items():
                if slot.deadline > now:
                    first = min(first, slot.deadline)
                    break
                slot.fail(AskTimeout(box.path, within))
        return first


_timer: trio.lowlevel.RunVar[Timer] = trio.lowlevel.RunVar("timer of asks")


def timer_of_run() -> Timer:
    """Return the timer of this Trio run, started with the first ask that needs it."""
    try:
        return _timer.get()
    except LookupError:
        timer = Timer()
        _timer.set(timer)
        trio.lowlevel.spawn_system_task(timer.run)
        return timer
