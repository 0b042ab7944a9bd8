"""The local model server: its bill against sums worked by hand, and what a plain socket gets."""

import json
import subprocess
import sys
from fractions import Fraction

import attrs
import pytest
import trio

from jobping.demo.model_bill import Bill, Charge, price
from jobping.demo.model_plan import STEPS, Step
from jobping.demo.model_server import Limits, ModelServer, open_model_server

PROMPT = '{"wants":["nurse"]}\n=== f ===\n{"id":"a1","title":"Night nurse","text":"marker-7"}'
BODY = {
    "model": "gpt-5.6-luna",
    "messages": [{"role": "user", "content": PROMPT}],
    "max_completion_tokens": 200,
}


async def ask(place: str, body: object = None, *, path="/v1/chat/completions", **headers) -> bytes:
    """All that comes over a plain socket, until the server closes or a second is silent."""
    data = b"" if body is None else json.dumps(body).encode()
    lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", "host: x", "connection: close"]
    lines += [f"content-length: {len(data)}", *(f"{k}: {v}" for k, v in headers.items())]
    stream = await trio.open_tcp_stream("127.0.0.1", int(place.rpartition(":")[2]))
    received = b""
    async with stream:
        await stream.send_all("\r\n".join((*lines, "", "")).encode() + data)
        with trio.move_on_after(0.5):
            try:
                while chunk := await stream.receive_some():
                    received += chunk
            except trio.BrokenResourceError:
                received += b"<reset>"
    return received


def content(answer: bytes) -> dict:
    return json.loads(answer.partition(b"\r\n\r\n")[2])


@pytest.fixture
async def server():
    async with open_model_server() as opened:
        yield opened


@pytest.mark.parametrize(
    ("model", "tier", "counts", "nanousd"),
    [
        ("gpt-6-luna", "default", (4_558, 0, 0, 1_400), Fraction(1_155_800)),
        ("gpt-5.6-luna", "default", (100, 1_000, 300, 50), Fraction(175_000)),
        ("gpt-5.4-mini", "default", (1, 0, 0, 0), Fraction(750)),
        ("gpt-5.4-mini", "default", (0, 1, 0, 1), Fraction(4_575)),
        ("gpt-5.4-mini", "flex", (1, 0, 0, 1), Fraction(2_625)),
        ("gpt-5.6-terra", "priority", (10, 0, 4, 2), Fraction(108_000)),
        ("gpt-4o-mini", "default", (10, 0, 0, 20), Fraction(13_500)),
        ("gpt-5-mini", "default", (0, 1, 0, 0), Fraction(25)),
        ("qwen3:8b", "default", (9, 9, 9, 9), Fraction(0)),
    ],
)
def test_price_is_the_sum_worked_by_hand(model, tier, counts, nanousd):
    assert price(model, tier, counts) == nanousd


async def test_answer_and_bill_say_the_same(server):
    answer = content(await ask(server.place, BODY, **{"x-client-request-id": "c-1"}))
    [charge] = server.bill.charges
    assert answer["usage"]["prompt_tokens"] == charge.prompt_tokens
    assert answer["usage"]["total_tokens"] == charge.tokens
    assert (charge.client_id, charge.delivered) == ("c-1", "whole")
    assert charge.markers == ("marker-7",)
    assert charge.cost == (charge.prompt_tokens * 200 + charge.completion_tokens * 1_200)
    ranked = json.loads(answer["choices"][0]["message"]["content"])
    assert ranked == {"matches": [{"id": "a1", "score": 60, "reason": "Speaks of nurse."}]}


async def test_stream_ends_with_the_usage_where_it_is_wanted(server):
    streamed = {**BODY, "stream": True, "stream_options": {"include_usage": True}}
    answer = await ask(server.place, streamed)
    events = [line[6:] for line in answer.split(b"\n") if line.startswith(b"data: ")]
    *parts, last, end = events
    [charge] = server.bill.charges
    assert end == b"[DONE]"
    assert json.loads(last)["usage"]["total_tokens"] == charge.tokens
    deltas = [json.loads(part)["choices"][0]["delta"].get("content", "") for part in parts]
    assert json.loads("".join(deltas))["matches"][0]["id"] == "a1"


