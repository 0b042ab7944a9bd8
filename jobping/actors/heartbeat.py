"""The heartbeat: lines of statistics, from which a reader sees the whole daemon."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import attrs
import trio

from jobping.actors.messages import DomainView
from jobping.actors.statistics import Statistics, record_of
from jobping.core.ids import Domain
from jobping.events import Emit
from supervisors import Context

EVERY_S: Final = 60.0  # design/operations.md
AGAIN_AFTER: Final = 10
"""A domain that stays as it is gets a line with each tenth sample: a reader who begins anywhere
knows every domain ten minutes later, at 300 lines an hour for 50 of them (our choice)."""


@attrs.define(kw_only=True)
class Heartbeat:
    """Writes what `Statistics` sees.

    Attributes:
        duty: Runs beside the statistics until they end.
    """

    statistics: Statistics
    emit: Emit
    duty: Callable[[], Awaitable[None]]
    _taken: int = attrs.field(default=0, init=False)
    _said: dict[Domain, dict[str, Any]] = attrs.field(factory=dict, init=False)

    async def run(self, ctx: Context[object]) -> None:
        """Write `stats.taken` at once and every minute until asked to stop."""
        ctx.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.duty)
            while not ctx.stop_requested.is_set():
                with ctx.busy(2 * EVERY_S):
                    await self._take()
                    with trio.move_on_after(EVERY_S):
                        await ctx.stop_requested.wait()
                        break
            nursery.cancel_scope.cancel()

    async def _take(self) -> None:
        sample = await self.statistics.take()
        self.emit("stats.taken", **sample.figures)
        if self._taken % AGAIN_AFTER == 0:
            self._said.clear()
        self._taken += 1
        for view in sample.domains.views if sample.domains is not None else ():
            self._say_domain(view)

    def _say_domain(self, view: DomainView) -> None:
        record = record_of(view)
        # the moment of the next request moves all the time; the rest says whether that matters
        lasting = {**record, "next_in_s": None}
        if self._said.get(view.domain) != lasting:
            self._said[view.domain] = lasting
            self.emit("domain.sampled", **record)
