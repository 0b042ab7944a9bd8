"""The supervision tree of the daemon: every actor with its mailbox, downstream first.

Children start in this order and stop in reverse, so nobody starts before what it sends to is ready:
store, budget, digest, matcher, ingest, supply, cycle, degradation (one child per scraper domain
that is held by lease), alerts, control, lifesign, heartbeat.
"""

import math
import random
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Final, Protocol, TypeVar

import attrs
import trio

from jobping.actors.alerts import AlertsActor, Inbox
from jobping.actors.backfill import Backfill
from jobping.actors.budget import STOP_WITHIN_S, BudgetActor, Models
from jobping.actors.cycle import Cycle
from jobping.actors.degradation import Degradation, MakeActor, Place
from jobping.actors.details import Details
from jobping.actors.digest import DigestActor
from jobping.actors.domain_gate import DomainGate
from jobping.actors.heartbeat import Heartbeat
from jobping.actors.ingest import ingest
from jobping.actors.lifesign import Lifesign
from jobping.actors.matcher import Matcher
from jobping.actors.messages import (
    BoardPolled,
    BudgetMessage,
    DegradationMessage,
    DigestMessage,
    JudgeSupply,
    MatcherMessage,
    ScraperMessage,
    StorePostings,
)
from jobping.actors.model_pass import ModelPass
from jobping.actors.network_gate import NetworkGate
from jobping.actors.observer import observer
from jobping.actors.operator import Generation, Operator
from jobping.actors.paid_call import PaidCalls
from jobping.actors.retention import RetentionDuty
from jobping.actors.scraper import Parts, Scraper
from jobping.actors.shared_pace import SharedPace, SharedPaces
from jobping.actors.statistics import Statistics
from jobping.actors.supply import Reserve, SupplyActor
from jobping.actors.suspects import Suspects
from jobping.actors.work import STEP_S, Work
from jobping.clock import Clock
from jobping.core.alerting import Alerts
from jobping.core.board import StoredBoard
from jobping.core.gate_state import GateRules, GateState
from jobping.core.ids import Domain, SourceName
from jobping.core.ladder import Tier
from jobping.core.limiter import LimiterRules
from jobping.core.model import Dialect
from jobping.core.quota import Quota, Span, strictest
from jobping.core.robots import Use
from jobping.core.schedule import DETAILS_SHARE, PollRules, due_at
from jobping.delivery import Delivery
from jobping.delivery.kept import KeptFiles
from jobping.errors import StoreUnavailable
from jobping.events import Emit
from jobping.fetch import Fetcher
from jobping.llm import load_counter, open_model
from jobping.settings import Settings
from jobping.sources import FIRSTHAND
from jobping.sources.source import Pace, Source
from jobping.store.boards import Boards
from jobping.store.bridge import Database
from jobping.store.digests import Digests
from jobping.store.gates import Gates
from jobping.store.leases import Leases
from jobping.store.ledger import Ledger
from jobping.store.maintenance import Maintenance
from jobping.store.matches import Matches
from jobping.store.people import People
from jobping.store.postings import Postings
from jobping.store.profiles import Profiles
from jobping.store.rankings import Rankings
from jobping.store.spending import Spending
from jobping.store.subscribers import Subscribers
from supervisors import (
    ActorFunction,
    AnyChildSpec,
    ChildExited,
    ChildSpec,
    Context,
    ExitKind,
    HealthState,
    Mailbox,
    MailboxSpec,
    Overflow,
    Phase,
    RestartChild,
    RestartPolicy,
    Strategy,
    SupervisionError,
    Supervisor,
    SupervisorSpec,
    Verdict,
)

M = TypeVar("M")

HOUR_S: Final = 3_600.0
LONGEST_DAY_H: Final = 25  # where the clocks go back
DAY_S: Final = 86_400.0
SLOWER: Final = 4  # design/sources.md section 3
STORE_STOP_S: Final = 25.0  # the pool's close, then SIGINT to the server, 10 s, SIGQUIT
DIGEST_STOP_S: Final = 25.0  # a letter is begun within 5 s, handed over in 18 s, and marked
DEGRADATION_STOP_S: Final = 16.0  # its children's 15 s and a margin
BUDGET_START_S: Final = 60.0  # the vocabulary is read, a second of work on a machine at rest
STORE_RETRY_S: Final = 5.0  # a unit has waited as long for a connection before it gave up
STALL_RETRY_S: Final = 1.0  # after a long silence; it cannot come often, so no limit counts it
BATCHES_WAITING: Final = 16  # of 20 pairs; their askers wait, and the actor has a queue of its own
PAGES_WAITING: Final = 16  # pages of up to 200 drafts, about 2 MB each at worst
ASKS_WAITING: Final = 16


