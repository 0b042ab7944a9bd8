"""Markup to plain text that keeps paragraphs and lists, and the scripts of a page."""

import html
import re
from collections.abc import Iterator
from typing import Final

from jobping.core.text import MAX_MARKUP, drop_controls, fold_lines, unescape

_PARAGRAPH_TAGS = "p h1 h2 h3 h4 h5 h6 dl table blockquote pre section article header footer"
_LINE_TAGS = "div tr br hr dt dd main aside figure address form fieldset center"
_INLINE_TAGS = "a b code em font i small span strong u"
_RAW = frozenset(["script", "style", "iframe", "noscript", "title"])
"""Elements whose content is no markup, so that they cannot stand in themselves."""
_UNREAD = _RAW | frozenset(["svg", "template", "head", "object", "canvas", "math", "select"])
_HIDING = ("none", "hidden")
_VOID_TAGS = "br hr img input meta link wbr col area base embed source"
VOID = frozenset(_VOID_TAGS.split())
TAG = re.compile(
    r"<(?:(/?[a-zA-Z][^\s/>]*+)(?:[^>=]++|=\s*+(?:\"[^\"]*+\"|'[^']*+')?+)*+>?"
    r"|!--.*?(?:-->|\Z)|[!?/][^>]*+>?)",
    re.S,
)
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|\shidden(?=[\s=>/])", re.I)


_INLINE: Final = (0, 0, None)
_CELL: Final = (0, 0, "")
_MARKS: Final[dict[str | None, tuple[int, int, str | None]]] = {
    **{f"{end}{name}": (2, 0, None) for name in _PARAGRAPH_TAGS.split() for end in ("", "/")},
    **{f"{end}{name}": (1, 0, None) for name in _LINE_TAGS.split() for end in ("", "/")},
    **dict.fromkeys(("ul", "ol"), (2, 1, None)),
    **dict.fromkeys(("/ul", "/ol"), (2, -1, None)),
    "li": (1, 0, "- "),
    "/li": (1, 0, ""),
    **dict.fromkeys(("td", "th"), _CELL),
    **{f"{end}{name}": _INLINE for name in _INLINE_TAGS.split() for end in ("", "/")},
}
"""What a tag does: the line feeds it asks for, the lists it opens, the bullet after it."""

_SCRIPT_START = re.compile("<script", re.I)
_SCRIPT_END = re.compile("</script", re.I)
_SCRIPT_TAG = re.compile(r"<script((?:\s(?:\"[^\"]*\"|'[^']*'|[^'\">])*)?)>", re.I)
_TYPE = re.compile(r"\stype\s*=\s*[\"']?\s*([^\s\"'>;]+)", re.I)
_MAX_TAG = 2_000
MAX_SCRIPTS = 1_000


def script_texts(markup: str, kind: str) -> Iterator[str]:
    """Yield the raw texts of the `<script>` elements of a media type, at most `MAX_SCRIPTS`.

    No tree is built: the page may be of any size and depth.
    """
    at = 0
    for _ in range(MAX_SCRIPTS):
        start = _SCRIPT_START.search(markup, at)
        if start is None:
            return
        at = start.end()
        tag = _SCRIPT_TAG.match(markup, start.start(), start.start() + _MAX_TAG)
        if tag is None:
            continue
        end = _SCRIPT_END.search(markup, tag.end())
        if end is None:
            return
        found = _TYPE.search(tag.group(1))
        if found and found.group(1).lower() == kind:
            yield markup[tag.end() : end.start()]
        at = end.end()


def html_to_text(markup: str) -> str:
    """Return the text of a piece of HTML: blocks as lines, list items behind `- `.

    Scripts, styles and hidden parts are left out; unclosed tags are tolerated. Markup beyond
    `MAX_MARKUP` characters is cut. No tree is built: time is linear, whatever the nesting.
    """
    cut = markup[:MAX_MARKUP]
    if "<" not in cut:
        return fold_lines(unescape(cut))
    lowered = cut.lower()
    if any(sign in lowered for sign in _HIDING):
        cut = _without_unread(cut)
    text = _render(cut)
    return _render(_without_unread(cut)) or "" if text is None else text


def _without_unread(markup: str) -> str:
    """Return the markup without comments and elements that are hidden or not read."""
    kept: list[str] = []
    at = kept_to = 0
    while tag := TAG.search(markup, at):
        at = tag.end()
        name = (tag[1] or "").lower()
        if name and name not in _UNREAD and (name[0] == "/" or not _HIDDEN.search(tag[0])):
            continue
        kept.append(markup[kept_to : tag.start()])
        at = kept_to = _end_of(markup, at, name) if name and name not in VOID else at
    return "".join((*kept, markup[kept_to:]))


def _end_of(markup: str, at: int, name: str) -> int:
    """Return where an element ends that began before `at`: behind its end tag, else at the end."""
    depth = 1
    tags = re.compile(rf"<(/?){re.escape(name)}(?![\w:-])[^>]*+>?", re.I)
    for tag in tags.finditer(markup, at):
        depth += -1 if tag[1] else name not in _RAW
        if not depth:
            return tag.end()
    return len(markup)


def _render(markup: str) -> str | None:
    """Write line after line; None at what is not read.

    The dearest loop of a poll, so it calls little.
    """
    pieces: list[str] = []
    line = bullet = ""
    breaks = lists = 0
    parts = TAG.split(f"{markup}<br>")
    for text, name in zip(parts[::2], parts[1::2], strict=False):
        if text:
            line += text
        mark = _MARKS.get(name)
        if mark is None and (name is None or (mark := _MARKS.get(name.lower())) is None):
            if name is None or name.lower() in _UNREAD:
                return None
            continue
        if mark is _INLINE:
            continue
        if mark is _CELL:
            line += " "
            continue
        if line:
            if "&" in line:
                line = html.unescape(line)
            is_folded = line.isprintable() and "  " not in line
            line = line.strip() if is_folded else " ".join(drop_controls(line).split())
            if line:
                pieces.append("\n" * breaks + bullet + line)
                line, bullet, breaks = "", "", 0
        wanted, step, after = mark
        if step < 0 < lists:
            lists -= 1
        if breaks < wanted:
            breaks = 1 if lists else wanted
        if step > 0:
            lists += 1
        if after is not None:
            bullet = after
    return "".join(pieces).strip()
