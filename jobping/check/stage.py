"""What the sections of the check stand on: a schema of its own, local sites, and real gates."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import attrs
import trio

from jobping.actors.domain_gate import DomainGate
from jobping.actors.domain_ladder import DomainLadder
from jobping.actors.lease import LeaseKeeper
from jobping.actors.network_gate import NetworkGate
from jobping.actors.shared_pace import SharedPace
from jobping.actors.work import Work
from jobping.clock import Clock
from jobping.core.gate_state import GateRules
from jobping.core.ids import Domain, SourceName
from jobping.core.ladder import LadderRules, Tier
from jobping.core.page import Page, PageRequest
from jobping.demo.answers import Answer, Asked, Shelf, Site
from jobping.demo.server import SiteServer, Stock
from jobping.errors import LeaseLost
from jobping.events import Emit
from jobping.fetch import Fetcher
from jobping.store.bridge import (
    Connection,
    Database,
    Dsn,
    PoolLimits,
    serve_database,
)
from jobping.store.dumps import SCRATCH
from jobping.store.dumps import ask as admin
from jobping.store.gates import Gates
from jobping.store.leases import Leases
from jobping.store.migrate import migrate

OLD_S: Final = 600  # a check takes a minute; what is older was left by one that was killed
TIDY_S: Final = 20.0
GOOD: Final = Answer(body=b"{}")

_LEFT = "SELECT nspname FROM pg_namespace WHERE nspname ~ $1"

# Whoever still holds a lock there is a cut off connection of this check: nobody else uses it.
_END_USERS = """
SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_class c ON c.oid = relation
JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = $1 AND pid <> pg_backend_pid()
"""


@asynccontextmanager
async def scratch_schema(dsn: Dsn) -> AsyncIterator[Dsn]:
    """Yield the way to an empty schema with our tables in the database; dropped in any case.

    Raises:
        ConfigError: We may not make one.
        StoreUnavailable: The database does not answer.
    """
    now = int(Clock().utcnow().timestamp())
    name = f"{SCRATCH}{now}"

    async def make(connection: Connection) -> None:
        for row in await connection.fetch(_LEFT, f"^{SCRATCH}[0-9]+$"):
            if int(row["nspname"].rpartition("_")[2]) < now - OLD_S:
                await connection.execute(f"DROP SCHEMA {row['nspname']} CASCADE")
        await connection.execute(f"CREATE SCHEMA {name}")

    async def drop(connection: Connection) -> None:
        await connection.fetch(_END_USERS, name)
        await connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")

    scratch = Dsn(url=f"{dsn.url}{'&' if '?' in dsn.url else '?'}search_path={name}")
    try:
        with trio.CancelScope(shield=True):
            await admin(dsn, make)
        await admin(scratch, migrate)
        yield scratch
    finally:
        with trio.move_on_after(TIDY_S, shield=True):
            await admin(dsn, drop)


@attrs.define(eq=False)
class LocalSite:
    """A site on loopback that answers as it is told, and notes when it was asked.

    Attributes:
        respond: What it answers.
        came: When each request came, in seconds of Trio's clock.
    """

    respond: Callable[[Asked, Shelf], Answer] = lambda _asked, _shelf: GOOD
    came: list[float] = attrs.field(factory=list)
    server: SiteServer = attrs.field(init=False)

    @property
    def domain(self) -> Domain:
        """Return host and port."""
        return Domain(self.server.place.removeprefix("http://"))

    def answer_always(self, answer: Answer) -> None:
        """Answer everything the same from now on."""
        self.respond = lambda _asked, _shelf: answer

    def _note(self, asked: Asked, shelf: Shelf) -> Answer:
        self.came.append(trio.current_time())
        return self.respond(asked, shelf)


@asynccontextmanager
async def open_site(source: str = "check", stock: Stock | None = None) -> AsyncIterator[LocalSite]:
    """Serve a local site while the block runs."""
    site = LocalSite()
    described = Site(source=SourceName(source), respond=site._note)
    empty = Stock(shelf={}, extras={}, as_of=Clock().utcnow())
    site.server = SiteServer(site=described, stock=stock or empty)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(site.server.serve, await site.server.listen())
        yield site
        nursery.cancel_scope.cancel()


@attrs.define(eq=False)
class Said:
    """An `Emit` that passes on and remembers."""

    emit: Emit
    lines: list[tuple[str, dict[str, object]]] = attrs.field(factory=list)
    _more: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)

    def __call__(self, event: str, /, *, level: str | None = None, **fields: object) -> None:
        """Write one event."""
        self.lines.append((event, fields))
        self._more.unpark_all()
        self.emit(event, level=level, **fields)

    def of(self, event: str, domain: Domain | None = None) -> list[dict[str, object]]:
        """Return what was said under a name, of one domain or of all."""
        found = (fields for name, fields in self.lines if name == event)
        return [fields for fields in found if domain in (None, fields.get("domain"))]

    async def wait_until(self, holds: Callable[[], bool], within_s: float) -> bool:
        """Wait until something holds after a line; False: it did not in time."""
        with trio.move_on_after(within_s):
            await trio.lowlevel.checkpoint()
            while not holds():
                await self._more.park()
            return True
        return False


@attrs.define(eq=False, kw_only=True)
class Yard:
    """Real gates on real leases.

    Attributes:
        said: What the gates say.
        daemon: As whom leases are claimed.
    """

    database: Database
    fetcher: Fetcher
    said: Said
    daemon: str = "check"
    clock: Clock = attrs.field(factory=Clock)
    _rng: random.Random = attrs.field(factory=random.Random)
    _network: NetworkGate = attrs.field(init=False)
    _keeper: LeaseKeeper = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Make what the gates share."""
        self._network = NetworkGate(clock=self.clock, emit=self.said)
        leases = Leases(database=self.database, daemon=self.daemon, host="")
        self._keeper = LeaseKeeper(leases=leases, clock=self.clock, emit=self.said)

    async def gate(
        self, domain: Domain, rules: GateRules, shared: tuple[SharedPace, ...] = ()
    ) -> DomainGate | None:
        """Return the gate of a domain as a daemon's start makes it; None: another has the lease."""
        self._keeper.wanted |= {domain}
        if domain not in self._keeper.held:
            await self._keeper.claim()
        if domain not in self._keeper.held:
            return None
        gates = Gates(database=self.database)
        gate = DomainGate(
            domain=domain,
            rules=rules,
            ladder=DomainLadder.since(
                await gates.load(domain),
                domain=domain,
                rules=LadderRules(tiers=tuple(Tier)),
                clock=self.clock,
                emit=self.said,
            ),
            lease=self._keeper.held[domain],
            fetcher=self.fetcher,
            gates=gates,
            clock=self.clock,
            emit=self.said,
            rng=self._rng,
            work=Work(),
            network=self._network,
            shared=shared,
        )
        await gate.load()
        return gate

    async def local_gate(self, site: LocalSite, rules: GateRules) -> DomainGate:
        """Return the gate of a site whose lease is ours."""
        gate = await self.gate(site.domain, rules)
        if gate is None:
            raise LeaseLost(site.domain)
        return gate

    async def serve(self) -> None:
        """Renew the leases until cancelled."""
        await self._keeper.serve(lambda: None)

    async def leave(self) -> None:
        """Let others have the domains."""
        await self._keeper.leave()


async def ask(gate: DomainGate) -> None:
    """Send one request through a gate.

    Raises:
        FetchError: No usable answer.
    """
    request = PageRequest(url=f"http://{gate.domain}/")
    await gate.ask(request, _read_nothing, hosts=frozenset({gate.domain}))


async def _read_nothing(_page: Page) -> None:
    await trio.lowlevel.checkpoint()


@asynccontextmanager
async def open_yard(
    database: Database, fetcher: Fetcher, emit: Emit, *, daemon: str = "check"
) -> AsyncIterator[Yard]:
    """Keep a yard while the block runs; its leases are given back."""
    yard = Yard(database=database, fetcher=fetcher, said=Said(emit), daemon=daemon)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(yard.serve)
        try:
            yield yard
        finally:
            with trio.move_on_after(TIDY_S, shield=True):
                await yard.leave()
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_database(dsn: Dsn, limits: PoolLimits, emit: Emit) -> AsyncIterator[Database]:
    """Keep a database open while the block runs."""
    database = Database()
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(serve_database, database, dsn, limits=limits, emit=emit))
        yield database
        nursery.cancel_scope.cancel()
