"""A real SMTP server (aiosmtpd) on loopback, in a thread, that refuses and fails as told.

    with mail_server(tls=certificates.server("localhost")) as server:
        server.answers["RCPT"] = ["450 4.2.0 later"]        # the next RCPT, then as usual
        ... server.relay(...) ... server.mails ... server.connections

`HANG_UP` instead of an answer closes the connection without a word; a number is so many seconds to
wait before the usual answer.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP as POLICY
from functools import partial
from typing import Final

import attrs
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from jobping.delivery.relay import Relay

HANG_UP: Final = "(hang up)"
SECRET: Final = "plum-tree-5"
Answer = str | float


@attrs.frozen(kw_only=True)
class Mail:
    """One mail that was taken.

    Attributes:
        content: The bytes after the dots were removed.
        user: Who was logged in.
        is_secured: It came over TLS.
    """

    sender: str
    to: tuple[str, ...]
    content: bytes
    user: str | None
    is_secured: bool

    @property
    def message(self) -> EmailMessage:
        message = message_from_bytes(self.content, policy=POLICY)
        assert isinstance(message, EmailMessage)
        return message

    @property
    def id(self) -> str:
        return self.message["Message-ID"]

    def part(self, kind: str) -> str:
        body = self.message.get_body((kind,))
        assert body is not None
        return body.get_content()


@attrs.define(eq=False, kw_only=True)
class MailServer:
    """A running server.

    Attributes:
        answers: What the next commands of a kind get instead of the usual answer.
        mails: All that were taken.
        connections: Accepted so far.
        logins: Attempts to log in.
        open: Connections accepted and not closed yet.
    """

    port: int
    answers: dict[str, list[Answer]] = attrs.field(factory=lambda: defaultdict(list))
    mails: list[Mail] = attrs.field(factory=list)
    connections: int = 0
    logins: int = 0
    _open: set[asyncio.BaseTransport] = attrs.field(factory=set, init=False)
    is_implicit: bool = False

    @property
    def open(self) -> int:
        return len(self._open)

    @property
    def ids(self) -> list[str]:
        return [mail.id for mail in self.mails]

    def relay(self, **fields: object) -> Relay:
        """Return the relay that leads here."""
        own = {"host": "localhost", "port": self.port, "sender": "jobs@sender.example"}
        return Relay(**{**own, **fields})


@attrs.define(eq=False)
class _Handler:
    """The handler of all connections; aiosmtpd reads every attribute of it for each of them."""

    server: MailServer

    def login(
        self, smtp: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        self.server.logins += 1
        assert isinstance(data, LoginPassword)
        right = data.password == SECRET.encode()
        return AuthResult(success=right, handled=False, auth_data=data.login.decode())

    async def _instead(self, smtp: SMTP, step: str) -> str | None:
        answer = self.server.answers[step].pop(0) if self.server.answers[step] else None
        if answer == HANG_UP:
            smtp.transport.abort()
            return "421 hung up"
        if isinstance(answer, float):
            await asyncio.sleep(answer)
            return None
        return answer

    async def handle_EHLO(self, smtp, session, envelope, hostname, responses):
        session.host_name = hostname
        instead = await self._instead(smtp, "EHLO")
        return responses if instead is None else [instead]

    async def handle_MAIL(self, smtp, session, envelope, address, options):
        if (instead := await self._instead(smtp, "MAIL")) is not None:
            return instead
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, smtp, session, envelope, address, options):
        if (instead := await self._instead(smtp, "RCPT")) is not None:
            return instead
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, smtp, session, envelope):
        """Take the letter; an answer that is not a refusal comes after it was taken."""
        instead = await self._instead(smtp, "DATA")
        if instead is not None and instead[0] in "45" and instead != "421 hung up":
            return instead
        self.server.mails.append(
            Mail(
                sender=envelope.mail_from,
                to=tuple(envelope.rcpt_tos),
                content=envelope.original_content or envelope.content,
                user=session.auth_data,
                is_secured=session.ssl is not None or self.server.is_implicit,
            )
        )
        return instead or "250 OK taken"


class _Counted(SMTP):
    """Counts connections; STARTTLS makes another one of the same."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not hasattr(self, "first"):
            self.first = transport
            self.event_handler.server.connections += 1
            self.event_handler.server._open.add(transport)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.event_handler.server._open.discard(self.first)
        super().connection_lost(error)


@contextlib.contextmanager
def mail_server(
    *,
    tls: ssl.SSLContext | None = None,
    implicit: bool = False,
    wants_login: bool = False,
    mechanisms: tuple[str, ...] = ("PLAIN", "LOGIN"),
) -> Iterator[MailServer]:
    """Run a server.

    Args:
        tls: Its certificate; None: it offers no STARTTLS.
        implicit: TLS from the first byte on.
        wants_login: Takes mail only from who gives `SECRET` as password.
        mechanisms: Those of PLAIN and LOGIN that it offers.
    """
    logging.getLogger("mail").setLevel(logging.CRITICAL)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = MailServer(port=listener.getsockname()[1], is_implicit=implicit)
        handler = _Handler(running)
        ending: list[Callable[[], object]] = []
        is_up = threading.Event()

        def connected() -> SMTP:
            return _Counted(
                handler,
                hostname="relay.example",
                tls_context=None if implicit else tls,
                auth_required=wants_login,
                auth_exclude_mechanism={"PLAIN", "LOGIN"} - set(mechanisms),
                authenticator=handler.login,
                loop=asyncio.get_running_loop(),
            )

        async def serve() -> None:
            loop, end = asyncio.get_running_loop(), asyncio.Event()
            ending.append(partial(loop.call_soon_threadsafe, end.set))
            within = tls if implicit else None
            async with await loop.create_server(connected, sock=listener, ssl=within):
                is_up.set()
                await end.wait()
                for transport in running._open.copy():
                    transport.abort()
                await asyncio.sleep(0.01)

        thread = threading.Thread(target=lambda: asyncio.run(serve()))
        thread.start()
        is_up.wait(10)
        try:
            yield running
        finally:
            ending[0]()
            thread.join(10)
