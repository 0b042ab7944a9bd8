"""The postings of all boards: stored in batches, searched, read."""

import datetime as dt
import re
from collections.abc import Collection, Sequence

import attrs

from jobping.core.ids import BoardId, ExternalId, PostingId, SourceName
from jobping.core.posting import KnownPosting, PostingDraft, StoredPosting
from jobping.core.tenure import Fence
from jobping.store.batch import BatchStored, Known, look_up_known, store_batch
from jobping.store.bridge import Database
from jobping.store.connection import Connection
from jobping.store.kin import Entry
from jobping.store.rows import clean, key_of, postings_of

__all__ = ["BatchStored", "Known", "Postings"]

MAX_QUERY = 1000  # characters of a search; people type fewer, and a tsquery has a size limit
# A hyphen before no word: 32 of them in a row end in "tsquery stack too small" (PostgreSQL 15).
LONE_HYPHEN = re.compile(r'-(?![^\W_]|")')

# Open postings for a query, best first.
_SEARCH = """
SELECT s.*
FROM stored_posting s, websearch_to_tsquery('simple', $1) AS query
WHERE s.search @@ query AND s.closed_at IS NULL
ORDER BY ts_rank(s.search, query) DESC, coalesce(s.posted_at, s.first_seen_at) DESC, s.id DESC
LIMIT $2
"""

# Postings by id, in the order asked for.
_GET = """
SELECT s.*
FROM unnest($1::bigint[]) WITH ORDINALITY AS asked (id, position)
JOIN stored_posting s ON s.id = asked.id
ORDER BY asked.position
"""

# Open news, newest first.
_NEWEST_NEWS = """
SELECT * FROM stored_posting
WHERE news_at >= now() - make_interval(secs => $2) AND closed_at IS NULL
ORDER BY news_at DESC, id DESC
LIMIT $1
"""

# The newest open postings of each source.
_NEWEST_OF_EACH = """
SELECT s.*
FROM (SELECT DISTINCT source FROM posting) AS each
CROSS JOIN LATERAL (
    SELECT id FROM posting
    WHERE source = each.source AND closed_at IS NULL
    ORDER BY id DESC
    LIMIT $1
) AS newest
JOIN stored_posting s USING (id)
ORDER BY s.source, s.id DESC
"""

# Hands the newest recent postings of boards to the matcher, as far as they are stock: all news has
# been there. How old one is its source says, else we do.
_OFFER_STOCK = """
WITH recent AS (
    SELECT id, version, news_at FROM posting
    WHERE board_id = ANY($1::bigint[]) AND closed_at IS NULL
      AND coalesce(news_at, first_seen_at) >= now() - make_interval(secs => $2)
    ORDER BY coalesce(posted_at, first_seen_at) DESC, id DESC
    LIMIT $3
),
queued AS (
    INSERT INTO unmatched (posting_id, version)
    SELECT id, version FROM recent WHERE news_at IS NULL ORDER BY id
    ON CONFLICT DO NOTHING
)
SELECT count(*) FROM recent
"""

# Open postings of a board, the longest unseen first.
_LEAST_SEEN = """
SELECT p.external_id, p.url
FROM posting p
JOIN posting_seen s ON s.posting_id = p.id
WHERE p.board_id = $1 AND p.closed_at IS NULL AND p.external_id <> ALL($2::text[])
ORDER BY s.last_seen, p.id
LIMIT $3
"""

# Boards by the matches of their open postings.
_MOST_MATCHED = """
SELECT b.id
FROM unnest($1::bigint[]) AS b (id)
LEFT JOIN posting p ON p.board_id = b.id AND p.closed_at IS NULL
LEFT JOIN match m ON m.posting_id = p.id
GROUP BY b.id
ORDER BY count(m.posting_id) DESC, b.id
"""

# Open postings of the boards whose latest poll was good and is not overdue: those outside standby,
# and those of standby boards.
_FOUND = """
SELECT count(*) FILTER (WHERE NOT b.standby) AS usual, count(*) FILTER (WHERE b.standby) AS standby
FROM board b
JOIN posting p ON p.board_id = b.id
JOIN posting_seen s ON s.posting_id = p.id
WHERE b.enabled AND b.failures = 0 AND b.next_due_at > now() - make_interval(secs => $1)
  AND p.closed_at IS NULL AND s.absent_since IS NULL
"""


async def _select(connection: Connection, sql: str, *values: object) -> tuple[StoredPosting, ...]:
    """Read whole postings; asyncio side."""
    return postings_of(await connection.fetch(sql, *values))


async def _count(connection: Connection) -> int:
    """Count the postings, open and closed; asyncio side."""
    return int(await connection.fetchval("SELECT count(*) FROM posting"))


async def _least_seen(
    connection: Connection, board: BoardId, but: Sequence[str], limit: int
) -> tuple[KnownPosting, ...]:
    """Read what can be asked for alone; asyncio side."""
    rows = await connection.fetch(_LEAST_SEEN, board, but, limit)
    return tuple(
        KnownPosting(external_id=ExternalId(row["external_id"]), url=row["url"]) for row in rows
    )


