import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from trio.testing import MockClock

from jobping.actors.degradation import ActiveBoards, Degradation, MakeActor, Place, TierPolicy
from jobping.actors.domain_ladder import DomainLadder
from jobping.actors.messages import (
    BoardPolled,
    BoardsChanged,
    DegradationMessage,
    DomainView,
    ReadDomains,
)
from jobping.actors.network_gate import NetworkGate
from jobping.actors.suspects import Suspects
from jobping.clock import Clock
from jobping.core import gate as gate_rules
from jobping.core.board import Board, Origin, StoredBoard
from jobping.core.ids import BoardId, Domain, Monotonic, SourceName
from jobping.core.ladder import LadderRules, Tier
from jobping.core.page import Page
from jobping.core.posting import PostingDraft
from jobping.core.tenure import TenureRules
from jobping.errors import DomainUnavailable, StoreConflict, StoreUnavailable
from jobping.sources.greenhouse import GREENHOUSE, Job
from jobping.sources.source import with_base_url
from jobping.store.gates import Gates, SavedGate
from jobping.tree import RootPolicy
from supervisors import (
    ActorError,
    ActorFunction,
    ActorStopped,
    AskTimeout,
    ChildExited,
    ChildSpec,
    ChildState,
    Context,
    Exit,
    ExitKind,
    ExitPolicy,
    Mailbox,
    MailboxFull,
    Phase,
    ReplaceChild,
    RestartChild,
    Supervisor,
)
from supervisors.testing import EventLog, ScriptedActor
from tests.actors.rig import (
    FAST,
    Rig,
    Rows,
    SetClock,
    eventually,
    greenhouse,
    listener,
    open_tree,
)
from tests.doubles.fault_server import open_fault_server, respond
from tests.doubles.leases import MemoryLeases, lease_of
from tests.doubles.postgres import Events

SITE = Domain("boards.example")
OTHER = Domain("other.example")
SAMPLE = SourceName("sample")


# --- the policy, one exit at a time


def exited(kind: ExitKind, domain: str = SITE) -> ChildExited:
    return ChildExited(
        path=f"domains/{domain}",
        incarnation=1,
        phase=Phase.RUNNING,
        exit=Exit(kind=kind),
        uptime=1.0,
        mailbox_depth=0,
        restarts_in_window=0,
        wants_restart=True,
        limit_exceeded=False,
        delay=0.0,
    )


@attrs.define(kw_only=True)
class Judge:
    """A policy over one domain."""

    clock: SetClock = attrs.field(factory=SetClock)
    events: Events = attrs.field(factory=Events)
    suspects: Suspects = attrs.field(factory=Suspects)
    place: Place = attrs.field(init=False)
    spec: ChildSpec[object] = attrs.field(init=False)
    policy: TierPolicy = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        ladder = DomainLadder.at(
            Tier.RELIABLE, domain=SITE, rules=LadderRules(), clock=self.clock, emit=self.events
        )
        self.place = Place(
            domain=SITE,
            sources=frozenset({SAMPLE}),
            lease=lease_of(SITE),
            ladder=ladder,
            mailbox=Mailbox(),
        )
        self.spec = ChildSpec(id=SITE, start=ScriptedActor().run)
        self.policy = TierPolicy(
            places={SITE: self.place},
            spec_of=lambda _place: self.spec,
            suspects=self.suspects,
            clock=self.clock,
            emit=self.events,
        )

    def decide(self, error: Exception | None) -> object:
        kind = ExitKind.NORMAL if error is None else ExitKind.ABNORMAL
        return self.policy.decide(exited(kind), error)


def test_honest_end_puts_the_actor_of_the_ladders_tier_in_its_place() -> None:
    judge = Judge()
    replaced = ReplaceChild(spec=judge.spec, delay=0.5)
    assert judge.decide(DomainUnavailable(SITE, "bad_cycles")) == replaced
    assert judge.decide(None) == replaced
    assert judge.events.seen == []


