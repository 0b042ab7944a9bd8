"""What the control socket is asked, as questions to degradation; the answers as JSON values."""

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from jobping.actors.messages import (
    DegradationMessage,
    DomainsView,
    OrderDomain,
    OrderRefused,
    ReadDomains,
)
from jobping.actors.statistics import READ_WITHIN_S, Sample, record_of
from jobping.control import ask_daemon, serve_control
from jobping.core.order import Order
from jobping.errors import DaemonSilent
from supervisors import Context, Ref, SupervisionError

ORDER_WITHIN_S: Final = 2.0
LOOK_EVERY_S: Final = 20.0
ANSWERS_WITHIN_S: Final = 60.0  # clients that keep the socket busy are cut off sooner
AWAY: Final = {"error": "the daemon starts or stops just now; try again"}


@attrs.frozen(kw_only=True)
class Generation:
    """Which configuration holds.

    Attributes:
        number: 1 since the start, one more with each that was read anew.
        tries: How often that was tried.
        refused: Why the last try changed nothing; None: it did.
    """

    number: int = 1
    tries: int = 0
    refused: str | None = None


@attrs.frozen(kw_only=True)
class Operator:
    """Speaks for the one at the other end of the socket.

    Attributes:
        directory: Where the socket is made.
        reload: Asks for the configuration to be read anew; returns how many will have been tried
            when it has, None: this daemon has none.
        run_id: The name of this run in the log.
        look: Takes a sample of the whole daemon.
        look_every_s: Seconds between two looks at the socket.
    """

    directory: Path
    run_id: str
    look: Callable[[], Awaitable[Sample]]
    degradation: Ref[DegradationMessage]
    generation: Callable[[], Generation]
    reload: Callable[[], int | None]
    look_every_s: float = LOOK_EVERY_S

    async def run(self, ctx: Context[object]) -> None:
        """Serve the socket until asked to stop, and see that it answers.

        Raises:
            DaemonAway: Somebody has removed it; the next start makes it anew.
        """
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_control, self.directory, self.answer)
            ctx.started()
            while not ctx.stop_requested.is_set():
                with ctx.busy(ANSWERS_WITHIN_S):
                    await self._watch(ctx.stop_requested)
            nursery.cancel_scope.cancel()

    async def _watch(self, stop_requested: trio.Event) -> None:
        """Wait, then ask as a client does until there is an answer."""
        ask = partial(ask_daemon, (self.directory,), {"ask": "generation"})
        while True:
            with trio.move_on_after(self.look_every_s):
                return await stop_requested.wait()
            with contextlib.suppress(DaemonSilent):
                await trio.to_thread.run_sync(ask, abandon_on_cancel=True)
                return None

    async def answer(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answer one request: an `ask`, or an `order`, some with a domain."""
        match request:
            case {"ask": "domains"}:
                return await self._read()
            case {"ask": "status"}:
                return await self._look()
            case {"ask": "generation"}:
                return attrs.asdict(self.generation())
            case {"order": "reload"}:
                tries = self.reload()
                return {"error": "it has no configuration"} if tries is None else {"tries": tries}
            case {"order": str(word), "domain": str(domain)} if word in set(Order):
                return await self._order(OrderDomain(domain=domain, order=Order(word)))
            case _:
                return {"error": "this daemon does not know that request"}

    async def _read(self) -> Mapping[str, Any]:
        try:
            view = await self.degradation.ask(ReadDomains(), within=READ_WITHIN_S)
        except SupervisionError:
            return AWAY
        return _domains(view)

    async def _look(self) -> Mapping[str, Any]:
        sample = await self.look()
        domains = {} if sample.domains is None else _domains(sample.domains)
        return {
            "run": self.run_id,
            "version": version("jobping"),
            "stats": sample.figures,
            **domains,
        }

    async def _order(self, order: OrderDomain) -> Mapping[str, Any]:
        try:
            answer = await self.degradation.ask(order, within=ORDER_WITHIN_S)
        except SupervisionError:
            return AWAY
        if isinstance(answer, OrderRefused):
            return {"error": f"{order.domain}: {answer.why}"}
        return {"domain": record_of(answer)}


def _domains(view: DomainsView) -> dict[str, Any]:
    return {
        "domains": list(map(record_of, view.views)),
        "silent": list(view.silent),
        "elsewhere": list(view.elsewhere),
    }
