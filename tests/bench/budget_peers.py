"""The peers of `budget`: LiteLLM in this process, its proxy beside it, and its two budgets."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from tests.bench.budget import (
    EDGE_CALLS,
    EDGE_NANOUSD,
    MODEL,
    answering,
    billed_part,
    body,
    call_server,
    hold_calls,
)
from tests.bench.contender import Meter

KEY = "sk-a-key-of-a-proxy-on-loopback-0123456789"
START_WITHIN_S = 45.0
EDGE_USD = EDGE_NANOUSD / 1e9
PRICE = {"input_cost_per_token": 1e-7, "output_cost_per_token": 5e-7, "mode": "chat"}


def load() -> Any:
    """Import LiteLLM, with its packaged prices and that of our model."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # no network
    import litellm

    litellm.suppress_debug_info = True
    litellm.register_model({MODEL: {**PRICE, "litellm_provider": "openai"}})
    return litellm


def call_litellm(meter: Meter, at_once: int = 1) -> None:
    """Call LiteLLM's `acompletion` on asyncio."""
    litellm = load()

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


def call_proxy(meter: Meter, at_once: int) -> None:
    """Call the bare SDK against LiteLLM's proxy, whose time counts as ours."""
    load()  # absent where LiteLLM is
    with answering() as url, proxying(url, meter) as proxy_url:
        call_server(meter, proxy_url, KEY, at_once)


@contextlib.contextmanager
def proxying(url: str, meter: Meter) -> Iterator[str]:
    """Run LiteLLM's proxy in front of a server, without a database; yield its base URL."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    server = {"model": f"openai/{MODEL}", "api_base": url, "api_key": "k", "max_retries": 0}
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "proxy.yaml"  # JSON is YAML
        models = [{"model_name": MODEL, "litellm_params": server}]
        config.write_text(
            json.dumps({"model_list": models, "general_settings": {"master_key": KEY}})
        )
        command = [str(Path(sys.executable).with_name("litellm")), "--config", str(config)]
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_alive(process, f"http://127.0.0.1:{port}/health/liveliness")
            meter.charged.append(process.pid)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


def wait_alive(process: "subprocess.Popen[bytes]", url: str) -> None:
    """Wait until a server answers."""
    until = time.monotonic() + START_WITHIN_S
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):
            return
        time.sleep(0.2)
    raise TimeoutError("the proxy does not start")


def overspend_manager(meter: Meter) -> None:
    """Ask LiteLLM's BudgetManager before each call, and tell it what the call cost."""
    litellm = load()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # it writes a file
        manager = litellm.BudgetManager(project_name="bench", client_type="local")
        manager.create_budget(total_budget=EDGE_USD, user="one")

        async def call(base_url: str, number: int) -> bool:
            if manager.get_current_cost("one") > manager.get_total_budget("one"):
                return False
            asked = body(number) | {"model": f"openai/{MODEL}"}
            answer = await litellm.acompletion(
                **asked, api_base=base_url, api_key="k", max_retries=0
            )
            manager.update_cost(user="one", completion_obj=answer)
            return True

        overspend(meter, call)


def overspend_router(meter: Meter) -> None:
    """Call through LiteLLM's Router, whose deployment has a budget for the day."""
    litellm = load()
    routers: list[Any] = []

    async def call(base_url: str, number: int) -> bool:
        if not routers:
            server = {"model": f"openai/{MODEL}", "api_base": base_url, "api_key": "k"}
            budget = {"max_budget": EDGE_USD, "budget_duration": "1d"}
            model = {"model_name": MODEL, "litellm_params": server | budget}
            routers.append(litellm.Router(model_list=[model], num_retries=0))
        try:
            await routers[0].acompletion(**body(number))
        except (ValueError, litellm.RateLimitError):
            return False
        return True

    overspend(meter, call)


def overspend(meter: Meter, call: Callable[[str, int], Awaitable[bool]]) -> None:
    """Make the calls of the edge at once; fail where the budget never comes to refuse."""

    async def call_all(base_url: str) -> None:
        meter.begin()

        async def work(number: int) -> None:
            await call(base_url, number)
            meter.add(2 * number + 1)

        await asyncio.gather(*(work(number) for number in range(meter.units)))
        meter.end()
        meter.billed = billed_part(base_url)
        await asyncio.sleep(1)  # the Router books in the background
        if meter.units == EDGE_CALLS and await call(base_url, EDGE_CALLS):
            raise AssertionError("this budget refuses nothing, ever")

    with answering() as url:
        hold_calls(url, meter.units)
        asyncio.run(call_all(url))
