"""Requests and whole actors of many domains, cancelled at random checkpoints: nothing is lost."""

import contextlib
import random
import secrets
import socket
import types
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Generator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import attrs
import pytest
import trio
from trio.testing import MockClock

from jobping.actors.domain_gate import DomainGate
from jobping.actors.shared_pace import SharedPace
from jobping.core.breaker import BreakerRules, HalfOpenPolicy, Phase
from jobping.core.gate_state import GateRules
from jobping.core.ids import Domain
from jobping.core.ladder import LadderRules, Tier
from jobping.core.limiter import LimiterRules
from jobping.core.network import NetworkRules
from jobping.core.page import Page, PageRequest
from jobping.core.quota import Quota, Span
from jobping.core.retry import RetryRules
from jobping.core.schedule import PollRules
from jobping.errors import FetchError, MalformedPage
from jobping.sources.recruitee import RECRUITEE
from jobping.sources.source import with_base_url
from supervisors import ChildExited, Context, Mailbox, RestartChild, Verdict
from tests.actors.rig import Rig, eventually, listener, open_tree
from tests.doubles.asking import open_test_fetcher
from tests.doubles.fault_server import (
    After,
    Behaviour,
    FaultServer,
    Received,
    chunked,
    delay,
    head,
    open_fault_server,
    raw,
    reset,
    respond,
)

R = TypeVar("R")

DOMAINS = 20
GOOD = respond(b'{"offers": []}')


async def say_nothing(stream: trio.abc.Stream, _received: Received) -> After:
    """Wait until the client has gone."""
    while await stream.receive_some(65_536):
        pass
    return After.CLOSE


BEHAVIOURS: tuple[Behaviour, ...] = (
    *[GOOD] * 6,
    chunked(b'{"offers"', b": []}"),
    delay(0.003, GOOD),
    raw(head(200, ("Content-Length", "14"), ("Connection", "close")) + b'{"offers": []}'),
    respond(b"", status=500),
    respond(b"", status=429),
    reset(head(200, ("Content-Length", "9"))),
    raw(b"nonsense\r\n\r\n", after=After.CLOSE),
    say_nothing,
)
BRITTLE = GateRules(
    limiter=LimiterRules(
        rate=1e6,
        burst=10**6,
        concurrency=1,
        quotas=(Quota(Span.DAY, 10**6),),
        backoff_s=0.005,
        max_backoff_s=0.01,
    ),
    breaker=BreakerRules(
        consecutive=2,
        open_s=0.01,
        close_after=2,
        half_open_policy=HalfOpenPolicy.FIRST_FAILURE,
    ),
    retry=RetryRules(attempts=2, base_s=0.001),
)
"""A breaker that opens and half-opens all the time, and waits for ever for a lost permit."""
TOGETHER = LimiterRules(rate=1e6, burst=10**6, concurrency=DOMAINS)
"""A shared pace that refuses for good once a grant of it is lost."""
ONE_TIER = LadderRules(tiers=(Tier.RELIABLE,))
QUICK = NetworkRules(window_s=0.2, probe_s=0.01, longest_s=0.02)


@types.coroutine
def interrupted(
    work: Coroutine[Any, Any, R], steps: int, scope: trio.CancelScope
) -> Generator[Any, Any, R]:
    """Run work, and cancel the scope at the checkpoint after so many."""
    sent = None
    while True:
        try:
            trap = work.send(sent)
        except StopIteration as ended:
            return ended.value
        if steps == 0:
            scope.cancel()
        steps -= 1
        sent = yield trap


@attrs.define(eq=False, kw_only=True)
class Stage:
    """Many domains on one server that behaves at random, and a resolver that may find no name.

    Attributes:
        asked: How often each host was.
        cancelled: How much work was cancelled.
        is_calm: All is well from now on.
    """

    rig: Rig
    dice: random.Random
    asked: Counter[str] = attrs.field(factory=Counter)
    cancelled: int = 0
    is_calm: bool = False
    has_names: bool = True
    server: FaultServer = attrs.field(init=False)

    async def behave(self, stream: trio.abc.Stream, received: Received) -> After:
        self.asked[received.header("host") or ""] += 1
        behaviour = GOOD if self.is_calm else self.dice.choice(BEHAVIOURS)
        return await behaviour(stream, received)

    async def resolve(self, _host: str, _port: int) -> Sequence[str]:
        await trio.lowlevel.checkpoint()
        if not self.has_names:
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return ["127.0.0.1"]

    @property
    def domains(self) -> list[Domain]:
        return [Domain(f"company-{n}.test:{self.server.port}") for n in range(DOMAINS)]

    async def lose_names_now_and_then(self) -> None:
        while True:
            await trio.sleep(0.3)
            self.has_names = False
            await trio.sleep(0.3)
            self.has_names = True

    async def assert_nothing_left(self) -> None:
        """Check places and connections when nobody asks."""
        statistics = self.rig.fetcher.statistics()
        assert (statistics.in_flight, statistics.open <= DOMAINS) == (0, True), statistics
        await eventually(lambda: self.server.open <= DOMAINS)
        print(f"{self.cancelled} cancelled, {self.asked.total()} arrived, {self.server.open} open")


