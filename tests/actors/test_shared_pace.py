import itertools

import trio
from trio.testing import MockClock

from jobping.actors.shared_pace import SharedPace, SharedPaces, turns
from jobping.actors.work import Work
from jobping.clock import Clock
from jobping.core.board import Board, Origin, StoredBoard
from jobping.core.ids import BoardId, Domain, SourceName
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


# --- after a restart


def row(source: str, domain: str) -> StoredBoard:
    board = Board(source=SourceName(source), slug="acme")
    return StoredBoard(id=BoardId(1), board=board, domain=Domain(domain), origin=Origin.COMMAND)


async def first_waits(ages: dict[str, float], *domains: str) -> tuple[float, float]:
    """Return how long the first request to a vendor waits, and the first one to another."""
    vendor, other = pace_of(1 / 3), pace_of(1000.0)
    paces = SharedPaces(
        sources={SourceName("vendor"): vendor, SourceName("other"): other},
        together=pace_of(2.0, burst=5),
    )
    rows = [row("vendor", domain) for domain in domains] + [row("other", "other.example")]
    paces.resume(rows, {Domain(domain): age for domain, age in ages.items()})
    assert paces.is_resumed
    began = trio.current_time()
    log: list[float] = []
    await ask(paces.of([SourceName("other")]), log)
    await ask(paces.of([SourceName("vendor")]), log)
    return round(log[1] - began, 3), round(log[0] - began, 3)


async def test_hosts_of_a_vendor_go_on_from_the_latest_request_of_any_of_them(
    autojump_clock: MockClock,
) -> None:
    ages = {"a.example": 900.0, "b.example": 1.0}
    assert await first_waits(ages, "a.example", "b.example") == (2.0, 0.0)


async def test_all_together_go_on_from_the_latest_request_of_all(
    autojump_clock: MockClock,
) -> None:
    ages = {"a.example": 900.0, "elsewhere.example": 0.1}
    assert await first_waits(ages, "a.example", "b.example") == (0.9, 0.4)


async def test_vendor_with_one_host_is_left_to_that_hosts_own_pace(
    autojump_clock: MockClock,
) -> None:
    assert await first_waits({"a.example": 1.0}, "a.example") == (0.0, 0.0)


async def test_first_start_waits_for_nothing(autojump_clock: MockClock) -> None:
    assert await first_waits({}, "a.example", "b.example") == (0.0, 0.0)
