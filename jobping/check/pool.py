"""The database connections: all at once, none to spare, used again, and not lost by cancels."""

import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeVar

import trio

from jobping.core.finding import Finding, judged
from jobping.errors import StoreUnavailable
from jobping.store.bridge import Connection, Database, PoolLimits

R = TypeVar("R")

CANCELS: Final = 200
LEAST_USES: Final = 20
USES: Final = 40
HELD_S: Final = 0.4
WAIT_S: Final = 0.8
"""How long a unit waits for a connection in the check; the daemon waits longer."""
MOST_UNCHECKED_S: Final = 300.0
SLACK_S: Final = 1.0
ADVICE: Final = (
    "see that the server admits as many connections (max_connections) and nothing between cuts"
    " them; else lower [store] pool_max"
)

_IDLE_IN_TRANSACTION = """
SELECT count(*) FROM pg_stat_activity WHERE pid = ANY($1) AND state LIKE 'idle in transaction%'
"""


def limits_of(size_min: int, size_max: int) -> PoolLimits:
    """Return the limits of the pool that is measured."""
    return PoolLimits(size_min=size_min, size_max=size_max, wait_s=WAIT_S)


async def _hold(connection: Connection) -> int:
    await connection.execute(f"SELECT pg_sleep({HELD_S})")
    return int(await connection.fetchval("SELECT pg_backend_pid()"))


async def _hold_long(connection: Connection) -> None:
    await connection.execute(f"SELECT pg_sleep({WAIT_S * 3})")


async def _use(connection: Connection) -> int:
    return int(await connection.fetchval("SELECT pg_backend_pid()"))


async def _write_slowly(connection: Connection) -> None:
    async with connection.transaction():
        await connection.execute("INSERT INTO budget_window (kind, starts) VALUES ('day', now())")
        await connection.execute("SELECT pg_sleep(1)")


async def _count_idle(connection: Connection, pids: list[int]) -> tuple[int, int]:
    idle = await connection.fetchval(_IDLE_IN_TRANSACTION, pids)
    return int(idle), int(await connection.fetchval("SELECT count(*) FROM budget_window"))


async def check_store(database: Database, limits: PoolLimits) -> Finding:
    """Use an open database as hard as the limits promise to allow."""
    size, wrong = limits.size_max, list[str]()
    pids = await _all_at_once(database, size)
    if len(pids) < size:
        wrong.append(f"{len(pids)} of {size} leases at once")
    waited_s = await _wait_at_the_full(database, size)
    if waited_s is None or abs(waited_s - limits.wait_s) > SLACK_S:
        wrong.append("a full pool does not refuse in time")
    uses = await _uses_per_connection(database, size)
    if uses < LEAST_USES:
        wrong.append(f"{uses:.0f} uses per connection")
    leaked, idle, rows = await _cancel_many(database, pids)
    if leaked or idle or rows:
        wrong.append(
            f"after cancels {leaked} connections lost, {idle} idle in a transaction, {rows} rows"
        )
    if limits.check_every_s > MOST_UNCHECKED_S:
        wrong.append(f"idle connections are asked only each {limits.check_every_s:g} s")
    refused = "never refused" if waited_s is None else f"the next refused after {waited_s:.1f} s"
    good = (
        f"{len(pids)} leases at once, {refused}, {uses:.0f} uses per connection,"
        f" {CANCELS} cancels: {leaked} lost, {idle} idle in a transaction"
    )
    return judged("store", "; ".join(wrong) or good, holds=not wrong, advice=ADVICE)


async def _try(database: Database, unit: Callable[[Connection], Awaitable[R]]) -> R | None:
    """Run a unit; None: the pool refused it."""
    try:
        return await database.run(unit)
    except StoreUnavailable:
        return None


async def _all_at_once(database: Database, size: int) -> list[int]:
    """Return the connections that worked at the same time."""
    found: set[int] = set()

    async def hold() -> None:
        pid = await _try(database, _hold)
        if pid is not None:
            found.add(pid)

    for _ in range(2):  # at first they have to be opened, one after the other
        found.clear()
        async with trio.open_nursery() as nursery:
            for _ in range(size):
                nursery.start_soon(hold)
        if len(found) == size:
            break
    return sorted(found)


async def _wait_at_the_full(database: Database, size: int) -> float | None:
    """Return after how many seconds one more is refused; None: it was not."""
    async with trio.open_nursery() as nursery:
        for _ in range(size):
            nursery.start_soon(_try, database, _hold_long)
        await trio.sleep(HELD_S)
        began = trio.current_time()
        is_refused = await _try(database, _use) is None
        waited_s = trio.current_time() - began
        nursery.cancel_scope.cancel()
    return waited_s if is_refused else None


async def _uses_per_connection(database: Database, size: int) -> float:
    before = database.statistics()

    async def use() -> None:
        for _ in range(USES):
            if await _try(database, _use) is None:
                return

    async with trio.open_nursery() as nursery:
        for _ in range(size):
            nursery.start_soon(use)
    after = database.statistics()
    # those thrown away by the cancels of the step before are replaced meanwhile
    return (after.units - before.units) / max(after.size, after.opened - before.opened, 1)


async def _cancel_many(database: Database, pids: list[int]) -> tuple[int, int, int]:
    """Cancel units within transactions; return connections lost, idle ones, and rows written."""
    rng = random.Random()  # noqa: S311  moments, no secrets

    async def cancelled() -> None:
        with trio.move_on_after(rng.uniform(0.0, 0.3)):
            await _try(database, _write_slowly)

    async with trio.open_nursery() as nursery:
        for _ in range(CANCELS):
            nursery.start_soon(cancelled)
    await trio.sleep(0.2)
    now = await _all_at_once(database, len(pids))
    counted = await _try(database, partial(_count_idle, pids=sorted({*now, *pids})))
    idle, rows = counted or (0, 0)
    statistics = database.statistics()
    return statistics.size - statistics.idle + max(0, len(pids) - len(now)), idle, rows
