"""A command in this process, on a database of its test."""

from collections.abc import Callable
from pathlib import Path

import pytest

from jobping.cli import main
from jobping.store.bridge import Dsn

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(
    dsn: Dsn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Call:
    """Run a command in this process, on a database of this test."""
    for name in ("JOBPING_CONFIG", "STATE_DIRECTORY", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JOBPING_DATABASE_URL", dsn.url)
    monkeypatch.setenv("JOBPING_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        out, err = capfd.readouterr()
        return code, out, err

    return run
