"""The budget: all calls of models pass through here, and none goes that the ledger refuses.

Batches wait in one queue by deadline; among equals the profile that a model ranked longest ago
comes first. A caller that has gone loses its answer, but no reservation: each call is carried to
its end, and what it brought is kept for the next time.
"""

import datetime as dt
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

import attrs
import trio

from jobping.actors.messages import BudgetMessage, Ranking
from jobping.actors.paid_call import PaidCalls
from jobping.actors.ranker import Ranker
from jobping.clock import Clock
from jobping.core.budget import Balance, Measure, Window, binding
from jobping.core.ids import ProfileId
from jobping.core.pricing import STALE_AFTER, WARN_BEFORE, bound
from jobping.errors import StoreUnavailable
from jobping.events import Emit
from jobping.llm import CounterProtocol, ModelProtocol
from jobping.store.ledger import Ended
from jobping.store.rankings import Rankings
from supervisors import Context, Delivery

QUEUE: Final = 256  # batches of 20 pairs, about 100 kB each at worst
TEND_EVERY_S: Final = 5.0  # what is owed is tried again
LAPSE_EVERY_S: Final = 60.0  # dead daemons' reservations are looked for
TEND_WITHIN_S: Final = 120.0  # and is given up so long after: statements have 30 s each
RANK_WITHIN_S: Final = 180.0  # its asker leaves after 45 s, and then no further call begins
STOP_WITHIN_S: Final = 30.0  # as long as a call may take: design/operations.md section 4
TYPICAL: Final = (4_200, 1_400)  # tokens of a full batch; only for words about what is left


@attrs.frozen(kw_only=True)
class Models:
    """What may be asked, and how.

    Attributes:
        chain: In the order of asking; empty: no model is ever asked.
        tier: The service tier to ask for; None: none is named.
        concurrency: Most calls at once.
        connect: Opens the client.
        load_counter: Returns what bounds the tokens of prompts.
    """

    chain: tuple[str, ...]
    tier: str | None
    concurrency: int
    connect: Callable[[], AbstractAsyncContextManager[ModelProtocol]]
    load_counter: Callable[[], Awaitable[CounterProtocol]]


