import pytest
import trio

from jobping.delivery.turns import Turns
from jobping.errors import DeliveryDeferred


@pytest.mark.parametrize("per_minute", [1, 2, 59, 60, 61, 600, 5_000])
async def test_any_minute_has_at_most_so_many_turns_and_few_are_wasted(
    autojump_clock, per_minute: int
) -> None:
    turns, taken = Turns(per_minute=per_minute), list[float]()
    began = trio.current_time()
    while trio.current_time() < began + 180:
        await turns.wait()
        await trio.sleep(0.004)  # until the digest is in hand
        turns.take()
        taken.append(trio.current_time())

    end = 0
    for start, moment in enumerate(taken):
        while end < len(taken) and taken[end] < moment + 60 - 1e-6:
            end += 1
        assert end - start <= per_minute
    assert len(taken) >= 2.8 * per_minute


async def test_turn_that_was_not_waited_for_is_refused(autojump_clock) -> None:
    turns = Turns(per_minute=1)
    turns.take()

    with pytest.raises(DeliveryDeferred, match=r"not before 60 s from now \(rate\)"):
        turns.take()


async def test_rest_grows_with_each_failure_and_ends_with_a_success(autojump_clock) -> None:
    turns = Turns(per_minute=6_000)

    async def rested_s(after_s: float | None = None) -> float:
        turns.rest(after_s)
        began = trio.current_time()
        await turns.wait()
        return round(trio.current_time() - began)

    assert [await rested_s() for _ in range(7)] == [30, 60, 120, 240, 480, 900, 900]
    assert await rested_s(17) == 17
    turns.take()
    turns.go_on()
    assert await rested_s() == 30
