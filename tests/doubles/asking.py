"""A fetcher on loopback for tests, and one-line calls of it."""

import ipaddress
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import attrs
import trio

from jobping.clock import Clock
from jobping.core.addresses import Network, domain_of
from jobping.core.ids import Domain
from jobping.core.page import Page, PageRequest, Redirected
from jobping.errors import FetchError, MalformedPage
from jobping.fetch import Fetcher, FetchLimits, Resolve, open_fetcher

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
USER_AGENT = "jobping-test"


@attrs.define
class Recorder:
    """An `Emit` that keeps what it is told."""

    events: list[tuple[str, dict[str, object]]] = attrs.field(factory=list)

    def __call__(self, event: str, /, *, level: str | None = None, **fields: object) -> None:
        self.events.append((event, fields))

    def named(self, event: str) -> list[dict[str, object]]:
        return [fields for name, fields in self.events if name == event]


@asynccontextmanager
async def open_test_fetcher(
    *,
    limits: FetchLimits | None = None,
    allow: tuple[Network, ...] = LOOPBACK,
    tls: ssl.SSLContext | None = None,
    resolve: Resolve | None = None,
    emit: Recorder | None = None,
) -> AsyncIterator[Fetcher]:
    """Open a real fetcher that may reach loopback. `tls` spares loading the machine's roots."""
    async with open_fetcher(
        limits=limits or FetchLimits(),
        allow=allow,
        user_agent=USER_AGENT,
        emit=emit or Recorder(),
        clock=Clock(),
        tls=tls or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        resolve=resolve,
    ) as fetcher:
        yield fetcher


async def ask(
    fetcher: Fetcher,
    request: PageRequest | str,
    *,
    hosts: Iterable[str] | None = None,
    seconds: float = 10.0,
) -> Page | Redirected:
    """Make one exchange under a deadline; without `hosts` the URL's own location is allowed."""
    wanted = request if isinstance(request, PageRequest) else PageRequest(url=request)
    allowed = frozenset(map(Domain, hosts or (domain_of(wanted.url),)))
    async with fetcher.exchange(wanted, hosts=allowed) as exchange:
        with trio.fail_after(seconds):
            return await exchange.run()


async def error_of(
    fetcher: Fetcher,
    request: PageRequest | str,
    *,
    hosts: Iterable[str] | None = None,
    seconds: float = 10.0,
) -> FetchError | MalformedPage:
    """Make one exchange that must fail, and return its error."""
    try:
        answer = await ask(fetcher, request, hosts=hosts, seconds=seconds)
    except (FetchError, MalformedPage) as error:
        return error
    raise AssertionError(f"answered: {answer}")


async def page_of(
    fetcher: Fetcher, request: PageRequest | str, *, hosts: Iterable[str] | None = None
) -> Page:
    """Make one exchange that must bring a page."""
    answer = await ask(fetcher, request, hosts=hosts)
    assert isinstance(answer, Page), answer
    return answer
