"""Boards: which are polled, who put them here, and when each is due."""

import datetime as dt
from collections.abc import Collection, Sequence
from typing import assert_never

import attrs

from jobping.core.board import Board, Origin, StoredBoard
from jobping.core.closing import EXPIRES_DAYS, Absent, Proof, due
from jobping.core.ids import BoardId, Domain, ExternalId, PostingId, SourceName
from jobping.core.revalidation import LastAnswer
from jobping.errors import StoreConflict
from jobping.store.bridge import Database
from jobping.store.connection import Connection
from jobping.store.rows import board_of, clean, clean_optional, key_of

Placed = tuple[Board, Domain]
"""A board and the domain that its source names for it."""


@attrs.frozen(kw_only=True)
class Kept:
    """What a good poll leaves behind for the next one.

    Attributes:
        counts: How many postings the last good walks listed; None: as before.
        answer: What to keep of its one page; None: nothing, the next poll reads in full.
        listed: What the walk listed; None: it is the answer that was kept before.
        proof: What it says of the postings that it did not list.
    """

    counts: tuple[int, ...] | None = None
    answer: LastAnswer | None = None
    listed: Collection[ExternalId] | None = None
    proof: Proof = Proof.NOTHING


# One writer of the list at a time; readers and polls go on.
_LOCK = "LOCK TABLE board IN SHARE ROW EXCLUSIVE MODE"

# Enters boards of one origin. A removed board that returns starts anew: its first walk is stock.
# One that moved to another domain is due at once.
_ENTER = """
INSERT INTO board AS b (source, slug, company, domain, standby, origin)
SELECT source, slug, company, domain, standby, $6
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::boolean[])
    AS e (source, slug, company, domain, standby)
ON CONFLICT (source, slug) DO UPDATE SET
    company = excluded.company, domain = excluded.domain, standby = excluded.standby,
    origin = excluded.origin, enabled = true,
    polled_at = CASE WHEN b.enabled THEN b.polled_at END,
    next_due_at = CASE WHEN b.enabled AND b.domain = excluded.domain THEN b.next_due_at END,
    failures = CASE WHEN b.enabled THEN b.failures ELSE 0 END,
    outcome = CASE WHEN b.enabled THEN b.outcome END
WHERE excluded.origin = 'file' OR b.origin = 'default' OR NOT b.enabled
"""

# Disables the boards of one origin that are not listed.
_DROP_OTHERS = """
UPDATE board SET enabled = false
WHERE enabled AND origin = $3
  AND (source, slug) NOT IN (SELECT * FROM unnest($1::text[], $2::text[]))
"""

# Standby boards wait for others to find too little, so they alone are no choice.
_HAS_CHOSEN = """
SELECT EXISTS (SELECT FROM board WHERE enabled AND origin <> 'default' AND NOT standby)
"""

_FIND = "SELECT * FROM board WHERE enabled AND source = $1 AND slug = $2"

_ENABLED = """
SELECT * FROM board WHERE enabled AND ($1::text IS NULL OR domain = $1) ORDER BY source, slug
"""

_MOVE = "UPDATE board SET domain = $2 WHERE id = $1"

_DISABLE = "UPDATE board SET enabled = false WHERE id = $1"

_MARK_POLLED = """
UPDATE board SET polled_at = now(), next_due_at = $2, failures = 0, outcome = $3,
    counts = coalesce($4::integer[], counts), suspect_since = NULL
WHERE id = $1
"""

# What was kept of the last answer goes: the page must be read in full before it counts again.
_MARK_FAILED = """
WITH forgotten AS (DELETE FROM board_answer WHERE board_id = $1)
UPDATE board SET next_due_at = $2, failures = failures + 1, outcome = $3,
    suspect_since = CASE WHEN $4 THEN coalesce(suspect_since, now()) END
WHERE id = $1
"""

_LAST_ANSWER = "SELECT * FROM board_answer WHERE board_id = $1"

_FORGET_ANSWER = "DELETE FROM board_answer WHERE board_id = $1"

_KEEP_ANSWER = """
INSERT INTO board_answer (board_id, request_key, origin, body_hash, etag, last_modified, seen,
    held, duplicate, rejected, read_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (board_id) DO UPDATE SET (request_key, origin, body_hash, etag, last_modified, seen,
    held, duplicate, rejected, read_at) = (excluded.request_key, excluded.origin,
    excluded.body_hash, excluded.etag, excluded.last_modified, excluded.seen, excluded.held,
    excluded.duplicate, excluded.rejected, excluded.read_at)
"""

