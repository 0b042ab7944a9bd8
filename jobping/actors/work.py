"""Work in hand that a stop lets end, with waits that a stop ends at once."""

import math
from collections.abc import Awaitable, Callable

import attrs
import trio


@attrs.define
class Work:
    """One task's work; enter `scope` around it.

    Attributes:
        scope: Cancelled by a stop during a wait, given a deadline by a stop during work.
    """

    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    _stopping: bool = attrs.field(default=False, init=False)
    _wait: trio.CancelScope | None = attrs.field(default=None, init=False)

    async def begin(self) -> None:
        """Go on unless a stop was asked for; then no further work begins."""
        if self._stopping:
            self.scope.cancel()
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
        try:
            with trio.CancelScope(deadline=until) as self._wait:
                await wait()
        finally:
            self._wait = None

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
