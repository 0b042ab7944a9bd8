"""One event as a line for people: local time, level, event and fields in columns. Pure."""

import datetime as dt
from collections.abc import Mapping

from jobping.core.printable import printable
from jobping.logs._lines import foreign, mask

_COLOURS = {"debug": "2", "info": "32", "warning": "33", "error": "1;31"}
_HIDDEN = frozenset({"ts", "event", "v", "level", "actor", "run", "seq"})
_EVENT_WIDTH = 21
_FEW = 10
"""A line of more fields leaves out those that are zero (our choice)."""
_VALUE_WIDTH = 240


def render(fields: Mapping[str, object], *, colour: bool) -> bytes:
    """Return one line, or several where a value has several, without the last line end."""
    level, event = str(fields["level"]), str(fields["event"])
    free = [(key, value) for key, value in fields.items() if key not in _HIDDEN and _says(value)]
    shown = [(key, value) for key, value in free if len(free) <= _FEW or not _is_zero(value)]
    pairs = [(key, _text(key, value)) for key, value in shown if not _is_block(value)]
    blocks = [str(value) for _key, value in shown if _is_block(value)]
    head = [
        _paint(_local_time(fields["ts"]), "2", colour),
        _paint(f"{level:<7}", _COLOURS[level], colour),
        _paint(f"{printable(event):<{_EVENT_WIDTH}}", "1", colour),
    ]
    tail = [_paint(f"{key}=", "36", colour) + text for key, text in pairs]
    lines = [" ".join(head + tail).rstrip(), *(_indent(block) for block in blocks)]
    return mask("\n".join(lines).encode("utf-8", "replace"))


def _says(value: object) -> bool:
    return value is not None and value != "" and value != [] and value != () and value != {}


def _is_zero(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 0.005


def _is_block(value: object) -> bool:
    return isinstance(value, str) and "\n" in value.strip()


def _local_time(ts: object) -> str:
    moment = dt.datetime.fromtimestamp(int(str(ts)) / 1_000_000, dt.UTC).astimezone()
    return moment.strftime("%H:%M:%S")


def _text(key: str, value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case float() if key.endswith("_s"):
            return f"{value:.2f}s" if value < 100 else f"{value:.0f}s"
        case float():
            return f"{value:.6g}"
        case int() if key.endswith("bytes") and value < 2**64:
            return _size(value)
        case str():
            return _quoted(value)
        case int():
            return str(value)
        case list() | tuple() | set() | frozenset():
            return _quoted(", ".join(str(item) for item in value))
        case Mapping():
            return _quoted(", ".join(f"{name}: {item}" for name, item in value.items()))
        case _:
            return _quoted(foreign(value))


def _quoted(text: str) -> str:
    text = printable(text, _VALUE_WIDTH)
    quote = "'" if '"' in text else '"'
    return f"{quote}{text}{quote}" if " " in text or not text else text


def _size(count: int) -> str:
    for unit, size in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.1f}{unit}"
    return f"{count}B"


def _indent(block: str) -> str:
    lines = block.strip().split("\n")
    blanks = (len(line) - len(line.lstrip(" ")) for line in lines)
    pairs = zip(blanks, lines, strict=True)
    return "\n".join(" " * (4 + n) + printable(line, _VALUE_WIDTH) for n, line in pairs)


def _paint(text: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text
