"""kill -9 of the embedded PostgreSQL under a running daemon, which must go on by itself."""

import os
from signal import SIGKILL, SIGTERM

import trio

from tests.daemon.processes import PATIENCE_S, Home, Running, jobping, run


async def kill_server(daemon: Running, number: int) -> None:
    started = await daemon.wait_for("postgres.started", count=number)
    os.kill(started["pid"], SIGKILL)
    crashed = await daemon.wait_for("postgres.crashed", count=number)
    assert (crashed["pid"], crashed["status"]) == (started["pid"], -SIGKILL)
    await daemon.wait_for("postgres.started", count=number + 1)


async def wait_for_all_boards(daemon: Running, after: int) -> None:
    """Wait until each of the demo's 20 boards was polled well, one of them after so many polls."""
    with trio.fail_after(PATIENCE_S):
        number, polled = 0, set()
        while len(polled) < 20 or number <= after:
            number += 1
            line = await daemon.wait_for("scraper.polled", count=number)
            if line["outcome"] == "complete":
                polled.add((line["source"], line["board"]))


async def test_daemon_heals_by_itself_when_its_server_is_killed(home: Home) -> None:
    async with jobping("demo", "--json", "--minutes", "3", home=home) as daemon:
        await daemon.wait_for("scraper.polled")
        await kill_server(daemon, 1)
        await kill_server(daemon, 2)
        await wait_for_all_boards(daemon, after=len(daemon.log_of("scraper.polled")))
        ended = await daemon.end_by(SIGTERM)
    assert ended.code == 0, ended
    assert ended.took_s < 10.0
    assert home.processes() == []
    assert len(ended.lines("daemon.started")) == len(ended.lines("daemon.became_ready")) == 1
    again = await run("demo", "--once", "--json", home=home)
    assert (again.code, again.summary()["boards"]["failed"]) == (0, 0), again
