"""Work in hand that a stop lets end, with waits that a stop ends at once."""

import math
from collections.abc import Awaitable, Callable
from typing import Final

import attrs
import trio

from supervisors import Promise

STEP_S: Final = 120.0  # an exchange, 30 s, and one batch stored, 60 s, with rows before and after


@attrs.define
class Work:
    """One task's work; enter `scope` around it.

    Attributes:
        scope: Cancelled by a stop during a wait, given a deadline by a stop during work.
        promise: Of a sign of life, renewed at each step; None: nobody watches.
    """

    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    promise: Promise | None = None
    _stopping: bool = attrs.field(default=False, init=False)
    _wait: trio.CancelScope | None = attrs.field(default=None, init=False)

    def step(self, within_s: float = STEP_S) -> None:
        """Give a sign of life; the next one comes within so many seconds."""
        if self.promise is not None:
            self.promise.renew(within_s)

    async def begin(self) -> None:
        """Go on unless a stop was asked for; then no further work begins."""
        if self._stopping:
            self.scope.cancel()
        self.step()
        await trio.lowlevel.checkpoint()

    async def wait_until(self, moment: float) -> None:
        """Wait until a moment of Trio's clock or `wake`; a stop ends this and all further work."""
        await self.wait_for(trio.sleep_forever, until=moment)

    async def wait_for(
        self, wait: Callable[[], Awaitable[object]], *, until: float = math.inf
    ) -> None:
        """Wait for something else, or `wake`; a stop ends this and all further work."""
        if self._stopping:
            self.scope.cancel()
        self.step(until - trio.current_time() + STEP_S)
        try:
            with trio.CancelScope(deadline=until) as self._wait:
                await wait()
        finally:
            self._wait = None
            self.step()

    def wake(self) -> None:
        """End a wait, so that what it waited for is looked at again; work in hand goes on."""
        if self._wait is not None:
            self._wait.cancel()

    def stop(self, within_s: float) -> None:
        """End a wait now; give work in hand so many seconds."""
        self._stopping = True
        if self._wait is not None:
            self.scope.cancel()
        else:
            self.scope.deadline = min(self.scope.deadline, trio.current_time() + within_s)
