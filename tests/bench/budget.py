"""What a paid call costs us beside the bare SDK and LiteLLM: CPU of the client, server elsewhere.

The whole path is a question through a mailbox, its tokens counted, its worst case reserved in
PostgreSQL, the call made through the SDK, its cost booked, and the answer given back; `path without
ledger` is the same with a ledger that says yes. The prompt, of 20 postings, is written before.
LiteLLM keeps no such ledger. `concurrent` does eight at a time.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import trio

from jobping.core.prompt import SCHEMA
from tests.bench.contender import Contender, Meter, Shape

MODEL = "gpt-6-luna"
POSTING = "We look for people who like numbers, and who like to say what they mean. " * 12
LINES = [
    json.dumps({"id": f"{n:010}", "title": f"Analyst {n}", "text": POSTING}) for n in range(20)
]
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


def pay(meter: Meter, at_once: int = 1, *, with_ledger: bool = True) -> None:
    """Ask an actor for one paid call after the other, or for some at once."""
    from tests.bench import budget_path

    open_book = budget_path.open_ledger if with_ledger else budget_path.open_yes
    budget_path.pay(meter, open_book, at_once)


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
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # no network
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
            Contender("path without ledger", partial(pay, with_ledger=False)),
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
