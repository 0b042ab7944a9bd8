"""The career level of a posting: structured fields first, then the title, then the text.

Only whole words count, so `internal` says nothing about internships. Words for seniority count in
the title alone: a text that names its manager says nothing about the post (design/sources.md,
sections 9 and 17).
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from jobping.core.career_words import WORDS, CareerWords, Levels
from jobping.core.posting import PostingDraft
from jobping.core.profile import Level
from jobping.core.words import Line, lined, tokens

_LONGEST_PHRASE: Final = 4
_NONE: Final[Levels] = frozenset()
_EARLY: Final[Levels] = frozenset({Level.INTERN, Level.ENTRY})
_YEARS: Final = frozenset(
    {"year", "years", "yrs", "jahre", "jahren", "ans", "anos", "anni", "jaar"}
)
_NUMBER: Final = re.compile(r" (\d{1,2})\+? (?:(?:to|bis|a|or more|oder mehr) )?(?:\d{1,2}\+? )?$")
_BEFORE: Final = 16
"""Characters before the word for years in which its number stands."""
_EXPERIENCE: Final = re.compile(
    r" (?:experience|berufserfahrung|erfahrung|experiencia|esperienza|ervaring) "
)
_REACH: Final = 80
"""Characters after the word for years in which the word experience makes it a demand."""
_MOST_YEARS: Final = 12
"""More years than these are the company's own history."""
_MENTIONS: Final = 20
"""Most times that years are looked at in one text."""


@attrs.frozen(kw_only=True)
class Career:
    """What a posting says about its level.

    Attributes:
        levels: The levels it may have; empty where nothing is known.
        sure: True where a field or the title says so without contradiction.
        years: Years of experience that the text asks for, or None.
    """

    levels: Levels = _NONE
    sure: bool = False
    years: int | None = None


def career_of(draft: PostingDraft, words: CareerWords = WORDS) -> Career:
    """Return the level of a posting."""
    return read_career(draft, words, title=tokens(draft.title), text=lined(draft.description))


def read_career(draft: PostingDraft, words: CareerWords, *, title: list[str], text: Line) -> Career:
    """Return the level of a posting whose title and text were folded before.

    Args:
        title: `words.tokens` of the title.
        text: `words.lined` of the description.
    """
    years = _years(text)
    stated, named = _stated(draft, words), _levels(title, words.title)
    if stated and named:
        shared = stated & named
        return Career(levels=shared or stated | named, sure=bool(shared), years=years)
    if stated or named:
        return Career(levels=stated or named, sure=_is_one_step(stated or named), years=years)
    return _suggested(draft, words, title, text, years)


def _suggested(
    draft: PostingDraft, words: CareerWords, title: list[str], text: Line, years: int | None
) -> Career:
    """What tags, phrases of the text and weak words suggest where field and title are silent."""
    tagged = _levels_of_each(draft.tags, words.title)
    if tagged and tagged <= _EARLY:
        return Career(levels=tagged, sure=True, years=years)
    if words.text.is_any_in(text):
        return Career(levels=frozenset({Level.ENTRY}), years=years)
    if years is not None:
        return Career(levels=_levels_for(years), years=years)
    if not words.weak.isdisjoint(title):
        return Career(levels=frozenset({Level.ENTRY, Level.MID}))
    return Career()


def _stated(draft: PostingDraft, words: CareerWords) -> Levels:
    """The levels of the source's own fields: kind of employment, then seniority."""
    employed = _levels_of_each(draft.employment, words.title) & _EARLY
    if employed or draft.level is None:
        return employed
    return _levels(tokens(draft.level), words.field)


def _levels_of_each(texts: Iterable[str], words: dict[str, Levels]) -> Levels:
    return _NONE.union(*(_levels(tokens(text), words) for text in texts))


def _levels(title: list[str], words: dict[str, Levels]) -> Levels:
    """The union of what the phrases of a title say."""
    return _NONE.union(*(words[phrase] for phrase in _phrases(title, words)))


def _phrases(title: list[str], words: dict[str, Levels]) -> Iterator[str]:
    """The known phrases of a title from left to right, the longest first, none overlapping."""
    at = 0
    while at < len(title):
        for length in range(min(_LONGEST_PHRASE, len(title) - at), 0, -1):
            phrase = " ".join(title[at : at + length])
            if phrase in words:
                yield phrase
                at += length
                break
        else:
            at += 1


def _is_one_step(levels: Levels) -> bool:
    """Whether the levels can describe one post: `senior` and `trainee` in one title cannot."""
    return not (levels & _EARLY and levels & {Level.SENIOR, Level.LEAD})


def _years(text: Line) -> int | None:
    """The most years of experience that a text asks for."""
    asked = (
        years
        for word in _YEARS & text.words
        for at in _places_of(f" {word} ", text.text)
        if (years := _years_at(text.text, at + 1, at + 2 + len(word))) is not None
    )
    return max((years for years in asked if years <= _MOST_YEARS), default=None)


def _years_at(text: str, start: int, end: int) -> int | None:
    """The number before the word for years, where experience is spoken of after it."""
    number = _NUMBER.search(text, max(start - _BEFORE, 0), start)
    if number is None or not _EXPERIENCE.search(text, end - 1, end + _REACH):
        return None
    return int(number[1])


def _places_of(needle: str, text: str) -> Iterator[int]:
    """Where the needle stands in the text, at most a few times."""
    at = text.find(needle)
    for _ in range(_MENTIONS):
        if at < 0:
            return
        yield at
        at = text.find(needle, at + 1)


def _levels_for(years: int) -> Levels:
    if years <= 1:
        return frozenset({Level.ENTRY})
    return frozenset({Level.MID}) if years <= 4 else frozenset({Level.SENIOR})