# Notes which postings of a board its answer no longer lists. Locked rows wait for the next read.
_MARK_ABSENT = """
WITH due AS (
    SELECT s.posting_id
    FROM posting p
    JOIN posting_seen s ON s.posting_id = p.id
    WHERE p.board_id = $1 AND p.closed_at IS NULL AND s.absent_since IS NULL
      AND NOT EXISTS (
          SELECT FROM unnest($2::text[]) AS listed (id) WHERE listed.id = p.external_id)
    ORDER BY s.posting_id
    FOR UPDATE OF s SKIP LOCKED
)
UPDATE posting_seen s SET absent_since = now() FROM due WHERE s.posting_id = due.posting_id
"""

# What an earlier complete answer lacked and this one does not list; no list: the same one again.
_ABSENT_AGAIN = """
SELECT p.id, s.absent_since, now() AS utcnow
FROM posting p
JOIN posting_seen s ON s.posting_id = p.id
WHERE p.board_id = $1 AND p.closed_at IS NULL AND s.absent_since IS NOT NULL
  AND ($2::text[] IS NULL OR p.external_id <> ALL($2::text[]))
ORDER BY p.id
FOR NO KEY UPDATE OF p
"""

_COUNT_OPEN = "SELECT count(*) FROM posting WHERE board_id = $1 AND closed_at IS NULL"

_CLOSE = "UPDATE posting SET closed_at = now() WHERE id = ANY($1::bigint[])"

# Closes the postings of a board that were not seen for so many days; for 0 days, all.
_CLOSE_UNSEEN = """
WITH due AS (
    SELECT p.id
    FROM posting p
    JOIN posting_seen s ON s.posting_id = p.id
    WHERE p.board_id = $1 AND p.closed_at IS NULL
      AND s.last_seen <= (now() AT TIME ZONE 'UTC')::date - $2::integer
    ORDER BY p.id
    FOR NO KEY UPDATE OF p
)
UPDATE posting p SET closed_at = now() FROM due WHERE p.id = due.id RETURNING p.id
"""

# Notes which postings of a board their own pages no longer hold, and which are past their end.
_MARK_GONE = """
WITH due AS (
    SELECT id FROM posting
    WHERE board_id = $1 AND closed_at IS NULL
      AND (external_id = ANY($2::text[]) OR closes_at <= now())
    ORDER BY id
    FOR NO KEY UPDATE
)
UPDATE posting_seen s SET absent_since = coalesce(s.absent_since, now())
FROM due WHERE s.posting_id = due.id
RETURNING s.posting_id AS id, s.absent_since, now() AS utcnow
"""

# Confirms what the last answer listed: the same answer came again. At most once a day per row.
_CONFIRM = """
WITH due AS (
    SELECT s.posting_id
    FROM posting p
    JOIN posting_seen s ON s.posting_id = p.id
    WHERE p.board_id = $1 AND p.closed_at IS NULL AND s.absent_since IS NULL
      AND s.last_seen < (now() AT TIME ZONE 'UTC')::date
    ORDER BY s.posting_id
    FOR UPDATE OF s SKIP LOCKED
)
UPDATE posting_seen s SET last_seen = (now() AT TIME ZONE 'UTC')::date
FROM due WHERE s.posting_id = due.posting_id
"""


async def _replace(connection: Connection, origin: Origin, boards: Sequence[Placed]) -> None:
    """Make the boards of one origin these; asyncio side, inside a transaction."""
    distinct = {(board.source, board.slug): (board, domain) for board, domain in boards}
    chosen = [distinct[key] for key in sorted(distinct)]
    sources = [clean(board.source) for board, _ in chosen]
    slugs = [clean(board.slug) for board, _ in chosen]
    companies = [clean_optional(board.company) for board, _ in chosen]
    domains = [clean(domain) for _, domain in chosen]
    await connection.execute(_DROP_OTHERS, sources, slugs, origin.value)
    standby = [board.standby for board, _ in chosen]
    await connection.execute(_ENTER, sources, slugs, companies, domains, standby, origin.value)


