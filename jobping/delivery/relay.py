"""The mail server that takes our mail, as the operator names it, and what our mail says of us."""

import enum
import re
from typing import Final

import attrs

from jobping.core.addresses import is_near
from jobping.core.mail_address import check_mail_address
from jobping.core.printable import printable

TOKEN: Final = "{token}"  # noqa: S105  a place in a template
_UNSUBSCRIBE: Final = re.compile(r"(?:https://|mailto:)[^\s<>,\\\x00-\x20\x7f-\U0010ffff]{3,400}")


class Tls(enum.Enum):
    """How the connection is secured."""

    STARTTLS = "starttls"
    IMPLICIT = "implicit"
    NONE = "none"


@attrs.frozen(kw_only=True)
class Relay:
    """A mail server, and the letterhead.

    Attributes:
        tls: `NONE` only to loopback, and without a password.
        sender: The address in From and in the envelope.
        sender_name: Shown beside it.
        unsubscribe: `https:` and `mailto:` addresses with `{token}`, at most one of each.
        dkim: The server signs `List-Unsubscribe` and `List-Unsubscribe-Post`.
        per_minute: Most mails in any minute.

    Raises:
        ValueError: Something of it would not be safe or not work.
    """

    host: str
    port: int = 587
    tls: Tls = Tls.STARTTLS
    user: str | None = None
    password: str | None = attrs.field(default=None, repr=False)
    sender: str = attrs.field()
    sender_name: str = attrs.field(default="JobPing", converter=printable)
    unsubscribe: tuple[str, ...] = ()
    dkim: bool = False
    per_minute: int = 60

    @sender.validator
    def _check_sender(self, _attribute: object, value: str) -> None:
        check_mail_address(value)

    def __attrs_post_init__(self) -> None:
        """Check what depends on each other."""
        if (self.user is None) != (self.password is None):
            raise ValueError("a user needs a password (SMTP_PASSWORD), and a password a user")
        if self.tls is Tls.NONE and not (is_near(self.host) and self.user is None):
            raise ValueError(
                'tls = "none" is for a server on loopback that wants no user: mail and passwords '
                "never go over a network in clear"
            )
        if self.dkim and not any(one.startswith("https:") for one in self.unsubscribe):
            raise ValueError("dkim = true needs an https address in unsubscribe")


def check_unsubscribe(text: str) -> str:
    """Return an address with which mail is unsubscribed, if it is one.

    Raises:
        ValueError: It is none.
    """
    if _UNSUBSCRIBE.fullmatch(text) and TOKEN in text:
        return text
    raise ValueError("an https: or mailto: address with {token} in it")