@attrs.frozen(kw_only=True)
class Stores:
    """The tables, one class each, over one database."""

    boards: Boards
    postings: Postings
    profiles: Profiles
    matches: Matches
    digests: Digests
    gates: Gates
    rankings: Rankings
    spending: Spending
    subscribers: Subscribers
    people: People

    @classmethod
    def of(cls, database: Database) -> "Stores":
        """Return the classes over a database that may still be closed."""
        return cls(
            boards=Boards(database=database),
            postings=Postings(database=database),
            profiles=Profiles(database=database),
            matches=Matches(database=database),
            digests=Digests(database=database),
            gates=Gates(database=database),
            rankings=Rankings(database=database),
            spending=Spending(database=database),
            subscribers=Subscribers(database=database),
            people=People(database=database),
        )


class EmitAs(Protocol):
    """Makes the Emit of one actor."""

    def __call__(self, actor: str) -> Emit:
        """Return an Emit that names the actor in every line."""


@attrs.define(kw_only=True)
class Materials:
    """What the tree is built from; each actor takes at its start what then is there.

    Attributes:
        serve_store: The store child: opens the database, says it started, closes it.
        sources: Those switched on, asked where the operator says.
        deliveries: The ways out of digests, in sending order.
        daemon: The id under which leases are held.
        run: The name of this run in the log.
        control_dir: Where the control socket is made.
        cycle_s: Longest first cycle, in seconds.
        max_idle_s: An actor that is silent for so long without a promise is started again.
        on_cycle_end: Called when the first cycle has ended.
        resident_bytes: Reads the memory of this process.
        left: What the gates of ended actors knew.
        notices: The ways out of alerts.
        events: What the alerts are to judge.
        alerts: What they have made of it so far.
        generation: Which configuration holds.
        reload: Asks for the configuration to be read anew, as `Operator` has it.
        stopping: Set when the daemon drains.
    """

    settings: Settings
    stores: Stores
    database: Database
    serve_store: ActorFunction[object]
    sources: Mapping[SourceName, Source]
    fetcher: Fetcher
    deliveries: Sequence[Delivery]
    notices: Sequence[Delivery] = ()
    daemon: str
    run: str
    control_dir: Path
    cycle_s: float
    max_idle_s: float
    on_cycle_end: Callable[[], None]
    resident_bytes: Callable[[], int]
    clock: Clock
    emit_as: EmitAs
    rng: random.Random
    generation: Callable[[], Generation]
    reload: Callable[[], int | None]
    stopping: trio.Event = attrs.Factory(trio.Event)
    suspects: Suspects = attrs.Factory(Suspects)
    reserve: Reserve = attrs.Factory(Reserve)
    left: dict[Domain, GateState] = attrs.Factory(dict)
    events: Inbox
    alerts: Alerts = attrs.Factory(Alerts)


@attrs.frozen(kw_only=True)
class _Mailboxes:
    """One per actor that others send to. Nudges coalesce: one waiting says as much as many."""

    budget: Mailbox[BudgetMessage] = attrs.Factory(
        lambda: Mailbox(MailboxSpec(capacity=BATCHES_WAITING))
    )
    digest: Mailbox[DigestMessage] = attrs.Factory(lambda: Mailbox(_nudged()))
    matcher: Mailbox[MatcherMessage] = attrs.Factory(lambda: Mailbox(_nudged()))
    ingest: Mailbox[StorePostings] = attrs.Factory(
        lambda: Mailbox(MailboxSpec(capacity=PAGES_WAITING))
    )
    supply: Mailbox[JudgeSupply] = attrs.Factory(lambda: Mailbox(_nudged()))
    cycle: Mailbox[BoardPolled] = attrs.Factory(lambda: Mailbox(MailboxSpec()))
    degradation: Mailbox[DegradationMessage] = attrs.Factory(
        lambda: Mailbox(MailboxSpec(capacity=ASKS_WAITING))
    )


def _nudged() -> MailboxSpec[M]:
    return MailboxSpec(capacity=ASKS_WAITING, overflow=Overflow.COALESCE, key=type)


class _Actor(Protocol[M]):
    async def run(self, ctx: Context[M]) -> None: ...


