"""What an operator sees of the running daemon by signals: its tree, and more of its log."""

from typing import Final

import attrs
import trio

from jobping.events import Emit
from jobping.logs import Log
from supervisors import Supervisor

DEBUG_S: Final = 600.0  # design/operations.md section 4


def say_tree(root: Supervisor, emit: Emit) -> None:
    """Write one line for each child of the root."""
    for child in root.snapshot().children:
        emit(
            "tree.dumped",
            child=child.path,
            state=child.state.value,
            incarnation=child.incarnation,
            restarts=child.restarts,
            progress_age_s=child.progress_age,
            mailbox_depth=child.mailbox.depth if child.mailbox else None,
        )


@attrs.define(kw_only=True)
class Debugging:
    """Everything in the log for ten minutes, or until toggled again."""

    log: Log
    nursery: trio.Nursery
    _scope: trio.CancelScope | None = attrs.field(default=None, init=False)

    def toggle(self) -> None:
        """Begin, or end before the time."""
        if self._scope is None:
            self._scope = trio.CancelScope()
            self.nursery.start_soon(self._debug, self._scope, self.log.level)
        else:
            self._scope.cancel()

    async def _debug(self, scope: trio.CancelScope, usual: str) -> None:
        self.log.level = "debug"
        self.log.emit("log.adjusted", at_level="debug", until_s=DEBUG_S)
        with scope:
            await trio.sleep(DEBUG_S)
        self.log.level, self._scope = usual, None
        self.log.emit("log.adjusted", at_level=usual)
