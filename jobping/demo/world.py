"""The local world: a port for every source, and boards that hold what a supplier says."""

import datetime as dt
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final, Protocol

import attrs
import trio

from jobping.core.board import Board
from jobping.core.ids import SourceName
from jobping.demo.answers import Asked, Content, Site, Whole
from jobping.demo.feeds import FEED_SITES
from jobping.demo.server import SiteServer, SiteStatistics, Stock
from jobping.demo.sites import COMPANY_SITES

SITES: Final[tuple[Site, ...]] = (*COMPANY_SITES, *FEED_SITES)


@attrs.frozen
class Extra:
    """An answer beside the boards.

    Attributes:
        path: As it is asked, percent-encoded.
    """

    source: SourceName
    path: str
    whole: Whole


@attrs.frozen(kw_only=True)
class Supply:
    """All that the world holds at one step.

    Attributes:
        boards: Each with what it holds.
        as_of: The time that the answers speak of, aware UTC.
    """

    boards: tuple[tuple[Board, Content], ...]
    extras: tuple[Extra, ...] = ()
    as_of: dt.datetime


class Supplier(Protocol):
    """Where the postings of the world come from."""

    def supply(self, step: int) -> Supply:
        """Return what the world holds after so many steps; step 0 is how it begins."""


@attrs.frozen(kw_only=True)
class WorldStatistics:
    """What the servers have counted, source by source."""

    sites: tuple[SiteStatistics, ...]

    @property
    def requests(self) -> int:
        """Requests at all sources."""
        return sum(site.requests for site in self.sites)

    @property
    def connections(self) -> int:
        """Connections opened to all sources."""
        return sum(site.connections for site in self.sites)


@attrs.define(eq=False)
class World:
    """An open world.

    Attributes:
        boards: What there is to poll, in a fixed order.
        base_urls: Where each source is asked; holds `{slug}` where each company has its own place.
    """

    boards: tuple[Board, ...]
    base_urls: Mapping[SourceName, str]
    _supplier: Supplier
    _servers: tuple[SiteServer, ...]
    _step: int = 0

    def step(self) -> None:
        """Let time pass on the boards: postings appear, change and vanish."""
        self._step += 1
        supply = self._supplier.supply(self._step)
        for server in self._servers:
            server.stock = _stock(server.site.source, supply)

    def fail(self, source: SourceName, which: Callable[[Asked], bool] | None) -> None:
        """Let a source answer some requests with an error; None: all is well again."""
        for server in self._servers:
            if server.site.source == source:
                server.fails = which

    def statistics(self) -> WorldStatistics:
        """Return what the servers have counted."""
        return WorldStatistics(sites=tuple(server.statistics() for server in self._servers))


@asynccontextmanager
async def open_world(supplier: Supplier) -> AsyncIterator[World]:
    """Serve the world on loopback while the block runs; everything closes with it."""
    supply = supplier.supply(0)
    servers = tuple(SiteServer(site=site, stock=_stock(site.source, supply)) for site in SITES)
    async with trio.open_nursery() as nursery:
        for server in servers:
            nursery.start_soon(server.serve, await server.listen())
        base_urls = {server.site.source: server.place + server.site.base_path for server in servers}
        yield World(tuple(board for board, _ in supply.boards), base_urls, supplier, servers)
        nursery.cancel_scope.cancel()


def _stock(source: SourceName, supply: Supply) -> Stock:
    return Stock(
        shelf={board.slug: content for board, content in supply.boards if board.source == source},
        extras={extra.path: extra.whole for extra in supply.extras if extra.source == source},
        as_of=supply.as_of,
    )