@pytest.mark.parametrize("name", STEPS)
async def test_call_is_billed_as_its_step_says_whatever_the_client_sees(server, name):
    server.plan(name)
    answer = await ask(server.place, BODY)
    step, [charge] = STEPS[name], server.bill.charges
    assert (charge.cost > 0) is step.is_billed
    seen = {"hang": b"", "close_before_head": b"", "reset": b"<reset>", "slow_head": b""}
    if name in seen:
        assert (answer, charge.delivered) == (seen[name], "none")
    else:
        status = b"HTTP/1.1 %d " % step.status
        assert answer.startswith(status if len(answer) >= len(status) else b"HTTP")


async def test_half_an_answer_is_billed_whole(server):
    server.plan("cut_body")
    cut, whole = await ask(server.place, BODY), await ask(server.place, BODY)
    first, second = server.bill.charges
    assert len(whole) - 90 < len(cut) < len(whole) - 50
    assert first.cost == second.cost
    assert (first.delivered, second.delivered) == ("part", "whole")


async def test_bill_is_written_before_a_byte_of_the_answer(tmp_path):
    server = ModelServer(bill=Bill(tmp_path / "bill"))
    server.plan(Step(hold="billed"), Step(hold="received"))
    async with open_model_server(server), trio.open_nursery() as nursery:
        nursery.start_soon(ask, server.place, BODY)
        await server.wait_held(1)
        assert [charge.delivered for charge in Bill(tmp_path / "bill").charges] == ["none"]
        nursery.start_soon(ask, server.place, BODY)
        await server.wait_held(2)
        assert len(Bill(tmp_path / "bill").charges) == 1
        server.release()
    read_again = Bill(tmp_path / "bill")
    assert [charge.delivered for charge in read_again.charges] == ["whole", "whole"]
    assert (read_again.cost, read_again.tokens) == (server.bill.cost, server.bill.tokens)


async def test_wrong_key_and_wrong_body_are_refused_unbilled(server):
    server.key = "k"
    refused = await ask(server.place, BODY, authorization="Bearer other")
    malformed = await ask(server.place, [1], authorization="Bearer k")
    assert [answer[9:12] for answer in (refused, malformed)] == [b"401", b"400"]
    assert server.bill.cost == 0


async def test_limits_of_a_minute_refuse_and_tell_what_is_left(server):
    server.limits = Limits(requests=2, tokens=10_000)
    answers = [await ask(server.place, BODY) for _ in range(3)]
    assert [answer[9:12] for answer in answers] == [b"200", b"200", b"429"]
    assert b"x-ratelimit-remaining-requests: 0\r\n" in answers[1]


async def test_plan_bill_and_hits_are_there_over_http(server):
    await ask(server.place, [{"name": "quota_gone"}, {"overrun": 3.0}], path="/_plan")
    answers = [await ask(server.place, BODY) for _ in range(3)]
    assert [answer[9:12] for answer in answers] == [b"429", b"200", b"200"]
    bill = content(await ask(server.place, path="/_bill"))
    assert bill["tokens"] == server.bill.tokens
    prompts = [charge["prompt_tokens"] for charge in bill["charges"]]
    assert prompts == [0, 3 * prompts[2], prompts[2]]
    hits = content(await ask(server.place, path="/_hits"))
    assert (hits["most_in_flight"], hits["most_of_one_body"]) == (1, 3)


async def test_gullible_model_gives_all_to_the_canary(server):
    server.plan("gullible")
    prompt = PROMPT.replace("marker-7", "canary")
    answer = content(
        await ask(server.place, {**BODY, "messages": [{"role": "user", "content": prompt}]})
    )
    assert '"score":100' in answer["choices"][0]["message"]["content"]


async def test_answer_that_needs_more_than_its_maximum_is_cut(server):
    answer = content(await ask(server.place, {**BODY, "max_completion_tokens": 5}))
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 5


def test_bill_of_several_charges_is_their_sum():
    charge = Charge(
        sequence=0,
        client_id="",
        request_id="",
        asked_model="m",
        model="m",
        asked_tier="default",
        tier="default",
        prompt_tokens=3,
        cost_nanousd="1/2",
    )
    bill = Bill()
    for sequence in range(3):
        bill.add(attrs.evolve(charge, sequence=sequence))
    assert (bill.cost, bill.tokens) == (Fraction(3, 2), 9)


async def test_server_runs_as_a_process_of_its_own(tmp_path):
    command = [sys.executable, "-m", "jobping.demo.model_server", "--bill", tmp_path / "bill"]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
    try:
        place = json.loads(await process.stdout.receive_some())["place"]
        assert content(await ask(place, BODY))["model"] == "gpt-5.6-luna"
    finally:
        process.kill()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
            await process.wait()
    assert len(Bill(tmp_path / "bill").charges) == 1
