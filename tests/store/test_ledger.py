import datetime as dt
import itertools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import attrs
import pytest
import trio

from jobping.core.budget import (
    Balance,
    Ending,
    EntryState,
    Limits,
    Measure,
    Refused,
    Window,
    lapsed,
    released,
)
from jobping.errors import StoreConflict, StoreUnavailable
from jobping.store.bridge import Database, Dsn, serve_database
from jobping.store.ledger import AskedAlready, Ledger, Reserved, Warned
from jobping.store.spending import Spending
from tests.doubles.postgres import Events
from tests.store.ledger_samples import (
    LIMITS,
    figures,
    ledger,
    reserve,
    set_clock,
    settle,
    wanted,
)
from tests.store.store_samples import sql

NOON = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)


@asynccontextmanager
async def other_daemon(dsn: Dsn, events: Events) -> AsyncIterator[Database]:
    """Another daemon's connections to the same database."""
    opened = Database()
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(serve_database, opened, dsn, emit=events))
        yield opened
        nursery.cancel_scope.cancel()


async def forget_leases(database: Database) -> None:
    await sql(database, "DELETE FROM daemon_lease")


async def test_reservation_is_held_in_day_and_month_until_it_is_settled(
    database: Database,
) -> None:
    book = ledger(database)
    id = await reserve(book)
    assert figures(await book.balances()) == [(0, 0, 100, 50)] * 2
    ended, _ = await book.end(id, settle(70, 30))
    assert ended is not None
    assert (ended.tokens, ended.nanousd, ended.bound_tokens) == (70, 30, 100)
    assert figures(await book.balances()) == [(70, 30, 0, 0)] * 2


@pytest.mark.parametrize(
    ("ending", "booked"), [(released("refused"), (0, 0)), (lapsed("timeout"), (100, 50))]
)
async def test_reservation_without_a_bill_ends_at_nothing_or_at_its_bound(
    database: Database, ending: Ending, booked: tuple[int, int]
) -> None:
    book = ledger(database)
    await book.end(await reserve(book), ending)
    assert figures(await book.balances()) == [(*booked, 0, 0)] * 2


async def test_reservation_ends_exactly_once(database: Database) -> None:
    book = ledger(database)
    id = await reserve(book)
    await book.end(id, settle(70, 30))
    assert await book.end(id, settle(70, 30)) == (None, ())
    assert await book.end(id, lapsed("late")) == (None, ())
    assert figures(await book.balances()) == [(70, 30, 0, 0)] * 2


async def test_end_of_what_was_never_reserved_books_nothing(database: Database) -> None:
    book = ledger(database)
    assert await book.end(wanted().id, released("no commit")) == (None, ())


async def test_bill_above_its_bound_is_booked_in_full(database: Database) -> None:
    book = ledger(database)
    await book.end(await reserve(book), settle(5_000, 2_500))
    assert figures(await book.balances()) == [(5_000, 2_500, 0, 0)] * 2


@pytest.mark.parametrize(
    ("limits", "window", "measure"),
    [
        ({"daily_tokens": 150}, Window.DAY, Measure.TOKENS),
        ({"daily_nanousd": 99}, Window.DAY, Measure.COST),
        ({"monthly_tokens": 199}, Window.MONTH, Measure.TOKENS),
        ({"monthly_nanousd": 75}, Window.MONTH, Measure.COST),
    ],
)
async def test_reservation_that_does_not_fit_one_limit_is_refused_by_it(
    database: Database, limits: dict[str, int], window: Window, measure: Measure
) -> None:
    most = attrs.evolve(LIMITS, **limits)
    book = ledger(database, limits=most)
    await reserve(book)
    requested, held = (100, 100) if measure is Measure.TOKENS else (50, 50)
    assert await book.reserve(wanted()) == Refused(
        window=window,
        measure=measure,
        requested=requested,
        remaining=most.of(window, measure) - held,
    )
    assert figures(await book.balances()) == [(0, 0, 100, 50)] * 2


async def test_reservation_that_fits_to_the_last_unit_is_taken(database: Database) -> None:
    limits = Limits(daily_tokens=200, monthly_tokens=200, daily_nanousd=100, monthly_nanousd=100)
    book = ledger(database, limits=limits)
    await reserve(book)
    await reserve(book)
    assert isinstance(await book.reserve(wanted(1, 0)), Refused)
    assert isinstance(await book.reserve(wanted(0, 1)), Refused)
    await reserve(book, 0, 0)


