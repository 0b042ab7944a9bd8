"""When a model may be asked next: its limits, its failures, and a quota that is gone.

A server that says "slow down" is asked again when it says so; one whose quota is gone, or that does
not know the key, is left alone for long; one that fails is left alone for longer each time, and
then asked once to see. Times are seconds of the loop's clock.

Source:
    OpenAI, guides to rate limits and error codes: refused requests count too, tokens count with
    the requested maximum, `x-ratelimit-reset-*` are durations as Go writes them. Some servers
    leave the headers out or send -1 or 0 (Azure), so they are hints.
"""

import datetime as dt
import enum
import math
import re
from collections.abc import Iterable
from typing import Final

import attrs

from jobping.core import throttle
from jobping.core.ids import Monotonic
from jobping.core.throttle import Headers
from jobping.errors import ModelError, ModelQuotaGone, ModelRejected, ModelThrottled

MOST_WAIT_S: Final = 600.0
"""Longest wait that a server's word is worth; our choice."""
FIRST_WAIT_S: Final = 2.0
LONGEST_BACKOFF_S: Final = 60.0
QUOTA_S: Final = 3_600.0
KEY_S: Final = 900.0
FAILURES: Final = 3
"""Calls in a row that bring nothing until the model is left alone; our choice."""
OPEN_S: Final = 60.0
LONGEST_OPEN_S: Final = 960.0
_MINUTE_S: Final = 60.0

_DURATION: Final = re.compile(r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9}(?:\.\d{1,9})?)s)?", re.A)
_MILLIS: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)ms", re.A)
_NUMBER: Final = re.compile(r"\d{1,12}(?:\.\d{1,9})?", re.A)
_EVER: Final = Monotonic(-math.inf)
_NO_CLOCK: Final = dt.datetime.max.replace(tzinfo=dt.UTC)
"""Where an answer has no Date, a date to wait for means nothing: it lies in the past."""


class Pause(enum.Enum):
    """Why a model is not asked."""

    SLOW_DOWN = "slow_down"
    QUOTA_GONE = "quota_gone"
    KEY_REFUSED = "key_refused"
    FAILING = "failing"
    PROBING = "probing"
    """A single call is under way that shows whether the model is back."""


@attrs.frozen
class Go:
    """It may be asked now."""


@attrs.frozen
class Wait:
    """Not before then; `PROBING` ends when the probe does, which may be earlier."""

    until: Monotonic
    why: Pause


@attrs.frozen(kw_only=True)
class Left:
    """What a window still holds; a request larger than all of it goes when it is untouched."""

    count: int
    most: int
    until: Monotonic

    def fits(self, amount: int) -> bool:
        """Say whether so much more fits."""
        return self.count >= min(amount, self.most)


