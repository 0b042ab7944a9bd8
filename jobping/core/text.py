"""Texts of strangers: repair, unescape, fold. Every function is linear in the text's length."""

import html
import re

MAX_MARKUP = 65_536
"""Most characters of one posting's markup that are read; the largest recorded one has 29,000."""
MAX_DEPTH = 200
MAX_ATTRIBUTES = 100

_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufffe\uffff"
    "\ud800-\udfff]"
)
_TAG = re.compile(r"<(/?)([a-zA-Z][\w:-]*)((?:\"[^\"]*\"|'[^']*'|[^'\">])*)")
_MARKUP = re.compile(r"<[/!?a-zA-Z][^>]*(?:>|\Z)")
_UNREAD = re.compile(
    r"<!--.*?(?:-->|\Z)|<(script|style|iframe|svg|template|noscript|textarea|title|xmp)\b.*?"
    r"(?:</\1[^>]*(?:>|\Z)|\Z)",
    re.S | re.I,
)
_SHALLOW_TAGS = (
    "p li dt dd tr td th option br hr img input meta link wbr col area base embed source"
)
_SHALLOW = frozenset(_SHALLOW_TAGS.split())
"""Elements that never nest in themselves: void, or closed by the next of their kind."""


def drop_controls(text: str) -> str:
    """Remove control, direction and invisible characters and lone surrogates; keep tab and LF."""
    return _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n").replace("\x85", "\n"))


def unescape(text: str) -> str:
    """Resolve character references until nothing changes, at most twice."""
    for _ in range(2):
        resolved = html.unescape(text)
        if resolved == text:
            break
        text = resolved
    return text


def clean_line(text: str | None) -> str:
    """Return a title or name as one line: references resolved, blanks folded, ends stripped."""
    return " ".join(drop_controls(unescape(text)).split()) if text else ""


def repair_mojibake(text: str) -> str:
    """Undo UTF-8 that was read as Latin-1; any text that is not wholly such stays as it is.

    Source:
        Remote OK, recorded answer: 50 of 64 descriptions change, cp1252 repairs none of them.
    """
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def is_safe_for_tree(markup: str) -> bool:
    """Whether a tree parser reads the markup in time linear in its length.

    Source:
        design/security.md section 3: nested elements and many attributes are quadratic.
    """
    depth = 0
    opened: dict[str, int] = {}
    for match in _TAG.finditer(_UNREAD.sub("", markup)):
        closing, name, rest = match.groups()
        if len(rest) > 2 * MAX_ATTRIBUTES and len(rest.split()) > 10 * MAX_ATTRIBUTES:
            return False
        name = name.lower()
        if name in _SHALLOW or (closing and not opened.get(name)):
            continue
        step = -1 if closing else 1
        opened[name] = opened.get(name, 0) + step
        depth += step
        if depth > MAX_DEPTH:
            return False
    return True


def strip_tags(markup: str) -> str:
    """Return the text between the tags, without structure; for markup too deep for a tree."""
    return _MARKUP.sub(" ", _UNREAD.sub(" ", markup))


def fold_lines(text: str) -> str:
    """Strip each line, fold blanks within it, and keep at most one empty line in a row."""
    lines = [" ".join(line.split()) for line in drop_controls(text).split("\n")]
    kept: list[str] = []
    for line in lines:
        if line or (kept and kept[-1]):
            kept.append(line)
    return "\n".join(kept).strip()
