"""The first cycle: every board that was due at the start has been polled once, or time is up.

Its end releases the first digests, and ends a run that was asked for one cycle only. It also says
once, in one line, which domains cannot be reached while none has answered.
"""

from collections.abc import Awaitable, Callable, Sequence

import attrs
import trio

from jobping.actors.messages import BoardPolled, FirstCycleEnded, MatchPending
from jobping.core.board import StoredBoard
from jobping.core.ids import BoardId, Domain
from jobping.events import Emit
from supervisors import Context, Ref

NETWORK_FAULTS = frozenset({"dns", "connect"})
UNREACHED_DOMAINS = 3  # fewer may be the sites' own fault
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
    emit: Emit
    patience_s: float
    on_end: Callable[[], None]
    _waiting: dict[BoardId, str] = attrs.field(factory=dict, init=False)
    _failed: dict[str, str] = attrs.field(factory=dict, init=False)
    _few: int = attrs.field(default=UNREACHED_DOMAINS, init=False)
    _polled: int = attrs.field(default=0, init=False)
    _unreached: set[Domain] = attrs.field(factory=set, init=False)
    _lost: trio.Event = attrs.field(factory=trio.Event, init=False)
    _said_lost: bool = attrs.field(default=False, init=False)

    async def run(self, ctx: Context[BoardPolled]) -> None:
        """Count polls until none is missing or the patience ends; then only watch the network."""
        due = await self.due_boards()
        self._waiting = {row.id: f"{row.board.source}/{row.board.slug}" for row in due}
        self._few = min(UNREACHED_DOMAINS, len({row.domain for row in due}))
        ctx.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_network)
            nursery.start_soon(self._follow, ctx)
            await ctx.stop_requested.wait()
            nursery.cancel_scope.cancel()

    async def _follow(self, ctx: Context[BoardPolled]) -> None:
        with trio.move_on_after(self.patience_s):  # noqa: ASYNC912  without boards it is over
            while self._waiting:
                delivery = await anext(ctx.inbox, None)
                if delivery is None:
                    return
                self._note(delivery.message)
        await self._end()
        async for delivery in ctx.inbox:
            self._note(delivery.message)

    def _note(self, polled: BoardPolled) -> None:
        name = self._waiting.pop(polled.board, None)
        if name is not None:
            self._polled += polled.ok
            if not polled.ok:
                self._failed[name] = polled.fault or "failed"
        if polled.fault in NETWORK_FAULTS:
            self._unreached.add(polled.domain)
            if len(self._unreached) >= self._few:
                self._lost.set()
        else:
            self._unreached.clear()
            if self._said_lost:
                self._said_lost = False
                self.emit("network.regained", domain=polled.domain)

    async def _watch_network(self) -> None:
        """Say what cannot be reached a moment after the first failures have come in."""
        while True:
            await self._lost.wait()
            await trio.sleep(SETTLE_S)
            self._say_lost()
            self._lost = trio.Event()

    def _say_lost(self) -> None:
        """Say once, in one line, what cannot be reached while nothing has answered."""
        if self._said_lost or not self._unreached or len(self._unreached) < self._few:
            return
        self._said_lost = True
        self.emit(
            "network.lost",
            domains=sorted(self._unreached),
            hint="`jobping demo` shows everything without a network",
        )

    async def _end(self) -> None:
        self._say_lost()
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
