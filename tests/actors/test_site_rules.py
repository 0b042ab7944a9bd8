import random
from collections.abc import Mapping

import attrs
import pytest
import trio
from trio.testing import MockClock

from jobping.actors.domain_gate import DomainGate
from jobping.actors.site_rules import SiteRules
from jobping.core.gate_state import GateRules
from jobping.core.ids import Domain
from jobping.core.limiter import LimiterRules
from jobping.core.page import Page, PageRequest
from jobping.core.quota import Quota, Span
from jobping.errors import Denied, FetchError, MalformedPage, Throttled, Unavailable
from tests.actors.rig import DAY_S, FAST, Rig
from tests.doubles.fault_server import (
    Behaviour,
    FaultServer,
    in_turn,
    open_fault_server,
    redirect,
    respond,
)

PRIVATE = b"User-agent: *\nDisallow: /private\n"
SLOW = GateRules(limiter=LimiterRules(rate=1 / 900, concurrency=1, quotas=(Quota(Span.DAY, 4),)))
"""A source that allows four polls a day and four an hour."""


def text(body: bytes, status: int = 200) -> Behaviour:
    return respond(body, status=status, headers=(("Content-Type", "text/plain"),))


@attrs.frozen
class Site:
    rig: Rig
    server: FaultServer
    gate: DomainGate
    rules: SiteRules

    async def check(self, path: str = "/jobs") -> None:
        with trio.fail_after(10):
            await self.rules.check(self.server.url(path), frozenset({Domain(self.server.domain)}))

    async def poll(self) -> None:
        async def read(page: Page) -> Page:
            await trio.lowlevel.checkpoint()
            return page

        request = PageRequest(url=self.server.url("/jobs"))
        await self.gate.ask(request, read, hosts=frozenset({Domain(self.server.domain)}))

    def asked(self) -> list[str]:
        return [received.target for received in self.server.requests]


async def site(rig: Rig, server: FaultServer, rules: GateRules = FAST) -> Site:
    gate = await rig.loaded_gate(server.domain, rules=rules)
    return Site(rig, server, gate, SiteRules(gate=gate, clock=rig.clock, emit=rig.events))


def serving(robots: Behaviour) -> Mapping[str, Behaviour]:
    return {"/robots.txt": robots, "*": respond(b"{}")}


async def test_refused_url_is_said_once_and_never_queued(rig: Rig) -> None:
    async with open_fault_server(serving(text(PRIVATE))) as server:
        here = await site(rig, server)
        await here.check("/jobs")
        with pytest.raises(Denied, match="/private/jobs: denied"):
            await here.check("/private/jobs?page=2")
        assert here.asked() == ["/robots.txt"]
        url = server.url("/private/jobs")
        assert rig.said("robots.denied") == [{"domain": server.domain, "url": url}]


async def test_rules_are_asked_for_once_a_day(rig: Rig, clock: MockClock) -> None:
    async with open_fault_server(serving(in_turn(text(PRIVATE), text(b"")))) as server:
        here = await site(rig, server)
        for _ in range(3):
            with pytest.raises(Denied):
                await here.check("/private")
        assert len(here.asked()) == 1
        clock.jump(DAY_S + 1)
        await here.check("/private")
        assert len(here.asked()) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 451])
async def test_site_without_rules_allows_all_and_is_as_healthy_as_before(
    rig: Rig, status: int
) -> None:
    async with open_fault_server(serving(text(b"User-agent: *\nDisallow: /", status))) as server:
        here = await site(rig, server)
        await here.poll()  # so that a 403 to a board would count as a ban
        for _ in range(3):
            await here.check("/private")
        assert here.asked() == ["/jobs", "/robots.txt"]
        assert rig.said("breaker.opened") == []


@pytest.mark.parametrize(("status", "error"), [(500, Unavailable), (429, Throttled)])
async def test_unreachable_rules_forbid_all_and_are_asked_for_again(
    rig: Rig, status: int, error: type[FetchError]
) -> None:
    answers = in_turn(text(b"", status), text(b""))
    async with open_fault_server(serving(answers)) as server:
        here = await site(rig, server)
        with pytest.raises(error):
            await here.check()
        if status == 500:
            await here.check()
            assert len(here.asked()) == 2


async def test_unreachable_rules_count_against_the_site(rig: Rig) -> None:
    async with open_fault_server(serving(text(b"", 500))) as server:
        here = await site(rig, server)
        for _ in range(5):
            with pytest.raises(Unavailable):
                await here.check()
        assert len(rig.said("breaker.opened")) == 1


