"""What systemd hears from real processes: readiness when it is true, life while all parts work."""

import itertools
import os
from signal import SIGABRT, SIGINT, SIGKILL, SIGTERM

import pytest
import trio

from tests.daemon.boards import config
from tests.daemon.processes import Home, jobping
from tests.doubles.fault_server import hang, open_fault_server
from tests.doubles.service_manager import Manager, open_manager

WATCHDOG_S = 4.0
KEY = {"OPENAI_API_KEY": "sk-test-0123456789"}


def watched(manager: Manager) -> dict[str, str]:
    return {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": f"{WATCHDOG_S * 1e6:.0f}"}


async def test_daemon_says_that_it_is_ready_alive_and_stopping(home: Home) -> None:
    async with (
        open_manager(str(home.path / "notify")) as systemd,
        jobping("demo", "--json", "--minutes", "1", home=home, environ=watched(systemd)) as daemon,
    ):
        await systemd.wait_for("READY=1")
        assert daemon.log_of("postgres.started")
        assert any(at for at in systemd.moments("STATUS=starting"))
        assert "WATCHDOG=1" not in systemd.said
        await systemd.wait_for("WATCHDOG=1", count=4)
        beats = systemd.moments("WATCHDOG=1")
        pauses = [after - before for before, after in itertools.pairwise(beats)]
        assert min(pauses) > WATCHDOG_S / 8
        assert max(pauses) < WATCHDOG_S
        ended = await daemon.end_by(SIGTERM)
        assert ended.code == 0, ended
    [line] = ended.lines("daemon.became_ready")
    assert f"STATUS=20 boards at {line['domains']} sites, for 1 profiles" in systemd.said
    assert systemd.said.count("READY=1") == systemd.said.count("STOPPING=1") == 1
    kinds = ("READY=1", "WATCHDOG=1", "STOPPING=1")
    told = [line for line in systemd.said if line in kinds]
    assert sorted(set(told), key=told.index) == list(kinds)


@pytest.mark.slow  # the matcher looks by itself each 30 s
async def test_server_that_does_not_answer_costs_the_actor_that_waits_and_no_sign_of_life(
    home: Home,
) -> None:
    lock = "BEGIN; LOCK TABLE profile IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(50)"
    async with (
        open_manager(str(home.path / "notify")) as systemd,
        jobping("demo", "--json", "--minutes", "2", home=home, environ=watched(systemd)) as daemon,
    ):
        await daemon.wait_for("daemon.became_ready")
        async with jobping("db", "shell", "--", "-Xqc", lock, home=home) as shell:
            await daemon.wait_until(
                lambda: any(
                    line["kind"] == "killed" and line["error"].startswith("no progress for 2")
                    for line in daemon.log_of("child.exited")
                )
            )
            await systemd.wait_for("WATCHDOG=1", count=systemd.said.count("WATCHDOG=1") + 2)
            own = f"/proc/{shell.process.pid}/task/{shell.process.pid}/children"
            [psql] = (await trio.Path(own).read_text()).split()
            os.kill(int(psql), SIGINT)  # which cancels its statement
            await shell.ended()
        assert (await daemon.end_by(SIGTERM)).code == 0
    beats = systemd.moments("WATCHDOG=1")
    assert max(b - a for a, b in itertools.pairwise(beats)) < WATCHDOG_S


async def test_stuck_actor_is_named_once_and_no_sign_of_life_is_given_any_more(home: Home) -> None:
    program = "tests.daemon.hung_program"
    async with (
        open_manager(str(home.path / "notify")) as systemd,
        jobping("stuck", home=home, module=program, environ=watched(systemd)) as daemon,
    ):
        line = await daemon.wait_for("health.changed")
        assert (line["level"], line["state"], line["children"]) == (
            "error",
            "stalled",
            ["root/hanging"],
        )
        await systemd.wait_for("STATUS=stalled root/hanging: up")
        beats = systemd.said.count("WATCHDOG=1")
        await trio.sleep(2 * WATCHDOG_S)
        assert systemd.said.count("WATCHDOG=1") == beats
        assert len(daemon.log_of("health.changed")) == 1
        ended = await daemon.end_by(SIGABRT)  # what systemd does now
    assert ended.code == -SIGABRT
    assert "Fatal Python error: Aborted" in ended.stderr


async def test_hung_loop_is_explained_before_systemd_gives_up(home: Home) -> None:
    program = "tests.daemon.hung_program"
    async with (
        open_manager(str(home.path / "notify")) as systemd,
        jobping("loop", home=home, module=program, environ=watched(systemd)) as daemon,
    ):
        await systemd.wait_for("READY=1")
        await daemon.wait_until(lambda: b"hung_program.py" in daemon.stderr)
        await trio.sleep(WATCHDOG_S)
        assert systemd.said.count("WATCHDOG=1") == 0
        ended = await daemon.end_by(SIGKILL)
    assert "in loop" in ended.stderr


async def test_wrong_configuration_is_told_with_its_reason(home: Home) -> None:
    file = home.write("wrong.toml", "[store]\npool_max = 0\n")
    async with (
        open_manager(str(home.path / "notify")) as systemd,
        jobping("run", "--config", file, home=home, environ=watched(systemd)) as daemon,
    ):
        assert (await daemon.ended()).code == 78
        await systemd.wait_for("ERRNO=22")
    assert "READY=1" not in systemd.said
    assert "pool_max" in systemd.said[-1]


async def test_children_of_the_daemon_cannot_speak_for_it(home: Home) -> None:
    async with open_fault_server(hang()) as board:
        file = home.write("hanging.toml", config({"greenhouse": board.url("")}))
        async with (
            open_manager(str(home.path / "notify")) as systemd,
            jobping("run", "--config", file, home=home, environ=watched(systemd) | KEY) as daemon,
        ):
            await systemd.wait_for("READY=1")
            assert home.servers()
            for pid, _ in home.servers():
                environ = await (trio.Path(f"/proc/{pid}/environ")).read_bytes()
                for word in (b"NOTIFY_", b"WATCHDOG_", b"sk-test", b"HOME="):
                    assert word not in environ
            await daemon.end_by(SIGKILL)
