"""Postings in the microdata of a page, in the form of JSON-LD; for pages that have none of that.

One pass over the tags and no tree: time is linear, whatever the nesting.

Source:
    HTML standard, section "Microdata".
"""

import html
import re
from typing import Final

import attrs

from jobping.core.text import MAX_MARKUP
from jobping.sources.text import TAG, VOID, html_to_text

MOST: Final = 4 * MAX_MARKUP
"""Characters that are read, from the first posting on."""
MAX_TEXT: Final = 4_000
"""Of anything but a description, markup included."""
MAX_DEPTH: Final = 200
"""Of open elements; what stands behind a page that is deeper is not read."""

_POSTING: Final = "schema.org/JobPosting"
_ATTRIBUTE = re.compile(
    r"[\s\"'](itemscope|itemprop|itemtype|content|href|datetime)(?=[\s=>/])"
    r"(?:\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s>]*+)))?",
    re.I,
)


@attrs.frozen
class _Open:
    """An element that is not closed yet.

    Attributes:
        at: Where its content begins.
        item: What it describes, or None.
        names: What its text is called in the item around it.
    """

    name: str
    at: int
    item: dict[str, object] | None
    names: tuple[str, ...]


def read_microdata(markup: str) -> list[dict[str, object]]:
    """Return the postings of a page in their order."""
    start = markup.find(_POSTING)
    if start < 0:
        return []
    read = markup[max(0, markup.rfind("<", 0, start)) :][:MOST]
    found: list[dict[str, object]] = []
    opened: list[_Open] = []
    for tag in TAG.finditer(read):
        name = (tag[1] or "").lower()
        if name.startswith("/"):
            _close(opened, name[1:], read, tag.start())
        elif name:
            one = _begin(opened, name, tag)
            if one.item is not None and str(one.item["@type"]).endswith(_POSTING):
                found.append(one.item)
            if name not in VOID:
                opened.append(one)
        if len(opened) > MAX_DEPTH:
            break
    return found


def _begin(opened: list[_Open], name: str, tag: re.Match[str]) -> _Open:
    """Read a start tag; what it says itself goes to the item around it at once."""
    stated = {
        each[1].lower(): html.unescape(each[2] or each[3] or each[4] or "").strip()
        for each in _ATTRIBUTE.finditer(tag[0])
    }
    names = tuple(stated.get("itemprop", "").split())
    item: dict[str, object] | None = None
    if "itemscope" in stated:
        item = {"@type": stated.get("itemtype", "")}
    texts = (stated[key] for key in ("content", "datetime", "href") if key in stated)
    value = item or next(texts, None)
    if value is not None:
        _put(opened, names, value)
        names = ()
    return _Open(name, tag.end(), item, names)


def _close(opened: list[_Open], name: str, read: str, end: int) -> None:
    """Close the innermost element of that name, and those left open in it."""
    depth = next((at for at in range(len(opened) - 1, -1, -1) if opened[at].name == name), None)
    if depth is None:
        return
    while len(opened) > depth:
        one = opened.pop()
        if one.names:
            inner = read[one.at : end]
            is_text = "description" not in one.names
            _put(opened, one.names, html_to_text(inner[:MAX_TEXT]) if is_text else inner)


def _put(opened: list[_Open], names: tuple[str, ...], value: object) -> None:
    """Add a value to the innermost item; a name that comes again has a list."""
    item = next((one.item for one in reversed(opened) if one.item is not None), None)
    if item is None:
        return
    for name in names:
        before = item.get(name)
        if isinstance(before, list):
            before.append(value)
        else:
            item[name] = value if before is None else [before, value]