def _fresh(make: Callable[[], _Actor[M]]) -> ActorFunction[M]:
    """Return an actor function that makes a new object for each incarnation."""

    async def start(ctx: Context[M]) -> None:
        await make().run(ctx)

    return start


def build_tree(materials: Materials) -> Supervisor:
    """Return the root supervisor, not started."""
    boxes = _Mailboxes()
    network = NetworkGate(clock=materials.clock, emit=materials.emit_as("network"))
    statistics = Statistics(
        degradation=boxes.degradation.ref,
        database=materials.database,
        fetcher=materials.fetcher,
        limits=lambda: materials.settings.budget.limits,
        tree=lambda: root.snapshot(),
        resident_bytes=materials.resident_bytes,
        clock=materials.clock,
        began=materials.clock.monotonic(),
    )
    children: tuple[AnyChildSpec, ...] = (
        ChildSpec[object](
            id="store",
            start=materials.serve_store,
            start_timeout=math.inf,  # a first start, a recovery or a migration takes what it takes
            stop_timeout=STORE_STOP_S,
        ),
        ChildSpec(
            id="budget",
            start=_fresh(partial(budget_actor, materials)),
            start_timeout=BUDGET_START_S,
            mailbox=boxes.budget,
            stop_timeout=STOP_WITHIN_S,
        ),
        ChildSpec(
            id="digest",
            start=_fresh(partial(_digest, materials)),
            mailbox=boxes.digest,
            stop_timeout=DIGEST_STOP_S,
        ),
        ChildSpec(
            id="matcher",
            start=_fresh(partial(_matcher, materials, boxes)),
            mailbox=boxes.matcher,
        ),
        ChildSpec(
            id="ingest",
            start=ingest(materials.stores.postings, boxes.matcher.ref),
            mailbox=boxes.ingest,
        ),
        ChildSpec(
            id="supply",
            start=_fresh(partial(_supply, materials, boxes, network)),
            mailbox=boxes.supply,
        ),
        ChildSpec(
            id="cycle",
            start=_fresh(partial(_cycle, materials, boxes, network)),
            mailbox=boxes.cycle,
        ),
        ChildSpec(
            id="degradation",
            start=_fresh(partial(_degradation, materials, boxes, network)),
            mailbox=boxes.degradation,
            start_timeout=math.inf,  # its domains start one by one, each within its own time
            stop_timeout=DEGRADATION_STOP_S,
        ),
        ChildSpec[object](id="alerts", start=_fresh(partial(_alerts, materials))),
        ChildSpec[object](
            id="control", start=_fresh(partial(_operator, materials, boxes, statistics))
        ),
        ChildSpec[object](
            id="lifesign",
            start=_fresh(
                lambda: _lifesign(materials, lambda: root.health().state is HealthState.OK)
            ),
        ),
        ChildSpec[object](  # last: its first sample finds every part started
            id="heartbeat", start=_fresh(partial(_heartbeat, materials, statistics))
        ),
    )
    children = tuple(attrs.evolve(child, max_idle=materials.max_idle_s) for child in children)
    root = Supervisor(
        SupervisorSpec(children=children, strategy=Strategy.REST_FOR_ONE, policy=RootPolicy()),
        name="root",
        hook=observer(materials.emit_as("supervisor")),
        rng=materials.rng,
    )
    return root


def _lifesign(materials: Materials, is_well: Callable[[], bool]) -> Lifesign:
    url = materials.settings.alerts.heartbeat_url
    return Lifesign(
        url=url.reveal() if url is not None else None,
        fetcher=materials.fetcher,
        is_well=is_well,
        emit=materials.emit_as("lifesign"),
    )


def _alerts(materials: Materials) -> AlertsActor:
    return AlertsActor(
        alerts=materials.alerts,
        rules=materials.settings.alerts.rules,
        inbox=materials.events,
        ways=materials.notices,
        to=materials.settings.alerts.email,
        host=socket.gethostname(),
        emit=materials.emit_as("alerts"),
    )


