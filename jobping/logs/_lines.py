"""One event as one line of JSON: encoded, masked, escaped and never too long. Pure."""

import ipaddress
import re
from collections.abc import Mapping
from pathlib import PurePath

import msgspec

LINE_BYTES = 3_500
"""Most bytes of a line with its prefix and end; `journalctl -o json` gives MESSAGE null from
4,088 bytes on (systemd#24186)."""

_ROOM = LINE_BYTES - len("<7>\n")
_ENVELOPE = frozenset({"ts", "event", "v", "level", "actor", "run", "seq", "cut", "uncatalogued"})
_UNSAFE = re.compile(
    rb"\x7f|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]"
)
"""DEL, C1 controls, and the separators and bidirectional controls that JSON leaves as they are."""

_DEL = 0x7F

_URL_USER = re.compile(rb"(://)[^/?#\s\"\\]*@")
_LOCAL = rb"A-Za-z0-9.!#$%&'+^_{}~\x80-\xff-"
_MAIL = re.compile(
    rb"(?<![" + _LOCAL + rb"\\])((?:\\u[0-9a-f]{4}|\\[^u])*)"
    rb"[" + _LOCAL + rb"]+@[A-Za-z0-9.\x80-\xff-]+"
)
"""All that `check_mail_address` takes, and more; what JSON escaped before it stays whole."""
_TOKEN = re.compile(rb"\bsk-[A-Za-z0-9_-]{6,}")
_BEARER = re.compile(rb"\b([Bb]earer\s+)[A-Za-z0-9._~+/=-]{6,}")
_QUERY = re.compile(
    rb"(?i)\b((?:api_?key|app_?id|app_?key|(?:access_)?token|key|secret|signature|pass(?:word|wd)?)"
    rb"\s*=\s*)(?:'[^']*'|[^&\s\"'\\#;,]+)"
)


def mask(text: bytes) -> bytes:
    """Replace what looks like a secret or a person.

    Keys, bearer tokens, users in URLs, secret parameters, mail addresses.

    Source:
        The list: design/security.md, section 6.
    """
    read = text.decode("utf-8", "replace")  # texts are searched faster than bytes
    if not ("@" in read or "=" in read or "sk-" in read or "earer" in read):
        return text
    if b"@" in text:
        text = _MAIL.sub(rb"\1***", _URL_USER.sub(rb"\1***@", text))
    if b"sk-" in text:
        text = _TOKEN.sub(b"sk-***", text)
    if b"=" in text:
        text = _QUERY.sub(rb"\1***", text)
    if b"earer" in text:
        text = _BEARER.sub(rb"\1***", text)
    return text


def mask_text(text: str) -> str:
    """Return the text with whatever looks like a secret replaced."""
    return mask(text.encode("utf-8", "replace")).decode()


def render(fields: Mapping[str, object]) -> bytes:
    """Return one JSON object without a line end, at most `LINE_BYTES` long with prefix and end."""
    line = mask(_encode(fields))
    if len(line) > _ROOM:
        line = _shorten(line)
    if line.isascii() and _DEL not in line:
        return line
    line = _UNSAFE.sub(_escape, line)
    return line if len(line) <= _ROOM else _UNSAFE.sub(_escape, _shorten(line))


def _escape(found: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(found[0].decode())


def _encode(fields: Mapping[str, object]) -> bytes:
    try:
        return _ENCODER.encode(fields)
    except (TypeError, ValueError, OverflowError, RecursionError):
        # a lone surrogate, a key that JSON has no form for, a cycle: each field by itself
        return _ENCODER.encode({_whole(key): _tame(value) for key, value in fields.items()})


def _tame(value: object) -> object:
    try:
        _ENCODER.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return _whole(str(value))
    return value


def _whole(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def foreign(value: object) -> str:
    """Return the log's text for a value that JSON does not know."""
    match value:
        case BaseException():
            return f"{type(value).__name__}: {value}"
        case PurePath() | ipaddress.IPv4Network() | ipaddress.IPv6Network():
            return str(value)
        case _:
            return repr(value)


_ENCODER = msgspec.json.Encoder(enc_hook=foreign)


def _shorten(line: bytes) -> bytes:
    """Cut the longest texts of a line that is already masked until it fits; other types stay."""
    fields: dict[str, object] = msgspec.json.decode(line)
    kept = {name: value for name, value in fields.items() if _is_kept(name, value)}
    # what is longer than a line cannot fit whatever it holds; so the loop below stays short
    free = {name: _clip(name, fields[name]) for name in fields if name not in kept}
    while len(line := _safe(kept | free | {"cut": True})) > _ROOM:
        sizes = {name: len(_safe(value)) for name, value in free.items()}
        name = max(sizes, key=lambda key: sizes[key], default=None)
        if name is None or sizes[name] < _SHORTEST:
            return _safe({name: _clip(name, value)[:_SHORTEST] for name, value in kept.items()})
        free[name] = _cut(name, free[name], len(line) - _ROOM, sizes[name])
    return line


def _is_kept(name: str, value: object) -> bool:
    return name in _ENVELOPE or value is None or isinstance(value, bool | int | float)


_SHORTEST = 16


def _safe(value: object) -> bytes:
    return _UNSAFE.sub(_escape, _ENCODER.encode(value))


def _clip(name: str, value: object) -> str:
    text = value if isinstance(value, str) else _ENCODER.encode(value).decode()
    return text[-LINE_BYTES:] if name in _ENDS_MATTER else text[:LINE_BYTES]


_ENDS_MATTER = frozenset({"traceback", "stack"})


def _cut(name: str, text: str, excess: int, size: int) -> str:
    """Take off about as many characters as make `excess` bytes, at least one, at most half."""
    most = len(text) - 1 - max(1, excess * len(text) // size)
    rest = max(len(text) // 2 - 1, most)
    return "…" + text[len(text) - rest :] if name in _ENDS_MATTER else text[:rest] + "…"
