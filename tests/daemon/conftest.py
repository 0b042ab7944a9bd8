from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.processes import RECORDINGS, Home, open_home
from tests.daemon.rounds import Rounds, two_rounds


@pytest.fixture
def home() -> Iterator[Home]:
    """A place for one state directory; nothing runs there when the test has ended."""
    with open_home() as made:
        yield made


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of recorded answers."""
    if not (RECORDINGS / "INDEX.json").is_file():
        pytest.skip("no recordings")
    return RECORDINGS


@pytest.fixture(scope="session")
def synthetic() -> Iterator[Rounds]:
    """Two rounds of the synthetic demo on one state, which no test changes afterwards."""
    with two_rounds("--seed", "7") as rounds:
        yield rounds


@pytest.fixture(scope="session")
def recorded(recordings: Path) -> Iterator[Rounds]:
    """Two rounds of the demo with recorded answers on one state."""
    with two_rounds("--recordings", recordings) as rounds:
        yield rounds