async def _most_matched(connection: Connection, boards: Sequence[BoardId]) -> tuple[BoardId, ...]:
    """Order boards; asyncio side."""
    return tuple(BoardId(row["id"]) for row in await connection.fetch(_MOST_MATCHED, boards))


async def _offer_stock(
    connection: Connection, boards: Sequence[BoardId], within_s: float, limit: int
) -> int:
    """Queue stock for the matcher; asyncio side."""
    return int(await connection.fetchval(_OFFER_STOCK, boards, within_s, limit))


async def _found(connection: Connection, late_s: float) -> tuple[int, int]:
    """Count what the boards list by their latest polls; asyncio side."""
    row = await connection.fetchrow(_FOUND, late_s)
    return (0, 0) if row is None else (row["usual"], row["standby"])


@attrs.define(kw_only=True)
class Postings:
    """The postings of all boards; the ingest actor is their only writer."""

    database: Database

    async def known(
        self, source: SourceName, board: BoardId, digests: Sequence[tuple[ExternalId, bytes]]
    ) -> dict[ExternalId, Known]:
        """Say which items need no conversion, and mark those as seen.

        Args:
            digests: External id and source digest of each item; all items of one id belong in one
                call, because an id given twice is compared as a whole. An empty digest is unknown.

        Returns:
            One answer for each id.
        """
        return await self.database.run(look_up_known, source, board, digests)

    async def store(
        self,
        board: BoardId,
        drafts: Sequence[PostingDraft],
        hashes: Sequence[bytes],
        fingerprints: Sequence[bytes | None],
        *,
        news_after: dt.datetime | None,
        fence: Fence,
    ) -> BatchStored:
        """Insert what is new, update what changed, queue what is news; all of it or nothing.

        Args:
            board: The board that was walked; becomes the holder of new rows.
            hashes: The content hash of each draft, 16 bytes; alone decides whether it changed. Of a
                stored posting whose draft has weak fields it is made anew with what is stored.
            fingerprints: The fingerprint of each draft, 32 bytes, or None. A new posting of a job
                that is stored gets that of the job; a stored one keeps its own.
            news_after: New rows are news if posted then or later (aware UTC); None: all are.
            fence: Of the lease under which the drafts were fetched.

        Raises:
            LeaseLost: The domain has another owner by now.
            StoreConflict: A hash or a fingerprint has another length, or the board is unknown.
        """
        entries = [
            Entry(draft=draft, content_hash=content_hash, fingerprint=fingerprint)
            for draft, content_hash, fingerprint in zip(drafts, hashes, fingerprints, strict=True)
        ]
        return await self.database.run(store_batch, board, entries, news_after, fence)

    async def search(self, query: str, *, limit: int) -> tuple[StoredPosting, ...]:
        """Return open postings for a query in the style of a web search, best first, then newest.

        Source:
            The language of queries: PostgreSQL, "Parsing Queries", `websearch_to_tsquery`.
        """
        words = LONE_HYPHEN.sub(" ", clean(query)[:MAX_QUERY].replace("/", " "))
        return await self.database.run(_select, _SEARCH, words, limit)

    async def count(self) -> int:
        """Return the number of stored postings, open and closed."""
        return await self.database.run(_count)

    async def found(self, *, late_s: float) -> tuple[int, int]:
        """Return how many open postings the boards list, without standby and those of standby.

        Args:
            late_s: A board that is due for longer counts as listing none, as does one that failed.
        """
        return await self.database.run(_found, float(late_s))

    async def offer_stock(self, boards: Sequence[BoardId], *, within_s: float, limit: int) -> int:
        """Let the matcher judge the recent stock of boards, so that digests can carry it.

        Args:
            within_s: Only what became news, or was first seen, within so many seconds.
            limit: Most postings, the newest first; news counts, and is left as it is.

        Returns:
            How many postings that were.
        """
        return await self.database.run(_offer_stock, list(boards), float(within_s), limit)

    async def get(self, ids: Sequence[PostingId]) -> tuple[StoredPosting, ...]:
        """Return the postings that exist, in the order of the ids."""
        return await self.database.run(_select, _GET, list(ids))

    async def newest_news(self, *, limit: int, within_s: float) -> tuple[StoredPosting, ...]:
        """Return open postings that became news within so many seconds, newest first."""
        return await self.database.run(_select, _NEWEST_NEWS, limit, float(within_s))

    async def newest_of_each(self, *, limit: int) -> tuple[StoredPosting, ...]:
        """Return the newest open postings of each source, at most so many of each."""
        return await self.database.run(_select, _NEWEST_OF_EACH, limit)

    async def least_seen(
        self, board: BoardId, *, limit: int, but: Collection[ExternalId] = ()
    ) -> tuple[KnownPosting, ...]:
        """Return open postings of a board, those first that were not seen for longest.

        Args:
            but: Left out.
        """
        return await self.database.run(_least_seen, board, [key_of(id) for id in but], limit)

    async def most_matched(self, boards: Sequence[BoardId]) -> tuple[BoardId, ...]:
        """Return the boards, those first whose open postings have the most matches."""
        return await self.database.run(_most_matched, list(boards))
