"""A local model server: chat completions on loopback that bills every call, answered or not.

Runs inside the demo's process (`open_model_server`) or as its own (`python -m
jobping.demo.model_server`, which prints one JSON line with its port), so that daemons can be killed
around it. It knows nothing of the daemon's rules: prices, counts and plan are its own.

Besides `POST /v1/chat/completions` and `GET /v1/models` it has `GET /_bill`, `GET /_hits`,
`POST /_plan` (a list of steps, by name or spelled out), `POST /_release` and `POST /_reset`.
"""

import argparse
import hashlib
import re
import socket
import struct
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from math import ceil
from pathlib import Path
from typing import Final

import attrs
import h11
import msgspec
import trio

from jobping.demo.model_bill import PRICES, Bill, Charge, price
from jobping.demo.model_plan import OK, STEPS, Step
from jobping.demo.model_words import Reply, chunks, completion, content_of, count, count_prompt

HOST: Final = "127.0.0.1"
IDLE_S: Final = 75.0
RECEIVE_BYTES: Final = 65_536
MAX_BODY: Final = 4 << 20
CHAT: Final = "/v1/chat/completions"
_JSON: Final = "application/json"


@attrs.frozen(kw_only=True)
class Limits:
    """What a minute holds; requests that are refused count too, tokens with their maximum."""

    requests: int = 10_000
    tokens: int = 10_000_000


@attrs.frozen
class _Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@attrs.frozen
class _Answer:
    status: int
    body: bytes
    media_type: str = _JSON
    headers: tuple[tuple[str, str], ...] = ()


