"""The one place where Trio meets asyncio: units of work cross over, run there, and return.

A unit crosses once, however many statements it sends. Callers see `await database.run(unit, ...)`
and nothing of asyncio. The loop is opened once around the whole program, the database by the
store's actor.
"""

import asyncio
import functools
import math
import random
import urllib.parse
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import ParamSpec, TypeVar, cast

import asyncpg
import attrs
import trio

from jobping.clock import Clock
from jobping.core.ids import Monotonic
from jobping.errors import ConfigError, StoreUnavailable
from jobping.events import Emit
from jobping.store.connection import Connection, CountedConnection, Counters, Unit
from jobping.store.faults import REFUSED, UNREACHABLE, describe, refusal
from jobping.store.groups import single_errors
from jobping.store.pool import (
    Action,
    Assign,
    Check,
    Close,
    CloseReason,
    Lost,
    Open,
    Pool,
    PoolLimits,
    Regained,
    Reject,
    SlotId,
    Ticket,
)
from jobping.store.worker import Job, JobState, Worker, ask_for_life

with warnings.catch_warnings():
    # Its import uses asyncio policies, which warn from Python 3.12 on.
    warnings.simplefilter("ignore", DeprecationWarning)
    import trio_asyncio  # type: ignore[import-untyped]  # it ships no types

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

CANCEL_GRACE_S = 1.0
"""How long a cancelled caller lets the server stop its unit; then the connection is thrown away."""
OLDEST_SERVER = 15
"""The lowest major version of PostgreSQL that we have run on."""


@attrs.frozen(kw_only=True)
class Dsn:
    """How to reach a PostgreSQL.

    Attributes:
        url: `postgresql://...`; never shown, it may hold a password.
    """

    url: str = attrs.field(repr=False)

    @property
    def place(self) -> str:
        """Return host and database for messages."""
        parts = urllib.parse.urlsplit(self.url)
        host = parts.hostname or urllib.parse.parse_qs(parts.query).get("host", ["localhost"])[0]
        return f"{host}{parts.path}"


@attrs.frozen(kw_only=True)
class PoolStatistics:
    """What the pool is doing and has done since the process started.

    Attributes:
        statements: Statements that units sent, BEGIN and COMMIT not counted.
        units: Units that ran.
        opened: Connections opened.
        size: Connections open now.
        idle: Of these, unused ones.
        waiting: Units that wait for a connection now.
        waited_max_s: Longest wait of a unit since the last `pool.sampled`, in seconds.
        rejected: Units that got no connection.
    """

    statements: int
    units: int
    opened: int
    size: int
    idle: int
    waiting: int
    waited_max_s: float
    rejected: int


@asynccontextmanager
async def open_loop(*, emit: Emit | None = None) -> AsyncIterator[None]:
    """Open the asyncio loop, once around everything that uses a database.

    Args:
        emit: Where the loop's complaints go until a database is served, which brings its own.
    """
    with single_errors():
        async with trio_asyncio.open_loop() as loop:
            loop.set_exception_handler(functools.partial(_complain, emit))
            yield


def _complain(
    emit: Emit | None, _loop: asyncio.AbstractEventLoop, context: Mapping[str, object]
) -> None:
    error = context.get("exception")
    if emit is not None:
        emit(
            "bridge.complained",
            message=str(context.get("message", "")),
            error=describe(error) if isinstance(error, Exception) else None,
        )


async def run_alone(dsn: Dsn, unit: Callable[[Connection], Awaitable[R]]) -> R:
    """Run a unit on a connection of its own, opened and closed for it.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: As asyncpg does; nothing is mapped.
    """

    async def cross() -> R:
        connection = await _connect(dsn, statement_timeout_s=0)
        try:
            return await unit(CountedConnection(connection, Counters()))
        finally:
            connection.terminate()

    return cast("R", await trio_asyncio.aio_as_trio(cross)())


async def _connect(dsn: Dsn, *, statement_timeout_s: float) -> "asyncpg.Connection[asyncpg.Record]":
    """Open a plain connection; asyncio side. No asyncpg time-out: its timers outlive their use."""
    return await asyncpg.connect(
        dsn.url,
        timeout=cast("float", None),
        server_settings={
            "application_name": "jobping",
            "timezone": "UTC",
            "statement_timeout": str(round(statement_timeout_s * 1000)),
            "idle_in_transaction_session_timeout": "30000",
        },
    )