def budget_actor(materials: Materials) -> BudgetActor:
    """Return the budget actor of the configuration."""
    llm, budget = materials.settings.llm, materials.settings.budget
    is_openai = llm.dialect is Dialect.OPENAI
    emit = materials.emit_as("budget")
    chain = llm.models if budget.fallback else llm.models[:1]
    return BudgetActor(
        name=materials.daemon,
        calls=PaidCalls(
            ledger=Ledger(
                database=materials.database, daemon=materials.daemon, limits=budget.limits
            ),
            prices=budget.prices,
            clock=materials.clock,
            emit=emit,
            regional=llm.is_regional,
            by_asked=not is_openai,
        ),
        rankings=materials.stores.rankings,
        models=Models(
            chain=chain if llm.is_on else (),
            tier="default" if is_openai else None,
            concurrency=llm.concurrency,
            connect=partial(open_model, llm.place(materials.settings.network.allow)),
            load_counter=partial(load_counter, llm.tokenizer_dirs),
        ),
        clock=materials.clock,
        emit=emit,
        stopping=materials.stopping,
    )


def _digest(materials: Materials) -> DigestActor:
    stores, settings = materials.stores, materials.settings
    return DigestActor(
        rules=settings.digest,
        profiles=stores.profiles,
        matches=stores.matches,
        digests=stores.digests,
        deliveries=materials.deliveries,
        by=_durable_name(materials),
        credits={name: source.terms.credit for name, source in materials.sources.items()},
        firsthand=FIRSTHAND,
        clock=materials.clock,
        emit=materials.emit_as("digest"),
        pending_within_s=settings.matching.backfill_days * DAY_S,
        expects_model=settings.llm.is_on,
        stopping=materials.stopping,
    )


def _durable_name(materials: Materials) -> str:
    """Return what claims are made by: the same after a restart, another for another daemon."""
    return f"{socket.gethostname()}:{materials.settings.state_dir}"


def _matcher(materials: Materials, boxes: _Mailboxes) -> Matcher:
    stores = materials.stores
    return Matcher(
        name=_durable_name(materials),
        postings=stores.postings,
        profiles=stores.profiles,
        matches=stores.matches,
        digest=boxes.digest.ref,
        clock=materials.clock,
        emit=materials.emit_as("matcher"),
        search_within_s=materials.settings.matching.backfill_days * DAY_S,
        words=materials.settings.matching.words,
        model_pass=_model_pass(materials, boxes) if materials.settings.llm.is_on else None,
    )


def _model_pass(materials: Materials, boxes: _Mailboxes) -> ModelPass:
    stores = materials.stores
    return ModelPass(
        budget=boxes.budget.ref,
        rules=materials.settings.digest,
        profiles=stores.profiles,
        matches=stores.matches,
        digests=stores.digests,
        rankings=stores.rankings,
        clock=materials.clock,
        emit=materials.emit_as("matcher"),
        at_once=materials.settings.llm.concurrency,
        pending_within_s=materials.settings.matching.backfill_days * DAY_S,
    )


def _cycle(materials: Materials, boxes: _Mailboxes, network: NetworkGate) -> Cycle:
    polls = _poll_rules(materials)

    async def due_boards() -> list[StoredBoard]:
        utcnow = materials.clock.utcnow()
        rows = await _active_boards(materials)
        return [
            row
            for row in rows
            if due_at(polls[row.board.source], row.next_due_at, utcnow) <= utcnow
        ]

    return Cycle(
        due_boards=due_boards,
        supply=boxes.supply.ref,
        matcher=boxes.matcher.ref,
        digest=boxes.digest.ref,
        network=network,
        emit=materials.emit_as("cycle"),
        patience_s=materials.cycle_s,
        on_end=materials.on_cycle_end,
    )


def _poll_rules(materials: Materials) -> dict[SourceName, PollRules]:
    """Return when the boards of each source are polled."""
    settings, rules = materials.settings, dict[SourceName, PollRules]()
    for name, source in materials.sources.items():
        pace = settings.source(name).pace_of(source)
        rules[name] = PollRules(
            poll_every_s=pace.poll_every_s,
            details_per_hour=DETAILS_SHARE * pace.per_hour,
            hours=pace.hours,
        )
    return rules


async def _active_boards(materials: Materials) -> list[StoredBoard]:
    """Read the boards that are polled now."""
    return [row for row in await _known_boards(materials) if materials.reserve.is_active(row)]


async def _boards_of(materials: Materials, domain: Domain) -> list[StoredBoard]:
    """Read the boards of one domain that are polled now."""
    return [
        row
        for row in await materials.stores.boards.enabled(domain)
        if row.board.source in materials.sources and materials.reserve.is_active(row)
    ]


