"""The PostgreSQL of a test run, what its parts say, and what runs below a directory."""

import subprocess
import time
from pathlib import Path

import attrs
import trio

from jobping.store.bridge import Dsn

ROOT = Path(__file__).parents[2]
KEEPER = Path(__file__).parent / "cluster_keeper.py"


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
