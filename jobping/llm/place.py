"""Where a model is asked, and in which dialect; imports nothing heavy."""

from typing import Final

import attrs

from jobping.core.addresses import Network, Refused, is_near, parse_url, split_domain
from jobping.core.model import Dialect

OPENAI_URL: Final = "https://api.openai.com/v1"


@attrs.frozen(kw_only=True)
class ModelPlace:
    """A model server. The operator names it, so it may stand anywhere.

    Attributes:
        base_url: As OpenAI's, ending in `/v1` as a rule.
        key: Sent as a bearer token; None: none is sent.
        organization: OpenAI's id of the account to charge, where the key has several.
        project: OpenAI's id of the project to charge, where the key has several.
        connections: Most connections, at least as many as calls at once.
        allow: `[network] allow`: networks to which a key may go without TLS, besides loopback.

    Raises:
        ValueError: The URL is none that can be asked, or would show the key to the network.
    """

    base_url: str = attrs.field(default=OPENAI_URL)
    dialect: Dialect = Dialect.OPENAI
    key: str | None = attrs.field(default=None, repr=False)
    organization: str | None = None
    project: str | None = None
    connections: int = 4
    allow: tuple[Network, ...] = ()

    def __attrs_post_init__(self) -> None:
        """Judge the URL."""
        parsed = parse_url(self.base_url)
        if isinstance(parsed, Refused):
            raise ValueError(f"not a usable URL ({parsed.why.value}): {self.base_url[:200]!r}")
        host, _ = split_domain(parsed.domain)
        if parsed.scheme == "http" and self.key is not None and not is_near(host, allow=self.allow):
            raise ValueError(
                f"{parsed.domain}: the key would go over the network in clear; use https, or "
                "`[network] allow` for an address of your own"
            )
