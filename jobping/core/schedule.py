"""When a poll or a digest is next due. Pure; jitter comes from a passed-in random.Random."""

import datetime as dt
import enum
import itertools
import math
import random
from typing import Final

import attrs

from jobping.core.hours import Hours

FIRST: Final = "first"
"""The period of a profile's very first digest, due whenever it is asked for."""
EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MAX_DOUBLINGS: Final = 30
DAY_S: Final = 86_400.0
LONGEST_REST_S: Final = 604_800.0
MOST_DETAILS: Final = 100
"""Postings that one poll asks for one by one, so that other boards of the site get their turn."""
FIRST_DETAILS_S: Final = 60.0
DETAILS_SHARE: Final = 0.5
"""Of a site's pace, what is asked for one by one beside lists: design/sources.md section 14."""


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

    def kept_from(self, ttl_s: float) -> "PollRules":
        """Return the rules by which no poll comes sooner than that, for a day at most."""
        least_s = min(ttl_s / (1.0 - self.jitter), DAY_S)
        return attrs.evolve(self, poll_every_s=max(self.poll_every_s, least_s))

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


class When(enum.Enum):
    """How often a profile wants its digest."""

    INSTANT = "instant"
    DAILY = "daily"
    WEEKLY = "weekly"


class Weekday(enum.Enum):
    """The days of a week, from Monday as in `date.weekday`."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


_WEEK: Final = tuple(Weekday)


@attrs.frozen(kw_only=True)
class DigestRules:
    """When digests are due.

    Attributes:
        at: Local times of a day, one period each; for daily and weekly.
        weekday: For weekly.
        zone: Where day and times hold.
        send_empty: A daily or weekly digest goes out also when nothing was found.
        every_s: For instant: what was found is bundled for so many seconds.
        most_a_day: For instant: most digests in any 24 hours; what comes beyond waits.

    Raises:
        ValueError: `at` is empty.
    """

    when: When = When.DAILY
    at: tuple[dt.time, ...] = attrs.field(
        default=(dt.time(8, 0),), validator=attrs.validators.min_len(1)
    )
    weekday: Weekday = Weekday.MONDAY
    zone: dt.tzinfo = dt.UTC
    send_empty: bool = False
    every_s: float = attrs.field(default=900.0, validator=attrs.validators.gt(0))
    most_a_day: int = attrs.field(default=12, validator=attrs.validators.ge(1))

    @property
    def sends_empty(self) -> bool:
        """Whether a period in which nothing was found has a digest."""
        return self.send_empty and self.when is not When.INSTANT


@attrs.frozen(kw_only=True)
class DigestWish:
    """What a profile says of its own digests; None or no time: as the rules for all have it."""

    when: When | None = None
    at: tuple[dt.time, ...] = ()
    weekday: Weekday | None = None
    zone: dt.tzinfo | None = None
    send_empty: bool | None = None

    def over(self, rules: DigestRules) -> DigestRules:
        """Return the rules for this profile."""
        own = attrs.asdict(self, recurse=False, filter=lambda _, value: value not in (None, ()))
        return attrs.evolve(rules, **own)


@attrs.frozen
class Period:
    """One digest's turn: its id, unique per profile, and the moment it is due, aware UTC."""

    id: str
    due_at: dt.datetime


@attrs.frozen(kw_only=True)
class DigestHistory:
    """What a profile got so far.

    Attributes:
        period: That of its last digest; None before the first.
        since: When that one was made, aware UTC.
        within_day: How many it got in the last 24 hours.
    """

    period: str | None = None
    since: dt.datetime = EPOCH
    within_day: int = 0


def due_period(rules: DigestRules, history: DigestHistory, utcnow: dt.datetime) -> str | None:
    """Return the period whose digest is due for a profile, or None.

    Only the latest period counts, and none that was due before the last digest was made: those
    missed while the daemon was down are not made up for.

    Args:
        utcnow: Aware UTC.
    """
    if history.period is None:
        return FIRST
    if rules.when is When.INSTANT and history.within_day >= rules.most_a_day:
        return None
    latest = latest_period(rules, utcnow)
    if latest.due_at <= history.since or not _is_later(latest.id, history.period):
        return None
    return latest.id


def due_in_s(rules: DigestRules, history: DigestHistory, utcnow: dt.datetime) -> float:
    """Return the seconds until a profile's next digest, 0 where it is due."""
    if due_period(rules, history, utcnow) is not None:
        return 0.0
    return (next_period(rules, utcnow).due_at - utcnow).total_seconds()


