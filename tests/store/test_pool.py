"""The pool as a pure state machine: events and times in, actions out."""

import random

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from jobping.core.ids import Monotonic
from jobping.store.pool import (
    Action,
    Assign,
    Check,
    Close,
    CloseReason,
    Lost,
    Open,
    Pool,
    PoolLimits,
    Regained,
    Reject,
    SlotId,
    Ticket,
)

LIMITS = PoolLimits(size_min=1, size_max=3, waiting_max=4, lifetime_spread=0.0)


def at(seconds: float) -> Monotonic:
    return Monotonic(seconds)


def ticket(number: int) -> Ticket:
    return Ticket(number)


def opened_pool(limits: PoolLimits = LIMITS, *, size: int = 1) -> Pool:
    """Return a pool with idle connections 1..size, all opened at second 0."""
    pool = Pool(limits=attrs.evolve(limits, size_min=size), rng=random.Random(1))
    pool.tick(at(0))
    for number in range(1, size + 1):
        pool.freed(SlotId(number), at(0))
    pool.limits = limits
    assert (pool.size, pool.idle) == (size, size)
    return pool


def test_pool_opens_its_minimum_one_after_the_other() -> None:
    pool = Pool(limits=attrs.evolve(LIMITS, size_min=2), rng=random.Random(1))
    assert pool.tick(at(0)) == (Open(SlotId(1)),)
    assert pool.tick(at(0)) == ()
    assert pool.freed(SlotId(1), at(1)) == (Open(SlotId(2)),)
    assert pool.freed(SlotId(2), at(2)) == ()


def test_pool_hands_a_unit_to_the_connection_used_last() -> None:
    pool = opened_pool(size=3)
    assert pool.submit(ticket(1), at(1)) == (Assign(SlotId(3), ticket(1)),)
    pool.freed(SlotId(3), at(2))
    assert pool.submit(ticket(2), at(3)) == (Assign(SlotId(3), ticket(2)),)


def test_pool_grows_only_while_units_wait() -> None:
    pool = opened_pool()
    assert pool.submit(ticket(1), at(1)) == (Assign(SlotId(1), ticket(1)),)
    assert pool.submit(ticket(2), at(1)) == (Open(SlotId(2)),)
    assert pool.submit(ticket(3), at(1)) == ()
    assert pool.freed(SlotId(2), at(1.1)) == (Assign(SlotId(2), ticket(2)), Open(SlotId(3)))
    assert pool.freed(SlotId(1), at(1.2)) == (Assign(SlotId(1), ticket(3)),)
    assert pool.freed(SlotId(3), at(1.3)) == ()


def test_pool_never_exceeds_its_maximum() -> None:
    pool = opened_pool(size=3)
    for number in range(3):
        pool.submit(ticket(number), at(1))
    assert pool.submit(ticket(3), at(1)) == ()
    assert pool.waiting == 1


def test_pool_serves_waiting_units_in_order() -> None:
    pool = opened_pool(attrs.evolve(LIMITS, size_max=1))
    for number in range(3):
        pool.submit(ticket(number), at(1))
    assert pool.freed(SlotId(1), at(2)) == (Assign(SlotId(1), ticket(1)),)
    assert pool.freed(SlotId(1), at(3)) == (Assign(SlotId(1), ticket(2)),)
    assert pool.take_waited_max() == 2.0


def test_pool_rejects_a_unit_that_waited_five_seconds() -> None:
    pool = opened_pool(attrs.evolve(LIMITS, size_max=1))
    pool.submit(ticket(1), at(1))
    pool.submit(ticket(2), at(2))
    assert pool.next_wake() == 7.0
    assert pool.tick(at(6.9)) == ()
    assert pool.tick(at(7)) == (Reject(ticket(2), 5.0),)
    assert (pool.waiting, pool.rejected) == (0, 1)


def test_pool_rejects_at_once_when_too_many_wait() -> None:
    pool = opened_pool(attrs.evolve(LIMITS, size_max=1, waiting_max=1))
    pool.submit(ticket(1), at(1))
    pool.submit(ticket(2), at(1))
    assert pool.submit(ticket(3), at(1)) == (Reject(ticket(3), 0.0),)


def test_pool_forgets_a_unit_withdrawn_while_it_waits() -> None:
    pool = opened_pool(attrs.evolve(LIMITS, size_max=1))
    pool.submit(ticket(1), at(1))
    pool.submit(ticket(2), at(1))
    assert pool.withdraw(ticket(2))
    assert not pool.withdraw(ticket(1))
    assert pool.freed(SlotId(1), at(2)) == ()


