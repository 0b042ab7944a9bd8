"""Leases for tests: rows that hold for ever, and a table of leases that lives in memory."""

import math
from collections.abc import Sequence

import attrs
import trio

from jobping.actors.lease import Lease
from jobping.clock import Clock
from jobping.core.ids import Domain, Monotonic
from jobping.core.tenure import Fence, Tenure, TenureRules
from jobping.errors import StoreUnavailable
from jobping.store.bridge import Database
from jobping.store.connection import Connection
from jobping.store.gates import Gates, SavedGate

HELD = """
INSERT INTO domain_lease (domain, owner, fence, expires_at) VALUES ($1, 'test', 1, 'infinity')
ON CONFLICT (domain) DO NOTHING
"""
GATE = "INSERT INTO domain_gate (domain, fence) VALUES ($1, 1) ON CONFLICT (domain) DO NOTHING"


async def _hold(connection: Connection, domain: str) -> None:
    await connection.execute(HELD, domain)
    await connection.execute(GATE, domain)


async def hold(database: Database, domain: str) -> Fence:
    """Let a domain be held for ever, and return the fence."""
    await database.run(_hold, domain)
    return fence_of(domain)


def fence_of(domain: str) -> Fence:
    """Return the fence of a domain that `hold` has let be held."""
    return Fence(Domain(domain), 1)


def lease_of(domain: str) -> Lease:
    """Return a lease that never ends, on a domain that `hold` has let be held."""
    tenure = Tenure(Monotonic(math.inf))
    return Lease(fence=fence_of(domain), clock=Clock(), tenure=tenure)


@attrs.define(kw_only=True)
class HeldGates(Gates):
    """Gates whose every domain is held from the moment it is loaded."""

    async def load(self, domain: Domain) -> SavedGate | None:
        await hold(self.database, domain)
        return await super().load(domain)


@attrs.define
class LeaseTable:
    """What daemons share: who holds a domain under which fence until when, by Trio's clock."""

    rows: dict[Domain, tuple[str, int, float]] = attrs.field(factory=dict)
    claims: list[tuple[str, Fence]] = attrs.field(factory=list)


@attrs.define(kw_only=True)
class MemoryLeases:
    """A double of `Leases` on a `LeaseTable`."""

    table: LeaseTable = attrs.field(factory=LeaseTable)
    daemon: str = "one"
    rules: TenureRules = attrs.field(factory=TenureRules)
    is_down: bool = False
    renewals: list[float] = attrs.field(factory=list)

    async def start(self, domains: Sequence[Domain]) -> tuple[Fence, ...]:
        return await self._claim(domains, self.daemon)

    async def claim(self, domains: Sequence[Domain]) -> tuple[Fence, ...]:
        return await self._claim(domains, None)

    async def _claim(self, domains: Sequence[Domain], own: str | None) -> tuple[Fence, ...]:
        await self._cross()
        now, fences = trio.current_time(), []
        for domain in domains:
            owner, number, until = self.table.rows.get(domain, ("", 0, -math.inf))
            if until <= now or owner == own:
                fences.append(Fence(domain, number + 1))
                self.table.rows[domain] = (self.daemon, number + 1, now + self.rules.ttl_s)
        self.table.claims += [(self.daemon, fence) for fence in fences]
        return tuple(fences)

    async def renew(self, fences: Sequence[Fence]) -> frozenset[Fence]:
        await self._cross()
        now = trio.current_time()
        self.renewals.append(now)
        mine = frozenset(fence for fence in fences if self._is_mine(fence))
        for fence in mine:
            row = (self.daemon, fence.number, now + self.rules.ttl_s)
            self.table.rows[fence.domain] = row
        return mine

    async def release(self, fences: Sequence[Fence]) -> None:
        await self._cross()
        for fence in filter(self._is_mine, fences):
            self.table.rows[fence.domain] = (self.daemon, fence.number, trio.current_time())

    async def leave(self, fences: Sequence[Fence]) -> None:
        await self.release(fences)

    def _is_mine(self, fence: Fence) -> bool:
        return self.table.rows[fence.domain][:2] == (self.daemon, fence.number)

    async def _cross(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.is_down:
            raise StoreUnavailable("taken away by the test")
