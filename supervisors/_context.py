"""What an actor is given: its mailbox's receiving end and the moments it shares with others."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, Never, TypeAlias, TypeVar, cast

import attrs
import trio

from supervisors._box import Box, Envelope
from supervisors._ref import Ref
from supervisors._states import Exit, ExitKind

M = TypeVar("M")


@attrs.define(kw_only=True, eq=False)
class Running:
    """One incarnation as its actor sees it, before the message types are put on.

    Attributes:
        number: Of the incarnation, from 1.
        stop_patience: Seconds between the request to stop and the cancellation.
        promises: Those of its tasks that are open; None while there was none.
    """

    box: Box
    number: int
    stop_patience: float = 5.0
    is_stop_asked: bool = False
    is_ready: bool = False
    promises: "set[Promise] | None" = None
    _stop_requested: trio.Event | None = None

    @property
    def stop_requested(self) -> trio.Event:
        """What is set when the actor shall end; made when it is first looked at."""
        if self._stop_requested is None:
            self._stop_requested = trio.Event()
            if self.is_stop_asked:
                self._stop_requested.set()
        return self._stop_requested

    def ask_to_stop(self) -> None:
        """Set the event that the actor watches."""
        self.is_stop_asked = True
        if self._stop_requested is not None:
            self._stop_requested.set()

    def started(self) -> None:
        """Report readiness, exactly once."""
        if self.is_ready:
            raise RuntimeError(f"{self.box.path} said twice that it is ready")
        self.is_ready = True
        self.on_ready()

    def on_ready(self) -> None:
        """Tell whoever supervises the incarnation that it is ready."""


class Promise:
    """When one task of an actor will give its next sign of life at the latest.

    Attributes:
        since: When it gave the last one, by Trio's time.
        until: When the promise is broken.
    """

    __slots__ = ("since", "until")

    def __init__(self, seconds: float) -> None:
        self.renew(seconds)

    def renew(self, seconds: float) -> None:
        """Give a sign, and promise the next one within so many seconds; may be math.inf."""
        self.since = trio.current_time()
        self.until = self.since + seconds


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

    @property
    def is_awaited(self) -> bool:
        """Whether somebody asked and still waits for the answer, as far as can be known now."""
        return self._slot is not None and not self._slot.is_expired()

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
            self._slot = None


class Inbox(Generic[M]):
    """The messages of an actor, in order; the iteration ends when the actor is asked to stop."""

    __slots__ = ("_box", "_leave")

    def __init__(self, box: Box) -> None:
        self._box = box
        self._leave = box.leave

    def __aiter__(self) -> "Inbox[M]":
        return self

    async def __anext__(self) -> Delivery[M]:
        box = self._box
        task = trio.lowlevel.current_task()
        if box.settle_and_look(task):
            await trio.lowlevel.checkpoint()
        while (envelope := box.take(task)) is None:
            if box.is_over():
                raise StopAsyncIteration
            box.park(task)
            await trio.lowlevel.wait_task_rescheduled(self._leave)
        box.progressed_at = trio.current_time()
        return Delivery(box, envelope)


@attrs.frozen(kw_only=True)
class Restarted:
    """The watched actor runs anew: whatever it was told before may be lost.

    Attributes:
        incarnation: The number of that run; 1 again where a supervisor above restarted.
    """

    incarnation: int


@attrs.frozen(kw_only=True)
class Terminated:
    """The watched actor has ended for good."""

    exit: Exit


Change: TypeAlias = Restarted | Terminated


class Watch:
    """The restarts of another actor and its end; several restarts in a row show as the last."""

    __slots__ = ("_box", "_ends", "_is_over", "_runs")

    def __init__(self, box: Box) -> None:
        self._box = box
        self._runs = box.runs
        self._ends = box.ends
        self._is_over = False

    def __aiter__(self) -> "Watch":
        return self

    async def __anext__(self) -> Change:
        await trio.lowlevel.checkpoint()
        if self._is_over:
            raise StopAsyncIteration
        box = self._box
        while box.runs <= max(1, self._runs) and box.ends == self._ends and box.final is None:
            await box.wait_changed()
        if box.final is None and box.ends == self._ends:
            self._runs = box.runs
            return Restarted(incarnation=box.incarnation)
        self._is_over = True
        return Terminated(exit=box.last_end or Exit(kind=ExitKind.SHUTDOWN))


class Context(Generic[M]):
    """What one incarnation of an actor works with.

    Attributes:
        ref: The actor's own sending end, to hand out.
        inbox: Its messages.
    """

    __slots__ = ("_running", "inbox", "ref")

    def __init__(self, running: Running) -> None:
        self._running = running
        self.ref: Ref[M] = Ref(running.box)
        self.inbox: Inbox[M] = Inbox(running.box)

    @property
    def path(self) -> str:
        """Where the actor stands in the tree, `root/ingest` for instance."""
        return self._running.box.path

    @property
    def incarnation(self) -> int:
        """1 for the first run; one more for each start."""
        return self._running.number

    @property
    def stop_requested(self) -> trio.Event:
        """Set when the actor shall end; `stop_timeout` seconds later it is cancelled."""
        return self._running.stop_requested

    @property
    def stop_timeout(self) -> float:
        """The seconds the actor has to end by itself once it is asked to."""
        return self._running.stop_patience

    def started(self) -> None:
        """Say that the actor is ready: the next child may start.

        Raises:
            RuntimeError: It was said before in this incarnation.
        """
        self._running.started()

    def beat(self) -> None:
        """Say that the actor made progress; taking a message says so too."""
        self._running.box.progressed_at = trio.current_time()

    @contextmanager
    def busy(self, seconds: float) -> Iterator[Promise]:
        """Promise that the block ends, or renews the promise, within so many seconds.

        It holds in the place of `max_idle`. Each task of an actor may have one; the first that is
        broken counts, also while another task waits for messages.
        """
        promise, running = Promise(seconds), self._running
        if running.promises is None:
            running.promises = set()
        running.promises.add(promise)
        try:
            yield promise
        finally:
            running.promises.discard(promise)
            self.beat()

    def watch(self, other: Ref[Never]) -> Watch:
        """Return an iterator over what becomes of another actor from now on."""
        return Watch(other.box)
