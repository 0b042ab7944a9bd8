"""Resolve, judge, connect to the judged address; the stream that counts. Below httpcore.

Host header, SNI and the certificate check keep the name, since the URL is untouched: nothing can be
rebound between judgement and connect, on any hop.
"""

import errno
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence

import attrs
import httpcore
import trio

from jobping.core.addresses import Address, Network, judge_address
from jobping.fetch.wire import Phase, Wire

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""(host, port) -> addresses as texts, in the order to try; raises OSError."""

RESOLVER_THREADS = 16
"""Our choice: a deadline frees the caller of getaddrinfo, not its thread."""
NO_WAY = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN})
"""There is no way to an address, says connect(2); nobody there has answered."""
MAX_ADDRESSES = 8
"""Our choice: how many addresses of one answer are tried."""
STAGGER_SECONDS = 0.25
"""RFC 8305 section 5, Connection Attempt Delay."""


class AddressRefused(Exception):
    """The name leads to an address that must not be connected to; nothing was sent."""


def open_resolver() -> Resolve:
    """Return the machine's resolver, in worker threads of its own."""
    threads = trio.CapacityLimiter(RESOLVER_THREADS)

    async def resolve(host: str, port: int) -> Sequence[str]:
        rows = await trio.to_thread.run_sync(
            lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM),
            limiter=threads,
            abandon_on_cancel=True,
        )
        return [str(row[4][0]) for row in rows]

    return resolve


@attrs.define(eq=False, kw_only=True)
class Connections:
    """How many connections the process made and holds."""

    opened: int = 0
    open: int = 0


@attrs.frozen(kw_only=True)
class Guard:
    """The way out to the network.

    Attributes:
        allow: `[network] allow`: addresses that are reached although they are not public.
    """

    resolve: Resolve
    allow: tuple[Network, ...]
    connections: Connections

    async def addresses(self, host: str, port: int) -> tuple[Address, ...]:
        """Resolve once, and judge every address of the answer.

        Raises:
            AddressRefused: At least one of them must not be connected to.
            OSError: The name does not resolve.
        """
        literal = _literal(host)
        await trio.lowlevel.checkpoint()
        texts = (literal,) if literal else await self.resolve(host, port)
        found = tuple(dict.fromkeys(ipaddress.ip_address(text) for text in texts))
        if not found:
            raise OSError(f"no address for {host}")
        refused = [one for one in found if judge_address(one, allow=self.allow)]
        if refused:
            raise AddressRefused(f"{host} is {refused[0]}; `[network] allow` can permit it")
        return found[:MAX_ADDRESSES]


def _literal(host: str) -> str | None:
    try:
        return str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return None


