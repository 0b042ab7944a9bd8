"""The bridge on a real server: results, errors, cancels, losses."""

import functools
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
import trio
import trio.testing
from asyncpg import exceptions as pg

from jobping.errors import ConfigError, StoreConflict, StoreUnavailable
from jobping.store import worker
from jobping.store.bridge import (
    Connection,
    Database,
    Dsn,
    PoolLimits,
    open_loop,
    run_alone,
    serve_database,
)
from tests.doubles.postgres import Cluster, Events


@asynccontextmanager
async def opened(dsn: Dsn, limits: PoolLimits, events: Events) -> AsyncIterator[Database]:
    """Open a database with limits of its own."""
    database = Database()
    async with open_loop(), trio.open_nursery() as nursery:
        serve = functools.partial(serve_database, limits=limits, emit=events)
        await nursery.start(serve, database, dsn)
        yield database
        nursery.cancel_scope.cancel()


async def add(connection: Connection, left: int, right: int) -> int:
    return int(await connection.fetchval("SELECT $1::int + $2::int", left, right))


async def execute(connection: Connection, statement: str) -> None:
    await connection.execute(statement)


async def sleep_in_transaction(connection: Connection, seconds: float) -> None:
    async with connection.transaction():
        await connection.execute("CREATE TABLE IF NOT EXISTS slept (seconds float)")
        await connection.execute("INSERT INTO slept VALUES ($1)", seconds)
        await connection.execute("SELECT pg_sleep($1)", seconds)


async def backend_pid(connection: Connection) -> int:
    return int(await connection.fetchval("SELECT pg_backend_pid()"))


async def count_backends(connection: Connection) -> tuple[int, int]:
    row = await connection.fetchrow(
        "SELECT count(*) AS all, count(*) FILTER (WHERE state LIKE 'idle in%') AS stuck"
        " FROM pg_stat_activity WHERE datname = current_database()"
    )
    assert row is not None
    return row["all"], row["stuck"]


async def test_database_returns_the_result_of_a_unit(database: Database) -> None:
    assert await database.run(add, 2, right=3) == 5


async def test_database_counts_statements_units_and_connections(database: Database) -> None:
    for number in range(30):
        await database.run(add, number, 1)
    statistics = database.statistics()
    assert (statistics.units, statistics.statements) == (30, 30)
    assert statistics.opened <= 2
    assert statistics.waiting == 0


async def test_database_is_unavailable_before_it_is_opened() -> None:
    with pytest.raises(StoreUnavailable, match="not open"):
        await Database().run(add, 1, 2)


async def test_constraint_violation_becomes_a_conflict_without_values(database: Database) -> None:
    await database.run(execute, "CREATE TABLE pair (name text CONSTRAINT one_name UNIQUE)")
    await database.run(execute, "INSERT INTO pair VALUES ('secret')")
    with pytest.raises(StoreConflict, match=r"^one_name of table pair is violated$"):
        await database.run(execute, "INSERT INTO pair VALUES ('secret')")


async def test_fault_of_a_unit_passes_unchanged(database: Database) -> None:
    with pytest.raises(pg.PostgresSyntaxError):
        await database.run(execute, "SELEC 1")
    assert await database.run(add, 1, 1) == 2


async def test_statement_over_the_time_limit_becomes_unavailable(dsn: Dsn, events: Events) -> None:
    async with opened(dsn, PoolLimits(statement_timeout_s=0.1), events) as database:
        with pytest.raises(StoreUnavailable, match="statement timeout"):
            await database.run(execute, "SELECT pg_sleep(5)")


@pytest.mark.parametrize("failures", [1, 2])
async def test_unit_is_run_once_more_after_a_deadlock(database: Database, failures: int) -> None:
    attempts = 0

    async def unit(connection: Connection) -> int:
        nonlocal attempts
        attempts += 1
        if attempts <= failures:
            raise pg.DeadlockDetectedError("deadlock detected")
        return await add(connection, 1, 1)

    if failures == 1:
        assert await database.run(unit) == 2
    else:
        with pytest.raises(StoreUnavailable, match="deadlock detected"):
            await database.run(unit)
    assert attempts == 2


