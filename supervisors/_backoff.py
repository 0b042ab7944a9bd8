"""The delay before a restart. Pure: the randomness is passed in."""

import math
from random import Random

import attrs

_LARGEST_EXPONENT = 700.0  # e**700 is still a float; beyond it the cap has long been reached


@attrs.frozen(kw_only=True)
class Backoff:
    """A capped exponential delay with jitter.

    Attributes:
        base: Seconds before the first restart, without jitter; 0 restarts at once, as OTP does.
        cap: The longest delay in seconds.
        factor: What each further restart multiplies the delay by.
        jitter: The part of the delay that is random; 1 is full jitter, 0 is none.
        reset_after: Seconds of healthy running after which the count starts again.

    Source:
        The defaults are our choice; full jitter keeps children from restarting in step.
    """

    base: float = 0.5
    cap: float = 60.0
    factor: float = 2.0
    jitter: float = 1.0
    reset_after: float = 60.0

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.base <= self.cap < math.inf:
            raise ValueError(f"0 <= base <= cap is needed, got {self.base!r}, {self.cap!r}")
        if not 1 <= self.factor < math.inf:
            raise ValueError(f"factor must be at least 1, got {self.factor!r}")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter must be within 0 and 1, got {self.jitter!r}")
        if not self.reset_after > 0:
            raise ValueError(f"reset_after must be positive seconds, got {self.reset_after!r}")

    def delay(self, attempt: int, rng: Random) -> float:
        """Return the seconds to wait before restart number `attempt`, counted from 0.

        Returns:
            More than 0 unless `base` is 0, and at most `cap`.
        """
        return self.ceiling(attempt) * (1.0 - self.jitter * rng.random())

    def ceiling(self, attempt: int) -> float:
        """Return the delay before restart number `attempt` as it would be without jitter."""
        if self.base == 0 or self.factor == 1:
            return self.base
        exponent = attempt * math.log(self.factor)
        if exponent >= min(_LARGEST_EXPONENT, math.log(self.cap) - math.log(self.base)):
            return self.cap
        return min(self.cap, self.base * self.factor**attempt)
