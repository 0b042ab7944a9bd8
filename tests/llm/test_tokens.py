"""Counting tokens: with the vocabulary where it is, by bytes where it is not."""

import time

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from jobping.core.ids import ProfileId
from jobping.core.match import Match
from jobping.core.model import Message, Role
from jobping.core.profile import Profile
from jobping.core.prompt import Candidate, build_prompt
from jobping.demo.model_words import count_prompt
from jobping.errors import ConfigError, FetchError
from jobping.llm.tokens import (
    FILE_NAME,
    VOCABULARY_BYTES,
    TokenBound,
    TokenCounter,
    fetch_vocabulary,
    load_counter,
)
from tests.bench.ranking import load_postings


def said(*texts: str) -> tuple[Message, ...]:
    return tuple(Message(role=Role.USER, text=text) for text in texts)


def match_of(posting) -> Match:
    return Match(
        profile_id=ProfileId(1),
        posting_id=posting.id,
        posting_version=posting.version,
        score=50,
        origin="local",
        reason="Fits",
    )


BYTES = TokenCounter()


@pytest.fixture(scope="session")
def counter(vocabulary) -> TokenCounter:
    return trio.run(load_counter, [vocabulary])


def test_bytes_bound_what_no_vocabulary_counts():
    assert BYTES.count("gpt-6-luna", said("Grüße", "a"), b"{}") == TokenBound(
        7 + 1 + 2 * 8 + 16 + 2, is_exact=False
    )


def test_vocabulary_counts_exactly(counter):
    bound = counter.count("gpt-5.4-mini", said("tiktoken is great!"), None)
    assert bound == TokenBound(6 + 8 + 16, is_exact=True)


@pytest.mark.parametrize(
    "model", ["qwen3:8b", "llama-3", "gpt-4-turbo", "gpt-3.5-turbo", "mygpt-5"]
)
def test_model_of_another_vocabulary_is_bounded_by_bytes(counter, model):
    assert counter.count(model, said("hello"), None) == TokenBound(5 + 8 + 16, is_exact=False)


@settings(max_examples=1_000, deadline=None)
@given(text=st.text(max_size=400))
def test_tokens_are_never_more_than_bytes(counter, text):
    exact = counter.count("gpt-6-luna", said(text), b"{}")
    assert exact.is_exact
    assert exact.tokens <= BYTES.count("gpt-6-luna", said(text), b"{}").tokens


@pytest.mark.parametrize(
    "text", ["<|endoftext|>", "<|endofprompt|>x", "\x00", "\ud800", "a" * 99_000, "=" * 99_000]
)
def test_hostile_text_is_counted_in_bounded_time(counter, text):
    began = time.process_time()
    assert counter.count("gpt-6-luna", said(text), None).tokens > 0
    assert time.process_time() - began < 0.25


def test_text_too_large_to_count_gets_the_byte_bound(counter):
    assert not counter.count("gpt-6-luna", said("a" * 200_000), None).is_exact


def test_count_agrees_with_the_sdk_of_the_vocabulary(counter, vocabulary, monkeypatch, tmp_path):
    tiktoken = pytest.importorskip("tiktoken")
    name = "fb374d419588a4632f3f557e76b4b70aebbca790"
    source = next(path for path in vocabulary.glob("*") if path.stat().st_size == VOCABULARY_BYTES)
    (tmp_path / name).write_bytes(source.read_bytes())
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    theirs = tiktoken.get_encoding("o200k_base")
    for text in ("Größe 12345 don't\r\n\r\n  x", "求人 100点", "a  b\t\n c", "I'LL we've", "🙂🙂"):
        ours = counter.count("gpt-6-luna", said(text), None).tokens - 24
        assert ours == len(theirs.encode_ordinary(text))


def test_recorded_postings_are_never_billed_above_their_bound(counter):
    """The local server counts less than the vocabulary, so that its bill can judge our bounds."""
    postings = list(load_postings().values())
    for start in range(0, len(postings), 20):
        pairs = [
            Candidate(posting=one, local=match_of(one)) for one in postings[start : start + 20]
        ]
        prompt = build_prompt(Profile(name="x", words=("data",)), pairs, token=bytes(16))
        texts = [message.text for message in prompt.messages]
        exact = counter.count("gpt-6-luna", prompt.messages, prompt.schema)
        assert count_prompt(texts) <= exact.tokens
        assert exact.is_exact
        assert exact.tokens < 0.5 * BYTES.count("m", prompt.messages, prompt.schema).tokens


async def test_wrong_or_missing_file_leaves_the_bytes(tmp_path):
    assert not (await load_counter([tmp_path / "nowhere"])).has_vocabulary
    (tmp_path / FILE_NAME).write_bytes(b"IQ== 0\n" * (VOCABULARY_BYTES // 7))
    assert not (await load_counter([tmp_path])).has_vocabulary


async def serve(nursery: trio.Nursery, body: bytes, status: str = "200 OK") -> str:
    async def answer(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some(65_536)
            head = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n"
            try:
                await stream.send_all(head.encode() + body)
            except trio.BrokenResourceError:
                return

    listeners = await nursery.start(trio.serve_tcp, answer, 0)
    return f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/v"


async def test_fetched_vocabulary_is_checked_stored_and_used(vocabulary, tmp_path):
    source = next(path for path in vocabulary.glob("*") if path.stat().st_size == VOCABULARY_BYTES)
    async with trio.open_nursery() as nursery:
        url = await serve(nursery, source.read_bytes())
        file = await fetch_vocabulary(tmp_path / "new", url)
        nursery.cancel_scope.cancel()
    assert file.name == FILE_NAME
    assert [path.name for path in file.parent.iterdir()] == [FILE_NAME]
    assert (await load_counter([file.parent])).has_vocabulary


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"else", "200 OK"), (b"a" * (VOCABULARY_BYTES + 9), "200 OK"), (b"", "404 Not Found")],
)
async def test_fetch_stores_nothing_else(tmp_path, body, status):
    async with trio.open_nursery() as nursery:
        url = await serve(nursery, body, status)
        with pytest.raises(FetchError, match=r"http://127\.0\.0\.1"):
            await fetch_vocabulary(tmp_path, url)
        nursery.cancel_scope.cancel()
    assert list(tmp_path.iterdir()) == []


async def test_folder_that_cannot_be_made_is_the_operators_matter(vocabulary, tmp_path):
    source = next(path for path in vocabulary.glob("*") if path.stat().st_size == VOCABULARY_BYTES)
    (tmp_path / "file").touch()
    async with trio.open_nursery() as nursery:
        url = await serve(nursery, source.read_bytes())
        with pytest.raises(ConfigError, match="file"):
            await fetch_vocabulary(tmp_path / "file", url)
        nursery.cancel_scope.cancel()
