"""The typed ends that senders see: `Mailbox`, `Ref` and the base of messages with an answer."""

import math
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar, cast

import trio

from supervisors._box import Box, Envelope, ReplySlot, asked_through
from supervisors._mailbox import MailboxSpec, MailboxStatistics
from supervisors._states import Exit
from supervisors.errors import AskCycle, AskTimeout

M = TypeVar("M")
M_contra = TypeVar("M_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")


class Ask(Generic[R_co]):
    """The base of every message that has an answer, of type `R_co`."""

    __slots__ = ()


class Ref(Generic[M_contra]):
    """The sending end of a mailbox; stable over restarts, also of the supervisors above."""

    __slots__ = ("_box",)

    def __init__(self, box: Box) -> None:
        self._box = box

    def __repr__(self) -> str:
        return f"<Ref {self.path or 'unbound'}>"

    @property
    def path(self) -> str:
        """Where the actor stands in its tree; empty until a supervisor was given its mailbox."""
        return self._box.path

    def tell(self, message: M_contra) -> None:
        """Send without waiting.

        Raises:
            MailboxFull: There is no room.
            ActorStopped: The actor has ended for good, or is about to.
        """
        self._box.tell(Envelope(message, None, ()))

    async def put(self, message: M_contra) -> None:
        """Send, waiting for room.

        Raises:
            MailboxFull: There is no room and the mailbox rejects.
            ActorStopped: The actor has ended for good, or is about to.
        """
        await trio.lowlevel.checkpoint()
        await self._box.put(Envelope(message, None, ()))

    async def ask(self, message: Ask[R], *, within: float = 5.0) -> R:
        """Send and wait for the answer.

        Args:
            within: Seconds; an earlier deadline around the call holds instead.

        Raises:
            AskTimeout: `within` is over. An earlier deadline around the call cancels as usual.
            MailboxFull: There is no room and the mailbox rejects, or the message was dropped.
            ActorStopped: The actor has ended for good, is about to, or ended without an answer.
            ActorError: The actor crashed before it answered.
            AskCycle: The actor waits for an answer of the asker, or is the asker.
        """
        chain = asked_through.get()
        if self._box in chain:
            raise AskCycle(f"{self.path} cannot answer: it waits for this very task")
        own = trio.current_time() + within
        outer = trio.current_effective_deadline()
        if min(own, outer) == math.inf:
            raise ValueError("an ask needs a deadline")
        slot = ReplySlot(min(own, outer))
        envelope = Envelope(message, slot, chain)
        if outer <= own:
            return cast("R", await self._exchange(envelope, slot))
        with trio.CancelScope(deadline=own):
            return cast("R", await self._exchange(envelope, slot))
        raise AskTimeout(self.path, within)

    async def stopped(self) -> Exit:
        """Wait for the actor's final end, not for a restart."""
        await trio.lowlevel.checkpoint()
        return await self._box.wait_closed()

    async def _exchange(self, envelope: Envelope, slot: ReplySlot) -> object:
        await trio.lowlevel.checkpoint_if_cancelled()
        await self._box.put(envelope)
        return await slot.wait()


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
            capacity=self.spec.capacity,
            overflow=self.spec.overflow,
            key=cast("Callable[[object], Hashable] | None", self.spec.key),
            on_restart=self.spec.on_restart,
            drain=self.spec.drain,
        )
        self.ref: Ref[M] = Ref(self.box)

    def statistics(self) -> MailboxStatistics:
        """Return the counters since the mailbox was made."""
        return self.box.statistics()
