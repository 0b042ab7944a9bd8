"""What the control socket is asked, as questions to degradation; the answers as JSON values."""

from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import version
from typing import Any, Final

import attrs

from jobping.actors.messages import (
    DegradationMessage,
    DomainsView,
    OrderDomain,
    OrderRefused,
    ReadDomains,
)
from jobping.actors.statistics import READ_WITHIN_S, Sample, record_of
from jobping.core.order import Order
from supervisors import Ref, SupervisionError

ORDER_WITHIN_S: Final = 2.0
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
        reload: Asks for the configuration to be read anew; returns how many will have been tried
            when it has, None: this daemon has none.
        run: The name of this run in the log.
        look: Takes a sample of the whole daemon.
    """

    run: str
    look: Callable[[], Awaitable[Sample]]
    degradation: Ref[DegradationMessage]
    generation: Callable[[], Generation]
    reload: Callable[[], int | None]

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
        return {"run": self.run, "version": version("jobping"), "stats": sample.figures, **domains}

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
