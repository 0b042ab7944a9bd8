"""Real parts for the tests of actors: store, fetcher, gate and supervisor, and pages to answer."""

import datetime as dt
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import attrs
import trio

from jobping.actors.backfill import Backfill
from jobping.actors.details import Details
from jobping.actors.domain_gate import DomainGate
from jobping.actors.domain_ladder import DomainLadder
from jobping.actors.ingest import ingest
from jobping.actors.lease import Lease
from jobping.actors.messages import BoardPolled, PostingsStored, ScraperMessage, StorePostings
from jobping.actors.network_gate import NetworkGate
from jobping.actors.scraper import BoardsOf, Parts, Scraper
from jobping.actors.suspects import Suspects
from jobping.actors.work import Work
from jobping.clock import Clock
from jobping.core.board import Board, StoredBoard
from jobping.core.gate_state import GateRules, GateState
from jobping.core.ids import Domain, Monotonic
from jobping.core.ladder import LadderRules, Tier
from jobping.core.limiter import LimiterRules
from jobping.core.quota import Quota, Span
from jobping.core.retry import RetryRules
from jobping.core.robots import Use
from jobping.core.schedule import PollRules
from jobping.errors import StoreUnavailable
from jobping.fetch import Fetcher
from jobping.sources.source import Source
from jobping.store.bridge import Database
from jobping.tree import Stores
from supervisors import (
    Abandon,
    AnyChildSpec,
    ChildExited,
    ChildSpec,
    Context,
    ExitKind,
    ExitPolicy,
    Hook,
    Mailbox,
    MailboxSpec,
    Overflow,
    RestartPolicy,
    Supervisor,
    SupervisorSpec,
    Verdict,
)
from supervisors.testing import EventLog, ScriptedActor
from tests.doubles.fault_server import After, Behaviour, Received
from tests.doubles.leases import hold, lease_of
from tests.doubles.postgres import Events

M = TypeVar("M")

FAST = GateRules(
    limiter=LimiterRules(rate=1000, burst=1000, concurrency=1, quotas=(Quota(Span.DAY, 10**9),)),
    retry=RetryRules(attempts=1),
)
"""A pace that no test notices, and no retries."""
DAY_S = 86_400.0


@attrs.frozen
class MovedClock(Clock):
    """A clock whose calendar moves with Trio's clock, so that a jump of that one moves both.

    Attributes:
        zero: The calendar's moment at 0 of Trio's clock.
    """

    zero: dt.datetime = attrs.field(
        factory=lambda: dt.datetime.now(dt.UTC) - dt.timedelta(seconds=trio.current_time())
    )

    def utcnow(self) -> dt.datetime:
        return self.zero + dt.timedelta(seconds=trio.current_time())


@attrs.define
class Faulty:
    """A database that a test can take away: a double of `Database` in front of the real one.

    Attributes:
        delay_s: Each unit begins so much later.
        in_hand: Units that run now.
    """

    inner: Database
    is_down: bool = False
    delay_s: float = 0.0
    in_hand: int = 0

    async def run(
        self, unit: Callable[..., Awaitable[object]], *values: object, **named: object
    ) -> object:
        if self.is_down:
            await trio.lowlevel.checkpoint()
            raise StoreUnavailable("taken away by the test")
        await trio.sleep(self.delay_s)
        self.in_hand += 1
        try:
            return await self.inner.run(unit, *values, **named)
        finally:
            self.in_hand -= 1


@attrs.frozen
class Rows:
    """A database whose every unit answers the same rows; for tests in virtual time."""

    rows: tuple[object, ...] = ()

    async def run(self, unit: Callable[..., Awaitable[object]], *values: object) -> object:
        await trio.lowlevel.checkpoint()
        return self.rows


@attrs.define
class SetClock:
    """A double of `Clock` that stands where it is set; for tests without Trio."""

    now: float = 0.0

    def monotonic(self) -> Monotonic:
        return Monotonic(self.now)


