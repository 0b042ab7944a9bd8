"""The unit under a real systemd: booted in a container, with the wheel and the units installed."""

import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import trio

from tests.daemon.boards import config, greenhouse
from tests.daemon.machine import ROOT, Machine, boot, why_not
from tests.doubles.fault_server import FaultServer, delay, open_fault_server, respond

pytestmark = pytest.mark.slow
CONFIG = "/etc/jobping/jobping.toml"
JOBPING = ("/opt/jobping/bin/python", "-m", "jobping")
UNIT = "jobping.service"
STUCK = "jobping-stuck.service"
POSTGRES = "ps -wweo args | grep -c '[p]ostgres -D' || true"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    if (why := why_not()) is not None:
        pytest.skip(why)
    with boot(tmp_path_factory.mktemp("boot")) as booted:
        for unit in (ROOT / "systemd").glob("*.service"):
            booted.write(f"/etc/systemd/system/{unit.name}", unit.read_text(encoding="utf-8"))
        booted.write("/etc/credstore/openai_api_key", "sk-test-0123456789")
        booted.say("systemctl", "daemon-reload")
        yield booted


@asynccontextmanager
async def started(machine: Machine) -> AsyncIterator[FaultServer]:
    """Run the unit on one board; stopped with the block."""
    async with open_fault_server(respond(greenhouse(range(5)))) as board:
        machine.write(CONFIG, config({"greenhouse": board.url("")}))
        await said(machine, "systemctl", "start", UNIT)
        try:
            yield board
        finally:
            with trio.move_on_after(90, shield=True):
                await said(machine, "systemctl", "stop", UNIT)


async def said(machine: Machine, *command: str) -> str:
    return await trio.to_thread.run_sync(machine.say, *command)


async def told(machine: Machine, *command: str) -> tuple[int, str]:
    """Run a command that may fail; return its code and what it said."""
    done = await trio.to_thread.run_sync(machine.run, *command)
    return done.returncode, done.stdout + done.stderr


async def test_start_returns_when_it_is_ready_and_the_journal_has_the_lines(
    machine: Machine,
) -> None:
    async with started(machine) as board:
        assert machine.show(UNIT, "ActiveState") == "active"
        assert machine.show(UNIT, "StatusText") == "1 boards at 1 sites, for 1 profiles"
        [ready] = machine.log(UNIT, "daemon.became_ready")
        assert ready["boards"] == 1
        await trio.to_thread.run_sync(wait_for_event, machine, "cycle.completed")
        assert board.requests
        missing = {line["name"] for line in machine.log(UNIT, "credential.not_found")}
        assert missing == {"database_url"}
        priority = machine.say("journalctl", "-u", UNIT, "-p", "info", "-o", "cat", "--no-pager")
        assert "daemon.became_ready" in priority
        code, status = await told(machine, *JOBPING, "status", "--journal", "--json")
        assert code == 0, status
        seen = json.loads(status)
        assert (seen["verdict"], seen["postings"]["new"]) == ("healthy", 5), status
    code, status = await told(machine, *JOBPING, "status", "--journal")
    assert code == 3, status