@pytest.fixture
async def stage(rig: Rig) -> AsyncIterator[Stage]:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    made = Stage(rig=rig, dice=random.Random(seed))
    async with (
        open_fault_server(made.behave) as server,
        open_test_fetcher(resolve=made.resolve) as fetcher,
    ):
        made.server, rig.fetcher = server, fetcher
        rig.network.rules = QUICK
        yield made


@asynccontextmanager
async def troubled(stage: Stage) -> AsyncIterator[trio.Nursery]:
    """Run tasks while names get lost now and then; afterwards all is well."""
    async with trio.open_nursery() as around:
        around.start_soon(stage.lose_names_now_and_then)
        async with trio.open_nursery() as tasks:
            yield tasks
        around.cancel_scope.cancel()
    stage.is_calm, stage.has_names = True, True


# --- requests


async def body_of(page: Page) -> bytes:
    await trio.lowlevel.checkpoint()
    return page.body


async def ask(gate: DomainGate) -> bytes:
    request = PageRequest(url=f"http://{gate.domain}/api/offers/")
    answer = await gate.ask(request, body_of, hosts=frozenset({gate.domain}))
    assert isinstance(answer, bytes)
    return answer


async def ask_and_cancel(stage: Stage, gate: DomainGate, times: int) -> None:
    while times > 0:
        deadline = trio.current_time() + 0.1  # for what hangs
        scope = trio.CancelScope(deadline=deadline)
        with scope, contextlib.suppress(FetchError, MalformedPage):
            await interrupted(ask(gate), stage.dice.randrange(40), scope)
        times -= scope.cancelled_caught
        stage.cancelled += scope.cancelled_caught
        assert gate.view().in_flight == 0


@pytest.mark.parametrize("times", [500, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_every_domain_fetches_after_requests_were_cancelled_at_random_checkpoints(
    stage: Stage, times: int
) -> None:
    rig, gates = stage.rig, list[DomainGate]()
    together = SharedPace(rules=TOGETHER, clock=rig.clock)
    for domain in stage.domains:
        gates.append(await rig.loaded_gate(domain, rules=BRITTLE))
        gates[-1].shared = (together,)
    async with troubled(stage) as tasks:
        for gate in gates:
            tasks.start_soon(ask_and_cancel, stage, gate, times // DOMAINS)
    assert {"breaker.half_opened", "network.lost"} <= set(rig.events.names())
    assert sum(gate.view().daily_used for gate in gates) >= stage.asked.total()
    for gate in gates:
        with trio.fail_after(10):
            answers = [await ask(gate) for _ in range(3)]
        assert answers == [b'{"offers": []}'] * 3
        assert (gate.view().breaker, gate.view().in_flight) == (Phase.CLOSED, 0)
    assert not rig.network.is_down
    await stage.assert_nothing_left()


# --- whole actors


@attrs.frozen
class AtOnce:
    """A policy that starts whatever ends again at once."""

    def decide(self, exited: ChildExited, error: Exception | None) -> Verdict:
        return RestartChild(delay=0.01)


@pytest.mark.parametrize("times", [200, pytest.param(1_000, marks=pytest.mark.slow)])
async def test_every_domain_is_polled_after_its_actor_was_cancelled_at_random_checkpoints(
    stage: Stage, clock: MockClock, times: int
) -> None:
    rig = stage.rig
    source = with_base_url(RECRUITEE, f"http://{{slug}}.test:{stage.server.port}")
    for number in range(DOMAINS):
        await rig.add_board(source, f"company-{number}")
    cycle, firsts = Mailbox[Any](), list[trio.CancelScope]()
    async with rig.open_ingest() as ingest, open_tree(listener("cycle", cycle)):
        always = {source.name: PollRules(poll_every_s=0.001, retry_s=0.001)}
        parts = attrs.evolve(rig.parts((source,), ingest, cycle), polls=always)
        children = [
            rig.scraper_child(
                domain, parts, rules=BRITTLE, ladder=rig.ladder(domain, rules=ONE_TIER)
            )
            for domain in stage.domains
        ]

        def cut_off(child: Any) -> Any:
            async def start(ctx: Context[Any]) -> None:
                with trio.CancelScope() as scope:
                    if stage.is_calm:
                        await child.start(ctx)
                    elif ctx.incarnation == 1:  # the tree is up when each of them is ready
                        firsts.append(scope)
                        await child.start(ctx)
                    else:
                        scope.deadline = trio.current_time() + 0.2  # for what hangs
                        await interrupted(child.start(ctx), stage.dice.randrange(150), scope)
                stage.cancelled += scope.cancelled_caught

            return attrs.evolve(child, start=start)

        async with open_tree(*map(cut_off, children), policy=AtOnce()):
            for scope in firsts:
                scope.cancel()
            async with troubled(stage):
                await eventually(lambda: stage.cancelled >= times, within_s=110)
            stage.asked.clear()
            await eventually(lambda: len(stage.asked) == DOMAINS, within_s=30)
            assert rig.fetcher.statistics().open <= DOMAINS
    assert not rig.network.is_down
    await stage.assert_nothing_left()
