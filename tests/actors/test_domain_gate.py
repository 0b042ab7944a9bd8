import contextlib
import itertools
import random
from collections.abc import Sequence

import attrs
import pytest
import trio
from trio.testing import MockClock

from jobping.actors.domain_gate import DomainGate
from jobping.core import gate as gate_rules
from jobping.core import gate_text
from jobping.core.breaker import BreakerRules, Phase
from jobping.core.gate_state import GateRules
from jobping.core.ids import Domain, Monotonic
from jobping.core.ladder import Tier
from jobping.core.limiter import LimiterRules
from jobping.core.order import Order
from jobping.core.pace import PaceRules
from jobping.core.page import Page, PageRequest, Redirected
from jobping.core.quota import Quota, Span
from jobping.core.retry import RetryRules
from jobping.errors import MalformedPage, StoreUnavailable, Throttled, Unavailable, Unreached
from tests.actors.rig import FAST, Rig, eventually
from tests.doubles.asking import open_test_fetcher
from tests.doubles.fault_server import (
    After,
    Behaviour,
    FaultServer,
    Received,
    delay,
    hang,
    head,
    in_turn,
    open_fault_server,
    raw,
    redirect,
    reset,
    respond,
)
from tests.doubles.leases import hold

BRITTLE = attrs.evolve(FAST, breaker=BreakerRules(consecutive=2, open_s=300.0))
UNHEALTHY = respond(b"", status=500)


async def body_of(page: Page) -> bytes:
    return page.body


async def ask(gate: DomainGate, server: FaultServer, path: str = "/jobs") -> bytes | Redirected:
    hosts = frozenset({Domain(server.domain)})
    with trio.fail_after(10):
        return await gate.ask(PageRequest(url=server.url(path)), body_of, hosts=hosts)


async def stored_grants(rig: Rig, domain: str) -> int:
    saved = await rig.stores.gates.load(Domain(domain))
    assert saved is not None
    now = rig.clock.monotonic()
    state = gate_text.load(saved.state, FAST, now, saved.elapsed_s)
    return gate_rules.view(state, FAST, now, rig.clock.utcnow()).daily_used


# --- the row goes first


async def test_row_shows_the_grant_before_the_request_arrives(rig: Rig) -> None:
    stored: list[int] = []

    async def look(stream: trio.abc.Stream, received: Received) -> After:
        stored.append(await stored_grants(rig, server.domain))
        return await respond(b"page")(stream, received)

    async with open_fault_server(look) as server:
        gate = await rig.loaded_gate(server.domain)
        answers = [await ask(gate, server) for _ in range(3)]
    assert answers == [b"page"] * 3
    assert stored == [1, 2, 3]


async def test_nothing_is_sent_and_the_grant_taken_back_while_the_store_is_away(rig: Rig) -> None:
    async with open_fault_server(respond()) as server:
        gate = await rig.loaded_gate(server.domain)
        before = gate.view()
        rig.faulty.is_down = True
        with pytest.raises(StoreUnavailable):
            await ask(gate, server)
        after = gate.view()
        rig.faulty.is_down = False
        assert (server.requests, server.connections) == ([], 0)
        assert (after.in_flight, after.daily_used) == (before.in_flight, before.daily_used)
        assert await ask(gate, server) == b"{}"


async def test_first_load_stores_the_tier_before_anything_is_asked(rig: Rig) -> None:
    ladder = rig.ladder("boards.example", Tier.BACKFILL)
    await rig.gate("boards.example", ladder=ladder).load()
    [(domain, saved)] = await rig.stores.gates.all()
    assert (domain, saved.tier) == ("boards.example", "backfill")


async def test_load_stores_another_tier_and_keeps_the_state(rig: Rig) -> None:
    async with open_fault_server(respond()) as server:
        await ask(await rig.loaded_gate(server.domain), server)
        ladder = rig.ladder(server.domain, Tier.BACKFILL)
        again = rig.gate(server.domain, ladder=ladder)
        await again.load()
        [(_, saved)] = await rig.stores.gates.all()
    assert (saved.tier, again.view().daily_used) == ("backfill", 1)


TENTH = GateRules(
    limiter=LimiterRules(rate=10, burst=1, concurrency=1),
    pace=PaceRules(max_rate=10, min_rate=1, jitter=0),
)


