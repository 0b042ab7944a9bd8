import contextlib
import fcntl
import json
import logging
import os
import select
import struct
import termios
import threading
import time
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobping.core.mail_address import ADDRESS
from jobping.events import ENVELOPE
from jobping.logs import LINE_BYTES, Form, LogConfig, is_journal, mask_text, open_log
from jobping.logs._lines import render


class End:
    """One end of a pipe as a stream."""

    def __init__(self, descriptor: int, *, terminal: bool = False) -> None:
        self._descriptor = descriptor
        self._terminal = terminal

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return self._terminal


class Pipe:
    """A pipe that is small and that nobody reads until asked."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, 4096)
        self.end = End(self.writer)

    def read_all(self) -> list[dict[str, Any]]:
        """Read until nothing came for a second."""
        data = b""
        while select.select([self.reader], [], [], 1.0)[0] and (
            part := os.read(self.reader, 65536)
        ):
            data += part
        return [json.loads(line) for line in data.splitlines()]

    def wait_filled(self) -> None:
        """Wait until the writer has filled the pipe, so that it stands."""
        deadline = time.monotonic() + 5.0
        while struct.unpack("i", fcntl.ioctl(self.reader, termios.FIONREAD, b"\0" * 4))[0] < 4096:
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def close(self) -> None:
        for end in (self.reader, self.writer):
            with contextlib.suppress(OSError):
                os.close(end)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_event_becomes_one_json_line_with_the_envelope_first(tmp_path: Path) -> None:
    before = time.time_ns() // 1000
    with (
        (tmp_path / "log").open("wb") as stream,
        open_log(LogConfig(run="r1", strict=True), stream=stream, journal=False) as log,
    ):
        log.bind(actor="scraper")("breaker.half_opened", domain="x.test")
    (line,) = lines(tmp_path / "log")
    assert tuple(line) == (*ENVELOPE, "domain")
    assert before <= line.pop("ts") <= time.time_ns() // 1000
    assert line == {
        "event": "breaker.half_opened", "v": 1, "level": "info", "actor": "scraper", "run": "r1",
        "seq": 1, "domain": "x.test",
    }  # fmt: skip


def test_levels_below_the_configured_one_are_not_written(tmp_path: Path) -> None:
    with (
        (tmp_path / "log").open("wb") as stream,
        open_log(LogConfig(level="warning"), stream=stream, journal=False) as log,
    ):
        log.emit("breaker.closed", domain="a")
        log.emit("breaker.closed", level="error", domain="b")
        log.emit("store.lost", why="c")
    assert [(line["event"], line["level"]) for line in lines(tmp_path / "log")] == [
        ("breaker.closed", "error"),
        ("store.lost", "error"),
    ]


def test_journal_lines_begin_with_the_priority_of_their_level(tmp_path: Path) -> None:
    with (
        (tmp_path / "log").open("wb") as stream,
        open_log(LogConfig(level="debug"), stream=stream, journal=True) as log,
    ):
        for level in ("debug", "info", "warning", "error"):
            log.emit("store.lost", level=level, why="<0> forged")
    assert [line[:4] for line in (tmp_path / "log").read_bytes().splitlines()] == [
        b"<7>{", b"<6>{", b"<4>{", b"<3>{",
    ]  # fmt: skip


def test_unknown_event_or_field_is_written_and_marked_in_production(tmp_path: Path) -> None:
    with (
        (tmp_path / "log").open("wb") as stream,
        open_log(LogConfig(), stream=stream, journal=False) as log,
    ):
        log.emit("moon.landed", crew=3)
        log.emit("breaker.closed", domain="a", mood="good")
        log.emit("breaker.closed", domain="a", level="loud")
        log.emit("moon.landed", seq=7, event="forged", self=1)
    odd = lines(tmp_path / "log")
    assert [line["uncatalogued"] for line in odd] == [True] * 4
    assert [line["level"] for line in odd] == ["warning", "info", "info", "warning"]
    assert odd[3]["event"] == "moon.landed"
    assert (odd[3]["seq"], odd[3]["seq_"], odd[3]["event_"]) == (4, 7, "forged")


@pytest.mark.parametrize(
    ("event", "fields"), [("moon.landed", {}), ("breaker.closed", {"mood": "good"})]
)
def test_unknown_event_or_field_raises_where_the_log_is_strict(
    event: str, fields: dict[str, str], tmp_path: Path
) -> None:
    with (
        (tmp_path / "log").open("wb") as stream,
        open_log(LogConfig(strict=True), stream=stream, journal=False) as log,
        pytest.raises(ValueError, match=event),
    ):
        log.emit(event, **fields)


def test_values_that_json_does_not_know_become_text() -> None:
    cycle: list[object] = []
    cycle.append(cycle)
    line = json.loads(
        render(
            {
                "path": Path("/x"),
                "network": IPv4Network("10.0.0.0/8"),
                "error": ValueError("no"),
                "many": frozenset({1}),
                "huge": 2**70,
                "nan": float("nan"),
                "cycle": cycle,
                "half": "a\ud800b",
                "keys": {(1, 2): 3},
            }
        )
    )
    assert line["path"] == "/x"
    assert line["network"] == "10.0.0.0/8"
    assert line["error"] == "ValueError: no"
    assert line["many"] == [1]
    assert line["nan"] is None
    assert line["half"] == "a?b"
    assert "[...]" in line["cycle"]
    assert "(1, 2)" in line["keys"]


@pytest.mark.parametrize(
    "character",
    ["\n", "\r", "\x00", "\x1b", "\x7f", "\x85", "\x9b", "\u2028", "\u2029", "\u202a", "\u202e",
     "\u2066", "\u2069", "\u200e", "\u200f", "\u061c"],
)  # fmt: skip
def test_control_and_bidirectional_characters_are_escaped_on_one_line(character: str) -> None:
    line = render({"title": f"a{character}b", "name": "Zoë 日本"})
    assert character.encode() not in line
    assert json.loads(line) == {"title": f"a{character}b", "name": "Zoë 日本"}


def test_forged_event_in_a_title_stays_inside_its_field() -> None:
    forged = '<0>\n{"event":"digest.sent"}'
    assert len(render({"title": forged}).splitlines()) == 1
    assert json.loads(render({"title": forged})) == {"title": forged}


@pytest.mark.parametrize(
    ("planted", "left"),
    [
        ("sk-proj-abc_DEF-0123456789", "sk-***"),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer ***"),
        ("postgresql://jobping:s3cret@db.test/jobs", "postgresql://***@db.test/jobs"),
        ("https://x.test/a?app_id=1234&app_key=5678&q=dev", "https://x.test/a?app_id=***&app_key=***&q=dev"),
        ("https://x.test/?token=abc#t", "https://x.test/?token=***#t"),
        ("host=db password='two words' user=me", "host=db password=*** user=me"),
        ("risk-management-analyst, 3 keys", "risk-management-analyst, 3 keys"),
        ("https://x.test/@acme?page=2", "https://x.test/@acme?page=2"),
    ],
)  # fmt: skip
def test_secrets_are_masked_in_every_form(planted: str, left: str) -> None:
    assert json.loads(render({"why": f"[{planted}]"})) == {"why": f"[{left}]"}
    assert mask_text(planted) == left


@pytest.mark.parametrize(
    ("planted", "left"),
    [
        ("550 5.1.1 <ana@example.org>: no such user", "550 5.1.1 <***>: no such user"),
        ("to=Ana.O'Brien+jobs@Mail.Example.Org;", "to=***;"),
        ("ana@example.org, bob@example.org", "***, ***"),
        ("mailto:ana@example.org?subject=x", "mailto:***?subject=x"),
        ("\nana@example.org\n", "\n***\n"),
        ("\x01ana@example.org", "\x01***"),
        ('\\\\\n"ana@example.org"', '\\\\\n"***"'),
        ("see /@acme or @acme", "see /@acme or @acme"),
        ("ana@bücher.example", "***"),
        ("root@localhost", "***"),
        ("postgresql://me:word@db.example/x", "postgresql://***@db.example/x"),
    ],
)
def test_mail_addresses_are_masked(planted: str, left: str) -> None:
    assert json.loads(render({"why": planted})) == {"why": left}
    assert mask_text(planted) == left


@given(st.from_regex(ADDRESS, fullmatch=True), st.text())
def test_every_address_that_can_be_stored_is_masked(address: str, before: str) -> None:
    line = render({"why": f"{before}<{address}>"})
    assert address not in json.loads(line)["why"]
    assert json.loads(line)["why"].endswith("<***>")


def test_long_text_with_one_at_sign_is_masked_at_once() -> None:
    began = time.process_time()
    render({"why": "a" * 1_000_000 + " @ " + "a@" * 100_000})
    assert time.process_time() - began < 1.0


def test_secret_at_the_cut_of_a_long_line_does_not_show() -> None:
    for pad in range(LINE_BYTES - 120, LINE_BYTES, 7):
        line = render({"why": "x" * pad + " postgresql://jobping:s3cretword@db.test/jobs"})
        assert b"s3cret" not in line


@pytest.mark.parametrize(
    "fields",
    [
        {"why": "x" * 1_000_000},
        {"why": "é\u2028\x00\"" * 50_000},
        {"why": ["item"] * 100_000},
        {"why": {"a": "b" * 9_000}, "text": "y" * 9_000},
        {f"field{n}": "z" * 40 for n in range(200)},
        {"event": "e" * 9_000},
    ],
)  # fmt: skip
def test_long_line_is_cut_to_its_limit_and_says_so(fields: dict[str, object]) -> None:
    line = render({"ts": 1, "event": "x.y", "actor": "me", **fields})
    assert len(line) <= LINE_BYTES - 4
    assert {"ts", "event"} <= json.loads(line).keys()


def test_longest_field_is_the_one_that_is_cut() -> None:
    line = json.loads(render({"ts": 1, "why": "x" * 9_000, "board": "acme"}))
    assert (line["ts"], line["board"], line["cut"]) == (1, "acme", True)
    assert line["why"].endswith("x…")
    assert len(line["why"]) > LINE_BYTES * 0.9


def test_full_queue_drops_the_least_important_first_and_says_so(pipe: Pipe) -> None:
    config = LogConfig(level="debug", capacity=50)
    with open_log(config, stream=pipe.end, journal=False) as log:
        for _ in range(400):  # more than the pipe and the writer's hands take
            log.emit("postgres.logged", text="x" * 200)
        pipe.wait_filled()
        for n in range(30):
            log.emit("breaker.closed", domain=str(n))
        for n in range(45):
            log.emit("store.lost", why=str(n))
        read = pipe.read_all()
    kept = [line["event"] for line in read]
    assert kept.count("store.lost") == 45
    assert kept.count("breaker.closed") == 5
    (drop,) = (line for line in read if line["event"] == "log.dropped")
    assert drop["by_level"]["info"] == 25
    assert drop["n"] == sum(drop["by_level"].values())
    written = [line["seq"] for line in read]
    assert written == sorted(written)
    assert drop["n"] == max(written) - len(read)


def test_emitting_never_waits_for_a_reader_that_stands_still(pipe: Pipe) -> None:
    longest = 0.0
    with open_log(LogConfig(), stream=pipe.end, journal=False) as log:
        for n in range(3_000):
            began = time.perf_counter()
            log.emit("store.lost", why=f"{n} " + "x" * 100)
            longest = max(longest, time.perf_counter() - began)
        read = pipe.read_all()
    assert len(read) == 3_000
    assert longest < 0.1


def test_reader_that_stalls_for_5_s_holds_nobody_and_loses_no_error(pipe: Pipe) -> None:
    """20,000 lines, twice what the queue holds, of which each fiftieth is an error."""
    longest = 0.0
    with open_log(LogConfig(), stream=pipe.end, journal=False) as log:
        for tenth in range(50):
            until = time.monotonic() + 0.1
            for n in range(400):
                event = "store.lost" if n % 50 == 0 else "breaker.closed"
                field = "why" if event == "store.lost" else "domain"
                began = time.perf_counter()
                log.emit(event, **{field: f"{tenth}.{n} " + "x" * 100})
                longest = max(longest, time.perf_counter() - began)
            time.sleep(max(0.0, until - time.monotonic()))
        read = pipe.read_all()
    kept = [line["event"] for line in read]
    assert kept.count("store.lost") == 50 * 8
    (drop,) = (line for line in read if line["event"] == "log.dropped")
    assert set(drop["by_level"]) == {"info"}
    assert kept.count("breaker.closed") + drop["n"] == 50 * 392
    assert longest < 0.1


def test_closing_takes_at_most_a_second_where_the_reader_stands_still(pipe: Pipe) -> None:
    began = time.perf_counter()
    with open_log(LogConfig(), stream=pipe.end, journal=False) as log:
        for _ in range(100):
            log.emit("store.lost", why="x" * 1000)
    assert 0.9 < time.perf_counter() - began < 1.8


def test_closing_writes_what_is_queued(tmp_path: Path) -> None:
    with (
        (tmp_path / "log").open("wb") as stream,
        open_log(LogConfig(), stream=stream, journal=False) as log,
    ):
        for n in range(5_000):
            log.emit("breaker.closed", domain=str(n))
    assert [line["domain"] for line in lines(tmp_path / "log")] == [str(n) for n in range(5_000)]


def test_log_goes_on_silently_when_its_reader_is_gone(pipe: Pipe) -> None:
    with open_log(LogConfig(), stream=pipe.end, journal=False) as log:
        os.close(pipe.reader)
        log.emit("store.lost", why="nobody reads this")
        deadline = time.monotonic() + 2
        while not log.is_broken and time.monotonic() < deadline:
            time.sleep(0.005)
        log.emit("store.lost", why="nor this")
    assert log.is_broken


def test_lines_of_many_threads_all_arrive(tmp_path: Path) -> None:
    with (
        (tmp_path / "log").open("wb") as stream,
        open_log(LogConfig(), stream=stream, journal=False) as log,
    ):
        threads = [
            threading.Thread(target=lambda: [log.emit("store.lost", why="x") for _ in range(200)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(line["seq"] for line in lines(tmp_path / "log")) == list(range(1, 801))


def test_warnings_of_libraries_become_events_and_less_does_not(tmp_path: Path) -> None:
    library = logging.getLogger("httpx")
    before = (library.level, library.propagate, list(library.handlers))
    with (
        (tmp_path / "log").open("wb") as stream,
        open_log(LogConfig(strict=True), stream=stream, journal=False),
    ):
        library.info("HTTP Request: GET https://x.test/?key=1")
        library.warning("slow: %s", "https://me:pw@x.test/")
        library.warning("broken %d", "text")
        logging.getLogger("asyncpg.pool").error("gone", exc_info=OSError("reset"))
    assert [
        (line["logger"], line["level"], line["text"], line["error"])
        for line in lines(tmp_path / "log")
    ] == [
        ("httpx", "warning", "slow: https://***@x.test/", None),
        ("httpx", "warning", "broken %d", None),
        ("asyncpg.pool", "error", "gone", "OSError: reset"),
    ]
    assert (library.level, library.propagate, list(library.handlers)) == before


def test_terminal_gets_columns_and_human_values(pipe: Pipe) -> None:
    with open_log(
        LogConfig(colour=False), stream=End(pipe.writer, terminal=True), journal=False
    ) as log:
        log.emit("scraper.polled", board="Acme GmbH", bytes=123456, duration_s=0.4123, why=None)
        log.emit("child.exited", level="error", error="Boom\u202e", traceback="Trace\n  a\x1b[2J")
    text = os.read(pipe.reader, 65536).decode().splitlines()
    assert text[0][8:] == (
        ' info    scraper.polled        board="Acme GmbH" bytes=120.6KiB duration_s=0.41s'
    )
    assert [line[8:] if n == 0 else line for n, line in enumerate(text[1:])] == [
        " error   child.exited          error=Boom",
        "    Trace",
        "      a [2J",
    ]


def test_regular_figures_are_for_programs(pipe: Pipe) -> None:
    stream = End(pipe.writer, terminal=True)
    with open_log(LogConfig(colour=False), stream=stream, journal=False) as log:
        log.emit("stats.taken", units=1)
        log.emit("domain.sampled", domain="a.example")
        log.emit("daemon.stopped", code=0)
    [line] = os.read(pipe.reader, 65536).decode().splitlines()
    assert line.endswith("daemon.stopped        code=0")


def test_long_line_for_people_leaves_out_what_is_zero(pipe: Pipe) -> None:
    counts = {"new": 3, "changed": 0, "unchanged": 0, "duplicate": 0, "rejected": 0, "news": 0}
    with open_log(
        LogConfig(colour=False), stream=End(pipe.writer, terminal=True), journal=False
    ) as log:
        log.emit("scraper.polled", source="a", board="b", tier="c", seen=3, bytes=9, **counts)
        log.emit("daemon.stopped", code=0)
    text = os.read(pipe.reader, 65536).decode().splitlines()
    assert text[0].endswith("scraper.polled        source=a board=b tier=c seen=3 bytes=9B new=3")
    assert text[1].endswith("daemon.stopped        code=0")


def test_colours_are_used_only_on_a_terminal_that_wants_them(pipe: Pipe, tmp_path: Path) -> None:
    for form, colour, terminal in [
        (Form.AUTO, True, True),
        (Form.AUTO, False, True),
        (Form.CONSOLE, True, False),
    ]:
        config = LogConfig(form=form, colour=colour)
        with open_log(config, stream=End(pipe.writer, terminal=terminal), journal=False) as log:
            log.emit("breaker.closed", domain="x")
        text = os.read(pipe.reader, 65536)
        assert (b"\x1b[" in text) is (colour and terminal)
        assert not text.startswith(b"{")


def test_journal_is_recognised_by_device_and_inode_of_the_stream(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as stream:
        status = os.fstat(stream.fileno())
        assert is_journal(stream, f"{status.st_dev}:{status.st_ino}")
        assert not is_journal(stream, f"{status.st_dev}:{status.st_ino + 1}")
        assert not is_journal(stream, None)
