"""Text of strangers made safe to show on one line: in a mail, on a page, on a terminal."""

import re
from typing import Final
from urllib.parse import quote, urlsplit

TITLE_LIMIT: Final = 200
"""Most characters of a title or name that are shown (design/security.md, section 4)."""

_URL_LIMIT: Final = 2_000
_HOST: Final = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")
_URL_SAFE: Final = "!#$%&'()*+,/:;=?@[]~"

_GONE: Final = re.compile(
    "[\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff"
    "\ufff9-\ufffb\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Directions, invisible characters, noncharacters and lone surrogates."""
_BLANKS: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
"""White space, line and paragraph separators, C0 and C1 control characters."""


def printable(text: str, limit: int = TITLE_LIMIT) -> str:
    """Return the text as one line without control, direction or invisible characters.

    Args:
        limit: Most characters of the answer; a longer text ends with an ellipsis.
    """
    line = _BLANKS.sub(" ", _GONE.sub("", text[: 8 * limit])).strip()
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def link(url: str) -> tuple[str, str] | None:
    """Return the URL in ASCII and the host to show beside it; None where it is no web link.

    What is already percent-encoded stays as it was sent.
    """
    cleaned = _BLANKS.sub("", _GONE.sub("", url))
    try:
        parts = urlsplit(cleaned)
        host = (parts.hostname or "").encode("idna").decode("ascii")
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(host):
        return None
    if parts.username is not None or parts.password is not None or len(cleaned) > _URL_LIMIT:
        return None
    shown = f"[{host}]" if ":" in host else host
    rest = parts._replace(scheme="", netloc="").geturl()
    return f"{parts.scheme}://{shown}{port}{quote(rest, safe=_URL_SAFE)}", shown + port
