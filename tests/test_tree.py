import math

import pytest
import trio
from trio.testing import MockClock

from jobping.core.gate_state import GateRules
from jobping.core.ladder import Tier
from jobping.core.limiter import LimiterRules
from jobping.core.quota import Quota, Span
from jobping.errors import StoreConflict, StoreUnavailable
from jobping.sources import SOURCES
from jobping.sources.source import Pace, Source
from jobping.tree import RootPolicy, limiter_rules, on_tier, source_rules, together_rules
from supervisors import (
    ActorError,
    AskTimeout,
    ChildSpec,
    Context,
    RestartLimitExceeded,
    Strategy,
    Supervisor,
    SupervisorSpec,
)


class Failing:
    """An actor that fails so often, a second after each start, and then runs."""

    def __init__(self, error: Exception, times: float, *, is_ready: bool = True) -> None:
        self.error, self.left, self.is_ready = error, times, is_ready
        self.starts: list[float] = []

    async def run(self, ctx: Context[object]) -> None:
        self.starts.append(trio.current_time())
        if self.is_ready or len(self.starts) == 1:
            ctx.started()
        if self.left > 0:
            self.left -= 1
            await trio.sleep(1)
            raise self.error
        if not self.is_ready and len(self.starts) > 1:
            ctx.started()
        await ctx.stop_requested.wait()


async def run_tree(*, store: Failing, other: Failing, for_s: float) -> None:
    """Run two children under the root's policy; raises what the root gives up with."""
    children = (
        ChildSpec[object](id="store", start=store.run),
        ChildSpec[object](id="other", start=other.run),
    )
    spec = SupervisorSpec(children=children, strategy=Strategy.REST_FOR_ONE, policy=RootPolicy())
    supervisor = Supervisor(spec)
    with trio.move_on_after(for_s):
        await supervisor.run()


def well() -> Failing:
    return Failing(RuntimeError(), 0)


@pytest.mark.parametrize(
    "error",
    [StoreUnavailable("away"), AskTimeout("root/ingest", 60.0), ActorError("root/ingest")],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("is_ready", [True, False])
async def test_store_that_is_away_is_waited_out_beyond_any_limit(
    autojump_clock: MockClock, error: Exception, *, is_ready: bool
) -> None:
    """Also by an actor that cannot even start again without the store."""
    store, other = well(), Failing(error, 100, is_ready=is_ready)
    began = trio.current_time()
    await run_tree(store=store, other=other, for_s=1000)
    assert [at - began for at in other.starts] == [number * 6.0 for number in range(101)]
    assert len(store.starts) == 1


@pytest.mark.parametrize("error", [RuntimeError("bug"), StoreConflict("a rule of ours")])
async def test_any_other_crash_is_restarted_until_the_limit_ends_the_daemon(
    autojump_clock: MockClock, error: Exception
) -> None:
    few = Failing(error, 2)
    await run_tree(store=well(), other=few, for_s=1000)
    assert len(few.starts) == 3
    many = Failing(error, math.inf)
    with pytest.raises(RestartLimitExceeded) as ended:
        await run_tree(store=well(), other=many, for_s=1000)
    assert ended.value.child == "other"
    assert len(many.starts) <= 10


async def test_store_that_gives_up_itself_is_not_waited_out(autojump_clock: MockClock) -> None:
    store, other = Failing(StoreUnavailable("no server"), math.inf), well()
    with pytest.raises(RestartLimitExceeded) as ended:
        await run_tree(store=store, other=other, for_s=1000)
    assert ended.value.child == "store"
    assert len(other.starts) == len(store.starts) <= 10


# --- the pace of a host


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_individual_tier_has_at_most_a_quarter_of_the_pace(source: Source) -> None:
    usual = limiter_rules([source.pace])
    slow = GateRules(limiter=on_tier(usual, Tier.INDIVIDUAL))
    assert slow.limiter.rate == slow.pace.max_rate == usual.rate / 4
    assert (slow.limiter.burst, slow.limiter.min_gap_s) == (1, 4 * usual.min_gap_s)
    assert slow.limiter.quotas == usual.quotas
    assert on_tier(usual, Tier.RELIABLE) == on_tier(usual, Tier.BACKFILL) == usual


def test_sources_with_single_postings_have_an_individual_route_and_feeds_have_none() -> None:
    assert {source.name for source in SOURCES if source.has_individual} == {
        "arbeitsagentur", "ashby", "bamboohr", "breezy", "greenhouse", "lever", "personio",
        "recruitee", "reed", "site", "smartrecruiters", "workable", "workday",
    }  # fmt: skip


def test_host_that_sources_share_keeps_the_strictest_figure_of_each_kind() -> None:
    paces = [
        Pace(per_hour=3600, min_gap_s=1, burst=5, quotas=(Quota(Span.DAY, 24),)),
        Pace(per_hour=36, min_gap_s=30, burst=9),
        Pace(per_hour=360, min_gap_s=0, burst=3, quotas=(Quota(Span.DAY, 100),)),
    ]
    assert limiter_rules(paces) == LimiterRules(
        rate=0.01, burst=3, min_gap_s=30, concurrency=1, quotas=(Quota(Span.DAY, 24),)
    )


def test_day_of_a_host_without_a_quota_is_counted_all_the_same() -> None:
    rules = limiter_rules([Pace(per_hour=3600, burst=2)])
    assert rules.quotas == (Quota(Span.DAY, 25 * 3600 + 2),)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_hosts_of_a_source_share_its_figures(source: Source) -> None:
    pace = source.pace
    assert source_rules(pace) == LimiterRules(
        rate=pace.per_hour / 3600, burst=pace.burst, quotas=pace.quotas
    )
    assert limiter_rules([pace]).concurrency == 1


@pytest.mark.parametrize("figures", [(100, 5000), (50, 2000), (100, 200), (20, 1e6), (1e6, 1e6)])
def test_all_domains_together_keep_both_figures_in_any_minute_and_hour(
    figures: tuple[float, float],
) -> None:
    per_minute, per_hour = figures
    rules = together_rules(per_minute, per_hour)
    assert rules.burst + 60 * rules.rate <= per_minute + 1e-6
    assert rules.burst + 3600 * rules.rate <= per_hour + 1e-6
    assert rules.rate * 3600 >= 0.9 * min(per_hour, 60 * per_minute)
