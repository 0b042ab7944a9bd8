"""One request and its answer, as values; for sources and fetch, which do not know each other."""

import datetime as dt

import attrs

from jobping.core.ids import ExternalId

MIB = 1024 * 1024
CONDITIONS = ("if-none-match", "if-modified-since")
NOT_MODIFIED = 304


@attrs.frozen(kw_only=True)
class PageRequest:
    """A request that a source wants made.

    Attributes:
        url: Absolute, percent-encoded exactly once.
        headers: Further fields beside User-Agent, Accept and Accept-Encoding.
        accept: Media types that the source can read; the first is what it expects.
        byte_ceiling: Most bytes of the decoded body.
        posting: The one posting that is asked for; None where the answer is a list.
        is_read: It changes nothing at the site, whatever its method, and may be sent again.
    """

    url: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    accept: tuple[str, ...] = ("application/json",)
    byte_ceiling: int = 10 * MIB
    posting: ExternalId | None = None

    @property
    def is_conditional(self) -> bool:
        """Whether the answer may be 304: what we have is still right."""
        return any(name.lower() in CONDITIONS for name, _ in self.headers)

    is_read: bool = False


@attrs.frozen(kw_only=True)
class Page:
    """One HTTP response.

    Attributes:
        status: 200 to 299, 404 or 410, and 304 without a body where the request was conditional;
            every other status is an error of `fetch`.
        headers: Names in lower case, in order, repeated fields repeated.
        body: Decoded.
        fetched_at: When the answer was complete, aware UTC.
        sent: The body of the request, where it had one: sites that read by POST page by it.
        framed: False where only the closing of the connection ended the body, so that a cut
            cannot be told from the end.
    """

    url: str
    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    fetched_at: dt.datetime
    framed: bool = True
    sent: bytes | None = None

    def header(self, name: str) -> str | None:
        """Return the first field of that lower-case name, or None."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def media_type(self) -> str:
        """The media type in lower case without parameters; empty where there is none."""
        return (self.header("content-type") or "").partition(";")[0].strip().lower()


@attrs.frozen(kw_only=True)
class Redirected:
    """The site answered with another place to ask.

    Attributes:
        url: The absolute target, already judged as a URL but not yet as an address.
        permanent: 301 or 308.
        headers: As in `Page`.
    """

    url: str
    permanent: bool
    headers: tuple[tuple[str, str], ...] = attrs.field(default=(), eq=False, repr=False)
