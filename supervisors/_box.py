"""The queue behind a mailbox: many senders, one receiver, and a slot for each answer.

It knows nothing of message types; `Mailbox`, `Ref` and `Inbox` put the types on. Everything here
happens on one Trio loop, so that a method without `await` is one step.
"""

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable
from contextvars import ContextVar

import trio
from trio.lowlevel import Abort, RaiseCancelT, Task

from supervisors._events import DeadLetter, DeadLetterCause, Hook, MailboxHigh, ignore_event
from supervisors._mailbox import Drain, MailboxStatistics, OnRestart, Overflow
from supervisors._states import ChildState, Exit, ExitKind
from supervisors.errors import ActorError, ActorStopped, MailboxFull, SupervisionError


class ReplySlot:
    """The place of exactly one answer; whoever answers too late finds nobody and does no harm."""

    __slots__ = ("_task", "deadline", "error", "is_open", "value")

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.is_open = True
        self.value: object = None
        self.error: SupervisionError | None = None
        self._task: Task | None = None

    def answer(self, value: object) -> bool:
        """Give the answer; return whether somebody still waited for it."""
        if not self.is_open:
            return False
        self.value = value
        self._close()
        return True

    def fail(self, error: SupervisionError) -> None:
        """Tell the asker that no answer will come."""
        if self.is_open:
            self.error = error
            self._close()

    async def wait(self) -> object:
        """Wait for the answer; the caller's cancel scope holds the deadline."""
        if self.is_open:
            self._task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abandon)
        if self.error is not None:
            raise self.error
        return self.value

    def abandon(self) -> None:
        """Give up the answer: the asker has gone."""
        self.is_open = False
        self._task = None

    def _abandon(self, raise_cancel: RaiseCancelT) -> Abort:
        self.abandon()
        return Abort.SUCCEEDED

    def _close(self) -> None:
        self.is_open = False
        if self._task is not None:
            trio.lowlevel.reschedule(self._task)
            self._task = None


class Envelope:
    """A message on its way, with the slot of its asker and those who wait for that asker."""

    __slots__ = ("chain", "is_refused", "message", "slot")

    def __init__(self, message: object, slot: ReplySlot | None, chain: tuple["Box", ...]) -> None:
        self.message = message
        self.slot = slot
        self.chain = chain
        self.is_refused = False

    def is_expired(self) -> bool:
        """Tell whether the asker has gone or its time is over."""
        slot = self.slot
        return slot is not None and (not slot.is_open or trio.current_time() >= slot.deadline)

    def name(self) -> str:
        """Return the type of the message."""
        return type(self.message).__qualname__


class _End:
    """The final end that some wait for."""

    __slots__ = ("event", "exit")

    def __init__(self) -> None:
        self.event = trio.Event()
        self.exit = Exit(kind=ExitKind.SHUTDOWN)


asked_through: ContextVar[tuple["Box", ...]] = ContextVar("asked_through", default=())
"""The actors that wait for an answer of this task, itself last: what makes a cycle visible."""


