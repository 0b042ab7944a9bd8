"""A pace that several domains share: all domains together, or the hosts of one vendor.

It stands beside the domains' own gates and is asked last. Domains take turns in the order in which
they came, one timer for the whole queue. It is not stored: each domain's own pace is.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import attrs
import trio

from jobping.actors.work import Work
from jobping.clock import Clock
from jobping.core import limiter
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


@asynccontextmanager
async def turns(paces: tuple[SharedPace, ...], work: Work) -> AsyncIterator[None]:
    """Wait for a turn of each pace, in one order for all, so that no two wait for each other."""
    async with AsyncExitStack() as stack:
        for pace in paces:
            await stack.enter_async_context(pace.turn(work))
        yield
