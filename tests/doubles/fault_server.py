"""A server on loopback that answers as told, rightly or wrongly.

    async with open_fault_server({"/jobs": respond(b"{}"), "/slow": hang()}) as server:
        ... server.url("/jobs") ... server.domain ... server.requests ... server.connections

A behaviour answers one request: it writes to the stream and returns what becomes of the connection
(`After`). `server.behaviours` may be changed while the server runs; `"*"` answers every path that
is not named. With `tls=` (see `certificates`) it speaks TLS. Everything ends with the block.
"""

import enum
import gzip
import itertools
import socket
import ssl
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import attrs
import trio


class After(enum.Enum):
    """What becomes of the connection."""

    KEEP = "keep"
    CLOSE = "close"
    RESET = "reset"


@attrs.frozen(kw_only=True)
class Received:
    """One request as it came in.

    Attributes:
        target: Path and query.
        headers: Names in lower case.
        connection: Number of the connection, from 1.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    connection: int

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


Behaviour = Callable[[trio.abc.Stream, Received], Awaitable[After]]


@attrs.define(eq=False, kw_only=True)
class FaultServer:
    """A running server.

    Attributes:
        requests: All that came in, in order.
        connections: Accepted so far.
        open: Accepted and not closed yet.
        heard: Bytes received, in plain text.
        written: Bytes of answers handed to the kernel.
    """

    port: int
    scheme: str
    host: str
    behaviours: dict[str, Behaviour]
    requests: list[Received] = attrs.field(factory=list)
    connections: int = 0
    open: int = 0
    heard: int = 0
    written: int = 0
    _changed: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot, init=False)

    @property
    def domain(self) -> str:
        return f"{self.host}:{self.port}"

    def url(self, path: str = "/") -> str:
        return f"{self.scheme}://{self.domain}{path}"

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until it holds; asked again when bytes or a request come or a connection ends."""
        while not condition():
            await self._changed.park()

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Answer the requests of one connection until a behaviour ends it."""
        self.connections += 1
        self.open += 1
        number = self.connections
        counted = _Counted(server=self, stream=stream)
        try:
            buffer = bytearray()
            after = After.KEEP
            while after is After.KEEP:
                received = await _read_request(counted, buffer, number)
                if received is None:
                    break
                self.requests.append(received)
                self._changed.unpark_all()
                behaviour = self.behaviours.get(received.path) or self.behaviours["*"]
                after = await behaviour(counted, received)
            if after is After.RESET:
                _socket_of(stream).setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client has gone
        finally:
            self.open -= 1
            _socket_of(stream).close()
            self._changed.unpark_all()


@attrs.define(eq=False, kw_only=True)
class _Counted(trio.abc.Stream):
    server: FaultServer
    stream: trio.abc.Stream

    async def send_all(self, data: bytes) -> None:
        await self.stream.send_all(data)
        self.server.written += len(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        chunk = await self.stream.receive_some(max_bytes)
        self.server.heard += len(chunk)
        self.server._changed.unpark_all()
        return chunk

    async def aclose(self) -> None:
        await self.stream.aclose()


def _socket_of(stream: trio.abc.Stream) -> trio.socket.SocketType:
    while isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    assert isinstance(stream, trio.SocketStream)
    return stream.socket


async def _read_request(
    stream: trio.abc.Stream, buffer: bytearray, connection: int
) -> Received | None:
    while b"\r\n\r\n" not in buffer:
        chunk = await stream.receive_some(65_536)
        if not chunk:
            return None
        buffer += chunk
    head, _, rest = bytes(buffer).partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _version = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    headers = tuple((name.lower(), value.strip()) for name, _, value in pairs)
    length = int(dict(headers).get("content-length", "0"))
    while len(rest) < length:
        rest += await stream.receive_some(65_536)
    buffer[:] = rest[length:]
    return Received(
        method=method, target=target, headers=headers, body=rest[:length], connection=connection
    )


@asynccontextmanager
async def open_fault_server(
    behaviours: Mapping[str, Behaviour] | Behaviour,
    *,
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
) -> AsyncIterator[FaultServer]:
    """Serve on a free port until the block ends.

    Args:
        behaviours: Path without query -> behaviour, or one behaviour for every path.
        tls: A server's context; its certificate is the caller's business.
        host: An address of loopback.
    """
    table = {"*": behaviours} if callable(behaviours) else {"*": respond(status=404), **behaviours}
    listeners = await trio.open_tcp_listeners(0, host=host)
    server = FaultServer(
        port=listeners[0].socket.getsockname()[1],
        scheme="https" if tls else "http",
        host=host,
        behaviours=table,
    )

    async def serve(stream: trio.SocketStream) -> None:
        secured = trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
        await server.serve(secured if tls else stream)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve if tls else server.serve, listeners)
        try:
            yield server
        finally:
            nursery.cancel_scope.cancel()


def head(status: int = 200, *headers: tuple[str, str]) -> bytes:
    """Return a status line and headers, blank line included."""
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def respond(
    body: bytes = b"{}",
    *,
    status: int = 200,
    headers: tuple[tuple[str, str], ...] = (),
    gzipped: bool = False,
) -> Behaviour:
    """Answer rightly, with Content-Length, and keep the connection."""
    wire = gzip.compress(body) if gzipped else body
    named = {name.lower() for name, _ in headers}
    media = [] if "content-type" in named else [("Content-Type", "application/json")]
    fields = [*media, *headers, ("Content-Length", str(len(wire)))]
    if gzipped:
        fields.append(("Content-Encoding", "gzip"))
    return raw(head(status, *fields) + wire)


def redirect(location: str, *, status: int = 302) -> Behaviour:
    """Answer with another place to ask."""
    return respond(b"", status=status, headers=(("Location", location),))


def chunked(*pieces: bytes, surplus: bytes = b"") -> Behaviour:
    """Answer in chunks, and keep the connection."""
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return raw(head(200, ("Transfer-Encoding", "chunked")) + framed + b"0\r\n\r\n" + surplus)


def raw(answer: bytes, *, after: After = After.KEEP) -> Behaviour:
    """Send these bytes and nothing else; cut, lying and surplus answers are made with it."""

    async def behave(stream: trio.abc.Stream, _received: Received) -> After:
        await stream.send_all(answer)
        return after

    return behave


def reset(answer: bytes = b"") -> Behaviour:
    """Send these bytes, then reset the connection."""
    return raw(answer, after=After.RESET)


def hang(answer: bytes = b"") -> Behaviour:
    """Send these bytes, then nothing for ever."""

    async def behave(stream: trio.abc.Stream, _received: Received) -> After:
        await stream.send_all(answer)
        await trio.sleep_forever()
        return After.CLOSE

    return behave


def delay(seconds: float, behaviour: Behaviour) -> Behaviour:
    """Behave after a while."""

    async def behave(stream: trio.abc.Stream, received: Received) -> After:
        await trio.sleep(seconds)
        return await behaviour(stream, received)

    return behave


def drip(answer: bytes, *, every_s: float = 1.0) -> Behaviour:
    """Send one byte, wait, send the next; after the last begin again with `x`, for ever."""

    async def behave(stream: trio.abc.Stream, _received: Received) -> After:
        for byte in itertools.chain(answer, itertools.repeat(ord("x"))):
            await stream.send_all(bytes([byte]))
            await trio.sleep(every_s)
        return After.CLOSE

    return behave


def endless(first: bytes, piece: bytes) -> Behaviour:
    """Send `first` once and `piece` for ever, as fast as the client reads."""

    async def behave(stream: trio.abc.Stream, _received: Received) -> After:
        await stream.send_all(first)
        while True:
            await stream.send_all(piece)

    return behave


def endless_body() -> Behaviour:
    """A chunked body without end."""
    return endless(
        head(200, ("Transfer-Encoding", "chunked")), b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    )


def endless_headers() -> Behaviour:
    """A header block without end."""
    return endless(b"HTTP/1.1 200 OK\r\n", b"X-Filler: " + b"x" * 70 + b"\r\n")


def endless_interim() -> Behaviour:
    """A row of 103 answers without end."""
    return endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")


def bomb(size: int = 200_000_000) -> Behaviour:
    """A gzip answer of `size` zeros, in whole millions, a thousandth of that on the wire."""
    block, blocks = bytes(1_000_000), size // 1_000_000
    packer = zlib.compressobj(9, wbits=-15)
    piece = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)  # may be repeated
    check = 0
    for _ in range(blocks):
        check = zlib.crc32(block, check)
    trailer = struct.pack("<II", check, blocks * len(block))
    packed = gzip.compress(b"")[:10] + piece * blocks + b"\x03\x00" + trailer
    return raw(
        head(200, ("Content-Encoding", "gzip"), ("Content-Length", str(len(packed)))) + packed
    )


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """Use the behaviours one after the other; the last one stays."""
    rest = list(behaviours)

    async def behave(stream: trio.abc.Stream, received: Received) -> After:
        behaviour = rest.pop(0) if len(rest) > 1 else rest[0]
        return await behaviour(stream, received)

    return behave