@attrs.frozen(kw_only=True)
class Limits:
    """The operator's own limits; None: those of the server alone."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


@attrs.frozen(kw_only=True)
class ModelPace:
    """What is known about one model server.

    Attributes:
        not_before: Nothing is asked before.
        why: What `not_before` is for.
        throttled: Refusals in a row.
        failures: Calls in a row that brought nothing.
        opened: How often in a row it was left alone for failing.
        is_probing: The one call that shows whether it is back is under way.
        needs_probe: The next call is such a one.
        requests: What the window of requests holds, where that is known.
        tokens: The same of tokens.
    """

    limits: Limits = attrs.Factory(Limits)
    not_before: Monotonic = _EVER
    why: Pause = Pause.SLOW_DOWN
    throttled: int = 0
    failures: int = 0
    opened: int = 0
    needs_probe: bool = False
    is_probing: bool = False
    requests: Left | None = None
    tokens: Left | None = None


def admit(pace: ModelPace, tokens: int, now: Monotonic) -> Go | Wait:
    """Say whether a call may go now.

    Args:
        tokens: Its prompt and the most it may answer.
    """
    if now < pace.not_before:
        return Wait(pace.not_before, pace.why)
    if pace.is_probing:
        return Wait(Monotonic(now + OPEN_S), Pause.PROBING)
    for left, amount in ((pace.requests, 1), (pace.tokens, tokens)):
        if left is not None and now < left.until and not left.fits(amount):
            return Wait(left.until, Pause.SLOW_DOWN)
    return Go()


def begin(pace: ModelPace, tokens: int, now: Monotonic) -> ModelPace:
    """Count a call that goes now.

    Raises:
        ValueError: It may not.
    """
    if not isinstance(admit(pace, tokens, now), Go):
        raise ValueError("the model may not be asked now")
    return attrs.evolve(
        pace,
        is_probing=pace.needs_probe,
        requests=_take(pace.requests, 1, pace.limits.requests_per_minute, now),
        tokens=_take(pace.tokens, tokens, pace.limits.tokens_per_minute, now),
    )


def answered(pace: ModelPace, headers: Headers, now: Monotonic) -> ModelPace:
    """Take in an answer, whatever it says: the model is there, and tells what it still takes."""
    return attrs.evolve(
        _learn(pace, headers, now),
        throttled=0,
        failures=0,
        opened=0,
        needs_probe=False,
        is_probing=False,
    )


def failed(pace: ModelPace, error: ModelError, now: Monotonic) -> ModelPace:
    """Take in a call that brought no answer."""
    pace = _learn(pace, error.headers, now)
    match error:
        case ModelQuotaGone():
            return _leave(pace, QUOTA_S, Pause.QUOTA_GONE, now)
        case ModelRejected(status=401 | 403):
            return _leave(pace, KEY_S, Pause.KEY_REFUSED, now)
        case ModelRejected():  # it is there, and does not like this request
            return attrs.evolve(pace, failures=0, opened=0, needs_probe=False, is_probing=False)
        case ModelThrottled():
            wait_s = error.retry_after_s
            if wait_s is None:
                wait_s = min(FIRST_WAIT_S * 2 ** min(pace.throttled, 10), LONGEST_BACKOFF_S)
            pace = attrs.evolve(pace, throttled=pace.throttled + 1, is_probing=False)
            return _wait(pace, max(wait_s, FIRST_WAIT_S), Pause.SLOW_DOWN, now)
        case _:
            return _count_failure(pace, retry_after_s(error.headers), now)


def cancelled(pace: ModelPace) -> ModelPace:
    """Take in a call that we gave up ourselves: it says nothing, and the next one may probe."""
    return attrs.evolve(pace, is_probing=False)


def retry_after_s(headers: Headers) -> float | None:
    """Return the seconds, 0 or more, that an answer asks to wait; None where it does not say."""
    for name, value in headers:
        if name == "retry-after-ms" and _NUMBER.fullmatch(value.strip()):
            return float(value) / 1000
    fields = tuple(value for name, value in headers if name == "retry-after")
    date = next((value for name, value in headers if name == "date"), None)
    return throttle.retry_after_s(fields, date, _NO_CLOCK)


def duration_s(text: str) -> float | None:
    """Return the seconds of a duration as Go writes it (`6ms`, `1s`, `6m0s`); None for junk."""
    text = text.strip()
    if found := _MILLIS.fullmatch(text):
        return float(found[1]) / 1000
    found = _DURATION.fullmatch(text)
    if found is None or not any(found.groups()):
        return float(text) if _NUMBER.fullmatch(text) else None
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return 3_600 * hours + 60 * minutes + seconds


def _count_failure(pace: ModelPace, wait_s: float | None, now: Monotonic) -> ModelPace:
    failures = pace.failures + 1
    pace = attrs.evolve(pace, failures=failures)
    if failures < FAILURES and not pace.needs_probe:
        return pace if wait_s is None else _wait(pace, wait_s, Pause.SLOW_DOWN, now)
    open_s = min(OPEN_S * 2 ** min(pace.opened, 10), LONGEST_OPEN_S)
    pace = attrs.evolve(pace, opened=pace.opened + 1)
    return _leave(pace, max(open_s, min(wait_s or 0, MOST_WAIT_S)), Pause.FAILING, now)


def _leave(pace: ModelPace, wait_s: float, why: Pause, now: Monotonic) -> ModelPace:
    """Leave it alone for so long, then ask once; a longer wait that is under way stays."""
    pace = attrs.evolve(pace, needs_probe=True, is_probing=False)
    until = Monotonic(now + wait_s)
    return pace if until < pace.not_before else attrs.evolve(pace, not_before=until, why=why)


def _wait(pace: ModelPace, wait_s: float, why: Pause, now: Monotonic) -> ModelPace:
    until = Monotonic(now + min(wait_s, MOST_WAIT_S))
    return pace if until < pace.not_before else attrs.evolve(pace, not_before=until, why=why)


def _take(left: Left | None, amount: int, most: int | None, now: Monotonic) -> Left | None:
    if left is None or left.until <= now:
        if most is None:
            return None
        left = Left(count=most, most=most, until=Monotonic(now + _MINUTE_S))
    return attrs.evolve(left, count=max(left.count - amount, 0))


def _learn(pace: ModelPace, headers: Headers, now: Monotonic) -> ModelPace:
    """Believe a server that has less left than we thought; ours stay the upper bounds."""
    requests = _told(pace.requests, headers, "requests", now)
    return attrs.evolve(pace, requests=requests, tokens=_told(pace.tokens, headers, "tokens", now))


def _told(left: Left | None, headers: Headers, kind: str, now: Monotonic) -> Left | None:
    most = _count(headers, f"x-ratelimit-limit-{kind}")
    count = _count(headers, f"x-ratelimit-remaining-{kind}")
    resets = _values(headers, f"x-ratelimit-reset-{kind}")
    reset_s = next((found for text in resets if (found := duration_s(text)) is not None), None)
    if not most or count is None or reset_s is None or reset_s <= 0:
        return left
    until = Monotonic(now + min(reset_s, MOST_WAIT_S))
    if left is not None and now < left.until and left.count <= count:
        return left
    return Left(count=min(count, most), most=most, until=until)


def _count(headers: Headers, name: str) -> int | None:
    for text in _values(headers, name):
        if text.isascii() and text.isdigit() and len(text) <= 12:
            return int(text)
    return None


def _values(headers: Headers, name: str) -> Iterable[str]:
    return (value.strip() for key, value in headers if key == name)
