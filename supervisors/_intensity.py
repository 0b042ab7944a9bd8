"""Restarts counted in a window. Pure: the moment is passed in."""

import math
from bisect import bisect_left

import attrs


@attrs.frozen(kw_only=True)
class Intensity:
    """How many restarts in how many seconds are borne; one more is too many.

    Attributes:
        max_restarts: 0 means that the first restart is already too many.
        period: Seconds. A restart that is exactly this old still counts.

    Source:
        erlang/otp 25.2.3 supervisor.erl, add_restart. The defaults are our choice.
    """

    max_restarts: int = 5
    period: float = 30.0

    def __attrs_post_init__(self) -> None:
        if isinstance(self.max_restarts, bool) or not isinstance(self.max_restarts, int):
            raise ValueError(f"max_restarts must be an integer, not {self.max_restarts!r}")
        if self.max_restarts < 0:
            raise ValueError(f"max_restarts must not be negative, got {self.max_restarts}")
        if not 0 < self.period < math.inf:
            raise ValueError(f"period must be positive seconds, got {self.period!r}")


@attrs.frozen(kw_only=True)
class Window:
    """The restarts that still count.

    Attributes:
        times: When they were decided, oldest first.
    """

    intensity: Intensity
    times: tuple[float, ...] = ()

    def at(self, now: float) -> "Window":
        """Return the window without the restarts older than the period."""
        expired = bisect_left(self.times, now - self.intensity.period)
        return Window(intensity=self.intensity, times=self.times[expired:]) if expired else self

    def record(self, now: float) -> "Window":
        """Return the window with one restart more, no longer than it takes to tell the limit."""
        kept = (*self.at(now).times, now)
        times = kept[-(self.intensity.max_restarts + 1) :]
        return Window(intensity=self.intensity, times=times)

    def is_exhausted(self, now: float) -> bool:
        """Tell whether one restart more would exceed the limit."""
        return len(self.at(now).times) >= self.intensity.max_restarts