def _is_later(id: str, last: str) -> bool:
    """Compare periods of one kind; between kinds, and after the first digest, `since` decides."""
    return id > last if len(id) == len(last) else True


def latest_period(rules: DigestRules, utcnow: dt.datetime) -> Period:
    """Return the period that became due last, at or before the moment."""
    if rules.when is When.INSTANT:
        return _bundle(rules.every_s, utcnow, 0)
    return max((p for p in _around(rules, utcnow) if p.due_at <= utcnow), key=_order)


def next_period(rules: DigestRules, utcnow: dt.datetime) -> Period:
    """Return the period that becomes due next, after the moment."""
    if rules.when is When.INSTANT:
        return _bundle(rules.every_s, utcnow, 1)
    return min((p for p in _around(rules, utcnow) if p.due_at > utcnow), key=_order)


def _bundle(every_s: float, utcnow: dt.datetime, ahead: int) -> Period:
    """Return the period of so many seconds that a moment lies in, or a later one; named in UTC."""
    number = math.floor((utcnow - EPOCH).total_seconds() / every_s) + ahead
    due_at = EPOCH + dt.timedelta(seconds=number * every_s)
    return Period(due_at.strftime("%Y-%m-%dT%H:%M:%SZ"), due_at)


def _around(rules: DigestRules, utcnow: dt.datetime) -> list[Period]:
    """Return the periods near a moment: at least one before and one after it."""
    today = utcnow.astimezone(rules.zone).date()
    reach = 8 if rules.when is When.WEEKLY else 1
    days = [today + dt.timedelta(days=offset) for offset in range(-reach, reach + 1)]
    if rules.when is When.WEEKLY:
        days = [day for day in days if _WEEK[day.weekday()] is rules.weekday]
    return [_at(day, at, rules.zone) for day, at in itertools.product(days, rules.at)]


def _at(day: dt.date, at: dt.time, zone: dt.tzinfo) -> Period:
    """Name a period by its local time: where that comes twice, it is due at the first.

    Where the clocks skip it, it is due when they change.
    """
    local = dt.datetime.combine(day, at, tzinfo=zone)
    due_at = local.astimezone(dt.UTC)
    if due_at.astimezone(zone).replace(tzinfo=None) != local.replace(tzinfo=None):
        due_at = _change(local.replace(fold=1).astimezone(dt.UTC), due_at, zone)
    return Period(local.strftime("%Y-%m-%dT%H:%M"), due_at)


def _change(before: dt.datetime, after: dt.datetime, zone: dt.tzinfo) -> dt.datetime:
    """Return the first moment, to the second, with the offset that holds after it."""
    offset = after.astimezone(zone).utcoffset()
    while after - before > dt.timedelta(seconds=1):
        middle = before + dt.timedelta(seconds=(after - before) // dt.timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == offset:
            after = middle
        else:
            before = middle
    return after


def _order(period: Period) -> tuple[dt.datetime, str]:
    return period.due_at, period.id


def describe(rules: DigestRules) -> str:
    """Return the rules in words, such as `weekly on Monday at 08:00 (Europe/Zurich)`."""
    if rules.when is When.INSTANT:
        most = rules.most_a_day
        return f"bundled over {rules.every_s / 60:g} minutes, at most {most} in 24 hours"
    times = " and ".join(at.strftime("%H:%M") for at in sorted(rules.at))
    day = f"weekly on {rules.weekday.value.title()}" if rules.when is When.WEEKLY else "daily"
    return f"{day} at {times} ({rules.zone})"


RETRY_S: Final = 60.0
LONGEST_RETRY_S: Final = 3_600.0
GIVE_UP: Final = dt.timedelta(days=1)


def next_attempt(attempts: int, utcnow: dt.datetime) -> dt.datetime:
    """Return when a digest that did not go out is tried again: a minute later, doubling to an hour.

    Args:
        attempts: So far, 1 or more.
        utcnow: When the last one ended, aware UTC.
    """
    wait_s = RETRY_S * 2 ** max(0, min(attempts - 1, MAX_DOUBLINGS))
    return utcnow + dt.timedelta(seconds=min(wait_s, LONGEST_RETRY_S))


def give_up_at(rules: DigestRules, utcnow: dt.datetime) -> dt.datetime:
    """Return until when a digest is tried: the next one is due, or a day has passed.

    Args:
        utcnow: When the digest was made, aware UTC.
    """
    day = utcnow + GIVE_UP
    return day if rules.when is When.INSTANT else min(day, next_period(rules, utcnow).due_at)
