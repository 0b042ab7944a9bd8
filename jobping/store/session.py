"""One opening of a database: carries out what the pool decides, and reports back to it."""

import math
from collections.abc import Callable

import attrs
import trio

from jobping.clock import Clock
from jobping.core.ids import Monotonic
from jobping.errors import StoreUnavailable
from jobping.events import Emit
from jobping.store.connection import Counters
from jobping.store.faults import REFUSED, UNREACHABLE, describe
from jobping.store.loop import Dsn, connect, cross
from jobping.store.pool import (
    Action,
    Assign,
    Check,
    Close,
    CloseReason,
    Lost,
    Open,
    Pool,
    Regained,
    Reject,
    SlotId,
    Ticket,
)
from jobping.store.worker import Job, JobState, Worker, ask_for_life

CANCEL_GRACE_S = 1.0
"""How long a cancelled caller lets the server stop its unit; then the connection is thrown away."""


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


@attrs.define(eq=False, kw_only=True)
class Session:
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
        with trio.move_on_after(limits.connect_within_s) as opening:  # noqa: ASYNC912  `cross` waits
            try:
                await cross(self._live, slot, opening)
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
        connection = await connect(self.dsn, statement_timeout_s=timeout_s)
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