@attrs.define(eq=False, kw_only=True)
class ModelServer:
    """The server.

    Attributes:
        key: The only key that is let in; None: any.
        canary: What makes a `gullible` step give 100.
        markers: A pattern; what it finds in a prompt stands in the bill.
        place: `http://host:port`, once it listens.
    """

    bill: Bill = attrs.Factory(Bill)
    key: str | None = None
    limits: Limits = attrs.Factory(Limits)
    canary: str = "canary"
    markers: str = r"marker-\w+"
    place: str = ""
    _plan: list[Step] = attrs.Factory(list)
    _names: list[str] = attrs.Factory(list)
    _release: trio.Event = attrs.Factory(trio.Event)
    _arrived: trio.Event = attrs.Factory(trio.Event)
    _held: int = 0
    _in_flight: int = 0
    _most_in_flight: int = 0
    _connections: int = 0
    _ids: Counter[str] = attrs.Factory(Counter)
    _bodies: Counter[str] = attrs.Factory(Counter)
    _minute: tuple[float, int, int] = (-60.0, 0, 0)

    @property
    def base_url(self) -> str:
        """What a client is given."""
        return f"{self.place}/v1"

    def plan(self, *steps: str | Step) -> None:
        """Say what happens to the next calls; after them all is well again."""
        for step in steps:
            made = STEPS[step] if isinstance(step, str) else step
            name = step if isinstance(step, str) else "own"
            self._plan += [made] * made.times
            self._names += [name] * made.times

    def release(self) -> None:
        """Let the calls go on that a step holds."""
        self._release.set()
        self._release = trio.Event()

    async def wait_held(self, calls: int) -> None:
        """Wait until so many calls wait for a release."""
        while self._held < calls:
            await self._arrived.wait()
        await trio.lowlevel.checkpoint()

    async def listen(self) -> list[trio.SocketListener]:
        """Bind a free port of loopback and learn the place."""
        listeners = await trio.open_tcp_listeners(0, host=HOST)
        self.place = f"http://{HOST}:{listeners[0].socket.getsockname()[1]}"
        return listeners

    async def serve(self, listeners: Sequence[trio.SocketListener]) -> None:
        """Answer until cancelled."""
        await trio.serve_listeners(self._converse, list(listeners))

    async def _converse(self, stream: trio.SocketStream) -> None:
        self._connections += 1
        connection = h11.Connection(h11.SERVER)
        try:
            async with stream:
                while request := await _read(connection, stream):
                    can_go_on = await self._answer(request, stream)
                    if not can_go_on or request.headers.get("connection") == "close":
                        return
                    connection = h11.Connection(h11.SERVER)
        except (trio.BrokenResourceError, trio.TooSlowError, h11.RemoteProtocolError):
            pass  # the client left, stopped reading, or speaks something else

    async def _answer(self, request: _Request, stream: trio.SocketStream) -> bool:
        """Answer one request; return whether the connection can be used again."""
        if request.path != CHAT or request.method != "POST":
            await _send(stream, _whole(self._beside(request)))
            return True
        self._in_flight += 1
        self._most_in_flight = max(self._most_in_flight, self._in_flight)
        try:
            return await self._chat(request, stream)
        finally:
            self._in_flight -= 1

    def _beside(self, request: _Request) -> _Answer:
        """Everything but chat."""
        match request.method, request.path:
            case "GET", "/v1/models":
                rows = [{"id": name, "object": "model"} for name in PRICES]
                return _json(200, {"object": "list", "data": rows})
            case "GET", "/_bill":
                charges = [msgspec.to_builtins(charge) for charge in self.bill.charges]
                whole = {"tokens": self.bill.tokens, "cost_nanousd": str(self.bill.cost)}
                return _json(200, {**whole, "charges": charges})
            case "GET", "/_hits":
                return _json(200, self._hits())
            case "POST", "/_plan":
                for entry in msgspec.json.decode(request.body, type=list[dict[str, object]]):
                    name = str(entry.pop("name", "ok"))
                    base = msgspec.to_builtins(STEPS[name])
                    self._names += [name] * int(str(entry.get("times", 1)))
                    step = msgspec.convert({**base, **entry}, type=Step)
                    self._plan += [step] * step.times
                return _json(200, {"planned": len(self._plan)})
            case "POST", "/_release":
                self.release()
                return _json(200, {})
            case "POST", "/_reset":
                self._plan.clear()
                self._names.clear()
                self.release()
                return _json(200, {})
            case _:
                return _json(404, {"error": {"message": "", "type": "", "code": "not_found"}})

    def _hits(self) -> dict[str, object]:
        return {
            "connections": self._connections,
            "most_in_flight": self._most_in_flight,
            "held": self._held,
            "by_id": dict(self._ids),
            "most_of_one_body": max(self._bodies.values(), default=0),
        }

    async def _chat(self, request: _Request, stream: trio.SocketStream) -> bool:
        step = self._plan.pop(0) if self._plan else OK
        name = self._names.pop(0) if self._names else "ok"
        digest = hashlib.sha256(request.body).hexdigest()
        self._ids[request.headers.get("x-client-request-id", "")] += 1
        self._bodies[digest] += 1
        await self._hold(step, "received")
        asked = _asked(request.body)
        step = self._judge(request, asked, step)
        reply = self._reply(asked, step)
        charge = self._charge(request, asked, reply, step, name, digest)
        self.bill.add(charge)
        await self._hold(step, "billed")
        answer = _finish(asked, reply, charge, step, self._limit_headers())
        whole = await self._deliver(stream, answer, step, charge)
        return whole and step.fate == "whole"

    async def _hold(self, step: Step, point: str) -> None:
        if step.hold == point:
            self._held += 1
            self._arrived.set()
            self._arrived = trio.Event()
            try:
                await self._release.wait()
            finally:
                self._held -= 1

    def _judge(self, request: _Request, asked: "_Asked | None", step: Step) -> Step:
        """Refuse what a real server refuses; otherwise the step stands."""
        if self.key is not None and request.headers.get("authorization") != f"Bearer {self.key}":
            return STEPS["unauthorized"]
        if asked is None:
            return STEPS["bad_parameter"]
        if asked.model == "no-such-model":
            return STEPS["no_model"]
        if not self._admit(asked):
            return STEPS["throttle_requests"]
        return step

    def _admit(self, asked: "_Asked") -> bool:
        now = trio.current_time()
        began, requests, tokens = self._minute
        if now - began >= 60:
            began, requests, tokens = now, 0, 0
        requests += 1
        tokens += count_prompt(asked.messages) + asked.maximum
        self._minute = (began, requests, tokens)
        return requests <= self.limits.requests and tokens <= self.limits.tokens

    def _limit_headers(self) -> tuple[tuple[str, str], ...]:
        began, requests, tokens = self._minute
        reset = f"{max(began + 60 - trio.current_time(), 0):.3f}s"
        most = self.limits
        return (
            ("x-ratelimit-limit-requests", str(most.requests)),
            ("x-ratelimit-limit-tokens", str(most.tokens)),
            ("x-ratelimit-remaining-requests", str(max(most.requests - requests, 0))),
            ("x-ratelimit-remaining-tokens", str(max(most.tokens - tokens, 0))),
            ("x-ratelimit-reset-requests", reset),
            ("x-ratelimit-reset-tokens", reset),
        )

    def _reply(self, asked: "_Asked | None", step: Step) -> Reply:
        if asked is None or not step.is_billed:
            return Reply(text="")
        text = content_of(step.content, asked.messages, canary=self.canary)
        most = min(asked.maximum, count(text) + step.reasoning_tokens)
        if step.finish == "length" or count(text) + step.reasoning_tokens > asked.maximum:
            kept = text[: len(text) // 2] if step.finish == "length" else text[: 4 * most]
            return Reply(text=kept, finish="length", output_tokens=most)
        return Reply(text=text, finish=step.finish, output_tokens=most)

    def _charge(
        self,
        request: _Request,
        asked: "_Asked | None",
        reply: Reply,
        step: Step,
        name: str,
        digest: str,
    ) -> Charge:
        sequence = len(self.bill.charges)
        asked_model = asked.model if asked else ""
        asked_tier = asked.tier if asked else "default"
        charge = Charge(
            sequence=sequence,
            client_id=request.headers.get("x-client-request-id", ""),
            request_id=f"req_{sequence:06d}",
            asked_model=asked_model,
            model=step.model or asked_model,
            asked_tier=asked_tier,
            tier=step.service_tier or asked_tier,
            status=step.status,
            is_billed=step.is_billed,
            step=name,
            markers=tuple(re.findall(self.markers, request.body.decode("utf-8", "replace"))),
            body_sha256=digest,
        )
        if asked is None or not step.is_billed:
            return charge
        prompt = ceil(count_prompt(asked.messages) * step.overrun)
        cached = int(prompt * step.cached_share)
        written = min(int(prompt * step.written_share), prompt - cached)
        output = ceil(reply.output_tokens * step.overrun)
        counts = (prompt - cached - written, cached, written, output)
        return attrs.evolve(
            charge,
            prompt_tokens=prompt,
            cached_tokens=cached,
            written_tokens=written,
            completion_tokens=output,
            reasoning_tokens=min(step.reasoning_tokens, output),
            cost_nanousd=str(price(charge.model, charge.tier, counts)),
        )

    async def _deliver(
        self, stream: trio.SocketStream, answer: _Answer, step: Step, charge: Charge
    ) -> bool:
        """Send as much of the answer as the step lets through; return whether it was all."""
        if step.fate == "hang":
            await trio.sleep_forever()
        await trio.sleep(step.head_delay_s)
        data = _whole(answer)
        if step.fate != "whole":
            data = data[: step.cut_at]
        half = len(data) // 2
        if step.drip_s:
            for start in range(len(data)):
                await _send(stream, data[start : start + 1])
                await trio.sleep(step.drip_s)
        else:
            await _send(stream, data[:half])
            await self._hold(step, "half_sent")
            await _send(stream, data[half:])
        if step.fate == "reset":
            linger = struct.pack("ii", 1, 0)
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        is_whole = step.fate == "whole"
        if data:
            self.bill.add(attrs.evolve(charge, delivered="whole" if is_whole else "part"))
        return is_whole


@attrs.frozen
class _Asked:
    """A request for a completion, as far as it matters here."""

    model: str
    messages: tuple[str, ...]
    maximum: int
    tier: str
    is_stream: bool
    wants_usage: bool


def _asked(body: bytes) -> _Asked | None:
    try:
        fields = msgspec.json.decode(body, type=dict[str, object])
        messages = msgspec.convert(fields.get("messages"), type=list[dict[str, object]])
    except msgspec.MsgspecError:
        return None
    maximum = fields.get("max_completion_tokens", fields.get("max_tokens", 4_096))
    options = fields.get("stream_options")
    tier = fields.get("service_tier")
    return _Asked(
        model=str(fields.get("model", "")),
        messages=tuple(str(message.get("content", "")) for message in messages),
        maximum=maximum if isinstance(maximum, int) else 4_096,
        tier=tier if isinstance(tier, str) and tier != "auto" else "default",
        is_stream=fields.get("stream") is True,
        wants_usage=isinstance(options, dict) and options.get("include_usage") is True,
    )


def _finish(
    asked: _Asked | None,
    reply: Reply,
    charge: Charge,
    step: Step,
    limits: tuple[tuple[str, str], ...],
) -> _Answer:
    """Put the answer together, or what the step makes of it."""
    headers = (("x-request-id", charge.request_id), *limits, *step.headers)
    match step.shape:
        case "html":
            return _Answer(step.status, b"<html>busy</html>", "text/html", headers)
        case "list":
            return _Answer(step.status, b"[1, 2]", _JSON, headers)
        case "none":
            return _Answer(step.status, b"", _JSON, headers)
        case "json" | "broken":
            pass
    if any(step.error):
        kind, code = step.error
        error = {"message": f"{code or kind}: as planned", "type": kind, "param": None}
        return _with(_json(step.status, {"error": {**error, "code": code or None}}), headers)
    if step.status != HTTPStatus.OK:
        return _Answer(step.status, b"", _JSON, headers)
    if asked is not None and asked.is_stream:
        body = chunks(reply, charge, step, wants_usage=asked.wants_usage)
        return _Answer(200, body, "text/event-stream", headers)
    whole = _with(_json(200, completion(reply, charge, step)), headers)
    return attrs.evolve(whole, body=whole.body[:-9]) if step.shape == "broken" else whole


def _json(status: int, value: object) -> _Answer:
    return _Answer(status, msgspec.json.encode(value))


def _with(answer: _Answer, headers: tuple[tuple[str, str], ...]) -> _Answer:
    return attrs.evolve(answer, headers=headers)


def _whole(answer: _Answer) -> bytes:
    """The bytes of an answer; written by hand, so that they can be cut anywhere."""
    phrase = HTTPStatus(answer.status).phrase
    fields = [("content-type", answer.media_type), ("content-length", str(len(answer.body)))]
    lines = [f"{name}: {value}" for name, value in (*fields, *answer.headers)]
    return (
        "\r\n".join((f"HTTP/1.1 {answer.status} {phrase}", *lines, "", "")).encode() + answer.body
    )


async def _send(stream: trio.SocketStream, data: bytes) -> None:
    with trio.fail_after(IDLE_S):
        await stream.send_all(data)


async def _read(connection: h11.Connection, stream: trio.SocketStream) -> _Request | None:
    """Return the next request; None when the client is done."""
    head: h11.Request | None = None
    body = bytearray()
    with trio.fail_after(IDLE_S):
        while True:  # noqa: ASYNC913  what was received is soon used up
            match connection.next_event():
                case h11.NEED_DATA:
                    connection.receive_data(await stream.receive_some(RECEIVE_BYTES))
                case h11.Request() as head:
                    pass
                case h11.Data(data=data) if len(body) < MAX_BODY:
                    body += data
                case h11.EndOfMessage() if head is not None:
                    names = {name.decode(): value.decode("latin-1") for name, value in head.headers}
                    path = head.target.decode("ascii", "replace").partition("?")[0]
                    return _Request(head.method.decode(), path, names, bytes(body))
                case _:
                    return None


@asynccontextmanager
async def open_model_server(server: ModelServer | None = None) -> AsyncIterator[ModelServer]:
    """Serve on loopback while the block runs."""
    opened = server or ModelServer()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(opened.serve, await opened.listen())
        yield opened
        nursery.cancel_scope.cancel()


async def _main(bill: Path | None) -> None:
    server = ModelServer(bill=Bill(bill))
    listeners = await server.listen()
    sys.stdout.write(f'{{"base_url": "{server.base_url}", "place": "{server.place}"}}\n')
    sys.stdout.flush()
    await server.serve(listeners)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A local model server that bills every call.")
    parser.add_argument("--bill", type=Path, help="the file of the bill; kept over restarts")
    trio.run(_main, parser.parse_args().bill)
