"""The private PostgreSQL that is started when no server is given, and stopped with the daemon.

One process owns it and restarts it after a crash; another process of the same user connects as a
client. It is a direct child, gets a signal from the kernel when we die, and has no TCP port.
"""

import collections
import contextlib
import os
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import attrs
import trio

from jobping.clock import Clock
from jobping.errors import StoreUnavailable
from jobping.events import Emit
from jobping.store import account as accounts
from jobping.store.children import Child, spawn
from jobping.store.cluster import (
    PORT,
    ROLE,
    Cluster,
    Durability,
    EmbeddedConfig,
    data_dir_of,
    make_home,
    prepare,
    socket_dsn,
)
from jobping.store.connection import Connection
from jobping.store.faults import UNREACHABLE
from jobping.store.groups import single_errors
from jobping.store.leftover import stop_leftover
from jobping.store.loop import Dsn, run_alone
from jobping.store.ownership import Lock, Record, open_lock
from jobping.store.worker import ask_for_life

__all__ = ["Durability", "EmbeddedConfig", "open_server"]

DATABASE = "jobping"
STOP = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 6.0))
"""Fast shutdown; then the immediate one, which gives its own children 5 s before it kills them."""
STOP_S = 25.0
ANSWER_POLL_S = 0.02
ANSWER_S = 30.0
"""For one connection, and on a new data directory for creating our database on a slow disk."""
PROGRESS_EVERY_S = 5.0
RESTARTS = 5
RESTARTS_WITHIN_S = 60.0
JOIN_S = 60.0
JOIN_POLL_S = 0.1
OWNER_POLL_S = 1.0
LAST_WORDS_S = 1.0
RESTART_PAUSE_S = 0.2

_LOG_LINE = re.compile(r"(?P<severity>[A-Z0-9]+):  (?P<message>.*)")
_LEVELS = {"WARNING": "warning", "FATAL": "warning", "PANIC": "error"}
"""Of the rest, an ERROR is answered to the client that caused it, which reports it."""
_PASSING = re.compile(
    "the database system is |terminating connection due to administrator|connection to client lost"
)
"""What the server says of those who knock while it starts or stops, or whom we have cut off."""


@asynccontextmanager
async def open_server(config: EmbeddedConfig, *, emit: Emit) -> AsyncIterator[Dsn]:
    """Run the embedded server, or join the one that another process runs; inside `open_loop`.

    As the owner we stop the server on the way out, whatever ends the block, within 25 s at most.

    Raises:
        ConfigError: Something that only the operator can change; the message says what.
        StoreUnavailable: The server does not start or crashes again and again, or the process that
            owned it has ended: enter again, to become the owner.
    """
    data_dir = data_dir_of(config)
    make_home(data_dir)
    lock = open_lock(data_dir)
    try:
        with single_errors():
            async with trio.open_nursery() as nursery:
                record = await _own_or_join(lock)
                if record is None:
                    server = _Server(config=config, lock=lock, emit=emit)
                    dsn = await nursery.start(server.keep)
                    ended = server.stop_requested
                else:
                    emit("postgres.joined", owner_pid=record.pid, socket_dir=record.socket_dir)
                    dsn = socket_dsn(record.socket_dir, DATABASE)
                    ended = trio.Event()
                    nursery.start_soon(_watch_owner, lock, ended)
                try:
                    yield dsn
                finally:
                    ended.set()
    finally:
        lock.close()


async def _own_or_join(lock: Lock) -> Record | None:
    """Take the lock and return None, or return the record of an owner whose server answers."""
    with trio.move_on_after(JOIN_S):
        while True:
            if lock.take():
                return None
            record = lock.read()
            if record is not None:
                dsn = socket_dsn(record.socket_dir, DATABASE)
                if await _answers(dsn, ask_for_life):
                    return record
            await trio.sleep(JOIN_POLL_S)
    raise StoreUnavailable(f"another process holds {lock.path}, and its server does not answer")


async def _watch_owner(lock: Lock, ended: trio.Event) -> None:
    """Fail once the owner is gone: whoever enters again becomes the owner."""
    while not ended.is_set():
        if lock.take():
            lock.release()
            raise StoreUnavailable("the process that ran the server has ended")
        with trio.move_on_after(OWNER_POLL_S):
            await ended.wait()


async def _answers(dsn: Dsn, unit: Callable[[Connection], Awaitable[None]]) -> bool:
    with trio.move_on_after(ANSWER_S):  # noqa: ASYNC912  `run_alone` waits, or it raises
        try:
            await run_alone(dsn, unit)
        except UNREACHABLE:
            return False
        return True
    return False


async def _ensure_database(connection: Connection) -> None:
    """Create our database if the data directory is a new one; asyncio side."""
    query = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)"
    if not await connection.fetchval(query, DATABASE):
        await connection.execute(f"CREATE DATABASE {DATABASE} OWNER {ROLE}")


