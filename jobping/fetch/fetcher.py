"""The Fetcher: one exchange in, a `Page`, a `Redirected` or one error out. No retries, no pace."""

import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy

import attrs
import httpx
import trio

from jobping.clock import Clock
from jobping.core.addresses import Allowed, Network, Refusal, Refused, judge_url, parse_url
from jobping.core.ids import Domain, Monotonic
from jobping.core.page import Page, PageRequest, Redirected
from jobping.errors import Blocked, MalformedPage, Unreached
from jobping.events import Emit
from jobping.fetch.answers import (
    FOREIGN,
    failure_of,
    failure_when_late,
    headers_of,
    is_page,
    redirect_of,
    refusal_of,
    shown,
)
from jobping.fetch.body import Body, body_for
from jobping.fetch.network import AddressRefused, Connections, Guard, Resolve, open_resolver
from jobping.fetch.transport import BODILESS, CLOSE_SECONDS, OriginTransport
from jobping.fetch.wire import MIB, FetchLimits, Framing, Phase, Wire

OPERATION_SECONDS = 30.0
"""Per read or write, as a second line only: the caller's deadline is over the whole exchange."""


@attrs.frozen(kw_only=True)
class FetchStatistics:
    """Counts since `open_fetcher`, and what is held now.

    Attributes:
        requests: Exchanges of which a byte was sent.
        connections: Connections opened.
        reused: Requests that went over a connection used before.
        open: Connections held now.
        in_flight: Exchanges entered now.
        wire_bytes: Received, headers and framing included.
        refusals: (reason, how often) of URLs and addresses that were refused.
    """

    requests: int
    connections: int
    reused: int
    open: int
    in_flight: int
    wire_bytes: int
    refusals: tuple[tuple[str, int], ...]


@attrs.define(eq=False, kw_only=True)
class Fetcher:
    """The process's one HTTP client; made by `open_fetcher`."""

    _limits: FetchLimits
    _user_agent: str
    _emit: Emit
    _clock: Clock
    _client: httpx.AsyncClient
    _transport: OriginTransport
    _places: trio.CapacityLimiter
    _big_places: trio.CapacityLimiter
    _requests: int = attrs.field(default=0, init=False)
    _wire_bytes: int = attrs.field(default=0, init=False)
    _refusals: Counter[str] = attrs.field(factory=Counter, init=False)
    _big: "set[Exchange]" = attrs.field(factory=set, init=False)
    _calls: dict[frozenset[Domain], trio.Lock] = attrs.field(factory=dict, init=False)

    @asynccontextmanager
    async def exchange(
        self, request: PageRequest, *, hosts: frozenset[Domain]
    ) -> AsyncIterator["Exchange"]:
        """Wait for an in-flight place; leaving frees it, so leave when the page is parsed.

        Args:
            request: One hop; `core.addresses.follow` makes the next one of a `Redirected`.
            hosts: Every network location that its source may touch.
        """
        exchange = Exchange(fetcher=self, request=request, hosts=hosts)
        await self._places.acquire_on_behalf_of(exchange)
        try:
            yield exchange
        finally:
            self._leave(exchange)

    async def call(self, request: PageRequest, hosts: frozenset[Domain]) -> Page | Redirected:
        """Make one exchange over a connection of its own; arguments and errors as theirs.

        Calls of the same hosts wait for each other. They must be few and the same for ever.
        """
        async with self._calls.setdefault(hosts, trio.Lock()):
            try:
                async with self.exchange(request, hosts=hosts) as exchange:
                    return await exchange.run()
            finally:
                for domain in hosts:
                    self._transport.rest(domain)

    async def rest(self, domain: Domain) -> None:
        """Close the idle connections of a network location, at the end of a walk."""
        self._transport.rest(domain)
        await trio.lowlevel.checkpoint()

    def statistics(self) -> FetchStatistics:
        """Return the counts."""
        connections = self._transport.guard.connections
        return FetchStatistics(
            requests=self._requests,
            connections=connections.opened,
            reused=self._transport.reused,
            open=connections.open,
            in_flight=self._places.borrowed_tokens,
            wire_bytes=self._wire_bytes,
            refusals=tuple(sorted(self._refusals.items())),
        )

    def _wire(self, target: Allowed) -> Wire:
        origin = (target.scheme, target.domain)
        return Wire(
            origin=origin, limits=self._limits, on_sent=self._count_request, clock=self._clock
        )

    def _count_request(self) -> None:
        self._requests += 1

    async def _send(self, request: PageRequest, target: Allowed, wire: Wire) -> httpx.Response:
        headers = [
            ("User-Agent", self._user_agent),
            ("Accept", ", ".join(request.accept)),
            ("Accept-Encoding", "gzip"),
            *request.headers,
        ]
        outgoing = httpx.Request(
            request.method,
            target.url,
            headers=headers,
            content=request.body,
            extensions={"wire": wire},
        )
        return await self._client.send(outgoing, stream=True)

    async def _take_big_place(self, exchange: "Exchange") -> None:
        await self._big_places.acquire_on_behalf_of(exchange)
        self._big.add(exchange)

    def _leave(self, exchange: "Exchange") -> None:
        self._wire_bytes += exchange.wire_bytes
        self._places.release_on_behalf_of(exchange)
        if exchange in self._big:
            self._big.remove(exchange)
            self._big_places.release_on_behalf_of(exchange)

    def _refuse(self, request: PageRequest, refused: Refused, detail: str) -> Blocked:
        parsed = parse_url(request.url)
        domain = parsed.domain if isinstance(parsed, Allowed) else None
        why = refused.why.value
        self._refusals[why] += 1
        self._emit("url.refused", domain=domain, why=f"{why}: {detail}")
        return Blocked(shown(request.url), why, message=f"{why}: {detail}")


