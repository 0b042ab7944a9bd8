"""Whether a database is sound: what `jobping db check` looks at. Changes nothing."""

import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import asyncpg
import attrs
import trio

from jobping.core.finding import Finding, judged, skipped
from jobping.errors import ConfigError, DumpFailed
from jobping.store.connection import Connection
from jobping.store.dumps import DUMP, FRESH, REPLACED, SPARE_BYTES, Tools, ask
from jobping.store.faults import describe
from jobping.store.ledger import BOOKS
from jobping.store.loop import Dsn
from jobping.store.migrate import read_state

MIB: Final = 1024**2
DAMAGED: Final = (
    asyncpg.DataCorruptedError,
    asyncpg.IndexCorruptedError,
    asyncpg.InternalServerError,
)
RESTORE: Final = "restore the newest dump: jobping db restore FILE --replace"

_SERVER = """
SELECT current_setting('server_version') AS version, pg_encoding_to_char(encoding) AS encoding,
       lower('Ä') = 'ä' AS knows_letters, pg_database_size(datname) AS size,
       (SELECT count(*) FROM pg_database WHERE datname IN ($1, $2)) AS leftovers
FROM pg_database WHERE datname = current_database()
"""
_UNPROVEN = """
SELECT conname AS part, NOT convalidated AS differs
FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL
SELECT indexrelid::regclass::text, NOT (indisvalid AND indisready)
FROM pg_index JOIN pg_class ON oid = indexrelid WHERE relnamespace = 'public'::regnamespace
"""
# For each foreign key a query that counts rows without the row they speak of.
_REFERENCES = """
SELECT conname AS part, format(
    'SELECT count(*) FROM %s a WHERE NOT (%s) AND NOT EXISTS (SELECT FROM %s b WHERE %s)',
    conrelid::regclass,
    (SELECT string_agg(format('a.%I IS NULL', attname), ' OR ')
     FROM pg_attribute WHERE attrelid = conrelid AND attnum = ANY(conkey)),
    confrelid::regclass,
    (SELECT string_agg(format('b.%I = a.%I', f.attname, c.attname), ' AND ')
     FROM unnest(conkey, confkey) k (here, there)
     JOIN pg_attribute c ON c.attrelid = conrelid AND c.attnum = k.here
     JOIN pg_attribute f ON f.attrelid = confrelid AND f.attnum = k.there)
) AS query
FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace
ORDER BY conname
"""
# For each sequence of a column a query that says whether a next number is taken already.
_SEQUENCES = """
SELECT s.oid::regclass::text AS part, format(
    'SELECT (SELECT coalesce(max(%I), 0) FROM %s) >= (SELECT last_value + is_called::int FROM %s)',
    attname, refobjid::regclass, s.oid::regclass
) AS query
FROM pg_class s
JOIN pg_depend ON objid = s.oid AND classid = 'pg_class'::regclass AND deptype IN ('a', 'i')
JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid
WHERE s.relkind = 'S' AND s.relnamespace = 'public'::regnamespace
ORDER BY 1
"""
_CHECKSUMS = """
SELECT current_setting('data_checksums') = 'on' AS are_on,
       (SELECT checksum_failures FROM pg_stat_database WHERE datname = current_database()) AS failed
"""
_AMCHECK = "SELECT FROM pg_extension WHERE extname = 'amcheck'"
_INDEXES = """
SELECT count(bt_index_check(c.oid)) FROM pg_class c
JOIN pg_index ON indexrelid = c.oid JOIN pg_am a ON a.oid = c.relam
WHERE amname = 'btree' AND c.relnamespace = 'public'::regnamespace AND indisready AND indisvalid
"""


async def examine(dsn: Dsn, tools: Tools, place: Path) -> tuple[Finding, ...]:
    """Look at everything that can go wrong in a database, a finding each.

    Args:
        place: Lies on the disk whose room counts.

    Raises:
        StoreUnavailable: It does not answer.
    """
    found = [await ask(dsn, _server)]
    try:
        state = await ask(dsn, read_state)
    except ConfigError as error:
        return (*found, judged("schema", str(error), holds=False, advice="see README, Commands"))
    found.append(
        judged(
            "schema",
            f"version {state.applied:04}, {len(state.missing)} migrations missing",
            holds=not state.missing,
            advice="start the daemon: it dumps the database, then migrates it",
        )
    )
    if state.missing:
        return tuple(found)
    for look in _LOOKS:
        found.append(await _looked(dsn, look.section, look.judge))
    found.append(await ask(dsn, _checksums))
    found.append(await _looked(dsn, "indexes", _indexes))
    return (*found, await _rows(dsn, tools), _room(place))


