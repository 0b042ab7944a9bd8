"""One batch of postings: compared with what is stored, then written; the units of `Postings`.

Every statement locks rows in one order (source, external id) or skips what others hold, so that
two writers of overlapping batches wait for each other but never in a circle.
"""

import datetime as dt
import enum
import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence

import attrs

from jobping.core.fingerprint import content_hash, fingerprint
from jobping.core.ids import BoardId, ExternalId, SourceName
from jobping.core.posting import PostingDraft, over_stored
from jobping.core.tenure import Fence
from jobping.errors import LeaseLost
from jobping.store.connection import Connection
from jobping.store.kin import Entry, Key, join_jobs
from jobping.store.rows import clean, key_of, posting_columns, posting_of

CHUNK = 500  # rows of one statement; throughput grows no further above it (design, section 8)

# Proves that the batch comes from the owner of its domain. KEY SHARE lets renewals through and
# keeps a claim out until the batch is stored.
_CHECK_FENCE = """
SELECT true FROM domain_lease WHERE domain = $1 AND fence = $2 AND expires_at > now()
FOR KEY SHARE
"""

# Finds postings whose source digest is stored, and marks them as seen today. Rows that somebody
# else is marking at this moment are left to them.
_KNOWN = """
WITH found AS (
    SELECT p.id, p.external_id, p.board_id
    FROM unnest($2::text[], $3::bytea[]) AS asked (external_id, digest)
    JOIN posting p ON p.source = $1 AND p.external_id = asked.external_id
    WHERE p.source_digest = asked.digest AND asked.digest <> '' AND p.closed_at IS NULL
),
due AS (
    SELECT s.posting_id
    FROM posting_seen s
    WHERE s.posting_id IN (SELECT id FROM found)
      AND (s.last_seen < (now() AT TIME ZONE 'UTC')::date OR s.absent_since IS NOT NULL)
    ORDER BY s.posting_id
    FOR UPDATE SKIP LOCKED
),
marked AS (
    UPDATE posting_seen s SET last_seen = (now() AT TIME ZONE 'UTC')::date, absent_since = NULL
    FROM due WHERE s.posting_id = due.posting_id
)
SELECT external_id, board_id FROM found
"""

# What is stored under these keys.
_LOOK_UP = """
SELECT p.id, p.source, p.external_id, p.board_id, p.content_hash, p.source_digest,
       p.closed_at IS NOT NULL AS closed
FROM unnest($1::text[], $2::text[]) AS asked (source, external_id)
JOIN posting p ON p.source = asked.source AND p.external_id = asked.external_id
"""

# Whole postings under these keys, for drafts that do not say all.
_FULL = """
SELECT s.*
FROM unnest($1::text[], $2::text[]) AS asked (source, external_id)
JOIN stored_posting s ON s.source = asked.source AND s.external_id = asked.external_id
"""

# Inserts new postings, updates changed ones, reopens closed ones. Version 1 means inserted.
# Which job a posting is stays as it was first found.
# A slash becomes a blank: the parser takes `Engineer/Developer` for one file name.
_WRITE = """
WITH batch AS (
    SELECT * FROM unnest(
        $3::text[], $4::text[], $5::bytea[], $6::bytea[], $7::bytea[], $8::text[], $9::text[],
        $10::text[], $11::jsonb[], $12::text[], $13::timestamptz[], $14::text[], $15::text[],
        $16::timestamptz[], $17::text[], $18::numeric[], $19::numeric[], $20::text[], $21::text[],
        $22::text[], $23::jsonb[], $24::text[], $25::text[], $26::jsonb[], $27::text[], $28::text[],
        $29::bytea[]
    ) AS b (
        source, external_id, content_hash, source_digest, fingerprint, title, company,
        url, locations, remote, posted_at, posted_precision, posted_raw,
        closes_at, salary_raw, salary_minimum, salary_maximum, salary_currency, salary_interval,
        salary_origin, employment, department, level, tags, language, description, kin
    )
),
written AS (
    INSERT INTO posting AS p (
        board_id, news_at, search,
        source, external_id, content_hash, source_digest, fingerprint, title, company,
        url, locations, remote, posted_at, posted_precision, posted_raw,
        closes_at, salary_raw, salary_minimum, salary_maximum, salary_currency, salary_interval,
        salary_origin, employment, department, level, tags, language, kin
    )
    SELECT
        $1, CASE WHEN $2::timestamptz IS NULL OR posted_at >= $2 THEN now() END,
        setweight(to_tsvector('simple', translate(left(title, 1000), '/', ' ')), 'A')
            || setweight(
                to_tsvector('simple', translate(left(coalesce(company, ''), 200), '/', ' ')), 'B')
            || setweight(to_tsvector('simple', translate(left(description, 1000), '/', ' ')), 'C'),
        source, external_id, content_hash, source_digest, fingerprint, title, company,
        url, locations, remote, posted_at, posted_precision, posted_raw,
        closes_at, salary_raw, salary_minimum, salary_maximum, salary_currency, salary_interval,
        salary_origin, employment, department, level, tags, language, kin
    FROM batch
    ORDER BY source COLLATE "C", external_id COLLATE "C"
    ON CONFLICT (source, external_id) DO UPDATE SET (
        search, content_hash, source_digest, fingerprint, title, company,
        url, locations, remote, posted_at, posted_precision, posted_raw,
        closes_at, salary_raw, salary_minimum, salary_maximum, salary_currency, salary_interval,
        salary_origin, employment, department, level, tags, language, kin, closed_at, version
    ) = (
        excluded.search, excluded.content_hash, excluded.source_digest,
        coalesce(p.fingerprint, excluded.fingerprint), excluded.title, excluded.company,
        excluded.url, excluded.locations, excluded.remote,
        excluded.posted_at, excluded.posted_precision, excluded.posted_raw, excluded.closes_at,
        excluded.salary_raw, excluded.salary_minimum, excluded.salary_maximum,
        excluded.salary_currency, excluded.salary_interval, excluded.salary_origin,
        excluded.employment, excluded.department, excluded.level, excluded.tags,
        excluded.language, excluded.kin, NULL, p.version + 1
    )
    WHERE p.content_hash <> excluded.content_hash OR p.closed_at IS NOT NULL
    RETURNING p.id, p.source, p.external_id, p.version, p.news_at
),
texts AS (
    INSERT INTO posting_text (posting_id, description)
    SELECT w.id, b.description FROM written w JOIN batch b USING (source, external_id)
    ON CONFLICT (posting_id) DO UPDATE SET description = excluded.description
),
seen AS (
    INSERT INTO posting_seen (posting_id) SELECT id FROM written
    ON CONFLICT (posting_id) DO NOTHING
)
SELECT id, version, news_at IS NOT NULL AS is_news FROM written
"""

