"""Requests that somebody waits for: opened by the caller, answered by the supervisor."""

import itertools

import attrs
import trio

from supervisors._box import Box
from supervisors.errors import SupervisorStopping


@attrs.define(eq=False)
class _Pending:
    done: trio.Event = attrs.field(factory=trio.Event)
    error: Exception | None = None
    box: Box | None = None


class Requests:
    """Every request is answered exactly once; whoever has stopped waiting harms nobody."""

    def __init__(self) -> None:
        self._pending: dict[int, _Pending] = {}
        self._numbers = itertools.count()

    def open(self) -> int:
        """Return the number of a new request."""
        number = next(self._numbers)
        self._pending[number] = _Pending()
        return number

    async def wait(self, number: int) -> Box | None:
        """Wait for the answer, the mailbox of the child it was about, or raise the error."""
        pending = self._pending[number]
        await pending.done.wait()
        if pending.error is not None:
            raise pending.error
        return pending.box

    def answer(self, number: int, error: Exception | None, box: Box | None) -> None:
        """Answer a request; without an error it was done."""
        pending = self._pending.pop(number)
        pending.error = error
        pending.box = box
        pending.done.set()

    def refuse_all(self, reason: str) -> None:
        """Refuse what nobody will answer any more, each with an error of its own."""
        for number in list(self._pending):
            self.answer(number, SupervisorStopping(reason), None)
