"""What a board holds, what is asked and what is answered, as values."""

import datetime as dt
import email.utils
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import attrs
import msgspec

from jobping.core.ids import SourceName

JSON: Final = "application/json; charset=utf-8"
HTML: Final = "text/html; charset=utf-8"
TEXT: Final = "text/plain; charset=utf-8"
XML: Final = "text/xml; charset=UTF-8"


@attrs.frozen
class Whole:
    """A board's answer, served byte for byte."""

    body: bytes = attrs.field(repr=False)
    media_type: str = JSON


@attrs.frozen
class Items:
    """A board's postings, each as the source writes one; the site puts the envelope around them.

    Attributes:
        total: What the source says the board holds, where that is more than the items.
    """

    items: tuple[bytes, ...] = attrs.field(repr=False)
    total: int | None = None


Content = Whole | Items
Shelf = Mapping[str, Content]
"""The boards of one source by their slugs."""


@attrs.frozen(kw_only=True)
class Asked:
    """A request, read.

    Attributes:
        parts: The parts of the path, percent-decoded.
        query: The last value of each parameter.
        headers: By lower-case name.
        place: `http://host:port` that was asked.
        serial: Number of the request at this source, from 1.
        as_of: The world's time, aware UTC.
    """

    method: str
    path: str
    parts: tuple[str, ...]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    place: str
    serial: int
    as_of: dt.datetime

    def number(self, name: str, default: int) -> int:
        """Return a parameter that is a whole number, else the default."""
        text = self.query.get(name, "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else default


@attrs.frozen(kw_only=True)
class Answer:
    """An HTTP response."""

    status: int = 200
    media_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = attrs.field(default=b"", repr=False)


@attrs.frozen(kw_only=True)
class Site:
    """One source as a server sees it.

    Attributes:
        base_path: What follows host and port in the source's base URL; holds `{slug}` where each
            company has a host of its own.
        robots: Its robots.txt, or None where it has none.
        respond: From a request and the source's boards to the answer.
    """

    source: SourceName
    base_path: str = ""
    robots: bytes | None = None
    respond: Callable[[Asked, Shelf], Answer]


def json_answer(value: object, *, status: int = 200) -> Answer:
    """Return a value as a JSON answer."""
    return Answer(status=status, body=msgspec.json.encode(value))


def whole_answer(whole: Whole) -> Answer:
    """Return a recorded answer as it was."""
    return Answer(media_type=whole.media_type, body=whole.body)


def array(items: Sequence[bytes]) -> bytes:
    """Return JSON items as an array."""
    return b"[" + b",".join(items) + b"]"


def envelope(key: str, items: Sequence[bytes], **others: object) -> Answer:
    """Return JSON items under a key, before the other keys."""
    fields = {key: msgspec.Raw(array(items)), **others}
    return Answer(body=msgspec.json.encode(fields))


def items_of(content: Content, key: str | None) -> tuple[bytes, ...]:
    """Return the items of a board, also of a whole JSON answer that holds them under the key."""
    if isinstance(content, Items):
        return content.items
    if key is None:
        return tuple(map(bytes, msgspec.json.decode(content.body, type=list[msgspec.Raw])))
    fields = msgspec.json.decode(content.body, type=dict[str, msgspec.Raw])
    found = fields.get(key, msgspec.Raw(b"[]"))
    return tuple(map(bytes, msgspec.json.decode(found, type=list[msgspec.Raw])))


def tagged(asked: Asked, answer: Answer) -> Answer:
    """Add a weak ETag, and answer 304 to one who has the body already."""
    if answer.status != 200:
        return answer
    tag = f'W/"{len(answer.body):x}-{zlib.crc32(answer.body):08x}"'
    return _unless_known(answer, ("etag", tag), asked.headers.get("if-none-match") == tag)


def dated(asked: Asked, answer: Answer) -> Answer:
    """Add Last-Modified, and answer 304 to one who has that version already."""
    date = email.utils.format_datetime(asked.as_of.astimezone(dt.UTC), usegmt=True)
    return _unless_known(
        answer, ("last-modified", date), asked.headers.get("if-modified-since") == date
    )


def with_headers(answer: Answer, *headers: tuple[str, str]) -> Answer:
    """Add fields to an answer."""
    return attrs.evolve(answer, headers=(*answer.headers, *headers))


def _unless_known(answer: Answer, validator: tuple[str, str], is_known: bool) -> Answer:
    answer = with_headers(answer, validator)
    return attrs.evolve(answer, status=304, body=b"") if is_known else answer
