"""What a domain's gate must remember over a restart: one row for each domain."""

import attrs

from jobping.core.ids import Domain
from jobping.core.tenure import Fence
from jobping.errors import LeaseLost
from jobping.store.bridge import Database
from jobping.store.connection import Connection

_LOAD = """
SELECT domain, state::text AS state, tier,
       greatest(0, extract(epoch FROM now() - saved_at))::float8 AS elapsed_s
FROM domain_gate WHERE state IS NOT NULL AND ($1::text IS NULL OR domain = $1) ORDER BY domain
"""

_SAVE = """
UPDATE domain_gate SET state = $3, tier = $4, saved_at = now() WHERE domain = $1 AND fence = $2
"""


@attrs.frozen(kw_only=True)
class SavedGate:
    """A gate as it was saved.

    Attributes:
        state: JSON text made by `core.gate_text.save`.
        tier: `reliable`, `individual` or `backfill`.
        elapsed_s: Seconds since it was saved, by the database's clock; never negative.
    """

    state: str
    tier: str
    elapsed_s: float


async def _load(
    connection: Connection, domain: Domain | None
) -> tuple[tuple[Domain, SavedGate], ...]:
    """Read the gate of one domain, or all; asyncio side."""
    rows = await connection.fetch(_LOAD, domain)
    return tuple(
        (
            Domain(row["domain"]),
            SavedGate(state=row["state"], tier=row["tier"], elapsed_s=row["elapsed_s"]),
        )
        for row in rows
    )


async def _save(connection: Connection, fence: Fence, state: str, tier: str) -> None:
    """Write the gate of one domain; asyncio side."""
    if await connection.execute(_SAVE, fence.domain, fence.number, state, tier) == "UPDATE 0":
        raise LeaseLost(fence.domain)


@attrs.define(kw_only=True)
class Gates:
    """The saved gates; the actor of a domain that holds its lease is the only writer of its row."""

    database: Database

    async def load(self, domain: Domain) -> SavedGate | None:
        """Return the saved gate of a domain, or None where none was saved."""
        rows = await self.database.run(_load, domain)
        return rows[0][1] if rows else None

    async def save(self, fence: Fence, state: str, tier: str) -> None:
        """Save the gate of the fence's domain.

        Args:
            state: JSON text made by `core.gate_text.save`.
            tier: `reliable`, `individual` or `backfill`.

        Raises:
            LeaseLost: The domain has another owner by now; nothing was written.
            StoreConflict: The tier has another name.
        """
        await self.database.run(_save, fence, state, tier)

    async def all(self) -> tuple[tuple[Domain, SavedGate], ...]:
        """Return every saved gate, by domain."""
        return await self.database.run(_load, None)
