"""The deadlines of asks: what a timer that all asks of a run share must not do to any of them."""

import math
from collections.abc import Awaitable, Callable
from functools import partial

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from supervisors import (
    Ask,
    AskTimeout,
    ChildSpec,
    Context,
    Delivery,
    Mailbox,
    Ref,
    Supervisor,
    SupervisorSpec,
)
from supervisors._timer import Timer, timer_of_run
from supervisors.testing import settle

LONG = 1_000.0


@attrs.frozen
class Work(Ask[float]):
    """Answered with `delay`, so many seconds later."""

    delay: float


async def answer_later(ctx: Context[Work]) -> None:
    async def answer(delivery: Delivery[Work]) -> None:
        await trio.sleep(delivery.message.delay)
        delivery.reply(delivery.message.delay)

    async with trio.open_nursery() as nursery:
        ctx.started()
        async for delivery in ctx.inbox:
            nursery.start_soon(answer, delivery)
        nursery.cancel_scope.cancel()


async def with_actor(use: Callable[[Ref[Work]], Awaitable[None]]) -> None:
    mailbox = Mailbox[Work]()
    child = ChildSpec(id="a", start=answer_later, mailbox=mailbox)
    root = Supervisor(SupervisorSpec(children=(child,)))
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        await use(mailbox.ref)
        await root.stop()


def run_virtual(use: Callable[[Ref[Work]], Awaitable[None]]) -> None:
    trio.run(with_actor, use, clock=MockClock(autojump_threshold=0.0))


def asks_watched(timer: Timer) -> int:
    return sum(len(line) for line in timer._lines.values())


async def expect_timeout(ref: Ref[Work], within: float) -> None:
    began = trio.current_time()
    with pytest.raises(AskTimeout) as caught:
        await ref.ask(Work(LONG), within=within)
    assert trio.current_time() - began == pytest.approx(within)
    assert (caught.value.path, caught.value.within) == ("root/a", within)


moments = st.integers(0, 20)
asks = st.lists(st.tuples(moments, st.sampled_from([1, 3, 5, 15]), moments), max_size=12)


@settings(max_examples=1_000, deadline=None)
@given(asks)
def test_each_ask_ends_once_and_at_its_own_time(plan: list[tuple[int, int, int]]) -> None:
    """Answers come at even numbers of seconds after the ask, ends of time at odd ones."""
    ends: list[tuple[int, float, bool]] = []

    async def ask(ref: Ref[Work], number: int) -> None:
        start, within, half = plan[number]
        await trio.sleep(start)
        began = trio.current_time()
        try:
            answer = await ref.ask(Work(2.0 * half), within=within)
        except AskTimeout:
            ends.append((number, trio.current_time() - began, False))
        else:
            ends.append((number, trio.current_time() - began, answer == 2.0 * half))

    async def use(ref: Ref[Work]) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(len(plan)):
                nursery.start_soon(ask, ref, number)
        assert asks_watched(timer_of_run()) == 0

    run_virtual(use)
    expected = [
        (number, pytest.approx(min(within, 2 * half)), 2 * half < within)
        for number, (_, within, half) in enumerate(plan)
    ]
    assert sorted(ends) == expected


def test_shorter_time_that_began_later_is_over_first() -> None:
    async def use(ref: Ref[Work]) -> None:
        async with trio.open_nursery() as nursery:
            for within in (10.0, 4.0, 7.0):
                nursery.start_soon(expect_timeout, ref, within)
                await settle()

    run_virtual(use)


def test_ask_that_begins_as_another_is_over_has_its_time_too() -> None:
    async def use(ref: Ref[Work]) -> None:
        async def ask_next() -> None:
            await trio.sleep(3.0)
            await expect_timeout(ref, 3.0)

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(expect_timeout, ref, 3.0)
                nursery.start_soon(ask_next)

    run_virtual(use)


def test_timer_sleeps_when_no_ask_is_left_and_wakes_for_the_next() -> None:
    async def use(ref: Ref[Work]) -> None:
        assert await ref.ask(Work(0.0), within=5.0) == 0.0
        assert timer_of_run()._alarm.deadline == pytest.approx(trio.current_time() + 5.0)
        await trio.sleep(6.0)
        assert timer_of_run()._alarm.deadline == math.inf
        await expect_timeout(ref, 5.0)
        await expect_timeout(ref, 2.0)

    run_virtual(use)


def test_ask_that_waits_long_keeps_none_that_ended_behind_it() -> None:
    async def use(ref: Ref[Work]) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(expect_timeout, ref, 5.0)
            await settle()
            for _ in range(1_000):
                await ref.ask(Work(0.0), within=5.0)
            for within in range(1, 1_000):
                await ref.ask(Work(0.0), within=100.0 + within)
            assert asks_watched(timer_of_run()) == len(timer_of_run()._lines) == 1

    run_virtual(use)


