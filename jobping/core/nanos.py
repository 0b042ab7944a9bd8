"""Seconds outside, integer nanoseconds inside: the one place that converts."""

import math

SECOND_NS = 1_000_000_000
FLOAT_ERROR_NS = 0.0005
TOLERANCE_NS = 1_000
"""What is missing by at most this is not missing: it absorbs the rounding of float seconds."""


def to_ns(seconds: float) -> int:
    """Return whole nanoseconds, rounded up but for a rounding error of the float."""
    exact = seconds * SECOND_NS
    whole = math.floor(exact)
    return whole + (exact - whole > FLOAT_ERROR_NS)


def to_s(nanoseconds: int) -> float:
    """Return float seconds."""
    return nanoseconds / SECOND_NS


def is_due(now_ns: int, deadline_ns: int) -> bool:
    """Say whether the deadline is reached; deadlines are inclusive."""
    return now_ns + TOLERANCE_NS >= deadline_ns
