"""Whole words: folded text as a row of words between blanks, so that a phrase is found with `in`.

The line of `"Front-end  C++!"` is `" front end c++ "`; a word inside another is never found.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

import attrs

_REFERENCES: Final = re.compile(rb"&#\d{1,6};(?:&#\d{1,6};)*")
_TYPOGRAPHY: Final = "’‘“”–—•…·\xa0"
_UNSPACED: Final = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]")
_COMPOUND: Final = 7
"""Least letters of a word that is also found in two parts, of three letters or more."""
_STEM: Final = 5
_MARKS: Final = re.compile("[\u0300-\u036f\u3099\u309a]+")
_NO_WORD: Final = re.compile(r"[^\w]+")
_LETTERS: Final = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "ı": "i"}
)
"""Latin letters that have no accent to take away."""


def _ascii_table() -> bytes:
    """Lower case for letters, blanks for what is no part of a word; bytes from 128 on stay."""
    kept = "_+#"
    shown = (chr(i).lower() if chr(i).isalnum() or chr(i) in kept else " " for i in range(128))
    return "".join(shown).encode() + bytes(range(128, 256))


_TABLE: Final = _ascii_table()


@attrs.frozen(kw_only=True)
class Line:
    """Folded words.

    Attributes:
        text: The words in order, one blank before, between and after them.
        words: Each of them once.
    """

    text: str
    words: frozenset[str]


@attrs.frozen(kw_only=True)
class Needle:
    """A phrase to look for in lines.

    Attributes:
        phrase: As the person wrote it, for reasons.
        forms: The folded forms, each with its longest word, which must be there.
    """

    phrase: str
    forms: tuple[tuple[str, str], ...]

    def is_in(self, line: Line) -> bool:
        """Say whether the line holds one of the forms as whole words."""
        return any(
            (not anchor or anchor in line.words) and form in line.text
            for form, anchor in self.forms
        )


@attrs.frozen(kw_only=True)
class Phrases:
    """Many phrases to look for at once.

    Attributes:
        anchors: The longest word of each phrase.
        forms: Each phrase folded, with the set of its words, by its longest word.
    """

    anchors: frozenset[str]
    forms: dict[str, tuple[tuple[str, frozenset[str]], ...]]

    def is_any_in(self, line: Line) -> bool:
        """Say whether the line holds one of the phrases as whole words."""
        return any(
            words <= line.words and form in line.text
            for anchor in self.anchors & line.words
            for form, words in self.forms[anchor]
        )


def tokens(text: str) -> list[str]:
    """Return the words of a text without case and accents; `c++`, `c#` and `5+` are words.

    Typographic marks go first, as most texts are ASCII without them; the detour over character
    references keeps the ASCII part of the others in C. 5 kB of English take about 0.1 ms.
    """
    for mark in _TYPOGRAPHY:
        text = text.replace(mark, " ")
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "xmlcharrefreplace")
    folded = _REFERENCES.sub(_fold_run, plain).translate(_TABLE).replace(b" #", b" ")
    return folded.decode().split()


def lined(text: str) -> Line:
    """Return the folded words of a text as a line."""
    words = tokens(text)
    return Line(text=f" {' '.join(words)} ", words=frozenset(words))


def needle(phrase: str) -> Needle:
    """Return what finds the phrase, its singular and its plural.

    A hyphenated phrase is also found written together, and a long word written in two (`back end`);
    a phrase in a script without blanks is found anywhere. An empty phrase is found nowhere.
    """
    words = tokens(phrase)
    if words and _UNSPACED.search(phrase):
        return Needle(phrase=phrase, forms=((" ".join(words), ""),))
    rows = [[*words[:-1], last] for last in _numbers(words[-1])] if words else []
    if "-" in phrase and len(words) > 1:
        rows.append(["".join(words)])
    if len(words) == 1 and len(words[0]) >= _COMPOUND:
        rows += [[words[0][:cut], words[0][cut:]] for cut in range(3, len(words[0]) - 2)]
    return Needle(phrase=phrase, forms=tuple(_form(row) for row in rows))


def relatives(phrase: str) -> tuple[Needle, ...]:
    """Return what finds kindred forms of the phrase's last word: design for designer, and so on.

    A word in `-ing` does not stand for its bare stem: a market is no marketing.
    """
    *before, last = tokens(phrase) or [""]
    stem = next((last[: -len(end)] for end in ("ment", "ing", "er") if last.endswith(end)), last)
    if len(stem) < _STEM or not stem.isalpha():
        return ()
    kin = [f"{stem}{end}" for end in ("er", "ing", "ment")]
    if not last.endswith("ing"):
        kin.append(stem)
    return tuple(needle(" ".join((*before, word))) for word in kin if word != last)


def phrases(texts: Iterable[str]) -> Phrases:
    """Return what finds any of the phrases exactly as they are."""
    found: dict[str, tuple[tuple[str, frozenset[str]], ...]] = {}
    for text in texts:
        words = tokens(text)
        form, anchor = _form(words)
        found[anchor] = (*found.get(anchor, ()), (form, frozenset(words)))
    return Phrases(anchors=frozenset(found), forms=found)


def _form(row: list[str]) -> tuple[str, str]:
    return f" {' '.join(row)} ", max(row, key=len)


def _numbers(word: str) -> tuple[str, ...]:
    """The word with its English singular and plural; short words stay as they are."""
    if len(word) < 3 or not word.isalpha():
        return (word,)
    if word.endswith("ies"):
        return (word, f"{word[:-3]}y")
    if word.endswith("s") and not word.endswith("ss"):
        return (word, word[:-1])
    if word.endswith("y") and word[-2] not in "aeiou":
        return (word, f"{word[:-1]}ies")
    return (word, f"{word}es" if word.endswith(("s", "x", "ch", "sh")) else f"{word}s")


def _fold_run(found: re.Match[bytes]) -> bytes:
    """Fold characters beyond ASCII, given as references one after the other."""
    known = _COMMON.get(found[0])
    if known is not None:
        return known
    numbers = map(int, found[0][2:-1].split(b";&#"))
    return _fold_text("".join(map(chr, numbers)))


def _fold_text(text: str) -> bytes:
    folded = _MARKS.sub("", text.casefold().translate(_LETTERS))
    return _NO_WORD.sub(" ", folded).encode()


_COMMON: Final = {
    f"&#{number};".encode(): _fold_text(chr(number))
    for span in (range(0x80, 0x250), range(0x300, 0x370), range(0x2000, 0x2100))
    for number in span
}
"""European letters, accents and punctuation, folded once."""
