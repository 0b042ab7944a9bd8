"""The local ranker: hard filters, then a score of 0 to 100 with a reason. It needs no network.

Each signal has a weight and a value of 0 to 100; the score is their weighted mean, rounded down.
A signal that the profile does not ask for has no part in it. What a posting does not say counts
for less than a yes and more than a no.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import attrs

from jobping.core.age import age_of, day
from jobping.core.career_words import WORDS, CareerWords
from jobping.core.fit import Fit
from jobping.core.hard_filters import why_excluded
from jobping.core.interest import judge_interest
from jobping.core.language import guess_language
from jobping.core.match import LOCAL, Match
from jobping.core.matcher import Matcher, Reading, prepare, read
from jobping.core.pay_fit import judge_pay
from jobping.core.place_fit import judge_place
from jobping.core.posting import Precision, Remote, StoredPosting
from jobping.core.profile import Level, Profile, RemoteWish, StoredProfile

MINIMUM_SCORE: Final = 30
"""Below it a posting is no match; without one wanted word no posting gets there."""
SHORTLIST_LIMIT: Final = 200
_UNINTERESTING: Final = 25
_REASON_LIMIT: Final = 200

_FRESH: Final = ((1, 100), (3, 90), (7, 70), (30, 40))
"""Age in days below which a posting has the value; older ones have 15."""
_STALE: Final = 15
_UNDATED: Final = 40
_UPDATED: Final = 70

_LEVEL_NAMES: Final = {
    Level.INTERN: "internship",
    Level.ENTRY: "entry level",
    Level.MID: "mid level",
    Level.SENIOR: "senior",
    Level.LEAD: "lead",
}


@attrs.frozen(kw_only=True)
class Excluded:
    """A definite no.

    Attributes:
        why: A few words for the operator.
    """

    why: str


@attrs.frozen(kw_only=True)
class Scored:
    """A posting that passed the hard filters.

    Attributes:
        score: 0 to 100.
        reason: One sentence a person can read, at most 200 characters.
    """

    score: int
    reason: str


@attrs.frozen(kw_only=True)
class _Signal:
    weight: int
    value: int
    note: str = ""


def judge(
    profile: Profile, posting: StoredPosting, now: dt.datetime, words: CareerWords = WORDS
) -> Excluded | Scored:
    """Judge one posting for one profile; for many, use `shortlist` or `match_all`.

    Args:
        now: Aware UTC.
        words: Those that tell a level.
    """
    return judge_reading(prepare(profile, words), read(posting, words), now)


def judge_reading(matcher: Matcher, reading: Reading, now: dt.datetime) -> Excluded | Scored:
    """Judge a posting that was read for a profile that was prepared.

    Args:
        now: Aware UTC.
    """
    why = why_excluded(matcher, reading, now)
    if why is not None:
        return Excluded(why=why)
    interest, note = judge_interest(matcher, reading)
    signals = [*_signals(matcher, reading, now)]
    if interest is not None:
        signals.insert(0, _Signal(weight=45, value=interest, note=note))
    score = sum(s.weight * s.value for s in signals) // sum(s.weight for s in signals)
    if interest == 0:
        score = min(score, _UNINTERESTING)
    return Scored(score=score, reason=_sentence(signal.note for signal in signals))


def shortlist(
    profile: StoredProfile,
    postings: Iterable[StoredPosting],
    now: dt.datetime,
    *,
    limit: int = SHORTLIST_LIMIT,
) -> tuple[Match, ...]:
    """Return the best matches of a profile: best score first, then newest, then lowest id.

    Args:
        now: Aware UTC.
        limit: Most matches returned.
    """
    return _best(profile, [read(posting) for posting in postings], now, limit)


def match_all(
    profiles: Iterable[StoredProfile],
    postings: Iterable[StoredPosting],
    now: dt.datetime,
    words: CareerWords = WORDS,
) -> tuple[Match, ...]:
    """Return all matches of the profiles, profile by profile; each posting is read once.

    Args:
        now: Aware UTC.
        words: Those that tell a level.
    """
    readings = [read(posting, words) for posting in postings]
    return tuple(
        match
        for profile in profiles
        for match in _best(profile, readings, now, len(readings), words)
    )


def _best(
    profile: StoredProfile,
    readings: Sequence[Reading],
    now: dt.datetime,
    limit: int,
    words: CareerWords = WORDS,
) -> tuple[Match, ...]:
    matcher = prepare(profile.profile, words)
    judged = ((reading.posting, judge_reading(matcher, reading, now)) for reading in readings)
    kept = [
        (posting, verdict)
        for posting, verdict in judged
        if isinstance(verdict, Scored) and verdict.score >= MINIMUM_SCORE
    ]
    kept.sort(key=lambda pair: (-pair[1].score, -_moment(pair[0]).timestamp(), pair[0].id))
    return tuple(
        Match(
            profile_id=profile.id,
            posting_id=posting.id,
            posting_version=posting.version,
            score=verdict.score,
            origin=LOCAL,
            reason=verdict.reason,
        )
        for posting, verdict in kept[:limit]
    )


def _signals(matcher: Matcher, reading: Reading, now: dt.datetime) -> Iterator[_Signal]:
    draft = reading.posting.draft
    if matcher.levels:
        yield _level(matcher, reading)
    if matcher.places is not None:
        found = judge_place(matcher.places, reading.places, draft.remote)
        yield _Signal(weight=15, value=100 if found.fit is Fit.YES else 45, note=found.note)
    if matcher.remote is not RemoteWish.ANY:
        yield _remote(draft.remote)
    if matcher.languages:
        yield _language(matcher, reading)
    yield _freshness(reading.posting, now)
    yield _pay(matcher, reading.posting)


def _level(matcher: Matcher, reading: Reading) -> _Signal:
    career = reading.career
    fitting = career.levels & matcher.levels
    names = " or ".join(_LEVEL_NAMES[level] for level in Level if level in career.levels)
    if not career.levels:
        return _Signal(weight=20, value=38, note="level not stated")
    if fitting and career.sure:
        return _Signal(weight=20, value=100, note=names)
    if fitting:
        return _Signal(weight=20, value=70, note=f"perhaps {names}")
    years = f"asks for {career.years} years of experience"
    return _Signal(weight=20, value=10, note=years if career.years else f"perhaps {names}")


def _remote(remote: Remote) -> _Signal:
    if remote is Remote.UNKNOWN:
        return _Signal(weight=10, value=45, note="remote work not stated")
    return _Signal(weight=10, value=100, note="remote" if remote is Remote.YES else "on site")


def _language(matcher: Matcher, reading: Reading) -> _Signal:
    if reading.posting.draft.language:
        return _Signal(weight=15, value=100)
    guess = guess_language(reading.text)
    if guess is None:
        return _Signal(weight=15, value=60)
    if guess in matcher.languages:
        return _Signal(weight=15, value=95)
    return _Signal(weight=15, value=5, note="perhaps in another language")


def _freshness(posting: StoredPosting, now: dt.datetime) -> _Signal:
    draft = posting.draft
    age = age_of(_moment(posting), now)
    value = next((value for days, value in _FRESH if age < dt.timedelta(days)), _STALE)
    shown = day(_moment(posting))
    if draft.posted_at is None:
        return _Signal(weight=15, value=min(value, _UNDATED), note=f"first seen {shown}")
    if draft.posted_precision is Precision.UPDATED:
        return _Signal(weight=15, value=min(value, _UPDATED), note=f"updated {shown}")
    return _Signal(weight=15, value=value, note=f"posted {shown}")


def _pay(matcher: Matcher, posting: StoredPosting) -> _Signal:
    salary = posting.draft.salary
    if matcher.pay_floor is not None and judge_pay(matcher.pay_floor, salary) is Fit.YES:
        return _Signal(weight=5, value=100, note="pays what you want")
    is_stated = salary is not None and (salary.minimum is not None or salary.maximum is not None)
    if matcher.pay_floor is None:
        return _Signal(weight=5, value=100 if is_stated else 40)
    return _Signal(weight=5, value=30, note="pay cannot be compared" if is_stated else "")


def _moment(posting: StoredPosting) -> dt.datetime:
    """When it was posted, else first seen; never a date that was made up."""
    return posting.draft.posted_at or posting.first_seen_at


def _sentence(notes: Iterable[str]) -> str:
    """Join notes into one sentence, leaving out the last ones where it would get too long."""
    sentence = ""
    for note in filter(None, notes):
        longer = f"{sentence}; {note}" if sentence else note[0].upper() + note[1:]
        if len(longer) > _REASON_LIMIT:
            break
        sentence = longer
    return sentence