@attrs.define(kw_only=True)
class Rig:
    """What actors are made of.

    Attributes:
        network: Our network, shared by all gates.
        faulty: Stands between the stores and the database.
        events: What the parts under test emitted.
    """

    faulty: Faulty
    stores: Stores
    fetcher: Fetcher
    clock: Clock
    events: Events = attrs.field(factory=Events)
    rng: random.Random = attrs.field(factory=lambda: random.Random(1))
    suspects: Suspects = attrs.field(factory=Suspects)
    left: dict[Domain, GateState] = attrs.field(factory=dict)
    network: NetworkGate = attrs.field(init=False)

    @network.default
    def _network(self) -> NetworkGate:
        return NetworkGate(clock=self.clock, emit=self.events)

    def said(self, event: str) -> list[dict[str, object]]:
        return [fields for name, fields in self.events.seen if name == event]

    def ladder(
        self, domain: str, tier: Tier = Tier.RELIABLE, rules: LadderRules | None = None
    ) -> DomainLadder:
        return DomainLadder.at(
            tier,
            domain=Domain(domain),
            rules=rules or LadderRules(),
            clock=self.clock,
            emit=self.events,
        )

    def gate(
        self,
        domain: str,
        *,
        rules: GateRules = FAST,
        ladder: DomainLadder | None = None,
        work: Work | None = None,
        lease: Lease | None = None,
        fetcher: Fetcher | None = None,
    ) -> DomainGate:
        return DomainGate(
            domain=Domain(domain),
            rules=rules,
            ladder=ladder or self.ladder(domain),
            lease=lease or lease_of(domain),
            fetcher=fetcher or self.fetcher,
            gates=self.stores.gates,
            clock=self.clock,
            emit=self.events,
            rng=self.rng,
            work=work or Work(),
            network=self.network,
        )

    async def loaded_gate(self, domain: str, *, rules: GateRules = FAST) -> DomainGate:
        gate = self.gate(domain, rules=rules)
        await gate.load()
        return gate

    async def add_board(self, source: Source, slug: str = "acme") -> StoredBoard:
        board = Board(source=source.name, slug=slug, company="Acme")
        await hold(self.stores.boards.database, source.domain(board))
        return await self.stores.boards.add(board, source.domain(board))

    async def board_row(self, slug: str = "acme") -> StoredBoard:
        rows = await self.stores.boards.enabled()
        return next(row for row in rows if row.board.slug == slug)

    def parts(
        self,
        sources: Sequence[Source],
        ingest: Mailbox[StorePostings],
        cycle: Mailbox[BoardPolled],
        boards_of: BoardsOf | None = None,
        *,
        robots: Use = Use.API,
    ) -> Parts:
        return Parts(
            api_sources=frozenset(source.name for source in sources if robots is Use.API),
            sources={source.name: source for source in sources},
            polls={source.name: PollRules(poll_every_s=3600.0) for source in sources},
            details=Details(profiles=self.stores.profiles, clock=self.clock),
            boards_of=boards_of or self.stores.boards.enabled,
            boards=self.stores.boards,
            postings=self.stores.postings,
            ingest=ingest.ref,
            cycle=cycle.ref,
            backfill=self.backfill(),
            suspects=self.suspects,
            clock=self.clock,
            rng=self.rng,
            news_within_s=7 * DAY_S,
        )

    def backfill(self, matcher: Mailbox[PostingsStored] | None = None) -> Backfill:
        box = matcher or Mailbox[PostingsStored](MailboxSpec(overflow=Overflow.COALESCE, key=type))
        return Backfill(
            postings=self.stores.postings, matcher=box.ref, within_s=7 * DAY_S, most=100
        )

    def scraper_child(
        self,
        domain: str,
        parts: Parts,
        *,
        ladder: DomainLadder | None = None,
        rules: GateRules = FAST,
        mailbox: Mailbox[ScraperMessage] | None = None,
        lease: Lease | None = None,
    ) -> ChildSpec[ScraperMessage]:
        """Return a domain's actor as the daemon runs it; the ladder outlives its incarnations."""
        stands = ladder or self.ladder(domain)

        async def scrape(ctx: Context[ScraperMessage]) -> None:
            work = Work()
            gate = self.gate(domain, ladder=stands, work=work, rules=rules, lease=lease)
            gate.left = self.left
            scraper = Scraper(
                domain=Domain(domain), gate=gate, ladder=stands, work=work, parts=parts
            )
            await scraper.run(ctx)

        box = mailbox or Mailbox()
        return ChildSpec(id=domain, start=scrape, mailbox=box, stop_timeout=15.0)

    @asynccontextmanager
    async def open_ingest(self) -> AsyncIterator[Mailbox[StorePostings]]:
        """Run the real ingest beside a matcher that only listens."""
        box: Mailbox[StorePostings] = Mailbox()
        matcher: Mailbox[object] = Mailbox()
        child = ChildSpec(id="ingest", start=ingest(self.stores.postings, matcher.ref), mailbox=box)
        async with open_tree(listener("matcher", matcher), child):
            yield box