@pytest.mark.parametrize(
    "error",
    [
        StoreUnavailable("away"),
        AskTimeout("root/ingest", 60.0),
        ActorError("root/ingest"),
        ActorStopped("root/cycle"),
        MailboxFull("root/ingest", ChildState.RESTARTING),
    ],
    ids=lambda error: type(error).__name__,
)
def test_fault_of_another_part_restarts_without_counting(error: Exception) -> None:
    judge = Judge()
    judge.suspects.begin(BoardId(1), SITE)
    assert [judge.decide(error) for _ in range(50)] == [RestartChild(delay=5.0)] * 50
    assert judge.place.ladder.tier is Tier.RELIABLE
    assert not judge.suspects.is_resting(BoardId(1), Monotonic(0.0))
    assert judge.events.seen == []


@pytest.mark.parametrize("error", [KeyError("bug"), StoreConflict("a rule of ours")])
def test_crash_restarts_lets_its_board_rest_and_demotes_only_past_the_limit(
    error: Exception,
) -> None:
    judge = Judge()
    judge.suspects.begin(BoardId(7), SITE)
    delays = [1.0, 2.0, 4.0, 8.0, 16.0]
    assert [judge.decide(error) for _ in delays] == [RestartChild(delay=s) for s in delays]
    assert judge.place.ladder.tier is Tier.RELIABLE
    assert judge.suspects.is_resting(BoardId(7), Monotonic(299.0))
    assert judge.decide(error) == RestartChild(delay=60.0)
    assert judge.place.ladder.tier is Tier.BACKFILL
    crashed = [fields["board_id"] for name, fields in judge.events.seen if name.endswith("crashed")]
    assert crashed == [BoardId(7), *[None] * 5]


def test_killed_actor_counts_as_crashed() -> None:
    judge = Judge()
    verdict = judge.policy.decide(exited(ExitKind.KILLED), None)
    assert (verdict, judge.events.names()) == (RestartChild(delay=1.0), ["scraper.crashed"])


# --- the tree of domains, in virtual time


@attrs.define(kw_only=True)
class Stage:
    """Domain actors that do what a test tells them.

    Attributes:
        scripts: Per domain, what each of the next incarnations does before it waits.
        starts: Domain, tier and Trio's time of each start.
        ladders: Per domain, the ladders that its incarnations were given.
    """

    rows: list[StoredBoard]
    scripts: dict[str, list[Callable[[DomainLadder], None]]] = attrs.field(factory=dict)
    starts: list[tuple[str, Tier, float]] = attrs.field(factory=list)
    ladders: dict[str, set[int]] = attrs.field(factory=dict)
    places: dict[str, Place] = attrs.field(factory=dict)

    async def active_boards(self) -> Sequence[StoredBoard]:
        await trio.lowlevel.checkpoint()
        return list(self.rows)

    def make_actor(self, place: Place) -> ActorFunction[object]:
        self.places[place.domain] = place

        async def act(ctx: Context[object]) -> None:
            ladder = place.ladder
            ladder.must_leave = False
            self.ladders.setdefault(place.domain, set()).add(id(ladder))
            ctx.started()
            self.starts.append((place.domain, ladder.tier, trio.current_time()))
            script = self.scripts.get(place.domain, [])
            if script:
                await trio.sleep(0.1)
                script.pop(0)(ladder)
                return
            async for delivery in ctx.inbox:
                view = gate_rules.view(gate_rules.fresh(FAST, ZERO), FAST, ZERO, EPOCH)
                delivery.reply(DomainView(domain=place.domain, tier=ladder.tier, gate=view))

        return act

    def started(self, domain: str) -> list[tuple[Tier, float]]:
        zero = self.starts[0][2]
        return [(tier, round(at - zero, 1)) for name, tier, at in self.starts if name == domain]


ZERO = Monotonic(0.0)
EPOCH = Clock().utcnow()


def board(number: int, domain: Domain, source: SourceName = SAMPLE) -> StoredBoard:
    return StoredBoard(
        id=BoardId(number),
        board=Board(source=source, slug=f"board-{number}"),
        domain=domain,
        origin=Origin.COMMAND,
    )


def raises(error: Exception) -> Callable[[DomainLadder], None]:
    def act(_ladder: DomainLadder) -> None:
        raise error

    return act


def leave(ladder: DomainLadder) -> None:
    ladder.note_cycle(good=False)
    assert ladder.must_leave
    raise DomainUnavailable(ladder.domain, "bad_cycles")


def recover(ladder: DomainLadder) -> None:
    assert ladder.note_trial(good=True) is not None


LONG = TenureRules(ttl_s=1e9)  # for clocks that jump
RULES = LadderRules(down=1, up=1, cooldown_s=0.05)


