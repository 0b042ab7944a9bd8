"""The README's example of `supervisors` alone, run as a process."""

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def example(port: int) -> str:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(
        r"^## Using supervisors on its own\n.*?```python\n(.*?)```", text, re.M | re.S
    )
    assert found, "README has no example of supervisors"
    return found[1].replace("8080", str(port))


@contextmanager
def running(program: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-W", "error", str(program)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def call(port: int) -> str:
    deadline = time.monotonic() + 20
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as stream:
                return stream.makefile().readline().strip()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def test_readme_example_counts_survives_a_crash_and_stops_in_order(tmp_path: Path) -> None:
    port = free_port()
    program = tmp_path / "example.py"
    program.write_text(example(port))
    with running(program) as process:
        answers = [call(port) for _ in range(10)]
        answers.append(call(port))
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=20)
    assert answers == [*"123456789", "try again", "1"]
    assert process.returncode == 0
    assert "cannot count further" in output


def test_readme_example_is_short() -> None:
    lines = [line for line in example(0).splitlines() if line.strip()]
    assert len(lines) <= 30


@pytest.mark.parametrize("name", ["jobping", "httpx", "asyncpg", "structlog"])
def test_supervisors_imports_nothing_of_the_rest(name: str) -> None:
    command = f"import supervisors.testing, sys; raise SystemExit({name!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], cwd=ROOT, check=False).returncode == 0
