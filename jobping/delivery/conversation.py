"""One SMTP conversation over a Trio stream: commands, and replies read within bounds.

Our own and not smtplib in a thread: a thread that hangs in the resolver or in a read cannot be
called back, so a mail that was given up could still go out; and smtplib's time limits are for each
read, so that a server which answers a byte at a time holds it for ever. Here the caller's deadline
ends anything at any point.
"""

import base64
import ipaddress
import re
import ssl
from collections.abc import Mapping
from typing import Final

import attrs
import trio

from jobping.delivery.relay import Relay, Tls

LINE_BYTES: Final = 2_000
"""RFC 5321 4.5.3.1.5 has 512; some servers say more."""
MOST_LINES: Final = 100
CLOSING: Final = 421
RECIPIENT: Final = "RCPT"
LETTER: Final = "letter"
_REPLY: Final = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?")
_STATUS: Final = re.compile(r"[245]\.([0-9]{1,3})\.([0-9]{1,3})\b")
_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_DOT: Final = re.compile(rb"^\.", re.MULTILINE)


class ConversationLost(Exception):
    """The server cannot be talked to, or not safely; the connection is of no more use."""


@attrs.frozen
class Reply:
    """A reply.

    Attributes:
        text: Its lines, joined; from the server, so it may hold anything.
    """

    code: int
    text: str

    @property
    def status(self) -> tuple[int, int] | None:
        """Subject and detail of the enhanced status code (RFC 3463), or None."""
        found = _STATUS.match(self.text)
        return (int(found[1]), int(found[2])) if found else None


class Answered(Exception):
    """The server answered a command with something else than what it should.

    Attributes:
        step: What was asked, in a word or two.
    """

    def __init__(self, step: str, reply: Reply) -> None:
        super().__init__(f"{step}: {reply.code} {reply.text}")
        self.step = step
        self.reply = reply


