"""How many tokens a prompt has at most: counted with OpenAI's vocabulary, else by its bytes.

The vocabulary is a file that the operator fetches with `jobping tokenizer fetch`; nothing is
downloaded at run time. A token covers at least one byte, so bytes bound tokens in any vocabulary.
"""

import base64
import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

import attrs
import httpx2
import tiktoken
import trio

from jobping.core.model import Message
from jobping.errors import ConfigError, FetchError
from jobping.llm.protocol import TokenBound

VOCABULARY_URL: Final = "https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken"
VOCABULARY_SHA256: Final = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
VOCABULARY_BYTES: Final = 3_613_922
FILE_NAME: Final = "o200k_base.tiktoken"
_OTHER_NAME: Final = "fb374d419588a4632f3f557e76b4b70aebbca790"  # tiktoken's own cache: sha1 of URL
FETCH_WITHIN_S: Final = 120.0
COUNT_LIMIT: Final = 100_000
"""Most bytes that are counted, in 15 ms at worst; a larger prompt gets the byte bound, so that no
loop stalls."""
_PER_MESSAGE: Final = 8
_PER_PROMPT: Final = 16
"""Framing that no server documents, with room to spare.

Source:
    OpenAI cookbook, "How to count tokens with tiktoken": 3 a message and 3 for the answer, not
    promised for newer models; a strict schema has no rule, so its bytes count.
"""
_MODELS: Final = re.compile(r"(?:gpt-(?:4o|4\.1|4\.5|[5-9])|o[1-9](?:-|$)|chatgpt-4o)")
"""Models of the vocabulary o200k_base (tiktoken `model.py`; newer ones by their names)."""
_LETTERS: Final = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER: Final = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_PATTERN: Final = "|".join(
    (
        rf"[^\r\n\p{{L}}\p{{N}}]?{_LETTERS}*{_LOWER}+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        rf"[^\r\n\p{{L}}\p{{N}}]?{_LETTERS}+{_LOWER}*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)
"""How o200k_base splits text before it looks words up (tiktoken_ext `openai_public.py`)."""


@attrs.frozen
class TokenCounter:
    """Counts prompts; without a vocabulary by their bytes."""

    _vocabulary: tiktoken.Encoding | None = None

    @property
    def has_vocabulary(self) -> bool:
        """Whether prompts are counted exactly."""
        return self._vocabulary is not None

    def count(self, model: str, messages: Sequence[Message], schema: bytes | None) -> TokenBound:
        """Return an upper bound for a prompt; a few milliseconds at most."""
        frame = _PER_MESSAGE * len(messages) + _PER_PROMPT + len(schema or b"")
        size = sum(len(message.text.encode("utf-8", "surrogatepass")) for message in messages)
        if self._vocabulary is None or not _MODELS.match(model) or size > COUNT_LIMIT:
            return TokenBound(size + frame, is_exact=False)
        counted = sum(len(self._vocabulary.encode_ordinary(one.text)) for one in messages)
        return TokenBound(counted + frame, is_exact=True)


async def load_counter(folders: Iterable[Path]) -> TokenCounter:
    """Return a counter with the first right vocabulary found; one that counts bytes where none is.

    Reads and builds in a worker thread: about a second.
    """
    return await trio.to_thread.run_sync(_load, tuple(folders))


def _load(folders: Sequence[Path]) -> TokenCounter:
    for folder in folders:
        for name in (FILE_NAME, _OTHER_NAME):
            try:
                data = (folder / name).read_bytes()
            except OSError:
                continue
            if is_vocabulary(data):
                return TokenCounter(_build(data))
    return TokenCounter()


def is_vocabulary(data: bytes) -> bool:
    """Say whether these are the bytes of the vocabulary, to the last one."""
    return len(data) == VOCABULARY_BYTES and hashlib.sha256(data).hexdigest() == VOCABULARY_SHA256


def _build(data: bytes) -> tiktoken.Encoding:
    ranks = {
        base64.b64decode(token): int(rank) for token, rank in map(bytes.split, data.splitlines())
    }
    return tiktoken.Encoding(
        name="o200k_base_local", pat_str=_PATTERN, mergeable_ranks=ranks, special_tokens={}
    )


async def fetch_vocabulary(folder: Path, url: str = VOCABULARY_URL) -> Path:
    """Get the vocabulary, check it and put it in its place at once.

    Raises:
        FetchError: It cannot be fetched, or is not what it should be.
        ConfigError: It cannot be stored.
    """
    try:
        with trio.fail_after(FETCH_WITHIN_S):
            data = await _download(url)
    except (httpx2.HTTPError, trio.TooSlowError) as error:
        raise FetchError(url, type(error).__name__) from error
    if not is_vocabulary(data):
        raise FetchError(url, "not the vocabulary (wrong size or SHA-256)")
    try:
        return await trio.to_thread.run_sync(_store, folder, data)
    except OSError as error:
        raise ConfigError(f"{folder}: {error.strerror}") from error


async def _download(url: str) -> bytes:
    data = bytearray()
    async with (
        httpx2.AsyncClient(trust_env=False, follow_redirects=False) as client,
        client.stream("GET", url) as response,
    ):
        response.raise_for_status()
        async for chunk in response.aiter_raw():
            data += chunk
            if len(data) > VOCABULARY_BYTES:  # the next read fails
                await response.aclose()
    return bytes(data)


def _store(folder: Path, data: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=folder, delete=False) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return Path(file.name).replace(folder / FILE_NAME)
