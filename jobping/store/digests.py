"""Digests: claimed before they are sent, so that each goes out at most once for its period."""

import datetime as dt
from collections.abc import Sequence

import asyncpg
import attrs

from jobping.core.ids import DigestId, PostingId, ProfileId
from jobping.core.match import MatchedPosting
from jobping.core.profile import StoredProfile
from jobping.store.bridge import Database
from jobping.store.connection import Connection
from jobping.store.kin import with_links
from jobping.store.rows import clean, matched_of, profile_of

_LAST = """
SELECT period, claimed_at FROM digest WHERE profile_id = $1 ORDER BY id DESC LIMIT 1
"""

# Answers nothing when the period is taken or the profile is gone. One claim of a profile at a time,
# so that rivals with the same items in another order do not deadlock.
_CLAIM = """
INSERT INTO digest (profile_id, period)
SELECT id, $2 FROM profile WHERE id = $1 FOR NO KEY UPDATE
ON CONFLICT (profile_id, period) DO NOTHING
RETURNING id
"""

# Only matches of the profile, and nothing that it has or is getting.
_ADD_ITEMS = """
INSERT INTO digest_item (digest_id, position, profile_id, posting_id, dedup_key)
SELECT $1, item.position, m.profile_id, m.posting_id, item.dedup_key
FROM unnest($3::bigint[], $4::text[]) WITH ORDINALITY AS item (posting_id, dedup_key, position)
JOIN match m ON m.profile_id = $2 AND m.posting_id = item.posting_id
ORDER BY item.position
ON CONFLICT DO NOTHING
"""

_UNFINISHED = """
SELECT d.id AS digest_id, d.period, d.message_id, d.claimed_at,
       p.id, p.version, p.origin, p.wishes, p.subscriber_id, p.email, p.address
FROM digest d JOIN stored_profile p ON p.id = d.profile_id
WHERE d.state = 'claimed' AND ($1::bigint IS NULL OR d.id = $1)
ORDER BY d.id
"""

_ITEMS = "SELECT * FROM matched_posting WHERE digest_id = ANY($1::bigint[]) ORDER BY position"

_MARK_SENT = """
UPDATE digest SET state = 'sent', sent_at = now() WHERE id = $1 AND state = 'claimed'
"""

_MARK_FAILED = """
UPDATE digest SET state = 'failed', failure = $2 WHERE id = $1 AND state = 'claimed' RETURNING id
"""

_RELEASE_ITEMS = "DELETE FROM digest_item WHERE digest_id = $1"


@attrs.frozen
class LastDigest:
    """The latest digest of a profile, sent or not.

    Attributes:
        claimed_at: Aware UTC.
    """

    period: str
    claimed_at: dt.datetime


@attrs.frozen(kw_only=True)
class ClaimedDigest:
    """A digest that nobody else will send.

    Attributes:
        period: What it is for; at most one digest for a profile and a period.
        message_id: A UUID made with the claim; the same at every attempt to send it.
        items: Best first; may be empty.
        claimed_at: Aware UTC.
    """

    id: DigestId
    profile: StoredProfile
    period: str
    message_id: str
    items: tuple[MatchedPosting, ...]
    claimed_at: dt.datetime


async def _last(connection: Connection, profile: ProfileId) -> LastDigest | None:
    """Read the digest claimed last; asyncio side."""
    row = await connection.fetchrow(_LAST, profile)
    return None if row is None else LastDigest(row["period"], row["claimed_at"])


async def claim_digest(
    connection: Connection,
    profile: ProfileId,
    period: str,
    items: Sequence[tuple[PostingId, str]],
) -> ClaimedDigest | None:
    """Claim a period with its items; asyncio side."""
    postings, keys = [id for id, _ in items], [clean(key) for _, key in items]
    async with connection.transaction():
        digest = await connection.fetchval(_CLAIM, profile, clean(period))
        if digest is None:
            return None
        await connection.execute(_ADD_ITEMS, digest, profile, postings, keys)
        return (await _read(connection, digest))[0]


async def _read(connection: Connection, digest: int | None) -> tuple[ClaimedDigest, ...]:
    """Read one or all claimed digests; asyncio side, inside a transaction."""
    rows = await connection.fetch(_UNFINISHED, digest)
    items: dict[int, list[MatchedPosting]] = {row["digest_id"]: [] for row in rows}
    found = await connection.fetch(_ITEMS, list(items))
    matched = await with_links(connection, tuple(map(matched_of, found)))
    for row, item in zip(found, matched, strict=True):
        items[row["digest_id"]].append(item)
    return tuple(_digest_of(row, items[row["digest_id"]]) for row in rows)


def _digest_of(row: asyncpg.Record, items: Sequence[MatchedPosting]) -> ClaimedDigest:
    return ClaimedDigest(
        id=DigestId(row["digest_id"]),
        profile=profile_of(row),
        period=row["period"],
        message_id=row["message_id"],
        items=tuple(items),
        claimed_at=row["claimed_at"],
    )


async def _unfinished(connection: Connection) -> tuple[ClaimedDigest, ...]:
    """Read what was claimed and neither sent nor given up; asyncio side."""
    async with connection.transaction():
        return await _read(connection, None)


async def _mark_sent(connection: Connection, id: DigestId) -> None:
    """Record a delivery; asyncio side."""
    await connection.execute(_MARK_SENT, id)


async def _mark_failed(connection: Connection, id: DigestId, reason: str) -> None:
    """Record that nothing was delivered and release the items; asyncio side."""
    async with connection.transaction():
        if await connection.fetchval(_MARK_FAILED, id, clean(reason)) is not None:
            await connection.execute(_RELEASE_ITEMS, id)


@attrs.define(kw_only=True)
class Digests:
    """The digests of all profiles; the digest actor is their only writer."""

    database: Database

    async def last(self, profile: ProfileId) -> LastDigest | None:
        """Return the period claimed last for a profile, whatever became of it."""
        return await self.database.run(_last, profile)

    async def claim(
        self, profile: ProfileId, period: str, items: Sequence[tuple[PostingId, str]]
    ) -> ClaimedDigest | None:
        """Claim a period for a profile together with what it will carry.

        Args:
            items: Posting and its key (the fingerprint in hexadecimal, or `row:<id>`), best
                first. Left out: a posting or key that the profile has got or is getting, and a
                posting that is no match of the profile.

        Returns:
            The claimed digest, possibly without items; None where the period is taken or the
            profile is gone.
        """
        return await self.database.run(claim_digest, profile, period, items)

    async def unfinished(self) -> tuple[ClaimedDigest, ...]:
        """Return the digests claimed and not finished: what a crash left, the oldest first."""
        return await self.database.run(_unfinished)

    async def mark_sent(self, id: DigestId) -> None:
        """Record that a claimed digest was delivered; a second time changes nothing."""
        await self.database.run(_mark_sent, id)

    async def mark_failed(self, id: DigestId, reason: str) -> None:
        """Record that a claimed digest was surely not delivered.

        Its period stays taken; its items may go out with a later one.
        """
        await self.database.run(_mark_failed, id, reason)
