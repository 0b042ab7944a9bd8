"""What an actor is given: its mailbox's receiving end and the two moments it shares with others."""

from collections.abc import Callable
from typing import Generic, TypeVar, cast

import attrs
import trio

from supervisors._box import Box, Envelope
from supervisors._ref import Ref

M = TypeVar("M")


@attrs.define(kw_only=True, eq=False)
class Running:
    """One incarnation as its actor sees it, before the message types are put on.

    Attributes:
        on_ready: Called once, when the actor says that it is ready.
        progressed_at: Trio's time of the last progress.
    """

    box: Box
    number: int
    on_ready: Callable[[], None]
    stop_requested: trio.Event = attrs.field(factory=trio.Event)
    is_ready: bool = False
    progressed_at: float = attrs.field(factory=trio.current_time)

    def started(self) -> None:
        """Report readiness, exactly once."""
        if self.is_ready:
            raise RuntimeError(f"{self.box.path} said twice that it is ready")
        self.is_ready = True
        self.on_ready()

    def beat(self) -> None:
        """Note progress."""
        self.progressed_at = trio.current_time()


class Delivery(Generic[M]):
    """A message in the hands of its actor.

    Attributes:
        message: What was sent.
    """

    __slots__ = ("_box", "_is_answered", "_slot", "message")

    def __init__(self, box: Box, envelope: Envelope) -> None:
        self.message = cast("M", envelope.message)
        self._box = box
        self._slot = envelope.slot
        self._is_answered = False

    def reply(self, value: object) -> None:
        """Answer an ask, now or later in this incarnation; without an asker, do nothing.

        An asker that has gone meanwhile is no error: the late answer is counted.

        Raises:
            RuntimeError: It was answered before.
        """
        if self._is_answered:
            raise RuntimeError(f"{self._box.path} answered a message twice")
        self._is_answered = True
        if self._slot is not None:
            self._box.reply(self._slot, value)


class Inbox(Generic[M]):
    """The messages of an actor, in order; the iteration ends when the actor is asked to stop."""

    __slots__ = ("_running",)

    def __init__(self, running: Running) -> None:
        self._running = running

    def __aiter__(self) -> "Inbox[M]":
        return self

    async def __anext__(self) -> Delivery[M]:
        running = self._running
        envelope = await running.box.take()
        running.progressed_at = trio.current_time()
        if envelope is None:
            raise StopAsyncIteration
        return Delivery(running.box, envelope)


class Context(Generic[M]):
    """What one incarnation of an actor works with.

    Attributes:
        ref: The actor's own sending end, to hand out.
        path: Where it stands in the tree, `root/ingest` for instance.
        incarnation: 1 for the first run; one more for each start.
        stop_requested: Set when the actor shall end; `stop_timeout` seconds later it is cancelled.
        inbox: Its messages.
    """

    def __init__(self, running: Running) -> None:
        self._running = running
        self.ref: Ref[M] = Ref(running.box)
        self.path: str = running.box.path
        self.incarnation: int = running.number
        self.stop_requested: trio.Event = running.stop_requested
        self.inbox: Inbox[M] = Inbox(running)

    def started(self) -> None:
        """Say that the actor is ready: the next child may start.

        Raises:
            RuntimeError: It was said before in this incarnation.
        """
        self._running.started()

    def beat(self) -> None:
        """Say that the actor made progress; taking a message says so too."""
        self._running.beat()
