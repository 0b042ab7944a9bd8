"""`kill -9` around the sending of digests, counted by Message-ID as their receivers would."""

import json
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from jobping.core.profile import Profile
from jobping.store.bridge import Database, Dsn
from jobping.store.profiles import Profiles
from tests.actors.rig import eventually
from tests.doubles.postgres import ROOT
from tests.store.store_samples import add_news, draft, match_of, record, sql

PROGRAM = ROOT / "tests" / "doubles" / "digest_program.py"


async def add_readers(database: Database, count: int) -> None:
    """Add profiles with one match each."""
    profiles = Profiles(database=database)
    await profiles.sync([Profile(name=f"p{number}") for number in range(count)])
    [posting] = await add_news(database, draft("1"))
    await record(database, *(match_of(one, posting) for one in await profiles.all()))


def noted(notes: Path, moment: str) -> list[str]:
    lines = notes.read_text().splitlines() if notes.exists() else []
    return [id for was, _, id in (line.partition(" ") for line in lines) if was == moment]


async def run(dsn: Dsn, notes: Path, *, kill: Callable[[], Awaitable[None]] | None, **order) -> int:
    """Run the program to its end, or kill it when told; return how it ended."""
    words = json.dumps({"url": dsn.url, "notes": str(notes), **order})
    process = await trio.lowlevel.open_process(
        [sys.executable, str(PROGRAM), words],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        stderr=subprocess.DEVNULL,
    )
    try:
        with trio.fail_after(60):
            if kill is not None:
                await kill()
                process.kill()
            return await process.wait()
    finally:
        process.kill()


def once_noted(notes: Path, moment: str) -> Callable[[], Awaitable[None]]:
    async def wait() -> None:
        await eventually(lambda: bool(noted(notes, moment)), within_s=50)

    return wait


@pytest.mark.parametrize(
    ("moment", "resends", "times"),
    [("turn", True, 1), ("turn", False, 1), ("begun", True, 2), ("begun", False, 1),
     ("sent", True, 2), ("sent", False, 1)],
)  # fmt: skip
async def test_killed_digest_goes_again_only_from_inside_its_sending_and_as_the_same_mail(
    database: Database, dsn: Dsn, tmp_path: Path, moment: str, resends: bool, times: int
) -> None:
    await add_readers(database, 1)
    notes = tmp_path / "notes"
    kill = once_noted(notes, moment)
    ended = await run(dsn, notes, kill=kill, resends=resends, hangs=moment)
    assert ended == -signal.SIGKILL
    for _ in range(2):
        assert await run(dsn, notes, kill=None, resends=resends) == 0
    begun = noted(notes, "begun")
    assert (len(begun), len(set(begun))) == (times, 1)
    assert await sql(database, "SELECT state FROM digest") == [("sent",)]


@pytest.mark.parametrize("resends", [False, True])
async def test_daemon_killed_again_and_again_loses_no_digest_and_sends_none_anew(
    database: Database, dsn: Dsn, tmp_path: Path, resends: bool
) -> None:
    await add_readers(database, 10)
    notes, rng, kills = tmp_path / "notes", random.Random(7), 0

    async def some_time() -> None:
        before = len(noted(notes, "begun"))
        await eventually(lambda: len(noted(notes, "begun")) > before, within_s=50)
        await trio.sleep(rng.random() * 0.4)

    while len(set(noted(notes, "begun"))) < 7:
        assert await run(dsn, notes, kill=some_time, resends=resends, takes_s=0.1) < 0
        kills += 1
    assert await run(dsn, notes, kill=None, resends=resends) == 0
    counts = Counter(noted(notes, "begun"))
    assert await sql(database, "SELECT state, count(*) FROM digest GROUP BY 1") == [("sent", 10)]
    assert len(counts) == 10
    assert sum(counts.values()) - 10 <= (kills if resends else 0)
    assert set(counts) == {id for (id,) in await sql(database, "SELECT message_id FROM digest")}