@asynccontextmanager
async def degrading(
    active_boards: ActiveBoards,
    make_actor: MakeActor,
    *,
    rules: LadderRules = RULES,
    gates: Gates | None = None,
    leases: MemoryLeases | None = None,
    suspects: Suspects | None = None,
    network: NetworkGate | None = None,
    events: Events | None = None,
    log: EventLog | None = None,
    policy: ExitPolicy | None = None,
    individual: frozenset[SourceName] = frozenset(),
    max_idle: float | None = None,
) -> AsyncIterator[tuple[Mailbox[DegradationMessage], Supervisor]]:
    box: Mailbox[DegradationMessage] = Mailbox()
    emit = events or Events()

    async def run(ctx: Context[DegradationMessage]) -> None:
        await Degradation(
            rules=rules,
            active_boards=active_boards,
            gates=gates or Gates(database=Rows()),
            leases=leases or MemoryLeases(rules=LONG),
            suspects=suspects or Suspects(),
            network=network or NetworkGate(clock=Clock(), emit=emit),
            clock=Clock(),
            emit=emit,
            make_actor=make_actor,
            hook=log or EventLog(),
            individual=individual,
            max_idle_s=max_idle,
        ).run(ctx)

    child = ChildSpec(
        id="degradation", start=run, mailbox=box, stop_timeout=16.0, max_idle=max_idle
    )
    async with open_tree(child, policy=policy) as supervisor:
        yield box, supervisor


async def read(box: Mailbox[DegradationMessage]) -> dict[str, Tier]:
    views = await box.ref.ask(ReadDomains(), within=4.0)
    return {view.domain: view.tier for view in views.views}


async def test_network_gate_knows_how_many_domains_are_polled(autojump_clock: MockClock) -> None:
    network = NetworkGate(clock=Clock(), emit=Events())
    stage = Stage(rows=[board(1, SITE), board(2, OTHER)])
    async with degrading(stage.active_boards, stage.make_actor, network=network):
        assert network.polled == 2
        stage.rows = [board(1, SITE)]
        await trio.sleep(120)
        assert network.polled == 1


async def test_each_domain_has_one_actor_for_all_its_sources(
    autojump_clock: MockClock,
) -> None:
    other = SourceName("other")
    third = Domain("third.example")
    rows = [board(1, SITE), board(2, SITE, other), board(3, OTHER, other), board(4, third)]
    stage = Stage(rows=rows)
    async with degrading(stage.active_boards, stage.make_actor) as (box, _):
        assert await read(box) == dict.fromkeys([SITE, OTHER, third], Tier.RELIABLE)
    assert stage.places[SITE].sources == {SAMPLE, other}
    assert Counter(name for name, _, _ in stage.starts) == Counter([SITE, OTHER, third])


async def test_domain_begins_on_the_tier_that_its_row_says(autojump_clock: MockClock) -> None:
    saved = SavedGate(state="{}", tier="backfill", elapsed_s=1.0)
    gates = Gates(database=Rows(((OTHER, saved),)))
    stage = Stage(rows=[board(1, SITE), board(2, OTHER)])
    async with degrading(stage.active_boards, stage.make_actor, gates=gates) as (box, _):
        assert await read(box) == {SITE: Tier.RELIABLE, OTHER: Tier.BACKFILL}


async def test_cooldown_and_cycle_go_on_where_the_row_says_they_stood(
    autojump_clock: MockClock,
) -> None:
    kept = {"bad": 2, "good": 0, "cooldown_s": 900.0, "promoted_s": None}
    text = json.dumps({"ladder": {**kept, "trial_s": 70.0, "cycle_s": 3_000.0}})
    saved = SavedGate(state=text, tier="backfill", elapsed_s=10.0)
    gates = Gates(database=Rows(((OTHER, saved), (SITE, attrs.evolve(saved, state="{}")))))
    stage = Stage(rows=[board(1, SITE), board(2, OTHER)])
    now = trio.current_time()
    async with degrading(stage.active_boards, stage.make_actor, gates=gates):
        kept_on, anew = stage.places[OTHER].ladder, stage.places[SITE].ladder
        assert (kept_on.bad, kept_on.trial_at, kept_on.cycle_at) == (2, now + 60, now + 2_990)
        assert (anew.bad, anew.trial_at) == (0, now + RULES.cooldown_s)
        assert anew.cycle_at <= now