@attrs.define(eq=False, kw_only=True)
class Line(httpcore.AsyncNetworkBackend):
    """The network behind one connection; owns its socket.

    Attributes:
        wire: The exchange that uses the connection now.
    """

    guard: Guard
    wire: Wire
    _stream: "CountingStream | None" = attrs.field(default=None, init=False)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # the signature is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to a judged address of the host.

        Raises:
            AddressRefused: By the guard.
            httpcore.ConnectError: The name does not resolve, or nothing answers; the wire's phase
                says which.
        """
        self.wire.phase = Phase.RESOLVE
        try:
            addresses = await self.guard.addresses(host, port)
            self.wire.phase = Phase.CONNECT
            connected = await connect_first(addresses, port)
        except (OSError, ValueError) as error:  # ValueError: a resolver's answer is no address
            raise httpcore.ConnectError(str(error)) from error
        connections = self.guard.connections
        connections.opened += 1
        connections.open += 1
        self._stream = CountingStream(
            line=self, stream=trio.SocketStream(connected), socket=connected
        )
        return self._stream

    def close(self) -> None:
        """Close the socket, whatever became of the streams above.

        At once and without a TLS farewell, as HTTP allows (RFC 9112 section 9.8): nothing that can
        be cancelled stands between an exchange's end and its socket's.
        """
        stream, self._stream = self._stream, None
        if stream is not None:
            self.guard.connections.open -= 1
            stream.socket.close()


@attrs.define(eq=False, kw_only=True)
class CountingStream(httpcore.AsyncNetworkStream):
    """A socket, with or without TLS, whose reads and writes the wire sees in plain text."""

    line: Line
    stream: trio.abc.Stream
    socket: trio.socket.SocketType

    async def read(
        self,
        max_bytes: int,
        timeout: float | None = None,  # noqa: ASYNC109  # the signature is httpcore's
    ) -> bytes:
        """Read what the caps of the exchange leave."""
        wire = self.line.wire
        if wire.pause is not None:
            pause, wire.pause = wire.pause, None
            await pause()
        room = wire.begin_read(max_bytes)
        try:
            with trio.fail_after(_seconds(timeout)):
                chunk = bytes(await self.stream.receive_some(room))
        except trio.TooSlowError as error:
            raise httpcore.ReadTimeout(str(error)) from error
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpcore.ReadError(str(error)) from error
        wire.end_read(chunk)
        return chunk

    async def write(
        self,
        buffer: bytes,
        timeout: float | None = None,  # noqa: ASYNC109  # the signature is httpcore's
    ) -> None:
        """Write, and note it before the first byte leaves."""
        if not buffer:
            await trio.lowlevel.checkpoint()
            return
        self.line.wire.begin_write()
        try:
            with trio.fail_after(_seconds(timeout)):
                await self.stream.send_all(buffer)
        except trio.TooSlowError as error:
            raise httpcore.WriteTimeout(str(error)) from error
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpcore.WriteError(str(error)) from error
        self.line.wire.end_write()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # the signature is httpcore's
    ) -> httpcore.AsyncNetworkStream:
        """Shake hands; if that does not end well, for whatever reason, `Line` closes the socket."""
        self.line.wire.phase = Phase.TLS
        secured = trio.SSLStream(
            self.stream, ssl_context, server_hostname=server_hostname, https_compatible=True
        )
        try:
            with trio.fail_after(_seconds(timeout)):
                await secured.do_handshake()
        except trio.TooSlowError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except trio.BrokenResourceError as error:
            raise httpcore.ConnectError(str(error)) from error
        self.stream = secured
        return self

    async def aclose(self) -> None:
        """Close what httpcore has done with."""
        self.line.close()
        await trio.lowlevel.checkpoint()

    def get_extra_info(self, info: str) -> object:
        """Answer what httpcore asks: the negotiated protocol, and whether bytes are waiting."""
        match info:
            case "ssl_object":
                return self.stream if isinstance(self.stream, trio.SSLStream) else None
            case "is_readable":
                return self.socket.is_readable()
            case _:
                return None


def _seconds(timeout: float | None) -> float:
    return float("inf") if timeout is None else timeout


async def connect_first(addresses: Sequence[Address], port: int) -> trio.socket.SocketType:
    """Connect to the addresses, each 250 ms after the last or as soon as that failed.

    Returns:
        The first socket that is connected; all others are closed.

    Raises:
        OSError: None answered; the last reason, where one of them could be reached at all.
    """
    sockets: list[trio.socket.SocketType] = []
    won: list[trio.socket.SocketType] = []
    errors: list[OSError] = []

    async def attempt(address: Address, failed: trio.Event) -> None:
        await trio.lowlevel.checkpoint()
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        try:
            candidate = trio.socket.socket(family, socket.SOCK_STREAM)
            sockets.append(candidate)
            await candidate.connect((str(address), port))
        except OSError as error:
            errors.append(error)
            failed.set()
        else:
            won.append(candidate)
            nursery.cancel_scope.cancel()

    chosen: trio.socket.SocketType | None = None
    try:
        async with trio.open_nursery() as nursery:
            for address in addresses:
                failed = trio.Event()
                nursery.start_soon(attempt, address, failed)
                with trio.move_on_after(STAGGER_SECONDS):
                    await failed.wait()
        chosen = won[0] if won else None
    finally:
        for candidate in sockets:
            if candidate is not chosen:
                candidate.close()
    if chosen is None:
        raise next((e for e in reversed(errors) if e.errno not in NO_WAY), errors[-1])
    return chosen
