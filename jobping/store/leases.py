"""Which daemon owns a domain: claimed, renewed and released here, by the database's clock.

Every claim raises the domain's fence and writes it into the domain's gate. Who writes under an
older fence finds no row: gates in `gates`, batches of postings in `batch`.
"""

from collections.abc import Iterable, Sequence

import attrs

from jobping.core.ids import Domain
from jobping.core.tenure import Fence, TenureRules
from jobping.store.bridge import Database
from jobping.store.connection import Connection

# Makes rows for domains that never had an owner; in one order, so that two daemons cannot deadlock.
_ENTER = """
INSERT INTO domain_lease (domain, owner, fence, expires_at)
SELECT domain, '', 0, '-infinity' FROM unnest($1::text[]) AS e (domain) ORDER BY domain
ON CONFLICT (domain) DO NOTHING
"""

# Takes what is free; rows that somebody claims, or writes under, at this moment wait for a later
# look. A start also takes what its dead predecessor held.
_CLAIM = """
WITH free AS (
    SELECT domain FROM domain_lease
    WHERE domain = ANY($1::text[]) AND (expires_at <= now() OR owner = $4)
    ORDER BY domain
    FOR UPDATE SKIP LOCKED
)
UPDATE domain_lease l
SET owner = $2, fence = l.fence + 1, expires_at = now() + make_interval(secs => $3)
FROM free WHERE l.domain = free.domain
RETURNING l.domain, l.fence
"""

_FENCE_GATES = """
INSERT INTO domain_gate (domain, fence)
SELECT domain, fence FROM unnest($1::text[], $2::bigint[]) AS f (domain, fence) ORDER BY domain
ON CONFLICT (domain) DO UPDATE SET fence = excluded.fence
"""

_RENEW = """
UPDATE domain_lease l SET expires_at = now() + make_interval(secs => $4)
FROM unnest($2::text[], $3::bigint[]) AS held (domain, fence)
WHERE l.domain = held.domain AND l.fence = held.fence AND l.owner = $1
RETURNING l.domain, l.fence
"""

_RELEASE = """
UPDATE domain_lease l SET expires_at = now()
FROM unnest($2::text[], $3::bigint[]) AS held (domain, fence)
WHERE l.domain = held.domain AND l.fence = held.fence AND l.owner = $1
"""

_LIVE = """
INSERT INTO daemon_lease (daemon, host, expires_at)
VALUES ($1, $2, now() + make_interval(secs => $3))
ON CONFLICT (daemon) DO UPDATE SET host = excluded.host, expires_at = excluded.expires_at
"""

_LEAVE = "DELETE FROM daemon_lease WHERE daemon = $1"

# A start begins its own row anew, and clears those of daemons that did not come back.
_START = """
DELETE FROM daemon_lease WHERE daemon = $1 OR expires_at < now() - interval '1 day'
"""


def _columns(fences: Iterable[Fence]) -> tuple[list[str], list[int]]:
    ordered = sorted(fences, key=lambda fence: fence.domain)
    return [fence.domain for fence in ordered], [fence.number for fence in ordered]


async def _claim(
    connection: Connection,
    daemon: str,
    ttl_s: float,
    domains: Sequence[Domain],
    predecessor: str | None,
) -> tuple[Fence, ...]:
    """Take what is free, and fence the gates; asyncio side."""
    async with connection.transaction():
        await connection.execute(_ENTER, list(domains))
        rows = await connection.fetch(_CLAIM, list(domains), daemon, ttl_s, predecessor)
        fences = tuple(Fence(Domain(row["domain"]), row["fence"]) for row in rows)
        await connection.execute(_FENCE_GATES, *_columns(fences))
    return fences


async def _start(
    connection: Connection, daemon: str, host: str, ttl_s: float, domains: Sequence[Domain]
) -> tuple[Fence, ...]:
    """Say that a daemon lives, and take what is free or was its own; asyncio side."""
    async with connection.transaction():
        await connection.execute(_START, daemon)
        await connection.execute(_LIVE, daemon, host, ttl_s)
    return await _claim(connection, daemon, ttl_s, domains, daemon)


async def _renew(
    connection: Connection, daemon: str, host: str, ttl_s: float, fences: Sequence[Fence]
) -> frozenset[Fence]:
    """Say that a daemon lives, and renew what is still its own; asyncio side."""
    async with connection.transaction():
        await connection.execute(_LIVE, daemon, host, ttl_s)
        rows = await connection.fetch(_RENEW, daemon, *_columns(fences), ttl_s)
    return frozenset(Fence(Domain(row["domain"]), row["fence"]) for row in rows)


async def _release(connection: Connection, daemon: str, fences: Sequence[Fence]) -> None:
    """Give back what is still a daemon's own; asyncio side."""
    await connection.execute(_RELEASE, daemon, *_columns(fences))


async def _leave(connection: Connection, daemon: str, fences: Sequence[Fence]) -> None:
    """Give everything back and be gone; asyncio side."""
    async with connection.transaction():
        await _release(connection, daemon, fences)
        await connection.execute(_LEAVE, daemon)


@attrs.define(kw_only=True)
class Leases:
    """The leases as one daemon sees them.

    Attributes:
        daemon: Its id: the same after a restart, never that of another one.
        host: For people.
    """

    database: Database
    daemon: str
    host: str
    rules: TenureRules = attrs.Factory(TenureRules)

    async def start(self, domains: Sequence[Domain]) -> tuple[Fence, ...]:
        """Enter the living, and claim what is free or was held by this daemon before it died."""
        return await self.database.run(_start, self.daemon, self.host, self.rules.ttl_s, domains)

    async def claim(self, domains: Sequence[Domain]) -> tuple[Fence, ...]:
        """Claim those of the domains that nobody holds; raises the fence of each."""
        return await self.database.run(_claim, self.daemon, self.rules.ttl_s, domains, None)

    async def renew(self, fences: Sequence[Fence]) -> frozenset[Fence]:
        """Renew leases, and return those that were still this daemon's."""
        return await self.database.run(_renew, self.daemon, self.host, self.rules.ttl_s, fences)

    async def release(self, fences: Sequence[Fence]) -> None:
        """Let others claim at once what this daemon no longer uses."""
        await self.database.run(_release, self.daemon, fences)

    async def leave(self, fences: Sequence[Fence]) -> None:
        """Release everything at the end of the daemon."""
        await self.database.run(_leave, self.daemon, fences)
