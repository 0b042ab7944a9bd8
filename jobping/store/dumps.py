"""Dumps of the whole database, by PostgreSQL's own programs, and their way back.

A dump is written beside its name and renamed when it is complete. A restore fills a database of its
own, brings its schema up to this version, repeats what people have refused since, and only then
takes the place of the old one, in one transaction: whatever happens before leaves the old one as it
was.
"""

import asyncio
import contextlib
import datetime as dt
import functools
import os
import shutil
import subprocess
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

import asyncpg
import attrs
import trio

from jobping.clock import Clock
from jobping.errors import ConfigError, DumpFailed, StoreUnavailable
from jobping.events import Emit
from jobping.store.binaries import find_client
from jobping.store.children import ENVIRONMENT
from jobping.store.connection import Connection
from jobping.store.faults import REFUSED, UNREACHABLE, describe, refusal
from jobping.store.loop import Dsn, run_alone
from jobping.store.migrate import migrate, read_state
from jobping.store.refusals import read_refusals, repeat_refusals

R = TypeVar("R")

MAGIC: Final = b"PGDMP"
SCRATCH: Final = "jobping_check_"
"""How the schemas begin that `jobping check` works in; they are no part of the database."""
DUMP: Final = ("--format=custom", f"--exclude-schema={SCRATCH}*")
AUTOMATIC: Final = "before-migration"
KEPT: Final = 3
"""So many dumps from before migrations are kept, the newest always."""
KEPT_BYTES: Final = 2 * 1024**3
SPARE_BYTES: Final = 64 * 1024**2
"""What a dump must leave of the disk."""
TIDY_S: Final = 20.0
UNFINISHED: Final = ".unfinished"
FRESH, REPLACED = "_restoring", "_replaced"
"""Ends of the names of databases that a killed restore leaves; the next one removes them."""

_OTHERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
CONTENT = ("board", "posting", "profile", "budget_entry")
"""The tables whose rows make a database one that holds something."""
_TABLES = """
SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND NOT starts_with(schemaname, $1)
"""
# A database like the present one, empty; the server quotes the words.
_CREATE = """
SELECT format('CREATE DATABASE %I TEMPLATE template0 ENCODING %L LC_COLLATE %L LC_CTYPE %L',
              $1::text, pg_encoding_to_char(encoding), datcollate, datctype)
       || CASE datlocprovider
              WHEN 'i' THEN format(' LOCALE_PROVIDER icu ICU_LOCALE %L', locale)
              WHEN 'b' THEN format(' LOCALE_PROVIDER builtin BUILTIN_LOCALE %L', locale)
              ELSE '' END
FROM (SELECT *, coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') AS locale
      FROM pg_database d) d
WHERE datname = current_database()
"""


@attrs.frozen(kw_only=True)
class Tools:
    """Where the programs are found, and what they are given.

    Attributes:
        bin_dir: Looked into first.
        environ: Their environment.
    """

    bin_dir: Path | None = None
    environ: Mapping[str, str] = attrs.field(factory=lambda: ENVIRONMENT, repr=False)

    async def run(self, program: str, dsn: Dsn, *arguments: str, output: int | None = None) -> None:
        """Run a client program on a database.

        Args:
            output: A descriptor that takes its standard output; None: nothing does.

        Raises:
            ConfigError: There is none that fits the server.
            DumpFailed: It failed; the message is its own.
        """
        server = await ask(dsn, _server_major)
        path = await trio.to_thread.run_sync(
            functools.partial(find_client, program, self.bin_dir, server=server)
        )
        url, password = split_password(dsn.url)
        ended = await trio.run_process(
            [path, f"--dbname={url}", "--no-password", *arguments],
            stdout=subprocess.DEVNULL if output is None else output,
            capture_stderr=True,
            check=False,
            cwd="/",
            env={**self.environ, "LC_ALL": "C", **({"PGPASSWORD": password} if password else {})},
        )
        if ended.returncode:
            said = ended.stderr.decode(errors="replace").strip().splitlines()
            errors = [line for line in said if "error:" in line] or said or ["it said nothing"]
            raise DumpFailed("; ".join(errors[:3]))