def test_pool_checks_a_connection_idle_for_long_before_it_gets_a_unit() -> None:
    pool = opened_pool()
    assert pool.submit(ticket(1), at(31)) == (Check(SlotId(1)),)
    assert pool.freed(SlotId(1), at(31.1)) == (Assign(SlotId(1), ticket(1)),)


def test_pool_replaces_a_connection_that_leaves_a_check_unanswered() -> None:
    pool = opened_pool()
    pool.submit(ticket(1), at(31))
    assert pool.next_wake() == 33.0
    assert pool.tick(at(33)) == (Close(SlotId(1), CloseReason.UNANSWERED), Open(SlotId(2)))
    assert pool.freed(SlotId(2), at(33.1)) == (Assign(SlotId(2), ticket(1)),)
    assert pool.gone(SlotId(1), at(33.2), "reset") == ()


def test_pool_checks_every_idle_connection_each_five_minutes() -> None:
    pool = opened_pool()
    assert pool.next_wake() == 300.0
    assert pool.tick(at(300)) == (Check(SlotId(1)),)
    pool.freed(SlotId(1), at(300.1))
    assert pool.next_wake() == 600.1


def test_pool_closes_idle_connections_down_to_its_minimum() -> None:
    pool = opened_pool(size=3)
    pool.submit(ticket(1), at(10))
    pool.freed(SlotId(3), at(200))
    assert pool.tick(at(300)) == (
        Close(SlotId(1), CloseReason.IDLE),
        Close(SlotId(2), CloseReason.IDLE),
    )
    assert pool.gone(SlotId(1), at(300), "closed") == ()
    assert (pool.size, pool.idle) == (1, 1)


def test_pool_replaces_a_connection_at_the_end_of_its_lifetime() -> None:
    pool = opened_pool()
    pool.submit(ticket(1), at(20))
    assert pool.freed(SlotId(1), at(1_801)) == (
        Close(SlotId(1), CloseReason.AGE),
        Open(SlotId(2)),
    )


def test_lifetimes_differ_between_connections() -> None:
    pool = Pool(limits=PoolLimits(size_min=2), rng=random.Random(1))
    pool.tick(at(0))
    pool.freed(SlotId(1), at(0))
    pool.freed(SlotId(2), at(0))
    expiries = {slot.expires_at for slot in pool._slots.values()}
    assert len(expiries) == 2
    assert all(1_620 <= expiry <= 1_980 for expiry in expiries)


def test_pool_reports_loss_and_return_once() -> None:
    pool = opened_pool(size=2)
    assert pool.gone(SlotId(1), at(1), "reset") == ()
    assert pool.gone(SlotId(2), at(1), "reset") == (Lost("reset"), Open(SlotId(3)))
    assert pool.open_failed(SlotId(3), at(2), "refused") == ()
    assert pool.tick(at(3)) == (Open(SlotId(4)),)
    assert pool.freed(SlotId(4), at(4)) == (Regained(3.0),)


def test_pool_reports_loss_when_the_first_attempt_fails() -> None:
    pool = Pool(limits=LIMITS, rng=random.Random(1))
    pool.tick(at(0))
    assert pool.open_failed(SlotId(1), at(1), "refused") == (Lost("refused"),)


@pytest.mark.parametrize("failures", [1, 2, 5, 10, 2_000])
def test_delay_between_attempts_stays_within_its_bounds(failures: int) -> None:
    pool = Pool(limits=LIMITS, rng=random.Random(failures))
    now = 0.0
    for _ in range(failures):
        actions = pool.tick(at(now))
        assert [type(action) for action in actions] == [Open]
        pool.open_failed(actions[0].slot, at(now), "refused")
        wake = pool.next_wake()
        assert 0.05 <= wake - now <= 10.0
        now = wake


def test_closing_pool_rejects_what_waits() -> None:
    pool = opened_pool(attrs.evolve(LIMITS, size_max=1))
    pool.submit(ticket(1), at(1))
    pool.submit(ticket(2), at(1))
    assert pool.close(at(2)) == (Reject(ticket(2), 1.0),)
    assert pool.submit(ticket(3), at(2)) == (Reject(ticket(3), 0.0),)


