"""The only place that reads a clock."""

import datetime as dt
import time

import attrs
import trio

from jobping.core.ids import Monotonic


@attrs.frozen
class Clock:
    """The two kinds of time, never mixed: for pace and time-outs, for calendars and rows."""

    def monotonic(self) -> Monotonic:
        """Return seconds of Trio's clock; only differences mean something."""
        return Monotonic(trio.current_time())

    def utcnow(self) -> dt.datetime:
        """Return the wall clock as aware UTC."""
        return dt.datetime.now(dt.UTC)


def monotonic_ns() -> int:
    """Return the machine's monotonic clock, for code that may run outside Trio."""
    return time.monotonic_ns()


def utc_us() -> int:
    """Return integer microseconds since 1970 by the wall clock."""
    return time.time_ns() // 1000
