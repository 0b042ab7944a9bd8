"""Daemons that pay and are killed, and the judge that compares their ledger with the bill."""

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs
import trio

from jobping.demo.model_bill import Charge
from jobping.demo.model_server import ModelServer
from jobping.store.bridge import Database, Dsn
from tests.store.store_samples import add_board, add_profile, draft, put, sql

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "tests" / "doubles" / "budget_program.py"


@attrs.define(eq=False)
class Daemons:
    """The process that daemons are forked from, and those that were."""

    process: subprocess.Popen[str]
    folder: Path
    started: set[int] = attrs.field(factory=set)

    async def start(self, **order: object) -> int:
        """Start a daemon; return its process's number."""
        words = {"notes": str(self.folder / "full")} | order
        pid = await trio.to_thread.run_sync(self._start, json.dumps(words))
        self.started.add(pid)
        return pid

    def _start(self, line: str) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, "the program has ended"
        return int(answer)

    def kill(self, pid: int) -> None:
        self.started.discard(pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def are_full(self) -> int:
        """Return how often a daemon was told that nothing is left since `forget_full`."""
        try:
            return len((self.folder / "full").read_bytes().splitlines())
        except FileNotFoundError:
            return 0

    def forget_full(self) -> None:
        (self.folder / "full").unlink(missing_ok=True)

    async def wait_gone(self, pid: int) -> None:
        with trio.fail_after(60):
            while os.path.exists(f"/proc/{pid}"):  # noqa: ASYNC110,ASYNC240,PTH110  sets no event
                await trio.sleep(0.005)
        self.started.discard(pid)


@contextmanager
def open_daemons() -> Iterator[Daemons]:
    """Start the program; at the end nothing of it is left."""
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [sys.executable, str(PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        ) as process,
    ):
        daemons = Daemons(process, Path(folder))
        try:
            yield daemons
        finally:
            for pid in list(daemons.started):
                daemons.kill(pid)
            process.kill()


@attrs.frozen(kw_only=True)
class Judge:
    """Compares the ledger with the bill; the bill is right."""

    database: Database
    server: ModelServer
    limits: dict[str, int]

    async def judge(self) -> None:
        """Fail unless every call that was billed is in the ledger, with no less than its bill."""
        charges = [charge for charge in self.server.bill.charges if charge.is_billed]
        booked = await self._booked()
        billed: dict[tuple[str, object], list[int]] = defaultdict(lambda: [0, 0])
        for charge in charges:
            tokens, nanousd, day, month = booked[charge.client_id]
            cost = math.ceil(charge.cost)
            assert tokens >= charge.tokens, charge
            assert nanousd >= cost, charge
            for window in (("day", day), ("month", month)):
                billed[window][0] += charge.tokens
                billed[window][1] += cost
        rows = await sql(
            self.database,
            "SELECT kind, starts, used_tokens + held_tokens, used_nanousd + held_nanousd"
            " FROM budget_window",
        )
        for kind, starts, tokens, nanousd in rows:
            bill_tokens, bill_nanousd = billed[str(kind), starts]
            span = "daily" if kind == "day" else "monthly"
            assert bill_tokens <= tokens <= self.limits[f"{span}_tokens"]
            assert bill_nanousd <= nanousd <= self.limits[f"{span}_nanousd"]
        assert set(billed) <= {(str(kind), starts) for kind, starts, _, _ in rows}

    async def _booked(self) -> dict[str, tuple[int, int, object, object]]:
        rows = await sql(
            self.database,
            "SELECT id::text, coalesce(counted_tokens, bound_tokens),"
            " coalesce(counted_nanousd, bound_nanousd), day, month FROM budget_booked",
        )
        return {str(id): (tokens, nanousd, day, month) for id, tokens, nanousd, day, month in rows}

    async def states(self) -> dict[str, int]:
        rows = await sql(
            self.database, "SELECT state, count(*)::int FROM budget_entry GROUP BY state"
        )
        return {str(state): count for state, count in rows}


def paid_twice(charges: list[Charge]) -> list[str]:
    """Return the ids under which more than one request came."""
    ids = [charge.client_id for charge in charges]
    return [id for id in set(ids) if ids.count(id) > 1]


async def prepare(database: Database, profiles: int = 6, postings: int = 40) -> None:
    """Store what daemons ask about."""
    for n in range(profiles):
        await add_profile(database, f"p{n}", words=(f"word{n}",))
    drafts = [draft(str(n), description=f"Text {n}. " * 20) for n in range(postings)]
    await put(database, await add_board(database), drafts)


def order_of(
    dsn: Dsn, server: ModelServer, limits: dict[str, int], **fields: object
) -> dict[str, object]:
    return {"url": dsn.url, "base_url": server.base_url, "limits": limits, **fields}
