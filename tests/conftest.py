"""Fixtures that several packages need: a PostgreSQL per test run, a database per test."""

import functools
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import trio

from jobping.store.bridge import Database, Dsn, open_loop, serve_database
from tests.doubles.postgres import KEEPER, ROOT, Cluster, Events


@pytest.fixture(scope="session", autouse=True)
def heeded_interrupts() -> Iterator[None]:
    """Let the programs that tests start heed SIGINT also where a shell began this run with `&`."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


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