async def test_unavailable_domain_goes_down_a_tier_and_up_again(autojump_clock: MockClock) -> None:
    events = Events()
    stage = Stage(rows=[board(1, SITE), board(2, OTHER)], scripts={SITE: [leave, recover]})
    async with degrading(stage.active_boards, stage.make_actor, events=events):
        await trio.sleep(5)
    assert stage.started(SITE) == [
        (Tier.RELIABLE, 0.0),
        (Tier.BACKFILL, 0.6),
        (Tier.RELIABLE, 1.2),
    ]
    assert stage.started(OTHER) == [(Tier.RELIABLE, 0.0)]
    assert events.names()[1:] == ["tier.demoted", "tier.promoted"]


async def test_domain_has_the_individual_tier_where_one_of_its_sources_has_that_route(
    autojump_clock: MockClock,
) -> None:
    other = SourceName("other")
    rows = [board(1, SITE), board(2, SITE, other), board(3, OTHER)]
    stage = Stage(rows=rows, scripts={SITE: [leave, leave], OTHER: [leave]})
    async with degrading(stage.active_boards, stage.make_actor, individual=frozenset({other})):
        await trio.sleep(5)
    tiers = {name: [tier for tier, _ in stage.started(name)] for name in (SITE, OTHER)}
    assert tiers == {
        SITE: [Tier.RELIABLE, Tier.INDIVIDUAL, Tier.BACKFILL],
        OTHER: [Tier.RELIABLE, Tier.BACKFILL],
    }


async def test_domain_loses_the_individual_tier_with_the_last_board_that_has_it(
    autojump_clock: MockClock,
) -> None:
    other = SourceName("other")
    stage = Stage(rows=[board(1, SITE), board(2, SITE, other)], scripts={SITE: [leave]})
    async with degrading(stage.active_boards, stage.make_actor, individual=frozenset({other})):
        await trio.sleep(5)
        assert stage.places[SITE].ladder.tier is Tier.INDIVIDUAL
        stage.rows.pop()
        await trio.sleep(70)
        assert stage.places[SITE].ladder.tier is Tier.BACKFILL


async def test_ladder_outlives_the_incarnations_so_that_a_relapse_doubles_the_cooldown(
    autojump_clock: MockClock,
) -> None:
    events = Events()
    scripts = {SITE: [leave, recover, raises(KeyError("bug")), leave, recover, leave]}
    stage = Stage(rows=[board(1, SITE)], scripts=scripts)
    async with degrading(stage.active_boards, stage.make_actor, events=events):
        await trio.sleep(30)
    cooldowns = [fields["cooldown_s"] for name, fields in events.seen if name == "tier.demoted"]
    assert cooldowns == [0.05, 0.1, 0.2]
    assert len(stage.ladders[SITE]) == 1


async def test_crashes_restart_until_too_many_demote(autojump_clock: MockClock) -> None:
    events = Events()
    stage = Stage(rows=[board(1, SITE)], scripts={SITE: [raises(KeyError("bug"))] * 7})
    async with degrading(stage.active_boards, stage.make_actor, events=events):
        await trio.sleep(200)
    tiers = [tier for tier, _ in stage.started(SITE)]
    moments = [at for _, at in stage.started(SITE)]
    assert tiers == [Tier.RELIABLE] * 6 + [Tier.BACKFILL] * 2
    assert moments == [0.0, 1.1, 3.2, 7.3, 15.4, 31.5, 91.6, 92.7]
    assert events.names()[1:] == ["scraper.crashed"] * 6 + ["tier.demoted", "scraper.crashed"]


async def test_store_that_is_away_is_waited_out_however_long_it_lasts(
    autojump_clock: MockClock,
) -> None:
    events = Events()
    scripts = {SITE: [raises(StoreUnavailable("away"))] * 300}
    stage = Stage(rows=[board(1, SITE)], scripts=scripts)
    async with degrading(stage.active_boards, stage.make_actor, events=events) as (box, _):
        await trio.sleep(1600)
        assert await read(box) == {SITE: Tier.RELIABLE}
    assert len(stage.starts) == 301
    assert events.names() == ["lease.claimed"]


