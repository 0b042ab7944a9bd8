"""How the whole daemon stands, as plain values: for the heartbeat and for the control socket."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import attrs
import trio

from jobping.actors.messages import DomainsView, DomainView, ReadDomains
from jobping.clock import Clock
from jobping.core.budget import Balance, Limits, Measure
from jobping.core.ids import Monotonic
from jobping.errors import StoreError
from jobping.fetch import Fetcher
from jobping.store.bridge import Database
from jobping.store.spending import Spending
from supervisors import ChildSnapshot, Ref, SupervisionError, TreeSnapshot

READ_WITHIN_S: Final = 2.5
SPENT_WITHIN_S: Final = 1.0  # all within the 5 s of a client of the control socket


@attrs.frozen(kw_only=True)
class Sample:
    """What was seen at one moment.

    Attributes:
        figures: The fields of `stats.taken`.
        domains: None where their supervisor gave no answer.
    """

    figures: Mapping[str, Any]
    domains: DomainsView | None


@attrs.frozen(kw_only=True)
class Statistics:
    """Takes samples.

    Attributes:
        limits: Those in force now.
        tree: Looks at the tree.
        resident_bytes: Reads the memory of this process.
        began: When the daemon started.
    """

    degradation: Ref[ReadDomains]
    database: Database
    fetcher: Fetcher
    limits: Callable[[], Limits]
    tree: Callable[[], TreeSnapshot]
    resident_bytes: Callable[[], int]
    clock: Clock
    began: Monotonic

    async def take(self) -> Sample:
        """Return how everything stands; what gives no answer in time is None."""
        domains: DomainsView | None = None
        with suppress(SupervisionError):  # it starts, or restarts
            domains = await self.degradation.ask(ReadDomains(), within=READ_WITHIN_S)
        spent = await self._spent()
        pool, http = self.database.statistics(), self.fetcher.statistics()
        return Sample(
            domains=domains,
            figures={
                "uptime_s": round(self.clock.monotonic() - self.began, 3),
                "domains": None if domains is None else len(domains.views),
                "silent": None if domains is None else len(domains.silent),
                "elsewhere": None if domains is None else len(domains.elsewhere),
                **spent,
                "children": {child.id: _child(child) for child in self.tree().children},
                "pool_size": pool.size,
                "pool_idle": pool.idle,
                "pool_waiting": pool.waiting,
                "units": pool.units,
                "requests": http.requests,
                "connections": http.connections,
                "connections_open": http.open,
                "in_flight": http.in_flight,
                "resident_bytes": self.resident_bytes(),
            },
        )

    async def _spent(self) -> dict[str, Any]:
        limits = self.limits()
        with suppress(StoreError), trio.move_on_after(SPENT_WITHIN_S):
            balances = await Spending(database=self.database).balances()
            return {one.window.value: _balance(one, limits) for one in balances}
        return {"day": None, "month": None}


def _balance(balance: Balance, limits: Limits) -> dict[str, Any]:
    found: dict[str, Any] = {"starts": balance.starts.isoformat()}
    for measure, unit in ((Measure.COST, "nanousd"), (Measure.TOKENS, "tokens")):
        found[unit] = balance.used(measure)
        found[f"held_{unit}"] = balance.held(measure)
        found[f"limit_{unit}"] = limits.of(balance.window, measure)
    return found


def _child(child: ChildSnapshot) -> dict[str, Any]:
    found: dict[str, Any] = {"state": child.state.value, "restarts": child.restarts}
    if child.mailbox is not None and child.mailbox.sent:  # others have one that nobody knows
        found |= {"depth": child.mailbox.depth, "capacity": child.mailbox.capacity}
    return found


def record_of(view: DomainView) -> dict[str, Any]:
    """Return how a domain stands as a JSON value; moments are ISO 8601 in UTC."""
    gate = view.gate
    return {
        "domain": view.domain,
        "tier": view.tier.value,
        "breaker": gate.breaker.value,
        "breaker_cause": gate.breaker_cause or None,
        "per_hour": round(gate.rate * 3600, 3),
        "next_in_s": None if view.next_in_s is None else round(view.next_in_s, 1),
        "waits_for": view.waits_for,
        "used_today": gate.daily_used,
        "daily_limit": gate.daily_limit,
        "succeeded_at": view.succeeded_at.isoformat() if view.succeeded_at else None,
    }