async def test_pace_counts_from_when_a_request_leaves_not_from_its_grant(rig: Rig) -> None:
    """Between the two the store may take its time, which is no pause that the site sees."""
    came: list[float] = []

    async def answer(stream: trio.abc.Stream, received: Received) -> After:
        came.append(trio.current_time())
        return await respond()(stream, received)

    async with open_fault_server(answer) as server:
        gate = await rig.loaded_gate(server.domain, rules=TENTH)
        for rig.faulty.delay_s in (0.08, 0.0, 0.08, 0.0):
            await ask(gate, server)
    gaps = [after - before for before, after in itertools.pairwise(came)]
    assert min(gaps) > 0.06  # counted from the grant: 0.02; the rest is for a busy machine
    assert rig.said("limiter.violated") == []


async def test_pace_counts_from_a_failed_connection_too(rig: Rig) -> None:
    came: list[float] = []

    async def close(stream: trio.SocketStream) -> None:
        came.append(trio.current_time())
        await stream.aclose()

    rules = attrs.evolve(TENTH, retry=RetryRules(attempts=1), breaker=BreakerRules())
    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, close, [listener])
        domain = Domain(f"127.0.0.1:{listener.socket.getsockname()[1]}")
        await hold(rig.stores.gates.database, domain)
        gate = await rig.loaded_gate(domain, rules=rules)
        request = PageRequest(url=f"https://{domain}/jobs")
        for rig.faulty.delay_s in (0.08, 0.0, 0.08, 0.0):
            with pytest.raises(Unavailable):
                await gate.ask(request, body_of, hosts=frozenset({domain}))
        nursery.cancel_scope.cancel()
    gaps = [after - before for before, after in itertools.pairwise(came)]
    assert len(gaps) == 3
    assert min(gaps) > 0.09


async def test_time_that_we_take_ourselves_does_not_make_a_site_slow(rig: Rig) -> None:
    async def read_slowly(page: Page) -> bytes:
        await trio.sleep(0.2)
        return page.body

    slow = BreakerRules(size=2, min_calls=2, slow_s=0.15, slow_rate=0.5)
    async with open_fault_server(respond(b"page")) as server:
        gate = await rig.loaded_gate(server.domain, rules=attrs.evolve(FAST, breaker=slow))
        hosts = frozenset({Domain(server.domain)})
        rig.faulty.delay_s = 0.2
        for _ in range(2):
            await gate.ask(PageRequest(url=server.url("/jobs")), read_slowly, hosts=hosts)
        assert gate.view().breaker is Phase.CLOSED
        server.behaviours["*"] = delay(0.2, respond())
        await ask(gate, server)
        assert gate.view().breaker is Phase.OPEN


async def test_request_that_leaves_too_early_is_an_error_in_the_log(rig: Rig) -> None:
    """No way is known; so the promise changes behind the limiter's back."""
    async with open_fault_server(respond()) as server:
        gate = await rig.loaded_gate(server.domain, rules=TENTH)
        gate.rules = attrs.evolve(TENTH, pace=PaceRules(max_rate=1, min_rate=1))
        await ask(gate, server)
        await ask(gate, server)
    [said] = rig.said("limiter.violated")
    assert said == {
        "domain": server.domain,
        "rule": "rate",
        "by_s": pytest.approx(0.9, abs=0.1),
    }


# --- what must not be forgotten


async def test_retry_after_is_stored_at_once_and_holds_after_a_reload(rig: Rig) -> None:
    refusal = respond(b"", status=429, headers=(("Retry-After", "120"),))
    async with open_fault_server(in_turn(refusal, respond())) as server:
        with pytest.raises(Throttled):
            await ask(await rig.loaded_gate(server.domain), server)
        again = await rig.loaded_gate(server.domain)
        assert again.view().blocked_s == pytest.approx(120, abs=5)
        assert again.view().refusals == 1
        with trio.move_on_after(0.05) as patience:
            await ask(again, server)
        assert patience.cancelled_caught
        assert len(server.requests) == 1
    [said] = rig.said("limiter.throttled")
    assert said == {
        "domain": server.domain,
        "retry_after_s": pytest.approx(120),
        "clamped": False,
        "refusals": 1,
    }


