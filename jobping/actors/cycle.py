"""The first cycle: every board that was due at the start has been polled once, or time is up.

While all of them list too little, standby boards are waited for, too. Time is up early when our own
network is down. The cycle's end releases the first digests, and ends a run that was asked for one
cycle only.
"""

from collections.abc import Awaitable, Callable, Sequence

import attrs
import trio

from jobping.actors.messages import BoardPolled, FirstCycleEnded, JudgeSupply, MatchPending
from jobping.actors.network_gate import NetworkGate
from jobping.core.board import StoredBoard
from jobping.core.ids import BoardId
from jobping.events import Emit
from supervisors import Context, Ref

SETTLE_S = 2.0  # the other domains' first failures come in meanwhile
ANSWER_WITHIN_S = 300.0  # matching or sending all that waits; our choice


@attrs.define(kw_only=True)
class Cycle:
    """Follows the first cycle.

    Attributes:
        due_boards: Reads the boards that are due now.
        patience_s: Longest time from readiness to the cycle's end.
        on_end: Called once.
    """

    due_boards: Callable[[], Awaitable[Sequence[StoredBoard]]]
    supply: Ref[JudgeSupply]
    matcher: Ref[MatchPending]
    digest: Ref[FirstCycleEnded]
    network: NetworkGate
    emit: Emit
    patience_s: float
    on_end: Callable[[], None]
    _names: dict[BoardId, str] = attrs.field(factory=dict, init=False)
    _waiting: set[BoardId] = attrs.field(factory=set, init=False)
    _failed: dict[str, str] = attrs.field(factory=dict, init=False)
    _polled: int = attrs.field(default=0, init=False)

    async def run(self, ctx: Context[BoardPolled]) -> None:
        """Count polls until none is missing, the patience ends, or our network is down."""
        await self._look_for_boards()
        ctx.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow, ctx)
            await ctx.stop_requested.wait()
            nursery.cancel_scope.cancel()

    async def _look_for_boards(self) -> None:
        """Wait for the boards that are due and were not waited for before."""
        for row in await self.due_boards():
            if row.id not in self._names:
                self._names[row.id] = f"{row.board.source}/{row.board.slug}"
                self._waiting.add(row.id)

    async def _follow(self, ctx: Context[BoardPolled]) -> None:
        deadline = trio.current_time() + self.patience_s
        while True:
            await self._wait_for_polls(ctx, deadline)
            with ctx.busy(2 * ANSWER_WITHIN_S):
                has_come = await self.supply.ask(JudgeSupply(), within=ANSWER_WITHIN_S)
            if not has_come or trio.current_time() >= deadline:
                break
            await self._look_for_boards()
        with ctx.busy(3 * ANSWER_WITHIN_S):
            await self._end()
        async for _ in ctx.inbox:
            pass

    async def _wait_for_polls(self, ctx: Context[BoardPolled], deadline: float) -> None:
        async with trio.open_nursery() as nursery:
            nursery.cancel_scope.deadline = deadline
            nursery.start_soon(self._leave_when_down, nursery.cancel_scope)
            while self._waiting:
                delivery = await anext(ctx.inbox, None)
                if delivery is None:
                    nursery.cancel_scope.cancel()
                    return
                self._note(delivery.message)
            nursery.cancel_scope.cancel()

    async def _leave_when_down(self, scope: trio.CancelScope) -> None:
        """End the cycle when our network is down, and still is when polls in hand have ended."""
        while True:
            await self.network.wait_until_down()
            await trio.sleep(SETTLE_S)
            if self.network.is_down:
                scope.cancel()

    def _note(self, polled: BoardPolled) -> None:
        if polled.board in self._waiting:
            self._waiting.remove(polled.board)
            self._polled += polled.ok
            if not polled.ok:
                self._failed[self._names[polled.board]] = polled.fault or "failed"

    async def _end(self) -> None:
        await self.matcher.ask(MatchPending(), within=ANSWER_WITHIN_S)
        digests = await self.digest.ask(FirstCycleEnded(), within=ANSWER_WITHIN_S)
        self.emit(
            "cycle.completed",
            polled=self._polled,
            failed=self._failed,
            waiting=[name for board, name in self._names.items() if board in self._waiting],
            digests=digests,
        )
        self.on_end()
