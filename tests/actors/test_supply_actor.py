import datetime as dt
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import attrs
import trio
from trio.testing import MockClock

from jobping.actors.messages import BoardsChanged, JudgeSupply, PostingsStored
from jobping.actors.supply import JUDGE_EVERY_S, Reserve, SupplyActor
from jobping.core.board import Board, StoredBoard
from jobping.core.gate_state import GateRules
from jobping.core.ids import Domain, SourceName
from jobping.core.order import Order
from jobping.core.outcome import Failed, Failure
from jobping.core.supply import Supply, SupplyRules
from jobping.store.boards import Kept
from jobping.store.bridge import Database
from supervisors import ChildSpec, Mailbox
from supervisors.testing import ScriptedActor
from tests.actors.rig import FAST, Rig, eventually, listener, open_tree
from tests.doubles.leases import hold
from tests.store.store_samples import draft, put, sql

RULES = SupplyRules(minimum=3, target=6)
SOURCE = SourceName("sample")
FIRST, SECOND, USUAL = Domain("a.example"), Domain("b.example"), Domain("usual.example")
ORDER = (
    Board(source=SOURCE, slug="zeta", standby=True),
    Board(source=SOURCE, slug="beta", standby=True),
)


async def enter(rig: Rig, database: Database, *, defaults: bool = True) -> dict[str, StoredBoard]:
    """Enter two standby boards and a usual one; return all by slug."""
    usual = [(Board(source=SOURCE, slug="usual"), USUAL)]
    standby = list(zip(ORDER, (FIRST, SECOND), strict=True))
    if defaults:
        await rig.stores.boards.sync(standby, usual, use_defaults=None)
    else:
        await rig.stores.boards.sync(standby + usual, [], use_defaults=None)
    for domain in (FIRST, SECOND, USUAL):
        await hold(database, domain)
    return {row.board.slug: row for row in await rig.stores.boards.enabled()}


async def list_postings(rig: Rig, database: Database, row: StoredBoard, count: int) -> None:
    """Let a board's latest poll list so many postings."""
    names = [f"{row.board.slug}-{number}" for number in range(count)]
    await put(database, row, [draft(name, source=SOURCE) for name in names])
    due_at = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    await rig.stores.boards.mark_polled(row.id, next_due_at=due_at, outcome="complete")


@attrs.define(kw_only=True)
class Supplying:
    """A running supply actor.

    Attributes:
        matcher: What was told to the matcher.
        degradation: What was told to degradation.
    """

    reserve: Reserve = attrs.field(factory=Reserve)
    box: Mailbox[JudgeSupply] = attrs.field(factory=Mailbox)
    matcher: ScriptedActor = attrs.field(factory=ScriptedActor)
    degradation: ScriptedActor = attrs.field(factory=ScriptedActor)

    async def judge(self) -> bool:
        return await self.box.ref.ask(JudgeSupply(), within=10.0)

    def is_active(self, row: StoredBoard) -> bool:
        return self.reserve.is_active(row)


@asynccontextmanager
async def supplying(rig: Rig) -> AsyncIterator[Supplying]:
    def rules_of(rows: Sequence[StoredBoard]) -> GateRules:
        return FAST

    running = Supplying()
    degradation: Mailbox[BoardsChanged] = Mailbox()
    matcher: Mailbox[PostingsStored] = Mailbox()
    actor = SupplyActor(
        rules=RULES,
        reserve=running.reserve,
        boards=rig.stores.boards.enabled,
        order=ORDER,
        rules_of=rules_of,
        postings=rig.stores.postings,
        gates=rig.stores.gates,
        backfill=rig.backfill(matcher),
        degradation=degradation.ref,
        network=rig.network,
        clock=rig.clock,
        emit=rig.events,
    )
    async with open_tree(
        listener("degradation", degradation, running.degradation),
        listener("matcher", matcher, running.matcher),
        ChildSpec(id="supply", start=actor.run, mailbox=running.box),
    ):
        yield running