async def test_request_goes_when_the_wait_that_the_site_asked_for_is_over(
    rig: Rig, clock: MockClock
) -> None:
    refusal = respond(b"", status=429, headers=(("Retry-After", "120"),))
    async with open_fault_server(in_turn(refusal, respond())) as server:
        gate = await rig.loaded_gate(server.domain)
        with pytest.raises(Throttled):
            await ask(gate, server)
        async with trio.open_nursery() as nursery:
            hosts = frozenset({Domain(server.domain)})
            request = PageRequest(url=server.url("/jobs"))
            nursery.start_soon(lambda: gate.ask(request, body_of, hosts=hosts))
            await trio.sleep(0.02)
            clock.jump(118)
            await trio.sleep(0.02)
            assert len(server.requests) == 1
            clock.jump(2)
        assert len(server.requests) == 2
        assert sum(gate.take_waits().values()) == pytest.approx(120, abs=1)
        assert gate.take_waits() == {}
        answers, took_s = gate.take_answers()
        assert answers == {"limited": 1, "ok": 1}
        assert 0 < took_s < 5
        assert gate.take_answers() == ({}, 0.0)


async def test_opened_breaker_is_stored_at_once_and_holds_after_a_reload(rig: Rig) -> None:
    async with open_fault_server(UNHEALTHY) as server:
        gate = await rig.loaded_gate(server.domain, rules=BRITTLE)
        for _ in range(2):
            with pytest.raises(Unavailable):
                await ask(gate, server)
        again = await rig.loaded_gate(server.domain, rules=BRITTLE)
        view = again.view()
        assert (view.breaker, view.breaker_cause, view.opened) == (Phase.OPEN, "5xx", 1)
        assert view.retry_in_s == pytest.approx(300, abs=5)
        with trio.move_on_after(0.05) as patience:
            await ask(again, server)
        assert patience.cancelled_caught
        assert len(server.requests) == 2
    assert [fields["failures"] for fields in rig.said("breaker.opened")] == [2]


async def test_breaker_that_is_switched_off_keeps_nothing_from_going(rig: Rig) -> None:
    off = attrs.evolve(BRITTLE, is_breaker_on=False)
    async with open_fault_server(UNHEALTHY) as server:
        gate = await rig.loaded_gate(server.domain, rules=off)
        for _ in range(3):
            with pytest.raises(Unavailable):
                await ask(gate, server)
        assert gate.view().breaker is Phase.DISABLED
        await gate.save()
        again = await rig.loaded_gate(server.domain, rules=BRITTLE)
        assert again.view().breaker is Phase.CLOSED
    assert len(rig.said("breaker.disabled")) == len(rig.said("breaker.closed")) == 1


async def test_unreadable_page_counts_against_the_domain(rig: Rig) -> None:
    async def unreadable(page: Page) -> None:
        raise MalformedPage("no jobs in it")

    async with open_fault_server(respond()) as server:
        gate = await rig.loaded_gate(server.domain, rules=BRITTLE)
        with pytest.raises(MalformedPage):
            await gate.ask(
                PageRequest(url=server.url()), unreadable, hosts=frozenset({Domain(server.domain)})
            )
        assert (gate.view().breaker, gate.view().breaker_cause) == (Phase.OPEN, "parse")


async def test_redirect_is_an_answer_and_says_nothing_about_health(rig: Rig) -> None:
    async with open_fault_server({"/jobs": redirect("/elsewhere")}) as server:
        gate = await rig.loaded_gate(server.domain, rules=BRITTLE)
        answer = await ask(gate, server)
        assert answer == Redirected(url=server.url("/elsewhere"), permanent=False)
        assert (gate.view().daily_used, gate.view().in_flight) == (1, 0)


async def test_unreadable_saved_state_gives_a_fresh_gate_and_says_so(rig: Rig) -> None:
    states = ['{"format": 99}', "[]", "{}", '"gate"', '{"format": 1, "limiter": 7}']
    fresh = gate_rules.fresh(FAST, Monotonic(0.0))
    fence = await hold(rig.stores.gates.database, "boards.example")
    for state in states:
        await rig.stores.gates.save(fence, state, "reliable")
        gate = await rig.loaded_gate("boards.example")
        assert gate.view() == gate_rules.view(fresh, FAST, Monotonic(0.0), rig.clock.utcnow())
    said = rig.said("gate.reset")
    assert [fields["domain"] for fields in said] == ["boards.example"] * len(states)
    assert all(fields["why"] for fields in said)


# --- the end of a permit