class Box:
    """One mailbox, over all incarnations of its actor.

    Attributes:
        path: The actor's path, once a supervisor has bound the box.
        emit: Where events go.
        state: What the actor is doing.
        final: The end of the actor; None while messages are taken or may be taken again.
    """

    __slots__ = (
        "_capacity",
        "_drain",
        "_ended",
        "_is_closing",
        "_is_halted",
        "_is_high",
        "_key",
        "_keyed",
        "_on_restart",
        "_open_asks",
        "_overflow",
        "_queue",
        "_receiver",
        "_senders",
        "alone",
        "dead_letters",
        "emit",
        "final",
        "in_hand",
        "late_replies",
        "path",
        "peak",
        "processed",
        "rejected",
        "sent",
        "state",
    )

    def __init__(
        self,
        *,
        capacity: int,
        overflow: Overflow,
        key: Callable[[object], Hashable] | None,
        on_restart: OnRestart,
        drain: Drain,
    ) -> None:
        self._capacity = capacity
        self._overflow = overflow
        self._key = key
        self._on_restart = on_restart
        self._drain = drain
        self._queue: deque[Envelope] = deque()
        self._keyed: dict[Hashable, Envelope] = {}
        self._senders: dict[Task, Envelope] = {}
        self._receiver: Task | None = None
        self._open_asks: set[ReplySlot] = set()
        self._is_halted = False
        self._is_closing = False
        self._is_high = False
        self._ended: _End | None = None
        self.path = ""
        self.emit: Hook = ignore_event
        self.state = ChildState.DOWN
        self.final: Exit | None = None
        self.in_hand: Envelope | None = None
        self.alone: tuple[Box, ...] = (self,)
        self.sent = self.processed = self.rejected = self.dead_letters = 0
        self.peak = self.late_replies = 0

    # The side of the senders

    def tell(self, envelope: Envelope) -> None:
        """Take the message now or raise MailboxFull or ActorStopped."""
        if not self._offer(envelope):
            raise self._reject()

    async def put(self, envelope: Envelope) -> None:
        """Take the message as soon as there is room; raise ActorStopped if that never comes."""
        if self._offer(envelope):
            return
        task = trio.lowlevel.current_task()
        self._senders[task] = envelope

        def abort(raise_cancel: RaiseCancelT) -> Abort:
            del self._senders[task]
            return Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)
        if envelope.is_refused:
            raise ActorStopped(self.path)

    def _offer(self, envelope: Envelope) -> bool:
        if self._is_closing or self.final is not None:
            self.sent += 1
            self.rejected += 1
            raise ActorStopped(self.path)
        if self._key is not None and self._coalesce(envelope, self._key(envelope.message)):
            return True
        if len(self._queue) < self._capacity:
            self._accept(envelope)
            return True
        return self._overflows(envelope)

    def _overflows(self, envelope: Envelope) -> bool:
        match self._overflow:
            case Overflow.BLOCK | Overflow.COALESCE:
                return False
            case Overflow.REJECT:
                raise self._reject()
            case Overflow.DROP_OLDEST:
                self._bury([self._queue.popleft()], DeadLetterCause.DROPPED)
                self._accept(envelope)
            case Overflow.DROP_NEWEST:
                self.sent += 1
                self._bury([envelope], DeadLetterCause.DROPPED)
        return True

    def _reject(self) -> MailboxFull:
        self.sent += 1
        self.rejected += 1
        return MailboxFull(self.path, self.state)

    def _coalesce(self, envelope: Envelope, key: Hashable) -> bool:
        queued = self._keyed.get(key)
        if queued is None:
            return False
        self.sent += 1
        self.dead_letters += 1  # the message of every merged nudge: counted, not worth an event
        if queued.slot is not None:
            queued.slot.fail(MailboxFull(self.path, self.state))
        queued.message, queued.slot = envelope.message, envelope.slot
        queued.chain = envelope.chain
        return True

    def _accept(self, envelope: Envelope) -> None:
        queue = self._queue
        queue.append(envelope)
        self.sent += 1
        if self._key is not None:
            self._keyed[self._key(envelope.message)] = envelope
        depth = len(queue)
        if depth > self.peak:
            self.peak = depth
        if depth * 5 >= self._capacity * 4 and not self._is_high:
            self._is_high = True
            self.emit(MailboxHigh(path=self.path, depth=depth, capacity=self._capacity))
        self._wake_receiver()

    # The side of the actor

    async def take(self) -> Envelope | None:
        """Finish the message in hand and wait for the next; None when the actor shall end."""
        if self._receiver is not None:
            raise trio.BusyResourceError(f"two tasks receive from the mailbox of {self.path}")
        self.settle()
        if self._queue or self._is_over():
            await trio.lowlevel.checkpoint()
        while not self._is_over():
            envelope = self._pop()
            if envelope is not None:
                return envelope
            self._receiver = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._leave)
        return None

    def settle(self) -> None:
        """Count the message in hand as processed."""
        if self.in_hand is not None:
            self.in_hand = None
            self.processed += 1

    def reply(self, slot: ReplySlot, value: object) -> None:
        """Answer an ask of this incarnation."""
        self._open_asks.discard(slot)
        if not slot.answer(value):
            self.late_replies += 1

    def _is_over(self) -> bool:
        if not self._is_halted:
            return False
        return not (self._is_closing and self._drain is Drain.ALL and self._queue)

    def _pop(self) -> Envelope | None:
        while self._queue:
            envelope = self._remove_first()
            if envelope.is_expired():
                self._bury([envelope], DeadLetterCause.EXPIRED, fail=False)
                continue
            self.in_hand = envelope
            if envelope.slot is not None:
                self._open_asks.add(envelope.slot)
            asked_through.set((*envelope.chain, self) if envelope.chain else self.alone)
            return envelope
        return None

    def _remove_first(self) -> Envelope:
        envelope = self._queue.popleft()
        if self._key is not None:
            self._keyed.pop(self._key(envelope.message), None)
        if self._is_high and len(self._queue) * 2 <= self._capacity:
            self._is_high = False
        if self._senders:
            task = next(iter(self._senders))
            self._accept(self._senders.pop(task))
            trio.lowlevel.reschedule(task)
        return envelope

    def _leave(self, raise_cancel: RaiseCancelT) -> Abort:
        self._receiver = None
        return Abort.SUCCEEDED

    def _wake_receiver(self) -> None:
        if self._receiver is not None:
            trio.lowlevel.reschedule(self._receiver)
            self._receiver = None

    # The side of the supervisor

    def open(self) -> None:
        """Begin an incarnation: messages are taken again, also after a final end."""
        self._is_halted = self._is_closing = False
        self.final = None

    def halt(self) -> None:
        """Let the actor end after the message in hand; senders notice nothing."""
        self._is_halted = True
        self._wake_receiver()

    def shut(self) -> None:
        """As `halt`, for good: no sender gets in any more, the queue is drained as agreed."""
        self._is_closing = True
        self._refuse_senders()
        self.halt()

    def end(self, error: Exception | None) -> str | None:
        """End an incarnation: its open asks fail, the message in hand is lost if it crashed.

        Returns:
            The type of the message in hand at a crash.
        """
        lost = None
        if error is not None and self.in_hand is not None:
            lost = self.in_hand.name()
            self._bury([self.in_hand], DeadLetterCause.CRASHED, fail=False)
            self.in_hand = None
        self.settle()
        asks, self._open_asks = self._open_asks, set()
        for slot in asks:
            if error is None:
                slot.fail(ActorStopped(self.path))
            else:
                failure = ActorError(self.path)
                failure.__cause__ = error
                slot.fail(failure)
        return lost

    def interrupt(self) -> None:
        """End an incarnation that was cancelled from outside: what it had in hand is lost."""
        if self.in_hand is not None:
            self._bury([self.in_hand], DeadLetterCause.STOPPED)
            self.in_hand = None
        self.end(None)

    def prepare_restart(self) -> None:
        """Do with the queue what `on_restart` says."""
        if self._on_restart is OnRestart.DROP:
            self._bury_queue(DeadLetterCause.RESTARTED)

    def close(self, exit: Exit) -> None:
        """End the actor for good: queued asks fail, the rest become dead letters."""
        self.final = exit
        self._refuse_senders()
        self._bury_queue(DeadLetterCause.STOPPED)
        if self._ended is not None:
            self._ended.exit = exit
            self._ended.event.set()
            self._ended = None

    async def wait_closed(self) -> Exit:
        """Wait for the actor's final end; that of now, should it be started again by request."""
        if self.final is not None:
            return self.final
        if self._ended is None:
            self._ended = _End()
        end = self._ended
        await end.event.wait()
        return end.exit

    def depth(self) -> int:
        """Return how many messages wait."""
        return len(self._queue)

    def statistics(self) -> MailboxStatistics:
        """Return the counters."""
        return MailboxStatistics(
            sent=self.sent,
            processed=self.processed,
            rejected=self.rejected,
            dead_letters=self.dead_letters,
            queued=len(self._queue) + (self.in_hand is not None),
            depth=len(self._queue),
            peak=self.peak,
            capacity=self._capacity,
            late_replies=self.late_replies,
        )

    def _refuse_senders(self) -> None:
        senders, self._senders = self._senders, {}
        for task, envelope in senders.items():
            envelope.is_refused = True
            self.sent += 1
            self.rejected += 1
            trio.lowlevel.reschedule(task)

    def _bury_queue(self, cause: DeadLetterCause) -> None:
        queue, self._queue = self._queue, deque()
        self._keyed.clear()
        self._is_high = False
        self._bury(queue, cause)

    def _bury(
        self, letters: Iterable[Envelope], cause: DeadLetterCause, *, fail: bool = True
    ) -> None:
        names: Counter[str] = Counter()
        for envelope in letters:
            names[envelope.name()] += 1
            if fail and envelope.slot is not None:
                envelope.slot.fail(self._failure(cause))
        self.dead_letters += names.total()
        for name, count in names.items():
            self.emit(DeadLetter(path=self.path, cause=cause, message=name, count=count))

    def _failure(self, cause: DeadLetterCause) -> SupervisionError:
        if cause is DeadLetterCause.DROPPED:
            return MailboxFull(self.path, self.state)
        return ActorStopped(self.path)
