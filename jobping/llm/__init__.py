"""Language models over HTTP: `open_model` gives what `protocol` describes, at a `place`.

`client` makes one attempt of a call, `wording` writes requests and reads answers, `failures` maps
errors, `tokens` counts. The SDK is imported when a model is opened, and not before: it takes a
second or more and 50 MB, which a daemon without a key never spends.
"""

import importlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from jobping.core.model import Dialect
from jobping.llm.place import ModelPlace
from jobping.llm.protocol import CounterProtocol, ModelProtocol

__all__ = [
    "CounterProtocol",
    "Dialect",
    "ModelPlace",
    "ModelProtocol",
    "load_counter",
    "open_model",
]


async def load_counter(folders: Iterable[Path]) -> CounterProtocol:
    """Return what bounds the tokens of prompts; see `tokens.load_counter`."""
    module = await trio.to_thread.run_sync(importlib.import_module, "jobping.llm.tokens")
    counter: CounterProtocol = await module.load_counter(folders)
    return counter


@asynccontextmanager
async def open_model(place: ModelPlace) -> AsyncIterator[ModelProtocol]:
    """Give a client of the server while the block runs; it is closed with it."""
    module = await trio.to_thread.run_sync(importlib.import_module, "jobping.llm.client")
    client: ModelProtocol = module.ModelClient(place)
    try:
        yield client
    finally:
        await client.aclose()
