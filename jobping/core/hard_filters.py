"""The hard filters: what a profile rules out. Nothing that is unknown is ever ruled out."""

import datetime as dt
from decimal import Decimal

from jobping.core.fit import Finding, Fit
from jobping.core.matcher import Matcher, Reading, is_one_of
from jobping.core.pay_fit import judge_pay
from jobping.core.place_fit import judge_place
from jobping.core.posting import Remote, StoredPosting
from jobping.core.profile import RemoteWish


def why_excluded(matcher: Matcher, reading: Reading, now: dt.datetime) -> str | None:
    """Return why the profile rules the posting out, in a few words; None where it does not."""
    return (
        _why_closed(reading.posting, now)
        or _why_unwanted(matcher, reading)
        or _why_remote(matcher, reading.posting.draft.remote)
        or _why_place(matcher, reading)
        or _why_level(matcher, reading)
        or _why_pay(matcher, reading)
        or _why_language(matcher, reading)
    )


def _why_closed(posting: StoredPosting, now: dt.datetime) -> str | None:
    closes_at = posting.draft.closes_at
    if posting.closed_at is not None or (closes_at is not None and closes_at <= now):
        return "closed"
    return None


def _why_unwanted(matcher: Matcher, reading: Reading) -> str | None:
    for unwanted in matcher.unwanted:
        if unwanted.is_in(reading.title):
            return f"“{unwanted.phrase}” in the title"
    if is_one_of(reading.company, matcher.not_companies):
        return "a company not wanted"
    return None


def _why_remote(matcher: Matcher, remote: Remote) -> str | None:
    if matcher.remote is RemoteWish.ONLY and remote is Remote.NO:
        return "not remote"
    if matcher.remote is RemoteWish.NO and remote is Remote.YES:
        return "remote"
    return None


def place_finding(matcher: Matcher, reading: Reading) -> Finding:
    """Say whether a posting is where the profile wants it."""
    if matcher.places is None:
        return Finding(fit=Fit.YES)
    return judge_place(matcher.places, reading.places, reading.posting.draft.remote)


def level_fit(matcher: Matcher, reading: Reading) -> Fit:
    """Say whether a posting has a level that the profile wants; what only hints is a maybe."""
    career = reading.career
    if not matcher.levels:
        return Fit.YES
    if not career.sure:
        return Fit.MAYBE
    return Fit.YES if matcher.levels & career.levels else Fit.NO


def _why_place(matcher: Matcher, reading: Reading) -> str | None:
    finding = place_finding(matcher, reading)
    return finding.note if finding.fit is Fit.NO else None


def _why_level(matcher: Matcher, reading: Reading) -> str | None:
    if level_fit(matcher, reading) is not Fit.NO:
        return None
    return "level: " + " or ".join(sorted(level.value for level in reading.career.levels))


def _why_pay(matcher: Matcher, reading: Reading) -> str | None:
    salary = reading.posting.draft.salary
    if matcher.pay_floor is None or judge_pay(matcher.pay_floor, salary) is not Fit.NO:
        return None
    most = salary.maximum if salary and salary.maximum is not None else Decimal(0)
    return f"pays at most {most:,} {matcher.pay_floor.currency}"


def _why_language(matcher: Matcher, reading: Reading) -> str | None:
    language = reading.posting.draft.language
    if not matcher.languages or not language or language.lower() in matcher.languages:
        return None
    return f"written in {language.lower()}"
