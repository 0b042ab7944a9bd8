"""What a paid call costs us beside the bare SDK and LiteLLM: CPU of the client, server elsewhere.

The whole path is a question through a mailbox, its tokens counted, its worst case reserved in
PostgreSQL, the call made through the SDK, its cost booked, and the answer given back. Tokens are
counted with the vocabulary where `TIKTOKEN_CACHE_DIR` or LiteLLM has it, else by bytes. `path
alone` is the same without counting, and with a ledger that says yes. The prompt, of 20 postings, is
written before. LiteLLM keeps no such ledger.

`proxy` makes eight calls at once; there the time of LiteLLM's proxy counts, and on our side that of
PostgreSQL. `edge` makes 50 calls at once where the budget has room for three.
"""

import contextlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from fractions import Fraction
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
EDGE_CALLS = 50
EDGE_NANOUSD = 4_000_000  # three calls at their worst


def texts(number: int) -> tuple[str, str]:
    """Return the messages of one question; no two are alike."""
    return "You judge how well job postings fit.", "\n".join([f"call {number}", *LINES])


@contextlib.contextmanager
def answering() -> Iterator[str]:
    """Run the model server until the block ends, on other cores than ours; yield its base URL."""
    command = [sys.executable, "-m", "jobping.demo.model_server"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        if others := set(range(os.cpu_count() or 1)) - os.sched_getaffinity(0):
            os.sched_setaffinity(process.pid, others)
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


def pay(meter: Meter, at_once: int = 1) -> None:
    """Ask an actor for one paid call after the other, or for some at once."""
    from tests.bench import budget_path

    budget_path.pay(meter, budget_path.open_ledger, at_once)


def pay_alone(meter: Meter) -> None:
    """Do so without counting and SQL."""
    from tests.bench import budget_path

    budget_path.pay(meter, budget_path.open_yes, counts=False)


def pay_with_database(meter: Meter) -> None:
    """Ask for some at once; the time of the database counts as ours."""
    from tests.bench import budget_path

    budget_path.pay(meter, partial(budget_path.open_ledger, meter), AT_ONCE)


def pay_at_edge(meter: Meter) -> None:
    """Ask for all at once, where the budget has room for a few."""
    from tests.bench import budget_path

    budget_path.pay_at_edge(meter)


def call_sdk(meter: Meter) -> None:
    """Call the SDK as its manual says, without retries."""
    with answering() as url:
        call_server(meter, url, "k", 1)


def call_server(meter: Meter, url: str, key: str, at_once: int) -> None:
    """Call a server through the bare SDK, on Trio."""
    import openai

    async def call_all() -> None:
        http = openai.DefaultAsyncHttpx2Client(trust_env=False)
        async with openai.AsyncOpenAI(
            api_key=key, base_url=url, max_retries=0, http_client=http
        ) as client:
            create = client.chat.completions.create
            await drive(meter, lambda number: create(**body(number)), at_once)

    trio.run(call_all)


def call_litellm(meter: Meter) -> None:
    """Call LiteLLM's `acompletion`."""
    from tests.bench import budget_peers

    budget_peers.call_litellm(meter)


def call_proxy(meter: Meter) -> None:
    """Call LiteLLM's proxy, some at once."""
    from tests.bench import budget_peers

    budget_peers.call_proxy(meter, AT_ONCE)


def overspend_manager(meter: Meter) -> None:
    """Overspend with LiteLLM's BudgetManager."""
    from tests.bench import budget_peers

    budget_peers.overspend_manager(meter)


def overspend_router(meter: Meter) -> None:
    """Overspend with LiteLLM's Router."""
    from tests.bench import budget_peers

    budget_peers.overspend_router(meter)


def hold_calls(url: str, calls: int) -> None:
    """Have the server answer so many calls after 200 ms each."""
    step = [{"head_delay_s": 0.2, "times": calls}]
    place = url.removesuffix("/v1")
    with urllib.request.urlopen(f"{place}/_plan", json.dumps(step).encode(), timeout=10):
        return


def billed_part(url: str) -> float:
    """Return what the server has billed, as a part of the limit."""
    with urllib.request.urlopen(f"{url.removesuffix('/v1')}/_bill", timeout=10) as answer:
        return float(Fraction(json.load(answer)["cost_nanousd"]) / EDGE_NANOUSD)


SHAPES = (
    Shape(
        name="call",
        units=200,
        contenders=(
            Contender("whole path", pay),
            Contender("path alone", pay_alone),
            Contender("bare SDK", call_sdk),
            Contender("LiteLLM", call_litellm, needs="litellm"),
        ),
    ),
    Shape(
        name="proxy",
        units=200,
        contenders=(
            Contender("whole path", partial(pay, at_once=AT_ONCE)),
            Contender("with database", pay_with_database),
            Contender("LiteLLM proxy", call_proxy, needs="litellm"),
        ),
    ),
    Shape(
        name="edge",
        units=EDGE_CALLS,
        contenders=(
            Contender("whole path", pay_at_edge),
            Contender("BudgetManager", overspend_manager, needs="litellm"),
            Contender("Router", overspend_router, needs="litellm"),
        ),
    ),
)
