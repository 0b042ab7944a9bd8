"""What the sites of one domain's boards let us ask: each robots.txt, fetched once a day.

Owned by the domain's actor. Every URL is judged here before it is queued at the gate.
"""

from functools import partial
from typing import Final

import attrs
import trio

from jobping.actors.domain_gate import DomainGate, Purpose
from jobping.clock import Clock
from jobping.core.addresses import Allowed, follow, parse_url
from jobping.core.ids import Domain, Monotonic
from jobping.core.page import MIB, Page, PageRequest, Redirected
from jobping.core.robots import (
    ALL_ALLOWED,
    LIFETIME_S,
    PATH,
    Robots,
    is_allowed,
    of_answer,
)
from jobping.errors import Blocked, Denied, MalformedPage, Unavailable, Unreached
from jobping.events import Emit
from jobping.fetch import MALFORMED

MAX_REDIRECTS: Final = 5  # RFC 9309 section 2.3.1.2
CEILING_BYTES: Final = 2 * MIB  # four times what is read; a larger file counts as unreachable
BIG_BYTES: Final = 16 * 1024  # read in a thread: half a megabyte takes 0.2 s
MANY_RULES: Final = 500  # judged in a thread: 27,000 hostile ones take 0.5 s


@attrs.frozen
class _Kept:
    robots: Robots
    until: Monotonic


@attrs.define(kw_only=True)
class SiteRules:
    """The rules of every location that a domain's boards touch.

    Attributes:
        stretch: How many times longer than otherwise boards rest, as the sites' Crawl-delay asks.
    """

    gate: DomainGate
    clock: Clock
    emit: Emit
    stretch: float = attrs.field(default=1.0, init=False)
    _kept: dict[str, _Kept] = attrs.field(factory=dict, init=False)

    async def check(self, url: str, hosts: frozenset[Domain]) -> None:
        """Return if the URL may be asked.

        Raises:
            Denied: The site's rules forbid it.
            FetchError: The rules could not be read, so nothing may be asked (RFC 9309, 2.3.1.4).
            MalformedPage: The same, for an answer that is broken.
        """
        target = parse_url(url)
        if not isinstance(target, Allowed) or target.domain not in hosts:
            return  # our own guard refuses it, and says why
        robots = await self._robots(f"{target.scheme}://{target.domain}", hosts)
        is_big = len(robots.rules) > MANY_RULES
        judged = partial(is_allowed, robots, target.url)
        if not (await trio.to_thread.run_sync(judged) if is_big else judged()):
            shown = target.url.partition("?")[0]
            self.emit("robots.denied", domain=target.domain, url=shown)
            raise Denied(shown)

    async def _robots(self, origin: str, hosts: frozenset[Domain]) -> Robots:
        kept = self._kept.get(origin)
        if kept is not None and self.clock.monotonic() < kept.until:
            return kept.robots
        robots = await self._fetch(origin, hosts)
        until = Monotonic(self.clock.monotonic() + LIFETIME_S)
        self._kept[origin] = _Kept(robots, until)
        self.gate.raise_gap(robots.gap_s)
        self.stretch = max(kept.robots.stretch for kept in self._kept.values())
        return robots

    async def _fetch(self, origin: str, hosts: frozenset[Domain]) -> Robots:
        """Fetch the rules; redirects that lead off the boards' hosts or too far mean none."""
        request = PageRequest(
            url=origin + PATH, accept=("text/plain", "*/*"), byte_ceiling=CEILING_BYTES
        )
        try:
            for _ in range(MAX_REDIRECTS + 1):
                answer = await self.gate.ask(request, _read, hosts=hosts, purpose=Purpose.ROBOTS)
                if isinstance(answer, Robots):
                    return answer
                request = follow(request, answer)
                if not _is_within(answer, hosts):
                    break
        except MalformedPage as error:
            why = MALFORMED.get(error.why, error.why)
            raise MalformedPage(f"robots.txt cannot be read: {why}") from error
        except Blocked as error:
            if error.status is None:
                raise
        except Unavailable as error:
            if error.failure is not Unreached.CLIENT:
                raise
        return ALL_ALLOWED


def _is_within(answer: Redirected, hosts: frozenset[Domain]) -> bool:
    target = parse_url(answer.url)
    return isinstance(target, Allowed) and target.domain in hosts


async def _read(page: Page) -> Robots:
    if len(page.body) > BIG_BYTES:
        return await trio.to_thread.run_sync(of_answer, page.status, page.body)
    await trio.lowlevel.checkpoint()
    return of_answer(page.status, page.body)
