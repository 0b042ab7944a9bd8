"""Our side of `budget`: apart, because its imports put another loop in the place of asyncio's."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import attrs
import trio

from jobping.actors.paid_call import PaidCalls, Question
from jobping.clock import Clock
from jobping.core.budget import Ending, Limits, Refused, Reservation
from jobping.core.ids import ProfileId
from jobping.core.model import Message, ModelAnswer, ModelRequest, Role
from jobping.core.prompt import SCHEMA
from jobping.llm import ModelPlace, ModelProtocol, load_counter, open_model
from jobping.llm.prices import load_prices
from jobping.llm.protocol import CounterProtocol
from jobping.store.bridge import Database, open_loop, run_alone, serve_database
from jobping.store.embedded import Durability, EmbeddedConfig, open_server
from jobping.store.ledger import Ledger, Reserved
from jobping.store.migrate import migrate
from supervisors import Ask, ChildSpec, Context, Mailbox, Ref, Supervisor, SupervisorSpec
from tests.bench.budget import (
    EDGE_NANOUSD,
    MODEL,
    MOST_TOKENS,
    answering,
    billed_part,
    drive,
    hold_calls,
    texts,
)
from tests.bench.contender import Meter

TYPICAL = 20_000  # tokens of a prompt where none are counted
MUCH = Limits(
    daily_tokens=10**14, monthly_tokens=10**14, daily_nanousd=10**14, monthly_nanousd=10**14
)


def quiet(event: str, /, *, level: str | None = None, **fields: object) -> None:
    """Write nothing."""


@attrs.frozen
class Paid(Ask[int]):
    """Asks for one call; answered with the output's tokens."""

    number: int


@attrs.frozen
class Yes:
    """A ledger that says yes and forgets."""

    async def reserve(self, wanted: Reservation) -> Reserved:
        await trio.lowlevel.checkpoint()
        return Reserved(id=wanted.id)

    async def end(self, id: str, ending: Ending) -> tuple[None, tuple[()]]:
        await trio.lowlevel.checkpoint()
        return None, ()

    async def correct(self, id: str, **amounts: object) -> bool:
        await trio.lowlevel.checkpoint()
        return True


@contextlib.asynccontextmanager
async def open_ledger(meter: Meter | None = None, limits: Limits = MUCH) -> AsyncIterator[Ledger]:
    """Start a PostgreSQL of our own, whose time the meter may count; yield a ledger on it."""
    database = Database()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chmod(folder, 0o711)  # noqa: PTH101  the server's account passes through
        config = EmbeddedConfig(
            state_dir=folder, runtime_dir=folder / "run", durability=Durability.GIVEN_UP
        )
        async with open_loop(), open_server(config, emit=quiet) as dsn, trio.open_nursery() as n:
            await n.start(partial(serve_database, database, dsn, emit=quiet))
            await run_alone(dsn, migrate)
            if meter is not None:
                meter.charged.append(server_of(folder))
            yield Ledger(database=database, daemon="bench", limits=limits)
            n.cancel_scope.cancel()


def server_of(folder: Path) -> int:
    """Return the process of the PostgreSQL that has its data there."""
    [file] = folder.rglob("postmaster.pid")
    return int(file.read_text().split()[0])


@contextlib.asynccontextmanager
async def open_yes() -> AsyncIterator[Yes]:
    """Yield the ledger that says yes."""
    yield Yes()


Open = Callable[[], "contextlib.AbstractAsyncContextManager[object]"]


def pay(meter: Meter, open_book: Open, at_once: int = 1, *, counts: bool = True) -> None:
    """Ask an actor for one paid call after the other, or for some at once."""

    async def pay_all(base_url: str) -> None:
        async with serving(base_url, open_book, at_once, counts=counts) as ref:
            await drive(meter, lambda number: ref.ask(Paid(number), within=30), at_once)

    with answering() as url:
        trio.run(pay_all, url)


def pay_at_edge(meter: Meter) -> None:
    """Ask for all at once, where the budget has room for a few."""
    few = attrs.evolve(MUCH, daily_nanousd=EDGE_NANOUSD)

    async def pay_all(base_url: str) -> None:
        async with serving(base_url, partial(open_ledger, limits=few), meter.units) as ref:
            meter.begin()

            async def work(number: int) -> None:
                await ref.ask(Paid(number), within=30)
                meter.add(2 * number + 1)

            async with trio.open_nursery() as nursery:
                for number in range(meter.units):
                    nursery.start_soon(work, number)
            meter.end()

    with answering() as url:
        hold_calls(url, meter.units)
        trio.run(pay_all, url)
        meter.billed = billed_part(url)


@contextlib.asynccontextmanager
async def serving(
    base_url: str, open_book: Open, at_once: int, *, counts: bool = True
) -> AsyncIterator[Ref[Paid]]:
    """Run an actor that makes a paid call for each message."""
    place = ModelPlace(base_url=base_url, key="k", connections=at_once)
    async with open_book() as book, open_model(place) as model:
        calls = PaidCalls(
            ledger=book,
            prices=load_prices(),
            clock=Clock(),
            emit=quiet,
        )
        counter = await load_counter((Path(os.environ["TIKTOKEN_CACHE_DIR"]),)) if counts else None
        box: Mailbox[Paid] = Mailbox()
        actor = partial(serve_paid, calls, model, counter)
        child = ChildSpec(id="budget", start=actor, mailbox=box)
        supervisor = Supervisor(SupervisorSpec(children=(child,)))
        async with trio.open_nursery() as nursery:
            await nursery.start(supervisor.run)
            yield box.ref
            await supervisor.stop(reason="done")


async def serve_paid(
    calls: PaidCalls, model: ModelProtocol, counter: CounterProtocol | None, ctx: Context[Paid]
) -> None:
    """Make a paid call for each message, as many at once as are asked for."""

    async def serve(delivery: object, number: int) -> None:
        system, user = texts(number)
        messages = Message(role=Role.SYSTEM, text=system), Message(role=Role.USER, text=user)
        tokens = TYPICAL
        if counter is not None:  # as `Ranker` does
            counted = await trio.to_thread.run_sync(counter.count, MODEL, messages, SCHEMA)
            tokens = counted.tokens
        question = Question(
            profile=ProfileId(1),
            pairs=20,
            request_hash=hashlib.sha256(b"%d" % number).digest(),
            request=ModelRequest(
                model=MODEL,
                messages=messages,
                schema=SCHEMA,
                max_output_tokens=MOST_TOKENS,
                service_tier="default",
                prompt_tokens_bound=tokens,
            ),
        )
        answer = await calls.ask(question, model, trio.current_time() + 30, keep)
        assert isinstance(answer, ModelAnswer | Refused), answer
        delivery.reply(1)

    async with trio.open_nursery() as nursery:
        ctx.started()
        async for delivery in ctx.inbox:
            nursery.start_soon(serve, delivery, delivery.message.number)


async def keep(answer: ModelAnswer) -> None:
    """Nothing is kept."""
    await trio.lowlevel.checkpoint()