@attrs.define(eq=False)
class Database:
    """The store's connections; created closed, opened and closed by `serve_database`."""

    _counters: Counters = attrs.field(factory=Counters, init=False)
    _session: "_Session | None" = attrs.field(default=None, init=False)

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
            await session.withdraw(job)
            raise
        if job.error is not None:
            raise job.error
        return cast("R", job.result)

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
    trio_asyncio.current_loop.get().set_exception_handler(functools.partial(_complain, emit))
    limits = limits or PoolLimits()
    await _wait_usable(dsn, limits.first_answer_s)
    session = _Session(
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


@attrs.define(eq=False, kw_only=True)
class _Session:
    """One opening of a database: carries the pool's actions out and reports back to it."""

    dsn: Dsn
    emit: Emit
    counters: Counters
    pool: Pool
    _clock: Clock = attrs.field(factory=Clock, init=False)
    _jobs: dict[Ticket, Job] = attrs.field(factory=dict, init=False)
    _workers: dict[SlotId, Worker] = attrs.field(factory=dict, init=False)
    _to_open: list[SlotId] = attrs.field(factory=list, init=False)
    _connections: int = attrs.field(default=0, init=False)
    _next_ticket: int = attrs.field(default=1, init=False)
    _nudge: trio.Event = attrs.field(factory=trio.Event, init=False)
    _closing: trio.Event = attrs.field(factory=trio.Event, init=False)
    _all_gone: trio.Event = attrs.field(factory=trio.Event, init=False)

    def submit(self, job: Job) -> None:
        """Queue a job, or hand it over at once."""
        job.ticket = ticket = Ticket(self._next_ticket)
        self._next_ticket += 1
        self._jobs[ticket] = job
        self._perform(self.pool.submit(ticket, self._now()))
        if job.state is JobState.QUEUED:
            self._nudge.set()

    async def withdraw(self, job: Job) -> None:
        """Give up a job whose caller has been cancelled; returns after at most `CANCEL_GRACE_S`."""
        if job.ticket in self._jobs:
            self.pool.withdraw(job.ticket)
            del self._jobs[job.ticket]
            return
        if job.worker is None or job.state is JobState.FINISHED:
            return
        job.worker.interrupt(job)
        with trio.move_on_after(CANCEL_GRACE_S, shield=True):
            await job.finished.wait()
        if not job.finished.is_set():
            job.worker.terminate()

    def on_free(self, worker: Worker) -> None:
        """Take note that a connection is there, or has answered."""
        self._perform(self.pool.freed(worker.slot, self._now()))

    def take_back(self, job: Job) -> None:
        """Queue a job again whose unit never began; a sign of life needs no second attempt."""
        if job.withdrawn or job.ticket is None:
            job.finish()
            return
        job.state, job.worker = JobState.QUEUED, None
        self.submit(job)

    async def serve(
        self, statistics: Callable[[], PoolStatistics], task_status: trio.TaskStatus[None]
    ) -> None:
        """Run the pool until cancelled."""
        async with trio.open_nursery() as nursery:
            connections = await nursery.start(self._hold_connections)
            try:
                await self._keep_pool(connections, statistics, task_status)
            finally:
                self._closing.set()

    async def _hold_connections(self, task_status: trio.TaskStatus[trio.Nursery]) -> None:
        """Outlive the cancel of the pool by the time that its units need to end."""
        async with trio.open_nursery() as connections:
            connections.cancel_scope.shield = True
            try:
                task_status.started(connections)
                await self._closing.wait()
                self._perform(self.pool.close(self._now()))
                if self._connections:
                    with trio.move_on_after(self.pool.limits.close_within_s):
                        await self._all_gone.wait()
            finally:
                for worker in self._workers.values():
                    worker.terminate()
                connections.cancel_scope.cancel()

    async def _keep_pool(
        self,
        connections: trio.Nursery,
        statistics: Callable[[], PoolStatistics],
        task_status: trio.TaskStatus[None],
    ) -> None:
        """Do what becomes due; tasks start here, so that they inherit the context of the loop."""
        ready = False
        sample_at = self._now() + self.pool.limits.sample_every_s
        while True:
            self._perform(self.pool.tick(self._now()))
            while self._to_open:
                self._connections += 1
                connections.start_soon(self._keep_connection, self._to_open.pop())
            if self.pool.size and not ready:
                ready = True
                task_status.started()
            if self._now() >= sample_at:
                sample_at += self.pool.limits.sample_every_s
                self.emit("pool.sampled", **attrs.asdict(statistics()))
                self.pool.take_waited_max()
            with trio.move_on_at(min(self.pool.next_wake(), sample_at)):
                await self._nudge.wait()
            self._nudge = trio.Event()

    async def _keep_connection(self, slot: SlotId) -> None:
        """Open one connection and keep it until it ends, for whatever reason."""
        limits = self.pool.limits
        reason = f"no answer within {limits.connect_within_s:g} s"
        with trio.move_on_after(limits.connect_within_s) as opening:
            try:
                await trio_asyncio.aio_as_trio(self._live)(slot, opening)
                reason = "the connection was lost"
            except UNREACHABLE + REFUSED as error:
                reason = describe(error)
        self._connections -= 1
        if self._workers.pop(slot, None) is not None:
            self._perform(self.pool.gone(slot, self._now(), reason))
        else:
            self._perform(self.pool.open_failed(slot, self._now(), reason))
        self._nudge.set()
        if self._closing.is_set() and not self._connections:
            self._all_gone.set()

    async def _live(self, slot: SlotId, opening: trio.CancelScope) -> None:
        """Connect, then work; asyncio side."""
        timeout_s = self.pool.limits.statement_timeout_s
        connection = await _connect(self.dsn, statement_timeout_s=timeout_s)
        opening.deadline = math.inf
        self.counters.opened += 1
        self._nudge.set()
        self._workers[slot] = worker = Worker(
            slot=slot,
            connection=connection,
            counters=self.counters,
            keeper=self,
            emit=self.emit,
        )
        await worker.work()

    def _perform(self, actions: tuple[Action, ...]) -> None:
        for action in actions:
            match action:
                case Assign(slot, ticket):
                    self._workers[slot].hand(self._jobs.pop(ticket))
                case Check(slot):
                    self._workers[slot].hand(Job(unit=ask_for_life))
                    self._nudge.set()
                case Open(slot):
                    self._to_open.append(slot)
                    self._nudge.set()
                case Close(slot, CloseReason.UNANSWERED):
                    self._workers[slot].terminate()
                case Close(slot, _):
                    self._workers[slot].hand(None)
                case Reject(ticket, waited_s):
                    self._jobs.pop(ticket).finish(
                        StoreUnavailable(f"no database connection after {waited_s:.1f} s")
                    )
                case Lost(reason):
                    self.emit("store.lost", place=self.dsn.place, reason=reason)
                case Regained(lost_s):
                    self.emit("store.regained", place=self.dsn.place, lost_s=round(lost_s, 3))

    def _now(self) -> Monotonic:
        return self._clock.monotonic()
