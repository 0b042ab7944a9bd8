"""The ledger of what language models cost: the one judge of whether a call fits the budget.

A reservation is committed before a byte is sent and ends exactly once; no lock is held across a
call. Day and month are those of the database's clock in UTC. The two steps of a call are functions
of the database, so that each is one journey (`schema/0009_budget_calls.sql`).
"""

import datetime as dt
import uuid
from collections.abc import Sequence

import asyncpg
import attrs

from jobping.core.budget import (
    THRESHOLDS,
    Balance,
    Ending,
    EntryState,
    Limits,
    Measure,
    Refused,
    Reservation,
    Window,
    lapsed,
)
from jobping.errors import StoreConflict
from jobping.store.bridge import Database
from jobping.store.connection import Connection
from jobping.store.rows import clean_optional

ALIVE_S = 15.0  # until the daemon's leases say so: it counts as living from its start on

_WINDOWS = "SELECT * FROM budget_windows()"

_RESERVE = "SELECT * FROM budget_reserve($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"

_END = "SELECT * FROM budget_end($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"

_LOCK_WINDOWS_OF = "SELECT budget_lock_windows_of($1)"

_BOOKED = """
SELECT counted_tokens AS tokens, counted_nanousd AS nanousd FROM budget_booked
WHERE id = $1 AND state = 'lapsed'
"""

_CORRECT = """
WITH corrected AS (
    INSERT INTO budget_correction (entry, tokens, nanousd, reason, origin, corrected_at)
    VALUES ($1, $2, $3, $4, $5, jobping_now())
    RETURNING entry
)
UPDATE budget_window w
SET used_tokens = w.used_tokens + $2, used_nanousd = w.used_nanousd + $3
FROM corrected c JOIN budget_entry e ON e.id = c.entry
WHERE (w.kind = 'day' AND w.starts = e.day) OR (w.kind = 'month' AND w.starts = e.month)
"""

_WARN_FULL = """
INSERT INTO budget_warning (kind, starts, measure, threshold, warned_at)
SELECT $1, CASE $1 WHEN 'day' THEN day ELSE date_trunc('month', day)::date END, $2, 100,
       jobping_now()
FROM (SELECT (jobping_now() AT TIME ZONE 'UTC')::date AS day) t
ON CONFLICT DO NOTHING
RETURNING starts
"""

_LIVE = """
INSERT INTO daemon_lease AS l (daemon, host, expires_at)
VALUES ($1, '', now() + make_interval(secs => $2))
ON CONFLICT (daemon) DO UPDATE SET expires_at = greatest(l.expires_at, excluded.expires_at)
"""

# What no living daemon will end: its own at a start, and those of daemons whose lease has run out.
_ABANDONED = """
SELECT id FROM budget_entry e
WHERE state = 'reserved' AND (
    daemon = $1
    OR NOT EXISTS (SELECT FROM daemon_lease l WHERE l.daemon = e.daemon AND l.expires_at > now())
) AND (daemon <> $2 OR $1 = $2)
"""

# Windows beside what their journal says; `{which}` chooses them by `w.kind` and `w.starts`.
_COMPARED = """
WITH journal AS (
    SELECT w.kind, w.starts,
           sum(e.bound_tokens) FILTER (WHERE e.state = 'reserved') AS held_tokens,
           sum(e.bound_nanousd) FILTER (WHERE e.state = 'reserved') AS held_nanousd,
           sum(e.counted_tokens) AS used_tokens, sum(e.counted_nanousd) AS used_nanousd
    FROM budget_booked e,
    LATERAL (VALUES ('day', e.day), ('month', e.month)) w (kind, starts)
    WHERE {which}
    GROUP BY w.kind, w.starts
), compared AS (
    SELECT w.kind, w.starts, w.used_tokens, w.used_nanousd, w.held_tokens, w.held_nanousd,
           coalesce(j.used_tokens, 0) AS journal_used_tokens,
           coalesce(j.used_nanousd, 0) AS journal_used_nanousd,
           coalesce(j.held_tokens, 0) AS journal_held_tokens,
           coalesce(j.held_nanousd, 0) AS journal_held_nanousd
    FROM budget_window w LEFT JOIN journal j ON j.kind = w.kind AND j.starts = w.starts
    WHERE {which}
)
"""
_DIFFERS = """(c.used_tokens, c.used_nanousd, c.held_tokens, c.held_nanousd)
      IS DISTINCT FROM (c.journal_used_tokens, c.journal_used_nanousd, c.journal_held_tokens,
                        c.journal_held_nanousd)"""

