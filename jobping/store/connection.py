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

        Within another one it is a savepoint.
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


@attrs.define
class _Transaction:
    """A transaction, or a savepoint within one; its only state is the server's.

    asyncpg's own keeps a note on the connection, which stays there when BEGIN is cancelled: the
    next unit's transaction is then taken for an inner one.
    """

    _inner: "asyncpg.Connection[asyncpg.Record]"
    _within: bool = attrs.field(default=False, init=False)

    async def __aenter__(self) -> None:
        self._within = self._inner.is_in_transaction()
        await self._inner.execute("SAVEPOINT within" if self._within else "BEGIN")

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        if kind is None:
            end = "RELEASE SAVEPOINT within" if self._within else "COMMIT"
        else:
            end = "ROLLBACK TO SAVEPOINT within" if self._within else "ROLLBACK"
        if kind is None or not self._inner.is_closed():
            await self._inner.execute(end)  # noqa: ASYNC102  asyncio side; bounded by the bridge


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