@attrs.define(eq=False, kw_only=True)
class BudgetActor:
    """Ranks pairs by models as far as the budget reaches.

    Attributes:
        name: This daemon's, in claims of pairs; the same after a restart.
        stopping: Set when the daemon drains: from then on no call begins.
    """

    name: str
    calls: PaidCalls
    rankings: Rankings
    models: Models
    clock: Clock
    emit: Emit
    stopping: trio.Event = attrs.field(factory=trio.Event)
    _queue: list[tuple[int, Delivery[BudgetMessage]]] = attrs.field(factory=list, init=False)
    _arrived: int = attrs.field(default=0, init=False)
    _served: dict[ProfileId, int] = attrs.field(factory=dict, init=False)
    _changed: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot, init=False)
    _is_stopping: bool = attrs.field(default=False, init=False)
    _prices_said_on: dt.date | None = attrs.field(default=None, init=False)

    async def run(self, ctx: Context[BudgetMessage]) -> None:
        """Resolve what a predecessor left open, then rank until asked to stop."""
        await self._open()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tend, ctx)
            nursery.start_soon(self._wait_for_drain)
            if self.models.chain:
                await self._serve(ctx)
            else:
                ctx.started()
                async for delivery in ctx.inbox:
                    delivery.reply(Ranking(why="no model"))
            nursery.cancel_scope.cancel()
        await self._pay_owed()

    # --- the queue

    async def _serve(self, ctx: Context[BudgetMessage]) -> None:
        async with self.models.connect() as model, trio.open_nursery() as workers:
            counter = await self.models.load_counter()
            if not counter.has_vocabulary:
                self.emit("tokens.bounded", command="jobping tokenizer fetch")
            ranker = Ranker(
                name=self.name,
                calls=self.calls,
                rankings=self.rankings,
                chain=self.models.chain,
                tier=self.models.tier,
                model=model,
                counter=counter,
                clock=self.clock,
                emit=self.emit,
                stopping=self.stopping,
            )
            ctx.started()
            for _ in range(self.models.concurrency):
                workers.start_soon(self._work, ranker, ctx)
            await self._receive(ctx)

    async def _receive(self, ctx: Context[BudgetMessage]) -> None:
        """Take messages into the queue while it has room; at a stop let the workers end."""
        async for delivery in ctx.inbox:
            self._arrived += 1
            self._queue.append((self._arrived, delivery))
            self._changed.unpark_all()
            while len(self._queue) >= QUEUE and not ctx.stop_requested.is_set():
                await self._changed.park()
        self._drop_queue()

    async def _wait_for_drain(self) -> None:
        await self.stopping.wait()
        self._drop_queue()

    def _drop_queue(self) -> None:
        self._is_stopping = True
        self._changed.unpark_all()

    async def _work(self, ranker: Ranker, ctx: Context[BudgetMessage]) -> None:
        """Serve the queue; what still waits at a stop is dropped, the store has the pairs."""
        while not self._is_stopping:
            if not self._queue:
                await self._changed.park()
                continue
            entry = min(self._queue, key=self._turn)
            self._queue.remove(entry)
            self._changed.unpark_all()
            _, delivery = entry
            if delivery.is_awaited:  # for one that has gone nothing is paid
                self._served[delivery.message.profile.id] = self._arrived
                with ctx.busy(RANK_WITHIN_S):
                    delivery.reply(await ranker.rank(delivery))

    def _turn(self, entry: tuple[int, Delivery[BudgetMessage]]) -> tuple[int, int, float, int]:
        """Who is next: the nearest deadline by minutes, then who was served longest ago."""
        arrived, delivery = entry
        batch = delivery.message
        ranked_at = batch.ranked_at.timestamp() if batch.ranked_at else 0.0
        return int(batch.deadline // 60), self._served.get(batch.profile.id, 0), ranked_at, arrived

    # --- the ledger

    async def _open(self) -> None:
        opened = await self.calls.ledger.open()
        self.calls.margins.update(opened.margins)
        self._say_lapsed(opened.lapsed)
        self.calls.say_warned(opened.warned)
        if opened.recounted:
            self.emit("budget.recounted", windows=[window.value for window in opened.recounted])
        if self.models.chain:
            self._say_opened(opened.balances)
        self._say_prices()

    def _say_opened(self, balances: tuple[Balance, ...]) -> None:
        limits = self.calls.ledger.limits
        price = self.calls.prices.prices[self.models.chain[0]]
        first = binding(limits, balances, bound(price, *TYPICAL, regional=self.calls.regional))
        left = {
            (balance.window, measure): balance.left(limits, measure)
            for balance in balances
            for measure in Measure
        }
        self.emit(
            "budget.opened",
            tokens_left_day=left[Window.DAY, Measure.TOKENS],
            tokens_left_month=left[Window.MONTH, Measure.TOKENS],
            nanousd_left_day=left[Window.DAY, Measure.COST],
            nanousd_left_month=left[Window.MONTH, Measure.COST],
            binds=f"{first.window.value} {first.measure.value}",
            calls_left=first.calls,
            models=list(self.models.chain),
        )

    def _say_prices(self) -> None:
        """Warn once a day of what will not hold for long."""
        today = self.clock.utcnow().date()
        if not self.models.chain or today == self._prices_said_on:
            return
        self._prices_said_on = today
        prices = self.calls.prices
        if today - prices.as_of > STALE_AFTER:
            self.emit("prices.aged", as_of=prices.as_of.isoformat())
        for model in self.models.chain:
            shutdown = prices.prices[model].shutdown
            if shutdown is not None and today < shutdown <= today + WARN_BEFORE:
                self.emit("model.retiring", model=model, shutdown=shutdown.isoformat())

    async def _tend(self, ctx: Context[BudgetMessage]) -> None:
        """Write what is owed, lapse what dead daemons have left open, and warn of prices."""
        look_at = self.clock.monotonic() + LAPSE_EVERY_S
        while True:
            with ctx.busy(TEND_WITHIN_S):
                await trio.sleep(TEND_EVERY_S)
                await self._pay_owed()
                if self.clock.monotonic() >= look_at:
                    look_at = self.clock.monotonic() + LAPSE_EVERY_S
                    await self._lapse_abandoned()
                    self._say_prices()

    async def _pay_owed(self) -> None:
        try:
            await self.calls.pay_owed()
        except StoreUnavailable:
            return  # at the next turn; an end that is never written lapses at the next start

    async def _lapse_abandoned(self) -> None:
        try:
            lapsed, warned = await self.calls.ledger.lapse_abandoned()
        except StoreUnavailable:
            return
        self._say_lapsed(lapsed)
        self.calls.say_warned(warned)

    def _say_lapsed(self, lapsed: tuple[Ended, ...]) -> None:
        for ended in lapsed:
            self.emit(
                "budget.lapsed",
                id=ended.id,
                tokens=ended.tokens,
                nanousd=ended.nanousd,
                why="abandoned",
            )
