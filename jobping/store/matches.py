"""Matches: what waits for the matcher, and what it found for each profile.

Rows of `unmatched` are locked in the order of their ids by everyone who waits for them.
"""

from collections.abc import Sequence

import attrs

from jobping.core.ids import PostingId, ProfileId
from jobping.core.match import Match, MatchedPosting
from jobping.core.posting import StoredPosting
from jobping.store.bridge import Database
from jobping.store.connection import Connection
from jobping.store.kin import with_links
from jobping.store.rows import clean, matched_of, postings_of

# Takes rows that nobody else holds, what we held before a crash among them; short, and never waits
# for another matcher.
_CLAIM = """
WITH free AS (
    SELECT posting_id FROM unmatched
    WHERE claimed_until IS NULL OR claimed_until <= now() OR claimed_by = $1
    ORDER BY posting_id
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
UPDATE unmatched u SET claimed_by = $1, claimed_until = now() + make_interval(secs => $3)
FROM free WHERE u.posting_id = free.posting_id
RETURNING u.posting_id
"""

# Read after the claim, so that the text is at least as new as the claimed version.
_CLAIMED = "SELECT * FROM stored_posting WHERE id = ANY($1::bigint[]) ORDER BY id"

_LOCK_DONE = """
SELECT posting_id FROM unmatched WHERE posting_id = ANY($1::bigint[])
ORDER BY posting_id FOR UPDATE
"""

# Writes matches of profiles and postings that still exist; an older version never overwrites.
_WRITE = """
WITH alive AS (SELECT id FROM profile WHERE id = ANY($1::bigint[]) ORDER BY id FOR KEY SHARE)
INSERT INTO match AS m (profile_id, posting_id, posting_version, score, origin, reason)
SELECT b.profile_id, b.posting_id, b.posting_version, b.score, b.origin, b.reason
FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::smallint[], $5::text[], $6::text[])
    AS b (profile_id, posting_id, posting_version, score, origin, reason)
JOIN alive ON alive.id = b.profile_id
JOIN posting p ON p.id = b.posting_id
ORDER BY b.profile_id, b.posting_id
ON CONFLICT (profile_id, posting_id) DO UPDATE SET
    posting_version = excluded.posting_version, score = excluded.score,
    origin = excluded.origin, reason = excluded.reason
WHERE m.posting_version <= excluded.posting_version
"""

# A posting that changed and was not matched again no longer fits: its older match goes, unless a
# digest carries it.
_DROP_OUTDATED = """
DELETE FROM match m
USING unnest($1::bigint[], $2::integer[]) AS done (posting_id, version)
WHERE m.posting_id = done.posting_id AND m.posting_version < done.version
  AND NOT EXISTS (
      SELECT FROM digest_item i
      WHERE i.profile_id = m.profile_id AND i.posting_id = m.posting_id
  )
"""

_DELETE_DONE = """
DELETE FROM unmatched u
USING unnest($1::bigint[], $2::integer[]) AS done (posting_id, version)
WHERE u.posting_id = done.posting_id AND u.version <= done.version
"""

_MARK_SEARCHED = """
UPDATE profile SET searched_version = version WHERE id = $1 AND version = $2 RETURNING id
"""

_DROP_UNSENT = """
DELETE FROM match m
WHERE m.profile_id = $1
  AND NOT EXISTS (
      SELECT FROM digest_item i
      WHERE i.profile_id = m.profile_id AND i.posting_id = m.posting_id
  )
"""

_PENDING = """
SELECT * FROM matched_posting m
WHERE m.profile_id = $1 AND m.closed_at IS NULL AND m.digest_id IS NULL
  AND coalesce(m.news_at, m.first_seen_at) >= now() - make_interval(secs => $2)
  AND NOT EXISTS (
      SELECT FROM digest_item i
      WHERE i.profile_id = m.profile_id AND i.dedup_key = m.dedup_key
  )
ORDER BY m.news_at IS NULL, m.score DESC, coalesce(m.news_at, m.first_seen_at) DESC, m.id DESC
LIMIT $3
"""

# What a model says replaces a local score, unless the posting or its place in a digest has changed.
_UPGRADE = """
UPDATE match m SET score = b.score, origin = b.origin, reason = b.reason
FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::smallint[], $5::text[], $6::text[])
    AS b (profile_id, posting_id, posting_version, score, origin, reason)
WHERE m.profile_id = b.profile_id AND m.posting_id = b.posting_id
  AND m.posting_version = b.posting_version
  AND NOT EXISTS (
      SELECT FROM digest_item i
      WHERE i.profile_id = m.profile_id AND i.posting_id = m.posting_id
  )
RETURNING m.posting_id
"""

