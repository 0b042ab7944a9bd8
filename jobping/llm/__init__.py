"""Language models over HTTP: `open_model` gives what `protocol` describes, at a `place`.

`client` makes one attempt of a call, `wording` writes requests and reads answers, `failures` maps
errors, `tokens` counts. The SDK is imported when a model is opened, and not before: it takes a
second or more and 50 MB, which a daemon without a key never spends.
"""

import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from jobping.llm.place import Dialect, ModelPlace
from jobping.llm.protocol import ModelProtocol

__all__ = ["Dialect", "ModelPlace", "ModelProtocol", "open_model"]


@asynccontextmanager
async def open_model(place: ModelPlace) -> AsyncIterator[ModelProtocol]:
    """Give a client of the server while the block runs; it is closed with it."""
    module = await trio.to_thread.run_sync(importlib.import_module, "jobping.llm.client")
    client: ModelProtocol = module.ModelClient(place)
    try:
        yield client
    finally:
        await client.aclose()
