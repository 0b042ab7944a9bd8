"""A model that answers as a test says, and bills: a double of `llm.client.ModelClient`."""

import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import attrs
import trio

from jobping.core.ids import Monotonic
from jobping.core.model import Message, ModelAnswer, ModelRequest, Usage
from jobping.errors import Billing, ModelError, ModelTimedOut
from jobping.llm.protocol import TokenBound

Behave = Callable[[ModelRequest], Awaitable[ModelAnswer]]


def ids_in(request: ModelRequest) -> list[str]:
    """Return the ids of the postings in a prompt, in order."""
    found = []
    for message in request.messages:
        for line in message.text.splitlines():
            if line.startswith('{"id":'):
                found.append(json.loads(line)["id"])
    return found


def text_of(ids: Sequence[str], score: int = 77) -> str:
    items = [{"id": id, "score": score, "reason": f"Fits, {score}."} for id in ids]
    return json.dumps({"matches": items})


def answer_to(
    request: ModelRequest, text: str | None = None, *, usage: Usage | None = None, **fields: object
) -> ModelAnswer:
    """Return a good answer: every posting scored, billed a third of the bound."""
    values = {
        "text": text_of(ids_in(request)) if text is None else text,
        "usage": usage
        or Usage(
            input_tokens=request.prompt_tokens_bound // 3,
            output_tokens=request.max_output_tokens // 3,
        ),
        "model": request.model,
        "service_tier": request.service_tier,
        "finish": "stop",
        "request_id": "req-1",
    }
    return ModelAnswer(**(values | fields))


def failing(error: ModelError) -> Behave:
    async def behave(request: ModelRequest) -> ModelAnswer:
        await trio.lowlevel.checkpoint()
        raise error

    return behave


def after(seconds: float, text: str | None = None, **fields: object) -> Behave:
    async def behave(request: ModelRequest) -> ModelAnswer:
        await trio.sleep(seconds)
        return answer_to(request, text, **fields)

    return behave


@attrs.define(eq=False)
class ScriptedModel:
    """Takes behaviours one by one, the last for ever; bills every request when it comes.

    Attributes:
        requests: All that came.
        most_at_once: Requests that were in hand at the same time.
    """

    behaviours: list[Behave] = attrs.field(factory=lambda: [after(0)])
    requests: list[ModelRequest] = attrs.field(factory=list)
    in_hand: int = 0
    most_at_once: int = 0
    closed: int = 0
    _next: "itertools.count[int]" = attrs.field(factory=itertools.count)

    async def complete(self, request: ModelRequest, deadline: Monotonic) -> ModelAnswer:
        self.requests.append(request)
        self.in_hand += 1
        self.most_at_once = max(self.most_at_once, self.in_hand)
        behave = self.behaviours[min(next(self._next), len(self.behaviours) - 1)]
        try:
            with trio.move_on_at(deadline):
                return await behave(request)
        finally:
            self.in_hand -= 1
        raise ModelTimedOut("no whole answer in time", billing=Billing.UNKNOWN)

    async def aclose(self) -> None:
        self.closed += 1

    @asynccontextmanager
    async def open(self) -> "AsyncIterator[ScriptedModel]":
        yield self
        await self.aclose()


@attrs.frozen
class ByteCounter:
    """Bounds prompts by their bytes."""

    has_vocabulary: bool = True

    def count(self, model: str, messages: Sequence[Message], schema: bytes | None) -> TokenBound:
        texts = sum(len(message.text.encode()) + 8 for message in messages)
        return TokenBound(texts + len(schema or b"") + 16, is_exact=False)
