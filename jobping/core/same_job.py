"""When two postings of other ids are one job, so that a person sees it once with all its links.

Only postings of one `kin` are compared, so a new posting meets a handful of others and never the
whole store. Titles must agree word for word: a year, a level or a town makes another job.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Final

import attrs

from jobping.core.fingerprint import fold_company, fold_title
from jobping.core.places import name_in_country, part_of_town, town
from jobping.core.posting import Interval, Location, PostingDraft, Remote, Salary, SalaryOrigin
from jobping.core.regions import GROUPS
from jobping.core.words import tokens

_VERSION: Final = 1
_READ: Final = 12_000
"""Characters of a text that are compared."""
_LEAST: Final = 25
"""Words from which on a text can tell two postings apart."""
_SHINGLE: Final = 3
_SHARED: Final = 0.6
"""Part of the shorter text that the other must hold: aggregators cut texts and put words before."""
_OTHERWISE: Final = 0.01
"""Part of the shared text that each may say otherwise: nothing at all in a cut one of 80 words."""
_ARTICLES: Final = frozenset({"the", "die", "der", "das"})
_FIGURE: Final = re.compile(r"\d")
_GROUPS: Final = dict(GROUPS)
_KEPT: Final = 40
"""Texts that are taken apart once, as a new posting meets the same few others again and again."""

_Text = tuple[str, ...]


@attrs.frozen(kw_only=True)
class _Place:
    """A place to be compared.

    Attributes:
        name: Of the town, else of a region, else nothing but the country; else all that is said.
        part: Of the town: `Lichtenberg` in `Lichtenberg, Berlin`.
    """

    name: str
    part: str
    country: str | None


def kin(draft: PostingDraft) -> bytes | None:
    """Return 16 bytes that all postings of one job share, whatever their source; None: unknown.

    The company's first word and the words of the title, without those that name the city.
    """
    company = _company(draft)
    title = set(tokens(fold_title(draft.title)))
    if not company or not title:
        return None
    named = {word for place in draft.locations for word in town(place).split()}
    key = json.dumps([_VERSION, company[0], sorted(title - named or title)])
    return hashlib.blake2b(key.encode(), digest_size=16).digest()


def same_job(one: PostingDraft, other: PostingDraft) -> bool:
    """Say whether two postings of one kin are one job.

    The companies' names agree as far as both go, a place is common, pay does not contradict, and
    the texts are one text, perhaps cut, or with something before it. Where one has no text, only
    another source's posting of the same title, company and places is the same job.
    """
    if not (
        _same_company(_company(one), _company(other))
        and _share_place(one, other)
        and not _pays_otherwise(one.salary, other.salary)
    ):
        return False
    words, others = _words(one.description), _words(other.description)
    if min(len(words), len(others)) < _LEAST:
        is_elsewhere = one.source != other.source
        return is_elsewhere and _names(one) == _names(other) and bool(one.locations)
    return is_one_text(words, others)


def is_one_text(one: _Text, other: _Text) -> bool:
    """Say whether two texts are one text, cut somewhere or with words put in.

    What both say otherwise between common words, such as the street of a shop or any number, makes
    them two.
    """
    if _rows(one).isdisjoint(_rows(other)):
        return False
    mine, extra = _overlap(one, other)
    others, missing = _overlap(other, one)
    shared = min(mine, others)
    if shared < max(_SHARED * min(len(one), len(other)), _LEAST):
        return False
    if "".join(extra) == "".join(missing):  # one of them lost its blanks
        return True
    has_figures = all(_FIGURE.search(" ".join(words)) for words in (extra, missing))
    return not has_figures and min(len(extra), len(missing)) <= _OTHERWISE * shared


@lru_cache(_KEPT)
def _rows(text: _Text) -> frozenset[_Text]:
    return frozenset(text[at : at + _SHINGLE] for at in range(len(text) - _SHINGLE + 1))


def _overlap(text: _Text, other: _Text) -> tuple[int, list[str]]:
    """Return how many words of the text stand in rows that the other has too, and which do not.

    What comes before the first and after the last common row is in neither.
    """
    rows = _rows(other)
    common = [False] * len(text)
    for at in range(len(text) - _SHINGLE + 1):
        if text[at : at + _SHINGLE] in rows:
            common[at : at + _SHINGLE] = [True] * _SHINGLE
    if True not in common:
        return 0, []
    first, last = common.index(True), len(common) - common[::-1].index(True)
    extra = [text[at] for at in range(first, last) if not common[at]]
    return last - first - len(extra), extra


def _names(draft: PostingDraft) -> tuple[str, list[str], frozenset[_Place]]:
    return fold_title(draft.title), _company(draft), _places(draft)


@lru_cache(_KEPT)
def _words(text: str) -> _Text:
    return tuple(tokens(text[:_READ]))


def _company(draft: PostingDraft) -> list[str]:
    words = tokens(fold_company(draft.company or ""))
    return words[1:] if len(words) > 1 and words[0] in _ARTICLES else words


def _same_company(one: Sequence[str], other: Sequence[str]) -> bool:
    shared = min(len(one), len(other))
    return shared > 0 and one[:shared] == other[:shared]


def _share_place(one: PostingDraft, other: PostingDraft) -> bool:
    mine, others = _places(one), _places(other)
    if one.source == other.source:
        return all(_meets(place, others) for place in mine) and all(
            _meets(place, mine) for place in others
        )
    if one.remote is other.remote is Remote.YES:
        countries, more = _countries(one), _countries(other)
        return not countries or not more or bool(countries & more)
    return any(_meets(place, others) for place in mine)


def _meets(place: _Place, places: frozenset[_Place]) -> bool:
    """Say whether one of the places is that one; a town without its part is all of the town."""
    return any(
        place.name == other.name
        and (place.part == other.part or not place.part or not other.part)
        and (place.country == other.country or not place.country or not other.country)
        for other in places
    )


def _places(draft: PostingDraft) -> frozenset[_Place]:
    return frozenset(map(_place, draft.locations))


def _place(place: Location) -> _Place:
    name = town(place)
    if not name:
        name = name_in_country(place) if place.country else " ".join(tokens(place.raw))
    return _Place(name=name, part=part_of_town(place), country=place.country)


def _countries(draft: PostingDraft) -> frozenset[str]:
    """Return the countries in which a remote job may be done; empty where nothing is said."""
    found: set[str] = set()
    for place in draft.locations:
        group = _GROUPS.get(" ".join(tokens(place.region or "")), frozenset())
        found |= {place.country} if place.country else group
    return frozenset(found)


def _pays_otherwise(one: Salary | None, other: Salary | None) -> bool:
    """Say whether two amounts, as the sources state them, are the pay of two jobs.

    One that lies within the other can be the same, as where only one of them says a range.
    """
    if one is None or other is None or SalaryOrigin.PREDICTED in (one.origin, other.origin):
        return False
    if Interval.UNKNOWN in (one.interval, other.interval) or one.interval is not other.interval:
        return False
    if one.currency and other.currency and one.currency != other.currency:
        return False
    least, most = _span(one)
    low, high = _span(other)
    if least is None or most is None or low is None or high is None:
        return False
    return not (least <= low <= high <= most or low <= least <= most <= high)


def _span(pay: Salary) -> tuple[Decimal | None, Decimal | None]:
    low, high = pay.minimum, pay.maximum
    return (high if low is None else low), (low if high is None else high)