# The present windows as their journal has them; a balance below it is raised to it.
_PRESENT = "(w.kind = 'day' AND w.starts = $1) OR (w.kind = 'month' AND w.starts = $2)"
_RECOUNT = f"""{_COMPARED.format(which=_PRESENT)}
UPDATE budget_window w
SET used_tokens = greatest(w.used_tokens, c.journal_used_tokens),
    used_nanousd = greatest(w.used_nanousd, c.journal_used_nanousd),
    held_tokens = greatest(w.held_tokens, c.journal_held_tokens),
    held_nanousd = greatest(w.held_nanousd, c.journal_held_nanousd)
FROM compared c
WHERE w.kind = c.kind AND w.starts = c.starts AND {_DIFFERS}
RETURNING w.kind
"""  # noqa: S608  our own texts

# Every window whose journal is still kept, and whether the two agree; changes nothing.
_KEPT = "w.starts >= date_trunc('month', now()) - interval '13 months'"
BOOKS = f"""{_COMPARED.format(which=_KEPT)}
SELECT c.kind || ' ' || c.starts AS part, {_DIFFERS} AS differs FROM compared c
ORDER BY c.starts, c.kind
"""  # noqa: S608  our own texts

_FORGET = "DELETE FROM budget_entry WHERE month < $1::date - interval '13 months'"

# How far bills went beyond the bounds of their prompts lately.
_MARGINS = """
SELECT model, max(input_tokens::double precision / prompt_bound) AS ratio
FROM budget_entry
WHERE input_tokens > prompt_bound AND prompt_bound > 0
  AND reserved_at > jobping_now() - interval '30 days'
GROUP BY model
"""


@attrs.frozen(kw_only=True)
class Reserved:
    """A reservation that fits and is committed."""

    id: str


@attrs.frozen
class AskedAlready:
    """The very same question is open: by this daemon or another one."""


@attrs.frozen(kw_only=True)
class Warned:
    """A limit of which a part is used up for the first time in its window.

    Attributes:
        threshold: Percent.
    """

    window: Window
    starts: dt.date
    measure: Measure
    threshold: int


@attrs.frozen(kw_only=True)
class Ended:
    """A reservation that has ended now.

    Attributes:
        tokens: What is booked for it.
    """

    id: str
    daemon: str
    model: str
    prompt_bound: int
    bound_tokens: int
    bound_nanousd: int
    tokens: int
    nanousd: int


@attrs.frozen(kw_only=True)
class Opened:
    """What the start of a ledger found.

    Attributes:
        lapsed: Reservations that nobody would have ended.
        recounted: Windows whose balance was not that of their journal; the larger one holds.
        margins: By model, how many times its bound a prompt was billed lately, above 1.
    """

    lapsed: tuple[Ended, ...]
    warned: tuple[Warned, ...]
    recounted: tuple[Window, ...]
    balances: tuple[Balance, ...]
    margins: dict[str, float]


async def _windows(connection: Connection) -> tuple[Balance, ...]:
    """Return the present windows, locked until the transaction ends; asyncio side."""
    return tuple(_balance(row) for row in await connection.fetch(_WINDOWS))


