from collections.abc import Callable

import pytest

from jobping.core.ids import Domain
from jobping.errors import MalformedPage
from jobping.fetch.wire import FetchLimits, Framing, HeadTooLong, Phase, Wire
from tests.actors.rig import SetClock

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"


def wire_of(
    *,
    header_bytes: int = 100,
    wire_bytes: int = 1000,
    on_sent: Callable[[], None] = lambda: None,
    clock: SetClock | None = None,
) -> Wire:
    return Wire(
        origin=("http", Domain("a.example")),
        limits=FetchLimits(header_bytes=header_bytes, wire_bytes=wire_bytes),
        on_sent=on_sent,
        clock=clock or SetClock(),
    )


def received(*chunks: bytes, framing: Framing = Framing.LENGTH, length: int = 3) -> Wire:
    """Return the wire of an exchange that read these chunks, the first up to the headers' end."""
    wire = wire_of()
    wire.begin_read(1)
    wire.end_read(chunks[0])
    wire.end_head(framing, length)
    for chunk in chunks[1:]:
        wire.end_read(chunk)
    return wire


def test_wire_grants_only_what_is_left_for_headers() -> None:
    wire = wire_of()
    assert wire.begin_read(65_536) == 100
    wire.end_read(b"x" * 60)
    assert wire.begin_read(65_536) == 40
    wire.end_read(b"x" * 40)
    with pytest.raises(HeadTooLong):
        wire.begin_read(65_536)


def test_wire_grants_the_whole_read_once_the_headers_are_complete() -> None:
    assert received(HEAD).begin_read(65_536) == 65_536


def test_wire_refuses_more_than_its_cap_in_all() -> None:
    wire = wire_of(wire_bytes=50)
    wire.end_read(b"x" * 50)
    with pytest.raises(MalformedPage, match="wire_bytes"):
        wire.end_read(b"x")


def test_wire_raises_what_it_was_told_to_fail_with_at_the_next_read() -> None:
    wire = wire_of()
    wire.fail = MalformedPage("ratio")
    with pytest.raises(MalformedPage, match="ratio"):
        wire.begin_read(1)


def test_wire_counts_a_request_once_and_tells_when_its_last_byte_left() -> None:
    sent: list[int] = []
    clock = SetClock(1.0)
    wire = wire_of(on_sent=lambda: sent.append(1), clock=clock)
    assert (wire.sent_at, wire.phase) == (None, Phase.RESOLVE)
    wire.begin_write()
    assert (wire.sent_at, wire.phase, sent) == (1.0, Phase.SEND, [1])
    clock.now = 2.0
    wire.end_write()
    assert wire.sent_at == 2.0
    clock.now = 3.0
    wire.begin_write()
    assert (wire.sent_at, sent) == (3.0, [1])


@pytest.mark.parametrize(
    ("wire", "clean"),
    [
        (received(HEAD + b"abc"), True),
        (received(HEAD, b"a", b"bc"), True),
        (received(INTERIM + INTERIM + HEAD + b"abc"), True),
        (received(b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc"), True),
        (received(HEAD + b"abcX"), False),
        (received(HEAD, b"abc", b"X"), False),
        (received(HEAD + b"ab"), False),
        (received(INTERIM), False),
        (received(HEAD, length=0), True),
        (received(HEAD + b"HTTP/1.1 200 OK\r\n\r\n", length=0), False),
        (received(HEAD, b"3\r\nabc\r\n0\r\n\r\n", framing=Framing.CHUNKED), True),
        (received(HEAD, b"3\r\nabc\r\n0\r", b"\n\r", b"\n", framing=Framing.CHUNKED), True),
        (received(HEAD, b"3\r\nabc\r\n0\r\n\r\nX", framing=Framing.CHUNKED), False),
        (received(HEAD, b"3\r\nabc\r\n0\r\nT: 1\r\n\r\n", framing=Framing.CHUNKED), False),
        (received(HEAD, b"abc", framing=Framing.CLOSE), False),
    ],
)
def test_wire_is_clean_only_when_nothing_follows_the_answer(wire: Wire, clean: bool) -> None:
    assert wire.is_clean() is clean
