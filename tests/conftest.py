"""Fixtures that several packages need: a PostgreSQL per test run, a database per test."""

import functools
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import attrs
import pytest
import trio

from jobping.store.bridge import Database, Dsn, open_loop, serve_database

ROOT = Path(__file__).parents[1]
KEEPER = Path(__file__).parent / "doubles" / "cluster_keeper.py"


@attrs.define(kw_only=True)
class Cluster:
    """A PostgreSQL that this test run started; one per worker of pytest-xdist.

    Attributes:
        home: Below the temporary directory; removed with the cluster.
    """

    url: str
    home: Path
    _keeper: subprocess.Popen[str]

    def create(self) -> Dsn:
        """Create a database with the schema of this version, empty otherwise."""
        return self.dsn(self._ask("create"))

    def create_empty(self) -> Dsn:
        """Create a database without any table."""
        return self.dsn(self._ask("create_empty"))

    def drop(self, dsn: Dsn) -> None:
        """Drop what `create` made, whoever is connected."""
        name = dsn.url.partition("@/")[2].partition("?")[0]
        assert self._ask(f"drop {name}") == "dropped"

    def dsn(self, name: str) -> Dsn:
        """Return how to reach a database of this cluster."""
        return Dsn(url=self.url.replace("@/jobping?", f"@/{name}?"))

    def _ask(self, line: str) -> str:
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        self._keeper.stdin.write(line + "\n")
        self._keeper.stdin.flush()
        answer = self._keeper.stdout.readline().strip()
        assert answer, "the test cluster has ended"
        return answer


@attrs.define
class Events:
    """What a part under test emitted."""

    seen: list[tuple[str, dict[str, object]]] = attrs.field(factory=list)
    _changed: trio.Event = attrs.field(factory=trio.Event, init=False)

    def __call__(self, event: str, /, *, level: str | None = None, **fields: object) -> None:
        """Take note of one event."""
        self.seen.append((event, fields if level is None else fields | {"level": level}))
        self._changed.set()
        self._changed = trio.Event()

    async def wait(self, name: str) -> None:
        """Wait until this happens once more."""
        count = self.names().count(name)
        while self.names().count(name) == count:
            await self._changed.wait()

    def names(self) -> list[str]:
        """Return the names in order, without what PostgreSQL says itself."""
        return [name for name, _ in self.seen if name != "postgres.logged"]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running PostgreSQL without durability."""
    with subprocess.Popen(
        [sys.executable, str(KEEPER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        start_new_session=True,  # Ctrl-C reaches it through its stdin, in order
    ) as keeper:
        assert keeper.stdout is not None
        line = keeper.stdout.readline()
        assert line, "the test cluster did not start; its reason stands above"
        said = json.loads(line)
        yield Cluster(url=said["url"], home=Path(said["home"]), keeper=keeper)


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory that every user can pass; pytest's own are closed to the server's account."""
    made = Path(tempfile.mkdtemp(prefix="jobping-home-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="session")
def made_data_dir(cluster: Cluster) -> Path:
    """A data directory without our tables, owned as a server needs it; for copying."""
    return cluster.home / "made"


def processes_below(directory: Path) -> list[int]:
    """Return the processes that work in a directory or below it, such as servers."""
    found: list[int] = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if link.readlink().is_relative_to(directory):
                found.append(int(link.parent.name))
        except OSError:  # of another user, or gone
            continue
    return found


def wait_processes_gone(directory: Path, *, within_s: float) -> list[int]:
    """Return the processes that still work below a directory at the end of the time given."""
    deadline = time.monotonic() + within_s
    while (left := processes_below(directory)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


@pytest.fixture
def events() -> Events:
    """A recorder to pass as `emit`."""
    return Events()


@pytest.fixture
def dsn(cluster: Cluster) -> Iterator[Dsn]:
    """A database of its own: the schema of this version, no rows but those of the schema."""
    made = cluster.create()
    yield made
    cluster.drop(made)


@pytest.fixture
async def database(dsn: Dsn, events: Events) -> AsyncIterator[Database]:
    """An open database on `dsn`."""
    opened = Database()
    async with open_loop(), trio.open_nursery() as nursery:
        serve = functools.partial(serve_database, emit=events, rng=random.Random(1))
        await nursery.start(serve, opened, dsn)
        yield opened
        nursery.cancel_scope.cancel()
