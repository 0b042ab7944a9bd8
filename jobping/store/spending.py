"""What is spent, for people: read beside the ledger, without its locks."""

import datetime as dt
from typing import Any

import attrs

from jobping.core.budget import Balance, EntryState, Window
from jobping.store.bridge import Database
from jobping.store.connection import Connection

_TODAY = """
SELECT jobping_now() AS now, day, date_trunc('month', day)::date AS month
FROM (SELECT (jobping_now() AT TIME ZONE 'UTC')::date AS day) t
"""

_WINDOWS = """
SELECT starts, used_tokens, used_nanousd, held_tokens, held_nanousd FROM budget_window
WHERE kind = $1 AND starts = $2
"""

_BY_MODEL = """
SELECT coalesce(answered_model, model) AS model, count(*) AS calls,
       sum(counted_tokens)::bigint AS tokens, sum(counted_nanousd)::bigint AS nanousd
FROM budget_booked
WHERE month = $1 AND state IN ('settled', 'lapsed')
GROUP BY 1 ORDER BY nanousd DESC, model
"""

_LAPSED = """
SELECT '' AS model, count(*) AS calls, coalesce(sum(tokens), 0)::bigint AS tokens,
       coalesce(sum(nanousd), 0)::bigint AS nanousd
FROM budget_booked
WHERE month = $1 AND state = 'lapsed' AND NOT is_corrected
"""

_ENTRIES = """
SELECT * FROM budget_booked
WHERE $2::text IS NULL OR (state = $2 AND NOT is_corrected)
ORDER BY reserved_at DESC, id LIMIT $1
"""


@attrs.frozen(kw_only=True)
class Entry:
    """One call in the journal, as it counts by now."""

    id: str
    state: EntryState
    model: str
    outcome: str
    bound_tokens: int
    bound_nanousd: int
    tokens: int | None
    nanousd: int | None
    reserved_at: dt.datetime


@attrs.frozen(kw_only=True)
class Spent:
    """What some calls of a month cost."""

    model: str
    calls: int
    tokens: int
    nanousd: int


@attrs.frozen(kw_only=True)
class Account:
    """Everything that is spent in the present windows.

    Attributes:
        now: By the database's clock, aware UTC.
        by_model: Of this month, the dearest first.
        lapsed: Calls of this month that count as spent though their bill is not known.
    """

    now: dt.datetime
    balances: tuple[Balance, ...]
    by_model: tuple[Spent, ...]
    lapsed: Spent


async def _balances(connection: Connection) -> tuple[dict[str, Any], tuple[Balance, ...]]:
    """Read today's date and the present windows; asyncio side."""
    today = await connection.fetchrow(_TODAY)
    assert today is not None  # noqa: S101  one row always
    found = []
    for window in Window:
        starts = today[window.value]
        row = await connection.fetchrow(_WINDOWS, window.value, starts)
        found.append(Balance(window=window, **(dict(row) if row else {"starts": starts})))
    return dict(today), tuple(found)


async def _account(connection: Connection) -> Account:
    """Read the present windows; asyncio side."""
    today, balances = await _balances(connection)
    lapsed = await connection.fetchrow(_LAPSED, today["month"])
    assert lapsed is not None  # noqa: S101  a sum is one row
    return Account(
        now=today["now"],
        balances=balances,
        by_model=tuple(
            Spent(**dict(row)) for row in await connection.fetch(_BY_MODEL, today["month"])
        ),
        lapsed=Spent(**dict(lapsed)),
    )


async def _entries(connection: Connection, limit: int, state: str | None) -> tuple[Entry, ...]:
    """Read the journal; asyncio side."""
    return tuple(
        Entry(
            id=str(row["id"]),
            state=EntryState(row["state"]),
            model=row["answered_model"] or row["model"],
            outcome=row["outcome"] or "",
            bound_tokens=row["bound_tokens"],
            bound_nanousd=row["bound_nanousd"],
            tokens=row["counted_tokens"],
            nanousd=row["counted_nanousd"],
            reserved_at=row["reserved_at"],
        )
        for row in await connection.fetch(_ENTRIES, limit, state)
    )


@attrs.define(kw_only=True)
class Spending:
    """The ledger's balances and its journal."""

    database: Database

    async def account(self) -> Account:
        """Return what is spent in the present windows, and by which models."""
        return await self.database.run(_account)

    async def balances(self) -> tuple[Balance, ...]:
        """Return what the present windows hold."""
        return (await self.database.run(_balances))[1]

    async def entries(self, *, limit: int, state: EntryState | None = None) -> tuple[Entry, ...]:
        """Return the newest calls; of one state only those that no correction has touched."""
        return await self.database.run(_entries, limit, state.value if state else None)
