"""How much of what a profile is interested in a posting has: wanted words and wanted companies.

The title counts most, then tags and department, then the text. A long title with one wanted word
counts for less than a short one; a word that names a career level counts for less than a subject
as long as the profile names subjects at all.
"""

from collections.abc import Sequence
from typing import Final

from jobping.core.matcher import Matcher, Reading, Wanted, is_one_of
from jobping.core.printable import printable
from jobping.core.words import Line, Needle

_TITLE: Final = 68
_ASIDE: Final = 20
"""Less for words that stand beside the work, not in it: `Web Developer, Marketing`."""
_KINDRED: Final = 60
_TOPICS: Final = 50
_LEVEL_ONLY: Final = 56
_TEXT: Final = 20
_COMPANY: Final = 85
_UNREAD: Final = 15
"""A posting without a text may hold the words that its title lacks."""
_SHOWN: Final = 3


def judge_interest(matcher: Matcher, reading: Reading) -> tuple[int | None, str]:
    """Return 0 to 100 and a note; None where the profile names neither words nor companies."""
    if not (matcher.wanted or matcher.companies):
        return None, ""
    value, note = _words(matcher, reading)
    if is_one_of(reading.company, matcher.companies):
        name = printable(reading.posting.draft.company or "", 60)
        return min(max(value, _COMPANY) + 10, 100), f"{note}; at {name}" if note else f"at {name}"
    if not value and not matcher.wanted:
        return 30, "not one of your companies"
    return value, note or "none of your words"


def _words(matcher: Matcher, reading: Reading) -> tuple[int, str]:
    in_title = _found(matcher.wanted, reading.title)
    by_level = [wanted for wanted in matcher.wanted if _is_level_met(wanted, reading)]
    subjects = [wanted for wanted in matcher.wanted if not wanted.levels]
    named = [wanted for wanted in in_title if not wanted.levels]
    if named or (in_title and not subjects):
        more = len({*in_title, *by_level}) - 1
        value = _TITLE + round(20 * _coverage(reading.title, in_title)) + 6 * min(more, 2)
        if not _found(in_title, reading.head):
            value -= _ASIDE
        return value, f"matches {_quoted(in_title)} in the title"
    in_text = _found(subjects or matcher.wanted, reading.text)
    value = _in_text(reading.text, in_text)
    note = f"mentions {_quoted(in_text)} in the text" if in_text else ""
    in_topics = _found(subjects or matcher.wanted, reading.topics)
    if in_topics:
        value, note = max(value, _TOPICS), f"tagged {_quoted(in_topics)}"
    kindred = [one for one in subjects if any(kin.is_in(reading.title) for kin in one.kindred)]
    if kindred:
        value, note = max(value, _KINDRED), f"close to {_quoted(kindred)} in the title"
    if in_title or by_level:
        value = max(value + 10, _LEVEL_ONLY if subjects else _TITLE)
        note = f"matches {_quoted(in_title)} in the title" if in_title else note
    if not value and not reading.text.words:
        return _UNREAD, ""
    return value, note


def _found(wanted: Sequence[Wanted], line: Line) -> list[Wanted]:
    return [one for one in wanted if one.needle.is_in(line)]


def _is_level_met(wanted: Wanted, reading: Reading) -> bool:
    """Whether the word names a level that the posting surely has, in whatever language."""
    return reading.career.sure and bool(wanted.levels & reading.career.levels)


def _coverage(title: Line, found: Sequence[Wanted]) -> float:
    """The share of a title's words that are wanted ones; single letters (`m/f/d`) count nothing."""
    counted = {word for word in title.words if len(word) > 1}
    covered = {word for one in found for word in _form_in(one.needle, title).split()}
    return len(covered & counted) / max(len(counted), 1)


def _form_in(needle: Needle, line: Line) -> str:
    return next((form for form, _ in needle.forms if form in line.text), "")


def _in_text(text: Line, found: Sequence[Wanted]) -> int:
    """Value for words in the text: how many different ones, and how often."""
    if not found:
        return 0
    times = sum(text.text.count(_form_in(one.needle, text)) for one in found)
    return _TEXT + 5 * min(len(found), 3) + 2 * min(times, 6)


def _quoted(found: Sequence[Wanted]) -> str:
    """The first few words in quotation marks, joined with commas and `and`."""
    words = [f"“{printable(one.needle.phrase, 40)}”" for one in found[:_SHOWN]]
    return ", ".join(words[:-1]) + " and " + words[-1] if len(words) > 1 else words[0]
