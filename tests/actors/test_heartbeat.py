import datetime as dt
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from jobping.actors.heartbeat import Heartbeat
from jobping.actors.messages import DomainsView, DomainView, ReadDomains
from jobping.core import gate as gate_rules
from jobping.core.ids import Domain, Monotonic
from jobping.core.ladder import Tier
from jobping.fetch import Fetcher
from jobping.store.bridge import Database
from supervisors import ChildSpec, Context, Mailbox
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
    fetcher: Fetcher, answer: Callable[[], Exception | None]
) -> AsyncIterator[Events]:
    """Run a heartbeat beside a degradation that answers, fails, or is silent for ever."""
    events = Events()
    box: Mailbox[ReadDomains] = Mailbox()

    async def degradation(ctx: Context[ReadDomains]) -> None:
        ctx.started()
        async for delivery in ctx.inbox:
            error = answer()
            if error is not None:
                raise error
            delivery.reply(DomainsView(views=(VIEW,)))

    async def run(ctx: Context[object]) -> None:
        await Heartbeat(
            degradation=box.ref,
            database=Database(),
            fetcher=fetcher,
            resident_bytes=lambda: 12_345,
            emit=events,
            duty=trio.sleep_forever,
        ).run(ctx)

    async with open_tree(
        ChildSpec(id="degradation", start=degradation, mailbox=box),
        ChildSpec(id="heartbeat", start=run),
    ):
        yield events


async def test_heartbeat_says_once_a_minute_how_everything_stands(
    autojump_clock: MockClock, fetcher: Fetcher
) -> None:
    async with beating(fetcher, lambda: None) as events:
        await trio.sleep(59)
        assert events.seen == []
        await trio.sleep(122)
    assert events.names() == ["stats.taken"] * 3
    fields = events.seen[0][1]
    assert fields["domains"] == {
        "boards.example": {
            "tier": "backfill",
            "breaker": "closed",
            "grants": 0,
            "refusals": 0,
            "rate": 1000.0,
            "ceiling": None,
            "daily_used": 0,
            "retry_budget": 3.0,
            "waits_for": None,
            "blocked_s": 0,
        }
    }
    assert (fields["resident_bytes"], fields["requests"], fields["pool_size"]) == (12_345, 0, 0)


async def test_heartbeat_goes_on_without_domains_while_their_supervisor_is_down(
    autojump_clock: MockClock, fetcher: Fetcher
) -> None:
    async with beating(fetcher, lambda: RuntimeError("crashed")) as events:
        await trio.sleep(61)
        await trio.sleep(60)
    assert [fields["domains"] for _, fields in events.seen] == [{}, {}]


async def test_heartbeat_stops_at_once(autojump_clock: MockClock, fetcher: Fetcher) -> None:
    began = trio.current_time()
    async with beating(fetcher, lambda: None):
        await trio.sleep(30)
    assert trio.current_time() == began + 30