def test_closing_pool_closes_connections_once_they_are_idle() -> None:
    pool = opened_pool(size=2)
    pool.submit(ticket(1), at(1))
    assert pool.close(at(2)) == (Close(SlotId(1), CloseReason.CLOSING),)
    assert pool.freed(SlotId(2), at(3)) == (Close(SlotId(2), CloseReason.CLOSING),)
    assert pool.gone(SlotId(2), at(3), "closed") == ()


def test_limits_refuse_a_maximum_below_the_minimum() -> None:
    with pytest.raises(ValueError, match="size_max 1 is below size_min 2"):
        PoolLimits(size_min=2, size_max=1)


class PoolMachine(RuleBasedStateMachine):
    """Carries actions out at random times and outcomes, as the bridge would."""

    @initialize(seed=st.integers(0, 1_000))
    def open(self, seed: int) -> None:
        self.now = 0.0
        self.pool = Pool(limits=LIMITS, rng=random.Random(seed))
        self.opening: set[SlotId] = set()
        self.checking: set[SlotId] = set()
        self.closing: set[SlotId] = set()
        self.busy: dict[SlotId, Ticket] = {}
        self.idle: set[SlotId] = set()
        self.waiting: list[Ticket] = []
        self.number = 0
        self.lost = False
        self.carry_out(self.pool.tick(at(0)))

    def carry_out(self, actions: tuple[Action, ...]) -> None:
        for action in actions:
            match action:
                case Open(slot):
                    self.opening.add(slot)
                case Assign(slot, number):
                    assert number == self.waiting.pop(0)
                    self.idle.remove(slot)
                    self.busy[slot] = number
                case Check(slot):
                    self.idle.remove(slot)
                    self.checking.add(slot)
                case Close(slot, reason):
                    if reason is CloseReason.UNANSWERED:
                        self.checking.remove(slot)
                    else:
                        self.idle.remove(slot)
                    self.closing.add(slot)
                case Reject(number, waited_s):
                    self.waiting.remove(number)
                    assert waited_s == 0.0 or waited_s >= LIMITS.wait_s
                case Lost():
                    assert not self.lost
                    self.lost = True
                case Regained():
                    assert self.lost
                    self.lost = False

    @rule()
    def submit(self) -> None:
        self.number += 1
        self.waiting.append(ticket(self.number))
        self.carry_out(self.pool.submit(ticket(self.number), at(self.now)))

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.5, 3.0, 40.0, 400.0, 2_000.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.now += seconds
        self.carry_out(self.pool.tick(at(self.now)))

    @precondition(lambda self: self.opening)
    @rule(good=st.booleans())
    def end_opening(self, good: bool) -> None:
        slot = self.opening.pop()
        if good:
            self.idle.add(slot)
            self.carry_out(self.pool.freed(slot, at(self.now)))
        else:
            self.carry_out(self.pool.open_failed(slot, at(self.now), "refused"))

    @precondition(lambda self: self.busy or self.checking)
    @rule(good=st.booleans(), data=st.data())
    def end_work(self, good: bool, data: st.DataObject) -> None:
        slot = data.draw(st.sampled_from(sorted([*self.busy, *self.checking])))
        self.busy.pop(slot, None)
        self.checking.discard(slot)
        if good:
            self.idle.add(slot)
            self.carry_out(self.pool.freed(slot, at(self.now)))
        else:
            self.carry_out(self.pool.gone(slot, at(self.now), "reset"))

    @precondition(lambda self: self.idle)
    @rule()
    def lose_idle(self) -> None:
        self.carry_out(self.pool.gone(self.idle.pop(), at(self.now), "reset"))

    @precondition(lambda self: self.closing)
    @rule()
    def end_closing(self) -> None:
        self.carry_out(self.pool.gone(self.closing.pop(), at(self.now), "closed"))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(self.waiting))
        self.waiting.remove(number)
        assert self.pool.withdraw(number)

    @invariant()
    def agrees_with_the_bridge(self) -> None:
        live = len(self.idle) + len(self.busy) + len(self.checking)
        assert (self.pool.size, self.pool.idle) == (live, len(self.idle))
        assert self.pool.waiting == len(self.waiting)
        assert live + len(self.opening) + len(self.closing) <= LIMITS.size_max
        assert len(self.opening) <= 1

    @invariant()
    def leaves_nothing_undone(self) -> None:
        assert not (self.waiting and self.idle)
        if self.waiting and not (self.busy or self.checking or self.opening or self.closing):
            assert self.pool.next_wake() < float("inf")


TestPoolMachine = PoolMachine.TestCase
TestPoolMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
