"""The way to the sites: connections and guard, the breaker, and the pace."""

import email.utils
import random
from collections.abc import Sequence
from datetime import timedelta
from ipaddress import ip_address
from typing import Final

import attrs
import trio

from jobping.actors.domain_gate import DomainGate
from jobping.check.stage import GOOD, LocalSite, Yard, ask, open_site
from jobping.core.breaker import BreakerRules
from jobping.core.finding import Finding, judged
from jobping.core.gate_state import GateRules
from jobping.core.ids import Domain
from jobping.core.limiter import LimiterRules
from jobping.core.page import PageRequest
from jobping.core.quota import Quota, Span
from jobping.core.retry import RetryRules
from jobping.demo.answers import Answer, with_headers
from jobping.errors import Blocked, FetchError
from jobping.fetch import Fetcher
from jobping.settings import NetworkSettings

SITES: Final = 4
REQUESTS: Final = 60
LEAST_PER_CONNECTION: Final = 50
CANCELS: Final = 40
FORBIDDEN: Final = (
    *("127.0.0.2", "::1", "169.254.169.254", "10.255.255.1", "172.31.255.1", "192.168.255.1"),
    *("100.64.0.1", "fd00::1", "fe80::1", "::ffff:10.255.255.1"),
)
"""Addresses of the machine itself, of cloud metadata, and of private networks."""
FAILS: Final = Answer(status=503)
FAILURES: Final = 5
CALLERS: Final = 20
ONCE: Final = RetryRules(attempts=1)
QUICK: Final = LimiterRules(rate=1_000.0, burst=100, quotas=(Quota(Span.DAY, 10**6),))
OPEN_S: Final = 0.6
MEASURED_S: Final = 2.5
ARRIVAL_S: Final = 0.15
"""By so much one request may come late, so that the next seems to come early."""
QUOTA: Final = 6
RETRY_S: Final = 2
PATIENCE_S: Final = 20.0


async def _get(fetcher: Fetcher, url: str, domain: Domain) -> None:
    async with fetcher.exchange(PageRequest(url=url), hosts=frozenset({domain})) as exchange:
        await exchange.run()


async def _failure(fetcher: Fetcher, url: str, domain: Domain) -> FetchError | None:
    """Ask, and return why no answer came; None: one came."""
    try:
        await _get(fetcher, url, domain)
    except FetchError as error:
        return error
    return None


async def check_fetch(fetcher: Fetcher, network: NetworkSettings) -> Finding:
    """Ask local sites often, cancel often, and ask what must not be asked."""
    wrong = list[str]()
    async with trio.open_nursery() as nursery:
        sites = [await nursery.start(_serve_site) for _ in range(SITES)]
        for site in sites:
            for _ in range(REQUESTS):
                await _get(fetcher, f"{site.server.place}/", site.domain)
        opened = sum(site.server.statistics().connections for site in sites)
        per_connection = SITES * REQUESTS / opened
        if per_connection < LEAST_PER_CONNECTION:
            wrong.append(f"{per_connection:.0f} requests per connection")
        await _cancel_many(fetcher, sites)
        answered = await _still_answered(fetcher, sites)
        if answered < SITES:
            wrong.append(f"after cancels {answered} of {SITES} sites answer")
        held = fetcher.statistics()
        if held.open > SITES or held.in_flight:
            wrong.append(f"{held.open} open sockets, {held.in_flight} requests in flight")
        nursery.cancel_scope.cancel()
    asked = [address for address in FORBIDDEN if not _is_allowed(address, network)]
    refused = [address for address in asked if await _is_refused(fetcher, address)]
    if len(refused) < len(asked):
        let = sorted(set(asked) - set(refused))
        wrong.append(f"private addresses may be asked: {', '.join(let)}")
    good = (
        f"{per_connection:.0f} requests per connection, {held.open} sockets for {SITES} sites,"
        f" all answer after {CANCELS} cancels, {len(refused)} private addresses refused"
    )
    return judged(
        "fetch",
        "; ".join(wrong) or good,
        holds=not wrong,
        advice="take wide networks out of [network] allow; if it is empty, report this as a bug",
    )