# Hands news to the matcher; a claim on an earlier version ends.
_QUEUE = """
INSERT INTO unmatched (posting_id, version)
SELECT id, version FROM unnest($1::bigint[], $2::integer[]) AS q (id, version) ORDER BY id
ON CONFLICT (posting_id) DO UPDATE
    SET version = excluded.version, claimed_by = NULL, claimed_until = NULL
"""

# Remembers how the source says the same thing today; locked rows wait for the next poll.
_REFRESH_DIGESTS = """
WITH due AS (
    SELECT p.id, b.digest
    FROM unnest($1::bigint[], $2::bytea[]) AS b (id, digest)
    JOIN posting p ON p.id = b.id
    ORDER BY p.id
    FOR NO KEY UPDATE OF p SKIP LOCKED
)
UPDATE posting p SET source_digest = due.digest FROM due WHERE p.id = due.id
"""

# Marks stored postings as seen today, at most once a day.
_MARK_SEEN = """
WITH due AS (
    SELECT posting_id FROM posting_seen
    WHERE posting_id = ANY($1::bigint[])
      AND (last_seen < (now() AT TIME ZONE 'UTC')::date OR absent_since IS NOT NULL)
    ORDER BY posting_id
    FOR UPDATE SKIP LOCKED
)
UPDATE posting_seen s SET last_seen = (now() AT TIME ZONE 'UTC')::date, absent_since = NULL
FROM due WHERE s.posting_id = due.posting_id
"""


class Known(enum.Enum):
    """What the store has of a posting, judged by its source digest alone.

    Attributes:
        UNCHANGED: The same digest, and the row names this board.
        ELSEWHERE: The same digest, and the row names another board of the source.
        UNKNOWN: Not stored, closed, or another digest: convert it and store it.
    """

    UNCHANGED = "unchanged"
    ELSEWHERE = "elsewhere"
    UNKNOWN = "unknown"


@attrs.frozen(kw_only=True)
class BatchStored:
    """What a batch came to; the first four add up to the drafts given.

    Attributes:
        changed: Other content, or open again after it was closed.
        duplicate: Given twice in the batch, or held unchanged for another board.
        news: Of the new and the changed, those now waiting for the matcher.
    """

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    duplicate: int = 0
    news: int = 0


@attrs.frozen(kw_only=True)
class _Sorted:
    """A batch compared with what is stored."""

    writes: tuple[Entry, ...]
    new: frozenset[Key]
    refreshed: tuple[tuple[int, bytes], ...]
    stored: tuple[int, ...]
    unchanged: int
    duplicate: int


def _combined(hashes: Iterable[bytes]) -> bytes:
    """One hash for several of the same posting, whatever their order; nothing if one is missing."""
    distinct = sorted(set(hashes))
    if len(distinct) == 1 or b"" in distinct:
        return distinct[0]
    return hashlib.blake2b(b"".join(distinct), digest_size=16).digest()


def _merged(group: Sequence[Entry]) -> Entry:
    """Join rows of one answer that carry the same id: one posting with the places of all."""
    if len(group) == 1:
        return group[0]
    ranked = sorted(group, key=lambda entry: (entry.content_hash, entry.draft.source_digest))
    places = itertools.chain.from_iterable(entry.draft.locations for entry in ranked)
    draft = attrs.evolve(
        ranked[0].draft,
        locations=tuple(dict.fromkeys(places)),
        source_digest=_combined(entry.draft.source_digest for entry in group),
    )
    content_hash = _combined(entry.content_hash for entry in group)
    return attrs.evolve(ranked[0], draft=draft, content_hash=content_hash)