async def test_unit_meets_a_changed_table_without_an_error(database: Database) -> None:
    async def read(connection: Connection) -> int:
        return len(await connection.fetch("SELECT * FROM shape"))

    await database.run(execute, "CREATE TABLE shape (a int)")
    for _ in range(3):
        await database.run(read)
    await database.run(execute, "ALTER TABLE shape ADD b text")
    for _ in range(3):
        assert await database.run(read) == 0


async def test_connection_with_an_open_transaction_is_replaced(
    database: Database, events: Events
) -> None:
    await database.run(execute, "BEGIN")
    assert await database.run(add, 1, 1) == 2
    assert events.names()[0] == "bridge.complained"
    _, stuck = await database.run(count_backends)
    assert stuck == 0


async def test_cancelled_unit_is_stopped_on_the_server(database: Database) -> None:
    began = trio.current_time()
    with trio.move_on_after(0.1) as scope:
        await database.run(sleep_in_transaction, 10)
    assert scope.cancelled_caught
    assert trio.current_time() - began < 0.9
    assert (await database.run(count_backends))[1] == 0
    assert database.statistics().opened <= 2


async def test_unit_cancelled_while_it_waits_never_runs(dsn: Dsn, events: Events) -> None:
    ran = False

    async def unit(connection: Connection) -> None:
        nonlocal ran
        ran = True

    limits = PoolLimits(size_min=1, size_max=1)
    async with opened(dsn, limits, events) as database, trio.open_nursery() as nursery:
        nursery.start_soon(database.run, sleep_in_transaction, 0.3)
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(0.05):
            await database.run(unit)
        assert database.statistics().waiting == 0
    assert not ran


async def test_thousand_random_cancels_leave_nothing_behind(database: Database) -> None:
    rng = random.Random(7)
    await database.run(sleep_in_transaction, 0)  # makes the table, which several cannot at once

    async def call_and_cancel(times: int) -> None:
        for _ in range(times):
            with trio.move_on_after(rng.uniform(0, 0.015)):
                await database.run(sleep_in_transaction, rng.uniform(0, 0.01))

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(call_and_cancel, 100)
    backends, stuck = await database.run(count_backends)
    statistics = database.statistics()
    assert stuck == 0
    assert statistics.waiting == 0
    assert statistics.idle == statistics.size
    assert backends <= statistics.size