def split_password(url: str) -> tuple[str, str | None]:
    """Take the password out of a URL: what stands in arguments, every local user can read.

    It stands before the host or, as `password=`, among the parameters; the first one counts.
    """
    parts = urllib.parse.urlsplit(url)
    kept, given = list[str](), list[str]()
    for field in parts.query.split("&"):
        (given if field.startswith("password=") else kept).append(field)
    if parts.password is not None:
        given.insert(0, f"password={parts.password}")
        user = f"{parts.username}@" if parts.username else ""
        url = url.replace(parts.netloc, user + parts.netloc.rpartition("@")[2], 1)
    if not given:
        return url, None
    left = url.partition("?")[0] + "?" * any(kept) + "&".join(kept)
    return left, urllib.parse.unquote(given[0].removeprefix("password="))


def _put_together(parts: urllib.parse.SplitResult) -> str:
    """Return the URL; `geturl` drops the slashes of one without a host, as of a socket."""
    query = parts.query and f"?{parts.query}"
    return f"{parts.scheme}://{parts.netloc}{parts.path}{query}"


async def ask(dsn: Dsn, unit: Callable[[Connection], Awaitable[R]]) -> R:
    """Run a unit on a connection of its own; its errors are mapped.

    Raises:
        ConfigError: We may not do this, or not even connect.
        DumpFailed: Others use a database that must be ours alone.
        StoreUnavailable: The server does not answer.
    """
    try:
        return await run_alone(dsn, unit)
    except asyncpg.InsufficientPrivilegeError as error:
        raise ConfigError(
            f"{describe(error)}: the role of the database URL must own the database; a restore"
            " also needs ALTER ROLE ... CREATEDB"
        ) from error
    except asyncpg.ObjectInUseError as error:
        raise DumpFailed(f"{describe(error)}: stop whoever is connected") from error
    except REFUSED as error:
        raise refusal(error, dsn.place) from error
    except UNREACHABLE as error:
        raise StoreUnavailable(f"{dsn.place}: {describe(error)}") from error


async def _server_major(connection: Connection) -> int:
    return int(await connection.fetchval("SHOW server_version_num")) // 10_000


async def _name(connection: Connection) -> str:
    return str(await connection.fetchval("SELECT current_database()"))


async def _size(connection: Connection) -> int:
    return int(await connection.fetchval("SELECT pg_database_size(current_database())"))


def _beside(dsn: Dsn, database: str) -> Dsn:
    """Return how to reach another database of the same server."""
    path = "/" + urllib.parse.quote(database, safe="")
    return Dsn(url=_put_together(urllib.parse.urlsplit(dsn.url)._replace(path=path)))


async def write_dump(dsn: Dsn, file: Path, tools: Tools) -> int:
    """Write a consistent dump, mode 0600; the daemon may run meanwhile.

    Returns:
        Its length in bytes.

    Raises:
        DumpFailed: It could not be written; nothing is left of it.
    """
    unfinished = file.with_name(file.name + UNFINISHED)
    descriptor = _begin(file, unfinished)
    try:
        await tools.run("pg_dump", dsn, *DUMP, output=descriptor)
        os.fsync(descriptor)
        length = os.fstat(descriptor).st_size
        unfinished.rename(file)
    except OSError as error:
        raise DumpFailed(f"{file}: {error.strerror}") from error
    finally:
        os.close(descriptor)
        unfinished.unlink(missing_ok=True)
    return length


def _begin(file: Path, unfinished: Path) -> int:
    """Open the file that will get the name when it is complete."""
    if file.exists() and not file.is_file():
        raise DumpFailed(f"{file} is no regular file")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        unfinished.unlink(missing_ok=True)
        return os.open(unfinished, flags, 0o600)
    except OSError as error:
        raise DumpFailed(f"{unfinished}: {error.strerror}") from error