async def test_rules_are_followed_over_five_redirects_and_no_further(rig: Rig) -> None:
    for hops, expected in ((5, True), (6, False)):
        answers: dict[str, Behaviour] = {f"/{n}": redirect(f"/{n + 1}") for n in range(1, hops)} | {
            "/robots.txt": redirect("/1"),
            f"/{hops}": text(PRIVATE),
        }
        async with open_fault_server(answers) as server:
            here = await site(rig, server)
            if expected:
                with pytest.raises(Denied):
                    await here.check("/private")
            else:
                await here.check("/private")
            assert len(here.asked()) == 6


async def test_rules_that_lie_on_another_site_are_none(rig: Rig) -> None:
    async with open_fault_server(serving(text(PRIVATE))) as other:
        async with open_fault_server(serving(redirect(other.url("/robots.txt")))) as server:
            here = await site(rig, server)
            await here.check("/private")
            assert here.asked() == ["/robots.txt"]
        assert other.requests == []


async def test_rules_larger_than_half_a_megabyte_are_read_so_far(rig: Rig) -> None:
    body = PRIVATE.ljust(600_000, b"#") + b"\nDisallow: /jobs\n"
    async with open_fault_server(serving(text(body))) as server:
        here = await site(rig, server)
        await here.check("/jobs")
        with pytest.raises(Denied):
            await here.check("/private")


async def test_rules_beyond_any_size_forbid_all(rig: Rig) -> None:
    async with open_fault_server(serving(text(bytes(3_000_000)))) as server:
        here = await site(rig, server)
        with pytest.raises(MalformedPage, match=r"robots\.txt cannot be read"):
            await here.check()


async def test_crawl_delay_lengthens_the_gap_and_above_a_minute_the_rests(
    rig: Rig, clock: MockClock
) -> None:
    async with open_fault_server(serving(text(b"User-agent: jobping\nCrawl-delay: 90"))) as server:
        here = await site(rig, server)
        await here.check()
        began = trio.current_time()
        with trio.move_on_after(1):
            await here.poll()
        assert here.asked() == ["/robots.txt"]
        clock.jump(58)
        await here.poll()
        assert trio.current_time() - began >= 60.0 - 0.5
        assert here.rules.stretch == 1.5


async def test_rules_take_nothing_of_quota_and_hardly_any_of_the_pace(
    rig: Rig, clock: MockClock
) -> None:
    async with open_fault_server(serving(text(b""))) as server:
        here = await site(rig, server, SLOW)
        await here.check()
        assert here.gate.view().daily_used == 0
        assert here.gate.view().grants == 1
        with trio.move_on_after(1):
            await here.poll()
        assert here.asked() == ["/robots.txt"]  # the poll comes ten seconds later
        clock.jump(9.5)
        await here.poll()
        assert here.gate.view().daily_used == 1
        assert rig.said("limiter.exhausted") == []


async def test_rules_that_never_left_leave_the_gate_as_it_was(rig: Rig) -> None:
    async with open_fault_server(serving(text(b""))) as server:
        here = await site(rig, server, SLOW)
        with pytest.raises(Unavailable):
            await here.rules.check("http://127.0.0.1:1/jobs", frozenset({Domain("127.0.0.1:1")}))
        assert (here.gate.view().daily_used, here.gate.view().in_flight) == (0, 0)
        await here.poll()
        assert here.gate.view().daily_used == 1


async def test_url_off_the_hosts_is_left_to_the_guard(rig: Rig) -> None:
    async with open_fault_server(serving(text(PRIVATE))) as server:
        here = await site(rig, server)
        await here.rules.check("https://other.example/private", frozenset())
        await here.rules.check("ftp://other.example/private", frozenset())
        assert here.asked() == []


async def test_hostile_rules_do_not_hold_up_others(rig: Rig) -> None:
    """Half a megabyte of stars is read and judged in a thread, while other tasks go on."""
    rng = random.Random(1)
    lines = [b"Disallow: /*a*%d*b" % rng.randrange(10**6) for _ in range(24_000)]
    body = b"User-agent: *\n" + b"\n".join(lines)
    async with open_fault_server(serving(text(body))) as server:
        here = await site(rig, server)
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await trio.sleep(0.001)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(count)
            await here.check("/" + "a" * 5000)
            nursery.cancel_scope.cancel()
        assert turns > 10
