"""What the SDK raises, as errors of ours with what is known about the bill.

Nothing of a server's message goes into an error: it may quote the key or the prompt.
"""

import re
from typing import Final

import httpx2
import msgspec
import openai

from jobping.core.model_pace import retry_after_s
from jobping.errors import (
    Billing,
    ModelError,
    ModelQuotaGone,
    ModelRejected,
    ModelThrottled,
    ModelTimedOut,
    ModelUnavailable,
)

_UNSENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
"""Raised before a byte of the request has left."""
_REFUSED: Final = frozenset({400, 401, 402, 403, 404, 413, 422, 429})
"""Statuses that come before any work, as long as the body is the API's own (JSON)."""
_QUOTA: Final = frozenset(
    {
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_not_active",
        "insufficient_balance",
    }
)
_WORD: Final = re.compile(r"[a-zA-Z0-9_.-]{1,60}")
_KEPT: Final = frozenset({"retry-after", "retry-after-ms", "x-should-retry", "date"})


def failure_of(error: openai.APIError) -> ModelError:
    """Return our error for what a call raised."""
    if isinstance(error, openai.APIStatusError):
        return _of_status(error.response)
    cause = error.__cause__
    name = type(cause).__name__
    if isinstance(cause, _UNSENT):
        return ModelUnavailable(f"not reached: {name}", billing=Billing.NOT_SENT)
    if isinstance(error, openai.APITimeoutError):
        return ModelTimedOut(f"no answer: {name}", billing=Billing.UNKNOWN)
    return ModelUnavailable(f"the answer was lost: {name}", billing=Billing.UNKNOWN)


def limit_headers(response: httpx2.Response) -> tuple[tuple[str, str], ...]:
    """Return the headers that say what the server still takes, names in lower case."""
    return tuple(
        (name.lower(), value[:100])
        for name, value in response.headers.multi_items()
        if name.lower() in _KEPT or name.lower().startswith("x-ratelimit-")
    )


def request_id_of(response: httpx2.Response) -> str:
    """Return the server's own id of the call, or an empty text."""
    return _word(response.headers.get("x-request-id"))


def _of_status(response: httpx2.Response) -> ModelError:
    status, words = response.status_code, _words(response)
    is_refused = words is not None and status in _REFUSED
    billing = Billing.NOT_BILLED if is_refused else Billing.UNKNOWN
    kind, code, param = words or ("", "", "")
    why = " ".join(filter(None, (f"HTTP {status}", code or kind, param)))
    headers, request_id = limit_headers(response), request_id_of(response)
    if status == 402 or (status == 429 and _QUOTA & {kind, code}):
        return ModelQuotaGone(
            why, billing=billing, status=status, headers=headers, request_id=request_id
        )
    if status == 429:
        return ModelThrottled(
            why,
            billing=billing,
            status=status,
            headers=headers,
            request_id=request_id,
            retry_after_s=retry_after_s(headers),
        )
    if status in _REFUSED:
        return ModelRejected(
            why,
            billing=billing,
            status=status,
            headers=headers,
            request_id=request_id,
            code=code or kind,
        )
    return ModelUnavailable(
        why, billing=billing, status=status, headers=headers, request_id=request_id
    )


def _words(response: httpx2.Response) -> tuple[str, str, str] | None:
    """Type, code and parameter of a JSON error body; None where the body is none."""
    try:
        body = msgspec.json.decode(response.content, type=dict[str, object])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    error = body.get("error", body)
    if not isinstance(error, dict):
        return ("", "", "")
    return _word(error.get("type")), _word(error.get("code")), _word(error.get("param"))


def _word(value: object) -> str:
    return value if isinstance(value, str) and _WORD.fullmatch(value) else ""
