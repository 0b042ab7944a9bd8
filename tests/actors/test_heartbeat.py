import datetime as dt
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from trio.testing import MockClock

from jobping.actors.heartbeat import AGAIN_AFTER, Heartbeat
from jobping.actors.messages import DomainsView, DomainView, ReadDomains
from jobping.actors.statistics import Statistics
from jobping.clock import Clock
from jobping.core import gate as gate_rules
from jobping.core.budget import Limits
from jobping.core.ids import Domain, Monotonic
from jobping.core.ladder import Tier
from jobping.fetch import Fetcher
from jobping.store.bridge import Database
from supervisors import ChildSpec, Context, Mailbox, Supervisor
from tests.actors.rig import FAST, open_tree
from tests.doubles.asking import open_test_fetcher
from tests.doubles.postgres import Events

NOW = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
VIEW = DomainView(
    domain=Domain("boards.example"),
    tier=Tier.BACKFILL,
    gate=gate_rules.view(gate_rules.fresh(FAST, Monotonic(0.0)), FAST, Monotonic(0.0), NOW),
)


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    async with open_test_fetcher() as opened:
        yield opened


@asynccontextmanager
async def beating(
    fetcher: Fetcher, answer: Callable[[], Exception | DomainView]
) -> AsyncIterator[Events]:
    """Run a heartbeat beside a degradation that answers, fails, or is silent for ever."""
    events = Events()
    box: Mailbox[ReadDomains] = Mailbox()

    async def degradation(ctx: Context[ReadDomains]) -> None:
        ctx.started()
        async for delivery in ctx.inbox:
            await joined.wait()
            found = answer()
            if isinstance(found, Exception):
                raise found
            delivery.reply(DomainsView(views=(found,)))

    roots: list[Supervisor] = []
    joined = trio.Event()
    statistics = Statistics(
        degradation=box.ref,
        database=Database(),
        fetcher=fetcher,
        limits=Limits,
        tree=lambda: roots[0].snapshot(),
        resident_bytes=lambda: 12_345,
        clock=Clock(),
        began=Monotonic(trio.current_time()),
    )
    async with open_tree(
        ChildSpec(id="degradation", start=degradation, mailbox=box),
        ChildSpec(
            id="heartbeat",
            start=Heartbeat(statistics=statistics, emit=events, duty=trio.sleep_forever).run,
        ),
    ) as root:
        roots.append(root)
        joined.set()
        yield events


def said(events: Events, name: str) -> list[dict[str, object]]:
    return [dict(fields) for event, fields in events.seen if event == name]


async def test_heartbeat_says_at_once_and_each_minute_how_everything_stands(
    autojump_clock: MockClock, fetcher: Fetcher
) -> None:
    async with beating(fetcher, lambda: VIEW) as events:
        await trio.sleep(59)
        assert len(said(events, "stats.taken")) == 1
        await trio.sleep(122)
    taken = said(events, "stats.taken")
    assert len(taken) == 4
    children = taken[0].pop("children")
    assert isinstance(children, dict)
    assert children["degradation"] == {
        "state": "running", "restarts": 0, "depth": 0, "capacity": 128,
    }  # fmt: skip
    assert taken[0] == {
        "uptime_s": 0,
        "domains": 1,
        "silent": 0,
        "elsewhere": 0,
        "day": None,  # the database is away
        "month": None,
        "pool_size": 0,
        "pool_idle": 0,
        "pool_waiting": 0,
        "units": 0,
        "requests": 0,
        "connections": 0,
        "connections_open": 0,
        "in_flight": 0,
        "resident_bytes": 12_345,
    }


async def test_domain_is_sampled_when_it_changes_and_after_ten_minutes_again(
    autojump_clock: MockClock, fetcher: Fetcher
) -> None:
    views = [VIEW]
    async with beating(fetcher, lambda: views[-1]) as events:
        await trio.sleep(200)
        assert said(events, "domain.sampled") == [
            {
                "domain": "boards.example",
                "tier": "backfill",
                "breaker": "closed",
                "breaker_cause": None,
                "per_hour": 3_600_000.0,
                "next_in_s": None,
                "waits_for": None,
                "used_today": 0,
                "daily_limit": None,
                "succeeded_at": None,
            }
        ]
        views.append(attrs.evolve(VIEW, next_in_s=9.0))
        await trio.sleep(60)
        assert len(said(events, "domain.sampled")) == 1
        views.append(attrs.evolve(VIEW, tier=Tier.RELIABLE))
        await trio.sleep(60)
        assert [line["tier"] for line in said(events, "domain.sampled")] == ["backfill", "reliable"]
        await trio.sleep(60 * AGAIN_AFTER)
        assert len(said(events, "domain.sampled")) == 3


async def test_heartbeat_goes_on_without_domains_while_their_supervisor_is_down(
    autojump_clock: MockClock, fetcher: Fetcher
) -> None:
    async with beating(fetcher, lambda: RuntimeError("crashed")) as events:
        await trio.sleep(61)
    assert [fields["domains"] for fields in said(events, "stats.taken")] == [None, None]


async def test_heartbeat_stops_at_once(autojump_clock: MockClock, fetcher: Fetcher) -> None:
    began = trio.current_time()
    async with beating(fetcher, lambda: VIEW):
        await trio.sleep(30)
    assert trio.current_time() == began + 30
