"""Markup to plain text that keeps paragraphs and lists, and the scripts of a page."""

import re
from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

from jobping.core.text import MAX_MARKUP, fold_lines, is_safe_for_tree, strip_tags, unescape

_UNREAD_TAGS = "script style iframe svg template noscript head title object canvas math select"
_PARAGRAPH_TAGS = "p h1 h2 h3 h4 h5 h6 ul ol dl table blockquote pre section article header footer"
_LINE_TAGS = "div li tr br hr dt dd main aside figure address form fieldset center"
_UNREAD = frozenset(_UNREAD_TAGS.split())
_PARAGRAPHS = frozenset(_PARAGRAPH_TAGS.split())
_LINES = frozenset(_LINE_TAGS.split())
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.I)

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
    `MAX_MARKUP` characters is cut; markup that is nested too deep loses its structure.
    """
    cut = markup[:MAX_MARKUP]
    if "<" not in cut:
        return fold_lines(unescape(cut))
    if not is_safe_for_tree(cut):
        return fold_lines(unescape(strip_tags(cut)))
    lowered = cut.lower()
    may_hide = any(word in lowered for word in ("display", "visibility", "hidden"))
    body = LexborHTMLParser(f"<body>{cut}").body
    return "" if body is None else fold_lines(_render(body, may_hide=may_hide))


class _Writer:
    """Collects text and remembers the breaks that stand before the next piece."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.breaks = 0
        self.lists = 0
        self.bullet = ""

    def text(self, text: str) -> None:
        folded = " ".join(text.split())
        if not folded:
            if self.pieces and not self.breaks:
                self.pieces.append(" ")
            return
        if self.breaks or self.bullet:
            self.pieces.append("\n" * self.breaks + self.bullet)
            self.breaks, self.bullet = 0, ""
        elif text[0].isspace():
            folded = f" {folded}"
        self.pieces.append(f"{folded} " if text[-1].isspace() else folded)

    def enter(self, tag: str) -> None:
        self._break(tag)
        if tag in ("ul", "ol"):
            self.lists += 1
        elif tag == "li":
            self.bullet = "- "
        elif tag in ("td", "th") and not self.breaks:
            self.pieces.append(" ")

    def leave(self, tag: str) -> None:
        if tag in ("ul", "ol"):
            self.lists -= 1
        elif tag == "li":
            self.bullet = ""
        self._break(tag)

    def _break(self, tag: str) -> None:
        if tag in _PARAGRAPHS:
            self.breaks = max(self.breaks, 1 if self.lists else 2)
        elif tag in _LINES:
            self.breaks = max(self.breaks, 1)


def _render(root: LexborNode, *, may_hide: bool) -> str:
    """Walk the tree in document order without recursion; nodes are never compared: that is slow."""
    writer = _Writer()
    node, depth = root, 0
    while True:
        tag = node.tag or ""
        child = None
        if tag == "-text":
            writer.text(node.text_content or "")
        elif tag not in _UNREAD and not tag.startswith("-") and not (may_hide and _is_hidden(node)):
            writer.enter(tag)
            child = node.child
            if child is None:
                writer.leave(tag)
        if child is not None:
            node, depth = child, depth + 1
            continue
        while depth and node.next is None:
            parent = node.parent
            if parent is None:
                return "".join(writer.pieces)
            node, depth = parent, depth - 1
            writer.leave(node.tag or "")
        following = node.next if depth else None
        if following is None:
            return "".join(writer.pieces)
        node = following


def _is_hidden(node: LexborNode) -> bool:
    """Whether the element's own attributes hide it."""
    attributes = node.attributes
    return "hidden" in attributes or _HIDDEN.search(attributes.get("style") or "") is not None