@attrs.define(eq=False, kw_only=True)
class Exchange:
    """One request and its answer: one hop. Run it once."""

    _fetcher: Fetcher
    _request: PageRequest
    _hosts: frozenset[Domain]
    _wire: Wire | None = attrs.field(default=None, init=False)

    @property
    def sent_at(self) -> Monotonic | None:
        """When the request left us, also right after a cancellation; None: no byte of it did."""
        return self._wire.sent_at if self._wire is not None else None

    @property
    def phase(self) -> Phase:
        """How far it came."""
        return self._wire.phase if self._wire is not None else Phase.RESOLVE

    @property
    def lateness(self) -> Unreached:
        """What it means where a deadline ended it: which step did not come to its end."""
        return failure_when_late(self.phase)

    @property
    def wire_bytes(self) -> int:
        """Bytes received, headers and framing included."""
        return self._wire.received if self._wire is not None else 0

    async def run(self) -> Page | Redirected:
        """Connect, ask, and read to the end of the body. The caller sets the deadline.

        Returns:
            A page for 2xx, 404 and 410, and for a 304 that was asked for; `Redirected` for a usable
            redirect, also one that leaves the source's hosts: the caller reads it as an answer, an
            exchange would refuse it.

        Raises:
            Throttled: 429, or 503 with Retry-After.
            Blocked: 401, 403 or 451; or our guard refused, then nothing was sent.
            Unavailable: The site failed.
            MalformedPage: The answer broke a cap, its coding or its framing, or means nothing.
        """
        target = judge_url(self._request.url, hosts=self._hosts)
        if isinstance(target, Refused):
            raise self._fetcher._refuse(self._request, target, shown(self._request.url))
        wire = self._wire = self._fetcher._wire(target)
        try:
            return await self._converse(target, wire)
        except AddressRefused as error:
            refused = Refused(Refusal.ADDRESS)
            raise self._fetcher._refuse(self._request, refused, str(error)) from error
        except FOREIGN as error:
            raise failure_of(error, wire.phase, target.url) from error
        except MalformedPage as error:
            self._fetcher._emit("payload.malformed", domain=target.domain, why=error.why)
            raise

    async def _converse(self, target: Allowed, wire: Wire) -> Page | Redirected:
        response = await self._fetcher._send(self._request, target, wire)
        try:
            if is_page(response.status_code, self._request):
                return await self._read_page(response, target, wire)
            await _drain(response, wire)
        finally:
            with trio.move_on_after(CLOSE_SECONDS, shield=True):
                await response.aclose()
        match redirect_of(response, self._request, target):
            case Redirected() as redirected:
                return redirected
            case Refused(why=why):
                raise MalformedPage(f"location {why.value}")
            case None:
                raise refusal_of(response, target)

    async def _read_page(self, response: httpx.Response, target: Allowed, wire: Wire) -> Page:
        body = body_for(
            response.headers.get_list("content-encoding")
            if response.status_code not in BODILESS
            else [],
            ceiling=self._request.byte_ceiling,
            ratio=wire.limits.ratio,
        )
        await self._read_body(response, wire, body)
        return Page(
            url=target.url,
            status=response.status_code,
            headers=headers_of(response),
            body=body.finish(),
            fetched_at=self._fetcher._clock.utcnow(),
            framed=wire.framing is not Framing.CLOSE,
            sent=self._request.body,
        )

    async def _read_body(self, response: httpx.Response, wire: Wire, body: Body) -> None:
        """Read to the end; what goes wrong here is raised from the next read (see `Wire.fail`)."""
        is_big = False
        async for chunk in response.aiter_raw():
            try:
                for _turn in body.feed(chunk) if wire.fail is None else ():
                    await trio.lowlevel.cancel_shielded_checkpoint()
            except MalformedPage as error:
                wire.fail = error
            if body.decoded > MIB and not is_big:
                is_big = True
                wire.pause = partial(self._fetcher._take_big_place, self)
        if wire.fail is not None:
            raise wire.fail