async def _sync(
    connection: Connection,
    configured: Sequence[Placed],
    defaults: Sequence[Placed],
    use_defaults: bool | None,
) -> None:
    """Bring the rows in line with the configuration; asyncio side."""
    async with connection.transaction():
        await connection.execute(_LOCK)
        await _replace(connection, Origin.FILE, configured)
        if use_defaults is None:
            use_defaults = not await connection.fetchval(_HAS_CHOSEN)
        await _replace(connection, Origin.DEFAULT, defaults if use_defaults else ())


async def _enabled(connection: Connection, domain: Domain | None) -> tuple[StoredBoard, ...]:
    """Read the boards that are polled, at one domain or all; asyncio side."""
    return tuple(map(board_of, await connection.fetch(_ENABLED, domain)))


async def _move(connection: Connection, id: BoardId, domain: Domain) -> None:
    """Write where a board is asked; asyncio side."""
    await connection.execute(_MOVE, id, clean(domain))


async def _find(connection: Connection, source: str, slug: str) -> StoredBoard | None:
    row = await connection.fetchrow(_FIND, clean(source), clean(slug))
    return None if row is None else board_of(row)


async def _add(connection: Connection, board: Board, domain: Domain) -> StoredBoard:
    """Enter one board by command; asyncio side."""
    async with connection.transaction():
        await connection.execute(_LOCK)
        present = await _find(connection, board.source, board.slug)
        if present is not None and present.origin is not Origin.DEFAULT:
            raise StoreConflict(_say_present(present))
        texts = (clean(board.source), clean(board.slug), clean_optional(board.company))
        columns = [[text] for text in (*texts, clean(domain))]
        await connection.execute(_ENTER, *columns, [board.standby], Origin.COMMAND.value)
        added = await _find(connection, board.source, board.slug)
    if added is None:
        raise StoreConflict(f"board {board.source}/{board.slug} could not be added")
    return added


async def _remove(connection: Connection, source: SourceName, slug: str) -> None:
    """Disable one board by command; asyncio side."""
    async with connection.transaction():
        await connection.execute(_LOCK)
        present = await _find(connection, source, slug)
        if present is None:
            raise StoreConflict(f"no board {source}/{slug}; `jobping board list` shows all")
        if present.origin is not Origin.COMMAND:
            raise StoreConflict(_say_present(present))
        await connection.execute(_DISABLE, present.id)


def _say_present(present: StoredBoard) -> str:
    name = f"board {present.board.source}/{present.board.slug}"
    match present.origin:
        case Origin.COMMAND:
            return f"{name} is there already; `jobping board remove` takes it away"
        case Origin.FILE:
            return f"{name} stands in the configuration file; change it there"
        case Origin.DEFAULT:
            return f"{name} belongs to the default set; the configuration file switches that off"


async def _last_answer(connection: Connection, id: BoardId) -> LastAnswer | None:
    """Read what was kept of a board's last answer; asyncio side."""
    row = await connection.fetchrow(_LAST_ANSWER, id)
    if row is None:
        return None
    return LastAnswer(**{name: value for name, value in row.items() if name != "board_id"})


async def _mark_polled(
    connection: Connection, id: BoardId, next_due_at: dt.datetime, outcome: str, kept: Kept
) -> int:
    """Write the end of a good poll, and return how many postings it closed; asyncio side."""
    counts = None if kept.counts is None else list(kept.counts)
    listed = None if kept.listed is None else [key_of(each) for each in kept.listed]
    async with connection.transaction():
        await connection.execute(_MARK_POLLED, id, next_due_at, clean(outcome), counts)
        closed = await _close(connection, id, listed, kept.proof)
        if kept.answer is None:
            await connection.execute(_FORGET_ANSWER, id)
        else:
            await connection.execute(_KEEP_ANSWER, id, *attrs.astuple(kept.answer))
        if listed is None and kept.answer is not None:
            await connection.execute(_CONFIRM, id)
        elif listed is not None and (kept.answer or kept.proof is Proof.ABSENCE):
            await connection.execute(_MARK_ABSENT, id, listed)
    return closed


async def _close(
    connection: Connection, id: BoardId, listed: Sequence[str] | None, proof: Proof
) -> int:
    """Close what a walk proves to be closed, before what it lacks for the first time is marked."""
    match proof:
        case Proof.NOTHING:
            return 0
        case Proof.AGE:
            return len(await connection.fetch(_CLOSE_UNSEEN, id, EXPIRES_DAYS))
        case Proof.ABSENCE:
            return await _close_due(connection, id, _ABSENT_AGAIN, listed)
        case _:
            assert_never(proof)


