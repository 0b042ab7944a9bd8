"""The heartbeat: one line of statistics per period, from which a reader sees the whole daemon."""

from collections.abc import Awaitable, Callable
from typing import Final

import attrs
import trio

from jobping.actors.messages import DomainsView, DomainView, ReadDomains
from jobping.core.gate_state import GateView
from jobping.events import Emit
from jobping.fetch import Fetcher
from jobping.store.bridge import Database
from supervisors import Context, Ref, SupervisionError

EVERY_S: Final = 60.0  # design/operations.md
ANSWER_WITHIN_S: Final = 4.0  # below the actor's time to stop


@attrs.define(kw_only=True)
class Heartbeat:
    """Takes statistics.

    Attributes:
        resident_bytes: Reads the memory of this process.
        duty: Runs beside the statistics until they end.
    """

    degradation: Ref[ReadDomains]
    database: Database
    fetcher: Fetcher
    resident_bytes: Callable[[], int]
    emit: Emit
    duty: Callable[[], Awaitable[None]]

    async def run(self, ctx: Context[object]) -> None:
        """Write `stats.taken` every minute until asked to stop."""
        ctx.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.duty)
            while not ctx.stop_requested.is_set():
                with trio.move_on_after(EVERY_S):
                    await ctx.stop_requested.wait()
                    break
                await self._take()
            nursery.cancel_scope.cancel()

    async def _take(self) -> None:
        try:
            domains = await self.degradation.ask(ReadDomains(), within=ANSWER_WITHIN_S)
        except SupervisionError:
            domains = DomainsView(views=())
        pool, http = self.database.statistics(), self.fetcher.statistics()
        self.emit(
            "stats.taken",
            domains={view.domain: _short(view) for view in domains.views},
            pool_size=pool.size,
            pool_idle=pool.idle,
            pool_waiting=pool.waiting,
            units=pool.units,
            requests=http.requests,
            connections=http.connections,
            connections_open=http.open,
            in_flight=http.in_flight,
            resident_bytes=self.resident_bytes(),
        )


def _short(view: DomainView) -> dict[str, object]:
    gate: GateView = view.gate
    return {
        "tier": view.tier.value,
        "breaker": gate.breaker.value,
        "grants": gate.grants,
        "refusals": gate.refusals,
        "rate": round(gate.rate, 4),
        "ceiling": gate.ceiling,
        "daily_used": gate.daily_used,
        "retry_budget": gate.retry_budget,
        "waits_for": gate.waits_for,
        "blocked_s": round(gate.blocked_s),
    }
