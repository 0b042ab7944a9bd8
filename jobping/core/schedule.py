"""When a poll or a digest is next due. Pure; jitter comes from a passed-in random.Random."""

import datetime as dt
import enum
import itertools
import math
import random
import re
from typing import Final

import attrs

from jobping.core.hours import Hours

FIRST: Final = "first"
"""The period of a profile's very first digest, due whenever it is asked for."""
EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MAX_DOUBLINGS: Final = 30
LONGEST_REST_S: Final = 604_800.0
MOST_DETAILS: Final = 100
"""Postings that one poll asks for one by one, so that other boards of the site get their turn."""
FIRST_DETAILS_S: Final = 60.0
DETAILS_SHARE: Final = 0.5
"""Of a site's pace, what is asked for one by one beside lists: design/sources.md section 14."""

_DAILY = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}")
_EVERY = re.compile(r"every-(\d+)")


class PollEnd(enum.Enum):
    """How a poll ended, as far as the next one is concerned."""

    STORED = "stored"
    FAILED = "failed"
    GONE = "gone"


@attrs.frozen(kw_only=True)
class PollRules:
    """When a board is polled again; durations in seconds.

    Attributes:
        poll_every_s: From one good poll to the next.
        jitter: Share by which that time varies, to either side.
        retry_s: After the first failure; doubles with each further one, up to `poll_every_s`.
        gone_every_s: Between polls of a board that the site says is gone.
        details_per_hour: Postings asked for one by one beside lists, all boards of a site together.
        hours: The only ones of a day in which boards are polled; None: all.
    """

    poll_every_s: float = attrs.field(validator=attrs.validators.gt(0))
    jitter: float = attrs.field(
        default=0.1, validator=[attrs.validators.ge(0), attrs.validators.lt(1)]
    )
    retry_s: float = attrs.field(default=300.0, validator=attrs.validators.gt(0))
    gone_every_s: float = attrs.field(default=86_400.0, validator=attrs.validators.gt(0))
    details_per_hour: float = 20.0
    hours: Hours | None = None

    def details(self, boards: int, *, is_first: bool) -> int:
        """Return how many postings one poll may ask for one by one.

        Args:
            boards: How many boards the site's pace is shared by.
            is_first: The board was never polled; a first digest does not wait long for texts.
        """
        hours = (
            FIRST_DETAILS_S / 3600.0 if is_first else self.poll_every_s / 3600.0 / max(1, boards)
        )
        return max(1, min(MOST_DETAILS, int(self.details_per_hour * hours)))

    def stretched(self, times: float) -> "PollRules":
        """Return the rules with so many times longer rests between good polls, a week at most."""
        longest_s = max(self.poll_every_s, LONGEST_REST_S)
        return attrs.evolve(self, poll_every_s=min(self.poll_every_s * times, longest_s))


def next_poll(
    rules: PollRules, end: PollEnd, failures: int, utcnow: dt.datetime, rng: random.Random
) -> dt.datetime:
    """Return when a board is due again.

    Args:
        failures: Polls in a row that brought nothing, this one included.
        utcnow: When the poll ended, aware UTC.
    """
    match end:
        case PollEnd.STORED:
            period_s = rules.poll_every_s
        case PollEnd.FAILED:
            doubled_s = rules.retry_s * 2 ** max(0, min(failures - 1, MAX_DOUBLINGS))
            period_s = min(rules.poll_every_s, doubled_s)
        case PollEnd.GONE:
            period_s = max(rules.gone_every_s, rules.poll_every_s)
    jittered_s = period_s * (1 + rng.uniform(-rules.jitter, rules.jitter))
    return utcnow + dt.timedelta(seconds=jittered_s)


FARTHEST: Final = dt.timedelta(days=9)
"""No rule sets a poll farther ahead: a later moment was written while the clock was wrong."""


