import datetime as dt
import io
import os
import threading

import pytest
import trio

from jobping.core.digest import Digest
from jobping.delivery import ConsoleDelivery, OutgoingDigest
from jobping.errors import DeliveryDeferred

NOW = dt.datetime(2026, 11, 12, 8, 0, tzinfo=dt.UTC)


class Terminal(io.StringIO):
    """A stream that is a terminal and counts its writes."""

    writes = 0

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)


def outgoing(subject: str = "1 job for berlin", text: str = "Söme text\n") -> OutgoingDigest:
    digest = Digest(subject=subject, text=text, html="<p>page</p>")
    return OutgoingDigest(
        profile="berlin", period="first", message_id="a1", profile_id=1, made_at=NOW, digest=digest
    )


async def test_console_gets_plain_text_where_it_is_no_terminal():
    stream = io.StringIO()

    await ConsoleDelivery(stream=stream).send(outgoing())

    assert stream.getvalue() == "\n1 job for berlin\n\nSöme text\n\n"


async def test_terminal_gets_the_subject_in_bold_in_one_write():
    stream = Terminal()

    await ConsoleDelivery(stream=stream).send(outgoing())

    assert stream.getvalue() == "\n\x1b[1m1 job for berlin\x1b[0m\n\nSöme text\n\n"
    assert stream.writes == 1


async def test_subject_cannot_bring_escapes_of_its_own():
    stream = Terminal()

    await ConsoleDelivery(stream=stream).send(outgoing("job\x1b[2J\n\u202enow"))

    assert stream.getvalue().startswith("\n\x1b[1mjob [2J now\x1b[0m\n")


async def test_stream_that_knows_ascii_only_gets_question_marks():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")

    await ConsoleDelivery(stream=stream).send(outgoing())

    assert raw.getvalue() == b"\n1 job for berlin\n\nS?me text\n\n"


async def test_page_is_bounded():
    stream = io.StringIO()

    await ConsoleDelivery(stream=stream).send(outgoing(text="x" * 1_000_000))

    assert len(stream.getvalue()) < 201_000


async def test_closed_stream_defers_the_digest():
    stream = io.StringIO()
    stream.close()

    with pytest.raises(DeliveryDeferred, match="console: "):
        await ConsoleDelivery(stream=stream).send(outgoing())


async def test_reader_that_takes_nothing_does_not_hold_the_loop():
    reading, writing = os.pipe()
    drained = threading.Event()

    def drain() -> None:
        drained.wait(5)
        while os.read(reading, 65_536):
            pass

    reader = threading.Thread(target=drain)
    reader.start()
    stream = os.fdopen(writing, "w", encoding="utf-8")
    turns = 0
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ConsoleDelivery(stream=stream).send, outgoing(text="x" * 200_000))
            for _ in range(20):
                await trio.sleep(0.002)
                turns += 1
            assert len(nursery.child_tasks) == 1
            drained.set()
    finally:
        drained.set()
        stream.close()
        reader.join()
        os.close(reading)
    assert turns == 20


async def test_reader_that_never_takes_anything_defers_the_digest(autojump_clock):
    closing = threading.Event()

    class Stuck(io.StringIO):
        def write(self, text: str) -> int:
            closing.wait(5)
            return len(text)

    try:
        with pytest.raises(DeliveryDeferred, match="nothing was taken in 10 s"):
            await ConsoleDelivery(stream=Stuck()).send(outgoing())
    finally:
        closing.set()


async def test_nobody_knows_what_a_stream_has_shown():
    assert await ConsoleDelivery(stream=io.StringIO()).was_sent("a1") is None
