"""Bytes as received -> decoded bytes, under caps, with the end proved. No I/O."""

import zlib
from collections.abc import Iterator, Sequence

import attrs

from jobping.errors import MalformedPage

STEP_BYTES = 65_536
"""Most bytes that one step inflates: 200 MB of zeros are 194 kB on the wire, and the first chunk
that httpx decodes of them has 67 MB."""
STEPS_PER_TURN = 16
"""Steps before others run: 10 MiB inflated in one go hold the loop for 30 ms."""
MAX_MEMBERS = 1024
"""Our choice: 10 MiB in blocks of 64 KiB are 160; each costs a few microseconds to set up."""


@attrs.define(eq=False, kw_only=True)
class Body:
    """Collects one decoded body.

    Attributes:
        ceiling: Most decoded bytes.
        ratio: Most decoded bytes per received byte, asked once 64 KiB are decoded.
    """

    ceiling: int
    ratio: int
    _parts: list[bytes] = attrs.field(factory=list, init=False)
    _received: int = attrs.field(default=0, init=False)
    decoded: int = attrs.field(default=0, init=False)

    def feed(self, chunk: bytes) -> Iterator[None]:
        """Take a chunk; yields about once a MiB, so that the caller can let others run.

        Raises:
            MalformedPage: A cap is passed, or the coding is broken.
        """
        self._received += len(chunk)
        self._keep(chunk)
        return iter(())

    def finish(self) -> bytes:
        """Return the decoded body.

        Raises:
            MalformedPage: The coding says that more must follow.
        """
        return b"".join(self._parts)

    def _keep(self, part: bytes) -> None:
        self.decoded += len(part)
        if self.decoded > self.ceiling:
            raise MalformedPage("decoded_bytes")
        if self.decoded > STEP_BYTES and self.decoded > self.ratio * self._received:
            raise MalformedPage("ratio")
        self._parts.append(part)


@attrs.define(eq=False, kw_only=True)
class GzipBody(Body):
    """A body in gzip, of one or more members (RFC 1952 section 2.2)."""

    _inflater: "zlib._Decompress" = attrs.field(factory=lambda: zlib.decompressobj(31), init=False)
    _members: int = attrs.field(default=1, init=False)
    _steps: int = attrs.field(default=0, init=False)

    def feed(self, chunk: bytes) -> Iterator[None]:
        """Inflate a chunk in steps of at most 64 KiB; see `Body.feed`."""
        self._received += len(chunk)
        while chunk:
            if self._inflater.eof:
                self._begin_member()
            try:
                self._keep(self._inflater.decompress(chunk, STEP_BYTES))
            except zlib.error as error:
                raise MalformedPage("gzip") from error
            chunk = self._inflater.unconsumed_tail or self._inflater.unused_data
            self._steps += 1
            if self._steps % STEPS_PER_TURN == 0:
                yield

    def finish(self) -> bytes:
        """Return the decoded body; see `Body.finish`."""
        if not self._inflater.eof:
            raise MalformedPage("gzip_cut")
        return super().finish()

    def _begin_member(self) -> None:
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise MalformedPage("gzip_members")
        self._inflater = zlib.decompressobj(31)


def body_for(codings: Sequence[str], *, ceiling: int, ratio: int) -> Body:
    """Return the collector for an answer's Content-Encoding.

    Args:
        codings: The fields as received; one coding, gzip or identity, is what we ask for.
        ceiling: Most decoded bytes.
        ratio: Most decoded bytes per received byte.

    Raises:
        MalformedPage: Another coding, or more than one.
    """
    names = [name.strip().lower() for field in codings for name in field.split(",")]
    match [name for name in names if name]:
        case [] | ["identity"]:
            return Body(ceiling=ceiling, ratio=ratio)
        case ["gzip"] | ["x-gzip"]:
            return GzipBody(ceiling=ceiling, ratio=ratio)
        case _:
            raise MalformedPage("content_encoding")