async def test_reading_all_domains_names_one_that_restarts_and_keeps_its_time(
    autojump_clock: MockClock,
) -> None:
    stage = Stage(
        rows=[board(1, SITE), board(2, OTHER)], scripts={SITE: [raises(StoreUnavailable("away"))]}
    )
    async with degrading(stage.active_boards, stage.make_actor) as (box, _):
        await trio.sleep(1)
        began = trio.current_time()
        assert await read(box) == {OTHER: Tier.RELIABLE}
        assert trio.current_time() - began <= 2.0
        assert (await box.ref.ask(ReadDomains())).silent == (SITE,)
        await trio.sleep(10)
        assert await read(box) == {SITE: Tier.RELIABLE, OTHER: Tier.RELIABLE}


async def test_domains_come_and_go_with_their_boards(autojump_clock: MockClock) -> None:
    stage, log = Stage(rows=[board(1, SITE)]), EventLog()
    async with degrading(stage.active_boards, stage.make_actor, log=log) as (box, _):
        stage.rows.append(board(2, OTHER, SourceName("other")))
        await trio.sleep(61)
        assert await read(box) == {SITE: Tier.RELIABLE, OTHER: Tier.RELIABLE}
        del stage.rows[0]
        await trio.sleep(61)
        assert await read(box) == {OTHER: Tier.RELIABLE}
        stage.rows.append(board(3, SITE))
        await trio.sleep(61)
        assert await read(box) == {SITE: Tier.RELIABLE, OTHER: Tier.RELIABLE}
        stage.rows.clear()
        await trio.sleep(61)
        assert await read(box) == {}
    assert log.lines() == [
        f"started domains/{SITE} 1",
        f"started domains/{OTHER} 1",
        f"exited domains/{SITE} 1 shutdown while stopping",
        f"started domains/{SITE} 1",
        f"exited domains/{SITE} 1 shutdown while stopping",
        f"exited domains/{OTHER} 1 shutdown while stopping",
    ]


async def test_domain_comes_at_once_when_degradation_is_told_of_it(
    autojump_clock: MockClock,
) -> None:
    stage = Stage(rows=[board(1, SITE)])
    async with degrading(stage.active_boards, stage.make_actor) as (box, _):
        stage.rows.append(board(2, OTHER))
        box.ref.tell(BoardsChanged())
        await trio.sleep(1)
        assert await read(box) == {SITE: Tier.RELIABLE, OTHER: Tier.RELIABLE}


async def test_domain_whose_boards_vanish_while_it_waits_for_a_restart_loses_its_actor(
    autojump_clock: MockClock,
) -> None:
    scripts = {SITE: [raises(KeyError("bug"))] * 99}
    stage = Stage(rows=[board(1, SITE), board(2, OTHER)], scripts=scripts)
    async with degrading(stage.active_boards, stage.make_actor) as (box, _):
        await trio.sleep(40)
        del stage.rows[0]
        await trio.sleep(30)
        count = len(stage.started(SITE))
        await trio.sleep(200)
        assert await read(box) == {OTHER: Tier.RELIABLE}
        assert len(stage.started(SITE)) == count


async def test_degradation_that_cannot_read_its_boards_is_waited_out_by_the_root(
    autojump_clock: MockClock,
) -> None:
    stage = Stage(rows=[board(1, SITE)])
    is_down = False

    async def active_boards() -> Sequence[StoredBoard]:
        if is_down:
            await trio.lowlevel.checkpoint()
            raise StoreUnavailable("away")
        return await stage.active_boards()

    async with degrading(active_boards, stage.make_actor, policy=RootPolicy()) as (box, _):
        is_down = True
        await trio.sleep(500)
        is_down = False
        await trio.sleep(10)
        assert await read(box) == {SITE: Tier.RELIABLE}
    assert len(stage.starts) == 2


async def test_new_domain_that_cannot_start_is_tried_again_and_harms_nobody(
    autojump_clock: MockClock,
) -> None:
    stage = Stage(rows=[board(1, SITE)])
    attempts: list[float] = []

    def make_actor(place: Place) -> ActorFunction[object]:
        act = stage.make_actor(place)

        async def start(ctx: Context[object]) -> None:
            if place.domain == OTHER:
                attempts.append(trio.current_time())
                if len(attempts) < 4:
                    raise StoreUnavailable("away")
            await act(ctx)

        return start

    async with degrading(stage.active_boards, make_actor) as (box, _):
        stage.rows.append(board(2, OTHER))
        await trio.sleep(130)
        assert await read(box) == {SITE: Tier.RELIABLE}
        await trio.sleep(60)
        assert await read(box) == {SITE: Tier.RELIABLE, OTHER: Tier.RELIABLE}
    assert sorted({round(at - attempts[0]) for at in attempts}) == [0, 60, 120]


