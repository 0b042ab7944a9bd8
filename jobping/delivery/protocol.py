"""What every way of sending a digest offers."""

import re
from typing import Final, Protocol

import attrs

from jobping.core.digest import Digest

_SAFE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:@+-]{0,99}")


def _check_part(_instance: object, attribute: "attrs.Attribute[str]", value: str) -> None:
    if not _SAFE.fullmatch(value) or ".." in value:
        raise ValueError(f"{attribute.name} {value!r}: cannot be a part of a file name")


@attrs.frozen(kw_only=True)
class OutgoingDigest:
    """A digest with what names it; the parts can stand in file names.

    Attributes:
        profile: The profile's name.
        period: The period that it is for, such as `2026-11-12T08:00`.
        message_id: Names this digest for ever; the same one after a crash.

    Raises:
        ValueError: A part holds anything but letters, figures and `.:@+-`, begins with a sign,
            holds two dots in a row, or is longer than 100 characters.
    """

    profile: str = attrs.field(validator=_check_part)
    period: str = attrs.field(validator=_check_part)
    message_id: str = attrs.field(validator=_check_part)
    digest: Digest


class Delivery(Protocol):
    """A way to send digests."""

    @property
    def name(self) -> str:
        """The name for settings and log lines."""

    async def send(self, digest: OutgoingDigest) -> None:
        """Send the digest; sending the same one again does no harm where `was_sent` can know.

        Raises:
            DeliveryDeferred: It did not go out; the next period may bring it.
            DeliveryRejected: It will never go out this way.
        """

    async def was_sent(self, message_id: str) -> bool | None:
        """Say whether the digest of that id went out; None where nobody can know."""
