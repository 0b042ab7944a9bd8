"""Digests by mail, through one server that the operator names."""

import contextlib
import re
import ssl
from typing import Final

import attrs
import trio

from jobping.clock import Clock
from jobping.core.ids import Monotonic
from jobping.core.mail_address import check_mail_address
from jobping.core.printable import printable
from jobping.delivery.conversation import (
    LETTER,
    RECIPIENT,
    Answered,
    Conversation,
    ConversationLost,
    open_conversation,
)
from jobping.delivery.letter import write_letter
from jobping.delivery.protocol import OutgoingDigest
from jobping.delivery.relay import Relay
from jobping.delivery.turns import Turns
from jobping.errors import AddressRefused, DeliveryDeferred, DeliveryError, DeliveryRejected

LETTER_S: Final = 18.0
"""For the letter and the server's word that it has it; not cut short at a stop, since nobody could
say then whether the mail went out."""
ENVELOPE_S: Final = 10.0
"""For all before it, a new connection included; with the letter less than the 30 s of a `send`."""
MOST_LETTERS: Final = 100
LONGEST_IDLE_S: Final = 20.0
"""A connection so long unused may be closed at the other end."""
GOODBYE_S: Final = 1.0
_SAID: Final = 160
_ADDRESS_LIKE: Final = re.compile(r"\S*@\S*")
_NO_SUCH_ADDRESS: Final = (550, 551, 553, 556)


@attrs.define(eq=False, kw_only=True)
class SmtpDelivery:
    """Sends mails over one connection, kept while they follow each other.

    Attributes:
        relay: Where mails go, and what they say of us.
        tls: How the server is checked.
    """

    relay: Relay
    tls: ssl.SSLContext
    clock: Clock = attrs.field(factory=Clock)
    name: str = attrs.field(default="smtp", init=False)
    resends: bool = attrs.field(default=True, init=False)
    _turns: Turns = attrs.field(init=False)
    _kept: Conversation | None = attrs.field(default=None, init=False)
    _used_at: Monotonic = attrs.field(default=Monotonic(0.0), init=False)

    @_turns.default
    def _turns_of(self) -> Turns:
        return Turns(per_minute=self.relay.per_minute, clock=self.clock)

    def takes(self, digest: OutgoingDigest) -> bool:
        """Take what has an address."""
        return digest.to is not None

    async def wait_turn(self) -> None:
        """Wait until `per_minute` lets the next mail go, or the server may be tried again.

        A connection that has not been used for a while is closed here.
        """
        if self._kept is not None and not self._is_usable(self._kept):
            await self._take_leave(self._kept)
        await self._turns.wait()

    async def send(self, digest: OutgoingDigest) -> None:
        """Send one mail to one address.

        Raises:
            DeliveryDeferred: It did not go out, or the connection broke before the server said
                that it has the letter.
            DeliveryRejected: The server will never take this letter.
            AddressRefused: It is no address, or the server knows nobody there.
        """
        to = _recipient(digest)
        # in a thread: one of 1,000 postings takes a quarter of a second
        letter = await trio.to_thread.run_sync(write_letter, digest, to, self.relay)
        self._turns.take()
        try:
            with trio.fail_after(ENVELOPE_S):
                conversation = await self._address(to)
            with trio.fail_after(LETTER_S, shield=True):
                await conversation.hand_over(letter)
        except Answered as error:
            raise self._judged(error, to) from error
        except ConversationLost as error:
            raise self._rested(_shown(str(error), to)) from error
        except trio.TooSlowError as error:
            raise self._rested("no answer in time") from error
        finally:
            self._used_at = self.clock.monotonic()
            if self._kept is not None and not self._kept.is_in_step:
                self.close()
        self._turns.go_on()

    async def was_sent(self, message_id: str) -> bool | None:
        """Return None: only the server knows."""
        return None

    def close(self) -> None:
        """Close the connection, if one is kept, without a goodbye."""
        if self._kept is not None:
            self._kept.hang_up()
            self._kept = None

    async def _take_leave(self, kept: Conversation) -> None:
        try:
            with trio.move_on_after(GOODBYE_S), contextlib.suppress(Answered, ConversationLost):
                await kept.quit()
        finally:
            self.close()

    async def _address(self, to: str) -> Conversation:
        """Return a conversation in which the letter is next; a kept one that fails is replaced."""
        kept = self._kept
        if kept is not None and self._is_usable(kept):
            try:
                await kept.address(self.relay.sender, to)
            except ConversationLost:
                pass  # closed meanwhile, as servers do; nothing of the letter was sent
            else:
                return kept
        self.close()
        self._kept = conversation = await open_conversation(self.relay, self.tls)
        await conversation.address(self.relay.sender, to)
        return conversation

    def _is_usable(self, kept: Conversation) -> bool:
        idle_s = self.clock.monotonic() - self._used_at
        return kept.letters < MOST_LETTERS and idle_s < LONGEST_IDLE_S

    def _judged(self, error: Answered, to: str) -> DeliveryError:
        """Return what an answer means: about the address, the letter, or all that we send."""
        said = f"{error.step}: {error.reply.code} {_shown(error.reply.text, to)}".rstrip()
        if error.step == "AUTH":  # it may repeat what was sent
            said = f"AUTH: {error.reply.code}"
        if error.step not in (RECIPIENT, LETTER):
            self.close()
            return self._rested(said)
        return _fate(error)(f"smtp: {said}")

    def _rested(self, said: str) -> DeliveryDeferred:
        """Return the error after which the server is left alone for a while."""
        self._turns.rest()
        return DeliveryDeferred(f"smtp: {self.relay.host}: {said}")


def _recipient(digest: OutgoingDigest) -> str:
    try:
        return check_mail_address(digest.to or "")
    except ValueError as error:
        raise AddressRefused(f"smtp: must be {error}") from error


def _fate(error: Answered) -> type[DeliveryError]:
    """Say what becomes of a digest whose recipient or letter was not taken.

    Only what is said of the address itself counts against it: a server that blocks us or wants a
    password answers 5xx to every recipient, and all of them would be given up.

    Source:
        RFC 3463 3.2 to 3.8: X.1 addressing, X.2 mailbox (X.2.2 full), X.2.3 and X.3.4 too large,
        X.6 content, X.7 policy.
    """
    code, status = error.reply.code, error.reply.status
    if code < 500:
        return DeliveryDeferred
    match status:
        case (1, _) | (2, 0 | 1):
            return AddressRefused
        case (2, 3) | (3, 4) | (6, _):
            return DeliveryRejected
        case None if error.step == LETTER:
            return DeliveryRejected
        case None if code in _NO_SUCH_ADDRESS:
            return AddressRefused
        case _:
            return DeliveryDeferred


def _shown(text: str, to: str) -> str:
    """Return what a server said without the address, which it likes to repeat."""
    shown = _ADDRESS_LIKE.sub("(address)", printable(text, _SAID))
    return "" if to.partition("@")[0].lower() in shown.lower() else shown