async def _known_boards(materials: Materials) -> list[StoredBoard]:
    """Read the boards of sources that are switched on; the rows follow where they are asked now."""
    boards, rows = materials.stores.boards, list[StoredBoard]()
    for row in await boards.enabled():
        source = materials.sources.get(row.board.source)
        if source is None:
            continue
        domain = source.domain(row.board)
        if domain != row.domain:
            await boards.move(row.id, domain)
        rows.append(row if domain == row.domain else attrs.evolve(row, domain=domain))
    return rows


def shared_paces(materials: Materials) -> SharedPaces:
    """Return the paces that domains share."""
    settings, clock = materials.settings, materials.clock
    network = settings.network
    return SharedPaces(
        sources={
            name: SharedPace(rules=source_rules(settings.source(name).pace_of(source)), clock=clock)
            for name, source in materials.sources.items()
            if source.pace.is_shared
        },
        together=SharedPace(
            rules=together_rules(network.requests_per_minute, network.requests_per_hour),
            clock=clock,
        ),
    )


def _degradation(materials: Materials, boxes: _Mailboxes, network: NetworkGate) -> Degradation:
    return Degradation(
        rules=materials.settings.ladder,
        active_boards=partial(_active_boards, materials),
        gates=materials.stores.gates,
        leases=Leases(
            database=materials.database, daemon=materials.daemon, host=socket.gethostname()
        ),
        suspects=materials.suspects,
        network=network,
        clock=materials.clock,
        emit=materials.emit_as("degradation"),
        make_actor=_domain_actors(materials, boxes, network),
        hook=observer(materials.emit_as("degradation")),
        max_idle_s=materials.max_idle_s,
        individual=frozenset(
            name for name, source in materials.sources.items() if source.has_individual
        ),
    )


def _backfill(materials: Materials, boxes: _Mailboxes) -> Backfill:
    return Backfill(
        postings=materials.stores.postings,
        matcher=boxes.matcher.ref,
        within_s=materials.settings.matching.backfill_days * DAY_S,
        most=materials.settings.supply.target,
    )


def _supply(materials: Materials, boxes: _Mailboxes, network: NetworkGate) -> SupplyActor:
    settings, sources = materials.settings, materials.sources

    def rules_of(rows: Sequence[StoredBoard]) -> GateRules:
        names = sorted({row.board.source for row in rows})
        paces = [settings.source(name).pace_of(sources[name]) for name in names]
        return GateRules(limiter=limiter_rules(paces))

    return SupplyActor(
        rules=settings.supply,
        reserve=materials.reserve,
        boards=partial(_known_boards, materials),
        order=settings.boards,
        rules_of=rules_of,
        postings=materials.stores.postings,
        gates=materials.stores.gates,
        backfill=_backfill(materials, boxes),
        degradation=boxes.degradation.ref,
        network=network,
        clock=materials.clock,
        emit=materials.emit_as("supply"),
    )


def _retention(materials: Materials) -> RetentionDuty:
    files = materials.settings.delivery.files
    return RetentionDuty(
        retention=materials.settings.retention,
        maintenance=Maintenance(database=materials.database),
        files=None if files is None else KeptFiles(files),
        clock=materials.clock,
        emit=materials.emit_as("heartbeat"),
    )


def _operator(materials: Materials, boxes: _Mailboxes, statistics: Statistics) -> Operator:
    return Operator(
        directory=materials.control_dir,
        run_id=materials.run,
        look=statistics.take,
        degradation=boxes.degradation.ref,
        generation=materials.generation,
        reload=materials.reload,
    )


def _heartbeat(materials: Materials, statistics: Statistics) -> Heartbeat:
    return Heartbeat(
        statistics=statistics,
        emit=materials.emit_as("heartbeat"),
        duty=_retention(materials).run,
    )


