"""Many domains in one daemon: what an idle one costs, and what one that fails does to others."""

import gc
import tracemalloc
from pathlib import Path

import pytest
from trio.testing import wait_all_tasks_blocked

from jobping.clock import Clock
from jobping.sources.recruitee import RECRUITEE
from jobping.sources.source import Pace
from jobping.store.bridge import Database
from jobping.store.connection import Connection
from jobping.tree import Stores
from tests.doubles.asking import open_test_fetcher
from tests.whole_tree import enter, open_whole_tree, say_nothing

FEW = 10
KIB = 1024


async def _let_rest(connection: Connection) -> None:
    await connection.execute("UPDATE board SET next_due_at = now() + interval '1 day'")


async def _held_by(database: Database, home: Path, domains: int) -> int:
    """Return the bytes that Python holds while so many domains wait for their next poll."""
    await enter(database, RECRUITEE, [f"company-{number}" for number in range(domains)])
    await database.run(_let_rest)
    async with (
        open_test_fetcher() as fetcher,
        open_whole_tree(
            database,
            fetcher,
            {RECRUITEE.name: RECRUITEE},
            home=home,
            clock=Clock(),
            emit=say_nothing,
            pace=Pace(per_hour=1200),
        ),
    ):
        assert len(await Stores.of(database).gates.all()) >= domains
        assert fetcher.statistics().connections == 0
        held = []
        for _ in range(5):  # what judges the first cycle reads all boards, once in a while
            await wait_all_tasks_blocked(0.3)
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])
        return min(held)


@pytest.mark.parametrize("domains", [200, pytest.param(1000, marks=pytest.mark.slow)])
async def test_idle_domain_takes_at_most_16_kib(
    database: Database, home: Path, domains: int
) -> None:
    tracemalloc.start()
    try:
        many = await _held_by(database, home, FEW + domains)  # first: connections stay open
        few = await _held_by(database, home, FEW)
    finally:
        tracemalloc.stop()
    each = (many - few) / domains
    print(f"{each / KIB:.2f} KiB for each domain")
    assert each <= 16 * KIB
