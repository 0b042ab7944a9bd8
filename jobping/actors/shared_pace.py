"""A pace that several domains share: all domains together, or the hosts of one vendor.

It stands beside the domains' own gates and is asked last. Domains take turns in the order in which
they came, one timer for the whole queue. It is not stored: each domain's own pace is, and after a
restart it goes on from the latest request of all of them.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import attrs
import trio

from jobping.actors.work import Work
from jobping.clock import Clock
from jobping.core import limiter
from jobping.core.board import StoredBoard
from jobping.core.ids import Domain, Monotonic, SourceName
from jobping.core.limiter import Grant, Hold, Limiter, LimiterRules


@attrs.define(eq=False, kw_only=True)
class SharedPace:
    """One limiter for several domains."""

    rules: LimiterRules
    clock: Clock
    _queue: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _state: Limiter = attrs.field(init=False)

    @_state.default
    def _fresh(self) -> Limiter:
        return limiter.fresh(self.rules, self.clock.monotonic())

    def resume(self, elapsed_s: float) -> None:
        """Go on from a request that left so many seconds ago and may have used the burst up."""
        left_at = Monotonic(self.clock.monotonic() - elapsed_s)
        self._state = limiter.empty_at(self._state, self.rules, left_at)

    @asynccontextmanager
    async def turn(self, work: Work) -> AsyncIterator[None]:
        """Wait for a turn; within the block one `take` succeeds, and nobody else may take."""
        await work.wait_for(self._queue.acquire)
        try:
            while isinstance(hold := self._ask()[1], Hold):
                if hold.until is None:
                    raise ValueError(f"a shared pace refuses for good: {hold.reason}")
                await work.wait_until(hold.until)
            yield
        finally:
            self._queue.release()

    def _ask(self) -> tuple[Limiter, Grant | Hold]:
        now, utcnow = self.clock.monotonic(), self.clock.utcnow()
        return limiter.admit(self._state, self.rules, now, utcnow)

    def take(self) -> Grant:
        """Take a grant, within a turn.

        Raises:
            ValueError: It is nobody's turn.
        """
        state, answer = self._ask()
        if isinstance(answer, Hold):
            raise ValueError(f"not now: {answer.reason}")
        self._state = state
        return answer

    def end(self, grant: Grant, *, sent: bool) -> None:
        """End a grant exactly once; one of which nothing was sent is taken back."""
        if sent:
            self._state = limiter.release(self._state)
        else:
            self._state = limiter.take_back(self._state, self.rules, grant)


@attrs.define(eq=False, kw_only=True)
class SharedPaces:
    """What the hosts of one source share, and what all domains do.

    Attributes:
        is_resumed: What was sent before the start is known.
    """

    sources: Mapping[SourceName, SharedPace]
    together: SharedPace
    is_resumed: bool = attrs.field(default=False, init=False)

    def of(self, names: Iterable[SourceName]) -> tuple[SharedPace, ...]:
        """Return those of a domain, in the one order in which everybody asks them."""
        own = (self.sources[name] for name in sorted(names) if name in self.sources)
        return (*own, self.together)

    def resume(self, rows: Iterable[StoredBoard], ages: Mapping[Domain, float]) -> None:
        """Go on from what was sent before a restart.

        A source with one host needs nothing: that host's own pace says more.

        Args:
            rows: All boards.
            ages: Of each domain, how many seconds ago it was asked last.
        """
        domains: defaultdict[SourceName, set[Domain]] = defaultdict(set)
        for row in rows:
            domains[row.board.source].add(row.domain)
        for source, hosts in domains.items():
            elapsed = [ages[host] for host in hosts if host in ages]
            if elapsed and len(hosts) > 1 and source in self.sources:
                self.sources[source].resume(min(elapsed))
        if ages:
            self.together.resume(min(ages.values()))
        self.is_resumed = True


@asynccontextmanager
async def turns(paces: tuple[SharedPace, ...], work: Work) -> AsyncIterator[None]:
    """Wait for a turn of each pace, in one order for all, so that no two wait for each other."""
    async with AsyncExitStack() as stack:
        for pace in paces:
            await stack.enter_async_context(pace.turn(work))
        yield
