"""Who gets which unit, and which connections to open, check and close: pure, the time passed in.

`bridge` carries the actions out and reports back what became of them. At most one connection is
being opened at any time: growth is damped by it, and after a loss it alone tries to reconnect.
"""

import collections
import enum
import random
from typing import NewType

import attrs

from jobping.core.ids import Monotonic

SlotId = NewType("SlotId", int)
"""One connection, from the decision to open it until it is gone."""
Ticket = NewType("Ticket", int)
"""One unit that wants a connection."""


@attrs.frozen(kw_only=True)
class PoolLimits:
    """The figures of the pool; all durations in seconds.

    Attributes:
        size_min: Connections kept open.
        size_max: Connections at most; reached only while units wait.
        waiting_max: Units that may wait; the next one is rejected at once.
        wait_s: How long a unit waits for a connection.
        first_answer_s: How long the first connection may take before the store gives up.
        connect_within_s: How long one attempt to connect may take.
        check_after_s: A connection idle for longer must give a sign of life before it gets a unit.
        check_every_s: Every idle connection is asked this often.
        check_within_s: How long such a check may take before the connection is thrown away.
        idle_close_s: An idle connection above `size_min` is closed after this.
        lifetime_s: A connection is replaced at this age, varied by `lifetime_spread`.
        lifetime_spread: Share of `lifetime_s`, so that not all are replaced at once.
        retry_min_s: First upper bound of the delay after a failed attempt; doubles each time.
        retry_max_s: Last upper bound of that delay.
        statement_timeout_s: Server-side limit of one statement.
        close_within_s: How long units may go on when the pool closes.
        sample_every_s: How often the pool reports itself.
    """

    size_min: int = attrs.field(default=2, validator=attrs.validators.ge(1))
    size_max: int = attrs.field(default=20, validator=attrs.validators.ge(1))
    waiting_max: int = attrs.field(default=1_000, validator=attrs.validators.ge(0))
    wait_s: float = 5.0
    first_answer_s: float = 10.0
    connect_within_s: float = 5.0
    check_after_s: float = 30.0
    check_every_s: float = 300.0
    check_within_s: float = 2.0
    idle_close_s: float = 300.0
    lifetime_s: float = 1_800.0
    lifetime_spread: float = 0.1
    retry_min_s: float = 0.1
    retry_max_s: float = 10.0
    statement_timeout_s: float = 30.0
    close_within_s: float = 2.0
    sample_every_s: float = 60.0

    def __attrs_post_init__(self) -> None:
        """Refuse a pool that could never reach its own minimum."""
        if self.size_max < self.size_min:
            raise ValueError(f"size_max {self.size_max} is below size_min {self.size_min}")


class CloseReason(enum.Enum):
    """Why a connection is given up."""

    IDLE = "idle"
    AGE = "age"
    UNANSWERED = "unanswered"
    CLOSING = "closing"


@attrs.frozen
class Open:
    """Open a connection for this slot; answer with `freed` or `open_failed`."""

    slot: SlotId


@attrs.frozen
class Assign:
    """Run this unit there; answer with `freed`."""

    slot: SlotId
    ticket: Ticket


@attrs.frozen
class Check:
    """Ask this connection for a sign of life; answer with `freed`."""

    slot: SlotId


@attrs.frozen
class Close:
    """Close this idle or unanswering connection; answer with `gone`."""

    slot: SlotId
    reason: CloseReason


@attrs.frozen
class Reject:
    """Tell this unit that it gets no connection; it has waited `waited_s`."""

    ticket: Ticket
    waited_s: float


@attrs.frozen
class Lost:
    """No connection is left, and not because we closed it."""

    reason: str


@attrs.frozen
class Regained:
    """A connection is there again."""

    lost_s: float


Action = Open | Assign | Check | Close | Reject | Lost | Regained


class SlotState(enum.Enum):
    """What a connection is doing."""

    OPENING = "opening"
    IDLE = "idle"
    CHECKING = "checking"
    BUSY = "busy"
    CLOSING = "closing"


@attrs.define(kw_only=True)
class Slot:
    """One connection as the pool sees it; times are monotonic seconds.

    Attributes:
        since: When it entered `state`.
        heard_at: When the server last answered on it.
        expires_at: When it is replaced.
    """

    id: SlotId
    state: SlotState
    since: Monotonic
    heard_at: Monotonic
    expires_at: Monotonic

    def enter(self, state: SlotState, now: Monotonic) -> None:
        """Change the state."""
        self.state = state
        self.since = now


