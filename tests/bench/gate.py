"""What the gate's whole decision costs beside a bare exchange; peers' limiters and breakers.

A decision is `admit` and `record`: limiter, learned pace, breaker and retry budget. A bare exchange
is one of our fetcher, without gate, mailbox and log, with a server in a process of its own.
"""

import asyncio
import contextlib
import datetime as dt
import random
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import ip_network

import trio

from jobping.clock import Clock
from jobping.core import gate
from jobping.core.addresses import domain_of
from jobping.core.gate_state import Admit, GateRules
from jobping.core.ids import Monotonic
from jobping.core.limiter import LimiterRules
from jobping.core.outcome import Ok
from jobping.core.page import Page, PageRequest
from jobping.core.quota import Quota, Span
from jobping.fetch import FetchLimits, open_fetcher
from tests.bench.contender import Contender, Meter, Shape

BODY = b'{"jobs": "%b"}' % (b"x" * 1_485)  # 1.5 KB, as a small answer
NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
RULES = GateRules(limiter=LimiterRules(rate=1.0, concurrency=1, quotas=(Quota(Span.DAY, 10**9),)))
APART_S = 1.5  # seconds of virtual time between two decisions: each is admitted
SERVER = f"""
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "{len(BODY)}")
        self.end_headers()
        self.wfile.write({BODY!r})

    def log_message(self, *words):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
print(server.server_port, flush=True)
server.serve_forever()
"""


def decide(meter: Meter) -> None:
    """Admit and record one good request after the other."""
    rng, now = random.Random(1), 0.0
    state = gate.fresh(RULES, Monotonic(now))
    for number in meter.each():
        now += APART_S
        state, decision = gate.admit(state, RULES, Monotonic(now), NOON)
        assert isinstance(decision, Admit), decision
        state, _ = gate.record(state, RULES, decision.permit, Ok(0.1), Monotonic(now), rng)
        meter.add(2 * number + 1)
    assert state.limiter.grants == meter.begun


@contextlib.contextmanager
def answering() -> Iterator[str]:
    """Run the server until the block ends; yield its URL."""
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/"
    finally:
        process.kill()
        process.communicate()


def exchange(meter: Meter) -> None:
    """Get one small answer after the other over the connection that is kept."""

    async def get_all(url: str) -> None:
        async with open_fetcher(
            limits=FetchLimits(),
            allow=(ip_network("127.0.0.0/8"),),
            user_agent="JobPing-bench",
            emit=lambda event, **fields: None,
            clock=Clock(),
        ) as fetcher:
            request, hosts = PageRequest(url=url), frozenset({domain_of(url)})
            for number in meter.each():
                async with fetcher.exchange(request, hosts=hosts) as one:
                    answer = await one.run()
                assert isinstance(answer, Page), answer
                assert answer.body == BODY
                meter.add(2 * number + 1)

    with answering() as url:
        trio.run(get_all, url)


def acquire_aiolimiter(meter: Meter) -> None:
    """Acquire from aiolimiter's leaky bucket, which never waits here."""
    import aiolimiter

    async def acquire_all() -> None:
        limiter = aiolimiter.AsyncLimiter(10**9, 1)
        for number in meter.each():
            await limiter.acquire()
            meter.add(2 * number + 1)

    asyncio.run(acquire_all())


def ask_throttled(meter: Meter) -> None:
    """Ask throttled-py's GCRA in memory."""
    import throttled

    quota = throttled.rate_limiter.per_sec(10**6, burst=10**6)
    limiter = throttled.Throttled(key="site", using="gcra", quota=quota)
    for number in meter.each():
        assert not limiter.limit().limited
        meter.add(2 * number + 1)


def call_pybreaker(meter: Meter) -> None:
    """Call through pybreaker's closed breaker."""
    import pybreaker

    breaker = pybreaker.CircuitBreaker(fail_max=5)
    for number in meter.each():
        meter.add(breaker.call(lambda: 2 * number + 1))  # noqa: B023 - called at once


SHAPES = (
    Shape(
        name="decision",
        units=3_000,
        contenders=(
            Contender("decision", decide),
            Contender("bare exchange", exchange),
            Contender("aiolimiter", acquire_aiolimiter, needs="aiolimiter"),
            Contender("throttled-py", ask_throttled, needs="throttled"),
            Contender("pybreaker", call_pybreaker, needs="pybreaker"),
        ),
    ),
)