def wait_for_event(machine: Machine, event: str, count: int = 1, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while len(machine.log(UNIT, event)) < count:
        assert time.monotonic() < deadline, event
        time.sleep(0.2)


async def test_reload_takes_a_good_file_and_refuses_a_bad_one(machine: Machine) -> None:
    async with started(machine) as board:
        pid = machine.show(UNIT, "MainPID")
        await said(machine, "systemctl", "reload", UNIT)
        before = len(machine.log(UNIT, "config.reloaded"))
        assert before == 1
        for bad in ("[store]\npool_max = 0\n", '[delivery]\nfiles = "/etc/passwd/digests"\n'):
            machine.write(CONFIG, config({"greenhouse": board.url("")}, rest=bad))
            code, text = await told(machine, "systemctl", "reload", UNIT)
            assert code != 0, text
        assert len(machine.log(UNIT, "config.reloaded")) == before
        assert machine.show(UNIT, "MainPID") == pid
        assert machine.show(UNIT, "ActiveState") == "active"


async def test_daemon_is_back_in_seconds_after_kill_9_and_leaves_no_server(
    machine: Machine,
) -> None:
    async with started(machine):
        pid, restarts = machine.show(UNIT, "MainPID"), int(machine.show(UNIT, "NRestarts"))
        was_ready = len(machine.log(UNIT, "daemon.became_ready"))
        began = time.monotonic()
        await said(machine, "systemctl", "kill", "--kill-whom=main", "-s", "KILL", UNIT)
        await trio.to_thread.run_sync(wait_for_event, machine, "daemon.became_ready", was_ready + 1)
        took_s = time.monotonic() - began
        assert machine.show(UNIT, "ActiveState") == "active"
        assert machine.show(UNIT, "MainPID") != pid
        assert int(machine.show(UNIT, "NRestarts")) == restarts + 1
        assert await said(machine, "sh", "-c", POSTGRES) == "1"
        print(f"ready {took_s:.1f} s after kill -9")
    assert await said(machine, "sh", "-c", POSTGRES) == "0"


async def test_stop_drains_what_is_in_hand_within_the_deadline(machine: Machine) -> None:
    async with started(machine) as board:
        board.behaviours["*"] = delay(3.0, respond(greenhouse(range(5, 9))))
        asked = len(board.requests)
        await said(machine, *JOBPING, "domain", board.domain, "probe")
        with trio.fail_after(30):
            await board.wait_until(
                lambda: any("jobs" in one.path for one in board.requests[asked:])
            )
        began = time.monotonic()
        await said(machine, "systemctl", "stop", UNIT)
        took_s = time.monotonic() - began
    assert took_s < 15.0
    assert machine.show(UNIT, "Result") == "success"
    assert machine.show(UNIT, "ExecMainStatus") == "0"
    last = machine.log(UNIT)[-1]
    assert (last["event"], last["forced"], last["left"]) == ("daemon.stopped", False, [])
    print(f"stopped in {took_s:.1f} s, drained in {last['drained_s']:.1f} s")


async def test_stuck_actor_is_named_before_systemd_ends_the_daemon_and_starts_it_anew(
    machine: Machine,
) -> None:
    unit = (ROOT / "systemd" / UNIT).read_text(encoding="utf-8")
    for usual, instead in {
        "-m jobping run": "-m hung_program stuck",
        "WatchdogSec=60s": "WatchdogSec=2s",
        "Environment=": "Environment=JOBPING_TEST=1 ",
    }.items():
        assert usual in unit
        unit = unit.replace(usual, instead)
    machine.write(f"/etc/systemd/system/{STUCK}", unit)
    await said(machine, "systemctl", "daemon-reload")
    began = time.monotonic()
    await said(machine, "systemctl", "start", STUCK)
    try:
        await trio.to_thread.run_sync(lambda: machine.wait_for(STUCK, "NRestarts", "1", "2"))
        print(f"started anew after {time.monotonic() - began:.1f} s")
        assert machine.log(STUCK, "watchdog.withheld")[0]["culprit"] == ["root/hanging"]
        journal = machine.say("journalctl", "-u", STUCK, "-o", "cat", "--no-pager")
        withheld, timeout = journal.index("watchdog.withheld"), journal.index("Watchdog timeout")
        assert withheld < timeout
        assert "Fatal Python error: Aborted" in journal[timeout:]
    finally:
        with trio.move_on_after(90, shield=True):
            await told(machine, "systemctl", "kill", "-s", "KILL", STUCK)
            await said(machine, "systemctl", "stop", STUCK)


async def test_wrong_configuration_is_told_and_not_tried_again(machine: Machine) -> None:
    machine.write(CONFIG, "[store]\npool_max = 0\n")
    code, _ = await told(machine, "systemctl", "start", UNIT)
    assert code != 0
    await trio.sleep(3.0)  # RestartSec is 1 s
    assert machine.show(UNIT, "ActiveState") == "failed"
    assert machine.show(UNIT, "NRestarts") == "0"
    assert machine.show(UNIT, "ExecMainStatus") == "78"
    assert machine.show(UNIT, "StatusErrno") == "22"
    assert "pool_max" in machine.show(UNIT, "StatusText")
    assert "pool_max" in machine.log(UNIT, "config.rejected")[-1]["errors"][0]
    await said(machine, "systemctl", "reset-failed", UNIT)