async def _close_due(
    connection: Connection, id: BoardId, absent: str, ids: Sequence[str] | None
) -> int:
    """Close those of the absent that are due; see `core.closing`."""
    rows = await connection.fetch(absent, id, ids)
    if not rows:
        return 0
    found = [Absent(id=PostingId(row["id"]), since=row["absent_since"]) for row in rows]
    open_count = await connection.fetchval(_COUNT_OPEN, id)
    closing = due(found, open_count, rows[0]["utcnow"])
    await connection.execute(_CLOSE, list(closing))
    return len(closing)


async def _close_gone(connection: Connection, id: BoardId, gone: Sequence[str]) -> int:
    """Close what is gone or past its end; asyncio side."""
    async with connection.transaction():
        return await _close_due(connection, id, _MARK_GONE, gone)


async def _mark_failed(
    connection: Connection,
    id: BoardId,
    next_due_at: dt.datetime,
    outcome: str,
    is_suspect: bool,
    is_gone: bool,
) -> int:
    """Write the end of a poll that brought nothing; asyncio side."""
    async with connection.transaction():
        await connection.execute(_MARK_FAILED, id, next_due_at, clean(outcome), is_suspect)
        return len(await connection.fetch(_CLOSE_UNSEEN, id, 0)) if is_gone else 0


@attrs.define(kw_only=True)
class Boards:
    """The boards of the configuration file, of commands, and of the default set."""

    database: Database

    async def sync(
        self,
        configured: Sequence[Placed],
        defaults: Sequence[Placed],
        *,
        use_defaults: bool | None,
    ) -> None:
        """Bring the boards in line with the configuration; a board taken out keeps its postings.

        Args:
            configured: What the file lists; takes over a board that a command had added.
            defaults: The default set.
            use_defaults: None: only while there is no other board.
        """
        await self.database.run(_sync, configured, defaults, use_defaults)

    async def enabled(self, domain: Domain | None = None) -> tuple[StoredBoard, ...]:
        """Return the boards that are polled, by source and slug; those of one domain, if given."""
        return await self.database.run(_enabled, domain)

    async def move(self, id: BoardId, domain: Domain) -> None:
        """Say that a board is asked at another domain from now on."""
        await self.database.run(_move, id, domain)

    async def add(self, board: Board, domain: Domain) -> StoredBoard:
        """Add a board by command; one of the default set becomes the operator's own.

        Raises:
            StoreConflict: A command or the file has it already.
        """
        return await self.database.run(_add, board, domain)

    async def remove(self, source: SourceName, slug: str) -> None:
        """Take out a board that a command had added; its postings stay.

        Raises:
            StoreConflict: There is none, or file or default set own it; the message says which.
        """
        await self.database.run(_remove, source, slug)

    async def last_answer(self, id: BoardId) -> LastAnswer | None:
        """Return what was kept of the board's last answer, or None."""
        return await self.database.run(_last_answer, id)

    async def mark_polled(
        self, id: BoardId, *, next_due_at: dt.datetime, outcome: str, kept: Kept | None = None
    ) -> int:
        """Record a poll whose postings are stored; all of it or nothing.

        Returns:
            How many postings were closed; see `core.closing`.

        Args:
            next_due_at: Aware UTC.
            outcome: The end of the walk in one word.
            kept: None: nothing, and the next poll reads in full.
        """
        return await self.database.run(_mark_polled, id, next_due_at, outcome, kept or Kept())

    async def close_gone(self, id: BoardId, gone: Collection[ExternalId]) -> int:
        """Close postings that their own pages no longer hold, and those past their end.

        Most of a board's are not believed at once, but a day later; see `core.closing`.

        Returns:
            How many were closed.
        """
        return await self.database.run(_close_gone, id, [key_of(each) for each in gone])

    async def mark_failed(
        self,
        id: BoardId,
        *,
        next_due_at: dt.datetime,
        outcome: str,
        is_suspect: bool = False,
        is_gone: bool = False,
    ) -> int:
        """Record a poll that brought nothing; the next one asks for the page in full.

        Returns:
            How many postings were closed.

        Args:
            next_due_at: Aware UTC.
            outcome: The end of the walk in one word.
            is_suspect: It listed hardly any postings, and that is not believed.
            is_gone: The board itself is gone for good, and its postings with it.
        """
        return await self.database.run(_mark_failed, id, next_due_at, outcome, is_suspect, is_gone)