async def test_cancel_before_a_byte_left_takes_the_grant_back(rig: Rig) -> None:
    resolving = trio.Event()

    async def never(_host: str, _port: int) -> list[str]:
        resolving.set()
        await trio.sleep_forever()
        return []

    domain = Domain("boards.example")
    async with open_test_fetcher(resolve=never) as fetcher, trio.open_nursery() as nursery:
        gate = rig.gate(domain, fetcher=fetcher)
        await gate.load()
        request = PageRequest(url="https://boards.example/jobs")
        nursery.start_soon(lambda: gate.ask(request, body_of, hosts=frozenset({domain})))
        with trio.fail_after(5):
            await resolving.wait()
        assert (gate.view().in_flight, gate.view().daily_used) == (1, 1)
        nursery.cancel_scope.cancel()
    assert (gate.view().in_flight, gate.view().daily_used) == (0, 0)


async def test_cancel_after_a_byte_left_keeps_the_grant(rig: Rig) -> None:
    async with open_fault_server(hang()) as server, trio.open_nursery() as nursery:
        gate = await rig.loaded_gate(server.domain)
        nursery.start_soon(ask, gate, server)
        with trio.fail_after(5):
            await server.wait_until(lambda: bool(server.requests))
        nursery.cancel_scope.cancel()
    assert (gate.view().in_flight, gate.view().daily_used) == (0, 1)


async def test_lookup_that_hangs_is_a_failure_of_names(rig: Rig, clock: MockClock) -> None:
    asked = trio.Event()

    async def silent(_host: str, _port: int) -> Sequence[str]:
        asked.set()
        await trio.sleep_forever()
        raise AssertionError

    domain = Domain("silent.example")
    async with open_test_fetcher(resolve=silent) as fetcher, trio.open_nursery() as nursery:
        rig.fetcher = fetcher
        gate = await rig.loaded_gate(domain)
        failures: list[Unavailable] = []

        async def give_up() -> None:
            try:
                await gate.ask(
                    PageRequest(url=f"http://{domain}/"), body_of, hosts=frozenset({domain})
                )
            except Unavailable as error:
                failures.append(error)

        nursery.start_soon(give_up)
        await eventually(asked.is_set)
        clock.jump(30)
        await eventually(lambda: bool(failures))
    assert [error.failure for error in failures] == [Unreached.DNS]


async def test_hanging_site_is_given_up_after_half_a_minute(rig: Rig, clock: MockClock) -> None:
    async with open_fault_server(hang()) as server, trio.open_nursery() as nursery:
        gate = await rig.loaded_gate(server.domain)
        failures: list[Unavailable] = []

        async def give_up() -> None:
            try:
                await gate.ask(
                    PageRequest(url=server.url()), body_of, hosts=frozenset({Domain(server.domain)})
                )
            except Unavailable as error:
                failures.append(error)

        nursery.start_soon(give_up)
        with trio.fail_after(5):
            await server.wait_until(lambda: bool(server.requests))
        clock.jump(29)
        await trio.sleep(0.02)
        assert failures == []
        clock.jump(1)
        await eventually(lambda: bool(failures))
        assert failures[0].failure.value == "timeout"
        assert (gate.view().in_flight, gate.view().daily_used) == (0, 1)


BEHAVIOURS: tuple[Behaviour, ...] = (
    respond(b"x" * 10_000),
    delay(0.004, respond()),
    UNHEALTHY,
    reset(head(200, ("Content-Length", "9"))),
    raw(b"nonsense\r\n\r\n", after=After.CLOSE),
    redirect("/elsewhere"),
    hang(),
)


@pytest.mark.parametrize("seed", range(2))
async def test_every_permit_ends_once_and_counts_as_sent_only_if_it_was(
    rig: Rig, seed: int
) -> None:
    """Whenever it is cancelled: what the quota counts is what left for the site."""
    rng = random.Random(seed)
    tireless = GateRules(
        limiter=LimiterRules(
            rate=1000, burst=1000, concurrency=1, quotas=(Quota(Span.DAY, 10_000),)
        ),
        breaker=BreakerRules(size=1000, min_calls=1000, failure_rate=1.1),
    )
    async with open_fault_server(respond()) as server:
        gate = await rig.loaded_gate(server.domain, rules=tireless)
        for _ in range(60):
            server.behaviours["*"] = rng.choice(BEHAVIOURS)
            with trio.move_on_after(rng.uniform(0, 0.012)):
                with contextlib.suppress(Unavailable, MalformedPage):
                    await ask(gate, server)
            assert gate.view().in_flight == 0
        assert gate.view().daily_used == rig.fetcher.statistics().requests
        assert 0 < len(server.requests) <= gate.view().daily_used < gate.view().grants


