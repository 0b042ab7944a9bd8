"""What a supervisor's task waits for: happenings in order, and moments."""

import heapq
import math
from collections import deque

import trio
from trio.lowlevel import Abort, RaiseCancelT, Task

from supervisors._table import Happening, Tick


class Turns:
    """An unbounded queue with one reader; a moment that has come is read before any happening.

    It needs no bound: each incarnation posts two happenings at most, each caller waits for its own.
    """

    def __init__(self) -> None:
        self._happenings: deque[Happening] = deque()
        self._moments: list[float] = []
        self._reader: Task | None = None

    def post(self, happening: Happening) -> None:
        """Add a happening."""
        self._happenings.append(happening)
        if self._reader is not None:
            trio.lowlevel.reschedule(self._reader)
            self._reader = None

    def wake_at(self, moment: float) -> None:
        """Add a moment; the same one twice counts once."""
        heapq.heappush(self._moments, moment)

    def left(self) -> tuple[Happening, ...]:
        """Take what nobody will read any more."""
        happenings = tuple(self._happenings)
        self._happenings.clear()
        return happenings

    async def next(self) -> Happening:
        """Wait for the next happening or moment; always a checkpoint."""
        if self._happenings:
            await trio.lowlevel.checkpoint()
        else:
            deadline = self._moments[0] if self._moments else math.inf
            with trio.CancelScope(deadline=deadline):
                self._reader = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(self._leave)
        if self._has_come() or not self._happenings:
            return Tick()
        return self._happenings.popleft()

    def _has_come(self) -> bool:
        now = trio.current_time()
        has_come = False
        while self._moments and self._moments[0] <= now:
            heapq.heappop(self._moments)
            has_come = True
        return has_come

    def _leave(self, raise_cancel: RaiseCancelT) -> Abort:
        self._reader = None
        return Abort.SUCCEEDED