def due_at(rules: PollRules, next_due_at: dt.datetime | None, utcnow: dt.datetime) -> dt.datetime:
    """Return when a board is due, not before now.

    Args:
        next_due_at: As stored, aware UTC; None: never polled.
        utcnow: Aware UTC.
    """
    at = utcnow
    if next_due_at is not None and utcnow < next_due_at <= utcnow + FARTHEST:
        at = next_due_at
    return rules.hours.next_at(at) if rules.hours else at


@attrs.frozen(kw_only=True)
class DigestRules:
    """When digests are due.

    Attributes:
        at: Local times of each day, one period each.
        zone: Where those times hold.
        every_s: Instead of `at`: a period each so many seconds since 1970 UTC.

    Raises:
        ValueError: Neither `at` nor `every_s` names a moment.
    """

    at: tuple[dt.time, ...] = (dt.time(8, 0),)
    zone: dt.tzinfo = dt.UTC
    every_s: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(attrs.validators.gt(0))
    )

    def __attrs_post_init__(self) -> None:
        """Check that a period exists."""
        if not self.at and self.every_s is None:
            raise ValueError("digest: at least one time in `at`, or `every_s`")


@attrs.frozen
class Period:
    """One digest's turn: its id, unique per profile, and the moment it is due, aware UTC."""

    id: str
    due_at: dt.datetime


def due_period(
    rules: DigestRules, last: str | None, since: dt.datetime, utcnow: dt.datetime
) -> str | None:
    """Return the period whose digest is due for a profile, or None.

    Only the latest period counts: those missed while the daemon was down are not made up for.

    Args:
        last: The period of the profile's last digest, None before the first.
        since: Aware UTC; no period that was due before counts (when the profile was made, or its
            last digest claimed).
        utcnow: Aware UTC.
    """
    if last is None:
        return FIRST
    latest = latest_period(rules, utcnow)
    if latest.due_at <= since or not _is_later(latest.id, last):
        return None
    return latest.id


def _is_later(id: str, last: str) -> bool:
    if _DAILY.fullmatch(id) and _DAILY.fullmatch(last):
        return id > last
    ours, theirs = _EVERY.fullmatch(id), _EVERY.fullmatch(last)
    if ours and theirs:
        return int(ours[1]) > int(theirs[1])
    return True  # the first digest, or the rules changed their kind: `since` alone decides


def latest_period(rules: DigestRules, utcnow: dt.datetime) -> Period:
    """Return the period that became due last, at or before the moment."""
    if rules.every_s is not None:
        return _every(rules.every_s, math.floor((utcnow - EPOCH).total_seconds() / rules.every_s))
    return max((p for p in _daily_around(rules, utcnow) if p.due_at <= utcnow), key=_due_at)


def next_period(rules: DigestRules, utcnow: dt.datetime) -> Period:
    """Return the period that becomes due next, after the moment."""
    if rules.every_s is not None:
        latest = math.floor((utcnow - EPOCH).total_seconds() / rules.every_s)
        return _every(rules.every_s, latest + 1)
    return min((p for p in _daily_around(rules, utcnow) if p.due_at > utcnow), key=_due_at)


def _every(every_s: float, number: int) -> Period:
    return Period(f"every-{number}", EPOCH + dt.timedelta(seconds=number * every_s))


def _daily_around(rules: DigestRules, utcnow: dt.datetime) -> list[Period]:
    today = utcnow.astimezone(rules.zone).date()
    days = [today + dt.timedelta(days=offset) for offset in (-1, 0, 1)]
    return [_daily(day, at, rules.zone) for day, at in itertools.product(days, rules.at)]


def _daily(day: dt.date, at: dt.time, zone: dt.tzinfo) -> Period:
    """Name a period by its local time; a time that the day skips is due just after the change."""
    local = dt.datetime.combine(day, at, tzinfo=zone)
    return Period(local.strftime("%Y-%m-%dT%H:%M"), local.astimezone(dt.UTC))


def _due_at(period: Period) -> dt.datetime:
    return period.due_at