def file_name(kind: str, schema: int) -> str:
    """Return the name of a dump made now: its kind, the schema it has, the moment in UTC."""
    moment = Clock().utcnow().astimezone(dt.UTC)
    return f"{kind}-{schema:04}-{moment:%Y%m%dT%H%M%SZ}.dump"


async def bring_up_to_date(dsn: Dsn, *, dumps: Path | None, emit: Emit, tools: Tools) -> None:
    """Apply the migrations that are missing; before that dump a database that holds something.

    Args:
        dumps: The directory of the dumps; None: none is made.

    Raises:
        ConfigError: As for `migrate`; or there is no program to dump with.
        StoreUnavailable: No dump could be made, so nothing was migrated.
    """
    if dumps is not None:
        state = await run_alone(dsn, read_state)
        if state.applied and state.missing:
            await _dump_before(dsn, dumps, state.applied, emit, tools)
    applied = await run_alone(dsn, migrate)
    if applied:
        emit("store.migrated", versions=list(applied))


async def _dump_before(dsn: Dsn, dumps: Path, schema: int, emit: Emit, tools: Tools) -> None:
    began = Clock().monotonic()
    file = dumps / file_name(AUTOMATIC, schema)
    try:
        _tidy(dumps)
        await _need_room(dsn, dumps)
        length = await write_dump(dsn, file, tools)
    except (OSError, DumpFailed) as error:
        emit("dump.failed", file=str(file), why=str(error))
        raise StoreUnavailable(f"no dump before the migration: {error}") from error
    duration_s = round(Clock().monotonic() - began, 3)
    emit("dump.written", file=str(file), bytes=length, schema=schema, duration_s=duration_s)
    for old in _surplus(dumps):
        old.unlink(missing_ok=True)
        emit("dump.removed", file=str(old))


def _tidy(dumps: Path) -> None:
    """Make the directory; remove what killed dumps left."""
    dumps.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in dumps.glob(f"*{UNFINISHED}"):
        left.unlink(missing_ok=True)


async def _need_room(dsn: Dsn, dumps: Path) -> None:
    """Fail where the disk could not take a dump of this size, however badly it compresses."""
    needed = await run_alone(dsn, _size) + SPARE_BYTES
    free = shutil.disk_usage(dumps).free
    if free < needed:
        raise DumpFailed(
            f"{dumps} has {free // 1024**2} MiB free, {needed // 1024**2} MiB are needed"
        )


def _surplus(dumps: Path) -> list[Path]:
    """Return the dumps from before migrations that are too many or too large together."""
    files = dumps.glob(f"{AUTOMATIC}-*.dump")
    newest = sorted(files, key=lambda file: (file.stat().st_mtime_ns, file.name), reverse=True)
    total, found = 0, list[Path]()
    for place, file in enumerate(newest):
        total += file.stat().st_size
        if place and (place >= KEPT or total > KEPT_BYTES):
            found.append(file)
    return found


