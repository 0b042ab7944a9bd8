"""How many postings of each source a profile's filters let through."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable

import attrs

from jobping.core.career_words import WORDS, CareerWords
from jobping.core.fit import Fit
from jobping.core.hard_filters import level_fit, place_finding, why_excluded
from jobping.core.ids import SourceName
from jobping.core.matcher import prepare, read
from jobping.core.posting import StoredPosting
from jobping.core.profile import Profile


@attrs.frozen(kw_only=True)
class PassRate:
    """What became of the postings of one source.

    Attributes:
        levels: How many have a wanted level, may have one, have none.
        places: The same of the places.
        kept: How many pass all filters of the profile, those beside level and place included.
    """

    postings: int
    levels: Counter[Fit]
    places: Counter[Fit]
    kept: int


def pass_rates(
    profile: Profile,
    postings: Iterable[StoredPosting],
    now: dt.datetime,
    words: CareerWords = WORDS,
) -> dict[SourceName, PassRate]:
    """Return the rates of each source that has postings, in the order of their names.

    Args:
        now: Aware UTC.
        words: Those that tell a level.
    """
    matcher = prepare(profile, words)
    found: dict[SourceName, list[tuple[Fit, Fit, bool]]] = {}
    for posting in postings:
        reading = read(posting, words)
        found.setdefault(posting.draft.source, []).append(
            (
                level_fit(matcher, reading),
                place_finding(matcher, reading).fit,
                why_excluded(matcher, reading, now) is None,
            )
        )
    return {source: _rate(found[source]) for source in sorted(found)}


def _rate(judged: list[tuple[Fit, Fit, bool]]) -> PassRate:
    levels, places, kept = zip(*judged, strict=True)
    return PassRate(
        postings=len(judged), levels=Counter(levels), places=Counter(places), kept=sum(kept)
    )