_LISTED = """
SELECT * FROM matched_posting
WHERE profile_id = $1
ORDER BY score DESC, coalesce(news_at, first_seen_at) DESC, id DESC
LIMIT $2
"""


async def _claim(
    connection: Connection, by: str, limit: int, for_s: float
) -> tuple[StoredPosting, ...]:
    """Take unmatched postings for a while; asyncio side."""
    async with connection.transaction():
        claimed = await connection.fetch(_CLAIM, by, limit, for_s)
        rows = await connection.fetch(_CLAIMED, [row["posting_id"] for row in claimed])
    return postings_of(rows)


async def _write(connection: Connection, matches: Sequence[Match]) -> None:
    """Write matches; asyncio side, inside a transaction."""
    if matches:
        await connection.execute(_WRITE, *_columns(matches))


def _columns(matches: Sequence[Match]) -> list[list[object]]:
    """Return the columns of matches, each pair once and in one order."""
    distinct = {(match.profile_id, match.posting_id): match for match in matches}
    rows = [
        (*key, match.posting_version, match.score, clean(match.origin), clean(match.reason))
        for key, match in sorted(distinct.items())
    ]
    return [list(column) for column in zip(*rows, strict=True)]


async def _upgrade(connection: Connection, matches: Sequence[Match]) -> int:
    """Replace local scores; asyncio side."""
    return len(await connection.fetch(_UPGRADE, *_columns(matches))) if matches else 0


async def _record(
    connection: Connection, matches: Sequence[Match], done: Sequence[tuple[PostingId, int]]
) -> None:
    """Write matches and take their postings off the queue; asyncio side."""
    ids, versions = [id for id, _ in done], [version for _, version in done]
    async with connection.transaction():
        await connection.execute(_LOCK_DONE, ids)
        await _write(connection, matches)
        await connection.execute(_DROP_OUTDATED, ids, versions)
        await connection.execute(_DELETE_DONE, ids, versions)


async def _record_search(
    connection: Connection, profile: ProfileId, version: int, matches: Sequence[Match]
) -> None:
    """Replace the unsent matches of a profile; asyncio side."""
    async with connection.transaction():
        if await connection.fetchval(_MARK_SEARCHED, profile, version) is None:
            return
        await connection.execute(_DROP_UNSENT, profile)
        await _write(connection, matches)


async def _select(connection: Connection, sql: str, *values: object) -> tuple[MatchedPosting, ...]:
    """Read matches with their postings; asyncio side."""
    items = tuple(map(matched_of, await connection.fetch(sql, *values)))
    return await with_links(connection, items)


@attrs.define(kw_only=True)
class Matches:
    """The matcher's queue and its results."""

    database: Database

    async def claim(self, *, by: str, limit: int, for_s: float) -> tuple[StoredPosting, ...]:
        """Take unmatched postings that nobody else holds, the oldest first.

        Args:
            by: Who claims, the same after a restart; its own claims can be taken again at once.
            limit: Most postings taken.
            for_s: Seconds after which the claim lapses and anyone may take them again.
        """
        return await self.database.run(_claim, by, limit, float(for_s))

    async def record(
        self, matches: Sequence[Match], *, done: Sequence[tuple[PostingId, int]]
    ) -> None:
        """Store matches and take finished postings off the queue; both or nothing.

        Matches of profiles that are gone are ignored.

        Args:
            done: Postings judged for every profile, with the version that was read. A posting
                that changed meanwhile stays queued.
        """
        await self.database.run(_record, matches, done)

    async def upgrade(self, matches: Sequence[Match]) -> int:
        """Replace the scores of stored matches by what a model says; return how many changed.

        One whose posting has changed meanwhile, or that a digest carries, stays as it is.
        """
        return await self.database.run(_upgrade, matches)

    async def record_search(
        self, profile: ProfileId, version: int, matches: Sequence[Match]
    ) -> None:
        """Replace the unsent matches of a new or edited profile and mark it as searched.

        Args:
            version: The version that was searched; if the profile has another by now, nothing
                happens and it stays unsearched.
        """
        await self.database.run(_record_search, profile, version, matches)

    async def pending(
        self, profile: ProfileId, *, within_s: float, limit: int
    ) -> tuple[MatchedPosting, ...]:
        """Return what a digest may carry: open, in no digest, no repost of a sent one.

        The best first, stock after all news.

        Args:
            within_s: Only what became news within so many seconds.
            limit: Most rows.
        """
        return await self.database.run(_select, _PENDING, profile, float(within_s), limit)

    async def listed(self, profile: ProfileId, *, limit: int) -> tuple[MatchedPosting, ...]:
        """Return the matches of a profile, sent or not, open or closed, best first."""
        return await self.database.run(_select, _LISTED, profile, limit)