async def restore_dump(dsn: Dsn, file: Path, tools: Tools, *, replace: bool) -> int:
    """Put the content of a dump in the place of the database.

    Args:
        file: Its absolute path.
        replace: Also where the database holds something, which is lost.

    Returns:
        The version of the schema that the dump had.

    Raises:
        DumpFailed: It is no dump of ours, is damaged, or the database is in use or not empty.
        ConfigError: Our role may not do this, or the dump is newer than this code.
    """
    _look_at(file)
    await _refuse_in_use(dsn)
    if not replace and await ask(dsn, _is_filled):
        raise DumpFailed("the database is not empty; --replace puts the dump in its place")
    name = await ask(dsn, _name)
    async with _fresh_database(dsn, name) as fresh:
        options = ("--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction")
        try:
            await tools.run("pg_restore", fresh, *options, str(file))
        except DumpFailed as error:
            raise DumpFailed(f"{file} cannot be restored, nothing was changed: {error}") from error
        state = await ask(fresh, read_state)
        if not state.applied:
            raise DumpFailed(f"{file} is a dump, but not of jobping")
        ours = await ask(fresh, _tables)
        await ask(fresh, migrate)
        foreign = await ask(dsn, _tables) - ours - await ask(fresh, _tables)
        if foreign:
            raise DumpFailed(
                f"the database also holds {', '.join(sorted(foreign)[:5])}, which the dump lacks"
                " and which would be lost: restore into a database of jobping's own"
            )
        await _refuse_in_use(dsn)
        refusals = await ask(dsn, read_refusals)
        await ask(fresh, lambda connection: repeat_refusals(connection, refusals))
        await _swap(dsn, name)
    return state.applied


def _look_at(file: Path) -> None:
    try:
        with file.open("rb") as opened:
            begins = opened.read(len(MAGIC))
    except OSError as error:
        raise DumpFailed(f"{file}: {error.strerror}") from error
    if begins != MAGIC:
        raise DumpFailed(f"{file} was not written by `jobping db dump`")


async def _refuse_in_use(dsn: Dsn) -> None:
    others = await ask(dsn, _others)
    if others:
        raise DumpFailed(
            f"the database has {others} more connections: stop the daemon and whoever else uses it"
        )


async def _others(connection: Connection) -> int:
    """Return how many others are connected; those of our own that just left are waited for."""
    for _ in range(20):
        others = int(await connection.fetchval(_OTHERS))
        if not others:
            break
        await asyncio.sleep(0.05)
    return others


async def _is_filled(connection: Connection) -> bool:
    for table in CONTENT:
        is_there = await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", table)
        query = f"SELECT EXISTS (SELECT FROM {table})"  # noqa: S608  our own word
        if is_there and await connection.fetchval(query):
            return True
    return False


async def _tables(connection: Connection) -> set[str]:
    return {str(row[0]) for row in await connection.fetch(_TABLES, SCRATCH)}


@contextlib.asynccontextmanager
async def _fresh_database(dsn: Dsn, name: str) -> AsyncIterator[Dsn]:
    """Make an empty database beside ours; what has not taken its place by the end is dropped."""
    await _drop(dsn, name + REPLACED)
    await _drop(dsn, name + FRESH)
    create = await ask(dsn, lambda connection: connection.fetchval(_CREATE, name + FRESH))
    try:
        with trio.move_on_after(TIDY_S, shield=True) as making:  # if cut off it may still come
            await ask(dsn, lambda connection: connection.execute(create))
        if making.cancelled_caught:
            raise StoreUnavailable(f"the server made no database within {TIDY_S:g} s")
        yield _beside(dsn, name + FRESH)
    finally:
        with trio.move_on_after(TIDY_S, shield=True):
            await _drop(dsn, name + FRESH)
            await _drop(dsn, name + REPLACED)


async def _drop(dsn: Dsn, name: str) -> None:
    async def drop(connection: Connection) -> None:
        quoted = await connection.fetchval("SELECT quote_ident($1)", name)
        await connection.execute(f"DROP DATABASE IF EXISTS {quoted}")

    await ask(dsn, drop)


async def _swap(dsn: Dsn, name: str) -> None:
    """Let the fresh database take the name, and the old one another."""

    async def rename(connection: Connection) -> None:
        words = [name, name + REPLACED, name + FRESH]
        old, replaced, fresh = [
            await connection.fetchval("SELECT quote_ident($1)", word) for word in words
        ]
        async with connection.transaction():
            await connection.execute(f"ALTER DATABASE {old} RENAME TO {replaced}")
            await connection.execute(f"ALTER DATABASE {fresh} RENAME TO {old}")

    await ask(_beside(dsn, "postgres"), rename)
