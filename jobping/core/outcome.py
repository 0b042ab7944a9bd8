"""What an exchange means to the gate: ok, failed (with its weight), limited, or neutral."""

import datetime as dt
import enum
from typing import Final, assert_never

import attrs

from jobping.core.throttle import retry_after_s
from jobping.errors import (
    Blocked,
    EmptyAnswer,
    FetchError,
    MalformedPage,
    Throttled,
    Unavailable,
    Unreached,
)

TOO_MANY_REQUESTS: Final = 429
REQUEST_TIMEOUT: Final = 408
GONE: Final = (404, 410)


class Failure(enum.StrEnum):
    """The classes of failures."""

    DNS = "dns"
    UNREACHABLE = "unreachable"
    CONNECT = "connect"
    TIMEOUT = "timeout"
    RESET = "reset"
    SERVER = "5xx"
    EMPTY = "empty"
    PARSE = "parse"
    TLS = "tls"
    BAN = "ban"
    OTHER = "other"


WEIGHTS: Final = {Failure.PARSE: 2, Failure.TLS: 5, Failure.BAN: 5}
"""Weight in the run of failures; 1 where a class is not listed."""


class Aside(enum.StrEnum):
    """Why an exchange says nothing about the site's health."""

    GONE = "gone"
    CANCELLED = "cancelled"
    IGNORED = "ignored"


@attrs.frozen
class Ok:
    """A 2xx that parses, or a 304 that we asked for."""

    duration_s: float


@attrs.frozen
class Failed:
    """The site failed.

    Attributes:
        open_for_s: The time that the site itself asked for (503 with Retry-After), or None.
    """

    failure: Failure
    duration_s: float
    open_for_s: float | None = None


@attrs.frozen
class Limited:
    """The site refused because of our pace (429).

    Attributes:
        after_s: The wait it asked for, or None where it named no valid one.
    """

    after_s: float | None


@attrs.frozen
class Neutral:
    """No evidence: the page is gone, we cancelled, or the fault is ours."""

    kind: Aside


Outcome = Ok | Failed | Limited | Neutral


def weight(failure: Failure) -> int:
    """Return how much one failure of that class counts in a run of failures."""
    return WEIGHTS.get(failure, 1)


def outcome_of(
    error: FetchError | MalformedPage | None,
    *,
    status: int | None,
    duration_s: float,
    utcnow: dt.datetime,
    succeeded_before: bool,
) -> Outcome:
    """Classify one exchange.

    Args:
        error: What fetch or the parser raised; None where there was an answer and it was read.
        status: The status of the answer, where there was one and no error.
        utcnow: Aware UTC; Retry-After dates are counted from it where the site sent no Date.
        succeeded_before: The domain has answered well before, so that a 403 means a ban.
    """
    match error:
        case None:
            return Neutral(Aside.GONE) if status in GONE else Ok(duration_s)
        case Throttled():
            after_s = retry_after_s(error.retry_after, error.date, utcnow)
            if error.status == TOO_MANY_REQUESTS:
                return Limited(after_s)
            return Failed(Failure.SERVER, duration_s, after_s)
        case Blocked():
            return _blocked(error, duration_s, succeeded_before=succeeded_before)
        case Unavailable():
            return _unavailable(error, duration_s)
        case EmptyAnswer():
            return Failed(Failure.EMPTY, duration_s)
        case MalformedPage():
            return Failed(Failure.PARSE, duration_s)
        case _:
            return Failed(Failure.OTHER, duration_s)


def _blocked(error: Blocked, duration_s: float, *, succeeded_before: bool) -> Outcome:
    if error.status is None:
        return Neutral(Aside.IGNORED)
    return Failed(Failure.BAN if succeeded_before else Failure.OTHER, duration_s)


def _unavailable(error: Unavailable, duration_s: float) -> Outcome:
    if error.status == REQUEST_TIMEOUT:
        return Failed(Failure.TIMEOUT, duration_s)
    match error.failure:
        case Unreached.DNS:
            return Failed(Failure.DNS, duration_s)
        case Unreached.UNREACHABLE:
            return Failed(Failure.UNREACHABLE, duration_s)
        case Unreached.CONNECT:
            return Failed(Failure.CONNECT, duration_s)
        case Unreached.TLS:
            return Failed(Failure.TLS, duration_s)
        case Unreached.TIMEOUT:
            return Failed(Failure.TIMEOUT, duration_s)
        case Unreached.RESET:
            return Failed(Failure.RESET, duration_s)
        case Unreached.SERVER:
            return Failed(Failure.SERVER, duration_s)
        case Unreached.CLIENT:
            return Neutral(Aside.IGNORED)
        case _:
            assert_never(error.failure)
