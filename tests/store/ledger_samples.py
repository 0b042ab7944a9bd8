"""Values and a clock that the tests of the ledger share."""

import datetime as dt
import hashlib
import uuid

from jobping.core.budget import Balance, Ending, EntryState, Limits, Reservation
from jobping.core.model import Usage
from jobping.core.pricing import Bound, Cost, NanoUsd
from jobping.store.bridge import Database
from jobping.store.connection import Connection
from jobping.store.ledger import Ledger, Reserved

LIMITS = Limits(daily_tokens=1_000, monthly_tokens=10_000, daily_nanousd=500, monthly_nanousd=5_000)


async def _set_clock(connection: Connection, now: dt.datetime | None) -> None:
    body = "SELECT now()" if now is None else f"SELECT timestamptz '{now.isoformat()}'"
    await connection.execute(
        "CREATE OR REPLACE FUNCTION jobping_now() RETURNS timestamptz LANGUAGE sql STABLE"
        f" AS $${body}$$"
    )


async def set_clock(database: Database, now: dt.datetime | None) -> None:
    """Let the ledger's clock stand; None: let it go again."""
    await database.run(_set_clock, now)


def ledger(database: Database, daemon: str = "one", limits: Limits = LIMITS) -> Ledger:
    return Ledger(database=database, daemon=daemon, limits=limits)


def wanted(tokens: int = 100, nanousd: int = 50, *, about: object = None) -> Reservation:
    id = str(uuid.uuid4())
    return Reservation(
        id=id,
        model="luna",
        price_version="v1",
        bound=Bound(tokens=tokens, nanousd=NanoUsd(nanousd)),
        prompt_bound=tokens // 2,
        request_hash=hashlib.sha256(repr(about or id).encode()).digest(),
    )


async def reserve(book: Ledger, tokens: int = 100, nanousd: int = 50) -> str:
    """Reserve what must fit."""
    found = await book.reserve(wanted(tokens, nanousd))
    assert isinstance(found, Reserved), found
    return found.id


def settle(tokens: int, nanousd: int, *, input_tokens: int = 0) -> Ending:
    return Ending(
        state=EntryState.SETTLED,
        outcome="stop",
        cost=Cost(tokens=tokens, nanousd=NanoUsd(nanousd)),
        usage=Usage(input_tokens=input_tokens, output_tokens=0),
    )


def figures(balances: tuple[Balance, ...]) -> list[tuple[int, int, int, int]]:
    """Return used and held of day and month, tokens before cost."""
    return [(b.used_tokens, b.used_nanousd, b.held_tokens, b.held_nanousd) for b in balances]