def _domain_actors(materials: Materials, boxes: _Mailboxes, network: NetworkGate) -> MakeActor:
    """Return what makes the actors of domains; what these have in common is made once."""
    shared = shared_paces(materials)
    settings, sources = materials.settings, materials.sources
    paces = {name: settings.source(name).pace_of(source) for name, source in sources.items()}
    parts = Parts(
        sources=sources,
        polls=_poll_rules(materials),
        details=Details(
            profiles=materials.stores.profiles,
            clock=materials.clock,
            words=settings.matching.words,
        ),
        api_sources=frozenset(name for name in sources if settings.source(name).robots is Use.API),
        boards_of=partial(_boards_of, materials),
        boards=materials.stores.boards,
        postings=materials.stores.postings,
        ingest=boxes.ingest.ref,
        cycle=boxes.cycle.ref,
        backfill=_backfill(materials, boxes),
        suspects=materials.suspects,
        clock=materials.clock,
        rng=materials.rng,
        news_within_s=settings.matching.recent_days * DAY_S,
    )

    @cache
    def rules_of(names: frozenset[SourceName], tier: Tier) -> GateRules:
        return GateRules(
            limiter=on_tier(limiter_rules([paces[name] for name in names]), tier),
            is_breaker_on=all(settings.source(name).breaker for name in names),
        )

    def make_actor(place: Place) -> ActorFunction[ScraperMessage]:
        emit = materials.emit_as(f"domains/{place.domain}")

        async def scrape(ctx: Context[ScraperMessage]) -> None:
            if not shared.is_resumed:
                gates = await materials.stores.gates.all()
                ages = {domain: saved.elapsed_s for domain, saved in gates}
                shared.resume(await _known_boards(materials), ages)
            with ctx.busy(STEP_S) as promise:
                work = Work(promise=promise)
                gate = DomainGate(
                    domain=place.domain,
                    rules=rules_of(place.sources, place.ladder.tier),
                    ladder=place.ladder,
                    lease=place.lease,
                    fetcher=materials.fetcher,
                    gates=materials.stores.gates,
                    clock=materials.clock,
                    emit=emit,
                    rng=materials.rng,
                    work=work,
                    network=network,
                    shared=shared.of(place.sources),
                    left=materials.left,
                )
                scraper = Scraper(
                    domain=place.domain, gate=gate, ladder=place.ladder, work=work, parts=parts
                )
                await scraper.run(ctx)

        return scrape

    return make_actor


def on_tier(rules: LimiterRules, tier: Tier) -> LimiterRules:
    """Return the limiter of a host on a tier: in small pieces it is asked a quarter as often."""
    if tier is not Tier.INDIVIDUAL:
        return rules
    return attrs.evolve(
        rules, rate=rules.rate / SLOWER, burst=1, min_gap_s=rules.min_gap_s * SLOWER
    )


def limiter_rules(paces: Collection[Pace]) -> LimiterRules:
    """Return the limiter of a host, one request at a time.

    Every host has a daily quota, so that its day is counted: where no source states one it is what
    the pace itself allows in the longest day.

    Args:
        paces: Those of the sources that are asked there; the strictest figure of each kind holds.
    """
    per_hour, burst = min(pace.per_hour for pace in paces), min(pace.burst for pace in paces)
    stated = [quota for pace in paces for quota in pace.quotas]
    if not any(quota.span is Span.DAY for quota in stated):
        stated.append(Quota(Span.DAY, math.ceil(per_hour * LONGEST_DAY_H) + burst))
    return LimiterRules(
        rate=per_hour / HOUR_S,
        burst=burst,
        min_gap_s=max(pace.min_gap_s for pace in paces),
        concurrency=1,
        quotas=strictest(stated),
    )


def source_rules(pace: Pace) -> LimiterRules:
    """Return what the hosts of a source share, so that their sum never exceeds its figures."""
    return LimiterRules(rate=pace.per_hour / HOUR_S, burst=pace.burst, quotas=pace.quotas)


def together_rules(per_minute: float, per_hour: float) -> LimiterRules:
    """Return what all domains share: any minute and any hour sees at most so many requests."""
    rate = min(0.99 * min(per_minute / 60, per_hour / HOUR_S), (per_minute - 1) / 60)
    burst = min(per_minute - 60 * rate, per_hour - HOUR_S * rate)  # what that leaves
    return LimiterRules(rate=rate, burst=max(1, int(burst)))


@attrs.frozen
class RootPolicy:
    """The default policy, but for a store that is away: that is waited out, however long it lasts.

    The pool reconnects by itself; whoever failed for want of it starts again every few seconds, and
    so does whoever was ended for its silence.
    """

    default: RestartPolicy = attrs.Factory(RestartPolicy)

    def decide(self, exited: ChildExited, error: Exception | None) -> Verdict:
        """Answer one exit with one verdict."""
        match error:
            case StoreUnavailable() | SupervisionError() if exited.path != "root/store":
                return RestartChild(delay=STORE_RETRY_S)
            case None if exited.exit.kind is ExitKind.KILLED and exited.phase is Phase.RUNNING:
                return RestartChild(delay=STALL_RETRY_S)
            case _:
                return self.default.decide(exited, error)