async def _serve_site(task_status: trio.TaskStatus[LocalSite]) -> None:
    async with open_site() as site:
        task_status.started(site)
        await trio.sleep_forever()


async def _cancel_many(fetcher: Fetcher, sites: Sequence[LocalSite]) -> None:
    rng = random.Random()  # noqa: S311  moments, no secrets
    for number in range(CANCELS):
        site = sites[number % len(sites)]
        with trio.move_on_after(rng.uniform(0.0, 0.004)):
            await _failure(fetcher, f"{site.server.place}/", site.domain)


async def _still_answered(fetcher: Fetcher, sites: Sequence[LocalSite]) -> int:
    count = 0
    for site in sites:
        with trio.move_on_after(5):
            failure = await _failure(fetcher, f"{site.server.place}/", site.domain)
            count += failure is None
    return count


def _is_allowed(address: str, network: NetworkSettings) -> bool:
    return any(ip_address(address) in allowed for allowed in network.allow)


async def _is_refused(fetcher: Fetcher, address: str) -> bool:
    """Ask an address that must not be asked; a guard that lets it through fails to reach it."""
    host = f"[{address}]" if ":" in address else address
    failure = None
    with trio.move_on_after(0.5):
        failure = await _failure(fetcher, f"http://{host}/", Domain(host))
    return isinstance(failure, Blocked) and failure.status is None


async def check_breaker(yard: Yard, breaker: BreakerRules) -> Finding:
    """Let a site fail until its breaker opens, probe it with many callers, and let it recover.

    Args:
        breaker: As the daemon has it; only its open time is shortened.
    """
    rules = GateRules(
        limiter=QUICK,
        breaker=attrs.evolve(breaker, open_s=OPEN_S, multiplier=1.0, jitter=0.0),
        retry=ONCE,
    )
    wrong = list[str]()
    async with open_site() as site, open_site() as other:
        gate, untouched = await yard.local_gate(site, rules), await yard.local_gate(other, rules)
        site.answer_always(FAILS)
        for _ in range(CALLERS):
            if not yard.said.of("breaker.opened", site.domain):
                await _try(gate)
        failures = len(site.came)
        if failures != FAILURES or not yard.said.of("breaker.opened", site.domain):
            opened = "opened" if yard.said.of("breaker.opened", site.domain) else "still closed"
            wrong.append(f"{opened} after {failures} failures in a row, not at the {FAILURES}th")
        probes = await _probes(yard, site, gate) if not wrong else 0
        if not wrong and probes != 1:
            wrong.append(f"{probes} probes among {CALLERS} callers")
        await ask(untouched)
        if yard.said.of("breaker.opened", other.domain):
            wrong.append("another site's breaker opened too")
        closed_s = await _recover(yard, site, gate) if not wrong else None
        if not wrong and closed_s is None:
            wrong.append("it does not close when the site answers again")
    good = (
        f"opens at failure {failures} in a row, {probes} probe among {CALLERS} callers,"
        f" closes {closed_s or 0:.1f} s after the site is well, another site untouched"
    )
    return judged(
        "breaker",
        "; ".join(wrong) or good,
        holds=not wrong,
        advice="the rules of core/breaker.py differ from README; install an unchanged jobping",
    )


async def _try(gate: DomainGate) -> None:
    try:
        await ask(gate)
    except FetchError:
        return


async def _probes(yard: Yard, site: LocalSite, gate: DomainGate) -> int:
    """Let many want the failing site; return how many requests it gets until it is open again."""
    before, opened = len(site.came), len(yard.said.of("breaker.opened", site.domain))
    turn = trio.Lock()  # a site's actor sends one request at a time

    async def call() -> None:
        async with turn:
            await _try(gate)

    async with trio.open_nursery() as nursery:
        for _ in range(CALLERS):
            nursery.start_soon(call)
        await yard.said.wait_until(
            lambda: len(yard.said.of("breaker.opened", site.domain)) > opened, PATIENCE_S
        )
        await trio.sleep(OPEN_S / 2)
        nursery.cancel_scope.cancel()
    return len(site.came) - before


