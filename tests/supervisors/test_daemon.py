"""run_daemon as a process: real signals, real exit codes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGINT, SIGTERM, SIGUSR1, Signals
from types import TracebackType

import pytest
import trio

from supervisors import ChildSpec, Supervisor, SupervisorSpec, run_daemon
from supervisors._watchdog import Watchdog
from supervisors.testing import ScriptedActor

IDLE = ChildSpec(id="idle", start=ScriptedActor().run)
PROGRAM = Path(__file__).with_name("daemon_program.py")


class Daemon:
    """A running daemon_program; its lines are read one by one."""

    def __init__(self, scenario: str, grace_period: float) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), scenario, str(grace_period)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=PROGRAM.parents[2],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(PROGRAM.parents[2]), *sys.path])},
        )
        self.lines: list[str] = []

    def __enter__(self) -> "Daemon":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.communicate()

    def wait_for(self, line: str) -> None:
        assert self.process.stdout is not None
        for read in self.process.stdout:
            self.lines.append(read.strip())
            if self.lines[-1] == line:
                return
        pytest.fail(f"no line {line!r}, but {self.lines} {self.end()}")

    def send(self, number: Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        output, self.errors = self.process.communicate(timeout=30)
        self.lines += output.split("\n")[:-1]
        return self.process.returncode


@contextmanager
def running(scenario: str, grace_period: float = 5.0) -> Iterator[Daemon]:
    with Daemon(scenario, grace_period) as daemon:
        yield daemon


@pytest.mark.parametrize("number", [SIGTERM, SIGINT])
def test_first_signal_stops_the_tree_in_order(number: Signals) -> None:
    with running("quiet") as daemon:
        daemon.wait_for("ready")
        daemon.send(number)
        assert daemon.end() == 0
        assert daemon.lines == [
            "extend 30",
            "extend 30",
            "ready",
            "stopping",
            "quiet stopped",
            "quiet stopped",
        ]
        assert daemon.errors == ""


def test_signal_before_readiness_undoes_the_start_in_order() -> None:
    with running("slow_start") as daemon:
        daemon.wait_for("starting")
        daemon.send(SIGTERM)
        assert daemon.end() == 0
        assert daemon.lines[1:] == ["starting", "stopping", "start undone", "quiet stopped"]


def test_second_signal_cancels_everything() -> None:
    with running("stubborn", 60.0) as daemon:
        daemon.wait_for("ready")
        daemon.send(SIGTERM)
        daemon.wait_for("stopping")
        daemon.send(SIGTERM)
        assert daemon.end() == 1
        assert daemon.lines[-1] == "stubborn cancelled"
        assert "quiet stopped" not in daemon.lines
        assert daemon.errors == ""


def test_second_signal_counts_though_the_loop_reads_both_as_one() -> None:
    with running("busy_once", 60.0) as daemon:
        daemon.wait_for("busy")
        for _ in range(2):
            time.sleep(0.2)
            daemon.send(SIGTERM)
        assert daemon.end() == 1
        assert daemon.lines[-2:] == ["stopping", "busy_once cancelled"]
        assert daemon.errors == ""


@pytest.mark.parametrize("scenario", ["shielded", "threaded"])
def test_third_signal_ends_a_process_that_cannot_be_cancelled(scenario: str) -> None:
    with running(scenario, 60.0) as daemon:
        daemon.wait_for("ready")
        daemon.send(SIGTERM)
        daemon.wait_for("stopping")
        for _ in range(2):
            time.sleep(0.2)
            daemon.send(SIGTERM)
        assert daemon.end() == 70


def test_third_signal_ends_a_process_whose_loop_hangs() -> None:
    with running("hung_early", 60.0) as daemon:
        daemon.wait_for("hanging")
        for _ in range(3):
            daemon.send(SIGTERM)
            time.sleep(0.2)
        assert daemon.end() == 70
        assert "hung_early" in daemon.errors


def test_end_of_the_grace_period_cancels_everything() -> None:
    with running("stubborn", 0.5) as daemon:
        daemon.wait_for("ready")
        began = time.monotonic()
        daemon.send(SIGTERM)
        assert daemon.end() == 70
        assert 0.4 < time.monotonic() - began < 5.0
        assert daemon.lines[-1] == "stubborn cancelled"


@pytest.mark.parametrize("scenario", ["crashing", "failing_start"])
def test_tree_that_gives_up_ends_the_daemon_with_70(scenario: str) -> None:
    with running(scenario) as daemon:
        assert daemon.end() == 70
        assert daemon.lines[-1] == "quiet stopped"


def test_system_exit_of_an_actor_is_not_swallowed() -> None:
    with running("exiting") as daemon:
        assert daemon.end() != 0
        assert "SystemExit: 5" in daemon.errors


def test_other_signals_call_what_was_given_for_them() -> None:
    with running("quiet") as daemon:
        daemon.wait_for("ready")
        daemon.send(SIGUSR1)
        daemon.wait_for("usr1")
        daemon.send(SIGTERM)
        assert daemon.end() == 0


def test_tree_that_is_stopped_from_inside_ends_in_order() -> None:
    with running("ends_by_itself") as daemon:
        assert daemon.end() == 0
        assert daemon.lines == ["quiet stopped"]


def leaves_after(budget: float, signals: int, forced_after: float) -> float:
    left = []
    began = time.monotonic()
    watchdog = Watchdog(
        budget, leave=lambda: left.append(time.monotonic() - began), forced_exit_after=forced_after
    )
    watchdog.start()
    for _ in range(signals):
        watchdog.note_signal()
    while not left and time.monotonic() - began < 2.0:
        time.sleep(0.01)
    watchdog.stop()
    assert left, "the watchdog did not leave"
    return left[0]


def test_watchdog_leaves_when_the_budget_is_over() -> None:
    assert 0.1 <= leaves_after(0.05, 1, 0.05) < 1.5


def test_watchdog_shortens_the_budget_at_the_second_signal() -> None:
    assert 0.05 <= leaves_after(60.0, 2, 0.05) < 1.5


def test_watchdog_leaves_at_once_at_the_third_signal() -> None:
    assert leaves_after(60.0, 3, 60.0) < 1.0


def test_watchdog_takes_its_timers_back_when_stopped() -> None:
    left: list[bool] = []
    watchdog = Watchdog(0.0, leave=lambda: left.append(True), forced_exit_after=0.1)
    watchdog.start()
    watchdog.note_signal()
    time.sleep(0.02)
    watchdog.stop()
    time.sleep(0.15)
    assert left == []


async def test_handlers_are_back_after_the_daemon() -> None:
    before = signal.getsignal(SIGTERM)
    root = Supervisor(SupervisorSpec())
    root.request_stop()
    assert await run_daemon(root, grace_period=1.0) == 0
    assert signal.getsignal(SIGTERM) is before


async def test_cancellation_from_outside_passes_through_the_daemon() -> None:
    with trio.move_on_after(0.05) as scope:
        await run_daemon(Supervisor(SupervisorSpec(children=(IDLE,))), grace_period=1.0)
    assert scope.cancelled_caught