def _balance(row: asyncpg.Record) -> Balance:
    return Balance(
        window=Window(row["kind"]),
        starts=row["starts"],
        used_tokens=row["used_tokens"],
        used_nanousd=row["used_nanousd"],
        held_tokens=row["held_tokens"],
        held_nanousd=row["held_nanousd"],
    )


async def _reserve(
    connection: Connection, daemon: str, limits: Limits, wanted: Reservation
) -> Reserved | Refused | AskedAlready:
    """Take a reservation if it fits; asyncio side."""
    rows = await connection.fetch(
        _RESERVE,
        uuid.UUID(wanted.id),
        daemon,
        wanted.model,
        wanted.price_version,
        wanted.request_hash,
        wanted.prompt_bound,
        wanted.bound.tokens,
        wanted.bound.nanousd,
        limits.daily_tokens,
        limits.daily_nanousd,
        limits.monthly_tokens,
        limits.monthly_nanousd,
    )
    found = rows[0]["found"]
    if found == "reserved":
        return Reserved(id=wanted.id)
    if found == "asked":
        return AskedAlready()
    return _refusal(limits, [_balance(row) for row in rows], wanted)


def _refusal(limits: Limits, balances: Sequence[Balance], wanted: Reservation) -> Refused:
    """Return the limit that the SQL refused by; tokens first, as they leave fewer ways out."""
    needed = {Measure.TOKENS: wanted.bound.tokens, Measure.COST: wanted.bound.nanousd}
    for measure, requested in needed.items():
        for balance in balances:
            used = balance.used(measure) + balance.held(measure)
            if used + requested > limits.of(balance.window, measure):
                left = balance.left(limits, measure)
                return Refused(
                    window=balance.window, measure=measure, requested=requested, remaining=left
                )
    raise StoreConflict("the ledger refused what its limits allow")


async def _end(
    connection: Connection, limits: Limits, ids: Sequence[str], ending: Ending
) -> tuple[tuple[Ended, ...], tuple[Warned, ...]]:
    """End what is open, and say which limits it brings near; asyncio side."""
    none = 0 if ending.state is EntryState.RELEASED else None
    most = [(window, measure) for window in Window for measure in Measure]
    rows = await connection.fetch(
        _END,
        [uuid.UUID(id) for id in ids],
        ending.state.value,
        ending.cost.tokens if ending.cost else none,
        ending.cost.nanousd if ending.cost else none,
        ending.usage.input_tokens if ending.usage else None,
        clean_optional(ending.model),
        clean_optional(ending.tier),
        clean_optional(ending.request_id),
        clean_optional(ending.outcome),
        [window.value for window, _ in most],
        [measure.value for _, measure in most],
        [limits.of(*pair) for pair in most],
        list(THRESHOLDS),
    )
    warned = rows[0]["warned"] if rows else ()
    return tuple(_ended(row) for row in rows), tuple(_warned(words) for words in warned)


def _ended(row: asyncpg.Record) -> Ended:
    return Ended(
        id=str(row["id"]),
        daemon=row["daemon"],
        model=row["model"],
        prompt_bound=row["prompt_bound"],
        bound_tokens=row["bound_tokens"],
        bound_nanousd=row["bound_nanousd"],
        tokens=row["tokens"],
        nanousd=row["nanousd"],
    )


def _warned(words: str) -> Warned:
    window, starts, measure, threshold = words.split()
    return Warned(
        window=Window(window),
        starts=dt.date.fromisoformat(starts),
        measure=Measure(measure),
        threshold=int(threshold),
    )


async def _warn_full(connection: Connection, refused: Refused) -> bool:
    """Take note that a limit lets nothing through; asyncio side."""
    values = refused.window.value, refused.measure.value
    return await connection.fetchrow(_WARN_FULL, *values) is not None