@attrs.define(eq=False)
class Conversation:
    """A connection on which one command is asked at a time.

    Attributes:
        features: What the server offers, by keyword in capitals, with its parameters.
        letters: How many it has taken.
        is_in_step: All that was said is answered; else the connection is of no more use.
    """

    _socket: trio.SocketStream
    _stream: trio.abc.Stream
    features: Mapping[str, str] = attrs.field(factory=dict, init=False)
    letters: int = attrs.field(default=0, init=False)
    is_in_step: bool = attrs.field(default=False, init=False)
    _is_begun: bool = attrs.field(default=False, init=False)
    _buffer: bytearray = attrs.field(factory=bytearray, init=False)

    @property
    def is_near(self) -> bool:
        """Whether the server is on loopback."""
        return _address(self._socket.socket.getpeername()).is_loopback

    async def ask(self, command: str, *wanted: int, step: str = "") -> Reply:
        """Send a command and read its reply.

        Args:
            wanted: The codes that are right.
            step: Stands for the command in errors; its first word as a rule.

        Raises:
            Answered: The server answered something else.
            ConversationLost: It hung up, or what it says is no SMTP.
        """
        await self._send(command.encode("ascii") + b"\r\n")
        return await self.expect(step or command.partition(" ")[0], *wanted)

    async def expect(self, step: str, *wanted: int) -> Reply:
        """Read a reply; errors as those of `ask`."""
        reply = await self._read()
        if reply.code == CLOSING:
            raise ConversationLost(f"the server closes: {reply.code} {reply.text}")
        self.is_in_step = True
        if reply.code not in wanted:
            raise Answered(step, reply)
        return reply

    async def greet(self) -> None:
        """Say hello and learn what the server offers; errors as those of `ask`.

        Source:
            RFC 5321 4.1.3 and 4.1.4: an address literal, where a name may not be known.
        """
        address = _address(self._socket.socket.getsockname())
        literal = f"[{'IPv6:' if address.version == 6 else ''}{address}]"
        reply = await self.ask(f"EHLO {literal}", 250)
        lines = (line.replace("=", " ", 1).partition(" ") for line in reply.text.split("\n")[1:])
        self.features = {word.upper(): rest for word, _, rest in lines}

    async def secure(self, tls: ssl.SSLContext, host: str) -> None:
        """Shake hands and check the server's certificate and name.

        Raises:
            ConversationLost: There was something in the clear that would count as secured, or the
                handshake failed.
        """
        if self._buffer:
            raise ConversationLost("the server spoke out of turn before TLS")
        secured = trio.SSLStream(self._socket, tls, server_hostname=host, https_compatible=True)
        try:
            await secured.do_handshake()
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ConversationLost(f"TLS: {error.__cause__ or 'the server hung up'}") from error
        self._stream = secured

    async def log_in(self, user: str, password: str) -> None:
        """Authenticate; errors as those of `ask`, and nothing of the server's text.

        Source:
            RFC 4954; RFC 4616 for PLAIN. LOGIN is what old servers have instead.
        """
        offered = self.features.get("AUTH", "").upper().split()
        if "PLAIN" in offered:
            await self.ask(f"AUTH PLAIN {_base64(f'{chr(0)}{user}{chr(0)}{password}')}", 235)
        elif "LOGIN" in offered:
            await self.ask("AUTH LOGIN", 334)
            await self.ask(_base64(user), 334, step="AUTH")
            await self.ask(_base64(password), 235, step="AUTH")
        else:
            raise ConversationLost("the server offers neither AUTH PLAIN nor LOGIN")

    async def address(self, sender: str, to: str) -> None:
        """Name sender and recipient and be told to go ahead; errors as those of `ask`."""
        if self._is_begun:
            await self.ask("RSET", 250)
        self._is_begun = True
        await self.ask(f"MAIL FROM:<{sender}>", 250)
        await self.ask(f"{RECIPIENT} TO:<{to}>", 250, 251)
        await self.ask("DATA", 354)

    async def hand_over(self, letter: bytes) -> None:
        """Send the letter after `address`; once this returned, it is the server's.

        Every line ends with CRLF and no line ends the letter but ours (RFC 5321 4.5.2).
        """
        lines = _DOT.sub(b"..", _LINE_END.sub(b"\r\n", letter.removesuffix(b"\r\n")))
        await self._send(lines + b"\r\n.\r\n")
        await self.expect(LETTER, 250)
        self.letters += 1
        self._is_begun = False

    async def quit(self) -> None:
        """Take leave; errors as those of `ask`."""
        await self.ask("QUIT", 221)

    def hang_up(self) -> None:
        """Close the connection at once."""
        self._socket.socket.close()

    async def _send(self, data: bytes) -> None:
        self.is_in_step = False
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ConversationLost("the server hung up") from error

    async def _read(self) -> Reply:
        lines: list[str] = []
        while len(lines) < MOST_LINES:
            found = _REPLY.fullmatch(await self._line())
            if found is None:
                raise ConversationLost("the server does not speak SMTP")
            lines.append((found[3] or b"").decode("utf-8", "replace"))
            if found[2] != b"-":
                return Reply(int(found[1]), "\n".join(lines))
        raise ConversationLost("a reply without end")

    async def _line(self) -> bytes:
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > LINE_BYTES:
                raise ConversationLost("a reply without end")
            try:
                chunk = await self._stream.receive_some(LINE_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise ConversationLost("the server hung up") from error
            if not chunk:
                raise ConversationLost("the server hung up")
            self._buffer += chunk
        line = bytes(self._buffer[:end]).removesuffix(b"\r")
        del self._buffer[: end + 1]
        return line


async def open_conversation(relay: Relay, tls: ssl.SSLContext) -> Conversation:
    """Connect, secure the connection and log in, as the relay is set.

    Raises:
        ConversationLost: It cannot be reached, or not safely.
        Answered: It does not let us in.
    """
    try:
        socket = await trio.open_tcp_stream(relay.host, relay.port)
    except OSError as error:
        raise ConversationLost(f"no connection: {error}") from error
    conversation, is_open = Conversation(socket, socket), False
    try:
        await _begin(conversation, relay, tls)
        is_open = True
    finally:
        if not is_open:
            conversation.hang_up()
    return conversation


async def _begin(conversation: Conversation, relay: Relay, tls: ssl.SSLContext) -> None:
    if relay.tls is Tls.NONE and not conversation.is_near:
        raise ConversationLost(f"{relay.host} is not on loopback")
    if relay.tls is Tls.IMPLICIT:
        await conversation.secure(tls, relay.host)
    await conversation.expect("greeting", 220)
    await conversation.greet()
    if relay.tls is Tls.STARTTLS:
        if "STARTTLS" not in conversation.features:
            raise ConversationLost("the server offers no STARTTLS; nothing goes out in clear")
        await conversation.ask("STARTTLS", 220)
        await conversation.secure(tls, relay.host)
        await conversation.greet()
    if relay.user is not None and relay.password is not None:
        await conversation.log_in(relay.user, relay.password)


def _address(name: tuple[str, int]) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(name[0].partition("%")[0])


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")
