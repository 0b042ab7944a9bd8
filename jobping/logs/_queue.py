"""The bounded queue of finished lines and the plain thread that writes them."""

import os
import select
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from jobping.events import LEVELS

_BATCH = 256
"""Lines of one write: enough to save system calls, few enough to stop soon (our choice)."""


_Line = list[Any]
"""Rank (the index of its level in `LEVELS`) and bytes; a dropped one has no bytes any more."""


class LineQueue:
    """Take lines without ever waiting; write them in a thread of its own.

    When it is full, the least important lines go first: a new line pushes out the oldest line of
    the lowest level below its own, and is dropped itself where there is none.

    Attributes:
        broken: The reader is gone (EPIPE); lines are thrown away silently.
    """

    def __init__(
        self, descriptor: int, *, capacity: int, on_dropped: Callable[[Sequence[int]], None]
    ) -> None:
        """Start the thread.

        Args:
            descriptor: Where to write; stays open.
            capacity: Most lines held.
            on_dropped: Called by the thread with the drops per level once there is room again.
        """
        self.broken = False
        self._descriptor = descriptor
        self._capacity = capacity
        self._on_dropped = on_dropped
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._lines: deque[_Line] = deque()
        self._lanes: tuple[deque[_Line], ...] = tuple(deque() for _ in LEVELS)
        self._dropped = [0] * len(LEVELS)
        self._size = 0
        self._idle = False
        self._closing = False
        # a plain daemon thread: one of trio's would hold up the exit while its reader is stalled
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def put(self, rank: int, text: bytes) -> None:
        """Queue a line for writing, or count it as dropped. Never waits for the writer.

        Args:
            rank: The index of its level in `LEVELS`.
        """
        line: _Line = [rank, text]
        with self._lock:  # not the condition, whose own `with` costs more than all of this
            if self._size >= self._capacity and not self._make_room(rank):
                self._dropped[rank] += 1
                return
            self._lines.append(line)
            self._lanes[rank].append(line)
            self._size += 1
            if self._idle:
                self._idle = False
                self._changed.notify()

    def close(self, within_s: float) -> None:
        """Write what is queued, for at most so many seconds."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(within_s)

    def _make_room(self, rank: int) -> bool:
        for lower in range(rank):
            if self._lanes[lower]:
                self._lanes[lower].popleft()[1] = b""
                self._dropped[lower] += 1
                self._size -= 1
                return True
        return False

    def _run(self) -> None:
        while batch := self._take():
            if self._write(batch):
                self._report()

    def _take(self) -> list[_Line]:
        with self._changed:
            while not self._size and not self._closing:
                self._idle = True
                self._changed.wait()
            self._idle = False
            batch: list[_Line] = []
            while self._lines and len(batch) < _BATCH:
                line = self._lines.popleft()
                rank, text = line
                if text:
                    self._lanes[rank].popleft()
                    batch.append(line)
            self._size -= len(batch)
            return batch

    def _report(self) -> None:
        with self._changed:
            if self._size or not any(self._dropped):
                return
            dropped, self._dropped = self._dropped, [0] * len(LEVELS)
        self._on_dropped(dropped)

    def _write(self, batch: list[_Line]) -> bool:
        """Write a batch; False where nobody got it."""
        if self.broken:
            return False
        try:
            _write_all(self._descriptor, b"".join([text for _rank, text in batch]))
        except BrokenPipeError:
            self.broken = True
            return False
        except OSError:  # a full disk: these lines are lost, later ones may not be
            with self._changed:
                for rank, _text in batch:
                    self._dropped[rank] += 1
            return False
        return True


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:  # a terminal shared with a program that made it non-blocking
            select.select([], [descriptor], [])
