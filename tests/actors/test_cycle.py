from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import attrs
import trio
from trio.testing import MockClock

from jobping.actors.cycle import SETTLE_S, Cycle
from jobping.actors.messages import BoardPolled, FirstCycleEnded, JudgeSupply, MatchPending
from jobping.actors.network_gate import NetworkGate
from jobping.clock import Clock
from jobping.core.board import Board, Origin, StoredBoard
from jobping.core.ids import BoardId, Domain, SourceName
from jobping.core.outcome import Failed, Failure, Ok
from supervisors import ChildSpec, Context, Mailbox
from tests.actors.rig import open_tree
from tests.doubles.postgres import Events


def row(number: int, domain: str = "one.example") -> StoredBoard:
    board = Board(source=SourceName("sample"), slug=f"board-{number}")
    return StoredBoard(
        id=BoardId(number), board=board, domain=Domain(domain), origin=Origin.COMMAND
    )


def polled(stored: StoredBoard, fault: str | None = None, *, ok: bool | None = None) -> BoardPolled:
    return BoardPolled(
        board=stored.id,
        domain=stored.domain,
        source=stored.board.source,
        slug=stored.board.slug,
        ok=fault is None if ok is None else ok,
        fault=fault,
    )


@attrs.define(kw_only=True)
class Running:
    """A running cycle.

    Attributes:
        asked: What the cycle asked supply, matcher and digest, in order.
        standby: Boards that come in, one each time the supply is judged.
        ended: Trio's time of each end.
    """

    box: Mailbox[BoardPolled] = attrs.field(factory=Mailbox)
    events: Events = attrs.field(factory=Events)
    network: NetworkGate = attrs.field(init=False)
    asked: list[type] = attrs.field(factory=list)
    standby: list[StoredBoard] = attrs.field(factory=list)
    ended: list[float] = attrs.field(factory=list)

    @network.default
    def _network(self) -> NetworkGate:
        return NetworkGate(clock=Clock(), emit=self.events)

    async def tell(self, *messages: BoardPolled) -> None:
        for message in messages:
            self.box.ref.tell(message)
        await trio.testing.wait_all_tasks_blocked()

    def said(self, event: str) -> list[dict[str, object]]:
        return [fields for name, fields in self.events.seen if name == event]


@asynccontextmanager
async def cycling(
    due: Sequence[StoredBoard],
    *,
    patience_s: float = 45.0,
    standby: Sequence[StoredBoard] = (),
) -> AsyncIterator[Running]:
    running = Running(standby=list(standby))
    active = list(due)
    supply: Mailbox[JudgeSupply] = Mailbox()
    matcher: Mailbox[MatchPending] = Mailbox()
    digest: Mailbox[FirstCycleEnded] = Mailbox()

    async def answer(ctx: Context[MatchPending] | Context[FirstCycleEnded]) -> None:
        ctx.started()
        async for delivery in ctx.inbox:
            running.asked.append(type(delivery.message))
            delivery.reply(2)

    async def judge(ctx: Context[JudgeSupply]) -> None:
        ctx.started()
        async for delivery in ctx.inbox:
            running.asked.append(type(delivery.message))
            active.extend(running.standby[:1])
            delivery.reply(bool(running.standby))
            del running.standby[:1]

    async def due_boards() -> Sequence[StoredBoard]:
        await trio.lowlevel.checkpoint()
        return active

    async def run(ctx: Context[BoardPolled]) -> None:
        await Cycle(
            due_boards=due_boards,
            supply=supply.ref,
            matcher=matcher.ref,
            digest=digest.ref,
            network=running.network,
            emit=running.events,
            patience_s=patience_s,
            on_end=lambda: running.ended.append(trio.current_time()),
        ).run(ctx)

    async with open_tree(
        ChildSpec(id="digest", start=answer, mailbox=digest),
        ChildSpec(id="matcher", start=answer, mailbox=matcher),
        ChildSpec(id="supply", start=judge, mailbox=supply),
        ChildSpec(id="cycle", start=run, mailbox=running.box),
    ):
        yield running


async def test_cycle_ends_when_every_due_board_was_polled_and_matches_before_it_sends(
    autojump_clock: MockClock,
) -> None:
    one, two = row(1), row(2, "two.example")
    async with cycling([one, two]) as running:
        await running.tell(polled(one), polled(one), polled(row(9)))
        assert running.ended == []
        await running.tell(polled(two, "5xx"))
        assert len(running.ended) == 1
    assert running.asked == [JudgeSupply, MatchPending, FirstCycleEnded]
    assert running.said("cycle.completed") == [
        {"polled": 1, "failed": {"sample/board-2": "5xx"}, "waiting": [], "digests": 2}
    ]


async def test_cycle_ends_when_its_patience_is_over_and_names_the_boards_that_wait(
    autojump_clock: MockClock,
) -> None:
    one, two, three = row(1), row(2), row(3)
    began = trio.current_time()
    async with cycling([one, two, three], patience_s=45) as running:
        await running.tell(polled(two))
        await trio.sleep(60)
        await running.tell(polled(one), polled(three))
    assert running.ended == [began + 45]
    [completed] = running.said("cycle.completed")
    assert (completed["polled"], completed["waiting"]) == (
        1,
        ["sample/board-1", "sample/board-3"],
    )


