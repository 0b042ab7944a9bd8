"""The exception hierarchy. A class says what the caller can do; its attributes carry the data."""

import enum


class JobPingError(Exception):
    """The root of every error of this package; never raised itself."""


class ConfigError(JobPingError):
    """The operator must act; the process exits 78."""


class DaemonAway(JobPingError):
    """No daemon answers a command; there is none, where this is no `DaemonSilent`."""


class DaemonSilent(DaemonAway):
    """A daemon may be there, but it is too busy, too slow, or we must not ask it."""


class DaemonForbidden(DaemonSilent):
    """A daemon may be there, and we must not ask it."""


class OrderFailed(JobPingError):
    """The daemon did not carry out a command; the message says why."""


class StreamFailed(JobPingError):
    """The event stream cannot be read; the message says why, and what to do."""


class FetchError(JobPingError):
    """An exchange brought no page.

    Attributes:
        url: What was asked, without user part or query.
        why: One word for the log and for the gate.
    """

    def __init__(self, url: str, why: str, message: str = "") -> None:
        super().__init__(message or f"{url}: {why}")
        self.url = url
        self.why = why


class Throttled(FetchError):
    """The site told us to wait: 429, or 503 with Retry-After.

    Attributes:
        status: 429 or 503.
        retry_after: The raw Retry-After fields, in order; `core.throttle` reads them.
        date: The raw Date header, or None.
        headers: All fields, as in `core.page.Page`.
    """

    def __init__(
        self,
        url: str,
        *,
        status: int,
        retry_after: tuple[str, ...],
        date: str | None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(url, str(status))
        self.status = status
        self.retry_after = retry_after
        self.date = date
        self.headers = headers


class Blocked(FetchError):
    """Stop asking: 401, 403 or 451 from the site, or a URL or address that our own guard refuses.

    Attributes:
        status: The status, or None where our guard refused and nothing was sent.
    """

    def __init__(self, url: str, why: str, *, status: int | None = None, message: str = "") -> None:
        super().__init__(url, why, message)
        self.status = status


class Denied(FetchError):
    """The site's robots.txt does not let us ask this; nothing was sent."""

    def __init__(self, url: str) -> None:
        super().__init__(url, "robots", f"{url}: denied by robots.txt")


class Unreached(enum.Enum):
    """Why a site gave no usable answer; the failure classes of the breaker.

    Attributes:
        UNREACHABLE: There is no way to its address.
        CONNECT: The connection was refused, or did not come about in time.
    """

    DNS = "dns"
    UNREACHABLE = "unreachable"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    RESET = "reset"
    SERVER = "5xx"
    CLIENT = "4xx"


class Unavailable(FetchError):
    """The site failed; counts as a failure.

    Attributes:
        failure: The class of the failure.
        status: The status, where there was one.
    """

    def __init__(
        self, url: str, failure: Unreached, *, status: int | None = None, message: str = ""
    ) -> None:
        super().__init__(url, str(status) if status else failure.value, message)
        self.failure = failure
        self.status = status


class MalformedPage(JobPingError):
    """The answer cannot be read: the board changed, or the bytes are broken.

    Attributes:
        why: What is wrong, short enough for a log field.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class EmptyAnswer(MalformedPage):
    """The answer is well-formed and lists nothing where it always lists something."""


class DomainUnavailable(JobPingError):
    """A scraper's honest end; the ladder decides what follows.

    Attributes:
        cause: `breaker`, `bad_cycles`, `long_block` or `refusals` (core.ladder).
    """

    def __init__(self, domain: str, cause: str) -> None:
        super().__init__(f"{domain}: {cause}")
        self.domain = domain
        self.cause = cause


class StoreError(JobPingError):
    """PostgreSQL did not do what was asked."""


class StoreUnavailable(StoreError):
    """No connection, or the server went away; nothing of the unit is known to have happened."""


class StoreConflict(StoreError):
    """A rule of the schema or of our own was broken."""


class DumpFailed(StoreError):
    """A dump was not written or not restored; the database is as it was before."""


class LeaseLost(StoreConflict):
    """A domain is another daemon's by now, or its lease ran out; nothing was sent or written.

    Attributes:
        domain: Whose lease it was.
    """

    def __init__(self, domain: str) -> None:
        super().__init__(f"{domain}: its lease is lost")
        self.domain = domain


class Billing(enum.Enum):
    """What is known about the bill of a model call that brought no answer."""

    NOT_SENT = "not_sent"
    """No byte left us: the reservation may be released."""
    NOT_BILLED = "not_billed"
    """The server refused before it worked: the reservation may be released."""
    UNKNOWN = "unknown"
    """The server may have worked: the reservation must lapse."""


class ModelError(JobPingError):
    """A model call brought no answer.

    Attributes:
        why: A few words for the log; nothing of the prompt, the answer or the key.
        billing: Whether the call may have been billed.
        headers: The rate-limit headers, where there was an answer; as in `core.model.ModelAnswer`.
        request_id: The server's own id of the call, or an empty text.
        status: The HTTP status, where there was one.
    """

    def __init__(
        self,
        why: str,
        *,
        billing: Billing,
        status: int | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        request_id: str = "",
    ) -> None:
        super().__init__(why)
        self.why = why
        self.billing = billing
        self.status = status
        self.headers = headers
        self.request_id = request_id


class ModelThrottled(ModelError):
    """Wait: too many requests or tokens for now, or no room in a cheap tier.

    Attributes:
        retry_after_s: What the server asks for, never negative; None where it does not say.
    """

    def __init__(
        self,
        why: str,
        *,
        billing: Billing,
        status: int | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        request_id: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(
            why, billing=billing, status=status, headers=headers, request_id=request_id
        )
        self.retry_after_s = retry_after_s


class ModelQuotaGone(ModelError):
    """The account has no money or no quota left: asking again soon is of no use."""


class ModelRejected(ModelError):
    """The server will not do this: wrong key, unknown model, a parameter it does not take.

    Attributes:
        code: The server's own word for it, or an empty text.
    """

    def __init__(
        self,
        why: str,
        *,
        billing: Billing,
        status: int | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        request_id: str = "",
        code: str = "",
    ) -> None:
        super().__init__(
            why, billing=billing, status=status, headers=headers, request_id=request_id
        )
        self.code = code


class ModelTimedOut(ModelError):
    """No whole answer within the deadline."""


class ModelUnavailable(ModelError):
    """The server is not reachable, failed, or answered something unreadable."""


class DeliveryError(JobPingError):
    """A digest did not go out."""


class DeliveryDeferred(DeliveryError):
    """Try again later."""


class DeliveryRejected(DeliveryError):
    """Do not send this digest this way again."""


class AddressRefused(DeliveryRejected):
    """Send nothing to this address again."""
