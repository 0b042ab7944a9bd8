import trio

from jobping.actors.work import Work


async def worker(work: Work, done: list[str]) -> None:
    with work.scope:
        await work.wait_until(trio.current_time() + 100)
        done.append("waited")
        await trio.sleep(50)
        done.append("worked")
        await work.wait_until(trio.current_time() + 100)
        done.append("went on")


async def stopped_after(seconds: float, within_s: float) -> tuple[list[str], float]:
    work, done = Work(), []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(worker, work, done)
        await trio.sleep(seconds)
        asked_at = trio.current_time()
        work.stop(within_s)
    return done, trio.current_time() - asked_at


async def test_stop_during_a_wait_ends_it_at_once(autojump_clock: trio.testing.MockClock) -> None:
    assert await stopped_after(30, within_s=60) == ([], 0)


async def test_stop_during_work_lets_it_end_and_nothing_follow(
    autojump_clock: trio.testing.MockClock,
) -> None:
    assert await stopped_after(120, within_s=60) == (["waited", "worked"], 30)


async def test_stop_during_work_cuts_it_when_the_time_is_over(
    autojump_clock: trio.testing.MockClock,
) -> None:
    assert await stopped_after(120, within_s=10) == (["waited"], 10)


async def test_second_stop_gives_no_more_time(autojump_clock: trio.testing.MockClock) -> None:
    work, done = Work(), []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(worker, work, done)
        await trio.sleep(120)
        work.stop(10)
        await trio.sleep(5)
        work.stop(10)
    assert (done, trio.current_time()) == (["waited"], 130)


async def test_wait_for_a_moment_that_is_past_ends_when_a_stop_was_asked_for(
    autojump_clock: trio.testing.MockClock,
) -> None:
    work = Work()
    with work.scope:
        work.stop(10)
        await work.wait_until(trio.current_time() - 1)
        raise AssertionError("it went on")
    assert work.scope.cancelled_caught