async def test_cycle_without_due_boards_ends_at_once(autojump_clock: MockClock) -> None:
    began = trio.current_time()
    async with cycling([]) as running:
        await trio.testing.wait_all_tasks_blocked()
        assert running.ended == [began]


async def test_failed_board_without_a_fault_is_called_failed(autojump_clock: MockClock) -> None:
    async with cycling([row(1)]) as running:
        await running.tell(polled(row(1), ok=False))
    assert running.said("cycle.completed")[0]["failed"] == {"sample/board-1": "failed"}


async def test_gone_board_counts_as_polled(autojump_clock: MockClock) -> None:
    async with cycling([row(1)]) as running:
        await running.tell(polled(row(1), ok=True))
    assert running.said("cycle.completed")[0]["polled"] == 1


async def test_cycle_that_ended_stops_at_once_when_asked(autojump_clock: MockClock) -> None:
    began = trio.current_time()
    async with cycling([]):
        await trio.testing.wait_all_tasks_blocked()
    assert trio.current_time() == began


async def test_unanswered_cycle_stops_at_once_when_asked(autojump_clock: MockClock) -> None:
    """The cycle waits for the supply for minutes; a stop does not."""
    supply: Mailbox[JudgeSupply] = Mailbox()
    began = trio.current_time()

    async def deaf(ctx: Context[JudgeSupply]) -> None:
        ctx.started()
        await ctx.stop_requested.wait()

    async def due_boards() -> Sequence[StoredBoard]:
        await trio.lowlevel.checkpoint()
        return ()

    async def run(ctx: Context[BoardPolled]) -> None:
        await Cycle(
            due_boards=due_boards,
            supply=supply.ref,
            matcher=Mailbox[MatchPending]().ref,
            digest=Mailbox[FirstCycleEnded]().ref,
            network=NetworkGate(clock=Clock(), emit=Events()),
            emit=Events(),
            patience_s=45,
            on_end=lambda: None,
        ).run(ctx)

    async with open_tree(
        ChildSpec(id="supply", start=deaf, mailbox=supply), ChildSpec(id="cycle", start=run)
    ):
        await trio.sleep(1)
    assert trio.current_time() == began + 1


# --- standby boards


async def test_cycle_waits_for_standby_boards_one_domain_after_the_other(
    autojump_clock: MockClock,
) -> None:
    one, two, three = row(1), row(2, "two.example"), row(3, "three.example")
    async with cycling([one], standby=[two, three]) as running:
        await running.tell(polled(one))
        assert running.asked == [JudgeSupply]
        await running.tell(polled(two))
        assert running.asked == [JudgeSupply] * 2
        await running.tell(polled(three, "5xx"))
    assert running.asked == [JudgeSupply] * 3 + [MatchPending, FirstCycleEnded]
    [completed] = running.said("cycle.completed")
    assert (completed["polled"], completed["failed"]) == (2, {"sample/board-3": "5xx"})


async def test_cycle_whose_time_is_up_waits_for_no_standby_board(
    autojump_clock: MockClock,
) -> None:
    began = trio.current_time()
    async with cycling([row(1)], standby=[row(2), row(3)], patience_s=45) as running:
        await trio.sleep(60)
    assert running.ended == [began + 45]
    assert running.asked == [JudgeSupply, MatchPending, FirstCycleEnded]


# --- the network


def lose(network: NetworkGate) -> None:
    """Let enough names not be found."""
    for number in range(3):
        network.record(Domain(f"site-{number}.example"), Failed(Failure.DNS, 0.1))


async def test_cycle_ends_soon_after_the_network_is_lost_and_names_what_waits(
    autojump_clock: MockClock,
) -> None:
    one, two, three = row(1), row(2, "two.example"), row(3, "three.example")
    began = trio.current_time()
    async with cycling([one, two, three]) as running:
        await running.tell(polled(one))
        lose(running.network)
        await trio.sleep(1)
        await running.tell(polled(two, "dns"))
        await trio.sleep(9)
        await running.tell(polled(three))
    assert running.ended == [began + SETTLE_S]
    assert running.asked == [JudgeSupply, MatchPending, FirstCycleEnded]
    assert running.events.names() == ["network.lost", "cycle.completed"]
    assert running.said("cycle.completed") == [
        {
            "polled": 1,
            "failed": {"sample/board-2": "dns"},
            "waiting": ["sample/board-3"],
            "digests": 2,
        }
    ]


async def test_cycle_goes_on_when_the_network_is_back_at_once(autojump_clock: MockClock) -> None:
    began = trio.current_time()
    async with cycling([row(1)], patience_s=45) as running:
        lose(running.network)
        await trio.sleep(1)
        running.network.record(Domain("site-3.example"), Ok(0.1))
        await trio.sleep(20)
        assert running.ended == []
        lose(running.network)
        await trio.sleep(20)
    assert running.ended == [began + 21 + SETTLE_S]
