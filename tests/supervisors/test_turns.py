"""What a supervisor's task waits for, by itself."""

import trio
from trio.testing import MockClock

from supervisors._table import Begin, Tick
from supervisors._turns import Turns


async def test_moment_that_was_put_off_does_not_come(autojump_clock: MockClock) -> None:
    turns = Turns()
    turns.wake_at("a", 5.0)
    turns.wake_at("b", 9.0)
    turns.wake_at("a", 7.0)
    came = []
    for _ in range(2):
        assert await turns.next() == Tick()
        came.append(trio.current_time())
    assert came == [7.0, 9.0]


async def test_moment_that_has_come_is_read_before_what_happened(
    autojump_clock: MockClock,
) -> None:
    turns = Turns()
    turns.wake_at("a", 5.0)
    turns.post(Begin())
    await trio.sleep(6)
    assert [await turns.next(), await turns.next()] == [Tick(), Begin()]


async def test_forgotten_moment_does_not_come(autojump_clock: MockClock) -> None:
    turns = Turns()
    turns.wake_at("a", 5.0)
    turns.forget("a")
    turns.forget("a")
    with trio.move_on_after(10) as scope:
        await turns.next()
    assert scope.cancelled_caught


def test_moments_that_are_put_off_again_and_again_do_not_pile_up() -> None:
    turns = Turns()
    for number in range(10_000):
        turns.wake_at("abc"[number % 3], float(number))
    assert len(turns._queue) < 100
    assert turns._moments == {"a": 9999.0, "b": 9997.0, "c": 9998.0}