async def _recover(yard: Yard, site: LocalSite, gate: DomainGate) -> float | None:
    site.answer_always(GOOD)
    began = trio.current_time()
    with trio.move_on_after(PATIENCE_S):
        await trio.lowlevel.checkpoint()
        while not yard.said.of("breaker.closed", site.domain):
            await _try(gate)
        return trio.current_time() - began
    return None


async def check_limiter(yard: Yard, promised: LimiterRules, used: LimiterRules) -> Finding:
    """Ask as fast as the gate lets, and hold what the site saw against what was promised.

    Args:
        used: What the gates run by: the same, unless something is wrong.
    """
    wrong, figures = list[str](), list[str]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_pace, yard, promised, used, wrong, figures)
        nursery.start_soon(_quota, yard, wrong, figures)
        nursery.start_soon(_told, yard, "seconds", wrong, figures)
        nursery.start_soon(_told, yard, "date", wrong, figures)
    return judged(
        "limiter",
        "; ".join(wrong or sorted(figures)),
        holds=not wrong,
        advice="stop the daemon before sites refuse it, and install an unchanged jobping",
    )


async def _pace(
    yard: Yard, promised: LimiterRules, used: LimiterRules, wrong: list[str], figures: list[str]
) -> None:
    async with open_site() as site:
        gate = await yard.local_gate(site, GateRules(limiter=used, retry=ONCE))
        with trio.move_on_after(MEASURED_S):
            while True:
                await ask(gate)
        excess = _excess(site.came, promised)
    text = f"{len(site.came)} requests in {MEASURED_S:g} s at {promised.rate:g}/s, burst"
    if excess > ARRIVAL_S * promised.rate:
        wrong.append(f"{text} {promised.burst}: {excess:.0f} too many")
    figures.append(f"{text} {promised.burst}")


def _excess(came: Sequence[float], promised: LimiterRules) -> float:
    """Return by how many requests the worst window exceeds burst + rate x its length."""
    return max(
        (
            last - first + 1 - promised.burst - promised.rate * (came[last] - came[first])
            for first in range(len(came))
            for last in range(first, len(came))
        ),
        default=0.0,
    )


async def _quota(yard: Yard, wrong: list[str], figures: list[str]) -> None:
    """Use up a day's quota, then start again from what is stored."""
    limiter = attrs.evolve(QUICK, quotas=(Quota(Span.DAY, QUOTA),))
    async with open_site() as site:
        for _ in range(2):
            gate = await yard.local_gate(site, GateRules(limiter=limiter, retry=ONCE))
            with trio.move_on_after(0.8):
                while True:
                    await ask(gate)
    if len(site.came) != QUOTA:
        wrong.append(f"{len(site.came)} requests of a daily quota of {QUOTA}, over a restart")
    figures.append(f"daily quota of {QUOTA} kept over a restart")


async def _told(yard: Yard, form: str, wrong: list[str], figures: list[str]) -> None:
    """Let a site say "wait", and see when it is asked again."""
    async with open_site() as site:
        gate = await yard.local_gate(site, GateRules(limiter=QUICK, retry=ONCE))
        moment = yard.clock.utcnow().replace(microsecond=0) + timedelta(seconds=RETRY_S + 1)
        value = str(RETRY_S) if form == "seconds" else email.utils.format_datetime(moment, True)
        site.answer_always(with_headers(Answer(status=429), ("retry-after", value)))
        await _try(gate)
        told_at = yard.clock.utcnow()
        least_s = RETRY_S if form == "seconds" else (moment - told_at).total_seconds()
        site.answer_always(GOOD)
        with trio.move_on_after(PATIENCE_S):
            await _try(gate)
        waited_s = site.came[-1] - site.came[0] if len(site.came) > 1 else 0.0
    if waited_s < least_s - ARRIVAL_S:
        wrong.append(f"Retry-After as {form}: asked again after {waited_s:.1f} of {least_s:.1f} s")
    figures.append(f"Retry-After as {form} waited for {waited_s:.1f} s")
