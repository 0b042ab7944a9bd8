"""The database connections: a pool that leaks, that never refuses, or that is never looked at."""

import contextlib
import random
from collections.abc import Awaitable, Callable

import attrs
import pytest
import trio

from jobping.check.pool import check_store, limits_of
from jobping.check.stage import open_database
from jobping.core.finding import Verdict
from jobping.errors import StoreUnavailable
from jobping.store.bridge import Connection, Database, Dsn, PoolLimits, open_loop
from tests.doubles.postgres import Events

SLEEP = "SELECT pg_sleep(60)"


@attrs.define
class Leaky(Database):
    """Keeps a connection now and then."""

    nursery: trio.Nursery = attrs.field(kw_only=True)
    rng: random.Random = attrs.field(factory=lambda: random.Random(1))
    inner: Database = attrs.field(kw_only=True)

    async def run(  # type: ignore[override]  # a double
        self, unit: Callable[..., Awaitable[object]], *values: object
    ) -> object:
        if self.rng.random() < 0.2:
            self.nursery.start_soon(self.keep)
        return await self.inner.run(unit, *values)

    async def keep(self) -> None:
        async def sleep(connection: Connection) -> None:
            await connection.execute(SLEEP)

        with contextlib.suppress(StoreUnavailable):
            await self.inner.run(sleep)

    def statistics(self):  # type: ignore[no-untyped-def]  # a double
        return self.inner.statistics()


@pytest.mark.parametrize("size", [1, 5, 20])
async def test_pool_of_any_size_holds(dsn: Dsn, events: Events, size: int) -> None:
    limits = limits_of(1, size)
    async with open_loop(), open_database(dsn, limits, events) as database:
        found = await check_store(database, limits)
    assert found.verdict is Verdict.HOLDS, found
    assert f"{size} leases at once" in found.figure
    assert "200 cancels: 0 lost, 0 idle in a transaction" in found.figure


async def test_pool_of_one_that_leaks_is_found(dsn: Dsn, events: Events) -> None:
    limits = limits_of(1, 1)
    async with (
        open_loop(),
        open_database(dsn, limits, events) as database,
        trio.open_nursery() as nursery,
    ):
        found = await check_store(Leaky(inner=database, nursery=nursery), limits)
        nursery.cancel_scope.cancel()
    assert found.verdict is Verdict.FAILS
    assert "max_connections" in found.advice


async def test_pool_that_waits_for_ever_or_is_smaller_than_promised_is_found(
    dsn: Dsn, events: Events
) -> None:
    promised = limits_of(1, 4)
    for wrong, figure in (
        (attrs.evolve(promised, wait_s=60.0), "a full pool does not refuse in time"),
        (attrs.evolve(promised, size_max=2), "2 of 4 leases at once"),
    ):
        async with open_loop(), open_database(dsn, wrong, events) as database:
            found = await check_store(database, promised)
        assert found.verdict is Verdict.FAILS
        assert figure in found.figure


async def test_connections_that_are_hardly_ever_asked_are_found(dsn: Dsn, events: Events) -> None:
    limits: PoolLimits = attrs.evolve(limits_of(1, 2), check_every_s=600.0)
    async with open_loop(), open_database(dsn, limits, events) as database:
        found = await check_store(database, limits)
    assert "idle connections are asked only each 600 s" in found.figure
