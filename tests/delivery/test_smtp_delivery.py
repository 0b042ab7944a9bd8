import contextlib
import datetime as dt
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial

import pytest
import trio
from outgoing import ID, TEXT, TO, outgoing

from jobping.core.digest import Digest
from jobping.delivery.relay import Tls
from jobping.delivery.smtp import SmtpDelivery
from jobping.errors import AddressRefused, DeliveryDeferred, DeliveryRejected
from tests.doubles.certificates import Certificates, foreign_server
from tests.doubles.mail_server import HANG_UP, SECRET, MailServer, mail_server

OWN = Certificates()
USER = {"user": "me", "password": SECRET}


@pytest.fixture
def server() -> Iterator[MailServer]:
    with mail_server(tls=OWN.server("localhost")) as running:
        yield running


ToServer = Callable[..., SmtpDelivery]


@pytest.fixture
async def to_server() -> AsyncIterator[ToServer]:
    """Ways to servers; closed at the end."""
    ways = list[SmtpDelivery]()

    def make(server: MailServer, **fields: object) -> SmtpDelivery:
        relay = server.relay(**{"per_minute": 60_000, **fields})
        ways.append(SmtpDelivery(relay=relay, tls=OWN.client))
        return ways[-1]

    yield make
    for way in ways:
        way.close()


async def send(way: SmtpDelivery, *ids: str) -> None:
    for id in ids or (ID,):
        await way.wait_turn()
        await way.send(outgoing(message_id=id))


async def fails(way: SmtpDelivery, match: str = "", id: str = ID) -> DeliveryRejected | None:
    """Send and return the rejection, None where it was only put off."""
    await way.wait_turn()
    with pytest.raises((DeliveryDeferred, DeliveryRejected), match=match) as raised:
        await way.send(outgoing(message_id=id))
    assert TO.partition("@")[0] not in str(raised.value)
    return raised.value if isinstance(raised.value, DeliveryRejected) else None


@pytest.mark.parametrize("mechanisms", [("PLAIN", "LOGIN"), ("LOGIN",)])
async def test_mail_goes_over_starttls_to_one_recipient_with_a_login(
    to_server: ToServer, mechanisms
) -> None:
    tls = OWN.server("localhost")
    with mail_server(tls=tls, wants_login=True, mechanisms=mechanisms) as server:
        await send(to_server(server, **USER))

    [mail] = server.mails
    assert (mail.sender, mail.to) == ("jobs@sender.example", (TO,))
    assert (mail.user, mail.is_secured) == ("me", True)
    assert mail.id == f"<{ID}@sender.example>"
    assert mail.part("plain").startswith(TEXT.replace("\n", "\r\n"))


async def test_mail_goes_over_tls_from_the_first_byte(to_server: ToServer) -> None:
    with mail_server(tls=OWN.server("localhost"), implicit=True) as server:
        await send(to_server(server, tls=Tls.IMPLICIT))

    assert [mail.is_secured for mail in server.mails] == [True]


async def test_mail_goes_in_clear_only_to_loopback_where_that_is_set(to_server: ToServer) -> None:
    with mail_server() as server:
        await send(to_server(server, tls=Tls.NONE))
        assert len(server.mails) == 1
        assert not await fails(to_server(server), "offers no STARTTLS")
        assert len(server.mails) == 1


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("fault", ["foreign", "name", "expired", "early"])
async def test_nothing_is_said_to_a_server_whose_certificate_is_wrong(
    to_server: ToServer, fault, implicit
) -> None:
    now, day = dt.datetime.now(dt.UTC), dt.timedelta(days=1)
    tls = {
        "foreign": foreign_server,
        "name": lambda: OWN.server("other.example"),
        "expired": lambda: OWN.server("localhost", not_before=now - 2 * day, not_after=now - day),
        "early": lambda: OWN.server("localhost", not_before=now + day, not_after=now + 2 * day),
    }[fault]()
    with mail_server(tls=tls, implicit=implicit, wants_login=not implicit) as server:
        fields = {"tls": Tls.IMPLICIT} if implicit else USER
        assert not await fails(to_server(server, **fields), "TLS: .*certificate")
    assert (server.logins, server.mails) == (0, [])


async def test_server_that_only_speaks_old_tls_gets_nothing(to_server: ToServer) -> None:
    tls = OWN.server("localhost")
    with contextlib.suppress(ssl.SSLError):
        tls.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        tls.minimum_version = tls.maximum_version = ssl.TLSVersion.TLSv1_1
    with mail_server(tls=tls) as server:
        assert not await fails(to_server(server), "TLS: ")
    assert server.mails == []


async def test_wrong_password_is_not_tried_again_at_once_and_never_shown(
    to_server: ToServer,
) -> None:
    with mail_server(tls=OWN.server("localhost"), wants_login=True) as server:
        way = to_server(server, user="me", password="wrong-plum")
        await way.wait_turn()
        with pytest.raises(DeliveryDeferred, match=r"AUTH: 535$") as raised:
            await way.send(outgoing())
        with pytest.raises(DeliveryDeferred, match="not before 30 s"):
            await way.send(outgoing())
    assert server.logins == 1
    assert "plum" not in str(raised.value)
    assert server.mails == []


