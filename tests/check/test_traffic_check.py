"""Client and guard, breaker and pace: each fault is seen on local sites, with advice."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network

import attrs
import pytest

from jobping.check.stage import Yard, open_yard
from jobping.check.traffic import check_breaker, check_fetch, check_limiter
from jobping.clock import Clock
from jobping.core.breaker import DAEMON, BreakerRules, HalfOpenPolicy
from jobping.core.finding import Verdict
from jobping.core.limiter import LimiterRules
from jobping.daemon import DEMO_PACE
from jobping.fetch import Fetcher, FetchLimits, open_fetcher
from jobping.settings import NetworkSettings
from jobping.store.bridge import Database
from jobping.tree import limiter_rules
from tests.doubles.postgres import Events

PROMISED = limiter_rules([DEMO_PACE])


@asynccontextmanager
async def open_client(
    events: Events, *, allow: str = "127.0.0.1/32", limits: FetchLimits | None = None
) -> AsyncIterator[Fetcher]:
    async with open_fetcher(
        limits=limits or FetchLimits(),
        allow=(ip_network(allow),),
        user_agent="check",
        emit=events,
        clock=Clock(),
    ) as fetcher:
        yield fetcher


@pytest.fixture
async def yard(database: Database, events: Events) -> AsyncIterator[Yard]:
    async with open_client(events) as fetcher, open_yard(database, fetcher, events) as made:
        yield made


async def test_client_of_the_daemon_holds(events: Events) -> None:
    async with open_client(events) as fetcher:
        found = await check_fetch(fetcher, NetworkSettings())
    assert found.verdict is Verdict.HOLDS, found
    assert "60 requests per connection, 4 sockets for 4 sites" in found.figure
    assert "10 private addresses refused" in found.figure


async def test_guard_that_is_off_is_found(events: Events) -> None:
    async with open_client(events, allow="127.0.0.0/8") as fetcher:
        found = await check_fetch(fetcher, NetworkSettings())
    assert found.verdict is Verdict.FAILS
    assert "private addresses may be asked: 127.0.0.2" in found.figure
    assert "[network] allow" in found.advice


async def test_connections_that_are_not_used_again_are_found(events: Events) -> None:
    limits = attrs.evolve(FetchLimits(), keepalive_seconds=0.0)
    async with open_client(events, limits=limits) as fetcher:
        found = await check_fetch(fetcher, NetworkSettings())
    assert found.verdict is Verdict.FAILS
    assert "requests per connection" in found.figure


async def test_breaker_of_the_daemon_holds(yard: Yard) -> None:
    found = await check_breaker(yard, DAEMON)
    assert found.verdict is Verdict.HOLDS, found
    assert "opens at failure 5 in a row, 1 probe among 20 callers" in found.figure


@pytest.mark.parametrize(
    ("rules", "figure"),
    [
        (attrs.evolve(DAEMON, consecutive=50, size=50, min_calls=50), "still closed after 20"),
        (attrs.evolve(DAEMON, consecutive=3), "opened after 3 failures"),
        (attrs.evolve(DAEMON, consecutive=50, min_calls=20), "opened after 20 failures"),
        (
            attrs.evolve(DAEMON, permits=4, half_open_policy=HalfOpenPolicy.RATE),
            "probes among 20 callers",
        ),
        (attrs.evolve(DAEMON, close_after=10**6), "does not close when the site answers"),
    ],
    ids=["never", "early", "late", "many_probes", "never_closes"],
)
async def test_breaker_with_wrong_figures_is_found(
    yard: Yard, rules: BreakerRules, figure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobping.check.traffic.PATIENCE_S", 3.0)
    found = await check_breaker(yard, rules)
    assert found.verdict is Verdict.FAILS, found
    assert figure in found.figure
    assert "install an unchanged jobping" in found.advice


async def test_pace_of_the_daemon_holds(yard: Yard) -> None:
    found = await check_limiter(yard, PROMISED, PROMISED)
    assert found.verdict is Verdict.HOLDS, found
    assert "daily quota of 6 kept over a restart" in found.figure


@pytest.mark.parametrize(
    "used",
    [
        attrs.evolve(PROMISED, rate=2 * PROMISED.rate),
        attrs.evolve(PROMISED, burst=4 * PROMISED.burst),
    ],
    ids=["double_rate", "larger_burst"],
)
async def test_pace_above_what_is_promised_is_found(yard: Yard, used: LimiterRules) -> None:
    found = await check_limiter(yard, PROMISED, used)
    assert found.verdict is Verdict.FAILS
    assert "too many" in found.figure
    assert "stop the daemon" in found.advice
