"""Two daemons on one given database: each domain has one, and together they keep its pace."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM
from typing import Any

import attrs
import pytest
import trio

from jobping.store.bridge import Dsn
from tests.daemon.boards import config, greenhouse
from tests.daemon.processes import Ended, Home, Running, jobping, open_home, rows, run
from tests.doubles.fault_server import (
    After,
    FaultServer,
    Received,
    open_fault_server,
    respond,
)

BOARDS = 4
PER_HOUR = 3600
BURST = 1  # Greenhouse's own, which no setting changes
JITTER = 0.2  # of a request, by which arrivals may differ from departures
TTL_S, LOOK_S = 15.0, 5.0
OWNERS = "SELECT owner, fence FROM domain_lease"


@attrs.frozen
class Pair:
    """A site with several boards, and two places from which daemons poll it.

    Attributes:
        moments: When each request arrived.
        environ: Names the database that both use.
    """

    site: FaultServer
    moments: list[float]
    homes: tuple[Home, Home]
    environ: dict[str, str]

    @asynccontextmanager
    async def daemon(self, number: int) -> AsyncIterator[Running]:
        home = self.homes[number]
        boards = "".join(
            f'[[board]]\nsource = "greenhouse"\nslug = "board-{n}"\n' for n in range(BOARDS - 1)
        )  # beside the one that `config` has
        text = config({"greenhouse": self.site.url("")}, rest=boards)
        terms = f'{PER_HOUR}\nrobots = "api"'  # robots.txt passes beside the source's own pace
        file = home.write("two.toml", text.replace("36000", terms))
        async with jobping("run", "--config", file, home=home, environ=self.environ) as running:
            yield running

    async def say(self, number: int, *words: str) -> Ended:
        return await run(*words, home=self.homes[number], environ=self.environ)

    async def expire_boards(self) -> None:
        """Let every board be due."""
        due = "WITH d AS (UPDATE board SET next_due_at = now() RETURNING 1) SELECT count(*) FROM d"
        ended = await self.say(0, "db", "shell", "--", "-XAtqc", due)
        assert ended.code == 0, ended

    async def owners(self) -> list[dict[str, Any]]:
        return await rows(OWNERS, home=self.homes[0], environ=self.environ)


@pytest.fixture
async def pair(home: Home, dsn: Dsn) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        moments: list[float] = []
        answer = respond(greenhouse(range(3)))

        async def note(stream: trio.abc.Stream, received: Received) -> After:
            moments.append(trio.current_time())
            return await answer(stream, received)

        site = await stack.enter_async_context(open_fault_server(note))
        second = stack.enter_context(open_home())
        yield Pair(site, moments, (home, second), {"JOBPING_DATABASE_URL": dsn.url})


def assert_envelope(moments: Sequence[float]) -> None:
    """Check that no window holds more than burst + rate x time."""
    for first in range(len(moments)):
        for last in range(first, len(moments)):
            allowed = BURST + PER_HOUR / 3600 * (moments[last] - moments[first]) + JITTER
            assert last - first + 1 <= allowed, (first, last)


async def grants(pair: Pair) -> int:
    [row] = await rows(
        "SELECT state->'limiter'->>'grants' AS n FROM domain_gate",
        home=pair.homes[0],
        environ=pair.environ,
    )
    return int(row["n"])


async def test_second_daemon_polls_nothing_while_the_first_lives_and_takes_over_after_a_kill(
    pair: Pair,
) -> None:
    async with pair.daemon(0) as first:
        await first.wait_for("scraper.polled", count=BOARDS)
        async with pair.daemon(1) as second:
            await second.wait_for("lease.awaited")
            assert second.log_of("lease.claimed") == second.log_of("scraper.polled") == []

            first.send(SIGKILL)
            killed_at = trio.current_time()
            await pair.expire_boards()
            await second.wait_for("lease.claimed")
            took_s = trio.current_time() - killed_at
            await second.wait_for("scraper.polled", count=BOARDS)
            print(f"taken over {took_s:.1f} s after the kill")
            assert took_s <= TTL_S + LOOK_S + 1
            await second.end_by(SIGTERM)
    assert_envelope(pair.moments)
    assert await grants(pair) == len(pair.moments) == 2 * BOARDS
    stored = await rows("SELECT count(*) FROM posting", home=pair.homes[0], environ=pair.environ)
    assert stored == [{"count": 3}]


async def test_daemon_that_was_suspended_beyond_its_lease_sends_nothing_when_it_wakes(
    pair: Pair,
) -> None:
    async with pair.daemon(0) as first:
        await first.wait_for("scraper.polled", count=2)
        await trio.sleep(0.5)  # nothing of it holds a lock in the database
        first.send(SIGSTOP)  # it waits for its turn to ask for the third board
        async with pair.daemon(1) as second:
            await second.wait_for("lease.claimed")
            await second.wait_for("scraper.polled", count=BOARDS - 2)
            await trio.sleep(1.5)  # also a board whose mark the first had not stored
            count = len(pair.moments)
            first.send(SIGCONT)
            await first.wait_for("lease.lost")
            await trio.sleep(1)
            assert len(pair.moments) == count
            await first.end_by(SIGTERM)
            await second.end_by(SIGTERM)
    assert_envelope(pair.moments)
    assert 0 <= await grants(pair) - len(pair.moments) <= 1  # the one written and cut off
    assert [row["fence"] for row in await pair.owners()] == [2]


async def test_stop_hands_over_at_once_and_a_hold_goes_along(pair: Pair) -> None:
    name = pair.site.domain
    async with pair.daemon(0) as first:
        await first.wait_for("scraper.polled", count=BOARDS)
        held = await pair.say(0, "domain", name, "hold")
        assert held.code == 0, held
        assert held.stdout == f"{name}: held; nothing is sent until it is released\n"
        async with pair.daemon(1) as second:
            await second.wait_for("lease.awaited")
            elsewhere = await pair.say(1, "domain", name, "release")
            assert (elsewhere.code, elsewhere.stderr) == (
                1,
                f"jobping: {name}: is polled by another daemon; say it to that one\n",
            )
            await first.end_by(SIGTERM)
            began = trio.current_time()
            await second.wait_for("lease.claimed")
            print(f"taken over {trio.current_time() - began:.1f} s after the stop")
            assert trio.current_time() - began <= LOOK_S + 1
            await pair.expire_boards()
            listed = json.loads((await pair.say(1, "domains", "--json")).stdout)
            [record] = listed["domains"]
            assert (record["breaker"], record["waits_for"]) == ("forced_open", "held")
            assert len(pair.moments) == BOARDS
            await pair.say(1, "domain", name, "release")
            await second.wait_for("domain.released")
            await second.wait_for("scraper.polled")
            await second.end_by(SIGTERM)


async def test_commands_without_a_daemon_say_so(pair: Pair) -> None:
    async with pair.daemon(0) as first:
        await first.wait_for("scraper.polled", count=BOARDS)
        await first.end_by(SIGTERM)
    order = await pair.say(0, "domain", pair.site.domain, "hold")
    assert order.code == 1
    assert "no daemon runs on" in order.stderr
    listed = await pair.say(0, "domains")
    assert listed.code == 0, listed
    assert "no daemon runs; this is what the database holds" in listed.stderr
    assert pair.site.domain in listed.stdout


async def test_second_daemon_on_the_same_state_directory_is_refused(pair: Pair) -> None:
    async with pair.daemon(0) as first:
        await first.wait_for("daemon.became_ready")
        async with pair.daemon(0) as again:
            refused = await again.ended()
        assert refused.code == 78
        assert f"process {first.process.pid}" in refused.stderr
        await first.end_by(SIGTERM)