async def _correct(
    connection: Connection, id: str, tokens: int, nanousd: int, reason: str, origin: str
) -> bool:
    """Let a lapsed entry count as what it really cost; asyncio side."""
    key = uuid.UUID(id)
    async with connection.transaction():
        await connection.execute(_LOCK_WINDOWS_OF, [key])
        booked = await connection.fetchrow(_BOOKED, key)
        if booked is None:
            return False
        difference = tokens - booked["tokens"], nanousd - booked["nanousd"]
        await connection.execute(_CORRECT, key, *difference, reason, origin)
    return True


async def _open(connection: Connection, daemon: str, limits: Limits) -> Opened:
    """Resolve what was left open, and compare balances with their journal; asyncio side."""
    async with connection.transaction():
        await connection.execute(_LIVE, daemon, ALIVE_S)
    ended, warned = await _lapse(connection, daemon, limits, own=True)
    async with connection.transaction():
        day, month = (balance.starts for balance in await _windows(connection))
        recounted = await connection.fetch(_RECOUNT, day, month)
        await connection.execute(_FORGET, month)
        balances = await _windows(connection)
        margins = await connection.fetch(_MARGINS)
    return Opened(
        lapsed=ended,
        warned=warned,
        recounted=tuple(Window(row["kind"]) for row in recounted),
        balances=balances,
        margins={row["model"]: row["ratio"] for row in margins},
    )


async def _lapse(
    connection: Connection, daemon: str, limits: Limits, *, own: bool
) -> tuple[tuple[Ended, ...], tuple[Warned, ...]]:
    """End what no living daemon will; asyncio side."""
    rows = await connection.fetch(_ABANDONED, daemon if own else "", daemon)
    ids = [str(row["id"]) for row in rows]
    return await _end(connection, limits, ids, lapsed("abandoned")) if ids else ((), ())


async def _balances(connection: Connection) -> tuple[Balance, ...]:
    return await _windows(connection)


@attrs.define(kw_only=True)
class Ledger:
    """The ledger as one daemon sees it.

    Attributes:
        daemon: Its id, as in its leases; empty for commands, which reserve nothing.
    """

    database: Database
    daemon: str = ""
    limits: Limits = attrs.Factory(Limits)

    async def open(self) -> Opened:
        """Lapse what this daemon's predecessor and dead daemons left open; check the balances."""
        return await self.database.run(_open, self.daemon, self.limits)

    async def lapse_abandoned(self) -> tuple[tuple[Ended, ...], tuple[Warned, ...]]:
        """Lapse what daemons have left open whose lease has run out meanwhile."""
        return await self.database.run(_lapse, self.daemon, self.limits, own=False)

    async def reserve(self, wanted: Reservation) -> Reserved | Refused | AskedAlready:
        """Hold the worst case of a call, if it fits the day and the month.

        Raises:
            StoreUnavailable: It may have been written all the same: end it by its id, send nothing.
        """
        return await self.database.run(_reserve, self.daemon, self.limits, wanted)

    async def end(self, id: str, ending: Ending) -> tuple[Ended | None, tuple[Warned, ...]]:
        """End a reservation; a bill above it is booked in full.

        Returns:
            What is booked, or None where it had ended before or never was; and the limits that
            are near for the first time.
        """
        ended, warned = await self.database.run(_end, self.limits, [id], ending)
        return (ended[0] if ended else None), warned

    async def correct(
        self, id: str, *, tokens: int, nanousd: int, reason: str, by_operator: bool
    ) -> bool:
        """Let a lapsed reservation count as what it cost; say whether there is one of that id."""
        origin = "operator" if by_operator else "late answer"
        return await self.database.run(_correct, id, tokens, nanousd, reason, origin)

    async def warn_full(self, refused: Refused) -> bool:
        """Take note that a limit lets nothing through; say whether it is news in its window."""
        return await self.database.run(_warn_full, refused)

    async def balances(self) -> tuple[Balance, ...]:
        """Return the balances of the present day and month."""
        return await self.database.run(_balances)
