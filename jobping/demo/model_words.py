"""What the local model server says: it counts shared words, and shapes answers like a real server.

It reads a prompt as a model would have to: the first line of the last message is the profile, every
other line that is a JSON object with an `id` is a posting.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

import attrs
import msgspec

from jobping.demo.model_bill import Charge
from jobping.demo.model_plan import Content, Finish, Step

_WORD: Final = re.compile(r"\w{3,}")
_LETTERS_PER_TOKEN: Final = 6  # fewer tokens than a real vocabulary finds in postings
_PER_MESSAGE: Final = 7
_CREATED: Final = 1_790_000_000


@attrs.frozen(kw_only=True)
class Reply:
    """What is said.

    Attributes:
        output_tokens: What it took, reasoning included.
    """

    text: str
    finish: Finish = "stop"
    output_tokens: int = 0


def count(text: str) -> int:
    """Return the tokens of a text, by its letters."""
    return -(-len(text) // _LETTERS_PER_TOKEN)


def count_prompt(messages: Sequence[str]) -> int:
    """Return the tokens of a prompt."""
    return sum(count(text) + _PER_MESSAGE for text in messages)


def content_of(kind: Content, messages: Sequence[str], *, canary: str) -> str:
    """Return what the model says to a prompt, well or wrong as `Step.content` names it."""
    postings = list(_postings(messages))
    wanted = _words(messages[-1].partition("\n")[0]) if messages else frozenset()
    items = [_judge(posting, wanted) for posting in postings]
    match kind:
        case "gullible":
            for posting, item in zip(postings, items, strict=True):
                if canary in msgspec.json.encode(posting).decode():
                    item["score"] = 100
        case "unknown_id":
            items += [{"id": "nobody", "score": 100, "reason": "not asked for"}]
        case "doubled":
            items += items[:1]
        case "missing":
            items = items[1:]
        case "text_score":
            items = [{**item, "score": str(item["score"])} for item in items]
        case "high_score":
            items = [{**item, "score": 10**9} for item in items]
        case "float_score":
            items = [{**item, "score": 9.5} for item in items]
        case "long_reason":
            items = [{**item, "reason": "see https://a.example \x1b[2J " * 400} for item in items]
        case "prose":
            return "I am sorry, I cannot rank postings."
        case "empty":
            return ""
        case "ranked" | "fenced":
            pass
    text = msgspec.json.encode({"matches": items}).decode()
    return f"```json\n{text}\n```" if kind == "fenced" else text


def _postings(messages: Sequence[str]) -> Iterator[dict[str, object]]:
    for line in messages[-1].splitlines() if messages else ():
        if line.startswith('{"id":'):
            yield msgspec.json.decode(line, type=dict[str, object])


def _judge(posting: dict[str, object], wanted: frozenset[str]) -> dict[str, object]:
    title = sorted(_words(str(posting.get("title", ""))) & wanted)
    text = sorted(_words(str(posting.get("text", ""))) & wanted)
    score = min(35 + 25 * len(title) + 6 * len(text), 95)
    found = ", ".join(dict.fromkeys((*title, *text)))
    return {
        "id": posting.get("id"),
        "score": score,
        "reason": f"Speaks of {found}." if found else "Names none of the wanted words.",
    }


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower()))


def completion(reply: Reply, charge: Charge, step: Step) -> dict[str, object]:
    """Return a whole answer."""
    refused = reply.finish == "refusal"
    message = {
        "role": "assistant",
        "content": None if refused else reply.text,
        "refusal": "I will not." if refused else None,
    }
    finish = "stop" if refused else reply.finish
    choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
    return {
        **_envelope(charge, step, "chat.completion"),
        "choices": [choice],
        **_usage(charge, step),
    }


def chunks(reply: Reply, charge: Charge, step: Step, *, wants_usage: bool) -> bytes:
    """Return an answer as server-sent events, with the usage in the last one where it is wanted."""
    envelope = _envelope(charge, step, "chat.completion.chunk")
    parts = [reply.text[start : start + 80] for start in range(0, len(reply.text), 80)]
    deltas: list[tuple[dict[str, object], str | None]] = [({"role": "assistant"}, None)]
    deltas += [({"content": part}, None) for part in parts]
    deltas.append(({}, reply.finish))
    events: list[dict[str, object]] = [
        {**envelope, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
        for delta, finish in deltas
    ]
    if wants_usage:
        events.append({**envelope, "choices": [], **_usage(charge, step)})
    lines = [b"data: " + msgspec.json.encode(event) for event in events]
    return b"\n\n".join((*lines, b"data: [DONE]", b""))


def _envelope(charge: Charge, step: Step, kind: str) -> dict[str, object]:
    answer: dict[str, object] = {
        "id": f"chatcmpl-{charge.sequence}",
        "object": kind,
        "created": _CREATED,
        "model": charge.model,
    }
    if step.service_tier != "":
        answer["service_tier"] = charge.tier
    return answer


def _usage(charge: Charge, step: Step) -> dict[str, object]:
    cached = charge.cached_tokens
    usage: dict[str, object] = {
        "prompt_tokens": charge.prompt_tokens,
        "completion_tokens": charge.completion_tokens,
        "total_tokens": charge.tokens,
        "prompt_tokens_details": {
            "cached_tokens": cached,
            "cache_write_tokens": charge.written_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": charge.reasoning_tokens},
    }
    match step.usage:
        case "absent":
            return {}
        case "null":
            return {"usage": None}
        case "text":
            usage["prompt_tokens"] = str(charge.prompt_tokens)
        case "negative":
            usage["completion_tokens"] = -5
        case "huge":
            usage["prompt_tokens"] = msgspec.Raw(b"1" + b"0" * 30)
        case "details":
            usage["prompt_tokens_details"] = {"cached_tokens": charge.prompt_tokens + 1}
        case "true":
            pass
    return {"usage": usage}
