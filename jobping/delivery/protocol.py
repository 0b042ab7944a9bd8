"""What every way of sending a digest offers."""

import datetime as dt
import re
from typing import Final, Protocol

import attrs

from jobping.core.digest import Digest
from jobping.core.ids import ProfileId

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
        message_id: Names this digest for ever; the same one at every attempt, after a crash too.
        made_at: Aware UTC.
        to: The one address that mail may go to; None: no mail.
        unsubscribe_token: What ends the mail to that address.

    Raises:
        ValueError: A part holds anything but letters, figures and `.:@+-`, begins with a sign,
            holds two dots in a row, or is longer than 100 characters.
    """

    profile: str = attrs.field(validator=_check_part)
    period: str = attrs.field(validator=_check_part)
    message_id: str = attrs.field(validator=_check_part)
    profile_id: ProfileId
    made_at: dt.datetime
    to: str | None = None
    unsubscribe_token: str | None = None
    digest: Digest


class Delivery(Protocol):
    """A way to send digests, one at a time; the store keeps what is still owed to each way."""

    @property
    def name(self) -> str:
        """The name for settings, rows and log lines; the same for ever."""

    @property
    def resends(self) -> bool:
        """Whether a digest of which nobody knows if it went out goes again; else it counts as sent.

        It then goes with the same message id.
        """

    def takes(self, digest: OutgoingDigest) -> bool:
        """Say whether this digest is one for this way at all, such as mail only with `to`."""

    async def wait_turn(self) -> None:
        """Wait until the pace of this way lets the next digest go; at once where it has none.

        Uses nothing up: `send` does. May be cancelled at any time. The digest is read from the
        store only after this, so that what was unsubscribed meanwhile does not go out.
        """

    async def send(self, digest: OutgoingDigest) -> None:
        """Send the digest, within 30 s. A cancel leaves unknown whether it went out.

        Raises:
            DeliveryDeferred: It surely did not go out, or nobody knows and it may go again; it is
                tried later.
            DeliveryRejected: This digest will never go out this way; it is not tried again.
            AddressRefused: Nothing will ever reach the address `to`; it is not written to again.
        """

    async def was_sent(self, message_id: str) -> bool | None:
        """Say whether the digest of that id went out; None where nobody can know."""