async def test_standby_domains_come_one_by_one_and_leave_when_the_usual_boards_suffice(
    rig: Rig, database: Database, clock: MockClock
) -> None:
    rows = await enter(rig, database)
    await list_postings(rig, database, rows["usual"], 2)
    async with supplying(rig) as running:
        assert [slug for slug, row in rows.items() if running.is_active(row)] == ["usual"]
        await trio.sleep(0.05)
        assert rig.events.seen == []
        assert await running.judge()
        assert running.is_active(rows["zeta"])
        assert not running.is_active(rows["beta"])
        await eventually(lambda: running.degradation.received == [BoardsChanged()])
        await list_postings(rig, database, rows["zeta"], 3)
        clock.jump(JUDGE_EVERY_S)
        await eventually(lambda: len(rig.said("supply.fell_short")) == 2)
        assert running.is_active(rows["beta"])
        await list_postings(rig, database, rows["usual"], 3)
        clock.jump(JUDGE_EVERY_S)
        await eventually(lambda: bool(rig.said("supply.recovered")))
        assert running.reserve.supply == Supply()
        await eventually(lambda: len(running.degradation.received) == 3)
        assert not await running.judge()
    assert len(running.degradation.received) == 3
    assert rig.said("supply.fell_short") == [
        {"found": 2, "came": FIRST, "backfill": 4, "stored": 2},
        {"found": 5, "came": SECOND, "backfill": 1, "stored": 5},
    ]
    assert rig.said("supply.recovered") == [{"found": 3, "left": [FIRST, SECOND]}]


async def test_domain_that_cannot_be_asked_is_passed_over(rig: Rig, database: Database) -> None:
    await enter(rig, database)
    held = await rig.loaded_gate(FIRST)
    assert await held.obey(Order.HOLD) is None
    async with supplying(rig) as running:
        assert await running.judge()
    assert rig.said("supply.fell_short") == [
        {"level": "error", "found": 0, "came": SECOND, "backfill": 6, "stored": 0}
    ]


async def test_domain_whose_gate_cannot_be_read_is_not_passed_over(
    rig: Rig, database: Database
) -> None:
    await enter(rig, database)
    fence = await hold(database, FIRST)
    await rig.stores.gates.save(fence, '{"format": 99}', "reliable")
    async with supplying(rig) as running:
        assert await running.judge()
    assert rig.said("supply.fell_short")[0]["came"] == FIRST


async def test_no_domain_comes_in_while_the_network_is_down(rig: Rig, database: Database) -> None:
    await enter(rig, database)
    rig.network.polled = 1
    rig.network.record(USUAL, Failed(Failure.DNS, 0.1))
    async with supplying(rig) as running:
        assert not await running.judge()
        assert running.reserve.supply == Supply()
    assert rig.said("supply.fell_short") == [{"found": 0, "came": None, "backfill": 6, "stored": 0}]


async def test_boards_of_their_own_alone_are_too_few_below_half_of_what_they_usually_list(
    rig: Rig, database: Database
) -> None:
    rows = await enter(rig, database, defaults=False)
    async with supplying(rig) as running:
        assert not await running.judge()
        assert rig.events.seen == []
        await list_postings(rig, database, rows["usual"], 2)
        due_at = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
        kept = Kept(counts=(4, 5))
        id = rows["usual"].id
        await rig.stores.boards.mark_polled(id, next_due_at=due_at, outcome="complete", kept=kept)
        assert not await running.judge()
        assert rig.events.seen == []
        await rig.stores.boards.mark_failed(id, next_due_at=due_at, outcome="failed")
        assert await running.judge()
    assert rig.said("supply.fell_short") == [
        {"found": 0, "came": FIRST, "backfill": 4, "stored": 2}
    ]


async def test_recent_stock_is_left_to_the_matcher_up_to_the_target_while_too_little_is_found(
    rig: Rig, database: Database
) -> None:
    rows = await enter(rig, database)
    stock = [draft(f"stock-{number}", source=SOURCE) for number in range(4)]
    await put(database, rows["usual"], stock, news_after=dt.datetime.now(dt.UTC))
    queue = "SELECT count(*) FROM unmatched"
    async with supplying(rig) as running:
        assert await sql(database, queue) == [(0,)]
        assert await running.judge()
        assert await sql(database, queue) == [(4,)]
        await eventually(lambda: running.matcher.received == [PostingsStored()])
    [short] = rig.said("supply.fell_short")
    assert short == {"found": 0, "came": FIRST, "backfill": 6, "stored": 4}


async def test_postings_of_a_board_that_failed_or_is_overdue_are_not_found(
    rig: Rig, database: Database
) -> None:
    rows = await enter(rig, database)
    await list_postings(rig, database, rows["usual"], 2)
    await list_postings(rig, database, rows["zeta"], 1)
    assert await rig.stores.postings.found(late_s=60.0) == (2, 1)
    now = dt.datetime.now(dt.UTC)
    await rig.stores.boards.mark_failed(rows["zeta"].id, next_due_at=now, outcome="failed")
    assert await rig.stores.postings.found(late_s=60.0) == (2, 0)
    due_at = now - dt.timedelta(seconds=90)
    await rig.stores.boards.mark_polled(rows["usual"].id, next_due_at=due_at, outcome="complete")
    assert await rig.stores.postings.found(late_s=60.0) == (0, 0)
    assert await rig.stores.postings.found(late_s=3600.0) == (2, 0)
