"""What a paid call costs us beside the bare SDK and LiteLLM: CPU of the client, server elsewhere.

The whole path is a question through a mailbox, its tokens counted, its worst case reserved in
PostgreSQL, the call made through the SDK, its cost booked, and the answer given back; `path without
ledger` is the same with a ledger that says yes. The prompt, of 20 postings, is written before.
LiteLLM keeps no such ledger. `concurrent` does eight at a time.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import attrs
import trio

from jobping.actors.paid_call import PaidCalls, Question
from jobping.clock import Clock
from jobping.core.budget import Ending, Limits, Reservation
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
from supervisors import Ask, ChildSpec, Context, Mailbox, Supervisor, SupervisorSpec
from tests.bench.contender import Contender, Meter, Shape

MODEL = "gpt-6-luna"
POSTING = "We look for people who like numbers, and who like to say what they mean. " * 12
LINES = [
    json.dumps({"id": f"{n:010}", "title": f"Analyst {n}", "text": POSTING}) for n in range(20)
]
MUCH = Limits(
    daily_tokens=10**14, monthly_tokens=10**14, daily_nanousd=10**14, monthly_nanousd=10**14
)
AT_ONCE = 8
MOST_TOKENS = 1_400


def texts(number: int) -> tuple[str, str]:
    """Return the messages of one question; no two are alike."""
    return "You judge how well job postings fit.", "\n".join([f"call {number}", *LINES])


@contextlib.contextmanager
def answering() -> Iterator[str]:
    """Run the model server until the block ends; yield its base URL."""
    command = [sys.executable, "-m", "jobping.demo.model_server"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["base_url"]
    finally:
        process.kill()
        process.communicate()


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
async def open_ledger() -> AsyncIterator[Ledger]:
    """Start a PostgreSQL of our own; yield a ledger on it."""
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
            yield Ledger(database=database, daemon="bench", limits=MUCH)
            n.cancel_scope.cancel()


@contextlib.asynccontextmanager
async def open_yes() -> AsyncIterator[Yes]:
    """Yield the ledger that says yes."""
    yield Yes()


Open = Callable[[], "contextlib.AbstractAsyncContextManager[object]"]


def pay(meter: Meter, open_book: Open = open_ledger, at_once: int = 1) -> None:
    """Ask an actor for one paid call after the other, or for some at once."""

    async def pay_all(base_url: str) -> None:
        place = ModelPlace(base_url=base_url, key="k", connections=at_once)
        async with open_book() as book, open_model(place) as model:
            calls = PaidCalls(
                ledger=book,  # type: ignore[arg-type]  # or a double of it
                prices=load_prices(),
                clock=Clock(),
                emit=quiet,
            )
            counter = await load_counter(())
            box: Mailbox[Paid] = Mailbox()
            actor = partial(serve_paid, calls, model, counter)
            child = ChildSpec(id="budget", start=actor, mailbox=box)
            supervisor = Supervisor(SupervisorSpec(children=(child,)))
            async with trio.open_nursery() as nursery:
                await nursery.start(supervisor.run)
                await drive(meter, lambda number: box.ref.ask(Paid(number), within=30), at_once)
                await supervisor.stop(reason="done")

    with answering() as url:
        trio.run(pay_all, url)


async def serve_paid(
    calls: PaidCalls, model: ModelProtocol, counter: CounterProtocol, ctx: Context[Paid]
) -> None:
    """Make a paid call for each message, as many at once as are asked for."""

    async def serve(delivery: object, number: int) -> None:
        system, user = texts(number)
        messages = Message(role=Role.SYSTEM, text=system), Message(role=Role.USER, text=user)
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
                prompt_tokens_bound=counter.count(MODEL, messages, SCHEMA).tokens,
            ),
        )
        answer = await calls.ask(question, model, trio.current_time() + 30, keep)
        assert isinstance(answer, ModelAnswer), answer
        delivery.reply(1)  # type: ignore[attr-defined]  # of `Delivery`

    async with trio.open_nursery() as nursery:
        ctx.started()
        async for delivery in ctx.inbox:
            nursery.start_soon(serve, delivery, delivery.message.number)


async def keep(answer: ModelAnswer) -> None:
    """Nothing is kept."""
    await trio.lowlevel.checkpoint()


async def drive(meter: Meter, call: Callable[[int], Awaitable[object]], at_once: int) -> None:
    """Make the meter's calls, so many at a time, on Trio."""
    units = meter.each()

    async def work() -> None:
        for number in units:
            await call(number)
            meter.add(2 * number + 1)

    async with trio.open_nursery() as nursery:
        for _ in range(at_once):
            nursery.start_soon(work)


def body(number: int) -> dict[str, object]:
    """Return the arguments of a bare call, which are those that ours sends."""
    system, user = texts(number)
    schema = {"name": "ranking", "strict": True, "schema": json.loads(SCHEMA)}
    return {
        "model": MODEL,
        "messages": [
            {"role": "system", "content": system},
            {"role": "user", "content": user},
        ],
        "response_format": {"type": "json_schema", "json_schema": schema},
        "max_completion_tokens": MOST_TOKENS,
    }


def call_sdk(meter: Meter, at_once: int = 1) -> None:
    """Call the SDK as its manual says, on Trio, without retries."""
    import openai

    async def call_all(base_url: str) -> None:
        http = openai.DefaultAsyncHttpx2Client(trust_env=False)
        async with openai.AsyncOpenAI(
            api_key="k", base_url=base_url, max_retries=0, http_client=http
        ) as client:
            create = client.chat.completions.create
            await drive(meter, lambda number: create(**body(number)), at_once)  # type: ignore[call-overload]

    with answering() as url:
        trio.run(call_all, url)


def call_litellm(meter: Meter, at_once: int = 1) -> None:
    """Call LiteLLM's `acompletion` on asyncio."""
    import litellm

    litellm.suppress_debug_info = True

    async def call_all(base_url: str) -> None:
        units = meter.each()

        async def work() -> None:
            for number in units:
                asked = body(number) | {"model": f"openai/{MODEL}"}
                await litellm.acompletion(**asked, api_base=base_url, api_key="k", max_retries=0)
                meter.add(2 * number + 1)

        await asyncio.gather(*(work() for _ in range(at_once)))

    with answering() as url:
        asyncio.run(call_all(url))


SHAPES = (
    Shape(
        name="call",
        units=200,
        contenders=(
            Contender("whole path", pay),
            Contender("path without ledger", partial(pay, open_book=open_yes)),
            Contender("bare SDK", call_sdk),
            Contender("LiteLLM", call_litellm, needs="litellm"),
        ),
    ),
    Shape(
        name="concurrent",
        units=200,
        contenders=(
            Contender("whole path", partial(pay, at_once=AT_ONCE)),
            Contender("bare SDK", partial(call_sdk, at_once=AT_ONCE)),
            Contender("LiteLLM", partial(call_litellm, at_once=AT_ONCE), needs="litellm"),
        ),
    ),
)