@attrs.define(eq=False, kw_only=True)
class _Server:
    """The owner's side: starts the server, restarts it after a crash, stops it.

    Attributes:
        stop_requested: Set when the block that uses the server has ended.
    """

    config: EmbeddedConfig
    lock: Lock
    emit: Emit
    stop_requested: trio.Event = attrs.field(factory=trio.Event)
    _clock: Clock = attrs.field(factory=Clock, init=False)
    _child: Child | None = attrs.field(default=None, init=False)
    _reading: list[trio.CancelScope] = attrs.field(factory=list, init=False)
    _last_words: collections.deque[str] = attrs.field(
        factory=lambda: collections.deque(maxlen=5), init=False
    )

    async def keep(self, task_status: trio.TaskStatus[Dsn]) -> None:
        """Start the server and keep it until it is to stop."""
        cluster = await prepare(self.config)
        self._warn_if_shared(cluster)
        try:
            async with trio.open_nursery() as readers:
                try:
                    await self._start(cluster, readers)
                    task_status.started(cluster.dsn(DATABASE))
                    with trio.CancelScope(shield=True):
                        await self._keep_running(cluster, readers)
                finally:
                    with trio.move_on_after(STOP_S, shield=True):
                        await self._stop()
                    for scope in self._reading:
                        scope.deadline = self._clock.monotonic() + LAST_WORDS_S
        finally:
            self.lock.write(None)
            with contextlib.suppress(OSError):
                cluster.socket_dir.rmdir()

    async def _keep_running(self, cluster: Cluster, readers: trio.Nursery) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._restart_after_crashes, cluster, readers)
            await self.stop_requested.wait()
            nursery.cancel_scope.cancel()

    async def _restart_after_crashes(self, cluster: Cluster, readers: trio.Nursery) -> None:
        crashes: collections.deque[float] = collections.deque(maxlen=RESTARTS)
        while self._child is not None:
            status = await self._child.wait()
            now = self._clock.monotonic()
            message = self._last_words[-1] if self._last_words else None
            self.emit("postgres.crashed", pid=self._child.pid, status=status, message=message)
            if len(crashes) == RESTARTS and now - crashes[0] < RESTARTS_WITHIN_S:
                raise StoreUnavailable(
                    f"PostgreSQL ended {RESTARTS + 1} times in {RESTARTS_WITHIN_S:g} s: {message}"
                )
            crashes.append(now)
            try:
                await self._start(cluster, readers)
            except StoreUnavailable:  # it ended at once: seen and counted by the next turn
                await trio.sleep(RESTART_PAUSE_S * len(crashes))

    async def _start(self, cluster: Cluster, readers: trio.Nursery) -> None:
        """Start the server and return when it answers."""
        began = self._clock.monotonic()
        await stop_leftover(cluster)
        self._child = child = spawn(cluster.account, cluster.data_dir, *cluster.command())
        readers.start_soon(self._read_log, child)
        await self._wait_answer(cluster, child)
        self.lock.write(
            Record(
                pid=os.getpid(),
                socket_dir=str(cluster.socket_dir),
                port=PORT,
                version=cluster.binaries.version,
            )
        )
        self.emit(
            "postgres.started",
            pid=child.pid,
            version=cluster.binaries.version,
            binaries=str(cluster.binaries.bin_dir),
            data_dir=str(cluster.data_dir),
            account=cluster.account.name,
            duration_s=round(self._clock.monotonic() - began, 3),
        )

    async def _wait_answer(self, cluster: Cluster, child: Child) -> None:
        """Wait for a connection, however long a recovery takes; say so every 5 s."""
        began = self._clock.monotonic()
        report_at = began + PROGRESS_EVERY_S
        while not await self._is_ready(cluster):
            if child.ended:
                code = await child.wait()
                said = "; ".join(self._last_words) or "it said nothing"
                raise StoreUnavailable(f"PostgreSQL ended with {code} at its start: {said}")
            now = self._clock.monotonic()
            if now >= report_at:
                report_at = now + PROGRESS_EVERY_S
                self.emit("postgres.recovering", pid=child.pid, waited_s=round(now - began, 1))
            await trio.sleep(ANSWER_POLL_S)

    async def _is_ready(self, cluster: Cluster) -> bool:
        if not (cluster.socket_dir / f".s.PGSQL.{PORT}").exists():
            return False
        return await _answers(cluster.dsn("postgres"), _ensure_database)

    async def _read_log(self, child: Child) -> None:
        """Pass on what the server says until it has ended, even while we are being cancelled."""
        rest = b""
        with trio.CancelScope(shield=True) as scope:
            self._reading.append(scope)
            async with child.output:
                async for chunk in child.output:
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        self._pass_on(line.decode(errors="replace"))
        self._reading.remove(scope)

    def _pass_on(self, line: str) -> None:
        parts = _LOG_LINE.fullmatch(line)
        severity = parts["severity"] if parts else "OTHER"
        message = parts["message"] if parts else line
        level = _LEVELS.get(severity, "debug")
        if level == "warning" and (self.stop_requested.is_set() or _PASSING.match(message)):
            level = "debug"
        self._last_words.append(line)
        self.emit("postgres.logged", level=level, severity=severity, message=message)

    async def _stop(self) -> None:
        if self._child is None:
            return
        began = self._clock.monotonic()
        status = await self._child.end(*STOP)
        self.emit(
            "postgres.stopped",
            pid=self._child.pid,
            status=status,
            duration_s=round(self._clock.monotonic() - began, 3),
        )

    def _warn_if_shared(self, cluster: Cluster) -> None:
        if cluster.account.drops and cluster.account.name == accounts.SHARED:
            self.emit(
                "postgres.account_shared",
                account=cluster.account.name,
                data_dir=str(cluster.data_dir),
            )
