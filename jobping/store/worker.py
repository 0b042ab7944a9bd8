"""The asyncio side of the bridge: one worker per connection, running one unit after the other."""

import asyncio
import enum
from collections.abc import Awaitable, Callable
from typing import Protocol

import asyncpg
import attrs
import trio

from jobping.errors import StoreUnavailable
from jobping.events import Emit
from jobping.store.connection import Connection, CountedConnection, Counters
from jobping.store.faults import RERUN, store_error
from jobping.store.pool import SlotId, Ticket


class JobState(enum.Enum):
    """How far a unit has come."""

    QUEUED = "queued"
    HANDED = "handed"
    RUNNING = "running"
    FINISHED = "finished"


@attrs.define(eq=False, kw_only=True)
class Job:
    """One call of `Database.run`, shared by the caller (trio side) and its worker (asyncio side).

    Attributes:
        ticket: Its number in the pool's queue; a sign of life that the pool asks for has none.
        withdrawn: The caller was cancelled and takes no answer.
        finished: Set when `result` or `error` is there, or nothing will come.
    """

    unit: Callable[[Connection], Awaitable[object]]
    ticket: Ticket | None = None
    state: JobState = JobState.QUEUED
    worker: "Worker | None" = None
    withdrawn: bool = False
    result: object = None
    error: Exception | None = None
    finished: trio.Event = attrs.field(factory=trio.Event)

    def finish(self, error: Exception | None = None) -> None:
        """Wake the caller."""
        self.error = error or self.error
        self.state = JobState.FINISHED
        self.finished.set()


async def ask_for_life(connection: Connection) -> None:
    """Have the server answer anything; a unit, asyncio side."""
    await connection.fetchval("SELECT 1")


class Keeper(Protocol):
    """Who gives a worker its jobs; both methods may be called from the asyncio side."""

    def on_free(self, worker: "Worker") -> None:
        """Take note that a job can be handed over; it may be done at once."""

    def take_back(self, job: Job) -> None:
        """Find another worker for a job whose connection ended before its unit began."""


@attrs.define(eq=False, kw_only=True)
class Worker:
    """Owns one connection; everything here but `hand`, `interrupt` and `terminate` is asyncio side.

    Attributes:
        slot: Its number in the pool.
    """

    slot: SlotId
    connection: "asyncpg.Connection[asyncpg.Record]"
    counters: Counters
    keeper: Keeper
    emit: Emit
    _handed: "asyncio.Future[Job | None]" = attrs.field(init=False)
    _task: "asyncio.Task[object] | None" = attrs.field(default=None, init=False)
    _counted: CountedConnection = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Prepare for the first job."""
        self._handed = asyncio.get_running_loop().create_future()
        self._counted = CountedConnection(self.connection, self.counters)

    def hand(self, job: Job | None) -> None:
        """Give the free worker its next job, or None to end it; any side."""
        if self._handed.done():
            if job is not None:
                self.keeper.take_back(job)
            return
        if job is not None:
            job.state, job.worker = JobState.HANDED, self
        self._handed.set_result(job)

    def interrupt(self, job: Job) -> None:
        """Stop the job's unit, whose caller has been cancelled; trio side."""
        job.withdrawn = True
        if job.state is JobState.RUNNING and self._task is not None:
            self._task.cancel()

    def terminate(self) -> None:
        """Throw the connection away; whatever runs on it fails; any side."""
        self.connection.terminate()

    async def work(self) -> None:
        """Run jobs until told to end or until the connection is lost."""
        self._task = asyncio.current_task()
        self.connection.add_termination_listener(self._on_termination)
        try:
            while not self.connection.is_closed():
                self.keeper.on_free(self)
                job = await self._handed
                if job is None or self.connection.is_closed():
                    return
                self._handed = asyncio.get_running_loop().create_future()
                await self._carry_out(job)
                self._refuse_open_transaction()
        finally:
            self.connection.terminate()
            self._give_back()

    async def _carry_out(self, job: Job) -> None:
        job.state = JobState.RUNNING
        try:
            if not job.withdrawn:
                await self._capture(job)
            if job.withdrawn:
                await self._recover()
        finally:
            job.finish()

    async def _capture(self, job: Job) -> None:
        """Run the unit and keep what comes out of it for the caller of `Database.run` to raise."""
        self.counters.units += 1
        try:
            job.result = await self._attempt(job)
        except asyncio.CancelledError:  # noqa: ASYNC103  of a withdrawn job: it was meant for the unit
            if not job.withdrawn:
                job.error = StoreUnavailable("the pool was closed")
                raise
        except Exception as error:  # not handled here: the caller raises it
            job.error = store_error(error, connected=not self.connection.is_closed()) or error

    async def _attempt(self, job: Job) -> object:
        try:
            return await job.unit(self._counted)
        except RERUN:
            if job.withdrawn or self.connection.is_closed():
                raise
            return await job.unit(self._counted)

    async def _recover(self) -> None:
        """Wait until the server has seen the cancel, so that it cannot hit the next unit."""
        task = asyncio.current_task()
        while task is not None and task.cancelling():
            task.uncancel()
        if not self.connection.is_closed():
            try:
                await ask_for_life(self.connection)
                if self._is_in_transaction():
                    await self.connection.execute("ROLLBACK")
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                self.connection.terminate()

    def _is_in_transaction(self) -> bool:
        return not self.connection.is_closed() and self.connection.is_in_transaction()

    def _refuse_open_transaction(self) -> None:
        if self._is_in_transaction():
            self.emit("bridge.complained", message="a unit left its transaction open", error=None)
            self.connection.terminate()

    def _give_back(self) -> None:
        """Return a job that was handed over but never begun."""
        if self._handed.done() and not self._handed.cancelled():
            job = self._handed.result()
            if job is not None and job.state is JobState.HANDED:
                self.keeper.take_back(job)

    def _on_termination(self, _: object) -> None:
        if not self._handed.done():
            self._handed.set_result(None)
