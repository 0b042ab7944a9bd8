"""An operator's orders to a domain: what they do at once, and what of it survives a restart."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from jobping.actors.degradation import Place
from jobping.actors.messages import (
    DegradationMessage,
    DomainView,
    ObeyOrder,
    OrderDomain,
    OrderRefused,
)
from jobping.actors.operator import Generation, Operator
from jobping.actors.statistics import Sample
from jobping.core import breaker
from jobping.core import gate as gate_rules
from jobping.core.breaker import BreakerRules, Phase
from jobping.core.gate_state import GateState
from jobping.core.ids import Monotonic
from jobping.core.ladder import LadderRules, Tier
from jobping.core.order import Order, ordered
from supervisors import ActorFunction, ChildSpec, Context, Mailbox, Ref
from tests.actors.rig import FAST, Rig, eventually, greenhouse, open_tree
from tests.actors.test_degradation import SITE, Stage, board, degrading
from tests.actors.test_domain_gate import BRITTLE
from tests.actors.test_scraper import GREENHOUSE, Scraping, at, scraping
from tests.doubles.fault_server import open_fault_server, respond
from tests.doubles.postgres import Events

NOW = Monotonic(100.0)
UNWELL = BreakerRules(open_s=300.0)


def gate_in(phase: Phase) -> GateState:
    state = gate_rules.fresh(FAST, NOW)
    held = attrs.evolve(state.breaker, phase=phase, until_ns=10**15, attempts=3)
    return attrs.evolve(state, breaker=held)


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("phase", Phase)
def test_order_changes_the_breaker_alone_or_is_refused(phase: Phase, order: Order) -> None:
    before = gate_in(phase)
    answer = ordered(before, FAST, order, NOW)
    is_held = phase is Phase.FORCED_OPEN
    if (order, is_held) in [(Order.HOLD, True), (Order.PROBE, True), (Order.RELEASE, False)]:
        assert isinstance(answer, str)
        return
    assert isinstance(answer, tuple)
    after = answer[0]
    assert after.limiter == before.limiter
    match order:
        case Order.HOLD:
            assert after.breaker.phase is Phase.FORCED_OPEN
        case Order.RELEASE | Order.RESET:
            assert (after.breaker.phase, after.breaker.attempts) == (Phase.CLOSED, 0)
        case Order.PROBE:
            assert after.breaker.phase in (phase, Phase.HALF_OPEN)
            assert breaker.retry_in_s(after.breaker, NOW) == 0


async def obey(running: Scraping, order: Order) -> DomainView | OrderRefused:
    return await running.box.ref.ask(ObeyOrder(order), within=2.0)


async def test_held_domain_is_asked_nothing_until_released_also_after_a_restart(
    rig: Rig, clock: MockClock
) -> None:
    async with open_fault_server(respond(greenhouse(1))) as server:
        source = at(GREENHOUSE, server)
        await rig.add_board(source)
        async with scraping(rig, server.domain, source) as running:
            await running.wait_polled(1)
            view = await obey(running, Order.HOLD)
            assert isinstance(view, DomainView)
            assert (view.gate.breaker, view.next_in_s) == (Phase.FORCED_OPEN, None)
            assert view.waits_for == "held"
        async with scraping(rig, server.domain, source) as running:
            clock.jump(7200)  # the board is due
            await trio.sleep(0.1)
            assert (await running.view()).waits_for == "held"
            assert len(server.requests) == 1
            assert await obey(running, Order.HOLD) == OrderRefused("is held already")
            assert isinstance(await obey(running, Order.RELEASE), DomainView)
            await running.wait_polled(1)
            assert len(server.requests) == 2
            assert await obey(running, Order.RELEASE) == OrderRefused("is not held")
    orders = [name for name in rig.events.names() if name.startswith("domain.")]
    assert orders == ["domain.held", "domain.released"]


async def test_probe_asks_once_though_nothing_is_due(rig: Rig) -> None:
    async with open_fault_server(respond(greenhouse(1))) as server:
        source = at(GREENHOUSE, server)
        await rig.add_board(source)
        async with scraping(rig, server.domain, source) as running:
            await running.wait_polled(1)
            await eventually(lambda: len(server.requests) == 1)
            assert isinstance(await obey(running, Order.PROBE), DomainView)
            await running.wait_polled(2)
            await trio.sleep(0.1)
            assert len(server.requests) == 2
            assert (await running.view()).succeeded_at is not None


async def test_probe_is_sent_though_the_breaker_would_wait_and_decides_about_it(rig: Rig) -> None:
    async with open_fault_server(respond(b"", status=500)) as server:
        source = at(GREENHOUSE, server)
        for slug in ("a", "b", "c"):
            await rig.add_board(source, slug)
        async with scraping(rig, server.domain, source, rules=BRITTLE) as running:
            await eventually(lambda: bool(rig.said("breaker.opened")))
            await trio.sleep(0.05)
            view = await running.view()
            assert (len(server.requests), view.waits_for) == (2, "breaker")
            assert view.next_in_s == pytest.approx(300, abs=5)
            server.behaviours["*"] = respond(greenhouse(1))
            await obey(running, Order.PROBE)
            await eventually(lambda: bool(rig.said("breaker.closed")))


async def test_probe_makes_the_trial_of_a_lower_tier_now(rig: Rig) -> None:
    async with open_fault_server(respond(greenhouse(1))) as server:
        source = at(GREENHOUSE, server)
        await rig.add_board(source)
        ladder = rig.ladder(server.domain, Tier.BACKFILL, LadderRules(up=2, cooldown_s=900))
        async with scraping(rig, server.domain, source, ladder=ladder) as running:
            await running.wait_polled(1)
            view = await running.view()
            assert (view.tier, view.waits_for) == (Tier.BACKFILL, "trial")
            await obey(running, Order.HOLD)
            await obey(running, Order.RELEASE)
            await trio.sleep(0.05)
            assert server.requests == []
            await obey(running, Order.PROBE)
            await eventually(lambda: rig.said("tier.probed") != [])
            assert rig.said("tier.probed")[0]["good"] is True


async def test_reset_returns_a_domain_to_its_first_tier(rig: Rig) -> None:
    async with open_fault_server(respond(greenhouse(1))) as server:
        source = at(GREENHOUSE, server)
        await rig.add_board(source)
        ladder = rig.ladder(server.domain, Tier.BACKFILL, LadderRules(cooldown_s=900))
        async with scraping(rig, server.domain, source, ladder=ladder) as running:
            await running.wait_polled(1)
            view = await obey(running, Order.RESET)
            assert isinstance(view, DomainView)
            assert view.tier is Tier.RELIABLE
            await eventually(lambda: running.ends != [])
            assert running.ends[0][1] is None
        [(_, saved)] = await rig.stores.gates.all()
        assert saved.tier == "reliable"


async def test_order_that_cannot_be_stored_says_so(rig: Rig) -> None:
    async with open_fault_server(respond(greenhouse(1))) as server:
        source = at(GREENHOUSE, server)
        await rig.add_board(source)
        async with scraping(rig, server.domain, source) as running:
            await running.wait_polled(1)
            rig.faulty.is_down = True
            answer = await obey(running, Order.HOLD)
            rig.faulty.is_down = False
            assert isinstance(answer, OrderRefused)
            assert "only until a restart" in answer.why


# --- from the socket's words to a domain


def operator(degradation: Ref[DegradationMessage]) -> Operator:

    async def look() -> Sample:
        return Sample(figures={"uptime_s": 7.5}, domains=None)

    return Operator(
        directory=Path(),
        run_id="run-1",
        look=look,
        degradation=degradation,
        generation=Generation,
        reload=lambda: 3,
    )


async def asked(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Ask the operator's actor above a degradation with one domain whose actor takes no orders."""
    stage = Stage(rows=[board(1, SITE)])
    async with degrading(stage.active_boards, stage.make_actor) as (box, _):
        return await operator(box.ref).answer(request)


