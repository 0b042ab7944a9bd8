"""A profile prepared for judging many postings, and a posting read once for many profiles."""

import re
from typing import Final

import attrs

from jobping.core.career import Career, read_career
from jobping.core.career_words import WORDS, CareerWords, Levels
from jobping.core.place_fit import PlaceWish, ReadPlace, place_wish, read_places
from jobping.core.posting import StoredPosting
from jobping.core.profile import PayFloor, Profile, RemoteWish
from jobping.core.words import Line, Needle, lined, needle, relatives, tokens

_LEGAL_FORMS: Final = frozenset(
    {"ab", "ag", "as", "bv", "co", "corp", "gmbh", "inc", "kg", "limited", "llc", "ltd", "nv"}
    | {"oy", "plc", "sa", "sarl", "sas", "se", "spa", "srl"}
)
"""Endings of company names that people leave out."""
_HEAD: Final = re.compile(r"[,(\[|–—:]|\s-\s")
_TEXT_LIMIT: Final = 20_000
"""Most characters of a text that are read; the longest recorded one has 29,000 with markup."""


@attrs.frozen(kw_only=True)
class Wanted:
    """A wanted word or phrase.

    Attributes:
        levels: What it says about the career level; empty for most words. A wanted `intern` is
            also met by a `Praktikum`.
        kindred: Other forms of it, such as design for a designer.
    """

    needle: Needle
    levels: Levels
    kindred: tuple[Needle, ...]


@attrs.frozen(kw_only=True)
class Matcher:
    """A profile, prepared: everything that does not depend on the posting is done."""

    wanted: tuple[Wanted, ...]
    unwanted: tuple[Needle, ...]
    companies: tuple[tuple[str, ...], ...]
    not_companies: tuple[tuple[str, ...], ...]
    places: PlaceWish | None
    remote: RemoteWish
    levels: Levels
    pay_floor: PayFloor | None
    languages: frozenset[str]


@attrs.frozen(kw_only=True)
class Reading:
    """A posting with its texts folded and its level and places understood.

    Attributes:
        head: The title up to its first comma, dash or bracket: the work, before its field.
        topics: Tags and department.
        company: The folded words of the company's name.
    """

    posting: StoredPosting
    title: Line
    head: Line
    topics: Line
    text: Line
    company: tuple[str, ...]
    career: Career
    places: tuple[ReadPlace, ...]


def prepare(profile: Profile, words: CareerWords = WORDS) -> Matcher:
    """Return the profile, prepared."""
    return Matcher(
        wanted=tuple(_wanted(phrase, words) for phrase in profile.words if tokens(phrase)),
        unwanted=tuple(needle(phrase) for phrase in profile.not_words),
        companies=_companies(profile.companies),
        not_companies=_companies(profile.not_companies),
        places=place_wish(profile.places) if profile.places else None,
        remote=profile.remote,
        levels=frozenset(profile.levels),
        pay_floor=profile.pay_floor,
        languages=frozenset(code.lower() for code in profile.languages),
    )


def read(posting: StoredPosting, words: CareerWords = WORDS) -> Reading:
    """Return the posting with its texts folded; the dear part of judging, done once."""
    draft = posting.draft
    title, text = lined(draft.title), lined(draft.description[:_TEXT_LIMIT])
    return Reading(
        posting=posting,
        title=title,
        head=lined(_HEAD.split(draft.title.lstrip(" ([-–"), maxsplit=1)[0]),
        topics=lined(" / ".join((*draft.tags, draft.department or ""))),
        text=text,
        company=tuple(tokens(draft.company or "")),
        career=read_career(draft, words, title=title.text.split(), text=text),
        places=read_places(draft.locations, draft.title),
    )


def is_one_of(company: tuple[str, ...], names: tuple[tuple[str, ...], ...]) -> bool:
    """Say whether a company's name begins with one of the names, word by word."""
    return any(company[: len(name)] == name for name in names)


def _wanted(phrase: str, words: CareerWords) -> Wanted:
    levels = words.title.get(" ".join(tokens(phrase)), frozenset())
    kindred = () if levels else relatives(phrase)
    return Wanted(needle=needle(phrase), levels=levels, kindred=kindred)


def _companies(names: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    return tuple(found for name in names if (found := _company(name)))


def _company(name: str) -> tuple[str, ...]:
    """The folded words of a company's name without its legal form."""
    words = tokens(name)
    while len(words) > 1 and words[-1] in _LEGAL_FORMS:
        words.pop()
    return tuple(words)
