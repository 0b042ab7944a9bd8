"""What the local model server does with each call: how it answers, fails, cuts and bills.

Nothing here or in the server itself comes from the daemon's own rules, so that its bill can judge
them.
"""

from collections.abc import Mapping
from typing import Final, Literal

import attrs

Content = Literal[
    "ranked", "gullible", "unknown_id", "doubled", "missing", "text_score", "high_score",
    "float_score", "long_reason", "fenced", "prose", "empty",
]  # fmt: skip
Finish = Literal["stop", "length", "content_filter", "refusal"]
Shape = Literal["json", "html", "broken", "list", "none"]
UsageShape = Literal["true", "absent", "null", "text", "negative", "huge", "details"]
Fate = Literal["whole", "hang", "close", "reset"]
Hold = Literal["", "received", "billed", "half_sent"]


@attrs.frozen(kw_only=True)
class Step:
    """One call's fate.

    Attributes:
        status: Of the answer.
        is_billed: Whether the work is done and charged, whatever the client gets to see.
        content: `ranked`, `gullible` (whatever holds the plan's canary gets 100), or a fault:
            `unknown_id`, `doubled`, `missing`, `text_score`, `high_score`, `float_score`,
            `long_reason`, `fenced`, `prose`, `empty`.
        finish: The reason that the answer gives for its end; `refusal` refuses.
        shape: `json`, or a body that is none: `html`, `broken`, `list`, `none`.
        usage: `true`, or what is wrong with it: `absent`, `null`, `text`, `negative`, `huge`,
            `details` (more cached than the prompt has).
        overrun: What is billed, in multiples of what was counted.
        cached_share: Part of the prompt that was in the cache.
        written_share: Part of the prompt that is written to the cache.
        reasoning_tokens: Added to the output, within its maximum.
        error: Type and code of the error in the body; both empty: none.
        headers: Further fields of the answer.
        head_delay_s: Wait before the first byte.
        drip_s: Wait between two bytes of the answer; 0: all at once.
        fate: `whole`; `hang` (no byte, ever); or the connection is closed in order or by a reset
            after `cut_at` bytes: `close`, `reset`.
        hold: Where the call waits for `/_release`: `received`, `billed` or `half_sent`.
        model: Who answers; None: who was asked.
        service_tier: Which tier answers; None: the one asked for; empty: none is named.
        times: For how many calls in a row the step holds.
    """

    status: int = 200
    is_billed: bool = True
    content: Content = "ranked"
    finish: Finish = "stop"
    shape: Shape = "json"
    usage: UsageShape = "true"
    overrun: float = 1.0
    cached_share: float = 0.0
    written_share: float = 0.0
    reasoning_tokens: int = 0
    error: tuple[str, str] = ("", "")
    headers: tuple[tuple[str, str], ...] = ()
    head_delay_s: float = 0.0
    drip_s: float = 0.0
    fate: Fate = "whole"
    cut_at: int = 0
    hold: Hold = ""
    model: str | None = None
    service_tier: str | None = None
    times: int = 1


OK: Final = Step()


def _refused(status: int, kind: str, code: str, *headers: tuple[str, str]) -> Step:
    return Step(status=status, is_billed=False, error=(kind, code), headers=headers)


STEPS: Final[Mapping[str, Step]] = {
    "ok": OK,
    "gullible": Step(content="gullible"),
    "cached": Step(cached_share=0.5),
    "written": Step(written_share=0.5),
    "reasoning": Step(reasoning_tokens=64),
    "slow_head": Step(head_delay_s=2.0),
    "drip": Step(drip_s=0.05),
    "hang": Step(fate="hang"),
    "close_before_head": Step(fate="close"),
    "reset": Step(fate="reset"),
    "cut_head": Step(fate="close", cut_at=30),
    "cut_body": Step(fate="close", cut_at=-60),  # the length is announced, the end is missing
    "error_billed": Step(status=500, error=("server_error", "")),
    "html_error": Step(status=502, shape="html"),
    "no_usage": Step(usage="absent"),
    "bad_usage": Step(usage="negative"),
    "html_200": Step(shape="html"),
    "broken_json": Step(shape="broken"),
    "list_json": Step(shape="list"),
    "length": Step(finish="length"),
    "content_filter": Step(finish="content_filter"),
    "refusal": Step(finish="refusal"),
    "server_error": Step(status=500, is_billed=False, error=("server_error", "")),
    "overloaded": Step(status=503, is_billed=False, error=("server_error", "slow_down")),
    "unauthorized": _refused(401, "invalid_request_error", "invalid_api_key"),
    "no_model": _refused(404, "invalid_request_error", "model_not_found"),
    "bad_parameter": _refused(400, "invalid_request_error", "unsupported_parameter"),
    "redirect": Step(status=302, is_billed=False, shape="none", headers=(("location", "/"),)),
    "throttle_requests": _refused(
        429, "requests", "rate_limit_exceeded", ("retry-after-ms", "1500"), ("retry-after", "2")
    ),
    "throttle_tokens": _refused(429, "tokens", "rate_limit_exceeded", ("retry-after", "6")),
    "throttle_html": Step(status=429, is_billed=False, shape="html"),
    "quota_gone": _refused(429, "insufficient_quota", "insufficient_quota"),
    "flex_unavailable": _refused(429, "invalid_request_error", "resource_unavailable"),
}
"""Steps by name, as `/_plan` takes them: `[{"name": "hang", "times": 2}, ...]`."""
