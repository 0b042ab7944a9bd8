import re
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outgoing import HTML, ID, TEXT, TO, outgoing

from jobping.core.digest import Digest
from jobping.core.mail_address import check_mail_address
from jobping.delivery.letter import write_letter
from jobping.delivery.relay import Relay, Tls, check_unsubscribe

RELAY = Relay(host="relay.example", sender="jobs@sender.example")
HTTPS = "https://sender.example/u?t={token}"
MAILTO = "mailto:bye@sender.example?subject={token}"


def headers_of(letter: bytes) -> list[str]:
    """The lines of the header as they go over the wire, folded ones joined."""
    head = letter.partition(b"\r\n\r\n")[0].decode("ascii")
    return re.sub(r"\r\n[ \t]", " ", head).split("\r\n")


def header(letter: bytes, name: str) -> list[str]:
    return [line for line in headers_of(letter) if line.lower().startswith(f"{name.lower()}:")]


def read(letter: bytes) -> EmailMessage:
    message = message_from_bytes(letter, policy=SMTP)
    assert isinstance(message, EmailMessage)
    return message


def part(letter: bytes, kind: str) -> str:
    body = read(letter).get_body((kind,))
    assert body is not None
    return body.get_content()


def is_mail_address(text: str) -> bool:
    try:
        return check_mail_address(text) == text
    except ValueError:
        return False


def titled(subject: str) -> bytes:
    return write_letter(outgoing(digest=Digest(subject=subject, text=TEXT, html=HTML)), TO, RELAY)


def test_letter_has_the_headers_of_an_automatic_mail_and_both_parts():
    letter = write_letter(outgoing(), TO, RELAY)

    assert headers_of(letter)[:-2] == [
        f"Message-ID: <{ID}@sender.example>",
        "List-Unsubscribe: <mailto:jobs@sender.example?subject=unsubscribe%20tok-1>",
        "Subject: 1 job for berlin",
        "From: JobPing <jobs@sender.example>",
        "To: ana@reader.example",
        "Date: Thu, 12 Nov 2026 08:00:00 +0000",
        "Auto-Submitted: auto-generated",
    ]
    message = read(letter)
    assert message.get_content_type() == "multipart/alternative"
    assert [one.get_content_type() for one in message.iter_parts()] == ["text/plain", "text/html"]
    way_out = "mailto:jobs@sender.example?subject=unsubscribe%20tok-1"
    assert part(letter, "plain") == f"{TEXT}Unsubscribe: {way_out}\n".replace("\n", "\r\n")
    link = f'<p><a href="{way_out}">Unsubscribe</a></p>\n'
    assert part(letter, "html") == HTML.replace("</footer>", f"{link}</footer>").replace(
        "\n", "\r\n"
    )


@pytest.mark.parametrize(
    "title",
    [
        "Dev\r\nBcc: all@x.example",
        "Dev\nBcc: all@x.example",
        "Dev\rBcc: all@x.example",
        "Dev\u2028Bcc: all@x.example",
        "Dev\u2029Bcc: all@x.example",
        "Dev\x0bBcc: all@x.example",
        "Dev\x0cBcc: all@x.example",
        "Dev\x1cBcc: all@x.example",
        "Dev\x85Bcc: all@x.example",
    ],
)
def test_subject_hides_no_header(title):
    letter = titled(title)

    assert read(letter)["Subject"] == "Dev Bcc: all@x.example"
    assert header(letter, "Bcc") == []


def test_subject_loses_what_nobody_sees_and_is_cut():
    assert read(titled("a\0b"))["Subject"] == "a b"
    assert read(titled("K\u202eestre\u2066l\u2069 \ud800x"))["Subject"] == "Kestrel x"
    long = read(titled("ä" * 10_000))["Subject"]
    assert long == "ä" * 199 + "…"


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.characters(), max_size=300))
def test_any_subject_makes_one_header_that_is_read_back(subject):
    letter = titled(subject)

    assert len(header(letter, "Subject")) == 1
    assert len(headers_of(letter)) == len(headers_of(titled("x")))
    assert all(len(line) <= 998 for line in letter.split(b"\r\n"))


@settings(max_examples=150, deadline=None)
@given(
    st.from_regex(r"[a-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[a-z0-9.-]{1,80}", fullmatch=True).filter(
        is_mail_address
    )
)
def test_any_address_stands_in_its_header_as_it_is(address):
    letter = write_letter(outgoing(to=address), address, attrs.evolve(RELAY, sender=address))

    assert header(letter, "To") == [f"To: {address}"]
    assert header(letter, "From") == [f"From: JobPing <{address}>"]


