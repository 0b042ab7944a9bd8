"""One source's server on loopback: HTTP/1.1 over h11, as many requests per connection as wanted."""

import datetime as dt
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs
import h11
import trio

from jobping.core.ids import SourceName
from jobping.demo.answers import TEXT, Answer, Asked, Shelf, Site, Whole, whole_answer

HOST: Final = "127.0.0.1"
MAX_CONNECTIONS: Final = 64
"""Open connections per source; one more is closed at once."""
IDLE_S: Final = 75.0
"""Longest wait for the next request, and for a slow reader."""
ROBOTS: Final = "/robots.txt"
RECEIVE_BYTES: Final = 65_536


@attrs.frozen(kw_only=True)
class Stock:
    """What one source serves at the moment.

    Attributes:
        shelf: Its boards.
        extras: Further answers by path, percent-encoded as it is asked.
        as_of: The time its answers speak of, aware UTC.
    """

    shelf: Shelf
    extras: Mapping[str, Whole]
    as_of: dt.datetime


@attrs.frozen(kw_only=True)
class SiteStatistics:
    """What one source's server has counted since it was opened.

    Attributes:
        connections: Connections that were opened.
        open: Connections open now.
    """

    source: SourceName
    requests: int
    connections: int
    open: int


@attrs.define(eq=False, kw_only=True)
class SiteServer:
    """The server of one source; `stock` may be replaced while it runs.

    Attributes:
        fails: Which requests meet an error of the server; None: none.
    """

    site: Site
    stock: Stock
    place: str = ""
    fails: Callable[[Asked], bool] | None = None
    _requests: int = attrs.field(default=0, init=False)
    _connections: int = attrs.field(default=0, init=False)
    _open: int = attrs.field(default=0, init=False)

    def statistics(self) -> SiteStatistics:
        """Return the counts."""
        return SiteStatistics(
            source=self.site.source,
            requests=self._requests,
            connections=self._connections,
            open=self._open,
        )

    async def listen(self) -> list[trio.SocketListener]:
        """Bind a free port of loopback and learn the place."""
        listeners = await trio.open_tcp_listeners(0, host=HOST)
        port = listeners[0].socket.getsockname()[1]
        self.place = f"http://{HOST}:{port}"
        return listeners

    async def serve(self, listeners: list[trio.SocketListener]) -> None:
        """Answer until cancelled."""
        await trio.serve_listeners(self._converse, listeners)

    async def _converse(self, stream: trio.SocketStream) -> None:
        self._connections += 1
        self._open += 1
        try:
            async with stream:
                if self._open <= MAX_CONNECTIONS:
                    await self._answer_all(stream)
        except (trio.BrokenResourceError, trio.TooSlowError):
            pass  # the client left or stopped reading: nobody is there to be told
        finally:
            self._open -= 1

    async def _answer_all(self, stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER)
        while connection.states == {h11.CLIENT: h11.IDLE, h11.SERVER: h11.IDLE}:
            try:
                request = await _read_request(connection, stream)
            except h11.RemoteProtocolError:
                await _send(connection, stream, _refusal(HTTPStatus.BAD_REQUEST), "GET")
                return
            if request is None:
                return
            self._requests += 1
            answer = self._answer(request)
            await _send(connection, stream, answer, request.method.decode("ascii"))
            if connection.our_state is h11.DONE and connection.their_state is h11.DONE:
                connection.start_next_cycle()

    def _answer(self, request: h11.Request) -> Answer:
        asked = _asked(request, self.place, self._requests, self.stock.as_of)
        if asked.method not in ("GET", "HEAD"):
            return _refusal(HTTPStatus.METHOD_NOT_ALLOWED)
        if self.fails is not None and self.fails(asked):
            return _refusal(HTTPStatus.INTERNAL_SERVER_ERROR)
        if asked.path == ROBOTS:
            if self.site.robots is None:
                return _refusal(HTTPStatus.NOT_FOUND)
            return Answer(media_type=TEXT, body=self.site.robots)
        extra = self.stock.extras.get(asked.path)
        if extra is not None:
            return whole_answer(extra)
        return self.site.respond(asked, self.stock.shelf)


async def _read_request(
    connection: h11.Connection, stream: trio.SocketStream
) -> h11.Request | None:
    """Return the next request, its body read and dropped; None when the client is done."""
    request: h11.Request | None = None
    with trio.fail_after(IDLE_S):
        while True:  # noqa: ASYNC913  the events of what was received are soon used up
            match connection.next_event():
                case h11.NEED_DATA:
                    connection.receive_data(await stream.receive_some(RECEIVE_BYTES))
                case h11.Request() as request:
                    pass
                case h11.EndOfMessage():
                    return request
                case h11.Data():
                    pass
                case _:
                    return None


async def _send(
    connection: h11.Connection, stream: trio.SocketStream, answer: Answer, method: str
) -> None:
    bodiless = method == "HEAD" or answer.status == HTTPStatus.NOT_MODIFIED
    fields = [("content-type", answer.media_type), *answer.headers]
    if answer.status != HTTPStatus.NOT_MODIFIED:
        fields.append(("content-length", str(len(answer.body))))
    head = h11.Response(
        status_code=answer.status, headers=fields, reason=HTTPStatus(answer.status).phrase
    )
    chunks = [connection.send(head)]
    if not bodiless:
        chunks.append(connection.send(h11.Data(data=answer.body)))
    chunks.append(connection.send(h11.EndOfMessage()))
    with trio.fail_after(IDLE_S):
        await stream.send_all(b"".join(chunk for chunk in chunks if chunk))


def _asked(request: h11.Request, place: str, serial: int, as_of: dt.datetime) -> Asked:
    target = urlsplit(request.target.decode("ascii", "replace"))
    return Asked(
        method=request.method.decode("ascii"),
        path=target.path,
        parts=tuple(unquote(part) for part in target.path.split("/") if part),
        query=dict(parse_qsl(target.query, keep_blank_values=True)),
        headers={name.decode("ascii"): value.decode("latin-1") for name, value in request.headers},
        place=place,
        serial=serial,
        as_of=as_of,
    )


def _refusal(status: HTTPStatus) -> Answer:
    return Answer(status=status, media_type=TEXT, body=status.phrase.encode())