@pytest.mark.parametrize(
    "limit", ["daily_tokens", "monthly_tokens", "daily_nanousd", "monthly_nanousd"]
)
async def test_limit_of_nothing_lets_nothing_through(database: Database, limit: str) -> None:
    book = ledger(database, limits=attrs.evolve(LIMITS, **{limit: 0}))
    assert isinstance(await book.reserve(wanted()), Refused)


async def test_same_question_is_not_open_twice(database: Database) -> None:
    one, two = ledger(database), ledger(database, "two")
    first = await one.reserve(wanted(about="pairs"))
    assert isinstance(first, Reserved)
    assert await two.reserve(wanted(about="pairs")) == AskedAlready()
    await one.end(first.id, settle(1, 1))
    assert isinstance(await two.reserve(wanted(about="pairs")), Reserved)


async def test_same_id_is_never_reserved_twice(database: Database) -> None:
    book = ledger(database)
    once = wanted()
    await book.reserve(once)
    await book.end(once.id, released("refused"))
    with pytest.raises(StoreConflict):
        await book.reserve(once)
    assert figures(await book.balances()) == [(0, 0, 0, 0)] * 2


# --- the calendar


@pytest.mark.parametrize(
    ("before", "after", "day", "month"),
    [
        ("2026-03-02T23:59:59", "2026-03-03T00:00:01", 0, 70),
        ("2026-03-31T23:59:59", "2026-04-01T00:00:01", 0, 0),
        ("2028-02-28T23:59:59", "2028-02-29T00:00:01", 0, 70),
        ("2026-12-31T23:59:59", "2027-01-01T00:00:01", 0, 0),
    ],
)
async def test_call_over_midnight_belongs_to_the_windows_of_its_reservation(
    database: Database, before: str, after: str, day: int, month: int
) -> None:
    book = ledger(database)
    await set_clock(database, dt.datetime.fromisoformat(before + "+00:00"))
    id = await reserve(book)
    await set_clock(database, dt.datetime.fromisoformat(after + "+00:00"))
    await reserve(book, 1, 1)
    await book.end(id, settle(70, 30))
    today, this_month = await book.balances()
    assert (today.used_tokens, this_month.used_tokens) == (day, month)
    await set_clock(database, dt.datetime.fromisoformat(before + "+00:00"))
    assert figures(await book.balances())[0] == (70, 30, 0, 0)