async def test_connection_lost_right_after_a_cancel_is_replaced(
    database: Database, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer_and_go(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        await connection.fetchval("SELECT 1")
        connection.terminate()

    monkeypatch.setattr(worker, "ask_for_life", answer_and_go)
    with trio.move_on_after(0.1):
        await database.run(sleep_in_transaction, 5)
    monkeypatch.undo()
    assert await database.run(backend_pid) > 0
    assert events.names() == []


async def test_caller_leaves_a_frozen_backend_one_second_after_its_deadline(
    dsn: Dsn, events: Events
) -> None:
    async with opened(dsn, PoolLimits(size_min=1, size_max=1), events) as database:
        frozen = await database.run(backend_pid)
        os.kill(frozen, signal.SIGSTOP)
        try:
            began = trio.current_time()
            with trio.move_on_after(0.2):
                await database.run(sleep_in_transaction, 0)
            assert 0.2 <= trio.current_time() - began <= 1.5
            assert await database.run(backend_pid) != frozen
        finally:
            os.kill(frozen, signal.SIGCONT)
        assert events.names() == ["store.lost", "store.regained"]


async def test_closing_does_not_wait_for_a_frozen_backend(dsn: Dsn, events: Events) -> None:
    limits = PoolLimits(size_min=1, size_max=1, close_within_s=0.2)
    async with opened(dsn, limits, events) as database:
        frozen = await database.run(backend_pid)
        os.kill(frozen, signal.SIGSTOP)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_expect_unavailable, database)
                await trio.testing.wait_all_tasks_blocked()
                began = trio.current_time()
                await _close(database)
            assert trio.current_time() - began < 1
        finally:
            os.kill(frozen, signal.SIGCONT)


async def _expect_unavailable(database: Database) -> None:
    with pytest.raises(StoreUnavailable):
        await database.run(add, 1, 1)


async def _close(database: Database) -> None:
    session = database._session
    assert session is not None
    session._closing.set()


async def test_twenty_units_run_at_once_and_the_next_is_turned_away(
    dsn: Dsn, events: Events
) -> None:
    limits = PoolLimits(wait_s=0.4)
    release = trio.Event()
    running = 0

    async def hold(connection: Connection) -> None:
        nonlocal running
        running += 1
        while not release.is_set():  # the asyncio side cannot wait for an event of Trio
            await connection.execute("SELECT pg_sleep(0.05)")

    async with opened(dsn, limits, events) as database, trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(database.run, hold)
        with trio.fail_after(5):
            while running < 20:  # noqa: ASYNC110  counted on the asyncio side
                await trio.sleep(0.01)
        with pytest.raises(StoreUnavailable, match=r"no database connection after 0\.4 s"):
            await database.run(add, 1, 1)
        statistics = database.statistics()
        assert (statistics.size, statistics.idle, statistics.rejected) == (20, 0, 1)
        release.set()


async def test_pool_reports_itself(dsn: Dsn, events: Events) -> None:
    async with opened(dsn, PoolLimits(sample_every_s=0.05), events) as database:
        await database.run(add, 1, 1)
        await trio.sleep(0.12)
    sample = dict(events.seen)["pool.sampled"]
    assert (sample["units"], sample["waiting"]) == (1, 0)


async def test_lost_connections_are_replaced_without_the_callers_help(
    dsn: Dsn, cluster: Cluster, events: Events
) -> None:
    async with opened(dsn, PoolLimits(size_min=1), events) as database:
        name = dsn.url.partition("@/")[2].partition("?")[0]
        kill = (
            f"SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE datname = '{name}'"
        )
        await run_alone(cluster.dsn("jobping"), functools.partial(execute, statement=kill))
        await trio.testing.wait_all_tasks_blocked(0.02)
        assert await database.run(add, 1, 1) == 2
    assert events.names() == ["store.lost", "store.regained"]


async def test_server_that_does_not_answer_is_given_up(events: Events) -> None:
    nowhere = Dsn(url="postgresql://nobody@127.0.0.1:1/nothing")
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1/nothing did not answer in 0\.3 s"):
        async with opened(nowhere, PoolLimits(first_answer_s=0.3), events):
            pass


async def test_unknown_database_is_a_matter_for_the_operator(
    cluster: Cluster, events: Events
) -> None:
    with pytest.raises(ConfigError, match="missing"):
        async with opened(cluster.dsn("missing"), PoolLimits(), events):
            pass


async def test_database_that_knows_no_letters_is_refused(cluster: Cluster, events: Events) -> None:
    make = "CREATE DATABASE letters TEMPLATE template0 LOCALE 'C' LOCALE_PROVIDER libc"
    async with open_loop():
        admin = cluster.dsn("jobping")
        await run_alone(admin, functools.partial(execute, statement=make))
    with pytest.raises(ConfigError, match=r"LOCALE 'C\.UTF-8'"):
        async with opened(cluster.dsn("letters"), PoolLimits(), events):
            pass


def test_place_of_a_dsn_shows_neither_user_nor_password() -> None:
    dsn = Dsn(url="postgresql://me:secret@db.example.org:6432/jobs")
    assert dsn.place == "db.example.org/jobs"
    assert "secret" not in repr(dsn)