async def test_domains_are_told_as_json(autojump_clock: MockClock) -> None:
    answer = await asked({"ask": "domains"})
    [record] = json.loads(json.dumps(answer["domains"]))
    assert (record["domain"], record["tier"], record["breaker"]) == (SITE, "reliable", "closed")
    assert answer["elsewhere"] == []


async def test_status_is_a_sample_with_the_name_of_the_run(autojump_clock: MockClock) -> None:
    answer = await asked({"ask": "status"})
    assert answer == {"run": "run-1", "version": answer["version"], "stats": {"uptime_s": 7.5}}


@pytest.mark.parametrize(
    ("domain", "said"),
    [
        ("board.example", "did you mean boards.example?"),
        ("x", "`jobping domains` shows all"),
    ],
)
async def test_order_to_an_unknown_domain_names_near_ones(
    autojump_clock: MockClock, domain: str, said: str
) -> None:
    answer = await asked({"order": "hold", "domain": domain})
    assert said in answer["error"]
    assert domain in answer["error"]


@pytest.mark.parametrize(
    "request_", [{}, {"ask": "secrets"}, {"order": "explode", "domain": SITE}, {"order": "hold"}]
)
async def test_unknown_request_is_refused(
    autojump_clock: MockClock, request_: dict[str, str]
) -> None:
    assert (await asked(request_))["error"] == "this daemon does not know that request"


async def test_order_that_gets_no_answer_in_time_is_not_called_refused(
    autojump_clock: MockClock,
) -> None:
    """The actor has it in hand and may obey: a slow database is no restart."""
    stage = Stage(rows=[board(1, SITE)])

    def make_actor(_place: Place) -> ActorFunction[object]:
        async def slow(ctx: Context[object]) -> None:
            ctx.started()
            async for _ in ctx.inbox:
                await trio.sleep(5.0)

        return slow

    async with degrading(stage.active_boards, make_actor) as (box, _):
        answer = await operator(box.ref).answer({"order": "hold", "domain": SITE})
    assert "`jobping domains` shows whether it has obeyed" in answer["error"]


async def test_reload_is_asked_for_and_followed(autojump_clock: MockClock) -> None:
    assert await asked({"order": "reload"}) == {"tries": 3}
    assert await asked({"ask": "generation"}) == {"number": 1, "tries": 0, "refused": None}


async def test_daemon_that_starts_just_now_says_so(autojump_clock: MockClock) -> None:
    box: Mailbox[OrderDomain] = Mailbox()
    events = Events()

    async def silent(ctx: Context[OrderDomain]) -> None:
        ctx.started()
        await ctx.stop_requested.wait()

    async with open_tree(ChildSpec(id="degradation", start=silent, mailbox=box)):
        for request in ({"ask": "domains"}, {"order": "hold", "domain": SITE}):
            answer = await operator(box.ref).answer(request)
            assert "try again" in answer["error"]
    assert events.seen == []
