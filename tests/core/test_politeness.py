"""What sites see of us, in virtual time: a gate against simulated sites with limits and outages.

The sites count in their own log; nothing here reads our counters.
"""

import datetime as dt
import random
from collections import deque
from collections.abc import Callable, Sequence

import attrs
import pytest

from jobping.core import breaker, gate
from jobping.core.gate_state import Admit, GateRules, Wait
from jobping.core.ids import Monotonic
from jobping.core.limiter import LimiterRules, Reason
from jobping.core.outcome import Failed, Failure, Limited, Ok, Outcome
from jobping.core.pace import PaceRules
from jobping.core.retry import Attempted, NoRetry
from jobping.core.throttle import NO_HINTS, Hint, Hints

NOON = dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC)
HOUR_S = 3600.0
WARM_S = 600.0
"""The time that a client has to find the site's limit."""
ROUND_TRIP_S = 0.05
LIMIT = 2.0


@attrs.define
class Bucket:
    """A site that refuses above a rate; GCRA, as nginx's `limit_req` with `nodelay`."""

    burst: int
    tat: float = 0.0

    def takes(self, now: float, limit: float) -> bool:
        if self.tat - now > self.burst / limit + 1e-9:
            return False
        self.tat = max(self.tat, now) + 1 / limit
        return True


