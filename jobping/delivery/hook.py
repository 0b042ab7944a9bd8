"""A web address that takes our digests, as the operator names it."""

import base64
import binascii
import enum
import re
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import attrs

from jobping.core.addresses import Network, Refused, is_near, parse_url, split_domain
from jobping.core.ids import Domain

_SECRET: Final = "whsec_"  # noqa: S105  a prefix
_TOPIC: Final = re.compile(r"/([A-Za-z0-9_-]{1,64})")


class Form(enum.Enum):
    """Who reads what we send."""

    JSON = "json"
    NTFY = "ntfy"
    SLACK = "slack"
    DISCORD = "discord"
    TELEGRAM = "telegram"


@attrs.frozen(kw_only=True)
class Hook:
    """A place to post to.

    Attributes:
        url: Most of them are secrets by themselves. ntfy: that of the topic; telegram: that of
            `sendMessage` with `?chat_id=`.
        secret: `whsec_` and base64 of 24 to 64 bytes; None: nothing is signed.
        per_minute: Most digests in any minute.
        allow: `[network] allow`: networks that may be asked without TLS, besides loopback.

    Raises:
        ValueError: It cannot be asked, or not safely; the message holds nothing of the URL's path.
    """

    url: str = attrs.field(repr=False)
    form: Form = Form.JSON
    secret: str | None = attrs.field(default=None, repr=False)
    per_minute: int = 20
    allow: tuple[Network, ...] = ()

    def __attrs_post_init__(self) -> None:
        """Judge the URL and the secret."""
        parsed = parse_url(self.url)
        if isinstance(parsed, Refused):
            raise ValueError(f"a URL that can be asked, not one of wrong {parsed.why.value}")
        if parsed.scheme == "http" and not is_near(
            split_domain(parsed.domain)[0], allow=self.allow
        ):
            raise ValueError("an https URL, or an address of your own within `[network] allow`")
        if self.form is Form.NTFY and self.topic is None:
            raise ValueError("the URL of a topic, such as https://ntfy.example/TOPIC")
        if self.form is Form.TELEGRAM and "chat_id" not in self.parameters:
            raise ValueError("https://api.telegram.org/botTOKEN/sendMessage?chat_id=CHAT")
        if self.secret is not None:
            _key(self.secret)

    @property
    def domain(self) -> Domain:
        """The network location."""
        parsed = parse_url(self.url)
        if isinstance(parsed, Refused):
            raise ValueError(parsed.why.value)
        return parsed.domain

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters of the URL."""
        return dict(parse_qsl(urlsplit(self.url).query))

    @property
    def topic(self) -> str | None:
        """The topic of ntfy, which is asked at its root for JSON."""
        found = _TOPIC.fullmatch(urlsplit(self.url).path)
        return found[1] if found else None

    @property
    def post_url(self) -> str:
        """Where to post: ntfy has the topic in the body, Telegram the parameters."""
        parts = urlsplit(self.url)
        match self.form:
            case Form.NTFY:
                return parts._replace(path="/").geturl()
            case Form.TELEGRAM:
                return parts._replace(query="").geturl()
            case _:
                return self.url

    @property
    def key(self) -> bytes | None:
        """What bodies are signed with."""
        return None if self.secret is None else _key(self.secret)


def _key(secret: str) -> bytes:
    """Return the bytes of a secret.

    Source:
        Standard Webhooks, "Signature scheme": so that receivers can use its libraries.
    """
    try:
        key = base64.b64decode(secret.removeprefix(_SECRET), validate=True)
    except binascii.Error:
        key = b""
    if not secret.startswith(_SECRET) or not 24 <= len(key) <= 64:
        raise ValueError("whsec_ and base64 of 24 to 64 bytes")
    return key
