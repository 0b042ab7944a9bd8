"""What a supervisor's task waits for: happenings in order, and moments."""

import heapq
import math
from collections import deque

import trio
from trio.lowlevel import Abort, RaiseCancelT, Task

from supervisors._table import Happening, Tick

_SPARE = 16  # moments that were put off and may stay in the heap of the smallest tree


class Turns:
    """An unbounded queue with one reader; a moment that has come is read before any happening.

    It needs no bound: each incarnation posts two happenings at most, each caller waits for its own.
    Of moments there is one per name, however often it is put off.
    """

    def __init__(self) -> None:
        self._happenings: deque[Happening] = deque()
        self._moments: dict[str, float] = {}
        self._queue: list[tuple[float, str]] = []  # a heap; it may hold moments that were put off
        self._reader: Task | None = None

    def post(self, happening: Happening) -> None:
        """Add a happening."""
        self._happenings.append(happening)
        if self._reader is not None:
            trio.lowlevel.reschedule(self._reader)
            self._reader = None

    def wake_at(self, name: str, moment: float) -> None:
        """Set the moment of that name, in the place of an earlier one."""
        self._moments[name] = moment
        heapq.heappush(self._queue, (moment, name))
        if len(self._queue) > 2 * len(self._moments) + _SPARE:
            self._queue = [(at, other) for other, at in self._moments.items()]
            heapq.heapify(self._queue)

    def forget(self, name: str) -> None:
        """Drop the moment of that name, if there is one."""
        self._moments.pop(name, None)

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
            with trio.CancelScope(deadline=self._first()):
                self._reader = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(self._leave)
        if self._has_come() or not self._happenings:
            return Tick()
        return self._happenings.popleft()

    def _first(self) -> float:
        while self._queue:
            moment, name = self._queue[0]
            if self._moments.get(name) == moment:
                return moment
            heapq.heappop(self._queue)
        return math.inf

    def _has_come(self) -> bool:
        now = trio.current_time()
        has_come = False
        while self._first() <= now:
            del self._moments[heapq.heappop(self._queue)[1]]
            has_come = True
        return has_come

    def _leave(self, raise_cancel: RaiseCancelT) -> Abort:
        self._reader = None
        return Abort.SUCCEEDED
