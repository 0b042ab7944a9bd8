"""The process that owns the embedded server: killed, stopped and doubled at any moment."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.doubles.postgres import KEEPER, ROOT, processes_below, wait_processes_gone

OWNER = KEEPER.with_name("server_owner.py")
GONE_S = 2.0
"""How long after its owner's death a server may still be there."""


@contextmanager
def owner(home: Path) -> Iterator["subprocess.Popen[str]"]:
    """Run a process that owns, or joins, the server of a state directory."""
    with subprocess.Popen(
        [sys.executable, str(OWNER), str(home / "state")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def made(home: Path, made_data_dir: Path) -> Path:
    """A home with a data directory, copied because making one takes long."""
    (home / "state").mkdir()
    subprocess.run(["cp", "-a", made_data_dir, home / "state" / "postgres"], check=True)
    return home


def wait_event(process: "subprocess.Popen[str]", name: str) -> dict[str, object]:
    """Return the next event of this name."""
    assert process.stdout is not None
    for line in process.stdout:
        event: dict[str, object] = json.loads(line)
        if event["event"] == name:
            return event
    raise AssertionError(f"ended without {name}")


def kill_after(home: Path, seconds: float) -> None:
    with owner(home) as process:
        time.sleep(seconds)
        process.kill()
    assert wait_processes_gone(home, within_s=GONE_S) == []


def start_and_stop(home: Path) -> None:
    """Assert that a start needs no help, and that a stop is in order."""
    with owner(home) as process:
        wait_event(process, "ready")
        process.terminate()
        assert process.wait(10) == 0
    assert processes_below(home) == []
    assert [*(home / "state").glob("*.new-*")] == []


def test_killed_owner_leaves_no_server_and_the_next_start_recovers(made: Path) -> None:
    with owner(made) as process:
        wait_event(process, "ready")
        process.kill()
    assert wait_processes_gone(made, within_s=GONE_S) == []
    start_and_stop(made)


def test_owner_killed_during_its_first_start_leaves_nothing_in_the_way(home: Path) -> None:
    rng = random.Random(11)
    for _ in range(4):
        kill_after(home, rng.uniform(0.3, 1.8))
    start_and_stop(home)


@pytest.mark.slow
def test_owner_killed_fifty_times_during_its_start_leaves_nothing_in_the_way(home: Path) -> None:
    rng = random.Random(12)
    for number in range(50):
        kill_after(home, rng.uniform(0.2, 2.5))
        if number % 5 == 4:
            start_and_stop(home)
            (home / "state" / "postgres").rename(home / f"done-{number}")


def test_owner_told_to_stop_at_any_moment_ends_in_order(home: Path) -> None:
    rng = random.Random(13)
    for _ in range(4):
        with owner(home) as process:
            time.sleep(rng.uniform(0.4, 1.8))
            process.terminate()
            assert process.wait(10) in (0, -signal.SIGTERM)  # before or after its receiver is set
        assert wait_processes_gone(home, within_s=GONE_S) == []


def test_two_first_starts_at_once_make_one_server(home: Path) -> None:
    with owner(home) as one, owner(home) as other:
        urls = {str(wait_event(process, "ready")["url"]) for process in (one, other)}
        assert len(urls) == 1
        servers = [pid for pid in processes_below(home) if is_postmaster(pid)]
        assert len(servers) == 1
        for process in (one, other):
            process.terminate()
        assert {process.wait(10) for process in (one, other)} == {0}
    assert processes_below(home) == []


def is_postmaster(pid: int) -> bool:
    parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return os.path.basename(os.readlink(f"/proc/{parent}/exe")).startswith("python")  # noqa: PTH115, PTH119  `exe` is text


def test_client_becomes_the_owner_after_the_owner_was_killed(made: Path) -> None:
    with owner(made) as first:
        wait_event(first, "ready")
        with owner(made) as second:
            assert wait_event(second, "postgres.joined")["owner_pid"] == first.pid
            wait_event(second, "ready")
            first.kill()
            assert "has ended" in str(wait_event(second, "failed")["why"])
    start_and_stop(made)
