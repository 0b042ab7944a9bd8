"""The client against a server that answers, refuses, hangs, cuts and talks nonsense."""

import contextlib
import json
import logging
import socket

import pytest
import trio

from jobping.core.model import Dialect, Usage
from jobping.demo.model_plan import Step
from jobping.errors import (
    Billing,
    ModelError,
    ModelQuotaGone,
    ModelRejected,
    ModelThrottled,
    ModelTimedOut,
    ModelUnavailable,
)
from jobping.llm import open_model
from jobping.llm.place import ModelPlace
from tests.llm.conftest import KEY, open_client, request


def soon(seconds: float = 5.0) -> float:
    return trio.current_time() + seconds


async def failure(client, seconds: float = 5.0, **fields) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await client.complete(request(**fields), soon(seconds))
    return caught.value


async def test_answer_holds_text_usage_and_who_gave_it(server, client):
    answer = await client.complete(request(), soon())
    [charge] = server.bill.charges
    assert json.loads(answer.text)["matches"][0]["id"] == "a1"
    assert answer.usage == Usage(
        input_tokens=charge.prompt_tokens, output_tokens=charge.completion_tokens
    )
    assert (answer.model, answer.service_tier, answer.finish) == ("gpt-5.4-mini", "default", "stop")
    assert answer.request_id == charge.request_id
    assert ("x-ratelimit-limit-requests", "10000") in answer.headers
    assert charge.client_id == "r-1"


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (Step(cached_share=0.5), "cached_tokens"),
        (Step(written_share=0.25), "cache_write_tokens"),
        (Step(reasoning_tokens=40), "reasoning_tokens"),
    ],
)
async def test_usage_tells_the_kinds_of_tokens(server, client, step, expected):
    server.plan(step)
    usage = (await client.complete(request(), soon())).usage
    [charge] = server.bill.charges
    assert usage == Usage(
        input_tokens=charge.prompt_tokens,
        cached_tokens=charge.cached_tokens,
        cache_write_tokens=charge.written_tokens,
        output_tokens=charge.completion_tokens,
        reasoning_tokens=charge.reasoning_tokens,
    )
    assert getattr(usage, expected) > 0


@pytest.mark.parametrize(
    ("name", "kind", "billing", "status"),
    [
        ("unauthorized", ModelRejected, Billing.NOT_BILLED, 401),
        ("no_model", ModelRejected, Billing.NOT_BILLED, 404),
        ("bad_parameter", ModelRejected, Billing.NOT_BILLED, 400),
        ("throttle_requests", ModelThrottled, Billing.NOT_BILLED, 429),
        ("throttle_tokens", ModelThrottled, Billing.NOT_BILLED, 429),
        ("flex_unavailable", ModelThrottled, Billing.NOT_BILLED, 429),
        ("throttle_html", ModelThrottled, Billing.UNKNOWN, 429),
        ("quota_gone", ModelQuotaGone, Billing.NOT_BILLED, 429),
        ("server_error", ModelUnavailable, Billing.UNKNOWN, 500),
        ("overloaded", ModelUnavailable, Billing.UNKNOWN, 503),
        ("error_billed", ModelUnavailable, Billing.UNKNOWN, 500),
        ("html_error", ModelUnavailable, Billing.UNKNOWN, 502),
        ("redirect", ModelUnavailable, Billing.UNKNOWN, 302),
        ("html_200", ModelUnavailable, Billing.UNKNOWN, 200),
        ("broken_json", ModelUnavailable, Billing.UNKNOWN, 200),
        ("list_json", ModelUnavailable, Billing.UNKNOWN, 200),
        ("close_before_head", ModelUnavailable, Billing.UNKNOWN, None),
        ("reset", ModelUnavailable, Billing.UNKNOWN, None),
        ("cut_head", ModelUnavailable, Billing.UNKNOWN, None),
        ("cut_body", ModelUnavailable, Billing.UNKNOWN, None),
        ("hang", ModelTimedOut, Billing.UNKNOWN, None),
        ("slow_head", ModelTimedOut, Billing.UNKNOWN, None),
        ("drip", ModelTimedOut, Billing.UNKNOWN, None),
    ],
)
async def test_failure_is_mapped_with_its_bill_after_exactly_one_attempt(
    server, client, name, kind, billing, status
):
    server.plan(name)
    error = await failure(client, 0.7)
    assert (type(error), error.billing, error.status) == (kind, billing, status)
    [charge] = server.bill.charges
    assert not charge.is_billed or billing is Billing.UNKNOWN  # what may be billed is never freed
    assert (await client.complete(request(), soon())).finish == "stop"  # it can be asked again


