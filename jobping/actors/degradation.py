"""The degradation supervisor: restarts crashed domain actors, demotes and promotes honest ones.

A domain has an actor here while this daemon holds its lease. A crash restarts and never demotes by
itself; a bad result demotes and never restarts. Each domain's ladder lives here, so that no restart
of its actor forgets it; its tier stands in the domain's row, so that a restart of the daemon, or
another daemon, begins where it stood.
"""

import contextlib
import difflib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, assert_never

import attrs
import trio

from jobping.actors.domain_ladder import DomainLadder
from jobping.actors.lease import Lease, LeaseKeeper
from jobping.actors.messages import (
    BoardsChanged,
    DegradationMessage,
    DomainsView,
    DomainView,
    ObeyOrder,
    OrderDomain,
    OrderRefused,
    ReadDomain,
    ReadDomains,
    ScraperMessage,
)
from jobping.actors.network_gate import NetworkGate
from jobping.actors.suspects import Suspects
from jobping.clock import Clock
from jobping.core.board import StoredBoard
from jobping.core.ids import Domain, SourceName
from jobping.core.ladder import Demoted, LadderRules, Restart, Tier
from jobping.core.network import vendor_of
from jobping.errors import DomainUnavailable, LeaseLost, StoreUnavailable
from jobping.events import Emit
from jobping.store.gates import Gates, SavedGate
from jobping.store.leases import Leases
from supervisors import (
    Abandon,
    ActorFunction,
    AskTimeout,
    ChildExited,
    ChildSpec,
    Context,
    Delivery,
    Event,
    ExitKind,
    HealthState,
    Intensity,
    Mailbox,
    MailboxSpec,
    Promise,
    ReplaceChild,
    RestartChild,
    StartError,
    StopOrder,
    Strategy,
    SupervisionError,
    Supervisor,
    SupervisorSpec,
    Verdict,
)

OBEY_WITHIN_S: Final = 1.0  # an operator waits; a row is written meanwhile
READ_WITHIN_S: Final = 2.0  # all domain actors together; each answers between two steps
STORE_RETRY_S: Final = 5.0  # store or ingest are away: not the domain's fault, so not counted
STOP_WITHIN_S: Final = 15.0  # the drain of a request in flight (10 s) and the rows in hand (5 s)
MOVE_S: Final = 0.5  # before the actor of another tier starts; a delay of 0 could be a hot loop
LOOK_EVERY_S: Final = 60.0  # boards of new domains come by command; our choice
FOLLOW_WITHIN_S: Final = 2 * LOOK_EVERY_S  # a look, and one actor that stops and starts
SIGN_EVERY_S: Final = 20.0
SIGN_WITHIN_S: Final = 45.0
ASKS_WAITING: Final = 16  # one reader asks once a minute
ASKS: Final = MailboxSpec[ScraperMessage](capacity=ASKS_WAITING)
RESTARTS: Final = Intensity(max_restarts=5, period=60.0)  # for the log; the ladder decides


@attrs.frozen(kw_only=True)
class Place:
    """One domain's place in the tree.

    Attributes:
        sources: The sources that are asked at this domain.
        lease: Under which its actor works.
    """

    domain: Domain
    sources: frozenset[SourceName]
    lease: Lease
    ladder: DomainLadder
    mailbox: Mailbox[ScraperMessage]


ActiveBoards = Callable[[], Awaitable[Sequence[StoredBoard]]]
"""Reads the boards that this daemon polls now."""

MakeActor = Callable[[Place], ActorFunction[ScraperMessage]]
"""Makes the actor of a domain."""


@attrs.frozen(kw_only=True)
class TierPolicy:
    """The exit policy of the domain actors."""

    places: dict[Domain, Place]
    spec_of: Callable[[Place], ChildSpec[ScraperMessage]]
    suspects: Suspects
    clock: Clock
    emit: Emit

    def decide(self, exited: ChildExited, error: Exception | None) -> Verdict:
        """Answer one exit with one verdict."""
        place = self.places[Domain(exited.path.rpartition("/")[2])]
        match error:
            case DomainUnavailable():
                return ReplaceChild(spec=self.spec_of(place), delay=MOVE_S)
            case LeaseLost():
                place.lease.end()  # what the keeper holds by its own clock may be lost all the same
                return Abandon()
            case StoreUnavailable() | SupervisionError():
                return RestartChild(delay=STORE_RETRY_S)
            case None if exited.exit.kind is ExitKind.NORMAL:
                return ReplaceChild(spec=self.spec_of(place), delay=MOVE_S)
            case _:
                return self._on_crash(place)

    def _on_crash(self, place: Place) -> Verdict:
        board = self.suspects.crashed(place.domain, self.clock.monotonic())
        self.emit("scraper.crashed", domain=place.domain, board_id=board)
        answer = place.ladder.note_crash()
        match answer:
            case Restart(delay_s=delay_s):
                return RestartChild(delay=delay_s)
            case Demoted():
                return RestartChild(delay=place.ladder.rules.longest_restart_s)
            case _:
                assert_never(answer)


