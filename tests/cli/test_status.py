"""`status`, `top` and `events` as a script or a person calls them, on logs made for them."""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from jobping.cli import main
from jobping.cli.watch import unit_of
from jobping.events import EVENTS
from jobping.monitor.stream import Event
from tests.monitor.samples import Writer, polled, sampled, started, stats, text

PATIENCE_S = 30.0
EVIL = "Dev\x1b[2J\x07\r\n\u202e\u2066x\u2028\x9b31m<script>"
RUN = (sys.executable, "-m", "jobping")


@pytest.fixture
def write() -> Writer:
    return Writer(began=time.time() - 30)


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log file beside a state directory on which no daemon runs."""
    monkeypatch.setenv("JOBPING_STATE_DIR", str(tmp_path))
    monkeypatch.delenv("JOBPING_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "log"


def put(log: Path, *events: Event) -> None:
    with log.open("a") as file:
        file.writelines(map(text, events))


@pytest.mark.parametrize(
    ("event", "fields", "code", "verdict"),
    [
        ("cycle.completed", {}, 0, "healthy"),
        ("store.lost", {"place": "p"}, 1, "degraded"),
        ("daemon.stopped", {"code": 0}, 3, "down"),
    ],
)
def test_status_answers_scripts_with_its_exit_code(
    write: Writer, log: Path, capsys: pytest.CaptureFixture[str],
    event: str, fields: dict[str, object], code: int, verdict: str,
) -> None:  # fmt: skip
    put(log, *started(write), polled(write, 3, "a.example"), write(4, event, **fields))
    assert main(["status", "--json", "--file", str(log)]) == code
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == verdict
    assert found["postings"]["new"] == 3
    assert found["budget"]["day"]["limit_nanousd"] == 10_000_000_000
    assert main(["status", "--file", str(log)]) == code
    shown = capsys.readouterr().out
    assert shown.split("\n")[0] == verdict
    assert "$0.00 of $10.00" in shown, "the sample was of another day"


def test_status_without_a_log_or_a_daemon_is_down_and_says_why(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--file", str(log)]) == 3
    assert "No such file or directory" in capsys.readouterr().out
    log.touch()
    assert main(["status", "--file", str(log)]) == 3
    assert "has no event" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("state_dir", "unit"),
    [
        ("/var/lib/jobping", "jobping.service"),
        ("/var/lib/jobping-two", "jobping@two.service"),
        ("/srv/jobping", None),
        ("/var/lib/other", None),
    ],
)
def test_state_directory_tells_the_unit(state_dir: str, unit: str | None) -> None:
    assert unit_of(Path(state_dir)) == unit


def test_status_of_another_state_directory_is_not_that_of_the_unit(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--state-dir", str(log.parent)]) == 3
    assert "no log is read" in capsys.readouterr().out


def test_status_reads_a_pipe_with_foreign_lines(write: Writer, log: Path) -> None:
    lines = ["Traceback\n", *map(text, started(write)), "\x00\xff{\n"]
    ended = subprocess.run(
        [*RUN, "status", "--json", "--file", "-"],
        input="".join(lines), capture_output=True, text=True, check=False, timeout=PATIENCE_S,
    )  # fmt: skip
    assert ended.returncode == 0, ended
    assert json.loads(ended.stdout)["foreign_lines"] == 2


@pytest.mark.parametrize(
    "words",
    ["status", "top --once", "report", "report --md", "report --prom", "report --html -",
     "alerts check", "status --json", "report --json"],
)  # fmt: skip
@pytest.mark.parametrize(
    "value", [EVIL, {EVIL: {"state": EVIL}}, [EVIL], 10**400, 1e308], ids=ascii
)
def test_no_reader_of_a_log_is_moved_by_what_strangers_wrote_in_it(
    write: Writer, log: Path, capsys: pytest.CaptureFixture[str], words: str, value: object
) -> None:
    put(log, *started(write), *(
        write(n / 10, kind.name, **dict.fromkeys(kind.fields, value))
        for n, kind in enumerate(EVENTS) if kind.name != "daemon.stopped"
    ))  # fmt: skip
    with log.open("a") as file:
        file.write(f"{EVIL}\n")
    main([*words.split(), "--file", str(log)])
    said = "".join(capsys.readouterr())
    assert said
    assert not set(said) & set("\x1b\x07\x9b\r\u202e\u2066\u2028")
    assert "<script" not in said or "--json" in words or not words.startswith("report --h")


def test_only_the_end_of_a_long_log_is_read(
    write: Writer, log: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobping.cli.watch.LAST_BYTES", 4_000)
    put(log, *started(write), *(polled(write, 3, "old.example") for _ in range(50)))
    put(log, *(sampled(write, 5, f"{number}.example") for number in range(3)), stats(write, 6))
    assert main(["status", "--json", "--file", str(log)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["lost_lines"], found["foreign_lines"]) == (0, 0)
    assert 0 < found["postings"]["new"] < 50


def test_top_once_needs_no_terminal(
    write: Writer, log: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    put(log, *started(write), sampled(write, 2, "a.example"))
    assert main(["top", "--once", "--file", str(log)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("● healthy")
    assert "\x1b" not in shown
    assert main(["top", "--file", str(log)]) == 64
    assert "--once" in capsys.readouterr().err


def test_events_are_the_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["events"]
    assert listed == [attrs.asdict(one) | {"fields": list(one.fields)} for one in EVENTS]
    assert main(["events", "breaker"]) == 0
    shown = capsys.readouterr().out
    assert "breaker.closed: The site answers again." in shown
    assert "tier.demoted" not in shown
    assert main(["events", "nothing.known"]) == 64


@attrs.define
class Terminal:
    """A terminal of 24 rows and 80 columns in which `top` runs."""

    process: subprocess.Popen[bytes]
    descriptor: int
    seen: bytes = b""

    def wait_for(self, *words: str) -> None:
        """Read until all words were seen since the last call."""
        until = time.monotonic() + PATIENCE_S
        while not all(word.encode() in self.seen for word in words):
            assert time.monotonic() < until, self.seen[-3000:]
            if select.select([self.descriptor], [], [], 1.0)[0]:
                self.seen += os.read(self.descriptor, 65_536)
        self.seen = b""

    def ended(self) -> int:
        """Wait for the end of the program and return its exit code."""
        return self.process.wait(PATIENCE_S)


@contextmanager
def top(log: Path) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    before = termios.tcgetattr(theirs)
    process = subprocess.Popen(
        [*RUN, "top", "--file", str(log)],
        stdin=theirs, stdout=theirs, stderr=theirs,
        env=os.environ | {"TERM": "xterm-256color"}, preexec_fn=_own_terminal,
    )  # fmt: skip
    try:
        yield Terminal(process, ours)
        assert termios.tcgetattr(theirs) == before
        assert b"\x1b[?1049l" in os.read(ours, 65_536), "the screen is left"
    finally:
        process.kill()
        process.wait()
        os.close(theirs)
        os.close(ours)


def _own_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_top_follows_a_log_sorts_and_ends_by_its_keys(write: Writer, log: Path) -> None:
    put(log, *started(write), *(sampled(write, 2, f"{name}.example") for name in "ab"))
    with top(log) as terminal:
        terminal.wait_for("\x1b[?1049h", "healthy", "a.example")
        put(log, write(20, "breaker.opened", domain="b.example", cause="5xx", until_s=60.0))
        terminal.wait_for("degraded", "breaker open (5xx)")
        os.write(terminal.descriptor, b"n")
        terminal.wait_for("\x1b[1;2m  n name")
        os.write(terminal.descriptor, b"q")
        assert terminal.ended() == 0


def test_top_leaves_the_terminal_as_it_was_when_it_is_ended(write: Writer, log: Path) -> None:
    put(log, *started(write))
    with top(log) as terminal:
        terminal.wait_for("healthy")
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.ended() == 0
