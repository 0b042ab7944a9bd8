"""Keep one PostgreSQL for a test run: `python cluster_keeper.py`, then lines on stdin.

It says where the server is in its first line, `{"url": ..., "home": ...}`. `create` answers with
the name of a new, migrated database, `create_empty` with one without tables, `drop NAME` with
`dropped`. A data directory as `initdb` leaves it, for copying, is kept as `made` in its home. It
ends, and takes everything with it, when its stdin ends: also after a test run that was killed.
"""

import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import trio

from jobping.store.bridge import Connection, Dsn, open_loop, run_alone
from jobping.store.embedded import Durability, EmbeddedConfig, open_server
from jobping.store.migrate import migrate

TEMPLATE = "migrated"


def emit(event: str, /, *, level: str | None = None, **fields: object) -> None:
    if level in ("warning", "error"):
        sys.stderr.write(f"{event} {fields}\n")


async def execute(connection: Connection, statement: str) -> None:
    await connection.execute(statement)


async def lines() -> AsyncIterator[str]:
    rest = b""
    async for chunk in trio.lowlevel.FdStream(os.dup(0)):
        *complete, rest = (rest + chunk).split(b"\n")
        for line in complete:
            yield line.decode()


async def answer(line: str, number: int, admin: Dsn) -> str:
    match line.split():
        case ["create"]:
            name, statement = f"test_{number}", f"CREATE DATABASE test_{number} TEMPLATE {TEMPLATE}"
        case ["create_empty"]:
            name, statement = f"test_{number}", f"CREATE DATABASE test_{number}"
        case ["drop", name]:
            name, statement = "dropped", f"DROP DATABASE {name} WITH (FORCE)"
        case _:
            raise ValueError(line)
    await run_alone(admin, functools.partial(execute, statement=statement))
    return name


async def main(home: Path) -> None:
    config = EmbeddedConfig(
        state_dir=home,
        runtime_dir=home / "run",
        max_connections=100,
        durability=Durability.GIVEN_UP,
    )
    async with open_loop(), open_server(config, emit=emit):
        pass
    subprocess.run(["cp", "-a", home / "postgres", home / "made"], check=True)  # noqa: ASYNC221  nothing else runs
    async with open_loop(), open_server(config, emit=emit) as dsn:
        await run_alone(dsn, functools.partial(execute, statement=f"CREATE DATABASE {TEMPLATE}"))
        await run_alone(Dsn(url=dsn.url.replace("/jobping?", f"/{TEMPLATE}?")), migrate)
        say(json.dumps({"url": dsn.url, "home": str(home)}))
        number = 0
        async with contextlib.aclosing(lines()) as requests:
            async for line in requests:
                number += 1
                say(await answer(line, number, dsn))


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    home = Path(tempfile.mkdtemp(prefix="jobping-tests-"))
    home.chmod(0o711)  # the server's account passes through
    try:
        trio.run(main, home)
    finally:
        shutil.rmtree(home)