@pytest.mark.parametrize("status", [402, 403, 405, 408, 409, 413, 418, 422, 502, 504, 507])
@pytest.mark.parametrize("shape", ["json", "html"])
async def test_only_listed_statuses_with_a_json_body_free_the_reservation(
    server, client, status, shape
):
    server.plan(Step(status=status, shape=shape, error=("some_type", "some_code")))
    error = await failure(client)
    is_free = status in {402, 403, 413, 422} and shape == "json"
    assert error.billing is (Billing.NOT_BILLED if is_free else Billing.UNKNOWN)


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ((("retry-after-ms", "1500"), ("retry-after", "2")), 1.5),
        ((("retry-after", "6"),), 6.0),
        ((("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT"),), None),
        ((("retry-after", "-5"),), None),
        ((("retry-after", "soon"),), None),
        ((), None),
    ],
)
async def test_throttled_says_how_long_to_wait(server, client, headers, wait_s):
    server.plan(
        Step(status=429, is_billed=False, error=("requests", "rate_limit"), headers=headers)
    )
    error = await failure(client)
    assert isinstance(error, ModelThrottled)
    assert error.retry_after_s == wait_s


@pytest.mark.parametrize("usage", ["absent", "null", "text", "negative", "huge", "details"])
async def test_usage_that_does_not_add_up_is_none(server, client, usage):
    server.plan(Step(usage=usage))
    assert (await client.complete(request(), soon())).usage is None


@pytest.mark.parametrize("finish", ["length", "content_filter", "refusal"])
async def test_answer_says_why_it_is_not_complete(server, client, finish):
    server.plan(finish)
    answer = await client.complete(request(), soon())
    assert answer.finish == finish
    assert answer.usage is not None


async def test_answered_model_and_tier_are_told_as_they_were(server, client):
    server.plan(Step(model="gpt-5.4-mini-2026-03-17", service_tier="flex"), Step(service_tier=""))
    other = await client.complete(request(), soon())
    silent = await client.complete(request(), soon())
    assert (other.model, other.service_tier) == ("gpt-5.4-mini-2026-03-17", "flex")
    assert (silent.model, silent.service_tier) == ("gpt-5.4-mini", None)


async def test_nothing_is_sent_when_no_time_is_left(server, client):
    error = await failure(client, -1.0)
    assert (type(error), error.billing) == (ModelTimedOut, Billing.NOT_SENT)
    assert server.bill.charges == []


async def test_refused_connection_is_provably_unsent():
    with socket.socket() as bound:  # bound and not listening
        bound.bind(("127.0.0.1", 0))
        async with open_client(f"http://127.0.0.1:{bound.getsockname()[1]}/v1") as client:
            error = await failure(client)
    assert (type(error), error.billing) == (ModelUnavailable, Billing.NOT_SENT)


async def test_unknown_name_is_provably_unsent():
    async with open_client("https://model.invalid/v1") as client:
        error = await failure(client)
    assert (type(error), error.billing) == (ModelUnavailable, Billing.NOT_SENT)


async def test_tls_that_is_none_is_provably_unsent(server):
    place = server.place.replace("http:", "https:")
    async with open_client(f"{place}/v1") as client:
        error = await failure(client)
    assert (type(error), error.billing) == (ModelUnavailable, Billing.NOT_SENT)
    assert server.bill.charges == []


async def test_accepted_connection_that_is_closed_may_have_been_billed():
    async def close(stream: trio.SocketStream) -> None:
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, close, 0)
        port = listeners[0].socket.getsockname()[1]
        async with open_client(f"http://127.0.0.1:{port}/v1") as client:
            error = await failure(client)
        nursery.cancel_scope.cancel()
    assert (type(error), error.billing) == (ModelUnavailable, Billing.UNKNOWN)


@pytest.mark.parametrize(
    "head",
    [b"content-length: 9000000\r\n", b"content-encoding: gzip\r\ncontent-length: 9000000\r\n"],
)
async def test_answer_without_end_or_encoded_is_given_up(head):
    async def flood(stream: trio.SocketStream) -> None:
        await stream.receive_some(65_536)
        with contextlib.suppress(trio.BrokenResourceError):
            await stream.send_all(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
            while True:
                await stream.send_all(b" " * 65_536)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, flood, 0)
        port = listeners[0].socket.getsockname()[1]
        async with open_client(f"http://127.0.0.1:{port}/v1") as client:
            error = await failure(client)
        nursery.cancel_scope.cancel()
    assert (type(error), error.billing) == (ModelUnavailable, Billing.UNKNOWN)


async def test_cancelled_call_leaves_a_client_that_works(server, client):
    server.plan("hang")
    with trio.move_on_after(0.2) as scope:
        await client.complete(request(), soon())
    assert scope.cancelled_caught
    assert (await client.complete(request(), soon())).finish == "stop"
    assert len(server.bill.charges) == 2


async def test_several_calls_at_once_share_the_client(server, client):
    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(client.complete, request(request_id=f"r-{number}"), soon(20))
    assert sorted({charge.client_id for charge in server.bill.charges}) == sorted(
        f"r-{number}" for number in range(20)
    )