async def _looked(
    dsn: Dsn, section: str, look: Callable[[Connection], Awaitable[Finding]]
) -> Finding:
    try:
        return await ask(dsn, look)
    except DAMAGED as error:
        return judged(section, describe(error), holds=False, advice=RESTORE)


async def _server(connection: Connection) -> Finding:
    name = await connection.fetchval("SELECT current_database()")
    row = await connection.fetchrow(_SERVER, name + FRESH, name + REPLACED)
    assert row is not None  # noqa: S101  we are connected to it
    left = f", {row['leftovers']} left by a killed restore" if row["leftovers"] else ""
    return judged(
        "server",
        f"PostgreSQL {row['version']}, {row['encoding']}, {row['size'] // MIB} MiB{left}",
        holds=row["knows_letters"] and row["encoding"] == "UTF8",
        advice="dump it and restore into a database with ENCODING 'UTF8' LOCALE 'C.UTF-8'",
    )


@attrs.frozen
class _Look:
    """A query whose rows are parts, each wrong by its `differs` or by the answer to its `query`."""

    section: str
    what: str
    query: str
    advice: str

    async def judge(self, connection: Connection) -> Finding:
        """Count the parts and those that are wrong; asyncio side."""
        rows, wrong = await connection.fetch(self.query), list[str]()
        for row in rows:
            differs = row.get("differs")
            if await connection.fetchval(row["query"]) if differs is None else differs:
                wrong.append(row["part"])
        named = f": {', '.join(wrong[:3])}" if wrong else ""
        figure = f"{len(rows)} {self.what}, {len(wrong)} wrong{named}"
        return judged(self.section, figure, holds=not wrong, advice=self.advice)


_LOOKS: Final = (
    _Look(
        "constraints",
        "constraints and indexes",
        _UNPROVEN,
        "ALTER TABLE ... VALIDATE CONSTRAINT, or REINDEX INDEX, in jobping db shell",
    ),
    _Look("references", "foreign keys", _REFERENCES, RESTORE),
    _Look(
        "sequences",
        "sequences",
        _SEQUENCES,
        "set each to the largest number in use: SELECT setval(...) in jobping db shell",
    ),
    _Look(
        "ledger",
        "balances beside their journal",
        BOOKS,
        "restart the daemon: it lets the larger figure hold, and says so (budget.recounted)",
    ),
)


async def _checksums(connection: Connection) -> Finding:
    row = await connection.fetchrow(_CHECKSUMS)
    if row is None or not row["are_on"]:
        return skipped("checksums", "the server keeps none; see pg_checksums --enable")
    failed = row["failed"] or 0
    return judged("checksums", f"on, {failed} failures", holds=not failed, advice=RESTORE)


async def _rows(dsn: Dsn, tools: Tools) -> Finding:
    """Read every row, which also proves the checksum of every page of a table."""
    began = trio.current_time()
    try:
        await tools.run("pg_dump", dsn, *DUMP, "--compress=0")
    except ConfigError as error:
        return skipped("rows", str(error))
    except DumpFailed as error:
        return judged("rows", str(error), holds=False, advice=RESTORE)
    figure = f"all read in {trio.current_time() - began:.1f} s"
    return judged("rows", figure, holds=True, advice="")


async def _indexes(connection: Connection) -> Finding:
    if not await connection.fetch(_AMCHECK):
        return skipped("indexes", "not compared with their tables: no extension amcheck here")
    count = await connection.fetchval(_INDEXES)
    return judged("indexes", f"{count} in order", holds=True, advice="")


def _room(place: Path) -> Finding:
    free = shutil.disk_usage(place).free
    return judged(
        "disk",
        f"{free // MIB} MiB free at {place}",
        holds=free > SPARE_BYTES,
        advice="make room: without it PostgreSQL stops",
    )
