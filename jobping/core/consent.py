"""Tokens by which a person says yes or no to mail: who, for what, until when, and a seal over it.

A token is one word of 48 letters and digits in whatever case, so that it fits into the local part
of a mail address. It says nothing that its owner does not know.
"""

import base64
import datetime as dt
import enum
import hashlib
import hmac
from typing import Final

from jobping.core.ids import SubscriberId

_ID_BYTES: Final = 8
_UNTIL_BYTES: Final = 6
_SEAL_BYTES: Final = 16  # half of HMAC-SHA256, the least that RFC 2104 section 5 recommends
_TOKEN_BYTES: Final = _ID_BYTES + _UNTIL_BYTES + _SEAL_BYTES


class Purpose(enum.Enum):
    """What a token is good for."""

    CONFIRM = "confirm"
    UNSUBSCRIBE = "unsubscribe"


class Consent(enum.Enum):
    """What a person has said about mail, or a mail server for good about their address."""

    UNCONFIRMED = "unconfirmed"
    CONFIRMED = "confirmed"
    UNSUBSCRIBED = "unsubscribed"
    REFUSED = "refused"


LIFE: Final = {Purpose.CONFIRM: dt.timedelta(days=7), Purpose.UNSUBSCRIBE: dt.timedelta(days=400)}
"""How long a token is good for: the second as long as the oldest mail that anyone keeps for a year
(our choice)."""


def make_token(key: bytes, subscriber: SubscriberId, purpose: Purpose, since: dt.datetime) -> str:
    """Return the token of a person for a purpose, the same for the same moment.

    Args:
        key: 32 secret bytes.
        since: When its life begins, aware UTC; counted in whole seconds.
    """
    until = int((since + LIFE[purpose]).timestamp())
    body = subscriber.to_bytes(_ID_BYTES, "big") + until.to_bytes(_UNTIL_BYTES, "big")
    return base64.b32encode(body + _seal(key, purpose, body)).decode().lower()


def read_token(key: bytes, text: str, purpose: Purpose, now: dt.datetime) -> SubscriberId | None:
    """Return whose token it is; None if it is wrong, of another key or purpose, or too old."""
    try:
        token = base64.b32decode(text, casefold=True)
    except ValueError:
        return None
    body, seal = token[:-_SEAL_BYTES], token[-_SEAL_BYTES:]
    is_ours = len(token) == _TOKEN_BYTES and hmac.compare_digest(seal, _seal(key, purpose, body))
    if not is_ours or now.timestamp() >= int.from_bytes(body[_ID_BYTES:], "big"):
        return None
    return SubscriberId(int.from_bytes(body[:_ID_BYTES], "big"))


def _seal(key: bytes, purpose: Purpose, body: bytes) -> bytes:
    message = b"\0".join((b"jobping consent", purpose.value.encode(), body))
    return hmac.new(key, message, hashlib.sha256).digest()[:_SEAL_BYTES]
