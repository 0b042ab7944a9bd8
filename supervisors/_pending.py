"""Requests that somebody waits for: opened by the caller, answered by the supervisor."""

import itertools

import attrs
import trio

from supervisors.errors import SupervisionError


@attrs.define(eq=False)
class _Pending:
    done: trio.Event = attrs.field(factory=trio.Event)
    error: SupervisionError | None = None


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

    async def wait(self, number: int) -> None:
        """Wait for the answer; raise it if it is an error."""
        pending = self._pending[number]
        await pending.done.wait()
        if pending.error is not None:
            raise pending.error

    def answer(self, number: int, error: SupervisionError | None) -> None:
        """Answer a request; None: it was done."""
        pending = self._pending.pop(number)
        pending.error = error
        pending.done.set()

    def fail_all(self, error: SupervisionError) -> None:
        """Refuse what nobody will answer any more."""
        for number in list(self._pending):
            self.answer(number, error)
