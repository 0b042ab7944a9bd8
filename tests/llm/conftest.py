"""A real client at a real server on loopback."""

import importlib.util
import os
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from jobping.core.model import Message, ModelRequest, Role
from jobping.core.prompt import SCHEMA
from jobping.demo.model_server import ModelServer, open_model_server
from jobping.llm.client import ModelClient
from jobping.llm.place import ModelPlace
from jobping.llm.tokens import is_vocabulary

KEY = "sk-test-0123456789"
PROMPT = (
    Message(role=Role.SYSTEM, text="Judge."),
    Message(
        role=Role.USER,
        text='{"wants":["nurse"]}\n=== f ===\n{"id":"a1","title":"Nurse"}\n=== f ===',
    ),
)


def request(**fields) -> ModelRequest:
    return ModelRequest(
        **{
            "model": "gpt-5.4-mini",
            "messages": PROMPT,
            "schema": SCHEMA,
            "max_output_tokens": 260,
            "service_tier": "default",
            "prompt_tokens_bound": 900,
            "request_id": "r-1",
            **fields,
        }
    )


@asynccontextmanager
async def open_client(base_url: str, **fields):
    client = ModelClient(ModelPlace(base_url=base_url, **{"key": KEY, **fields}))
    try:
        yield client
    finally:
        await client.aclose()


@pytest.fixture
async def server():
    async with open_model_server(ModelServer(key=KEY)) as opened:
        yield opened


@pytest.fixture
async def client(server):
    async with open_client(server.base_url) as opened:
        yield opened


@pytest.fixture(scope="session")
def vocabulary() -> Path:
    """The folder of the vocabulary, where this machine has it."""
    folders = [Path(folder) for folder in [os.environ.get("TIKTOKEN_CACHE_DIR")] if folder]
    found = importlib.util.find_spec("litellm")  # the benchmarks' peer brings the file along
    if found is not None and found.origin is not None:
        folders.append(Path(found.origin).parent / "litellm_core_utils" / "tokenizers")
    for folder in folders:
        for file in folder.glob("*"):
            if file.stat().st_size > 3_000_000 and is_vocabulary(file.read_bytes()):
                return folder
    pytest.skip("no vocabulary")