@attrs.define(kw_only=True)
class Degradation:
    """Runs one child per domain whose lease is held, and follows boards and leases.

    Attributes:
        individual: The sources that can be read in small pieces, and so give a domain that tier.
        hook: Takes the supervision events of the domain actors.
        max_idle_s: As in the tree, for the domain actors; None: they are not watched.
    """

    rules: LadderRules
    active_boards: ActiveBoards
    gates: Gates
    leases: Leases
    suspects: Suspects
    network: NetworkGate
    clock: Clock
    emit: Emit
    make_actor: MakeActor
    hook: Callable[[Event], None]
    max_idle_s: float | None = None
    individual: frozenset[SourceName] = frozenset()
    _sources: dict[Domain, frozenset[SourceName]] = attrs.field(factory=dict, init=False)
    _places: dict[Domain, Place] = attrs.field(factory=dict, init=False)
    _following: Promise = attrs.field(init=False)
    _all_tiers: LadderRules = attrs.field(init=False)
    _keeper: LeaseKeeper = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._all_tiers = attrs.evolve(self.rules, tiers=tuple(Tier))
        self._keeper = LeaseKeeper(leases=self.leases, clock=self.clock, emit=self.emit)

    async def run(self, ctx: Context[DegradationMessage]) -> None:
        """Start the domains' actors on their stored tiers and keep them until asked to stop."""
        await self._look_for_boards()
        await self._keeper.start()
        await self._give_places()
        policy = TierPolicy(
            places=self._places,
            spec_of=self._spec_of,
            suspects=self.suspects,
            clock=self.clock,
            emit=self.emit,
        )
        supervisor = Supervisor(
            SupervisorSpec(
                strategy=Strategy.ONE_FOR_ONE,
                children=tuple(map(self._spec_of, self._places.values())),
                stop_order=StopOrder.PARALLEL,
                policy=policy,
            ),
            name="domains",
            hook=self.hook,
        )
        changes, changed = trio.open_memory_channel[None](1)  # one waiting says as much as many
        following = trio.CancelScope()

        def note_change() -> None:
            with contextlib.suppress(trio.WouldBlock):
                changes.send_nowait(None)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_leases, ctx, note_change)
            await nursery.start(supervisor.run)
            ctx.started()
            nursery.start_soon(self._look_after, ctx, supervisor)
            nursery.start_soon(self._follow, ctx, supervisor, changed, following)
            async for delivery in ctx.inbox:
                nursery.start_soon(self._answer, delivery, note_change)
            following.cancel()
            await supervisor.stop(reason="degradation stops")
            await self._keeper.leave()
            nursery.cancel_scope.cancel()

    async def _look_for_boards(self) -> None:
        """Learn which domains have boards, and of which sources."""
        sources: dict[Domain, set[SourceName]] = {}
        for row in await self.active_boards():
            sources.setdefault(row.domain, set()).add(row.board.source)
        kinds = {names: names for names in map(frozenset, sources.values())}
        self._sources = {domain: kinds[frozenset(names)] for domain, names in sources.items()}
        self._keeper.wanted = frozenset(sources)

    async def _give_places(self) -> list[Place]:
        """Give every domain whose lease is held a place; return the new ones."""
        polled = self._keeper.held.keys() & self._sources.keys()
        self.network.polled = len(set(map(vendor_of, polled)))
        new = sorted(polled - self._places.keys())
        if not new:
            return []
        gates = dict(await self.gates.all())
        found = [
            Place(
                domain=domain,
                sources=self._sources[domain],
                lease=self._keeper.held[domain],
                ladder=self._ladder_of(domain, gates.get(domain)),
                mailbox=Mailbox(ASKS),
            )
            for domain in new
            if domain in self._keeper.held
        ]
        self._places.update({place.domain: place for place in found})
        return found

    def _ladder_of(self, domain: Domain, saved: SavedGate | None) -> DomainLadder:
        return DomainLadder.since(
            saved,
            domain=domain,
            rules=self._rules_of(self._sources[domain]),
            clock=self.clock,
            emit=self.emit,
        )

    def _rules_of(self, sources: frozenset[SourceName]) -> LadderRules:
        """Return the rules of a domain: its sources say which tiers there are."""
        return self.rules if sources.isdisjoint(self.individual) else self._all_tiers

    def _spec_of(self, place: Place) -> ChildSpec[ScraperMessage]:
        return ChildSpec(
            id=place.domain,
            start=self.make_actor(place),
            mailbox=place.mailbox,
            stop_timeout=STOP_WITHIN_S,
            max_idle=self.max_idle_s,
            intensity=RESTARTS,
        )

    async def _keep_leases(
        self, ctx: Context[DegradationMessage], note_change: Callable[[], None]
    ) -> None:
        with ctx.busy(SIGN_WITHIN_S) as promise:
            await self._keeper.serve(note_change, partial(promise.renew, SIGN_WITHIN_S))

    async def _look_after(self, ctx: Context[DegradationMessage], supervisor: Supervisor) -> None:
        """Give signs of life while no domain's actor hangs beyond its supervisor's reach."""
        with ctx.busy(SIGN_WITHIN_S) as promise:
            while True:
                await trio.sleep(SIGN_EVERY_S)
                if supervisor.health().state is not HealthState.STALLED:
                    promise.renew(SIGN_WITHIN_S)

    async def _follow(
        self,
        ctx: Context[DegradationMessage],
        supervisor: Supervisor,
        changed: trio.MemoryReceiveChannel[None],
        scope: trio.CancelScope,
    ) -> None:
        """Follow leases as they come and go, and once a minute boards that do by command."""
        with scope, ctx.busy(FOLLOW_WITHIN_S) as self._following:
            while True:
                self._following.renew(FOLLOW_WITHIN_S)
                with trio.move_on_after(LOOK_EVERY_S):
                    await changed.receive()
                await self._adapt(supervisor)

    async def _adapt(self, supervisor: Supervisor) -> None:
        """Bring the actors in step with boards and leases."""
        await self._look_for_boards()
        for domain, place in sorted(self._places.items()):
            if domain not in self._sources or self._keeper.held.get(domain) is not place.lease:
                await self._end(supervisor, domain)
                del self._places[domain]
        await self._keeper.release(self._keeper.held.keys() - self._sources.keys())
        await self._keeper.claim()
        changed: list[Place] = []
        for place in tuple(self._places.values()):
            sources = self._sources[place.domain]
            if sources != place.sources:  # another pace may hold
                await self._end(supervisor, place.domain)
                place.ladder.follow(self._rules_of(sources))
                anew = attrs.evolve(place, sources=sources, mailbox=Mailbox(ASKS))
                self._places[place.domain] = anew
                changed.append(anew)
        for place in (*changed, *await self._give_places()):
            await self._begin(supervisor, place)

    async def _begin(self, supervisor: Supervisor, place: Place) -> None:
        self._following.renew(FOLLOW_WITHIN_S)
        try:
            await supervisor.start_child(self._spec_of(place))
        except StartError:
            del self._places[place.domain]  # said by the supervisor; tried again next time

    async def _end(self, supervisor: Supervisor, domain: Domain) -> None:
        self._following.renew(FOLLOW_WITHIN_S)
        await supervisor.terminate_child(domain)
        await supervisor.delete_child(domain)

    async def _answer(
        self, delivery: Delivery[DegradationMessage], note_change: Callable[[], None]
    ) -> None:
        match delivery.message:
            case BoardsChanged():
                await trio.lowlevel.checkpoint()
                note_change()
            case ReadDomains():
                delivery.reply(await self._read())
            case OrderDomain() as order:
                delivery.reply(await self._pass_on(order))
            case _:
                assert_never(delivery.message)

    async def _read(self) -> DomainsView:
        """Ask every domain how it stands; one that restarts just now gives no answer."""
        views: list[DomainView] = []
        async with trio.open_nursery() as nursery:
            for place in tuple(self._places.values()):
                nursery.start_soon(_read_one, place, views)
        return DomainsView(
            views=tuple(sorted(views, key=lambda view: view.domain)),
            silent=tuple(sorted(self._places.keys() - {view.domain for view in views})),
            elsewhere=tuple(sorted(self._sources.keys() - self._keeper.held.keys())),
        )

    async def _pass_on(self, order: OrderDomain) -> DomainView | OrderRefused:
        """Let the actor of a domain carry an operator's order out."""
        place = self._places.get(Domain(order.domain))
        if place is None and order.domain in self._sources:
            return OrderRefused("is polled by another daemon; say it to that one")
        if place is None:
            near = difflib.get_close_matches(order.domain, self._sources, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else "`jobping domains` shows all"
            return OrderRefused(f"is no domain of a board; {hint}")
        try:
            return await place.mailbox.ref.ask(ObeyOrder(order.order), within=OBEY_WITHIN_S)
        except AskTimeout:  # it may still obey: it had the order in hand
            return OrderRefused(
                "gives no answer: it restarts, or the database is slow; `jobping domains` shows"
                " whether it has obeyed"
            )
        except SupervisionError:
            return OrderRefused("restarts just now; try again")


async def _read_one(place: Place, views: list[DomainView]) -> None:
    try:
        views.append(await place.mailbox.ref.ask(ReadDomain(), within=READ_WITHIN_S))
    except SupervisionError:
        return