@attrs.frozen
class StayDown:
    """A policy that lets every child stay down, and keeps how it ended."""

    ends: list[tuple[ExitKind, Exception | None]] = attrs.field(factory=list)

    def decide(self, exited: ChildExited, error: Exception | None) -> Verdict:
        self.ends.append((exited.exit.kind, error))
        return Abandon()


def listener(id: str, box: Mailbox[M], actor: ScriptedActor | None = None) -> ChildSpec[M]:
    """Return an actor that takes messages and answers each ask with the question."""
    return ChildSpec(id=id, start=(actor or ScriptedActor()).run, mailbox=box)


@asynccontextmanager
async def open_tree(
    *children: AnyChildSpec,
    policy: ExitPolicy | None = None,
    hook: Hook | None = None,
    name: str = "root",
) -> AsyncIterator[Supervisor]:
    """Run children until the block ends."""
    spec = SupervisorSpec(children=children, policy=policy or RestartPolicy())
    supervisor = Supervisor(spec, name=name, hook=hook or EventLog())
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.run)
        yield supervisor
        await supervisor.stop(reason="the test ends")


async def eventually(condition: Callable[[], bool], *, within_s: float = 10.0) -> None:
    """Wait for something that real I/O brings about."""
    with trio.fail_after(within_s):
        while not condition():  # noqa: ASYNC110  what happens in the store and on sockets sets none
            await trio.sleep(0.003)


def by_target(answers: Mapping[str, Behaviour]) -> Behaviour:
    """Answer by path and query."""

    async def behave(stream: trio.abc.Stream, received: Received) -> After:
        return await answers[received.target](stream, received)

    return behave


def greenhouse(
    *ids: int,
    title: str = "Analyst",
    posted: Mapping[int, dt.datetime] | None = None,
    broken: Sequence[int] = (),
) -> bytes:
    """Return a Greenhouse board; its broken items have an id and nothing else."""
    dates = posted or {}
    jobs: list[dict[str, object]] = [
        {
            "id": id,
            "title": f"{title} {id}",
            "absolute_url": f"https://boards.example/jobs/{id}",
            "company_name": "Acme",
            "location": {"name": "Berlin, Germany"},
            "first_published": dates[id].isoformat() if id in dates else None,
            "content": f"&lt;p&gt;Numbers {id}.&lt;/p&gt;",
        }
        for id in ids
    ]
    jobs += [{"id": id} for id in broken]
    return json.dumps({"jobs": jobs, "meta": {"total": len(jobs)}}).encode()


def lever(*ids: int) -> bytes:
    """Return a Lever board."""
    jobs = [
        {"id": f"lever-{id}", "text": f"Seller {id}", "hostedUrl": f"https://jobs.example/{id}"}
        for id in ids
    ]
    return json.dumps(jobs).encode()


def smart(*ids: int, total: int, limit: int, titles: Mapping[int, str] | None = None) -> bytes:
    """Return one page of a SmartRecruiters board; the ids below 0 have no name."""
    named = titles or {}
    content = [
        {"id": str(-id)} if id < 0 else {"id": str(id), "name": named.get(id, f"Analyst {id}")}
        for id in ids
    ]
    answer = {"offset": 0, "limit": limit, "totalFound": total, "content": content}
    return json.dumps(answer).encode()
