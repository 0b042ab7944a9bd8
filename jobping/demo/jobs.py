"""Invented postings, made from a seed: the same seed and time give the same postings.

Each company publishes a posting at steady intervals and takes it down after `LIFETIME`, on a
calendar of its own, so the world ages as a real one does: an hour later a few postings are new.
"""

import datetime as dt
import math
import random
import uuid
import zlib
from typing import Final

import attrs

from jobping.demo.phrases import CITIES, PHRASES, ROLES, City, Role

LIFETIME: Final = dt.timedelta(days=21)
EVERGREEN_AGE: Final = dt.timedelta(days=400)
ANCHOR: Final = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
REVISED: Final = 9
"""Of so many postings one is changed per step."""

_YEARLY: Final = {
    "intern": 18_000,
    "entry": 38_000,
    "mid": 56_000,
    "senior": 78_000,
    "lead": 98_000,
}
_PER_EURO: Final = {"EUR": 1.0, "GBP": 0.86, "CHF": 1.35, "SEK": 11.0, "DKK": 7.5, "PLN": 4.3}


@attrs.frozen(kw_only=True)
class Company:
    """An invented company and its board.

    Attributes:
        size: Postings that it has at a time.
        cities: Names of its places, as in `CITIES`.
    """

    name: str
    slug: str
    size: int
    cities: tuple[str, ...]
    remote_share: float = 0.2


@attrs.frozen(kw_only=True)
class Pay:
    """A range for one year or, for interns, one month."""

    minimum: int
    maximum: int
    currency: str
    interval: str


@attrs.frozen(kw_only=True)
class Job:
    """One invented posting.

    Attributes:
        number: Unique in the world.
        paragraphs: The text: introduction, duties, wishes, offer.
        is_remote: Whether it can be done from elsewhere; None: the posting does not say.
        posted_at: Aware UTC.
    """

    number: int
    company: Company
    role: Role
    city: City
    language: str
    is_remote: bool | None
    posted_at: dt.datetime
    pay: Pay | None
    paragraphs: tuple[str, ...]
    duties: tuple[str, ...]

    @property
    def uuid(self) -> str:
        """The number as sources write it that count in UUIDs."""
        bits = random.Random(self.number).getrandbits(128)  # noqa: S311  # an id, no secret
        return str(uuid.UUID(int=bits, version=4))


def jobs_of(company: Company, seed: int, now: dt.datetime, step: int) -> tuple[Job, ...]:
    """Return what the company offers, the newest first, at last one that it has always had.

    Args:
        now: Aware UTC; no posting is later.
        step: Revisions so far: each changes the pay of some postings.
    """
    if not company.size:
        return ()
    spacing = LIFETIME / company.size
    newest = math.floor((now - ANCHOR) / spacing)
    numbers = range(newest, newest - company.size + 1, -1)
    jobs = [_job(company, seed, number, ANCHOR + number * spacing, step) for number in numbers]
    return (*jobs, _job(company, seed, 0, _old(now), 0))


def _old(now: dt.datetime) -> dt.datetime:
    """Return a date long ago that moves once a month only."""
    return (now - EVERGREEN_AGE).replace(day=1, hour=9, minute=0, second=0, microsecond=0)


def _job(company: Company, seed: int, number: int, posted_at: dt.datetime, step: int) -> Job:
    rng = random.Random(f"{seed}/{company.slug}/{number}")  # noqa: S311  # no secret
    city = CITIES[rng.choice(company.cities)]
    language = rng.choice((city.language, "en"))
    role = rng.choice([role for role in ROLES if role.language == language])
    revisions = sum((number + past) % REVISED == 0 for past in range(1, step + 1))
    pay = _pay(rng, role, city, revisions)
    return Job(
        number=(zlib.crc32(company.slug.encode()) % 90_000 + 10_000) * 100_000 + number % 100_000,
        company=company,
        role=role,
        city=city,
        language=language,
        is_remote=rng.choices((True, False, None), (company.remote_share, 0.5, 0.3))[0],
        posted_at=posted_at.replace(microsecond=0),
        pay=pay if rng.random() < 0.55 or revisions else None,
        paragraphs=_paragraphs(rng, company, role, city, language),
        duties=tuple(rng.sample(PHRASES[language].duties, 4)),
    )


def _pay(rng: random.Random, role: Role, city: City, revisions: int) -> Pay:
    yearly = _YEARLY[role.level] * _PER_EURO[city.currency] * rng.uniform(0.85, 1.25)
    monthly = role.level == "intern"
    lowest = round(yearly / (12 if monthly else 1), -2) + 100 * revisions
    highest = round(lowest * rng.uniform(1.1, 1.3), -2)
    interval = "month" if monthly else "year"
    return Pay(minimum=int(lowest), maximum=int(highest), currency=city.currency, interval=interval)


def _paragraphs(
    rng: random.Random, company: Company, role: Role, city: City, language: str
) -> tuple[str, ...]:
    phrases = PHRASES[language]
    parts = (rng.choice(phrases.openings), phrases.wishes[role.level], rng.choice(phrases.offers))
    return tuple(
        part.format(company=company.name, title=role.title, city=city.local, team=role.department)
        for part in parts
    )
