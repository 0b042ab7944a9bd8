"""The asyncio loop on top of Trio, opened once per process, and plain connections on it."""

import asyncio
import functools
import urllib.parse
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import ParamSpec, TypeVar, cast

import asyncpg
import attrs

from jobping.events import Emit
from jobping.store.connection import Connection, CountedConnection, Counters
from jobping.store.faults import describe
from jobping.store.groups import single_errors

with warnings.catch_warnings():
    # Its import uses asyncio policies, which warn from Python 3.12 on.
    warnings.simplefilter("ignore", DeprecationWarning)
    import trio_asyncio  # type: ignore[import-untyped]  # it ships no types

P = ParamSpec("P")
R = TypeVar("R")


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


@asynccontextmanager
async def open_loop(*, emit: Emit | None = None) -> AsyncIterator[None]:
    """Open the asyncio loop, once around everything that uses a database.

    Args:
        emit: Where the loop's complaints go until a database is served, which brings its own.
    """
    with single_errors():
        async with trio_asyncio.open_loop() as loop:
            loop.set_exception_handler(functools.partial(complain, emit))
            yield


def complain(
    emit: Emit | None, _loop: asyncio.AbstractEventLoop, context: Mapping[str, object]
) -> None:
    """Say what nobody was there to be told; the default would end the whole loop."""
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

    async def alone() -> R:
        connection = await connect(dsn, statement_timeout_s=0)
        try:
            return await unit(CountedConnection(connection, Counters()))
        finally:
            connection.terminate()

    return await cross(alone)


async def connect(dsn: Dsn, *, statement_timeout_s: float) -> "asyncpg.Connection[asyncpg.Record]":
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


async def cross(function: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run an asyncio function and return its result; trio side, below `open_loop`."""
    return cast("R", await trio_asyncio.aio_as_trio(function)(*args, **kwargs))


def listen_to_complaints(emit: Emit) -> None:
    """Send what the loop complains about there from now on."""
    trio_asyncio.current_loop.get().set_exception_handler(functools.partial(complain, emit))
