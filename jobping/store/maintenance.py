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

_DELETE = """
WITH gone AS (
    DELETE FROM {table} WHERE ctid = ANY (ARRAY(
        SELECT t.ctid FROM {table} t WHERE {old} LIMIT $2 FOR UPDATE SKIP LOCKED
    )) RETURNING 1
)
SELECT count(*) FROM gone
"""

_DIGESTS = """
t.state <> 'claimed' AND t.claimed_at < now() - make_interval(days => $1)
-- the latest of a profile stays: from it the next one is counted
AND EXISTS (SELECT FROM digest e WHERE e.profile_id = t.profile_id AND e.id > t.id)
"""

_MATCHES = """
EXISTS (
    SELECT FROM posting p WHERE p.id = t.posting_id
    AND coalesce(p.news_at, p.first_seen_at) < now() - make_interval(days => $1)
)
"""

_RANKINGS = "t.asked_at < now() - make_interval(days => $1)"

_CLOSED_POSTINGS = "t.closed_at < now() - make_interval(days => $1)"

_EXPIRE: Final[Mapping[str, str]] = {
    "digests": _DELETE.format(table="digest", old=_DIGESTS),
    "matches": _DELETE.format(table="match", old=_MATCHES),
    "rankings": _DELETE.format(table="ranking", old=_RANKINGS),
    "closed_postings": _DELETE.format(table="posting", old=_CLOSED_POSTINGS),
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
