"""The queue behind a mailbox: many senders, one receiver, and a slot for each answer.

It knows nothing of message types; `Mailbox`, `Ref` and `Inbox` put the types on. Everything here
happens on one Trio loop, so that a method without `await` is one step.
"""

import math
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable
from contextvars import ContextVar
from weakref import WeakSet

import trio
from trio.lowlevel import Abort, RaiseCancelT, Task

from supervisors._events import DeadLetter, DeadLetterCause, Hook, MailboxHigh, ignore_event
from supervisors._mailbox import Drain, MailboxSpec, MailboxStatistics, Overflow
from supervisors._states import ChildState, Exit
from supervisors.errors import ActorError, ActorStopped, MailboxFull, SupervisionError


class ReplySlot:
    """The place of exactly one answer; whoever answers too late finds nobody and does no harm."""

    __slots__ = ("__weakref__", "_task", "deadline", "error", "is_open", "value")

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

    def is_expired(self) -> bool:
        """Tell whether the asker has gone or its time is over."""
        return not self.is_open or trio.current_time() >= self.deadline

    def _abandon(self, raise_cancel: RaiseCancelT) -> Abort:
        self.is_open = False
        self._task = None
        return Abort.SUCCEEDED

    def _close(self) -> None:
        self.is_open = False
        if self._task is not None:
            trio.lowlevel.reschedule(self._task)
            self._task = None


class Envelope:
    """A message on its way, and the work that its actor has with it.

    Attributes:
        slot: Of whoever asked; None: it was told.
        asker: What that one was at when it asked.
        box: Whose actor has taken it.
        crashes: How often it was in hand at a crash.
    """

    __slots__ = ("asker", "box", "crashes", "is_refused", "message", "slot")

    def __init__(
        self, message: object, slot: ReplySlot | None = None, asker: "Envelope | None" = None
    ) -> None:
        self.message = message
        self.slot = slot
        self.asker = asker
        self.box: Box | None = None
        self.crashes = 0
        self.is_refused = False

    def is_open(self) -> bool:
        """Tell whether somebody waits for its answer."""
        return self.slot is not None and self.slot.is_open

    def holds(self, box: "Box") -> bool:
        """Tell whether that actor receives nothing until this work is done."""
        work: Envelope | None = self
        while work is not None:
            if work.box is box and box.is_at(work):
                return True
            work = work.asker if work.is_open() else None
        return False

    def forget(self) -> None:
        """Keep but what tells a cycle: tasks that began meanwhile, and the actor's, remember it."""
        self.message = None
        if not self.is_open():
            self.slot = self.asker = None

    def name(self) -> str:
        """Return the type of the message."""
        return type(self.message).__qualname__


at_work: ContextVar[Envelope | None] = ContextVar("at_work", default=None)
"""What this task is at, or was at when it began: it makes a cycle of asks visible.

Setting it costs 0.4 us of a message where a thousand actors are asked in turn (shape `scale` of
`tests/bench`). While no task can outlive the message that began it, all tasks of an actor therefore
share what was set when the actor began.
"""


def open_work() -> Envelope | None:
    """Return what this task is at, if anybody waits for that."""
    mark = at_work.get()
    if mark is None or mark.box is None:
        return None
    work = mark.box.work_of(mark)
    if work is None or work.box is None:
        return None
    return work if work.is_open() or work.box.is_at(work) else None