def test_each_run_has_its_own_timer_and_none_outlives_it() -> None:
    timers: list[Timer] = []

    async def use(ref: Ref[Work]) -> None:
        timers.append(timer_of_run())
        await expect_timeout(ref, 2.0)
        with trio.move_on_after(1.0):
            await ref.ask(Work(LONG), within=0.5 + LONG)
        assert await ref.ask(Work(0.0), within=LONG) == 0.0

    for _ in range(2):
        run_virtual(use)
    assert timers[0] is not timers[1]
    assert all(timer.is_over and asks_watched(timer) == 0 for timer in timers)


def test_alarm_that_is_set_keeps_no_run_up() -> None:
    clock = MockClock(autojump_threshold=0.0)

    async def use(ref: Ref[Work]) -> None:
        await ref.ask(Work(0.0), within=LONG)

    trio.run(with_actor, use, clock=clock)
    assert clock.current_time() < LONG


@pytest.mark.parametrize("asks_before_the_end", [True, False])
def test_shielded_ask_still_ends_in_time_when_the_run_is_over(asks_before_the_end: bool) -> None:
    ends: list[float] = []
    ref = Mailbox[Work]().ref  # nobody answers

    async def ask_on() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(0.0 if asks_before_the_end else 2.0)
            for _ in range(2):
                began = trio.current_time()
                with pytest.raises(AskTimeout):
                    await ref.ask(Work(0.0), within=5.0)
                ends.append(trio.current_time() - began)

    async def main() -> None:
        timer_of_run()
        trio.lowlevel.spawn_system_task(ask_on)
        await trio.sleep(1.0)

    trio.run(main, clock=MockClock(autojump_threshold=0.0))
    assert ends == [pytest.approx(5.0)] * 2


def test_run_ends_with_the_last_shielded_ask_not_with_its_time() -> None:
    clock = MockClock(autojump_threshold=0.0)
    mailbox = Mailbox[Work]()
    ends: list[float] = []

    async def ask_shielded() -> None:
        with trio.CancelScope(shield=True), trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(mailbox.ref.ask, Work(0.0), within=LONG))
                await trio.sleep(3.0)
                scope.cancel()
        ends.append(trio.current_time())

    async def main() -> None:
        trio.lowlevel.spawn_system_task(ask_shielded)
        await trio.sleep(1.0)

    trio.run(main, clock=clock)
    assert ends == [pytest.approx(3.0)]
    assert clock.current_time() == pytest.approx(3.0)


def test_outer_deadline_cancels_where_both_are_over_at_once() -> None:
    clock = MockClock()

    async def use(ref: Ref[Work]) -> None:
        async def jump() -> None:
            await settle()
            clock.jump(10.0)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(jump)
            with pytest.raises(trio.TooSlowError), trio.fail_after(2.0):
                await ref.ask(Work(LONG), within=1.0)

    trio.run(with_actor, use, clock=clock)


@pytest.mark.parametrize("within", [0.0, -1.0])
def test_ask_without_time_sends_nothing(within: float) -> None:
    mailbox = Mailbox[Work]()

    async def main() -> None:
        with pytest.raises(AskTimeout):
            await mailbox.ref.ask(Work(0.0), within=within)

    trio.run(main)
    assert mailbox.statistics().sent == 0


def test_ask_outlives_a_deadline_around_it_that_is_moved() -> None:
    """A lease is renewed meanwhile: the message is not dropped while its asker still waits."""

    async def one_by_one(ctx: Context[Work]) -> None:
        ctx.started()
        async for delivery in ctx.inbox:
            await trio.sleep(delivery.message.delay)
            delivery.reply(delivery.message.delay)

    async def renew(lease: trio.CancelScope) -> None:
        await trio.sleep(4.0)
        lease.deadline += 60.0

    async def main() -> None:
        mailbox = Mailbox[Work]()
        child = ChildSpec(id="a", start=one_by_one, mailbox=mailbox)
        root = Supervisor(SupervisorSpec(children=(child,)))
        async with trio.open_nursery() as nursery:
            await nursery.start(root.run)
            nursery.start_soon(partial(mailbox.ref.ask, Work(10.0), within=LONG))
            await settle()
            with trio.CancelScope(deadline=trio.current_time() + 5.0) as lease:
                nursery.start_soon(renew, lease)
                await mailbox.ref.ask(Work(1.0), within=30.0)
            assert not lease.cancelled_caught
            assert trio.current_time() == pytest.approx(11.0)
            await root.stop()

    trio.run(main, clock=MockClock(autojump_threshold=0.0))