def test_body_is_short_lines_of_ascii_that_read_back_as_they_were():
    text = ".\n..x\n.\r\nFrom here\n" + "long " * 400 + "x" * 2_000 + "\nlast ünd \ud7ff\n"
    letter = write_letter(outgoing(digest=Digest(subject="s", text=text, html=HTML)), TO, RELAY)

    assert letter.isascii()
    assert max(map(len, letter.split(b"\r\n"))) <= 78
    assert b"\n" not in letter.replace(b"\r\n", b"")
    assert part(letter, "plain").startswith(text.replace("\r\n", "\n").replace("\n", "\r\n"))


def test_long_names_are_never_folded_inside_a_word():
    domain = ".".join(["d" * 60] * 3) + ".example"
    to = "l" * 64 + "@" + ".".join(["e" * 58] * 3)
    relay = attrs.evolve(RELAY, sender=f"{'s' * 64}@{domain[:180]}", unsubscribe=(HTTPS,))
    token = "t" * 300

    letter = write_letter(outgoing(to=to, unsubscribe_token=token), to, relay)

    assert b"=?" not in letter
    assert header(letter, "Message-ID") == [f"Message-ID: <{ID}@{domain[:180]}>"]
    assert header(letter, "List-Unsubscribe") == [
        f"List-Unsubscribe: <{HTTPS.replace('{token}', token)}>"
    ]
    assert [one.addr_spec for one in read(letter)["To"].addresses] == [to]
    assert [one.addr_spec for one in read(letter)["From"].addresses] == [relay.sender]


def test_sender_name_is_quoted_and_cleaned():
    relay = attrs.evolve(RELAY, sender_name='Jöbs, "Inc."\r\nBcc: x@y.example')

    letter = write_letter(outgoing(), TO, relay)

    [shown] = read(letter)["From"].addresses
    assert (shown.display_name, shown.addr_spec) == (
        'Jöbs, "Inc." Bcc: x@y.example',
        "jobs@sender.example",
    )
    assert header(letter, "Bcc") == []


def test_one_click_is_promised_only_with_https_and_a_signing_server():
    both = attrs.evolve(RELAY, unsubscribe=(MAILTO, HTTPS))
    said = write_letter(outgoing(unsubscribe_token="a b>"), TO, both)
    signed = write_letter(outgoing(), TO, attrs.evolve(both, dkim=True))

    assert header(said, "List-Unsubscribe") == [
        "List-Unsubscribe: <https://sender.example/u?t=a%20b%3E>, "
        "<mailto:bye@sender.example?subject=a%20b%3E>"
    ]
    assert header(said, "List-Unsubscribe-Post") == []
    assert header(signed, "List-Unsubscribe-Post") == [
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click"
    ]
    with pytest.raises(ValueError, match="dkim"):
        attrs.evolve(RELAY, dkim=True, unsubscribe=(MAILTO,))


def test_letter_without_a_token_has_no_way_out():
    letter = write_letter(outgoing(unsubscribe_token=None), TO, RELAY)

    assert header(letter, "List-Unsubscribe") == []
    assert part(letter, "plain") == TEXT.replace("\n", "\r\n")
    assert part(letter, "html") == HTML.replace("\n", "\r\n")


@pytest.mark.parametrize(
    "address",
    [
        "http://a.example/{token}",
        "https://a.example/",
        "https://a.example/{token}>,<https://b.example/",
        "https://a.example/{token}\r\nBcc: x",
        "mailto:a@b.example?subject=ä{token}",
        "javascript:{token}",
        "https://a.example/{token}" + "x" * 500,
    ],
)
def test_unsubscribe_address_that_breaks_a_header_is_refused(address):
    with pytest.raises(ValueError, match="token"):
        check_unsubscribe(address)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"tls": Tls.NONE}, "loopback"),
        ({"tls": Tls.NONE, "host": "127.0.0.1", "user": "u", "password": "p"}, "loopback"),
        ({"user": "u"}, "password"),
        ({"password": "p"}, "password"),
        ({"sender": "a@b.example, c@d.example"}, "one mail address"),
    ],
)
def test_relay_that_is_not_safe_is_refused(fields, why):
    with pytest.raises(ValueError, match=why):
        attrs.evolve(RELAY, **fields)


def test_relay_shows_no_password():
    assert "plum" not in repr(attrs.evolve(RELAY, user="me", password="plum"))
