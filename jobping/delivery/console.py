"""Digests onto a text stream, such as the daemon's standard output."""

from typing import Final, TextIO

import attrs
import trio

from jobping.core.printable import printable
from jobping.delivery.protocol import OutgoingDigest
from jobping.errors import DeliveryDeferred

_LIMIT: Final = 200_000
"""Most characters of one digest that are written."""
_BOLD: Final = "\x1b[1m"
_PLAIN: Final = "\x1b[0m"
_DEADLINE_S: Final = 10.0
"""A reader that takes nothing for so long is given up; the digest is in the files."""


@attrs.define(kw_only=True)
class ConsoleDelivery:
    """Writes the text of a digest in one call, on a thread that a stuck reader may keep.

    Attributes:
        stream: Where to write; bold type is used where it is a terminal.
    """

    stream: TextIO
    name: str = attrs.field(default="console", init=False)
    resends: bool = attrs.field(default=False, init=False)

    def takes(self, digest: OutgoingDigest) -> bool:
        """Take every digest."""
        return True

    async def wait_turn(self) -> None:
        """Return at once: there is no pace to keep."""
        await trio.lowlevel.checkpoint()

    async def send(self, digest: OutgoingDigest) -> None:
        """Write the digest.

        Raises:
            DeliveryDeferred: The stream is closed, broken, or takes nothing.
        """
        with trio.move_on_after(_DEADLINE_S) as scope:
            await trio.to_thread.run_sync(self._write, self._page(digest), abandon_on_cancel=True)
        if scope.cancelled_caught:
            raise DeliveryDeferred(f"console: nothing was taken in {_DEADLINE_S:.0f} s")

    async def was_sent(self, message_id: str) -> bool | None:
        """Return None: a stream remembers nothing."""
        return None

    def _page(self, digest: OutgoingDigest) -> str:
        subject = printable(digest.digest.subject)
        if not self.stream.closed and self.stream.isatty():
            subject = f"{_BOLD}{subject}{_PLAIN}"
        page = f"\n{subject}\n\n{digest.digest.text[:_LIMIT]}\n"
        encoding = self.stream.encoding or "utf-8"
        return page.encode(encoding, "replace").decode(encoding)

    def _write(self, page: str) -> None:
        try:
            self.stream.write(page)
            self.stream.flush()
        except (OSError, ValueError) as error:
            raise DeliveryDeferred(f"console: {error}") from error
