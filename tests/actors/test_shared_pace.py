import itertools

import trio
from trio.testing import MockClock

from jobping.actors.shared_pace import SharedPace, turns
from jobping.actors.work import Work
from jobping.clock import Clock
from jobping.core.limiter import LimiterRules


def pace_of(rate: float, burst: int = 1) -> SharedPace:
    return SharedPace(rules=LimiterRules(rate=rate, burst=burst), clock=Clock())


async def ask(paces: tuple[SharedPace, ...], log: list[float], work: Work | None = None) -> None:
    async with turns(paces, work or Work()):
        grants = [pace.take() for pace in paces]
        log.append(trio.current_time())
    for pace, grant in zip(paces, grants, strict=True):
        pace.end(grant, sent=True)


async def test_domains_go_one_after_the_other_at_the_pace_they_share(
    autojump_clock: MockClock,
) -> None:
    together = pace_of(0.5, burst=2)
    log: list[float] = []
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(ask, (together,), log)
    assert [round(at - began, 3) for at in log] == [0, 0, 2, 4, 6, 8]


async def test_vendors_and_all_together_are_kept_at_the_same_time(
    autojump_clock: MockClock,
) -> None:
    together, slow, quick = pace_of(1.0), pace_of(0.25), pace_of(1000.0)
    slows: list[float] = []
    quicks: list[float] = []
    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(ask, (slow, together), slows)
            nursery.start_soon(ask, (quick, together), quicks)
    times = sorted(slows + quicks)
    assert all(later - earlier >= 1 - 1e-5 for earlier, later in itertools.pairwise(times))
    assert all(later - earlier >= 4 - 1e-5 for earlier, later in itertools.pairwise(slows))
    assert max(quicks) - min(times) <= 5


async def test_cancelled_waiter_leaves_its_place_at_every_checkpoint(
    autojump_clock: MockClock,
) -> None:
    together = pace_of(1.0)
    log: list[float] = []
    for number in range(20):
        async with trio.open_nursery() as nursery:
            with trio.move_on_after(0.15 * number):
                await ask((together,), log)
            nursery.start_soon(ask, (together,), log)
    assert len(log) >= 20
    assert all(later - earlier >= 1 - 1e-5 for earlier, later in itertools.pairwise(log))


async def test_grant_of_which_nothing_was_sent_is_taken_back(autojump_clock: MockClock) -> None:
    together = pace_of(0.01)
    began = trio.current_time()
    for sent in (False, False, True):
        async with turns((together,), Work()):
            grant = together.take()
        together.end(grant, sent=sent)
    assert trio.current_time() == began


async def test_stop_ends_the_wait_for_a_turn_at_once(autojump_clock: MockClock) -> None:
    together, work = pace_of(0.001), Work()
    log: list[float] = []
    await ask((together,), log)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            with work.scope:
                await ask((together,), log, work)

        nursery.start_soon(ask, (together,), [])
        await trio.sleep(1)
        nursery.start_soon(wait)
        await trio.sleep(1)
        work.stop(within_s=10)
        await trio.sleep(0.5)
        assert work.scope.cancelled_caught
        nursery.cancel_scope.cancel()
    assert trio.current_time() - began <= 3
    assert len(log) == 1
