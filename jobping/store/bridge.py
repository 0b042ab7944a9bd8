"""The one place where Trio meets asyncio: units of work cross over, run there, and return.

A unit crosses once, however many statements it sends. Callers see `await database.run(unit, ...)`
and nothing of asyncio. The loop is opened once around the whole program, the database by the
store's actor.
"""

import contextlib
import random
from typing import ParamSpec, TypeVar, cast

import attrs
import trio

from jobping.errors import ConfigError, StoreUnavailable
from jobping.events import Emit
from jobping.store.connection import Connection, Counters, Unit
from jobping.store.faults import REFUSED, UNREACHABLE, describe, refusal
from jobping.store.groups import single_errors
from jobping.store.loop import Dsn, listen_to_complaints, open_loop, run_alone
from jobping.store.pool import Pool, PoolLimits
from jobping.store.session import PoolStatistics, Session
from jobping.store.worker import Job, ask_for_life

__all__ = [
    "Connection",
    "Database",
    "Dsn",
    "PoolLimits",
    "PoolStatistics",
    "Unit",
    "open_loop",
    "run_alone",
    "serve_database",
]

P = ParamSpec("P")
R = TypeVar("R")

LOOK_WITHIN_S = 10.0
OLDEST_SERVER = 15
"""The lowest major version of PostgreSQL that we have run on."""


@attrs.define(eq=False)
class Database:
    """The store's connections; created closed, opened and closed by `serve_database`."""

    _counters: Counters = attrs.field(factory=Counters, init=False)
    _session: "Session | None" = attrs.field(default=None, init=False)

    async def run(self, unit: Unit[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a unit of work on a connection and return its result; trio side.

        If the caller is cancelled while its unit waits, nothing has happened. If it runs, the
        server is asked to stop it and the caller leaves after at most 1 s; whether a write took
        place is then unknown.

        Raises:
            StoreUnavailable: No connection within 5 s, or the server, or the way to it, failed.
            StoreConflict: A constraint was violated.
        """
        session = self._session
        if session is None:
            raise StoreUnavailable("the database is not open")
        job = Job(unit=lambda connection: unit(connection, *args, **kwargs))
        session.submit(job)
        try:
            await job.finished.wait()
        except trio.Cancelled:
            await session.withdraw(job)  # noqa: ASYNC102  it is shielded and bounded itself
            raise
        if job.error is not None:
            raise job.error
        return cast("R", job.result)

    async def look(self) -> None:
        """See that a unit comes back, whatever became of it; a connection that hangs is lost."""
        with trio.move_on_after(LOOK_WITHIN_S), contextlib.suppress(StoreUnavailable):
            await self.run(ask_for_life)

    def statistics(self) -> PoolStatistics:
        """Return what the pool is doing and has done."""
        pool = self._session.pool if self._session is not None else None
        return PoolStatistics(
            statements=self._counters.statements,
            units=self._counters.units,
            opened=self._counters.opened,
            size=pool.size if pool else 0,
            idle=pool.idle if pool else 0,
            waiting=pool.waiting if pool else 0,
            waited_max_s=pool.waited_max_s if pool else 0.0,
            rejected=pool.rejected if pool else 0,
        )


async def serve_database(
    database: Database,
    dsn: Dsn,
    *,
    limits: PoolLimits | None = None,
    emit: Emit,
    rng: random.Random | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Keep a database open until cancelled; ready when a connection has answered.

    On the way out units in hand have `limits.close_within_s` to end, then their connections are
    thrown away.

    Raises:
        ConfigError: The server refuses us, is older than 15, or knows no letters beyond ASCII.
        StoreUnavailable: Nothing answered within `limits.first_answer_s`.
    """
    listen_to_complaints(emit)
    limits = limits or PoolLimits()
    await _wait_usable(dsn, limits.first_answer_s)
    session = Session(
        dsn=dsn,
        emit=emit,
        counters=database._counters,
        pool=Pool(limits=limits, rng=rng or random.Random()),  # noqa: S311  no secret is drawn
    )
    database._session = session
    try:
        with single_errors():
            await session.serve(database.statistics, task_status)
    finally:
        database._session = None


async def _wait_usable(dsn: Dsn, within_s: float) -> None:
    reason = "no answer"
    with trio.move_on_after(within_s):
        while True:
            try:
                return await run_alone(dsn, _check_server)
            except REFUSED as error:
                raise refusal(error, dsn.place) from error
            except UNREACHABLE as error:
                reason = describe(error)
            await trio.sleep(0.1)
    raise StoreUnavailable(f"PostgreSQL at {dsn.place} did not answer in {within_s:g} s: {reason}")


async def _check_server(connection: Connection) -> None:
    """Refuse a server that would store wrong results; asyncio side."""
    version = int(await connection.fetchval("SHOW server_version_num")) // 10_000
    if version < OLDEST_SERVER:
        raise ConfigError(
            f"PostgreSQL {version} is too old: version {OLDEST_SERVER} or later is needed"
        )
    if not await connection.fetchval("SELECT lower('Ä') = 'ä' AND getdatabaseencoding() = 'UTF8'"):
        raise ConfigError(
            "This database knows no letters beyond ASCII: searches would miss postings. Create it "
            "with: CREATE DATABASE jobping TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'"
        )
