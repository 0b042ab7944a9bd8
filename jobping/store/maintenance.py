"""Maintenance: what was kept for long enough goes, a batch at a time."""

from collections.abc import Mapping
from typing import Final

import attrs
import trio

from jobping.core.retention import Retention
from jobping.store.bridge import Database
from jobping.store.connection import Connection

BATCH: Final = 1_000
PAUSE_S: Final = 0.2  # between batches, for everyone else

# The latest digest of a profile stays: from it the next one is counted.
_DIGESTS = """
WITH gone AS (
    DELETE FROM digest WHERE id IN (
        SELECT d.id FROM digest d
        WHERE d.state <> 'claimed' AND d.claimed_at < now() - make_interval(days => $1)
          AND EXISTS (SELECT FROM digest e WHERE e.profile_id = d.profile_id AND e.id > d.id)
        LIMIT $2 FOR UPDATE SKIP LOCKED
    ) RETURNING 1
)
SELECT count(*) FROM gone
"""

_MATCHES = """
WITH old AS (
    SELECT m.profile_id, m.posting_id FROM match m JOIN posting p ON p.id = m.posting_id
    WHERE coalesce(p.news_at, p.first_seen_at) < now() - make_interval(days => $1)
    LIMIT $2 FOR UPDATE OF m SKIP LOCKED
), gone AS (
    DELETE FROM match m USING old
    WHERE m.profile_id = old.profile_id AND m.posting_id = old.posting_id RETURNING 1
)
SELECT count(*) FROM gone
"""

_RANKINGS = """
WITH gone AS (
    DELETE FROM ranking WHERE key IN (
        SELECT key FROM ranking WHERE asked_at < now() - make_interval(days => $1)
        LIMIT $2 FOR UPDATE SKIP LOCKED
    ) RETURNING 1
)
SELECT count(*) FROM gone
"""

_CLOSED_POSTINGS = """
WITH gone AS (
    DELETE FROM posting WHERE id IN (
        SELECT id FROM posting WHERE closed_at < now() - make_interval(days => $1)
        LIMIT $2 FOR UPDATE SKIP LOCKED
    ) RETURNING 1
)
SELECT count(*) FROM gone
"""

_EXPIRE: Final[Mapping[str, str]] = {
    "digests": _DIGESTS,
    "matches": _MATCHES,
    "rankings": _RANKINGS,
    "closed_postings": _CLOSED_POSTINGS,
}


async def _expire(connection: Connection, sql: str, days: int) -> int:
    """Delete one batch; asyncio side."""
    return int(await connection.fetchval(sql, days, BATCH))


@attrs.define(kw_only=True)
class Maintenance:
    """Deletes what is too old; several daemons may do so at once."""

    database: Database

    async def expire(self, retention: Retention) -> dict[str, int]:
        """Delete what was kept for longer than that, and return how many rows of each kind.

        A cancel loses no more than the batch in hand.
        """
        gone = dict.fromkeys(_EXPIRE, 0)
        for kind, days in attrs.asdict(retention).items():
            while batch := await self.database.run(_expire, _EXPIRE[kind], days):
                gone[kind] += batch
                await trio.sleep(PAUSE_S)
        return gone
