"""What models said about pairs: looked up before a call, claimed for it, kept after it.

Rows are locked in the order of their keys by everyone who waits for them.
"""

import datetime as dt
from collections.abc import Collection, Sequence

import attrs

from jobping.core.ids import ProfileId
from jobping.store.bridge import Database
from jobping.store.connection import Connection
from jobping.store.rows import clean

MOST_FAILURES = 2  # after so many calls without a usable answer a pair stays local; our choice

# A pair is free when nobody else asks about it now and it has not failed too often.
_CLAIM = """
INSERT INTO ranking AS r (key, profile_id, claimed_by, claimed_until)
SELECT k.key, p.id, $3, now() + make_interval(secs => $4)
FROM unnest($2::bytea[]) k (key) JOIN profile p ON p.id = $1
ORDER BY k.key
ON CONFLICT (key) DO UPDATE
SET claimed_by = excluded.claimed_by, claimed_until = excluded.claimed_until
WHERE r.score IS NULL AND r.failures < $5
  AND (r.claimed_until IS NULL OR r.claimed_until <= now() OR r.claimed_by = $3)
RETURNING key, failures
"""

_KNOWN = """
SELECT key, score, reason, model FROM ranking WHERE key = ANY($1::bytea[]) AND score IS NOT NULL
"""

_LOCK = "SELECT FROM ranking WHERE key = ANY($1::bytea[]) ORDER BY key FOR UPDATE"

_KEEP = """
UPDATE ranking r
SET score = k.score, reason = k.reason, model = k.model, asked_at = now(), claimed_by = NULL,
    claimed_until = NULL
FROM unnest($1::bytea[], $2::smallint[], $3::text[], $4::text[]) k (key, score, reason, model)
WHERE r.key = k.key
"""

_FAIL = """
UPDATE ranking
SET failures = failures + $2, asked_at = now(), claimed_by = NULL, claimed_until = NULL
WHERE key = ANY($1::bytea[]) AND score IS NULL
"""

_SERVED = "UPDATE profile SET ranked_at = jobping_now() WHERE id = $1"

_LAST_SERVED = "SELECT id, ranked_at FROM profile WHERE ranked_at IS NOT NULL"

_SERVED_TODAY = """
SELECT count(*) FROM profile
WHERE ranked_at >= (jobping_now() AT TIME ZONE 'UTC')::date::timestamp AT TIME ZONE 'UTC'
"""


@attrs.frozen(kw_only=True)
class Said:
    """What a model said about a pair."""

    key: bytes
    score: int
    reason: str
    model: str


@attrs.frozen(kw_only=True)
class Claimed:
    """What may be asked of some pairs.

    Attributes:
        known: Answers from earlier calls.
        free: Pairs that are this daemon's to ask about, with the number of failures so far.
    """

    known: tuple[Said, ...]
    free: dict[bytes, int]


async def _claim(
    connection: Connection, profile: ProfileId, keys: Sequence[bytes], by: str, for_s: float
) -> Claimed:
    """Look pairs up and claim the others; asyncio side."""
    async with connection.transaction():
        free = await connection.fetch(_CLAIM, profile, keys, by, for_s, MOST_FAILURES)
        known = await connection.fetch(_KNOWN, keys)
    return Claimed(
        known=tuple(Said(**dict(row)) for row in known),
        free={row["key"]: row["failures"] for row in free},
    )


async def _keep(
    connection: Connection, profile: ProfileId, said: Sequence[Said], failed: Collection[bytes]
) -> None:
    """Store what a call brought; asyncio side."""
    async with connection.transaction():
        await connection.execute(_LOCK, [*(one.key for one in said), *failed])
        columns = [
            [one.key for one in said],
            [one.score for one in said],
            [clean(one.reason) for one in said],
            [clean(one.model) for one in said],
        ]
        await connection.execute(_KEEP, *columns)
        await connection.execute(_FAIL, list(failed), 1)
        if said:
            await connection.execute(_SERVED, profile)


async def _give_back(connection: Connection, keys: Collection[bytes], failures: int) -> None:
    """End claims; asyncio side."""
    async with connection.transaction():
        await connection.execute(_LOCK, list(keys))
        await connection.execute(_FAIL, list(keys), failures)


async def _last_served(connection: Connection) -> dict[ProfileId, dt.datetime]:
    rows = await connection.fetch(_LAST_SERVED)
    return {ProfileId(row["id"]): row["ranked_at"] for row in rows}


async def _served_today(connection: Connection) -> int:
    return int(await connection.fetchval(_SERVED_TODAY))


@attrs.define(kw_only=True)
class Rankings:
    """The answers of models, by the hash of their question."""

    database: Database

    async def claim(
        self, profile: ProfileId, keys: Sequence[bytes], *, by: str, for_s: float
    ) -> Claimed:
        """Return what is known of pairs, and claim those that may be asked about.

        Args:
            by: Who claims, the same after a restart; its own claims can be taken again at once.
            for_s: Seconds after which the claim lapses.
        """
        return await self.database.run(_claim, profile, sorted(set(keys)), by, float(for_s))

    async def keep(
        self, profile: ProfileId, said: Sequence[Said], *, failed: Collection[bytes]
    ) -> None:
        """Keep the answers of a call, and count the pairs it was sent for in vain."""
        await self.database.run(_keep, profile, said, failed)

    async def give_back(self, keys: Collection[bytes], *, for_good: bool = False) -> None:
        """End claims without a call; pairs given back for good are never asked about again."""
        await self.database.run(_give_back, keys, MOST_FAILURES if for_good else 0)

    async def last_served(self) -> dict[ProfileId, dt.datetime]:
        """Return when a model last ranked for each profile, aware UTC; absent where none did."""
        return await self.database.run(_last_served)

    async def served_today(self) -> int:
        """Return for how many profiles a model ranked on this UTC day."""
        return await self.database.run(_served_today)