async def test_one_request_is_on_its_way_at_a_time_and_the_gap_is_kept(
    rig: Rig, clock: MockClock
) -> None:
    spaced = GateRules(limiter=LimiterRules(rate=1000, burst=1000, min_gap_s=60, concurrency=1))
    moments: list[float] = []

    async def note(stream: trio.abc.Stream, received: Received) -> After:
        moments.append(trio.current_time())
        return await respond()(stream, received)

    async with open_fault_server(note) as server, trio.open_nursery() as nursery:
        gate = await rig.loaded_gate(server.domain, rules=spaced)
        hosts = frozenset({Domain(server.domain)})

        async def ask_thrice() -> None:
            for _ in range(3):
                await gate.ask(PageRequest(url=server.url()), body_of, hosts=hosts)

        nursery.start_soon(ask_thrice)
        for count in (1, 2, 3):
            await eventually(lambda count=count: len(moments) == count)
            await trio.sleep(0.02)
            assert len(moments) == count
            clock.jump(60)
    assert all(later - earlier >= 60 for earlier, later in itertools.pairwise(moments))


# --- again, where that may help


PATIENT = attrs.evolve(FAST, retry=RetryRules(base_s=0.01), breaker=BreakerRules(consecutive=9))


async def test_request_that_failed_is_sent_again_under_the_same_id(rig: Rig) -> None:
    async with open_fault_server(in_turn(UNHEALTHY, UNHEALTHY, respond(b"page"))) as server:
        gate = await rig.loaded_gate(server.domain, rules=PATIENT)
        assert await ask(gate, server) == b"page"
        await ask(gate, server)
    sent = [dict(request.headers) for request in server.requests]
    ids = [headers["x-request-id"] for headers in sent]
    assert ids[0] == ids[1] == ids[2] != ids[3]
    assert [headers["x-attempt"] for headers in sent] == ["1", "2", "3", "1"]
    assert (gate.view().retries, gate.view().daily_used) == (2, 4)


async def test_retries_end_with_their_number_and_with_their_budget(rig: Rig) -> None:
    async with open_fault_server(UNHEALTHY) as server:
        gate = await rig.loaded_gate(server.domain, rules=PATIENT)
        for sent in (3, 5):
            with pytest.raises(Unavailable):
                await ask(gate, server)
            assert len(server.requests) == sent
    assert gate.view().retry_budget < 1


async def test_answer_that_will_not_change_is_asked_for_once(rig: Rig) -> None:
    refusal = respond(b"", status=429, headers=(("Retry-After", "1"),))
    for answer in (respond(b"", status=400), refusal):
        async with open_fault_server(answer) as server:
            gate = await rig.loaded_gate(server.domain, rules=PATIENT)
            with pytest.raises((Unavailable, Throttled)):
                await ask(gate, server)
            assert len(server.requests) == 1


# --- what answers say of limits, and operators


async def test_answer_with_nothing_left_makes_the_next_request_wait(rig: Rig) -> None:
    headers = (("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "50"))
    async with open_fault_server(respond(headers=headers)) as server:
        gate = await rig.loaded_gate(server.domain)
        await ask(gate, server)
        again = await rig.loaded_gate(server.domain)
    assert again.view().blocked_s == pytest.approx(50, abs=5)
    assert rig.said("limiter.blocked") == [{"domain": server.domain, "until_s": pytest.approx(50)}]


async def test_held_gate_waits_and_goes_on_when_released(rig: Rig) -> None:
    async with open_fault_server(respond()) as server, trio.open_nursery() as nursery:
        gate = await rig.loaded_gate(server.domain)
        assert await gate.obey(Order.HOLD) is None
        nursery.start_soon(ask, gate, server)
        await trio.sleep(0.05)
        assert server.requests == []
        again = await rig.loaded_gate(server.domain)
        assert again.view().breaker is Phase.FORCED_OPEN
        assert await gate.obey(Order.RELEASE) is None
        gate.work.wake()
        await eventually(lambda: len(server.requests) == 1)
    assert len(rig.said("breaker.held")) == 1