async def captured(**fields) -> tuple[dict[str, str], dict]:
    """The head and the body that a client really sends."""
    seen: list[bytes] = []

    async def answer(stream: trio.SocketStream) -> None:
        data = b""
        while b"\r\n\r\n" not in data or len(data.split(b"\r\n\r\n", 1)[1]) < length(data):
            data += await stream.receive_some(65_536)
        seen.append(data)
        await stream.send_all(b"HTTP/1.1 500 Oh\r\ncontent-length: 2\r\n\r\n{}")

    def length(data: bytes) -> int:
        lines = data.split(b"\r\n\r\n", 1)[0].lower().split(b"\r\n")
        return next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))

    wanted = {name: fields.pop(name) for name in ("model", "service_tier") if name in fields}
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, answer, 0)
        port = listeners[0].socket.getsockname()[1]
        async with open_client(f"http://127.0.0.1:{port}/v1", **fields) as client:
            await failure(client, **wanted)
        nursery.cancel_scope.cancel()
    head, _, body = seen[0].partition(b"\r\n\r\n")
    lines = [line.decode().partition(": ") for line in head.split(b"\r\n")[1:]]
    return {name.lower(): value for name, _, value in lines}, json.loads(body)


async def test_request_holds_what_we_mean_and_nothing_of_the_environment(monkeypatch):
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_ADMIN_KEY", "HTTP_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:1/{name}")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Spy: yes\nAuthorization: Bearer other")
    head, body = await captured(organization="org-1")
    assert head.keys() == {
        "host", "accept", "accept-encoding", "connection", "content-type", "content-length",
        "user-agent", "x-client-request-id", "authorization", "openai-organization",
    }  # fmt: skip
    assert head["authorization"] == f"Bearer {KEY}"
    assert head["openai-organization"] == "org-1"
    assert body.keys() == {
        "model", "messages", "response_format", "max_completion_tokens", "store", "service_tier",
        "reasoning_effort",
    }  # fmt: skip
    assert body["response_format"]["json_schema"]["strict"] is True
    assert (body["store"], body["max_completion_tokens"]) == (False, 260)


async def test_compatible_server_gets_only_what_all_of_them_take():
    head, body = await captured(dialect=Dialect.COMPATIBLE, key=None, model="qwen3:8b")
    assert body.keys() == {"model", "messages", "response_format", "max_tokens"}
    assert "authorization" not in head


@pytest.mark.parametrize(
    ("model", "effort", "cache"),
    [
        ("gpt-4o-mini", None, None),
        ("gpt-4.1-mini", None, None),
        ("gpt-5-mini", "minimal", None),
        ("gpt-5.4-mini", "none", None),
        ("gpt-5.6-luna", "none", {"mode": "explicit"}),
        ("gpt-6-luna", "none", {"mode": "explicit"}),
        ("o4-mini", "low", None),
    ],
)
async def test_model_gets_the_least_reasoning_and_no_paid_cache(model, effort, cache):
    _head, body = await captured(model=model, service_tier=None)
    assert body.get("reasoning_effort") == effort
    assert body.get("prompt_cache_options") == cache
    assert "service_tier" not in body


@pytest.mark.parametrize(
    "name", ["unauthorized", "server_error", "html_error", "hang", "reset", "bad_parameter"]
)
async def test_key_and_prompt_stand_in_no_error_and_no_log(server, caplog, name):
    caplog.set_level(logging.DEBUG)
    async with open_client(server.base_url) as client:
        server.plan(name)
        error = await failure(client, 0.4)
    shown = [error, error.__cause__, error.__context__ if not error.__suppress_context__ else None]
    texts = [*map(repr, shown), *(record.getMessage() for record in caplog.records)]
    assert not [text for text in texts if KEY in text or "wants" in text]


async def test_open_model_imports_and_closes(server):
    place = ModelPlace(base_url=server.base_url, key=KEY)
    async with open_model(place) as model:
        assert (await model.complete(request(), soon())).finish == "stop"
    with pytest.raises(RuntimeError, match="closed"):
        await model.complete(request(), soon())
    assert KEY not in repr(place)


@pytest.mark.parametrize(
    ("url", "fields"),
    [
        ("ftp://a.example/v1", {}),
        ("https://user:pw@a.example/v1", {}),
        ("https://a.example\\.evil.example/v1", {}),
        ("https:///v1", {}),
        ("http://a.example/v1", {}),
        ("http://192.168.1.5:8000/v1", {}),
        ("http://0x7f.1/v1", {}),
    ],
)
def test_place_that_would_show_the_key_or_is_no_url_is_refused(url, fields):
    with pytest.raises(ValueError, match=r"usable|clear"):
        ModelPlace(base_url=url, key=KEY, **fields)


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://a.example/v1", KEY),
        ("http://127.0.0.1:8000/v1", KEY),
        ("http://[::1]:8000/v1", KEY),
        ("http://localhost:11434/v1", KEY),
        ("http://192.168.1.5:8000/v1", None),
    ],
)
def test_place_of_the_operators_own_is_taken(url, key):
    assert ModelPlace(base_url=url, key=key).base_url == url