async def _drain(response: httpx.Response, wire: Wire) -> None:
    """Read a body that nobody wants, so that its connection lives; give up early and quietly."""
    unread = wire.limits.drain_bytes
    with trio.move_on_after(wire.limits.drain_seconds):
        await trio.lowlevel.checkpoint()
        try:
            async for chunk in response.aiter_raw():
                unread -= len(chunk)
                if unread < 0:
                    wire.fail = MalformedPage("drain_bytes")
        except (*FOREIGN, MalformedPage):
            return  # the status is the answer; the connection is closed


@asynccontextmanager
async def open_fetcher(
    *,
    limits: FetchLimits,
    allow: tuple[Network, ...],
    user_agent: str,
    emit: Emit,
    clock: Clock,
    tls: ssl.SSLContext | None = None,
    resolve: Resolve | None = None,
) -> AsyncIterator[Fetcher]:
    """Open the client, and close every connection at the end.

    Args:
        allow: `[network] allow`: the operator's exceptions among private addresses.
        tls: None: the machine's certificates, TLS 1.2 at least, names checked.
        resolve: None: the machine's resolver.
    """
    transport = OriginTransport(
        guard=Guard(resolve=resolve or open_resolver(), allow=allow, connections=Connections()),
        tls=tls or ssl.create_default_context(),
        keepalive_seconds=limits.keepalive_seconds,
    )
    client = httpx.AsyncClient(
        transport=transport,
        trust_env=False,
        follow_redirects=False,
        timeout=OPERATION_SECONDS,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    )
    async with client:
        yield Fetcher(
            limits=limits,
            user_agent=user_agent,
            emit=emit,
            clock=clock,
            client=client,
            transport=transport,
            places=trio.CapacityLimiter(limits.in_flight),
            big_places=trio.CapacityLimiter(limits.big_bodies),
        )