async def test_windows_are_days_of_utc_whatever_the_zone_of_the_session(
    database: Database,
) -> None:
    late = dt.datetime(2026, 3, 3, 1, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    await set_clock(database, late)
    day, month = await ledger(database).balances()
    assert (day.starts, month.starts) == (dt.date(2026, 3, 2), dt.date(2026, 3, 1))
    assert (day.ends, month.ends) == (dt.date(2026, 3, 3), dt.date(2026, 4, 1))


# --- who ends what a dead daemon left


async def test_start_lapses_what_its_predecessor_left_open(database: Database) -> None:
    book = ledger(database)
    id = await reserve(book)
    opened = await book.open()
    assert [(ended.id, ended.tokens) for ended in opened.lapsed] == [(id, 100)]
    assert figures(opened.balances) == [(100, 50, 0, 0)] * 2
    assert (await book.open()).lapsed == ()


async def test_start_leaves_alone_what_a_living_daemon_has_open(database: Database) -> None:
    one, two = ledger(database), ledger(database, "two")
    await two.open()
    id = await reserve(two)
    assert (await one.open()).lapsed == ()
    await forget_leases(database)
    lapsed_now, _ = await one.lapse_abandoned()
    assert [ended.id for ended in lapsed_now] == [id]


async def test_living_daemon_does_not_lapse_its_own(database: Database) -> None:
    book = ledger(database)
    await reserve(book)
    await forget_leases(database)
    assert await book.lapse_abandoned() == ((), ())


async def test_answer_that_comes_after_the_lapse_is_a_correction(database: Database) -> None:
    one, two = ledger(database), ledger(database, "two")
    id = await reserve(one)
    await two.open()  # the lease of the first is unknown: it may be dead
    assert await one.end(id, settle(70, 30)) == (None, ())
    assert await one.correct(id, tokens=70, nanousd=30, reason="late", by_operator=False)
    assert figures(await one.balances()) == [(70, 30, 0, 0)] * 2
    [entry] = await Spending(database=database).entries(limit=9)
    assert (entry.state, entry.tokens, entry.nanousd) == (EntryState.LAPSED, 70, 30)


async def test_correction_is_repeatable_and_for_lapsed_ones_only(database: Database) -> None:
    book = ledger(database)
    open_, done = await reserve(book), await reserve(book)
    await book.end(done, settle(70, 30))
    for id in (open_, done, wanted().id):
        assert not await book.correct(id, tokens=0, nanousd=0, reason="no", by_operator=True)
    await book.end(open_, lapsed("timeout"))
    for tokens in (60, 60, 80):
        await book.correct(open_, tokens=tokens, nanousd=10, reason="bill", by_operator=True)
    assert figures(await book.balances()) == [(150, 40, 0, 0)] * 2
    assert await Spending(database=database).entries(limit=9, state=EntryState.LAPSED) == ()


async def test_balance_below_its_journal_is_raised_and_one_above_it_stays(
    database: Database,
) -> None:
    book = ledger(database)
    await book.end(await reserve(book), settle(70, 30))
    await sql(database, "UPDATE budget_window SET used_tokens = 1 WHERE kind = 'day'")
    await sql(database, "UPDATE budget_window SET used_nanousd = 99 WHERE kind = 'month'")
    opened = await book.open()
    assert set(opened.recounted) == {Window.DAY, Window.MONTH}
    assert figures(opened.balances) == [(70, 30, 0, 0), (70, 99, 0, 0)]


async def test_start_forgets_calls_of_more_than_thirteen_months_ago(database: Database) -> None:
    book = ledger(database)
    for moment in ("2025-01-31", "2025-02-28", "2026-03-02"):
        await set_clock(database, dt.datetime.fromisoformat(moment + "T12:00+00:00"))
        await book.end(await reserve(book), settle(1, 1))
    await book.open()
    assert await sql(database, "SELECT month FROM budget_entry ORDER BY 1") == [
        (dt.date(2025, 2, 1),),
        (dt.date(2026, 3, 1),),
    ]


async def test_start_tells_how_far_bills_went_beyond_the_bounds_of_prompts(
    database: Database,
) -> None:
    book = ledger(database)
    for input_tokens in (40, 75, 60):
        await book.end(await reserve(book), settle(90, 1, input_tokens=input_tokens))
    assert (await book.open()).margins == {"luna": 1.5}


# --- warnings


async def test_thresholds_warn_once_over_restarts_and_daemons(database: Database) -> None:
    one, two = ledger(database), ledger(database, "two")
    _, warned = await one.end(await reserve(one), settle(499, 1))
    assert warned == ()
    _, warned = await two.end(await reserve(two), settle(1, 1))
    day = Warned(
        window=Window.DAY,
        starts=(await one.balances())[0].starts,
        measure=Measure.TOKENS,
        threshold=50,
    )
    assert warned == (day,)
    for book in (one, two, ledger(database)):
        await book.open()
        assert (await book.end(await reserve(book), settle(1, 1)))[1] == ()
    _, warned = await one.end(await reserve(one), settle(497, 1))
    assert warned == tuple(attrs.evolve(day, threshold=n) for n in (80, 95, 100))


async def test_thresholds_warn_anew_in_the_next_window(database: Database) -> None:
    book = ledger(database)
    for day in (2, 3):
        await set_clock(database, NOON.replace(day=day))
        _, warned = await book.end(await reserve(book), settle(600, 1))
        assert [(w.window, w.starts.day, w.threshold) for w in warned] == [(Window.DAY, day, 50)]


async def test_each_limit_has_warnings_of_its_own(database: Database) -> None:
    limits = Limits(daily_tokens=100, daily_nanousd=100, monthly_tokens=100, monthly_nanousd=100)
    book = ledger(database, limits=limits)
    _, warned = await book.end(await reserve(book, 100, 100), settle(50, 50))
    assert {(w.window, w.measure) for w in warned} == set(itertools.product(Window, Measure))


async def test_full_limit_warns_once(database: Database) -> None:
    book = ledger(database)
    refused = Refused(window=Window.DAY, measure=Measure.COST, requested=9, remaining=1)
    assert [await book.warn_full(refused) for _ in range(3)] == [True, False, False]
    assert await book.warn_full(attrs.evolve(refused, window=Window.MONTH))


# --- many at once


async def test_fifty_at_the_edge_get_what_fits_and_no_more(database: Database) -> None:
    """50 ask for 100 of 1,000 at once: ten get it, the other 40 are told so."""
    book = ledger(database)
    answers: list[object] = []

    async def ask() -> None:
        answers.append(await book.reserve(wanted(100, 1)))

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(ask)
    assert sum(isinstance(answer, Reserved) for answer in answers) == 10
    assert sum(isinstance(answer, Refused) for answer in answers) == 40
    assert figures(await book.balances())[0] == (0, 0, 1_000, 10)


async def test_two_daemons_with_random_work_agree_with_the_journal(
    database: Database, dsn: Dsn, events: Events
) -> None:
    """Reservations and ends at once from both sides: no deadlock, no limit passed, sums exact."""
    limits = Limits(
        daily_tokens=5_000, monthly_tokens=6_000, daily_nanousd=4_000, monthly_nanousd=9_000
    )

    async def work(book: Ledger, seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(25):
            tokens = rng.randint(1, 300)
            found = await book.reserve(wanted(tokens, tokens // 2))
            if isinstance(found, Reserved):
                real = rng.randint(0, tokens)
                endings = [settle(real, real // 2), released("refused"), lapsed("timeout")]
                await book.end(found.id, rng.choice(endings))

    async with other_daemon(dsn, events) as second, trio.open_nursery() as nursery:
        for seed in range(4):
            nursery.start_soon(work, ledger(database, limits=limits), seed)
            nursery.start_soon(work, ledger(second, "two", limits), 100 + seed)
    [(tokens, nanousd)] = await sql(
        database, "SELECT sum(tokens)::bigint, sum(nanousd)::bigint FROM budget_entry"
    )
    balances = await ledger(database).balances()
    assert figures(balances) == [(tokens, nanousd, 0, 0)] * 2
    assert isinstance(tokens, int)
    assert tokens <= 5_000
    assert (await ledger(database).open()).recounted == ()


@attrs.define
class Model:
    """What a ledger must hold, counted in the plainest way."""

    limits: Limits
    day: list[tuple[int, int]] = attrs.Factory(list)
    month: list[tuple[int, int]] = attrs.Factory(list)
    open: dict[str, tuple[int, int]] = attrs.Factory(dict)

    def fits(self, tokens: int, nanousd: int) -> bool:
        held = list(self.open.values())
        return all(
            sum(pair[n] for pair in booked + held) + asked <= self.limits.of(window, measure)
            for booked, window in ((self.day, Window.DAY), (self.month, Window.MONTH))
            for n, asked, measure in ((0, tokens, Measure.TOKENS), (1, nanousd, Measure.COST))
        )

    def book(self, amounts: tuple[int, int]) -> None:
        self.day.append(amounts)
        self.month.append(amounts)


async def test_thousand_random_histories_are_refused_exactly_where_they_do_not_fit(
    database: Database,
) -> None:
    """Refused if and only if used + held + bound is above a limit; each history has its month."""
    rng = random.Random(5)
    month = dt.datetime(2026, 1, 15, 12, tzinfo=dt.UTC)
    for _ in range(1_000):
        month = (month.replace(day=1) + dt.timedelta(days=32)).replace(day=15)
        await set_clock(database, month)
        limits = Limits(
            daily_tokens=rng.randint(0, 300),
            monthly_tokens=rng.randint(0, 300),
            daily_nanousd=rng.randint(0, 300),
            monthly_nanousd=rng.randint(0, 300),
        )
        book, model = ledger(database, limits=limits), Model(limits)
        for _ in range(rng.randint(1, 8)):
            if model.open and rng.random() < 0.5:
                id, bound = rng.choice(list(model.open.items()))
                real = (rng.randint(0, bound[0]), rng.randint(0, bound[1]))
                ending, amounts = rng.choice(
                    [(settle(*real), real), (released("x"), (0, 0)), (lapsed("x"), bound)]
                )
                ended, _ = await book.end(id, ending)
                assert ended is not None
                del model.open[id]
                model.book(amounts)
            else:
                asked = wanted(rng.randint(0, 200), rng.randint(0, 200))
                found = await book.reserve(asked)
                amounts = (asked.bound.tokens, asked.bound.nanousd)
                assert isinstance(found, Reserved) is model.fits(*amounts)
                if isinstance(found, Reserved):
                    model.open[asked.id] = amounts


async def test_cancelled_reservation_can_be_released_by_its_id(database: Database) -> None:
    """Whether it was written is unknown; after the release it holds nothing, either way."""
    book, rng = ledger(database), random.Random(3)
    for _ in range(50):
        asked = wanted(10, 1)
        with trio.move_on_after(rng.random() * 0.006):
            await book.reserve(asked)
        await book.end(asked.id, released("cancelled"))
    assert figures(await book.balances()) == [(0, 0, 0, 0)] * 2


async def test_ledger_without_a_database_refuses_by_its_error() -> None:
    with pytest.raises(StoreUnavailable):
        await ledger(Database()).reserve(wanted())


def test_balance_counts_what_is_left_never_below_nothing() -> None:
    balance = Balance(
        window=Window.DAY, starts=NOON.date(), used_tokens=900, held_tokens=200, used_nanousd=10
    )
    assert balance.left(LIMITS, Measure.TOKENS) == 0
    assert balance.left(LIMITS, Measure.COST) == 490
