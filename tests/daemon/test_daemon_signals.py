"""SIGTERM and SIGINT at many moments of a demo's life: an end in order, soon, nothing left."""

import random
from signal import SIGINT, SIGTERM, Signals

import pytest
import trio

from tests.daemon.boards import config
from tests.daemon.processes import PATIENCE_S, Ended, Home, Running, jobping, run
from tests.doubles.fault_server import hang, open_fault_server

SOON_S = 10.0
"""The product promises 5 s; a loaded machine may take twice as long."""
SEED = 20_26
DEMO = ("demo", "--json", "--minutes", "1")


async def assert_ends_in_order(daemon: Running, home: Home, number: Signals) -> Ended:
    ended = await daemon.end_by(number)
    left = home.processes()
    assert ended.code == 0, ended
    assert ended.took_s < SOON_S, ended
    assert left == []
    assert "Traceback" not in ended.stderr, ended
    assert [line for line in ended.log if line["level"] == "error"] == []
    return ended


async def assert_next_start_works(home: Home) -> None:
    ended = await run("demo", "--once", "--json", home=home)
    assert ended.code == 0, ended
    assert ended.summary()["boards"]["failed"] == 0
    assert home.processes() == []


@pytest.mark.parametrize("number", [SIGTERM, SIGINT])
async def test_daemon_ends_in_order_when_a_signal_comes_first_of_all(
    home: Home, number: Signals
) -> None:
    for wait_s in (0.0, 0.05, 0.3):
        async with jobping(*DEMO, home=home) as daemon:
            await daemon.wait_for_signals()
            await trio.sleep(wait_s)
            await assert_ends_in_order(daemon, home, number)


async def test_daemon_ends_in_order_when_signals_come_in_its_busiest_times(home: Home) -> None:
    async with jobping(*DEMO, home=home) as daemon:
        await daemon.wait_until(lambda: any("initdb" in words for _, words in home.processes()))
        ended = await assert_ends_in_order(daemon, home, SIGTERM)
        print(f"ended in {ended.took_s:.2f} s during initdb")
    assert list(home.state.glob("postgres.new-*")) == []
    rng = random.Random(SEED)
    moments = [
        ("postgres.started", SIGTERM, 0.0),
        ("daemon.became_ready", SIGTERM, 0.0),
        ("scraper.polled", SIGINT, rng.uniform(0.0, 0.2)),
        ("scraper.polled", SIGTERM, rng.uniform(0.2, 1.0)),
        ("matches.recorded", SIGTERM, rng.uniform(0.0, 0.1)),
    ]
    for seed, (event, number, wait_s) in enumerate(moments, start=1):
        print(f"{number.name} {wait_s:.3f} s after {event}")
        # another seed brings changed postings, so that there is something to store each time
        async with jobping(*DEMO, "--seed", str(seed), home=home) as daemon:
            await daemon.wait_for(event)
            await trio.sleep(wait_s)
            ended = await assert_ends_in_order(daemon, home, number)
        assert ended.lines("daemon.stopped")[-1]["code"] == 0
        assert ended.lines("postgres.stopped")[-1]["status"] == 0
        print(f"ended in {ended.took_s:.2f} s")
    await assert_next_start_works(home)


async def test_daemon_ends_at_once_with_code_1_when_a_second_signal_comes(home: Home) -> None:
    async with open_fault_server(hang()) as board:
        file = home.write("hanging.toml", config({"greenhouse": board.url("")}))
        async with jobping("run", "--config", file, home=home) as daemon:
            await daemon.wait_for("daemon.became_ready")
            with trio.fail_after(PATIENCE_S):
                await board.wait_until(lambda: board.requests != [])
            daemon.send(SIGTERM)  # the drain would wait for the request for 10 s
            await trio.sleep(1.0)
            assert daemon.process.returncode is None
            ended = await daemon.end_by(SIGTERM)
    assert ended.code == 1, ended
    assert ended.took_s < SOON_S, ended
    last = ended.log[-1]
    assert (last["event"], last["code"], last["forced"]) == ("daemon.stopped", 1, True)
    assert last["left"][-5:] == ["requests", "rows", "digests", "calls", "store"]
    assert home.processes() == []


@pytest.mark.slow
async def test_daemon_gives_a_request_in_flight_its_time_when_a_signal_comes(home: Home) -> None:
    async with open_fault_server(hang()) as board:
        file = home.write("hanging.toml", config({"greenhouse": board.url("")}))
        async with jobping("run", "--config", file, home=home) as daemon:
            await daemon.wait_for("daemon.became_ready")
            with trio.fail_after(PATIENCE_S):
                await board.wait_until(lambda: board.requests != [])
            ended = await daemon.end_by(SIGINT)
    assert ended.code == 0, ended
    assert 9.0 < ended.took_s < 15.0 + SOON_S, ended  # DRAIN_S is 10 s
    assert home.processes() == []
