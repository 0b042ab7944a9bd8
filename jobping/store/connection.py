"""What a unit of work is given: a connection that counts its statements."""

import types
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import asyncpg
import attrs

P = ParamSpec("P")
R = TypeVar("R")


class Connection(Protocol):
    """The asyncio side of one PostgreSQL connection, held for the duration of one unit.

    Parameters are `$1`, `$2`, ...; a column of type jsonb is given and returned as text.
    """

    async def execute(self, query: str, *args: object) -> str:
        """Run one statement, or a script if there are no arguments; return the command tag."""

    async def executemany(self, query: str, args: Iterable[Sequence[object]]) -> None:
        """Run one statement once per sequence of arguments, all or nothing."""

    async def fetch(self, query: str, *args: object) -> list[asyncpg.Record]:
        """Return all rows."""

    async def fetchrow(self, query: str, *args: object) -> asyncpg.Record | None:
        """Return the first row, or None."""

    async def fetchval(self, query: str, *args: object) -> Any:
        """Return the first column of the first row, or None; as untyped as a record's column."""

    def transaction(self) -> AbstractAsyncContextManager[object]:
        """Return a transaction: commits at the end of the block, rolls back on an exception.

        It cannot hold another one.
        """


Unit = Callable[Concatenate[Connection, P], Awaitable[R]]
"""One asyncio function that opens and ends its own transaction, has no effect outside the
database, lets `CancelledError` pass, and may be run again. It must not change the session (`SET`
without LOCAL, LISTEN, session advisory locks, temporary tables): the next unit gets it, too."""


@attrs.define(kw_only=True)
class Counters:
    """What a database object did since the process started.

    Attributes:
        statements: Statements that units sent, BEGIN and COMMIT not counted.
        units: Units that ran to their end.
        opened: Connections opened.
    """

    statements: int = 0
    units: int = 0
    opened: int = 0


@attrs.frozen
class _Transaction:
    """A transaction whose only state is the server's.

    asyncpg's own keeps a note on the connection, which stays there when BEGIN is cancelled: the
    next unit's transaction is then taken for an inner one.
    """

    _inner: "asyncpg.Connection[asyncpg.Record]"

    async def __aenter__(self) -> None:
        await self._inner.execute("BEGIN")

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        if kind is None:
            await self._inner.execute("COMMIT")
        elif not self._inner.is_closed():
            await self._inner.execute("ROLLBACK")


@attrs.frozen
class CountedConnection:
    """A `Connection` on asyncpg that counts the statements passing through it."""

    _inner: "asyncpg.Connection[asyncpg.Record]"
    _counters: Counters

    async def execute(self, query: str, *args: object) -> str:
        """Run one statement, or a script; asyncio side."""
        self._counters.statements += 1
        return await self._inner.execute(query, *args)

    async def executemany(self, query: str, args: Iterable[Sequence[object]]) -> None:
        """Run one statement for many arguments; asyncio side. Counts as one."""
        self._counters.statements += 1
        await self._inner.executemany(query, args)

    async def fetch(self, query: str, *args: object) -> list[asyncpg.Record]:
        """Return all rows; asyncio side."""
        self._counters.statements += 1
        return await self._inner.fetch(query, *args)

    async def fetchrow(self, query: str, *args: object) -> asyncpg.Record | None:
        """Return the first row; asyncio side."""
        self._counters.statements += 1
        return await self._inner.fetchrow(query, *args)

    async def fetchval(self, query: str, *args: object) -> Any:
        """Return the first value; asyncio side."""
        self._counters.statements += 1
        return await self._inner.fetchval(query, *args)

    def transaction(self) -> AbstractAsyncContextManager[object]:
        """Return a transaction; asyncio side."""
        return _Transaction(self._inner)