@attrs.define
class FixedWindow:
    """A site that counts in windows of its own clock."""

    window_s: float = 10.0
    number: int = -1
    used: int = 0

    def takes(self, now: float, limit: float) -> bool:
        number = int(now // self.window_s)
        if number != self.number:
            self.number, self.used = number, 0
        if self.used + 1 > limit * self.window_s:
            return False
        self.used += 1
        return True


@attrs.define
class SlidingWindow:
    """A site that counts what it took in the last seconds."""

    window_s: float = 10.0
    taken: deque[float] = attrs.field(factory=deque)

    def takes(self, now: float, limit: float) -> bool:
        while self.taken and self.taken[0] <= now - self.window_s:
            self.taken.popleft()
        if len(self.taken) + 1 > limit * self.window_s:
            return False
        self.taken.append(now)
        return True


Counting = Bucket | FixedWindow | SlidingWindow
COUNTINGS: dict[str, Callable[[], Counting]] = {
    "bucket": lambda: Bucket(0),
    "bucket with a burst": lambda: Bucket(5),
    "fixed window": FixedWindow,
    "sliding window": SlidingWindow,
}


@attrs.frozen
class Seen:
    """One arrival in the site's log."""

    at: float
    taken: bool


RULES = GateRules(
    limiter=LimiterRules(rate=1.5 * LIMIT, concurrency=1),
    pace=PaceRules(max_rate=5 * LIMIT, min_rate=1 / 900),
)


def crawl(
    counting: Counting,
    limit_at: Callable[[float], float],
    seed: int,
    *,
    for_s: float = HOUR_S,
    rules: GateRules = RULES,
    answer: Callable[[float], tuple[Outcome, Hints]] = lambda _now: (Limited(None), NO_HINTS),
) -> list[Seen]:
    """Ask a site without a pause for so long; return its log."""
    rng = random.Random(seed)
    now, log = rng.uniform(0, 20), list[Seen]()
    state = gate.fresh(rules, Monotonic(now))
    while now < for_s:
        moment = Monotonic(now)
        state, decision = gate.admit(state, rules, moment, NOON + dt.timedelta(seconds=now))
        if isinstance(decision, Wait):
            now = max(decision.until, now + 1e-6)
            continue
        assert isinstance(decision, Admit)
        arrival = now + ROUND_TRIP_S * rng.uniform(0.48, 0.52)
        taken = counting.takes(arrival, limit_at(arrival))
        log.append(Seen(arrival, taken))
        outcome, hints = (Ok(ROUND_TRIP_S), NO_HINTS) if taken else answer(arrival)
        now += ROUND_TRIP_S
        state, _ = gate.record(
            state, rules, decision.permit, outcome, Monotonic(now), rng, hints=hints
        )
    return log


def between(log: Sequence[Seen], start: float, end: float) -> list[Seen]:
    return [seen for seen in log if start <= seen.at < end]


def goodput(log: Sequence[Seen], start: float, end: float, limit: float) -> float:
    return sum(seen.taken for seen in between(log, start, end)) / ((end - start) * limit)


def refused(log: Sequence[Seen]) -> int:
    return sum(not seen.taken for seen in log)


# --- finding a limit that the site does not name


def check_steady(name: str, seeds: range) -> None:
    shares, mean = [], 0.0
    for seed in seeds:
        log = crawl(COUNTINGS[name](), lambda _now: LIMIT, seed)
        steady = between(log, WARM_S, HOUR_S)
        shares.append(goodput(log, WARM_S, HOUR_S, LIMIT))
        assert refused(steady) <= 0.005 * len(steady)
    mean = sum(shares) / len(shares)
    assert mean >= 0.95
    assert min(shares) >= 0.93


@pytest.mark.parametrize("name", COUNTINGS)
def test_site_with_an_unknown_limit_gives_nearly_all_of_it_and_refuses_little(name: str) -> None:
    check_steady(name, range(1))


@pytest.mark.slow
@pytest.mark.parametrize("name", COUNTINGS)
def test_twenty_crawls_of_a_site_with_an_unknown_limit_keep_the_same(name: str) -> None:
    check_steady(name, range(20))


def check_moved_limit(name: str, seeds: range) -> None:
    for seed in seeds:
        log = crawl(
            COUNTINGS[name](),
            lambda now: LIMIT if now < WARM_S else 2 * LIMIT,
            seed,
            for_s=WARM_S + 1500,
        )
        starts = [WARM_S + 30 * number for number in range(37)]  # of two minutes, all by 1,200 s
        assert max(goodput(log, start, start + 120, 2 * LIMIT) for start in starts) >= 0.95
        log = crawl(
            COUNTINGS[name](),
            lambda now: LIMIT if now < WARM_S else LIMIT / 2,
            seed,
            for_s=WARM_S + HOUR_S,
        )
        assert refused(between(log, WARM_S, WARM_S + HOUR_S)) <= 40
        assert refused(between(log, WARM_S, WARM_S + 60)) <= 6


@pytest.mark.parametrize("name", COUNTINGS)
def test_limit_that_moves_is_found_again(name: str) -> None:
    check_moved_limit(name, range(1))


@pytest.mark.slow
@pytest.mark.parametrize("name", COUNTINGS)
def test_limit_that_moves_is_found_again_in_twenty_runs(name: str) -> None:
    check_moved_limit(name, range(20))


@pytest.mark.parametrize("said", ["retry-after", "ratelimit"])
def test_nothing_comes_before_the_moment_that_the_site_named(said: str) -> None:
    """A site that names its pauses; every two minutes it wants one of 20 s."""
    until, wanted = [0.0], [120.0]

    @attrs.define
    class Naming:
        def takes(self, now: float, _limit: float) -> bool:
            if now >= wanted[0]:
                wanted[0], until[0] = now + 120, now + 20
                return False
            return now >= until[0]

    def answer(now: float) -> tuple[Outcome, Hints]:
        left_s = until[0] - now
        if said == "retry-after":
            return Limited(left_s), NO_HINTS
        return Limited(None), Hints((Hint(0, left_s),))

    log = crawl(Naming(), lambda _now: LIMIT, 1, answer=answer, for_s=HOUR_S)
    refusals = [seen.at for seen in log if not seen.taken]
    assert len(refusals) >= 20
    for at in refusals:
        after = next((seen.at for seen in log if seen.at > at), None)
        assert after is None or at + 20 - 1e-3 <= after <= at + 20 + 2 + 0.05 * 20


# --- a site that is down


def probe_times(outage_s: float, seed: int, *, failure: Failure = Failure.CONNECT) -> list[float]:
    """Ask a site that is down for so long, at once; return when it was asked, and when well."""
    rules = GateRules(limiter=LimiterRules(rate=1 / 3, concurrency=1))
    rng, now, times = random.Random(seed), 0.0, list[float]()
    state = gate.fresh(rules, Monotonic(0.0))
    while now < outage_s + 2000:
        wall = NOON + dt.timedelta(seconds=now)
        state, decision = gate.admit(state, rules, Monotonic(now), wall)
        if isinstance(decision, Wait):
            now = decision.until
            continue
        assert isinstance(decision, Admit)
        times.append(now)
        outcome: Outcome = Failed(failure, 0.1) if now < outage_s else Ok(0.1)
        state, _ = gate.record(state, rules, decision.permit, outcome, Monotonic(now), rng)
        if now >= outage_s:
            break
    return times


@pytest.mark.parametrize("seed", range(20))
def test_site_that_is_down_sees_few_probes_and_its_return_is_noticed(seed: int) -> None:
    day = 86_400.0
    times = probe_times(day, seed)
    opened = times[4]  # the fifth failure opens
    probes = [at - opened for at in times[5:] if at < day]
    assert sum(at < HOUR_S for at in probes) <= 8
    for hour in range(1, 24):
        assert sum(hour * HOUR_S <= at < (hour + 1) * HOUR_S for at in probes) <= 5
    assert len(probes) <= 110
    assert times[-1] - day <= 990


@pytest.mark.parametrize("outage_s", [60.0, 200.0, 500.0, 899.0])
def test_short_outage_is_over_for_us_within_twice_its_time(outage_s: float) -> None:
    for seed in range(20):
        assert probe_times(outage_s, seed)[-1] <= 2 * outage_s + 45


# --- retries


def attempts_sent(failing: float, requests: int, seed: int) -> int:
    """Return how many attempts a site sees of so many requests, of which a share fails."""
    rules = GateRules(
        limiter=LimiterRules(rate=10, concurrency=1),
        breaker=breaker.BreakerRules(size=1, min_calls=1, failure_rate=1.1),
    )
    rng, sent, now = random.Random(seed), 0, 0.0
    state = gate.fresh(rules, Monotonic(0.0))
    for _ in range(requests):
        attempt = 1
        while True:
            now += 1.0
            state, decision = gate.admit(state, rules, Monotonic(now), NOON)
            assert isinstance(decision, Admit)
            sent += 1
            failed = rng.random() < failing
            outcome: Outcome = Failed(Failure.SERVER, 0.1) if failed else Ok(0.1)
            state, _ = gate.record(
                state, rules, decision.permit, outcome, Monotonic(now), rng, attempt=attempt
            )
            if not failed:
                break
            attempted = Attempted(method="GET", attempts=attempt, status=503, left_s=300.0)
            state, answer = gate.may_retry(state, rules, attempted, rng, Monotonic(now))
            if isinstance(answer, NoRetry):
                break
            now += answer
            attempt += 1
    return sent


@pytest.mark.parametrize("seed", range(5))
def test_retries_amplify_an_outage_little_and_single_errors_hardly(seed: int) -> None:
    assert attempts_sent(1.0, 1000, seed) <= 1110
    assert attempts_sent(1.0, 1000, seed) <= 1.1 * 1000 + 3
    assert attempts_sent(0.01, 1000, seed) <= 1020


# --- an open breaker


def test_exactly_one_of_a_thousand_goes_while_half_open() -> None:
    rules = GateRules(limiter=LimiterRules(rate=1e6, burst=1000))
    state = gate.fresh(rules, Monotonic(0.0))
    state, decision = gate.admit(state, rules, Monotonic(0.0), NOON)
    assert isinstance(decision, Admit)
    rng, tls = random.Random(1), Failed(Failure.TLS, 0.1)
    state, _ = gate.record(state, rules, decision.permit, tls, Monotonic(0.0), rng)
    admitted = 0
    for _ in range(1000):
        state, decision = gate.admit(state, rules, Monotonic(40.0), NOON)
        admitted += isinstance(decision, Admit)
    assert admitted == 1


def check_open(asks: int) -> None:
    rules = GateRules(
        limiter=LimiterRules(rate=1e6), breaker=attrs.evolve(breaker.DAEMON, jitter=0.0)
    )
    state = gate.fresh(rules, Monotonic(0.0))
    state, decision = gate.admit(state, rules, Monotonic(0.0), NOON)
    assert isinstance(decision, Admit)
    rng, tls = random.Random(1), Failed(Failure.TLS, 0.1)
    state, _ = gate.record(state, rules, decision.permit, tls, Monotonic(0.0), rng)
    for number in range(asks):
        now = Monotonic(29.999 * number / asks)
        state, decision = gate.admit(state, rules, now, NOON)
        assert isinstance(decision, Wait)
        assert decision.reason is Reason.BREAKER
    assert isinstance(gate.admit(state, rules, Monotonic(30.0), NOON)[1], Admit)


def test_none_of_many_asks_goes_before_the_breakers_time() -> None:
    check_open(20_000)


@pytest.mark.slow
def test_none_of_a_million_asks_goes_before_the_breakers_time() -> None:
    check_open(1_000_000)
