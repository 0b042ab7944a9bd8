"""Work in hand that a stop lets end, with waits that a stop ends at once."""

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
    _waiting: bool = attrs.field(default=False, init=False)

    async def begin(self) -> None:
        """Go on unless a stop was asked for; then no further work begins."""
        if self._stopping:
            self.scope.cancel()
        await trio.lowlevel.checkpoint()

    async def wait_until(self, moment: float) -> None:
        """Wait until a moment of Trio's clock; a stop ends this and all further work."""
        if self._stopping:
            self.scope.cancel()
        self._waiting = True
        try:
            await trio.sleep_until(moment)
        finally:
            self._waiting = False

    def stop(self, within_s: float) -> None:
        """End a wait now; give work in hand so many seconds."""
        self._stopping = True
        if self._waiting:
            self.scope.cancel()
        else:
            self.scope.deadline = min(self.scope.deadline, trio.current_time() + within_s)
