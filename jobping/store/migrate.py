"""Bring the schema of a database up to this version of the code: forward only, each file once.

A file is `NNNN_name.sql` and runs in one transaction of its own. What was applied stands in the
table `schema_version`, with a checksum, so that an edited file is noticed.
"""

import asyncio
import hashlib
import re
from pathlib import Path

import attrs

from jobping.errors import ConfigError, StoreUnavailable
from jobping.store.connection import Connection

SCHEMA = Path(__file__).parent / "schema"
"""Where our own files lie."""
LOCK = 5_704_614_301
"""The advisory lock of whoever migrates; any number that nothing else in this database uses."""
LOCK_POLLS = 600
LOCK_POLL_S = 0.1

_FILE_NAME = re.compile(r"(?P<version>[0-9]{4})_(?P<name>[a-z0-9_]+)\.sql")

_TABLE = """
CREATE TABLE IF NOT EXISTS schema_version (
    version integer PRIMARY KEY,
    name text NOT NULL,
    sha256 bytea NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    duration_ms integer NOT NULL
)
"""
_APPLIED = "SELECT version, name, sha256 FROM schema_version ORDER BY version"
_RECORD = """
INSERT INTO schema_version (version, name, sha256, duration_ms)
VALUES ($1, $2, $3, extract(epoch FROM clock_timestamp() - now()) * 1000)
"""


@attrs.frozen(kw_only=True)
class Migration:
    """One file of the schema."""

    version: int
    name: str
    sql: str = attrs.field(repr=False)

    @property
    def sha256(self) -> bytes:
        """Return the checksum of the file."""
        return hashlib.sha256(self.sql.encode()).digest()


def read_migrations(schema: Path = SCHEMA) -> tuple[Migration, ...]:
    """Read the files of a schema, lowest version first.

    Raises:
        ValueError: A name is not `NNNN_name.sql`, or a version stands twice.
    """
    found: dict[int, Migration] = {}
    for path in sorted(schema.glob("*.sql")):
        parts = _FILE_NAME.fullmatch(path.name)
        if parts is None:
            raise ValueError(f"{path}: a migration is named NNNN_name.sql")
        migration = Migration(
            version=int(parts["version"]), name=parts["name"], sql=path.read_text(encoding="utf-8")
        )
        if migration.version in found:
            raise ValueError(f"{path}: version {migration.version} stands twice")
        found[migration.version] = migration
    return tuple(found.values())


async def migrate(connection: Connection, schema: Path = SCHEMA) -> tuple[int, ...]:
    """Apply what is missing, one transaction per file; a unit, asyncio side.

    Several daemons may call it at once: one migrates, the others wait and then find nothing to do.

    Returns:
        The versions applied by this call.

    Raises:
        ConfigError: The database is newer than this code, or an applied file was changed since.
        StoreUnavailable: Another process has been migrating for a minute.
    """
    migrations = read_migrations(schema)
    applied: list[int] = []
    while (version := await _apply_next(connection, migrations)) is not None:
        applied.append(version)
    return tuple(applied)


@attrs.frozen(kw_only=True)
class SchemaState:
    """How far a database has come.

    Attributes:
        applied: The newest version it has; 0: none.
        missing: The versions of this code that it lacks.
    """

    applied: int
    missing: tuple[int, ...]


async def read_state(connection: Connection, schema: Path = SCHEMA) -> SchemaState:
    """Return how far a database has come; a unit, asyncio side. Changes nothing.

    Raises:
        ConfigError: As for `migrate`.
    """
    migrations = read_migrations(schema)
    applied: set[int] = set()
    if await connection.fetchval("SELECT to_regclass('schema_version') IS NOT NULL"):
        rows = await connection.fetch(_APPLIED)
        _check_history({row["version"]: (row["name"], row["sha256"]) for row in rows}, migrations)
        applied = {row["version"] for row in rows}
    missing = tuple(one.version for one in migrations if one.version not in applied)
    return SchemaState(applied=max(applied, default=0), missing=missing)


async def _apply_next(connection: Connection, migrations: tuple[Migration, ...]) -> int | None:
    """Apply the first file that is missing and return its version; None if none is."""
    for _ in range(LOCK_POLLS):
        async with connection.transaction():
            # Polled: a process that waits for the lock holds a snapshot, which blocks some DDL.
            if await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", LOCK):
                return await _apply_locked(connection, migrations)
        await asyncio.sleep(LOCK_POLL_S)
    raise StoreUnavailable("another process has been migrating this database for a minute")


async def _apply_locked(connection: Connection, migrations: tuple[Migration, ...]) -> int | None:
    await connection.execute("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = 0")
    await connection.execute(_TABLE)
    rows = await connection.fetch(_APPLIED)
    _check_history({row["version"]: (row["name"], row["sha256"]) for row in rows}, migrations)
    done = {row["version"] for row in rows}
    for migration in migrations:
        if migration.version not in done:
            await connection.execute(migration.sql)
            await connection.execute(_RECORD, migration.version, migration.name, migration.sha256)
            return migration.version
    return None


def _check_history(
    applied: dict[int, tuple[str, bytes]], migrations: tuple[Migration, ...]
) -> None:
    known = {migration.version: migration for migration in migrations}
    newest = max(known, default=0)
    for version, (name, sha256) in applied.items():
        if version > newest:
            raise ConfigError(
                f"The database has schema {version:04}_{name}, this version of jobping knows up to "
                f"{newest:04}. Install the version that made it, or a later one."
            )
        if version not in known or known[version].sha256 != sha256:
            raise ConfigError(
                f"Schema {version:04}_{name} was changed after this database had applied it. "
                "Install an unchanged jobping, or restore the database from a dump."
            )
