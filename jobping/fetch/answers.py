"""What an answer, or the failure to get one, means: statuses and foreign errors -> ours."""

import ssl
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

import httpcore
import httpx

from jobping.core.addresses import Allowed, Refusal, Refused, judge_location
from jobping.core.page import NOT_MODIFIED, PageRequest, Redirected
from jobping.errors import Blocked, FetchError, MalformedPage, Throttled, Unavailable, Unreached
from jobping.fetch.network import NO_WAY
from jobping.fetch.transport import LOCATION
from jobping.fetch.wire import HeadTooLong, Phase

FOREIGN = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    httpx.CookieConflict,
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
    httpcore.ConnectionNotAvailable,
    HeadTooLong,
)
"""Everything that an exchange may raise from below. An own transport bypasses httpx's mapping, so
both families come out."""
MALFORMED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "wire_bytes": "the answer is larger than we take",
        "decoded_bytes": "the unpacked answer is larger than we take",
        "ratio": "the answer is far larger unpacked than packed",
        "gzip": "the packed answer is broken",
        "gzip_cut": "the packed answer is cut short",
        "gzip_members": "the packed answer has too many parts",
        "content_encoding": "the answer is packed in a way that was not asked for",
        "chunks": "the answer comes in too many pieces",
    }
)
"""What `fetch` says of an unreadable answer in one word, for people."""
_REDIRECTS = (301, 302, 303, 307, 308)
_PERMANENT = (301, 308)
_GONE = (404, 410)
_BLOCKED = (401, 403, 451)


def shown(url: str) -> str:
    """Return a URL as logs may show it: without user part, query and fragment."""
    scheme, separator, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{path}".partition("?")[0][:500]


def headers_of(response: httpx.Response) -> tuple[tuple[str, str], ...]:
    """Return the fields of an answer, names in lower case, in order."""
    return tuple((name.lower(), value) for name, value in response.headers.multi_items())


def is_page(status: int, request: PageRequest) -> bool:
    """Say whether the caller judges the answer itself."""
    if status == NOT_MODIFIED:
        return request.is_conditional
    return 200 <= status < 300 or status in _GONE


def failure_of(error: BaseException, phase: Phase, url: str) -> Unavailable:
    """Map what the libraries raised, by phase first."""
    match phase:
        case Phase.RESOLVE:
            failure = Unreached.DNS
        case Phase.CONNECT:
            failure = Unreached.UNREACHABLE if _has_no_way(error) else Unreached.CONNECT
        case Phase.TLS:
            failure = Unreached.TLS if _is_tls(error) else Unreached.RESET
        case Phase.SEND | Phase.HEAD | Phase.BODY | Phase.DONE:
            is_late = isinstance(error, httpcore.TimeoutException | httpx.TimeoutException)
            failure = Unreached.TIMEOUT if is_late else Unreached.RESET
    return Unavailable(shown(url), failure, message=f"{shown(url)}: {failure.value}: {error}")


def failure_when_late(phase: Phase) -> Unreached:
    """Return the class of a failure by a deadline of the caller."""
    match phase:
        case Phase.RESOLVE:
            return Unreached.DNS
        case Phase.CONNECT:
            return Unreached.CONNECT
        case Phase.TLS | Phase.SEND | Phase.HEAD | Phase.BODY | Phase.DONE:
            return Unreached.TIMEOUT


def _is_tls(error: BaseException) -> bool:
    return any(isinstance(one, ssl.SSLError) for one in _chain(error))


def _has_no_way(error: BaseException) -> bool:
    return any(isinstance(one, OSError) and one.errno in NO_WAY for one in _chain(error))


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def refusal_of(response: httpx.Response, target: Allowed) -> FetchError | MalformedPage:
    """Return the error for a status that is neither a page nor a redirect."""
    status, url = response.status_code, shown(target.url)
    retry_after = tuple(response.headers.get_list("retry-after"))
    if status == 429 or (status == 503 and retry_after):
        date = response.headers.get("date")
        return Throttled(
            url, status=status, retry_after=retry_after, date=date, headers=headers_of(response)
        )
    if status in _BLOCKED or "challenge" in response.headers.get("cf-mitigated", ""):
        return Blocked(url, str(status), status=status)
    if status == 408:
        return Unavailable(url, Unreached.TIMEOUT, status=status)
    if 500 <= status < 600:
        return Unavailable(url, Unreached.SERVER, status=status)
    if 400 <= status < 500:
        return Unavailable(url, Unreached.CLIENT, status=status)
    return MalformedPage(f"status {status}")


def redirect_of(
    response: httpx.Response, request: PageRequest, target: Allowed
) -> Redirected | Refused | None:
    """Return where the answer points to, why that is no way, or None where it is no redirect."""
    if response.status_code not in _REDIRECTS:
        return None
    if request.method not in ("GET", "HEAD") and response.status_code != 303:
        return Refused(Refusal.LOCATION)
    match judge_location(response.extensions[LOCATION], base=target):
        case Allowed(url=url):
            return Redirected(
                url=url,
                permanent=response.status_code in _PERMANENT,
                headers=headers_of(response),
            )
        case Refused() as refused:
            return refused