# --- with real scrapers


@attrs.frozen(kw_only=True)
class Domains:
    """Real domain actors under a real degradation supervisor."""

    rig: Rig
    log: EventLog
    polled: list[BoardPolled]


@asynccontextmanager
async def running(
    rig: Rig,
    source: object,
    rules: LadderRules,
    *,
    individual: frozenset[SourceName] = frozenset(),
) -> AsyncIterator[Domains]:
    cycle: Mailbox[BoardPolled] = Mailbox()
    cycle_actor, log = ScriptedActor(), EventLog()
    async with rig.open_ingest() as ingest, open_tree(listener("cycle", cycle, cycle_actor)):
        parts = rig.parts((source,), ingest, cycle)

        def make_actor(place: Place) -> ActorFunction[object]:
            return rig.scraper_child(place.domain, parts, ladder=place.ladder).start

        async with degrading(
            rig.stores.boards.enabled,
            make_actor,
            rules=rules,
            gates=rig.stores.gates,
            suspects=rig.suspects,
            events=rig.events,
            log=log,
            individual=individual,
        ):
            yield Domains(rig=rig, log=log, polled=cycle_actor.received)


async def test_row_says_the_tier_when_a_domain_goes_down_and_up(rig: Rig, clock: MockClock) -> None:
    async def stored_tier() -> str:
        [(_, saved)] = await rig.stores.gates.all()
        return saved.tier

    async with open_fault_server(respond(b"", status=500)) as server:
        source = with_base_url(GREENHOUSE, server.url("/gh"))
        await rig.add_board(source)
        async with running(rig, source, LadderRules(down=1, up=2, cooldown_s=30)) as domains:
            await eventually(lambda: bool(rig.said("tier.demoted")))
            server.behaviours["*"] = respond(greenhouse(1, 2))
            clock.jump(1)
            await eventually(lambda: len(domains.polled) == 2)
            assert domains.polled[1].fault == "backfill"
            assert await stored_tier() == "backfill"
            clock.jump(30)
            await eventually(lambda: bool(rig.said("tier.promoted")))
            clock.jump(1)
            await eventually(lambda: f"started domains/{server.domain} 3" in domains.log.lines())
            assert await stored_tier() == "reliable"
            for _ in range(3):  # it stays
                clock.jump(1)
                await trio.sleep(0.03)
            assert f"started domains/{server.domain} 4" not in domains.log.lines()
    assert await rig.stores.postings.count() == 2


async def test_poisoned_board_rests_and_the_other_board_of_its_domain_is_polled(
    rig: Rig, clock: MockClock
) -> None:
    def fill(job: Job, draft: PostingDraft, page: Page) -> PostingDraft:
        if draft.title.startswith("Poison"):
            raise KeyError("a bug in a source")
        return GREENHOUSE.fill(job, draft, page)

    behaviours = {
        "/v1/boards/a-poison/jobs": respond(greenhouse(1, title="Poison")),
        "/v1/boards/good/jobs": respond(greenhouse(2)),
    }
    async with open_fault_server(behaviours) as server:
        source = with_base_url(attrs.evolve(GREENHOUSE, fill=fill), server.url("").rstrip("/"))
        for slug in ("a-poison", "good"):
            await rig.add_board(source, slug)
        async with running(rig, source, LadderRules()) as domains:
            await eventually(lambda: bool(rig.said("scraper.crashed")))
            clock.jump(1)
            await eventually(lambda: len(domains.polled) == 1)
            assert (domains.polled[0].slug, domains.polled[0].ok) == ("good", True)
            clock.jump(250)
            await trio.sleep(0.05)
            assert len(server.requests) == 2
            clock.jump(120)  # the rest is over and the board is due: it is tried once more
            await eventually(lambda: len(rig.said("scraper.crashed")) == 2)
    assert [request.path for request in server.requests] == [
        *behaviours,
        "/v1/boards/a-poison/jobs",
    ]
    assert await rig.stores.postings.count() == 1
