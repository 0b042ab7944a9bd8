"""The first cycle: every board that was due at the start has been polled once, or time is up.

It is up early when our own network is down. Its end releases the first digests, and ends a run that
was asked for one cycle only.
"""

from collections.abc import Awaitable, Callable, Sequence

import attrs
import trio

from jobping.actors.messages import BoardPolled, FirstCycleEnded, MatchPending
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
        due_boards: Reads the boards that are due when the cycle begins.
        patience_s: Longest time from readiness to the cycle's end.
        on_end: Called once.
    """

    due_boards: Callable[[], Awaitable[Sequence[StoredBoard]]]
    matcher: Ref[MatchPending]
    digest: Ref[FirstCycleEnded]
    network: NetworkGate
    emit: Emit
    patience_s: float
    on_end: Callable[[], None]
    _waiting: dict[BoardId, str] = attrs.field(factory=dict, init=False)
    _failed: dict[str, str] = attrs.field(factory=dict, init=False)
    _polled: int = attrs.field(default=0, init=False)

    async def run(self, ctx: Context[BoardPolled]) -> None:
        """Count polls until none is missing, the patience ends, or our network is down."""
        due = await self.due_boards()
        self._waiting = {row.id: f"{row.board.source}/{row.board.slug}" for row in due}
        ctx.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow, ctx)
            await ctx.stop_requested.wait()
            nursery.cancel_scope.cancel()

    async def _follow(self, ctx: Context[BoardPolled]) -> None:
        async with trio.open_nursery() as nursery:
            nursery.cancel_scope.deadline = trio.current_time() + self.patience_s
            nursery.start_soon(self._leave_when_down, nursery.cancel_scope)
            while self._waiting:
                delivery = await anext(ctx.inbox, None)
                if delivery is None:
                    nursery.cancel_scope.cancel()
                    return
                self._note(delivery.message)
            nursery.cancel_scope.cancel()
        await self._end()
        async for _ in ctx.inbox:
            pass

    async def _leave_when_down(self, scope: trio.CancelScope) -> None:
        """End the cycle when our network is down, and still is when polls in hand have ended."""
        while True:
            await self.network.wait_until_down()
            await trio.sleep(SETTLE_S)
            if self.network.is_down:
                scope.cancel()

    def _note(self, polled: BoardPolled) -> None:
        name = self._waiting.pop(polled.board, None)
        if name is not None:
            self._polled += polled.ok
            if not polled.ok:
                self._failed[name] = polled.fault or "failed"

    async def _end(self) -> None:
        await self.matcher.ask(MatchPending(), within=ANSWER_WITHIN_S)
        digests = await self.digest.ask(FirstCycleEnded(), within=ANSWER_WITHIN_S)
        self.emit(
            "cycle.completed",
            polled=self._polled,
            failed=self._failed,
            waiting=list(self._waiting.values()),
            digests=digests,
        )
        self.on_end()