def _merge(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    groups: dict[Key, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.key, []).append(entry)
    return tuple(_merged(groups[key]) for key in sorted(groups))


def _chunks(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    for start in range(0, len(entries), CHUNK):
        yield entries[start : start + CHUNK]


async def _completed(connection: Connection, entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Give the weak fields of drafts the values that are stored, so that they change nothing."""
    keys = [entry.key for entry in entries if entry.draft.weak]
    if not keys:
        return tuple(entries)
    rows = await connection.fetch(_FULL, [key[0] for key in keys], [key[1] for key in keys])
    stored = {(row["source"], row["external_id"]): row for row in rows}
    return tuple(
        _over(entry, posting_of(stored[entry.key]).draft)
        if entry.draft.weak and entry.key in stored
        else entry
        for entry in entries
    )


def _over(entry: Entry, stored: PostingDraft) -> Entry:
    draft = over_stored(entry.draft, stored)
    return Entry(draft=draft, content_hash=content_hash(draft), fingerprint=fingerprint(draft))


async def _compare(connection: Connection, board: BoardId, entries: Sequence[Entry]) -> _Sorted:
    keys = [entry.key for entry in entries]
    rows = await connection.fetch(_LOOK_UP, [key[0] for key in keys], [key[1] for key in keys])
    stored = {(row["source"], row["external_id"]): row for row in rows}
    writes, refreshed, unchanged, duplicate = [], [], 0, 0
    for key, entry in zip(keys, entries, strict=True):
        row = stored.get(key)
        if row is None or row["closed"] or row["content_hash"] != entry.content_hash:
            writes.append(entry)
            continue
        if row["source_digest"] != entry.draft.source_digest:
            refreshed.append((row["id"], entry.draft.source_digest))
        unchanged += row["board_id"] == board
        duplicate += row["board_id"] != board
    return _Sorted(
        writes=tuple(writes),
        new=frozenset(key for key in keys if key not in stored),
        refreshed=tuple(refreshed),
        stored=tuple(row["id"] for row in rows),
        unchanged=unchanged,
        duplicate=duplicate,
    )


async def store_batch(
    connection: Connection,
    board: BoardId,
    entries: Sequence[Entry],
    news_after: dt.datetime | None,
    fence: Fence,
) -> BatchStored:
    """Write a batch in one transaction, the fence first; asyncio side.

    Everything that waits for a lock comes first and in the order of the keys; what skips locked
    rows comes last.
    """
    merged = _merge(entries)
    written = []
    async with connection.transaction():
        if not await connection.fetchval(_CHECK_FENCE, fence.domain, fence.number):
            raise LeaseLost(fence.domain)
        merged = await _completed(connection, merged)
        batch = await _compare(connection, board, merged)
        for chunk in _chunks(await join_jobs(connection, batch.writes, batch.new)):
            rows = [
                (*posting_columns(entry.draft, entry.content_hash, entry.fingerprint), entry.kin)
                for entry in chunk
            ]
            columns = [list(column) for column in zip(*rows, strict=True)]
            written += await connection.fetch(_WRITE, board, news_after, *columns)
        news = [(row["id"], row["version"]) for row in written if row["is_news"]]
        await _finish(connection, batch, news)
    new = sum(row["version"] == 1 for row in written)
    return BatchStored(
        new=new,
        changed=len(written) - new,
        # A row that another writer stored with the same content meanwhile is in neither list.
        unchanged=batch.unchanged + len(batch.writes) - len(written),
        duplicate=batch.duplicate + len(entries) - len(merged),
        news=len(news),
    )


async def _finish(connection: Connection, batch: _Sorted, news: Sequence[tuple[int, int]]) -> None:
    if news:
        await connection.execute(_QUEUE, [id for id, _ in news], [version for _, version in news])
    if batch.refreshed:
        await connection.execute(
            _REFRESH_DIGESTS,
            [id for id, _ in batch.refreshed],
            [digest for _, digest in batch.refreshed],
        )
    if batch.stored:
        await connection.execute(_MARK_SEEN, list(batch.stored))


async def look_up_known(
    connection: Connection,
    source: SourceName,
    board: BoardId,
    digests: Sequence[tuple[ExternalId, bytes]],
) -> dict[ExternalId, Known]:
    """Compare digests with what is stored, and mark the known as seen; asyncio side."""
    asked: dict[ExternalId, list[bytes]] = {}
    for id, digest in digests:
        asked.setdefault(key_of(id), []).append(digest)
    rows = await connection.fetch(
        _KNOWN, clean(source), list(asked), [_combined(group) for group in asked.values()]
    )
    holders = {row["external_id"]: row["board_id"] for row in rows}
    return {id: _judge(holders.get(key_of(id)), board) for id, _ in digests}


def _judge(holder: int | None, board: BoardId) -> Known:
    if holder is None:
        return Known.UNKNOWN
    return Known.UNCHANGED if holder == board else Known.ELSEWHERE
