"""One httpcore connection per origin behind httpx.

Not the stock pool: it walks all its connections for each request, and loses slots for ever when
requests are cancelled while others wait (encode/httpcore#1093).
"""

import ssl
from collections.abc import AsyncIterator

import attrs
import httpcore
import httpx
import trio

from jobping.core.ids import Domain
from jobping.errors import MalformedPage
from jobping.fetch.network import Guard, Line
from jobping.fetch.wire import Framing, Phase, Wire

Origin = tuple[str, Domain]
LOCATION = "location"
"""Extension of a response: its Location fields, kept from httpx, which parses them and raises."""
CLOSE_SECONDS = 1.0
"""Our choice: how long httpcore may take to end an exchange; unshielded, a cancelled read would
leave its connection active for ever."""
MAX_PIECES = 20_000
"""Our choice: a body in chunks of one byte costs h11 some 20 us each; boards send kilobytes."""
PIECES_PER_TURN = 256
_WITHHELD = (b"location", b"set-cookie")
BODILESS = (204, 304)
"""Statuses whose answers have no body, whatever their headers say (RFC 9112 section 6.3)."""


@attrs.define(eq=False, kw_only=True)
class _Slot:
    connection: httpcore.AsyncHTTPConnection
    line: Line
    busy: bool = False
    used: bool = False


@attrs.define(eq=False, kw_only=True)
class OriginTransport(httpx.AsyncBaseTransport):
    """Keeps at most one connection per origin; one exchange at a time on each.

    Attributes:
        reused: Requests that went over a connection used before.
    """

    guard: Guard
    tls: ssl.SSLContext
    keepalive_seconds: float
    reused: int = 0
    _slots: dict[Origin, _Slot] = attrs.field(factory=dict, init=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request whose extension `wire` is the exchange's `Wire`.

        Raises:
            RuntimeError: Its origin is busy: two actors own one host.
        """
        wire: Wire = request.extensions["wire"]
        slot = self._take(wire, request.url)
        answer: httpcore.Response | None = None
        try:
            answer = _checked(await slot.connection.handle_async_request(_core(request)), wire)
        finally:
            if answer is None:
                self._drop(slot)
        wire.end_head(*_framing(answer, request.method))
        return httpx.Response(
            status_code=answer.status,
            headers=[field for field in answer.headers if field[0].lower() not in _WITHHELD],
            stream=_AnswerStream(transport=self, slot=slot, answer=answer),
            extensions={**answer.extensions, LOCATION: _fields(answer, b"location")},
        )

    def rest(self, domain: Domain) -> None:
        """Close the idle connections of a network location."""
        for scheme in ("http", "https"):
            slot = self._slots.get((scheme, domain))
            if slot is not None and not slot.busy:
                self._drop(slot)

    async def aclose(self) -> None:
        """Close every connection."""
        for slot in tuple(self._slots.values()):
            self._drop(slot)
        await trio.lowlevel.checkpoint()

    def _take(self, wire: Wire, url: httpx.URL) -> _Slot:
        slot = self._slots.get(wire.origin)
        if slot is not None and slot.busy:
            raise RuntimeError(f"second exchange on the connection of {wire.origin}")
        if slot is not None and not _is_reusable(slot.connection):
            self._drop(slot)
            slot = None
        if slot is None:
            slot = self._slots[wire.origin] = self._connection(wire, url)
        self.reused += slot.used
        slot.busy = slot.used = True
        slot.line.wire = wire
        return slot

    def _connection(self, wire: Wire, url: httpx.URL) -> _Slot:
        line = Line(guard=self.guard, wire=wire)
        connection = httpcore.AsyncHTTPConnection(
            origin=_core_url(url).origin,
            ssl_context=self.tls,
            keepalive_expiry=self.keepalive_seconds,
            network_backend=line,
        )
        return _Slot(connection=connection, line=line)

    def settle(self, slot: _Slot) -> None:
        """Keep the connection of an ended exchange if nothing is left on it, else close it."""
        if slot.connection.is_idle() and slot.line.wire.is_clean():
            slot.busy = False
        else:
            self._drop(slot)

    def _drop(self, slot: _Slot) -> None:
        origin = slot.line.wire.origin
        if self._slots.get(origin) is slot:
            del self._slots[origin]
        slot.line.close()


@attrs.define(eq=False, kw_only=True)
class _AnswerStream(httpx.AsyncByteStream):
    transport: OriginTransport
    slot: _Slot
    answer: httpcore.Response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        wire, pieces = self.slot.line.wire, 0
        async for chunk in self.answer.aiter_stream():
            pieces += 1
            if pieces == MAX_PIECES:
                wire.fail = MalformedPage("chunks")
            if pieces % PIECES_PER_TURN == 0:  # one read may hold thousands of them
                await trio.lowlevel.cancel_shielded_checkpoint()
            yield chunk
        wire.phase = Phase.DONE

    async def aclose(self) -> None:
        try:
            with trio.move_on_after(CLOSE_SECONDS, shield=True):
                await self.answer.aclose()
        finally:
            self.transport.settle(self.slot)


def _is_reusable(connection: httpcore.AsyncHTTPConnection) -> bool:
    return connection.is_idle() and not connection.is_closed() and not connection.has_expired()


def _checked(answer: httpcore.Response, wire: Wire) -> httpcore.Response:
    """Return the answer.

    Raises:
        httpcore.RemoteProtocolError: It was there before the request, or upgrades the protocol.
    """
    if wire.received == 0 or answer.status < 200:
        raise httpcore.RemoteProtocolError("an answer to nothing that we asked")
    return answer


def _framing(answer: httpcore.Response, method: str) -> tuple[Framing, int]:
    """Say what ends the body, and its length (RFC 9112 section 6.3); h11 has checked the fields."""
    if answer.status in BODILESS or method == "HEAD":
        return Framing.LENGTH, 0
    if _fields(answer, b"transfer-encoding"):
        return Framing.CHUNKED, 0
    lengths = _fields(answer, b"content-length")
    return (Framing.LENGTH, int(lengths[0].partition(",")[0])) if lengths else (Framing.CLOSE, 0)


def _fields(answer: httpcore.Response, name: bytes) -> tuple[str, ...]:
    texts = (value for key, value in answer.headers if key.lower() == name)
    return tuple(_text(value) for value in texts)


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


@attrs.define(eq=False)
class _Content:
    """A request's body as an iterator; a generator would be abandoned when a send is cancelled."""

    _left: bytes

    def __aiter__(self) -> "_Content":
        return self

    async def __anext__(self) -> bytes:
        await trio.lowlevel.checkpoint()
        if not self._left:
            raise StopAsyncIteration
        content, self._left = self._left, b""
        return content


def _core(request: httpx.Request) -> httpcore.Request:
    return httpcore.Request(
        method=request.method,
        url=_core_url(request.url),
        headers=request.headers.raw,
        content=_Content(request.content),
        extensions=request.extensions,
    )


def _core_url(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(
        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
    )
