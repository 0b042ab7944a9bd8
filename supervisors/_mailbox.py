"""What a mailbox promises: its room, what happens when it is full, and what its counters mean."""

import enum
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import attrs

M = TypeVar("M")


class Overflow(enum.Enum):
    """What happens to a message that finds the mailbox full.

    BLOCK: `put` and `ask` wait for room, `tell` raises. REJECT: all three raise. COALESCE: it
    replaces the queued message of the same key in its place, full or not; without one, as BLOCK.
    """

    BLOCK = "block"
    REJECT = "reject"
    COALESCE = "coalesce"


class Drain(enum.Enum):
    """How much a stopping actor still processes: the message in hand, or all that are queued."""

    CURRENT = "current"
    ALL = "all"


@attrs.frozen(kw_only=True)
class MailboxSpec(Generic[M]):
    """The rules of one mailbox.

    Attributes:
        capacity: Messages that may wait; the one in hand is not among them.
        key: What makes two messages the same for COALESCE; needed there, refused elsewhere.
        poison_after: At how many crashes with it in hand a message becomes a dead letter; before
            that the new incarnation takes it first. An ask becomes one at the first.
    """

    capacity: int = 128
    overflow: Overflow = Overflow.BLOCK
    key: Callable[[M], Hashable] | None = None
    drain: Drain = Drain.CURRENT
    poison_after: int = 1

    def __attrs_post_init__(self) -> None:
        for name, value in (("capacity", self.capacity), ("poison_after", self.poison_after)):
            if isinstance(value, bool) or not isinstance(value, int):
                raise ValueError(f"{name} must be an integer, not {value!r}")
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if (self.key is not None) != (self.overflow is Overflow.COALESCE):
            raise ValueError("a mailbox that coalesces needs a key, and no other takes one")


@attrs.frozen(kw_only=True)
class MailboxStatistics:
    """Counters since the mailbox was made: processed + rejected + dead_letters + queued == sent.

    Attributes:
        sent: Messages that were given to the mailbox, refused ones included.
        rejected: Refused to their sender: no room, or the actor is stopped.
        dead_letters: Taken, but never processed: in hand at a crash, left at the end, expired,
            or replaced by one of the same key.
        queued: Waiting, or in the actor's hands.
        depth: Waiting.
        peak: The greatest depth so far.
        late_replies: Answers to askers that had gone.
    """

    sent: int
    processed: int
    rejected: int
    dead_letters: int
    queued: int
    depth: int
    peak: int
    capacity: int
    late_replies: int
