"""The daemon's own tree over a test's database, for tests with many domains."""

import random
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from jobping.actors.alerts import Inbox
from jobping.actors.operator import Generation
from jobping.clock import Clock
from jobping.core.board import Board
from jobping.core.ids import SourceName
from jobping.core.robots import Use
from jobping.events import Emit
from jobping.fetch import Fetcher
from jobping.settings import NetworkSettings, Settings, SourceSettings
from jobping.sources.source import Pace, Source
from jobping.store.bridge import Database
from jobping.tree import Materials, Stores, build_tree
from supervisors import Context, Supervisor

WITHOUT_LIMIT = 1_000_000.0


async def enter(database: Database, source: Source, slugs: Collection[str]) -> None:
    """Let these be all boards."""
    boards = [Board(source=source.name, slug=slug) for slug in slugs]
    placed = [(board, source.domain(board)) for board in boards]
    await Stores.of(database).boards.sync(placed, [], use_defaults=False)


def say_nothing(event: str, /, *, level: str | None = None, **fields: object) -> None:
    """Be an `Emit` that keeps nothing."""


@asynccontextmanager
async def open_whole_tree(
    database: Database,
    fetcher: Fetcher,
    sources: Mapping[SourceName, Source],
    *,
    home: Path,
    clock: Clock,
    emit: Emit,
    pace: Pace,
) -> AsyncIterator[Supervisor]:
    """Run the tree on a database that is open, without deliveries, until the block ends.

    Args:
        home: Takes the control socket.
        pace: Of every source, whose domains share it; all domains together have none.
    """

    async def serve_store(ctx: Context[object]) -> None:
        ctx.started()
        await ctx.stop_requested.wait()

    def emit_as(actor: str) -> Emit:
        return emit

    settings = Settings(
        state_dir=home,
        network=NetworkSettings(requests_per_minute=WITHOUT_LIMIT, requests_per_hour=WITHOUT_LIMIT),
        sources=tuple(SourceSettings(name=name, pace=pace, robots=Use.API) for name in sources),
    )
    materials = Materials(
        settings=settings,
        stores=Stores.of(database),
        database=database,
        serve_store=serve_store,
        sources=sources,
        fetcher=fetcher,
        deliveries=(),
        daemon="test",
        run="test",
        events=Inbox(),
        control_dir=home,
        cycle_s=1e9,
        max_idle_s=180.0,
        generation=Generation,
        reload=lambda: None,
        on_cycle_end=lambda: None,
        resident_bytes=lambda: 0,
        clock=clock,
        emit_as=emit_as,
        rng=random.Random(1),
    )
    root = build_tree(materials)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        yield root
        await root.stop(reason="the test ends")
