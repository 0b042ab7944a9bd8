"""The degradation supervisor: restarts crashed domain actors, demotes and promotes honest ones.

A crash restarts and never demotes by itself; a bad result demotes and never restarts. The ladder's
results come from the actors (their ends say which way); crashes are counted here, where they are
seen. The tier stands in the domain's row, so a restart of this supervisor starts each domain where
it stood.
"""

from collections.abc import Callable
from typing import Final, assert_never

import attrs
import trio

from jobping.actors.messages import DomainView, ReadDomain, ReadDomains
from jobping.actors.scraper import ActiveBoards
from jobping.clock import Clock
from jobping.core import ladder
from jobping.core.ids import Domain, SourceName
from jobping.core.ladder import Demoted, Ladder, LadderRules, Restart, Tier
from jobping.errors import DomainUnavailable, StoreError
from jobping.events import Emit
from jobping.store.gates import Gates
from supervisors import (
    ActorFunction,
    ActorStopped,
    AskTimeout,
    ChildExited,
    ChildSpec,
    Context,
    Escalate,
    Event,
    ExitKind,
    Mailbox,
    MailboxSpec,
    ReplaceChild,
    RestartChild,
    StopOrder,
    Strategy,
    Supervisor,
    SupervisorSpec,
    Verdict,
)

READ_WITHIN_S: Final = 2.0  # a domain actor answers between two steps of its poll
STORE_RETRY_S: Final = 5.0  # the store is lost: not the domain's fault, so not counted
STOP_WITHIN_S: Final = 15.0  # the drain of a request in flight (10 s) and the rows in hand (5 s)
MOVE_S: Final = 0.5  # before the actor of another tier starts; a delay of 0 could be a hot loop
LOOK_EVERY_S: Final = 60.0  # boards of new domains come by command; our choice

MakeActor = Callable[[Domain, SourceName, Tier], ActorFunction[ReadDomain]]
"""Makes the actor of a domain, whose boards are of one source, on a tier."""


@attrs.define(kw_only=True)
class TierPolicy:
    """The exit policy of the domain actors."""

    rules: LadderRules
    clock: Clock
    emit: Emit
    spec_of: Callable[[Domain, Tier], ChildSpec[ReadDomain]]
    _ladders: dict[Domain, Ladder] = attrs.field(factory=dict, init=False)

    def stand(self, domain: Domain, tier: Tier) -> None:
        """Note where a domain starts."""
        self._ladders[domain] = ladder.at_tier(self.rules, tier, self.clock.monotonic())

    def tier_of(self, domain: Domain) -> Tier:
        """Return the tier that a domain's actor serves."""
        return self._ladders[domain].tier

    def decide(self, exited: ChildExited, error: Exception | None) -> Verdict:
        """Answer one exit with one verdict."""
        domain = Domain(exited.path.rpartition("/")[2])
        match error:
            case DomainUnavailable():
                return self._move(domain, 1)
            case StoreError():
                return RestartChild(delay=STORE_RETRY_S)
            case None if exited.exit.kind is ExitKind.NORMAL:
                return self._move(domain, -1)
            case _:
                return self._on_crash(domain)

    def _move(self, domain: Domain, step: int) -> Verdict:
        place = self.rules.tiers.index(self.tier_of(domain)) + step
        if not 0 <= place < len(self.rules.tiers):
            return Escalate(reason=f"{domain} left the ladder")
        tier = self.rules.tiers[place]
        self.stand(domain, tier)
        return ReplaceChild(spec=self.spec_of(domain, tier), delay=MOVE_S)

    def _on_crash(self, domain: Domain) -> Verdict:
        state, answer = ladder.on_crash(self._ladders[domain], self.rules, self.clock.monotonic())
        self._ladders[domain] = state
        match answer:
            case Restart(delay_s=delay_s):
                return RestartChild(delay=delay_s)
            case Demoted():
                self.emit(
                    "tier.demoted",
                    domain=domain,
                    from_tier=answer.before.value,
                    to_tier=answer.after.value,
                    cause=answer.cause.value,
                    cooldown_s=answer.cooldown_s,
                )
                return ReplaceChild(
                    spec=self.spec_of(domain, answer.after), delay=self.rules.longest_restart_s
                )
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
    clock: Clock
    emit: Emit
    make_actor: MakeActor
    hook: Callable[[Event], None]
    _mailboxes: dict[Domain, Mailbox[ReadDomain]] = attrs.field(factory=dict, init=False)
    _sources: dict[Domain, SourceName] = attrs.field(factory=dict, init=False)

    async def run(self, ctx: Context[ReadDomains]) -> None:
        """Start the domains' actors on their stored tiers and keep them until asked to stop."""
        policy = TierPolicy(
            rules=self.rules, clock=self.clock, emit=self.emit, spec_of=self._spec_of
        )
        tiers = {domain: Tier(saved.tier) for domain, saved in await self.gates.all()}
        domains = await self._domains()
        for domain in domains:
            policy.stand(domain, tiers.get(domain, self.rules.tiers[0]))
        supervisor = Supervisor(
            SupervisorSpec(
                strategy=Strategy.ONE_FOR_ONE,
                children=tuple(self._spec_of(d, policy.tier_of(d)) for d in domains),
                stop_order=StopOrder.PARALLEL,
                policy=policy,
            ),
            name="domains",
            hook=self.hook,
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(supervisor.run)
            ctx.started()
            nursery.start_soon(self._follow_boards, supervisor, policy)
            async for delivery in ctx.inbox:
                delivery.reply(await self._read())
            await supervisor.stop(reason="degradation stops")
            nursery.cancel_scope.cancel()

    async def _domains(self) -> list[Domain]:
        self._sources = {row.domain: row.board.source for row in await self.active_boards()}
        return sorted(self._sources)

    def _spec_of(self, domain: Domain, tier: Tier) -> ChildSpec[ReadDomain]:
        mailbox = self._mailboxes.setdefault(domain, Mailbox(MailboxSpec(capacity=16)))
        return ChildSpec(
            id=domain,
            start=self.make_actor(domain, self._sources[domain], tier),
            mailbox=mailbox,
            stop_timeout=STOP_WITHIN_S,
        )

    async def _follow_boards(self, supervisor: Supervisor, policy: TierPolicy) -> None:
        """Start actors for domains whose first board came by command, end those without boards."""
        while True:
            await trio.sleep(LOOK_EVERY_S)
            wanted = set(await self._domains())
            for domain in sorted(wanted - set(self._mailboxes)):
                policy.stand(domain, self.rules.tiers[0])
                await supervisor.start_child(self._spec_of(domain, self.rules.tiers[0]))
            for domain in sorted(set(self._mailboxes) - wanted):
                await supervisor.terminate_child(domain)
                await supervisor.delete_child(domain)
                del self._mailboxes[domain]

    async def _read(self) -> tuple[DomainView, ...]:
        """Ask every domain how it stands; one that restarts just now is left out."""
        views: list[DomainView] = []
        for mailbox in self._mailboxes.values():
            try:
                views.append(await mailbox.ref.ask(ReadDomain(), within=READ_WITHIN_S))
            except (ActorStopped, AskTimeout):
                continue
        return tuple(views)
