"""The degradation supervisor: restarts crashed domain actors, demotes and promotes honest ones.

A crash restarts and never demotes by itself; a bad result demotes and never restarts. Each domain's
ladder lives here, so that no restart of its actor forgets it; its tier stands in the domain's row,
so that a restart of the daemon begins where it stood.
"""

from collections.abc import Callable
from typing import Final, assert_never

import attrs
import trio

from jobping.actors.domain_ladder import DomainLadder
from jobping.actors.messages import DomainView, ReadDomain, ReadDomains
from jobping.actors.scraper import ActiveBoards
from jobping.actors.suspects import Suspects
from jobping.clock import Clock
from jobping.core.ids import Domain, SourceName
from jobping.core.ladder import Demoted, LadderRules, Restart, Tier
from jobping.errors import DomainUnavailable, StoreUnavailable
from jobping.events import Emit
from jobping.store.gates import Gates
from supervisors import (
    ActorFunction,
    ChildExited,
    ChildSpec,
    Context,
    Event,
    ExitKind,
    Intensity,
    Mailbox,
    MailboxSpec,
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

READ_WITHIN_S: Final = 2.0  # all domain actors together; each answers between two steps
STORE_RETRY_S: Final = 5.0  # store or ingest are away: not the domain's fault, so not counted
STOP_WITHIN_S: Final = 15.0  # the drain of a request in flight (10 s) and the rows in hand (5 s)
MOVE_S: Final = 0.5  # before the actor of another tier starts; a delay of 0 could be a hot loop
LOOK_EVERY_S: Final = 60.0  # boards of new domains come by command; our choice
ASKS_WAITING: Final = 16  # one reader asks once a minute
RESTARTS: Final = Intensity(max_restarts=5, period=60.0)  # for the log; the ladder decides


@attrs.frozen(kw_only=True)
class Place:
    """One domain's place in the tree.

    Attributes:
        sources: The sources that are asked at this domain.
    """

    domain: Domain
    sources: frozenset[SourceName]
    ladder: DomainLadder
    mailbox: Mailbox[ReadDomain]


MakeActor = Callable[[Place, int], ActorFunction[ReadDomain]]
"""Makes the actor of a domain; the number is that of all domains that share its sources' pace."""


@attrs.frozen(kw_only=True)
class TierPolicy:
    """The exit policy of the domain actors."""

    places: dict[Domain, Place]
    spec_of: Callable[[Place], ChildSpec[ReadDomain]]
    suspects: Suspects
    clock: Clock
    emit: Emit

    def decide(self, exited: ChildExited, error: Exception | None) -> Verdict:
        """Answer one exit with one verdict."""
        place = self.places[Domain(exited.path.rpartition("/")[2])]
        match error:
            case DomainUnavailable():
                return ReplaceChild(spec=self.spec_of(place), delay=MOVE_S)
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
    """Runs one child per scraper domain, and follows the boards that come and go.

    Attributes:
        hook: Takes the supervision events of the domain actors.
    """

    rules: LadderRules
    active_boards: ActiveBoards
    gates: Gates
    suspects: Suspects
    clock: Clock
    emit: Emit
    make_actor: MakeActor
    hook: Callable[[Event], None]
    _places: dict[Domain, Place] = attrs.field(factory=dict, init=False)

    async def run(self, ctx: Context[ReadDomains]) -> None:
        """Start the domains' actors on their stored tiers and keep them until asked to stop."""
        await self._find_places()
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
        async with trio.open_nursery() as nursery:
            await nursery.start(supervisor.run)
            ctx.started()
            nursery.start_soon(self._follow_boards, supervisor)
            async for delivery in ctx.inbox:
                delivery.reply(await self._read())
            await supervisor.stop(reason="degradation stops")
            nursery.cancel_scope.cancel()

    async def _find_places(self) -> tuple[list[Place], frozenset[Domain]]:
        """Give every domain that has boards a place; return the new ones, and all with boards."""
        sources: dict[Domain, set[SourceName]] = {}
        for row in await self.active_boards():
            sources.setdefault(row.domain, set()).add(row.board.source)
        for domain in sources.keys() & self._places.keys():
            known = self._places[domain]
            self._places[domain] = attrs.evolve(known, sources=frozenset(sources[domain]))
        new = sources.keys() - self._places.keys()
        tiers = {domain: Tier(saved.tier) for domain, saved in await self.gates.all()}
        found = [
            Place(
                domain=domain,
                sources=frozenset(sources[domain]),
                ladder=DomainLadder.at(
                    tiers.get(domain, self.rules.tiers[0]),
                    domain=domain,
                    rules=self.rules,
                    clock=self.clock,
                    emit=self.emit,
                ),
                mailbox=Mailbox(MailboxSpec(capacity=ASKS_WAITING)),
            )
            for domain in sorted(new)
        ]
        self._places.update({place.domain: place for place in found})
        return found, frozenset(sources)

    def _spec_of(self, place: Place) -> ChildSpec[ReadDomain]:
        return ChildSpec(
            id=place.domain,
            start=self.make_actor(place, self._sharing(place)),
            mailbox=place.mailbox,
            stop_timeout=STOP_WITHIN_S,
            intensity=RESTARTS,
        )

    def _sharing(self, place: Place) -> int:
        """Count the domains, this one included, that share the hourly figure of its sources."""
        return sum(bool(place.sources & other.sources) for other in self._places.values())

    async def _follow_boards(self, supervisor: Supervisor) -> None:
        """Follow boards that come and go by command, once a minute."""
        while True:
            await trio.sleep(LOOK_EVERY_S)
            before = {place.domain: self._terms(place) for place in self._places.values()}
            found, wanted = await self._find_places()
            for domain in sorted(self._places.keys() - wanted):
                await self._end(supervisor, domain)
                del self._places[domain]
            for domain in sorted(before.keys() & wanted):  # before new ones ask at the old pace
                place = self._places[domain]
                if self._terms(place) != before[domain]:
                    await self._end(supervisor, domain)
                    anew = attrs.evolve(place, mailbox=Mailbox(MailboxSpec(capacity=ASKS_WAITING)))
                    self._places[domain] = anew
                    found.append(anew)
            for place in found:
                await self._begin(supervisor, place)

    def _terms(self, place: Place) -> tuple[frozenset[SourceName], int]:
        """Return what the actor of a place was made with."""
        return place.sources, self._sharing(place)

    async def _begin(self, supervisor: Supervisor, place: Place) -> None:
        try:
            await supervisor.start_child(self._spec_of(place))
        except StartError:
            del self._places[place.domain]  # said by the supervisor; tried again next time

    async def _end(self, supervisor: Supervisor, domain: Domain) -> None:
        await supervisor.terminate_child(domain)
        await supervisor.delete_child(domain)

    async def _read(self) -> tuple[DomainView, ...]:
        """Ask every domain how it stands; one that restarts just now is left out."""
        views: list[DomainView] = []
        async with trio.open_nursery() as nursery:
            for place in tuple(self._places.values()):
                nursery.start_soon(_read_one, place, views)
        return tuple(sorted(views, key=lambda view: view.domain))


async def _read_one(place: Place, views: list[DomainView]) -> None:
    try:
        views.append(await place.mailbox.ref.ask(ReadDomain(), within=READ_WITHIN_S))
    except SupervisionError:
        return
