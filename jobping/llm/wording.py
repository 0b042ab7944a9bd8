"""A request as JSON fields in the dialect of its server, and an answer read from its JSON.

Nothing of an answer is trusted: every field is checked here, and usage that does not add up counts
as none.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from jobping.core.model import Dialect, ModelAnswer, ModelRequest, Usage

_GENERATION: Final = re.compile(r"gpt-(\d+)(?:\.(\d+))?(?:-|$)")
_REASONER: Final = re.compile(r"o\d(?:-|$)")
_MOST_TOKENS: Final = 10**8
"""No answer costs more; a larger number is a fault."""


def render(request: ModelRequest, dialect: Dialect) -> dict[str, object]:
    """Return the body of a chat completion.

    Source:
        OpenAI, chat completions and its guides to reasoning and prompt caching. For others: what
        vLLM, llama.cpp, Ollama and LM Studio document all of them to take.
    """
    body: dict[str, object] = {
        "model": request.model,
        "messages": [{"role": one.role.value, "content": one.text} for one in request.messages],
    }
    if request.schema is not None:
        schema = {"name": "answer", "strict": True, "schema": msgspec.json.decode(request.schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if dialect is Dialect.COMPATIBLE:
        return {**body, "max_tokens": request.max_output_tokens}
    body |= {"max_completion_tokens": request.max_output_tokens, "store": False}
    if request.service_tier is not None:
        body["service_tier"] = request.service_tier
    return {**body, **_of_model(request.model)}


def _of_model(model: str) -> Mapping[str, object]:
    """The least reasoning that a model takes, and no writing to its cache where that costs."""
    if _REASONER.match(model):
        return {"reasoning_effort": "low"}
    found = _GENERATION.match(model)
    generation = (int(found[1]), int(found[2] or 0)) if found else (0, 0)
    if generation < (5, 0):
        return {}
    fields: dict[str, object] = {"reasoning_effort": "minimal" if generation < (5, 1) else "none"}
    if generation >= (5, 6):
        fields["prompt_cache_options"] = {"mode": "explicit"}
    return fields


class _Message(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    model: str | None = None
    service_tier: str | None = None
    usage: msgspec.Raw = msgspec.Raw(b"null")


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _OutputDetails | None = None


def read(
    body: bytes, request: ModelRequest, *, request_id: str, headers: tuple[tuple[str, str], ...]
) -> ModelAnswer | None:
    """Return the answer that the body of a 200 holds; None where it holds no completion."""
    try:
        whole = msgspec.json.decode(body, type=_Completion)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    if not whole.choices:
        return None
    choice = whole.choices[0]
    finish = "refusal" if choice.message.refusal else (choice.finish_reason or "")
    return ModelAnswer(
        text=choice.message.content or "",
        usage=_usage(whole.usage),
        model=(whole.model or request.model)[:100],
        service_tier=whole.service_tier,
        finish=finish[:40],
        request_id=request_id,
        headers=headers,
    )


def _usage(raw: msgspec.Raw) -> Usage | None:
    try:
        read = msgspec.json.decode(raw, type=_Usage)
        prompt = read.prompt_tokens_details or _PromptDetails()
        output = read.completion_tokens_details or _OutputDetails()
        usage = Usage(
            input_tokens=read.prompt_tokens,
            cached_tokens=prompt.cached_tokens or 0,
            cache_write_tokens=prompt.cache_write_tokens or 0,
            output_tokens=read.completion_tokens,
            reasoning_tokens=output.reasoning_tokens or 0,
        )
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None
    return usage if usage.input_tokens + usage.output_tokens <= _MOST_TOKENS else None