class Box:
    """One mailbox, over all incarnations of its actor.

    What few mailboxes ever need is made when they need it: there may be many idle ones.

    Attributes:
        path: The actor's path, once a supervisor has bound the box.
        emit: Where events go.
        state: What the actor is doing.
        incarnation: The number of the run that has it; 0 before the first.
        runs: How often a run began.
        progressed_at: Trio's time of the actor's last progress.
        final: The end of the actor; None while messages are taken or may be taken again.
        ends: How often it ended for good, for it may be started again by request.
        last_end: The latest of these ends.
    """

    __slots__ = (
        "_capacity",
        "_changed",
        "_first",
        "_is_closing",
        "_is_halted",
        "_is_high",
        "_is_marking",
        "_is_opening",
        "_key",
        "_keyed",
        "_open_asks",
        "_queue",
        "_receiver",
        "_senders",
        "_spec",
        "_taker",
        "_task",
        "dead_letters",
        "emit",
        "ends",
        "final",
        "in_hand",
        "incarnation",
        "last_end",
        "late_replies",
        "path",
        "peak",
        "processed",
        "progressed_at",
        "rejected",
        "runs",
        "sent",
        "state",
    )

    def __init__(self, spec: MailboxSpec[object], key: Callable[[object], Hashable] | None) -> None:
        self._spec = spec
        self._capacity = spec.capacity  # each message needs it, and of the rules nothing else
        self._key = key
        self._keyed: dict[Hashable, Envelope] | None = None if key is None else {}
        self._queue: deque[Envelope] | tuple[()] = ()
        self._senders: dict[Task, Envelope] | None = None
        self._receiver: Task | None = None
        self._open_asks: WeakSet[ReplySlot] | None = None  # an asker that has gone leaves no slot
        self._task: Task | None = None
        self._taker: Task | None = None
        self._first: Envelope | None = None
        self._is_opening = self._is_marking = False
        self._changed: trio.Event | None = None
        self._is_halted = False
        self._is_closing = False
        self._is_high = False
        self.path = ""
        self.emit: Hook = ignore_event
        self.state = ChildState.DOWN
        self.incarnation = self.runs = self.ends = 0
        self.final: Exit | None = None
        self.last_end: Exit | None = None
        self.in_hand: Envelope | None = None
        self.sent = self.processed = self.rejected = self.dead_letters = 0
        self.peak = self.late_replies = 0
        self.progressed_at = -math.inf

    # The side of the senders

    def tell(self, envelope: Envelope) -> None:
        """Take the message now or raise MailboxFull or ActorStopped."""
        if not self.offer(envelope):
            raise self._reject()

    def offer(self, envelope: Envelope) -> bool:
        """Take the message now, raise as `tell` does, or say that it has to wait for room."""
        if self._is_closing or self.final is not None:
            self.sent += 1
            self.rejected += 1
            raise ActorStopped(self.path)
        if self._keyed is not None and self._coalesce(envelope):
            return True
        if len(self._queue) < self._capacity:
            self._accept(envelope)
            return True
        if self._spec.overflow is Overflow.REJECT:
            raise self._reject()
        return False

    async def wait_for_room(self, envelope: Envelope) -> None:
        """Take the message as soon as there is room; raise ActorStopped if that never comes."""
        task = trio.lowlevel.current_task()
        if self._senders is None:
            self._senders = {}
        senders = self._senders
        senders[task] = envelope

        def abort(raise_cancel: RaiseCancelT) -> Abort:
            del senders[task]
            return Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)
        if envelope.is_refused:
            raise ActorStopped(self.path)

    def _reject(self) -> MailboxFull:
        self.sent += 1
        self.rejected += 1
        return MailboxFull(self.path, self.state)

    def _key_of(self, envelope: Envelope) -> Hashable:
        return None if self._key is None else self._key(envelope.message)

    def _coalesce(self, envelope: Envelope) -> bool:
        queued = None if self._keyed is None else self._keyed.get(self._key_of(envelope))
        if queued is None:
            return False
        self.sent += 1
        self.dead_letters += 1  # the message of every merged nudge: counted, not worth an event
        if queued.slot is not None:
            queued.slot.fail(MailboxFull(self.path, self.state))
        queued.message, queued.slot = envelope.message, envelope.slot
        queued.asker = envelope.asker
        queued.crashes = 0
        return True

    def _accept(self, envelope: Envelope) -> None:
        queue = self._filled()
        queue.append(envelope)
        self.sent += 1
        if self._keyed is not None:
            self._keyed[self._key_of(envelope)] = envelope
        depth = len(queue)
        if depth > self.peak:
            self.peak = depth
        capacity = self._capacity
        if depth * 5 >= capacity * 4 and not self._is_high:
            self._is_high = True
            self.emit(MailboxHigh(path=self.path, depth=depth, capacity=capacity))
        self._wake_receiver()

    def _filled(self) -> deque[Envelope]:
        """Return the queue, made if nothing waits in it: an empty one takes 700 bytes."""
        queue = self._queue or deque()
        self._queue = queue
        return queue

    # The side of the actor

    def settle_and_look(self, receiver: Task) -> bool:
        """Finish the message in hand; return whether there is a reason not to wait."""
        if self._receiver is not None:
            raise trio.BusyResourceError(f"two tasks receive from the mailbox of {self.path}")
        self._taker = receiver
        self.settle()
        return self._is_halted or bool(self._queue)

    def take(self, receiver: Task) -> Envelope | None:
        """Take the next message in hand; None where there is none or the actor shall end."""
        while self._queue and not self.is_over():
            envelope = self._remove_first()
            if envelope.slot is not None and envelope.slot.is_expired():
                self._bury([envelope], DeadLetterCause.EXPIRED)
                continue
            self.in_hand = envelope
            envelope.box = self
            if self._is_marking or receiver is not self._task or receiver.child_nurseries:
                self._is_marking = True
                at_work.set(envelope)
            return envelope
        return None

    def park(self, receiver: Task) -> None:
        """Let the actor's task wait for a message; it is rescheduled when there is one."""
        self._receiver = receiver

    def leave(self, raise_cancel: RaiseCancelT) -> Abort:
        """Let the waiting task go: it is cancelled."""
        self._receiver = None
        self.progressed_at = trio.current_time()
        return Abort.SUCCEEDED

    def is_awaiting(self) -> bool:
        """Tell whether the actor waits for a message: then it is not held up by anything else."""
        return self._receiver is not None

    def is_over(self) -> bool:
        """Tell whether the actor shall take no more messages."""
        if not self._is_halted:
            return False
        return not (self._is_closing and self._spec.drain is Drain.ALL and self._queue)

    def settle(self) -> None:
        """Count the message in hand as processed."""
        self._is_opening = False
        if self.in_hand is not None:
            self._keep_open(self.in_hand)
            self.in_hand.forget()
            self.in_hand = None
            self.processed += 1

    def _keep_open(self, envelope: Envelope) -> None:
        """Remember an ask that leaves the actor's hands without an answer: it may come later."""
        slot = envelope.slot
        if slot is not None and slot.is_open:
            if self._open_asks is None:
                self._open_asks = WeakSet()
            self._open_asks.add(slot)

    def begin(self) -> None:
        """Note that this task runs the actor, which receives nothing before it first wants to."""
        self._task = trio.lowlevel.current_task()
        self._first = work = Envelope(None)
        self._is_opening, self._is_marking = True, False
        work.box = self
        at_work.set(work)

    def work_of(self, mark: Envelope) -> Envelope | None:
        """Return what the calling task is at, by what `at_work` is for it."""
        if mark is not self._first or self._is_opening or self._is_marking:
            return mark
        task: Task | None = trio.lowlevel.current_task()
        while task is not None and task is not self._task:  # a nursery from outside leads elsewhere
            task = None if task.parent_nursery is None else task.parent_nursery.parent_task
        return None if task is None else self.in_hand

    def waits_for_caller(self) -> bool:
        """Tell whether the calling task is the one that receives, also between two messages."""
        return self._taker is not None and self._taker is trio.lowlevel.current_task()

    def is_at(self, work: Envelope) -> bool:
        """Tell whether the actor has not finished that yet."""
        return work is self.in_hand or (self._is_opening and work is self._first)

    def reply(self, slot: ReplySlot, value: object) -> None:
        """Answer an ask of this incarnation."""
        if self._open_asks is not None:
            self._open_asks.discard(slot)
        if not slot.answer(value):
            self.late_replies += 1

    def _remove_first(self) -> Envelope:
        queue = self._filled()
        envelope = queue.popleft()
        if not queue:
            self._queue = ()
        if self._keyed is not None:
            self._keyed.pop(self._key_of(envelope), None)
        if self._is_high and len(self._queue) * 2 <= self._capacity:
            self._is_high = False
        while self._senders and len(self._queue) < self._capacity:
            task = next(iter(self._senders))
            waiting = self._senders.pop(task)
            if self._keyed is None or not self._coalesce(waiting):
                self._accept(waiting)
            trio.lowlevel.reschedule(task)
        return envelope

    def _wake_receiver(self) -> None:
        if self._receiver is not None:
            trio.lowlevel.reschedule(self._receiver)
            self._receiver = None

    # The side of the supervisor

    def open(self, incarnation: int) -> None:
        """Begin an incarnation: messages are taken again, also after a final end."""
        self._is_halted = self._is_closing = False
        self.final = None
        self.incarnation = incarnation
        self.runs += 1
        self.progressed_at = trio.current_time()
        self._announce()

    def halt(self) -> None:
        """Let the actor end after the message in hand; senders notice nothing."""
        self._is_halted = True
        self._wake_receiver()

    def shut(self) -> None:
        """As `halt`, for good: no sender gets in any more, the queue is drained as agreed."""
        self._is_closing = True
        self._refuse_senders()
        self.halt()

    def end(self, error: Exception | None, *, is_lost: bool) -> str | None:
        """End an incarnation: its open asks fail.

        Args:
            error: What it crashed with.
            is_lost: Whether the message in hand was left unfinished: it comes back or is dead.

        Returns:
            The type of the message that was lost.
        """
        lost = self.in_hand if is_lost else None
        if lost is not None:
            self._keep_open(lost)
            self.in_hand = None
            self._return_or_bury(lost)
        self.settle()
        self._task = self._taker = self._first = None
        asks, self._open_asks = self._open_asks, None
        for slot in asks or ():
            failure: SupervisionError = ActorStopped(self.path)
            if error is not None:
                failure = ActorError(self.path)
                failure.__cause__ = error
            slot.fail(failure)
        return None if lost is None else lost.name()

    def _return_or_bury(self, envelope: Envelope) -> None:
        envelope.crashes += 1
        if envelope.slot is not None or envelope.crashes >= self._spec.poison_after:
            self._bury([envelope], DeadLetterCause.CRASHED)
        elif self._keyed is not None and self._key_of(envelope) in self._keyed:
            self._bury([envelope], DeadLetterCause.REPLACED)
        else:
            self._filled().appendleft(envelope)
            if self._keyed is not None:
                self._keyed[self._key_of(envelope)] = envelope

    def interrupt(self) -> None:
        """End an incarnation that was cancelled from outside: what it had in hand is lost."""
        if self.in_hand is not None:
            self._keep_open(self.in_hand)
            self._bury([self.in_hand], DeadLetterCause.STOPPED)
            self.in_hand = None
        self.end(None, is_lost=False)

    def close(self, exit: Exit) -> None:
        """End the actor for good: queued asks fail, the rest become dead letters."""
        self.final = self.last_end = exit
        self.ends += 1
        self._refuse_senders()
        queue, self._queue = self._queue, ()
        if self._keyed is not None:
            self._keyed.clear()
        self._is_high = False
        for envelope in queue:
            if envelope.slot is not None:
                envelope.slot.fail(ActorStopped(self.path))
        self._bury(queue, DeadLetterCause.STOPPED)
        self._announce()

    def _refuse_senders(self) -> None:
        senders, self._senders = self._senders or {}, None
        for task, envelope in senders.items():
            envelope.is_refused = True
            self.sent += 1
            self.rejected += 1
            trio.lowlevel.reschedule(task)

    def _bury(self, letters: Iterable[Envelope], cause: DeadLetterCause) -> None:
        names = Counter(envelope.name() for envelope in letters)
        self.dead_letters += names.total()
        for name, count in names.items():
            self.emit(DeadLetter(path=self.path, cause=cause, message=name, count=count))

    # The side of those who look

    async def wait_changed(self) -> None:
        """Wait until a run begins or the actor ends for good."""
        if self._changed is None:
            self._changed = trio.Event()
        await self._changed.wait()

    def _announce(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None

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