_LIVE = frozenset({SlotState.IDLE, SlotState.CHECKING, SlotState.BUSY})


@attrs.define(kw_only=True)
class Pool:
    """The state of the pool; every method returns what is to be done now.

    Attributes:
        rejected: Units that got no connection so far.
        waited_max_s: The longest wait of a unit since `take_waited_max`.
    """

    limits: PoolLimits
    rng: random.Random
    rejected: int = 0
    waited_max_s: float = 0.0
    _slots: dict[SlotId, Slot] = attrs.field(factory=dict, init=False)
    _idle: list[SlotId] = attrs.field(factory=list, init=False)
    """A stack: the one used last is used next, so that the others can be closed."""
    _waiting: collections.deque[tuple[Ticket, Monotonic]] = attrs.field(
        factory=collections.deque, init=False
    )
    _failures: int = attrs.field(default=0, init=False)
    _retry_at: Monotonic = attrs.field(default=Monotonic(0.0), init=False)
    _lost_at: Monotonic | None = attrs.field(default=None, init=False)
    _closing: bool = attrs.field(default=False, init=False)
    _next_slot: int = attrs.field(default=1, init=False)

    @property
    def size(self) -> int:
        """Connections that are open."""
        return sum(slot.state in _LIVE for slot in self._slots.values())

    @property
    def idle(self) -> int:
        """Open connections that nobody uses."""
        return len(self._idle)

    @property
    def waiting(self) -> int:
        """Units that wait for a connection."""
        return len(self._waiting)

    def take_waited_max(self) -> float:
        """Return the longest wait, in seconds, since the last call."""
        longest, self.waited_max_s = self.waited_max_s, 0.0
        return longest

    def submit(self, ticket: Ticket, now: Monotonic) -> tuple[Action, ...]:
        """Queue a unit."""
        if self._closing or len(self._waiting) >= self.limits.waiting_max:
            self.rejected += 1
            return (Reject(ticket, 0.0),)
        self._waiting.append((ticket, now))
        return self._settle(now)

    def withdraw(self, ticket: Ticket) -> bool:
        """Drop a unit that still waits; False if it does not."""
        for entry in self._waiting:
            if entry[0] == ticket:
                self._waiting.remove(entry)
                return True
        return False

    def open_failed(self, slot: SlotId, now: Monotonic, reason: str) -> tuple[Action, ...]:
        """Take note that an attempt to connect failed; the next one waits, with full jitter."""
        del self._slots[slot]
        ceiling = min(
            self.limits.retry_max_s, self.limits.retry_min_s * 2 ** min(self._failures, 30)
        )
        self._failures += 1
        self._retry_at = Monotonic(now + self.rng.uniform(self.limits.retry_min_s / 2, ceiling))
        return self._note_loss(now, reason) + self._settle(now)

    def freed(self, slot: SlotId, now: Monotonic) -> tuple[Action, ...]:
        """Take note that a connection is there, or has answered, and is free."""
        kept = self._slots[slot]
        if kept.state is SlotState.CLOSING:
            return ()
        found: tuple[Action, ...] = ()
        if kept.state is SlotState.OPENING:
            found = self._note_return(now)
        kept.heard_at = now
        kept.enter(SlotState.IDLE, now)
        self._idle.append(slot)
        if self._closing:
            return (self._close(slot, CloseReason.CLOSING, now),)
        if now >= kept.expires_at:
            return (*found, self._close(slot, CloseReason.AGE, now), *self._settle(now))
        return found + self._settle(now)

    def gone(self, slot: SlotId, now: Monotonic, reason: str) -> tuple[Action, ...]:
        """Take note that a connection is no more, whoever ended it."""
        kept = self._slots.pop(slot)
        if kept.state is SlotState.IDLE:
            self._idle.remove(slot)
        if kept.state is SlotState.CLOSING:
            return self._settle(now)
        return self._note_loss(now, reason) + self._settle(now)

    def tick(self, now: Monotonic) -> tuple[Action, ...]:
        """Do what has become due; to be called at `next_wake`."""
        actions: list[Action] = []
        while self._waiting and self._waiting[0][1] + self.limits.wait_s <= now:
            ticket, since = self._waiting.popleft()
            self.rejected += 1
            self.waited_max_s = max(self.waited_max_s, now - since)
            actions.append(Reject(ticket, now - since))
        for slot in tuple(self._slots.values()):
            if self._due(slot) <= now:
                actions += self._maintain(slot, now)
        return (*actions, *self._settle(now))

    def next_wake(self) -> float:
        """Return the monotonic second at which `tick` has something to do; infinity if never."""
        moments = [self._due(slot) for slot in self._slots.values()]
        if self._waiting:
            moments.append(self._waiting[0][1] + self.limits.wait_s)
        if self._wants_connection():
            moments.append(self._retry_at)
        return min(moments, default=float("inf"))

    def close(self, now: Monotonic) -> tuple[Action, ...]:
        """Accept nothing more; reject what waits, close what is idle."""
        self._closing = True
        rejects = [Reject(ticket, now - since) for ticket, since in self._waiting]
        self._waiting.clear()
        return (*rejects, *(self._close(slot, CloseReason.CLOSING, now) for slot in [*self._idle]))

    def _due(self, slot: Slot) -> float:
        limits = self.limits
        if slot.state is SlotState.CHECKING:
            return slot.since + limits.check_within_s
        if slot.state is not SlotState.IDLE:
            return float("inf")
        spare = slot.since + limits.idle_close_s if self.size > limits.size_min else float("inf")
        return min(slot.expires_at, spare, slot.heard_at + limits.check_every_s)

    def _maintain(self, slot: Slot, now: Monotonic) -> list[Action]:
        if slot.state is SlotState.CHECKING:
            return [self._close(slot.id, CloseReason.UNANSWERED, now)]
        if now >= slot.expires_at:
            return [self._close(slot.id, CloseReason.AGE, now)]
        if self.size > self.limits.size_min and now >= slot.since + self.limits.idle_close_s:
            return [self._close(slot.id, CloseReason.IDLE, now)]
        return [self._check(slot, now)]

    def _settle(self, now: Monotonic) -> tuple[Action, ...]:
        """Hand idle connections to waiting units, then open one if that leaves too few."""
        actions: list[Action] = []
        while self._waiting and self._idle:
            slot = self._slots[self._idle[-1]]
            if now - slot.heard_at > self.limits.check_after_s:
                actions.append(self._check(slot, now))
                continue
            ticket, since = self._waiting.popleft()
            self.waited_max_s = max(self.waited_max_s, now - since)
            self._idle.pop()
            slot.enter(SlotState.BUSY, now)
            actions.append(Assign(slot.id, ticket))
        if self._wants_connection() and now >= self._retry_at:
            actions.append(self._open(now))
        return tuple(actions)

    def _wants_connection(self) -> bool:
        states = [slot.state for slot in self._slots.values()]
        if self._closing or SlotState.OPENING in states or len(states) >= self.limits.size_max:
            return False
        kept = sum(state is not SlotState.CLOSING for state in states)
        return kept < self.limits.size_min or len(self._waiting) > states.count(SlotState.CHECKING)

    def _open(self, now: Monotonic) -> Open:
        spread = self.rng.uniform(-self.limits.lifetime_spread, self.limits.lifetime_spread)
        slot = Slot(
            id=SlotId(self._next_slot),
            state=SlotState.OPENING,
            since=now,
            heard_at=now,
            expires_at=Monotonic(now + self.limits.lifetime_s * (1 + spread)),
        )
        self._next_slot += 1
        self._slots[slot.id] = slot
        return Open(slot.id)

    def _check(self, slot: Slot, now: Monotonic) -> Check:
        self._idle.remove(slot.id)
        slot.enter(SlotState.CHECKING, now)
        return Check(slot.id)

    def _close(self, slot: SlotId, reason: CloseReason, now: Monotonic) -> Close:
        if self._slots[slot].state is SlotState.IDLE:
            self._idle.remove(slot)
        self._slots[slot].enter(SlotState.CLOSING, now)
        return Close(slot, reason)

    def _note_loss(self, now: Monotonic, reason: str) -> tuple[Action, ...]:
        if self._closing or self._lost_at is not None or self.size:
            return ()
        self._lost_at = now
        return (Lost(reason),)

    def _note_return(self, now: Monotonic) -> tuple[Action, ...]:
        self._failures = 0
        if self._lost_at is None:
            return ()
        lost_s = now - self._lost_at
        self._lost_at = None
        return (Regained(lost_s),)
