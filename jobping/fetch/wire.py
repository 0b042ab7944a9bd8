"""What crosses a connection during one exchange: phase, bytes, caps. No I/O of its own."""

import enum
import re
from collections.abc import Awaitable, Callable

import attrs

from jobping.clock import Clock
from jobping.core.ids import Domain, Monotonic
from jobping.errors import MalformedPage

MIB = 1024 * 1024
HEAD_READ_BYTES = 8192
"""Most bytes of one read while headers are missing: 32 KiB of tiny 1xx answers parse in 27 ms."""


@attrs.frozen(kw_only=True)
class FetchLimits:
    """The caps of every exchange; sizes in bytes. The cap on a decoded body is its request's own.

    Attributes:
        header_bytes: Status line and headers of all 1xx and the final answer.
        wire_bytes: Everything received in one exchange, headers and chunk framing included.
        ratio: Decoded to received bytes of a body, asked once 64 KiB are decoded; recorded boards
            have about 8.5.
        keepalive_seconds: How long an idle connection may be used again.
        in_flight: Exchanges at once over all domains.
        big_bodies: Of these, bodies over 1 MiB: 64 x 1 + 8 x 10 = 144 MiB at worst.
        drain_bytes: Most of an unwanted body (redirect, error) read to keep its connection.
        drain_seconds: How long that may take.
    """

    header_bytes: int = 32_768
    wire_bytes: int = 10 * MIB
    ratio: int = 100
    keepalive_seconds: float = 60.0
    in_flight: int = 64
    big_bodies: int = 8
    drain_bytes: int = 65_536
    drain_seconds: float = 2.0


class Phase(enum.Enum):
    """How far an exchange came."""

    RESOLVE = "resolve"
    CONNECT = "connect"
    TLS = "tls"
    SEND = "send"
    HEAD = "head"
    BODY = "body"
    DONE = "done"


class Framing(enum.Enum):
    """What ends a body (RFC 9112 section 6.3)."""

    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"


class HeadTooLong(Exception):
    """The headers, or a row of 1xx answers, passed `header_bytes`."""


_BLANK_LINE = re.compile(rb"\n\r?\n")
_INTERIM = re.compile(rb"HTTP/[0-9]\.[0-9] 1")
_LAST_CHUNK = b"0\r\n\r\n"


@attrs.define(eq=False, kw_only=True)
class Wire:
    """One exchange as its connection sees it.

    Attributes:
        origin: Scheme and network location: the key of the connection.
        sent_at: When its latest bytes were about to leave us, or had left; None: nothing was sent.
        received: Bytes read in this exchange.
        fail: Set to stop early: the next read raises it from below, so that every generator above
            unwinds. Leaving the body by `break` would leave them to the garbage collector.
        pause: Awaited once before the next read, for the same reason inside the read.
        on_sent: Called when the first byte is about to leave.
    """

    origin: tuple[str, Domain]
    limits: FetchLimits
    on_sent: Callable[[], None]
    clock: Clock
    phase: Phase = Phase.RESOLVE
    sent_at: Monotonic | None = None
    received: int = 0
    framing: Framing = Framing.LENGTH
    fail: Exception | None = None
    pause: Callable[[], Awaitable[None]] | None = None
    _head: bytearray = attrs.field(factory=bytearray, init=False)
    _tail: bytes = attrs.field(default=b"", init=False)
    _expected: int = attrs.field(default=-1, init=False)

    def begin_write(self) -> None:
        """Note that bytes of the request are about to leave."""
        self.phase = Phase.SEND
        if self.sent_at is None:
            self.on_sent()
        self.sent_at = self.clock.monotonic()

    def end_write(self) -> None:
        """Note that these bytes have left."""
        self.sent_at = self.clock.monotonic()

    def begin_read(self, wanted: int) -> int:
        """Return how many bytes the next read may bring.

        Raises:
            HeadTooLong: The headers are still missing and their cap is used up.
            Exception: What `fail` holds.
        """
        if self.fail is not None:
            raise self.fail
        if self.phase is Phase.BODY:
            return wanted
        self.phase = Phase.HEAD
        room = self.limits.header_bytes - self.received
        if room <= 0:
            raise HeadTooLong(f"more than {self.limits.header_bytes} bytes of headers")
        return min(wanted, room, HEAD_READ_BYTES)

    def end_read(self, chunk: bytes) -> None:
        """Count a chunk.

        Raises:
            MalformedPage: The exchange passed `wire_bytes`.
        """
        self.received += len(chunk)
        if self.phase is Phase.HEAD:
            self._head += chunk
        self._tail = (self._tail + chunk[-len(_LAST_CHUNK) :])[-len(_LAST_CHUNK) :]
        if self.received > self.limits.wire_bytes:
            raise MalformedPage("wire_bytes")

    def end_head(self, framing: Framing, length: int) -> None:
        """Note that the headers are complete.

        Args:
            framing: What ends the body.
            length: Bytes of the body where the framing is LENGTH.
        """
        self.phase = Phase.BODY
        self.framing = framing
        self._expected = _head_length(bytes(self._head)) + length
        self._head.clear()

    def is_clean(self) -> bool:
        """Say whether the connection holds nothing beyond this exchange's answer.

        httpx and httpcore hand surplus bytes to the next request as its answer.
        """
        match self.framing:
            case Framing.LENGTH:
                return self.received == self._expected
            case Framing.CHUNKED:
                return self._tail == _LAST_CHUNK
            case Framing.CLOSE:
                return False


def _head_length(head: bytes) -> int:
    """Return the length of all 1xx answers and the final header block, or -1."""
    start = 0
    while blank := _BLANK_LINE.search(head, start):
        if not _INTERIM.match(head, start):
            return blank.end()
        start = blank.end()
    return -1
