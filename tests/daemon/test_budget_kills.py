"""Daemons that pay are killed at every point of a call; the model server's bill is the judge."""

import datetime as dt
import random

import pytest
import trio

from jobping.demo.model_plan import Step
from jobping.demo.model_server import ModelServer, open_model_server
from jobping.store.bridge import Database, Dsn
from tests.daemon.budget_daemons import (
    Daemons,
    Judge,
    open_daemons,
    order_of,
    paid_twice,
    prepare,
)
from tests.store.ledger_samples import set_clock
from tests.store.store_samples import sql

LIMITS = {
    "daily_tokens": 60_000,
    "monthly_tokens": 900_000,
    "daily_nanousd": 100_000_000,
    "monthly_nanousd": 1_000_000_000,
}
PHASES = ("reserve", "received", "billed", "half_sent", "settle")
PATIENCE_S = 20.0
MIDNIGHT = dt.datetime(2026, 3, 30, 23, 59, 59, tzinfo=dt.UTC)


async def test_fifty_kills_leave_the_ledger_at_or_above_the_bill(
    database: Database, dsn: Dsn
) -> None:
    await kill_often(database, dsn, 50)


@pytest.mark.slow
async def test_thousand_kills_leave_the_ledger_at_or_above_the_bill(
    database: Database, dsn: Dsn
) -> None:
    await kill_often(database, dsn, 1_000)


async def kill_often(database: Database, dsn: Dsn, kills: int) -> None:
    """Kill one daemon after the other; each finds what its predecessor left, day after day."""
    rng, now = random.Random(7), MIDNIGHT
    await prepare(database)
    await set_clock(database, now)
    async with open_model_server() as server:
        judge = Judge(database=database, server=server, limits=LIMITS)
        with open_daemons() as daemons:
            for n in range(kills):
                phase = PHASES[n % len(PHASES)]
                order = order_of(
                    dsn, server, LIMITS, daemon="one", seed=n, at_once=rng.choice([1, 4])
                )
                await kill_in(phase, server, daemons, order, rng)
                await judge.judge()
                if daemons.are_full():
                    now += dt.timedelta(days=1)
                    await set_clock(database, now)
                    daemons.forget_full()
                if n % 5 == 0:
                    await sql(database, "DELETE FROM ranking")
            assert paid_twice(server.bill.charges) == []
            pid = await daemons.start(**order)
            await trio.sleep(0.5)
            daemons.kill(pid)
            await judge.judge()
        lost = sum(charge.delivered != "whole" for charge in server.bill.charges)
        assert lost > kills // 5
        states = await judge.states()
        assert states["settled"] > kills // 5
        assert states["lapsed"] > kills // 5
        assert states.get("reserved", 0) <= 4  # of the last one


async def kill_in(
    phase: str, server: ModelServer, daemons: Daemons, order: dict[str, object], rng: random.Random
) -> None:
    """Start a daemon and kill it in one phase of a call, or when its day's budget is used up."""
    seen = len(server.bill.charges)
    if phase in ("received", "billed", "half_sent"):
        server.plan(*["ok"] * rng.randint(0, 3), Step(hold=phase))
    pid = await daemons.start(**order)
    with trio.move_on_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_end_when_full, daemons, nursery.cancel_scope)
            if phase in ("received", "billed", "half_sent"):
                await server.wait_held(1)
            else:
                wanted = seen + rng.randint(1, 6)
                while len(server.bill.charges) < wanted:  # noqa: ASYNC110  a list sets no event
                    await trio.sleep(0.0005)
                await trio.sleep(rng.random() * 0.03)  # of 20 ms between two calls
            nursery.cancel_scope.cancel()
    daemons.kill(pid)
    await daemons.wait_gone(pid)
    server.release()
    server._plan.clear()
    server._names.clear()
    while server._in_flight:  # noqa: ASYNC110  what was received is billed, the client or not
        await trio.sleep(0.001)


async def _end_when_full(daemons: Daemons, scope: trio.CancelScope) -> None:
    while not daemons.are_full():  # noqa: ASYNC110  another process sets no event
        await trio.sleep(0.01)
    scope.cancel()


async def test_four_daemons_on_one_ledger_stay_within_the_limit_together(
    database: Database, dsn: Dsn
) -> None:
    """Four processes with eight calls at once each, until all are told that nothing is left."""
    await prepare(database, profiles=12)
    async with open_model_server() as server:
        judge = Judge(database=database, server=server, limits=LIMITS)
        with open_daemons() as daemons:
            pids = [
                await daemons.start(
                    **order_of(dsn, server, LIMITS, daemon=f"d{n}", seed=n, at_once=8)
                )
                for n in range(4)
            ]
            for pid in pids:
                await daemons.wait_gone(pid)
            assert daemons.are_full() == 32
        await judge.judge()
        states = await judge.states()
        assert states.keys() == {"settled"}
        assert paid_twice(server.bill.charges) == []
        [(used, held)] = await sql(
            database, "SELECT used_tokens, held_tokens FROM budget_window WHERE kind = 'day'"
        )
        assert held == 0
        assert used == server.bill.tokens
        asked: list[str] = [charge.body_sha256 for charge in server.bill.charges]
        assert len(set(asked)) == len(asked)
        [(warnings, distinct)] = await sql(
            database,
            "SELECT count(*), count(DISTINCT (kind, starts, measure, threshold))"
            " FROM budget_warning",
        )
        assert warnings == distinct