async def test_server_without_a_way_to_log_in_that_we_know_gets_nothing(
    to_server: ToServer,
) -> None:
    with mail_server(tls=OWN.server("localhost"), mechanisms=()) as server:
        assert not await fails(to_server(server, **USER), "neither AUTH PLAIN nor LOGIN")


@pytest.mark.parametrize(
    ("step", "answer", "fate"),
    [
        ("RCPT", "450 4.2.0 greylisted, come back", None),
        ("RCPT", "451 try later", None),
        ("RCPT", "452 4.2.2 mailbox full", None),
        ("RCPT", "550 no such user", AddressRefused),
        ("RCPT", "550 5.1.1 <ana@reader.example>: Recipient address rejected", AddressRefused),
        ("RCPT", "551 user not local", AddressRefused),
        ("RCPT", "553 5.1.3 bad address", AddressRefused),
        ("RCPT", "556 domain takes no mail", AddressRefused),
        ("RCPT", "550 5.2.1 mailbox disabled for Ana", AddressRefused),
        ("RCPT", "552 5.2.2 mailbox full", None),
        ("RCPT", "554 5.7.1 relay access denied", None),
        ("RCPT", "550 5.7.1 blocked by a list", None),
        ("RCPT", "530 5.7.0 authentication required", None),
        ("RCPT", "501 5.5.4 syntax", None),
        ("DATA", "451 4.3.0 queue full", None),
        ("DATA", "554 no", DeliveryRejected),
        ("DATA", "554 5.6.0 looks like spam", DeliveryRejected),
        ("DATA", "552 5.2.3 too long", DeliveryRejected),
        ("DATA", "552 5.3.4 too large for us", DeliveryRejected),
        ("DATA", "550 5.1.1 no such user", AddressRefused),
        ("DATA", "550 5.7.1 policy", None),
    ],
)
async def test_refusal_says_what_becomes_of_the_digest_and_the_connection_lives(
    to_server: ToServer, server: MailServer, step: str, answer: str, fate: type[Exception] | None
) -> None:
    way = to_server(server)
    server.answers[step] = [answer]

    rejection = await fails(way, answer[:3])
    assert (rejection and type(rejection)) == fate
    assert "@" not in str(rejection)

    await send(way, "next")
    assert server.ids == ["<next@sender.example>"]
    assert server.connections == 1


@pytest.mark.parametrize("step", ["EHLO", "MAIL"])
async def test_server_that_refuses_us_is_left_alone_for_a_while(
    to_server: ToServer, server, step: str
) -> None:
    way = to_server(server)
    server.answers[step] = ["550 5.7.1 go away"]

    assert not await fails(way, f"{step}: 550 5.7.1 go away")
    with pytest.raises(DeliveryDeferred, match="not before 30 s"):
        await way.send(outgoing())
    assert (server.connections, server.mails) == (1, [])


@pytest.mark.parametrize(
    "address",
    [
        "a@b.example, c@d.example",
        '"x\r\nBcc: y"@b.example',
        "a@b@c.example",
        "a" * 1_000 + "@b.example",
        "a@b.example\r\nDATA",
        "<a@b.example>",
        "",
    ],
)
async def test_what_is_not_exactly_one_address_gets_nothing(
    to_server: ToServer, server, address: str
) -> None:
    with pytest.raises(AddressRefused, match="one mail address"):
        await to_server(server).send(outgoing(to=address))
    assert (server.connections, server.mails) == (0, [])


async def test_digest_without_an_address_is_none_for_mail(to_server: ToServer) -> None:
    with mail_server() as server:
        way = to_server(server, tls=Tls.NONE)
        assert way.takes(outgoing())
        assert not way.takes(outgoing(to=None))


async def test_dots_and_line_ends_arrive_as_they_were_meant(
    to_server: ToServer, server: MailServer
) -> None:
    page = "<p>\n.\n..\n. x\n</p><footer></footer>"
    text = ".\n..\n.hidden\nlone\rreturn\n" + "x" * 2_000 + "\n.\n"
    way = to_server(server)
    await way.send(outgoing(digest=Digest(subject="s", text=text, html=page)))
    await send(way, "next")

    first, following = server.mails
    assert following.id == "<next@sender.example>"
    assert first.part("plain").startswith(text.replace("\r", "\n").replace("\n", "\r\n"))
    assert page.partition("<footer>")[0].replace("\n", "\r\n") in first.part("html")
    assert max(map(len, first.content.split(b"\r\n"))) <= 78


async def test_letter_that_the_server_may_have_goes_again_with_the_same_id(
    to_server: ToServer, server
) -> None:
    way = to_server(server)
    server.answers["DATA"] = [HANG_UP]

    assert not await fails(way, "hung up")
    again = to_server(server)
    await send(again)

    assert way.resends
    assert len(server.mails) == 2
    assert set(server.ids) == {f"<{ID}@sender.example>"}


