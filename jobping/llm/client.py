"""One attempt of a model call on plain Trio: no retries, our deadline, every failure mapped.

The SDK reads further variables of the environment by itself; what they would add to a request is
taken off it again before it leaves.
"""

from collections.abc import AsyncIterator
from typing import Final

import httpx2
import openai
import trio

from jobping.core.ids import Monotonic
from jobping.core.model import ModelAnswer, ModelRequest
from jobping.errors import Billing, ModelTimedOut, ModelUnavailable
from jobping.llm.failures import failure_of, limit_headers, request_id_of
from jobping.llm.place import ModelPlace
from jobping.llm.wording import read, render

CONNECT_S: Final = 10.0
MAX_ANSWER_BYTES: Final = 4 << 20
CLOSE_WITHIN_S: Final = 5.0
_SENT: Final = frozenset(
    {"host", "accept", "accept-encoding", "connection", "content-type", "content-length"}
    | {"user-agent", "x-client-request-id"}
)


class ModelClient:
    """A model server, asked through the OpenAI SDK; a `ModelProtocol`."""

    def __init__(self, place: ModelPlace) -> None:
        self._dialect = place.dialect
        self._own = {
            "authorization": f"Bearer {place.key}" if place.key else None,
            "openai-organization": place.organization,
            "openai-project": place.project,
        }
        http = openai.DefaultAsyncHttpx2Client(
            timeout=httpx2.Timeout(None, connect=CONNECT_S, pool=CONNECT_S),
            limits=httpx2.Limits(
                max_connections=place.connections, max_keepalive_connections=place.connections
            ),
            follow_redirects=False,
            trust_env=False,
            event_hooks={"request": [self._check_headers], "response": [_cap]},
        )
        self._sdk = openai.AsyncOpenAI(
            api_key=place.key or "none",  # what it sends is decided below
            base_url=place.base_url,
            max_retries=0,
            http_client=http,
        )

    async def complete(self, request: ModelRequest, deadline: Monotonic) -> ModelAnswer:
        """Send the request once; see `ModelProtocol`."""
        if trio.current_time() >= deadline:
            await trio.lowlevel.checkpoint()
            raise ModelTimedOut("no time was left", billing=Billing.NOT_SENT)
        response: httpx2.Response | None = None
        with trio.move_on_at(deadline):
            response = await self._post(request)
        if response is None:
            raise ModelTimedOut("no whole answer in time", billing=Billing.UNKNOWN)
        headers, request_id = limit_headers(response), request_id_of(response)
        answer = read(response.content, request, request_id=request_id, headers=headers)
        if answer is None:
            raise ModelUnavailable(
                f"HTTP {response.status_code} without a completion",
                billing=Billing.UNKNOWN,
                status=response.status_code,
                headers=headers,
                request_id=request_id,
            )
        return answer

    async def aclose(self) -> None:
        """Close the connections, also while being cancelled."""
        with trio.move_on_after(CLOSE_WITHIN_S, shield=True):
            await self._sdk.close()

    async def _post(self, request: ModelRequest) -> httpx2.Response:
        try:
            return await self._sdk.post(
                "/chat/completions",
                cast_to=httpx2.Response,
                body=render(request, self._dialect),
                options={"headers": {"X-Client-Request-Id": request.request_id}},
            )
        except openai.APIError as error:
            raise failure_of(error) from None  # the SDK's own holds the request with the key

    async def _check_headers(self, request: httpx2.Request) -> None:
        """Leave only what we mean to send: no telemetry, nothing from the environment."""
        for name in {name.lower() for name in request.headers} - _SENT:
            del request.headers[name]
        request.headers["accept-encoding"] = "identity"
        request.headers.update({name: value for name, value in self._own.items() if value})


class _Capped(httpx2.AsyncByteStream):
    """An answer's bytes, and an error where there are too many."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        total = 0
        async for chunk in self._stream:
            total += len(chunk)
            if total <= MAX_ANSWER_BYTES:
                yield chunk
            else:  # the next read fails, and so every generator of httpx2 below comes to its end
                await self._stream.aclose()

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _cap(response: httpx2.Response) -> None:
    """Before a byte of the body is read: no coding that we did not ask for, and a limit."""
    if response.headers.get("content-encoding", "identity") != "identity":
        raise httpx2.RemoteProtocolError("the answer is encoded")
    if isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _Capped(response.stream)
