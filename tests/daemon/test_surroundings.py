"""A daemon whose surroundings fail: stdout without a reader, a full disk, a calendar that jumps."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL, SIGTERM

import pytest
import trio

from tests.daemon.boards import config, greenhouse
from tests.daemon.processes import PATIENCE_S, ROOT, Home, environment, jobping, rows
from tests.doubles.fault_server import open_fault_server, respond
from tests.doubles.service_manager import open_manager

DISK = "160m"
WATCHDOG_S = 8.0


@pytest.mark.parametrize("stdout", ["closed", "unread"])
async def test_daemon_goes_on_when_nobody_reads_its_log(home: Home, stdout: str) -> None:
    file = home.write("no-boards.toml", "default_boards = false\n")
    command = [sys.executable, "-m", "jobping", "run", "--config", str(file)]
    command += ["--state-dir", str(home.state)]
    if stdout == "closed":
        command = ["sh", "-c", 'exec "$@" >&-', "sh", *command]
    async with open_manager(str(home.path / "notify")) as systemd:
        told = {"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": f"{WATCHDOG_S * 1e6:.0f}"}
        process = await trio.lowlevel.open_process(
            command,
            stdout=None if stdout == "closed" else subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            env=environment(home) | told,
        )
        try:
            if process.stdout is not None:
                await process.stdout.aclose()
            await systemd.wait_for("READY=1")
            await systemd.wait_for("WATCHDOG=1", count=3)
            if stdout == "unread":
                assert any("nobody reads the log" in line for line in systemd.said)
            process.send_signal(SIGTERM)
            with trio.fail_after(PATIENCE_S):
                assert await process.wait() == 0
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(SIGKILL)
    assert home.processes() == []


@contextmanager
def small_disk(place: Path) -> Iterator[None]:
    """Put a small file system in memory at a place."""
    place.mkdir()
    options = f"size={DISK},mode=0711"
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True
    )
    if made.returncode != 0:
        pytest.skip("no right to mount a file system")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(file: Path) -> None:
    """Take all the room there is."""
    with contextlib.suppress(OSError), file.open("wb", buffering=0) as ballast:
        while True:
            ballast.write(b"x" * 65_536)
    with contextlib.suppress(OSError), file.open("ab", buffering=0) as ballast:
        while True:
            ballast.write(b"x")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
async def test_daemon_outlives_a_full_disk_and_catches_up(home: Home) -> None:
    async with open_fault_server(respond(greenhouse(range(5)))) as board:
        file = home.write("board.toml", config({"greenhouse": board.url("")}))
        program = "tests.daemon.quick_program"
        with small_disk(home.state):
            async with jobping("--config", file, home=home, module=program) as daemon:
                await daemon.wait_for("cycle.completed")
                fill(home.state / "ballast")
                board.behaviours["*"] = respond(greenhouse(range(3000)))
                await daemon.wait_until(
                    lambda: any("DiskFull" in str(line["error"])
                                for line in daemon.log_of("child.exited"))
                )  # fmt: skip
                await trio.sleep(10.0)
                (home.state / "ballast").unlink()
                await daemon.wait_until(
                    lambda: any(line["new"] > 2000 for line in daemon.log_of("scraper.polled"))
                )
                ended = await daemon.end_by(SIGTERM)
            assert ended.code == 0, ended
            assert len(ended.lines("daemon.started")) == 1
            assert len(await rows("SELECT id FROM posting", home=home)) == 3000
            sent = "SELECT posting_id FROM digest_item"
            items = [row["posting_id"] for row in await rows(sent, home=home)]
            assert len(items) == len(set(items))


@pytest.mark.parametrize("days", [10, -10])
async def test_polls_go_on_when_the_calendar_jumps_and_nothing_goes_out_twice(
    home: Home, days: int
) -> None:
    """After a step back no digest leaves before the period of the last one is over again."""
    async with open_fault_server(respond(greenhouse(range(5)))) as board:
        file = home.write("board.toml", config({"greenhouse": board.url("")}))
        program = "tests.daemon.jumping_program"
        async with jobping("--config", file, home=home, module=program) as daemon:
            await daemon.wait_for("digest.sent")
            home.write("jump", str(days * 86_400))
            board.behaviours["*"] = respond(greenhouse(range(8)))
            polls = len(daemon.log_of("scraper.polled"))
            await daemon.wait_for("scraper.polled", count=polls + 3)
            if days > 0:
                await daemon.wait_for("digest.sent", count=2)
            ended = await daemon.end_by(SIGTERM)
        assert ended.code == 0, ended
        assert sum(line["new"] for line in ended.lines("scraper.polled")) == 8
        assert ended.lines("limiter.violated") == ended.lines("child.restarted") == []
        sent = "SELECT posting_id FROM digest_item WHERE dedup_key IS NOT NULL"
        items = [row["posting_id"] for row in await rows(sent, home=home)]
        assert len(items) == len(set(items)) > 0