async def test_batch_goes_over_one_connection_of_bounded_length(
    to_server: ToServer, server: MailServer
) -> None:
    way = to_server(server)
    await send(way, *(f"m{number}" for number in range(101)))

    assert server.ids == [f"<m{number}@sender.example>" for number in range(101)]
    assert server.connections == 2


async def test_connection_that_the_server_closed_meanwhile_is_replaced(
    to_server: ToServer, server
) -> None:
    way = to_server(server)
    await send(way, "one")
    server.answers["MAIL"] = [HANG_UP]
    await send(way, "two")
    server.answers["MAIL"] = ["421 4.3.2 shutting down"]
    await send(way, "three")

    assert server.ids == [f"<{id}@sender.example>" for id in ("one", "two", "three")]
    assert server.connections == 3


async def test_idle_connection_is_closed_with_a_goodbye(
    to_server: ToServer, server, mock_clock
) -> None:
    way = to_server(server)
    await send(way, "one")
    mock_clock.jump(19)
    await way.wait_turn()
    assert server.open == 1
    mock_clock.jump(2)
    mock_clock.rate = 1
    await way.wait_turn()
    await eventually(lambda: server.open == 0)


async def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline
        await trio.sleep(0.01)


@pytest.mark.parametrize(("step", "longest_s"), [("EHLO", 10), ("RCPT", 10), ("DATA", 18)])
async def test_slow_server_is_given_up_in_time(
    to_server: ToServer, mock_clock, step: str, longest_s: float
) -> None:
    mock_clock.rate = 40  # seconds of the deadline in one of the test
    with mail_server(tls=OWN.server("localhost")) as server:
        way = to_server(server)
        server.answers[step] = [2.0]
        began = trio.current_time()
        assert not await fails(way, "no answer in time")
        assert trio.current_time() - began < longest_s + 12
        assert trio.current_time() - began < 30


async def test_letter_in_hand_is_finished_at_a_stop_and_known_as_sent(
    to_server: ToServer, server
) -> None:
    way = to_server(server)
    await send(way, "one")
    server.answers["DATA"] = [0.4]
    ended = False
    with trio.move_on_after(0.2):
        await way.send(outgoing(message_id="two"))
        ended = True

    assert ended
    assert server.ids == ["<one@sender.example>", "<two@sender.example>"]


async def test_stop_before_the_letter_ends_at_once_and_sends_nothing(
    to_server: ToServer, server
) -> None:
    way = to_server(server)
    server.answers["RCPT"] = [2.0]
    with trio.move_on_after(0.2) as scope:
        await way.send(outgoing())
    assert scope.cancelled_caught
    await send(way, "next")
    assert server.ids == ["<next@sender.example>"]


@contextlib.asynccontextmanager
async def scripted(talk: Callable[[trio.SocketStream], Awaitable[None]]) -> AsyncIterator[int]:
    """Run a server that says what no real one would."""

    async def serve(stream: trio.SocketStream) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            await talk(stream)

    async with trio.open_nursery() as nursery:
        [listener] = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("said", "match"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "does not speak SMTP"),
        (b"220-" + b"x" * 5_000, "reply without end"),
        (b"220-more\r\n" * 1_000, "reply without end"),
        (b"220 hi\n999 what\n", "does not speak SMTP"),
        (b"220 \xff\xfe\n421 bye \x1b[2J\n", r"closes: 421 bye \[2J"),
        (b"", "hung up"),
    ],
)
async def test_server_that_speaks_no_smtp_is_given_up(
    to_server: ToServer, said: bytes, match: str
) -> None:
    async def talk(stream: trio.SocketStream) -> None:
        await stream.send_all(said)
        await stream.send_eof()
        await stream.receive_some()

    async with scripted(talk) as port:
        assert not await fails(to_server(MailServer(port=port)), match)


async def test_server_that_answers_a_byte_at_a_time_is_given_up_in_time(
    to_server: ToServer, mock_clock
) -> None:
    async def talk(stream: trio.SocketStream) -> None:
        await stream.send_all(b"220-")
        while True:
            await stream.send_all(b"x")
            await trio.sleep(1)

    mock_clock.rate = 40
    async with scripted(talk) as port:
        assert not await fails(to_server(MailServer(port=port)), "no answer in time")


async def test_words_before_the_handshake_never_count_as_secured(to_server: ToServer) -> None:
    async def talk(stream: trio.SocketStream) -> None:
        await stream.send_all(b"220 hi\r\n")
        await stream.receive_some()
        await stream.send_all(b"250-relay\r\n250 STARTTLS\r\n")
        await stream.receive_some()
        await stream.send_all(b"220 go\r\n250-relay\r\n250 AUTH PLAIN\r\n")
        await stream.receive_some()

    async with scripted(talk) as port:
        assert not await fails(to_server(MailServer(port=port)), "out of turn")


async def test_nobody_at_the_port_defers_the_digest(to_server: ToServer) -> None:
    with mail_server() as server:
        port = server.port
    assert not await fails(to_server(MailServer(port=port)), "no connection")


async def test_was_sent_is_known_to_the_server_only(
    to_server: ToServer, server: MailServer
) -> None:
    assert await to_server(server).was_sent(ID) is None
