"""Decoding answers: charset, XML, JSON that is strict where a key is needed, else tolerant."""

import re
import typing
from collections.abc import Callable
from typing import TypeVar
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

import attrs
import msgspec
from defusedxml.ElementTree import XMLParser  # type: ignore[import-untyped]  # it has no types

from jobping.core.page import Page
from jobping.errors import MalformedPage

Value = TypeVar("Value")

MAX_DEPTH = 100
"""Of XML; no feed is nested so deep."""

_ESCAPES = re.compile(
    rb"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\\.",
    re.S,
)
_CHARSET = re.compile(r"charset\s*=\s*\"?([\w.:-]+)", re.I)


def decode_tolerant(raw: bytes | msgspec.Raw, kind: type[Value]) -> Value:
    """Decode a JSON object into an attrs class; an optional key of a wrong type counts as missing.

    Half a surrogate pair, as a text cut within an emoji has it, becomes U+FFFD.

    Raises:
        ValueError: It is no object, or a key without default is missing or of a wrong type.
        RecursionError: It is nested too deep.
    """
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError:
        return _decode_by_key(bytes(raw), kind)
    except ValueError:
        repaired = _ESCAPES.sub(_whole, bytes(raw))
        if repaired == bytes(raw):
            raise
    try:
        return msgspec.json.decode(repaired, type=kind)
    except msgspec.ValidationError:
        return _decode_by_key(repaired, kind)


def _decode_by_key(raw: bytes, kind: type[Value]) -> Value:
    """Decode each key for itself; anything but an attrs class is refused as before."""
    build: Callable[..., Value] = kind
    if not attrs.has(kind):
        return msgspec.json.decode(raw, type=kind)
    fields = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    hints = typing.get_type_hints(kind)
    values: dict[str, object] = {}
    for member in attrs.fields(kind):
        is_required = member.default is attrs.NOTHING
        try:
            if is_required or member.name in fields:
                values[member.name] = msgspec.json.decode(
                    fields[member.name], type=hints[member.name]
                )
        except KeyError:
            raise ValueError(f"`{member.name}` is missing") from None
        except ValueError as error:
            if is_required:
                raise ValueError(f"`{member.name}`: {error}") from None
    return build(**values)


def read_json(page: Page, kind: type[Value], *, source: str, expected: str) -> Value:
    """Decode the body of a JSON answer.

    Args:
        expected: The known shape in words, for the operator.

    Raises:
        MalformedPage: Another content type, no JSON, or another shape.
    """
    check_media(page, ("json",), source=source)
    try:
        return decode_tolerant(page.body, kind)
    except (ValueError, RecursionError) as error:
        found = _shape(page.body)
        why = f"{source}: expected {expected}, found {found}: {reason_of(error)}"
        raise MalformedPage(why) from error


def check_media(page: Page, kinds: tuple[str, ...], *, source: str) -> None:
    """Raise MalformedPage unless the media type ends in one of the kinds, or none is stated."""
    media = page.media_type
    if media and not media.endswith(kinds):
        raise MalformedPage(f"{source}: content type {media[:80]!r} instead of {kinds[0]}")


def is_json_object(page: Page) -> bool:
    """Whether the page is a JSON object, as the error answers of most vendors are."""
    try:
        check_media(page, ("json",), source="")
        msgspec.json.decode(page.body, type=dict[str, msgspec.Raw])
    except (ValueError, RecursionError, MalformedPage):
        return False
    return True


def is_plain_not_found(page: Page) -> bool:
    """Whether the page is the plain text `Not Found`."""
    return page.media_type == "text/plain" and page.body.strip().lower() == b"not found"


class _Shallow(TreeBuilder):
    """Builds a tree that refuses to grow deeper than any feed is."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0

    def start(self, tag: str, attributes: dict[str, str], /) -> Element:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH}")
        return super().start(tag, attributes)

    def end(self, tag: str, /) -> Element:
        self._depth -= 1
        return super().end(tag)


def read_xml(page: Page, *, source: str) -> Element:
    """Parse without DTD, entities and external references; the charset of the header wins.

    Raises:
        MalformedPage: Another content type, no such XML, or one nested deeper than `MAX_DEPTH`.
    """
    check_media(page, ("xml",), source=source)
    has_charset = "charset" in (page.header("content-type") or "").lower()
    encoding = "utf-8" if has_charset else None
    parser = XMLParser(target=_Shallow(), encoding=encoding, forbid_dtd=True)
    try:
        parser.feed(page.body)
        root: Element = parser.close()
    except (ParseError, ValueError, LookupError) as error:
        raise MalformedPage(f"{source}: no readable XML: {str(error)[:200]}") from error
    return root


def in_utf8(source: str, page: Page) -> tuple[Page, int]:
    """Return the page with its body in UTF-8 without mark, and the number of lost characters."""
    declared = _CHARSET.search(page.header("content-type") or "")
    name = declared.group(1).lower() if declared else "utf-8"
    if name in ("utf-8", "utf8", "us-ascii", "ascii"):
        return attrs.evolve(page, body=page.body.removeprefix(b"\xef\xbb\xbf")), 0
    try:
        if name in ("utf-7", "utf7"):
            raise LookupError(name)
        text = page.body.decode(name, "replace")
    except (LookupError, ValueError) as error:
        raise MalformedPage(f"{source}: cannot read the charset {name[:40]!r}") from error
    return attrs.evolve(page, body=text.encode("utf-8", "replace")), text.count("\ufffd")


def reason_of(error: ValueError | RecursionError) -> str:
    """Return the reason in one short line."""
    return "nested too deep" if isinstance(error, RecursionError) else str(error)[:200]


def _whole(match: re.Match[bytes]) -> bytes:
    """Keep an escape unless it is half of a surrogate pair."""
    text = match.group()
    is_half = match.group(1) is None and text[1:2] == b"u"
    return rb"\ufffd" if is_half else text


def _shape(body: bytes) -> str:
    """Say in a few words what a body is."""
    try:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (ValueError, RecursionError):
        start = body.lstrip()[:1]
        return {b"[": "an array", b"{": "a broken object", b"": "nothing", b"<": "markup"}.get(
            start, "no JSON"
        )
    keys = ", ".join(repr(key[:40]) for key in sorted(fields)[:6])
    return f"an object with {keys}" if keys else "an empty object"
