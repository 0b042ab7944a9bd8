"""Migrations on a real server: order, checksums, versions, and several migrating at once."""

import functools
import shutil
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
import trio

from jobping.errors import ConfigError
from jobping.store.bridge import Connection, Database, Dsn, open_loop, run_alone
from jobping.store.migrate import SCHEMA, migrate, read_migrations
from tests.doubles.postgres import Cluster


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    """Two files of a schema of our own."""
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE first (id int);")
    (tmp_path / "0002_second.sql").write_text(
        "CREATE TABLE second (id int); INSERT INTO first VALUES (1);"
    )
    return tmp_path


@pytest.fixture
def empty(cluster: Cluster) -> Iterator[Dsn]:
    """A database without any table."""
    made = cluster.create_empty()
    yield made
    cluster.drop(made)


async def apply(dsn: Dsn, schema: Path) -> tuple[int, ...]:
    return await run_alone(dsn, functools.partial(migrate, schema=schema))


async def rows(dsn: Dsn, query: str) -> list[tuple[object, ...]]:
    async def unit(connection: Connection) -> list[tuple[object, ...]]:
        return [tuple(row) for row in await connection.fetch(query)]

    return await run_alone(dsn, unit)


async def test_migrations_are_applied_once_in_order(empty: Dsn, schema: Path) -> None:
    async with open_loop():
        assert await apply(empty, schema) == (1, 2)
        assert await apply(empty, schema) == ()
        assert await rows(empty, "SELECT id FROM first") == [(1,)]
        applied = await rows(
            empty, "SELECT version, name, length(sha256) FROM schema_version ORDER BY version"
        )
    assert applied == [(1, "first", 32), (2, "second", 32)]


async def test_digests_claimed_before_ways_had_rows_are_looked_for_among_the_files(
    empty: Dsn, tmp_path: Path
) -> None:
    for file in SCHEMA.glob("00*.sql"):
        if file.name < "0011":
            shutil.copy(file, tmp_path)
    claimed = """
        WITH p AS (INSERT INTO profile (name, origin, wishes) VALUES ('ana', 'file', '{}')
                   RETURNING id)
        INSERT INTO digest (profile_id, period) SELECT id, 'first' FROM p RETURNING 1
    """
    async with open_loop():
        await apply(empty, tmp_path)
        await rows(empty, claimed)
        await apply(empty, SCHEMA)
        assert await rows(empty, "SELECT way, state FROM digest_way") == [("files", "sending")]


async def test_later_file_is_applied_alone(empty: Dsn, schema: Path) -> None:
    async with open_loop():
        await apply(empty, schema)
        (schema / "0010_third.sql").write_text("DROP TABLE second;")
        assert await apply(empty, schema) == (10,)


async def test_failing_file_leaves_nothing_of_itself(empty: Dsn, schema: Path) -> None:
    (schema / "0002_second.sql").write_text("CREATE TABLE second (id int); SELECT 1 / 0;")
    async with open_loop():
        with pytest.raises(asyncpg.DivisionByZeroError):
            await apply(empty, schema)
        assert await rows(empty, "SELECT version FROM schema_version") == [(1,)]
        assert await rows(empty, "SELECT to_regclass('second')") == [(None,)]


async def test_changed_file_is_refused(empty: Dsn, schema: Path) -> None:
    async with open_loop():
        await apply(empty, schema)
        (schema / "0001_first.sql").write_text("CREATE TABLE first (id bigint);")
        with pytest.raises(ConfigError, match="Schema 0001_first was changed"):
            await apply(empty, schema)


async def test_database_newer_than_the_code_is_refused(empty: Dsn, schema: Path) -> None:
    async with open_loop():
        await apply(empty, schema)
        (schema / "0002_second.sql").unlink()
        with pytest.raises(ConfigError, match=r"has schema 0002_second, .* knows up to 0001"):
            await apply(empty, schema)


async def test_two_migrating_at_once_share_the_work(empty: Dsn, schema: Path) -> None:
    (schema / "0002_second.sql").write_text("SELECT pg_sleep(0.2);")
    applied: list[int] = []

    async def one() -> None:
        applied.extend(await apply(empty, schema))

    async with open_loop(), trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(one)
    assert sorted(applied) == [1, 2]


async def test_migrating_is_a_unit_of_work(database: Database) -> None:
    assert await database.run(migrate) == ()


@pytest.mark.parametrize("name", ["1_first.sql", "0001-first.sql", "first.sql"])
def test_file_with_another_name_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(ValueError, match="is named NNNN_name"):
        read_migrations(tmp_path)


def test_version_that_stands_twice_is_refused(schema: Path) -> None:
    (schema / "0002_other.sql").touch()
    with pytest.raises(ValueError, match="version 2 stands twice"):
        read_migrations(schema)


def test_own_schema_has_no_gap() -> None:
    versions = [migration.version for migration in read_migrations()]
    assert versions == [*range(1, len(versions) + 1)]
