"""The typed ends that senders see: `Mailbox`, `Ref` and the base of messages with an answer."""

import math
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar, cast

import trio

from supervisors._box import Box, Envelope, ReplySlot, open_work
from supervisors._mailbox import MailboxSpec, MailboxStatistics
from supervisors._states import Exit, ExitKind
from supervisors._timer import timer_of_run
from supervisors.errors import AskCycle, AskTimeout

M = TypeVar("M")
M_contra = TypeVar("M_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")

_NO_END = Exit(kind=ExitKind.SHUTDOWN)


class Ask(Generic[R_co]):
    """The base of every message that has an answer, of type `R_co`."""

    __slots__ = ()


class Ref(Generic[M_contra]):
    """The sending end of a mailbox; stable over restarts, also of the supervisors above.

    Attributes:
        box: For this package only.
    """

    __slots__ = ("box",)

    def __init__(self, box: Box) -> None:
        self.box = box

    def __repr__(self) -> str:
        return f"<Ref {self.path or 'unbound'}>"

    @property
    def path(self) -> str:
        """Where the actor stands in its tree; empty until a supervisor was given its mailbox."""
        return self.box.path

    def tell(self, message: M_contra) -> None:
        """Send without waiting.

        Raises:
            MailboxFull: There is no room.
            ActorStopped: The actor has ended for good, or is about to.
        """
        self.box.tell(Envelope(message))

    async def put(self, message: M_contra) -> None:
        """Send, waiting for room.

        Raises:
            MailboxFull: There is no room and the mailbox rejects.
            ActorStopped: The actor has ended for good, or is about to.
        """
        await trio.lowlevel.checkpoint()
        envelope = Envelope(message)
        if not self.box.offer(envelope):
            await self.box.wait_for_room(envelope)

    async def ask(self, message: Ask[R], *, within: float = 5.0) -> R:
        """Send and wait for the answer.

        Args:
            within: Seconds; an earlier deadline around the call holds instead.

        Raises:
            AskTimeout: `within` is over. An earlier deadline around the call cancels as usual.
            MailboxFull: There is no room and the mailbox rejects, or a later message replaced it.
            ActorStopped: The actor has ended for good, is about to, or ended without an answer.
            ActorError: The actor crashed before it answered.
            AskCycle: The actor waits for an answer of the asker, or is the asker: by its own task
                or one below. What it started in a nursery from outside, or in a thread that it may
                abandon, is not known to be its: there a cycle ends in AskTimeout.
        """
        box, work = self.box, open_work()
        if box.waits_for_caller() or (work is not None and work.holds(box)):
            raise AskCycle(f"{self.path} cannot answer: it waits for this very task")
        now = trio.current_time()
        own, outer = now + within, trio.current_effective_deadline()
        slot = ReplySlot(own)  # that of a scope around the call may be moved meanwhile
        envelope = Envelope(message, slot, work)
        if own == math.inf:
            if outer == math.inf:
                raise ValueError("an ask needs a deadline")
            return cast("R", await self._exchange(envelope, slot))
        timer = timer_of_run()
        if outer <= now or timer.is_over or not within > 0 or not box.offer(envelope):
            with trio.CancelScope(deadline=own):
                return cast("R", await self._exchange(envelope, slot))
            raise AskTimeout(self.path, within)
        timer.add(slot, box, within)
        try:
            return cast("R", await slot.wait())
        finally:
            timer.remove(slot, within)

    async def _exchange(self, envelope: Envelope, slot: ReplySlot) -> object:
        await trio.lowlevel.checkpoint_if_cancelled()
        if not self.box.offer(envelope):
            await self.box.wait_for_room(envelope)
        return await slot.wait()

    async def stopped(self) -> Exit:
        """Wait for the actor's final end, not for a restart.

        Returns:
            That end, also where the actor was started again by request meanwhile.
        """
        await trio.lowlevel.checkpoint()
        box = self.box
        ends = box.ends
        while box.final is None and box.ends == ends:
            await box.wait_changed()
        return box.final or box.last_end or _NO_END


class Mailbox(Generic[M]):
    """A bounded queue that belongs to one child and survives its restarts.

    Make one where others must hold its ref before the tree runs; otherwise a spec will do.

    Attributes:
        ref: The sending end.
        spec: Its rules.
    """

    def __init__(self, spec: MailboxSpec[M] | None = None) -> None:
        self.spec: MailboxSpec[M] = spec if spec is not None else MailboxSpec()
        self.box = Box(
            cast("MailboxSpec[object]", self.spec),
            cast("Callable[[object], Hashable] | None", self.spec.key),
        )
        self.ref: Ref[M] = Ref(self.box)

    def statistics(self) -> MailboxStatistics:
        """Return the counters since the mailbox was made."""
        return self.box.statistics()
