import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobping.errors import StreamFailed
from jobping.monitor.stream import (
    LINE_CAP,
    TEXT_CAP,
    Decoder,
    Event,
    Foreign,
    Item,
    Lost,
    Notice,
    open_file,
    open_journal,
    open_pipe,
)

POLLED = {
    "ts": 1_790_000_000_000_000,
    "event": "scraper.polled",
    "v": 1,
    "level": "info",
    "actor": "domains/boards.example",
    "run": "r1",
    "seq": 7,
    "domain": "boards.example",
    "new": 3,
}
EVENT = Event(
    ts=1_790_000_000_000_000,
    event="scraper.polled",
    level="info",
    actor="domains/boards.example",
    run="r1",
    seq=7,
    v=1,
    fields={"domain": "boards.example", "new": 3},
)
STARTED = "39f53479d3a045ac8e11786248231fbf"


def line(**changes: Any) -> bytes:
    return json.dumps(POLLED | changes).encode() + b"\n"


def entry(message: Any, **fields: str) -> bytes:
    return (
        json.dumps(
            {
                "__REALTIME_TIMESTAMP": "1790000000000009",
                "PRIORITY": "6",
                "MESSAGE": message,
                "_PID": "77",
            }
            | fields
        ).encode()
        + b"\n"
    )


def read(data: bytes) -> list[Item]:
    decoder = Decoder()
    return [*decoder.feed(data), *decoder.end()]


def test_line_of_the_daemon_becomes_an_event() -> None:
    assert read(line()) == [EVENT]
    assert read(b"<6>" + line()) == [EVENT]


def test_entry_of_the_journal_becomes_the_event_it_holds() -> None:
    text = line().decode().strip()
    assert read(entry(text)) == [EVENT]
    assert read(entry(list(text.encode()))) == [EVENT]


def test_message_that_is_null_or_no_event_is_foreign_with_its_priority() -> None:
    assert read(entry(None, PRIORITY="3")) == [
        Foreign(ts=1790000000000009, level="error", text="(a line without a message)")
    ]
    assert read(entry("Traceback", PRIORITY="4")) == [
        Foreign(ts=1790000000000009, level="warning", text="Traceback")
    ]
    assert read(entry(["twice", "said"])) == [
        Foreign(ts=1790000000000009, level="info", text="twice said")
    ]


def test_notice_of_systemd_is_kept_and_a_forged_one_is_foreign() -> None:
    said = {"MESSAGE_ID": STARTED, "UNIT_RESULT": "success"}
    assert read(entry("Started.", **said, _PID="1")) == [
        Notice(ts=1790000000000009, event="unit.started", fields={"UNIT_RESULT": "success"})
    ]
    assert read(entry("Started.", **said)) == [
        Foreign(ts=1790000000000009, level="info", text="Started.")
    ]


@pytest.mark.parametrize(
    "text",
    [
        b"INFO something else",
        b"{}",
        b"[1]",
        b"{",
        b'{"event": "x"}',
        b'{"event": 1, "ts": 2, "run": "r", "seq": 3}',
        b'{"event": "x", "ts": "now", "run": "r", "seq": 3}',
        b'{"event": "x", "ts": -1, "run": "r", "seq": 3}',
        b'{"event": "x", "ts": 9999999999999999, "run": "r", "seq": 3}',
        b'{"event": "\xff", "ts": 1, "run": "r", "seq": 3}',
        b"{" * 5000,
        b'{"a":' * 5000,
        b"\x00\xff\xfe",
        b"NaN",
    ],
    ids=range(14),
)
def test_line_that_is_no_event_is_foreign_text(text: bytes) -> None:
    [found] = read(text + b"\n")
    assert found == Foreign(ts=None, level="info", text=text.decode("utf-8", "replace")[:TEXT_CAP])


def test_priority_in_front_of_foreign_text_is_its_level() -> None:
    assert read(b"<3>out of memory\n<9>no prefix\n") == [
        Foreign(ts=None, level="error", text="out of memory"),
        Foreign(ts=None, level="info", text="<9>no prefix"),
    ]


def test_gap_in_the_numbers_of_a_run_is_noticed_and_another_run_is_none() -> None:
    items = read(line(seq=7) + line(seq=11) + line(run="r2", seq=90) + line(seq=12))
    assert [item for item in items if isinstance(item, Lost)] == [
        Lost(ts=POLLED["ts"], run="r1", n=3)
    ]
    assert len(items) == 5


def test_line_without_an_end_is_cut_and_the_next_one_is_read() -> None:
    decoder = Decoder()
    found: list[Item] = []
    for _ in range(200):
        found += decoder.feed(b"x" * 16_384)
        assert len(decoder._rest) <= LINE_CAP + 16_384
    found += decoder.feed(b"\n" + line())
    assert found == [Foreign(ts=None, level="info", text="x" * TEXT_CAP), EVENT]


@given(st.binary(max_size=200), st.integers(1, 20))
def test_any_bytes_in_any_pieces_give_the_same_items(data: bytes, size: int) -> None:
    data = line() + data
    decoder = Decoder()
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    found = [item for piece in pieces for item in decoder.feed(piece)] + list(decoder.end())
    assert found == read(data)
    assert found[0] == EVENT


def test_file_is_read_to_its_end_also_without_a_last_line_end(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(line() + line(seq=8).strip())
    with open_file(file) as stream:
        assert [item.seq for item in stream if isinstance(item, Event)] == [7, 8]
        assert stream.ended


def test_file_that_is_not_there_or_a_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(StreamFailed, match="No such file"), open_file(tmp_path / "none"):
        pass
    with pytest.raises(StreamFailed, match="directory"), open_file(tmp_path) as stream:
        list(stream)


def test_file_is_followed_over_growth_rotation_and_emptying(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(line(seq=1) + line(seq=2)[:40])
    with open_file(file, follow=True) as stream:
        seen = [item.seq for item in stream.read() if isinstance(item, Event)]
        with file.open("ab") as more:
            more.write(line(seq=2)[40:])
        seen += [item.seq for item in stream.read() if isinstance(item, Event)]
        file.rename(tmp_path / "log.1")
        file.write_bytes(line(seq=3))
        seen += [item.seq for item in stream.read() if isinstance(item, Event)]
        file.write_bytes(b"")
        assert list(stream.read()) == []
        file.write_bytes(line(seq=4))
        seen += [item.seq for item in stream.read() if isinstance(item, Event)]
        assert not stream.ended
    assert seen == [1, 2, 3, 4]


def test_pipe_gives_what_has_come_and_ends_with_its_writer() -> None:
    reading, writing = os.pipe()
    stream = open_pipe(reading)
    assert list(stream.read()) == []
    os.write(writing, line())
    assert list(stream.read(within_s=5)) == [EVENT]
    os.close(writing)
    assert list(stream) == []
    assert stream.ended
    os.close(reading)


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `journalctl` that prints what stands in a file, then does what its end says."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "journalctl"
    program.write_text(
        f"#!{sys.executable}\n"
        "import pathlib, runpy, sys\n"
        f"here = pathlib.Path({str(tmp_path)!r})\n"
        "(here / 'arguments').write_text('\\n'.join(sys.argv[1:]))\n"
        "sys.stdout.buffer.write((here / 'entries').read_bytes())\n"
        "sys.stdout.flush()\n"
        "exec((here / 'end').read_text())\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "entries").write_bytes(b"")
    (tmp_path / "end").write_text("")
    monkeypatch.setenv("PATH", str(folder))
    return tmp_path


def test_journal_of_a_unit_is_read_through_its_program(journal: Path) -> None:
    (journal / "entries").write_bytes(entry(line().decode().strip()))
    with open_journal("jobping@a.service") as stream:
        assert list(stream) == [EVENT]
    words = (journal / "arguments").read_text().split("\n")
    assert words[:5] == ["--unit", "jobping@a.service", "--output", "json", "--all"]
    assert "--follow" not in words


def test_journal_that_cannot_be_read_is_said_with_the_reason(journal: Path) -> None:
    (journal / "end").write_text("sys.exit('No permission')")
    with open_journal() as stream, pytest.raises(StreamFailed, match="No permission"):
        list(stream)


def test_hint_of_the_journal_is_known_while_it_is_followed(journal: Path) -> None:
    (journal / "end").write_text(
        "print('Hint: no permission', file=sys.stderr, flush=True)\n"
        "print(flush=True); import time; time.sleep(600)"
    )
    with open_journal(follow=True) as stream:
        assert list(stream.read(within_s=10)) == []
        assert stream.failed == "Hint: no permission"


def test_journal_that_is_followed_ends_with_its_reader(journal: Path) -> None:
    (journal / "entries").write_bytes(entry(line().decode().strip()))
    (journal / "end").write_text("import time; time.sleep(600)")
    with open_journal(follow=True) as stream:
        assert list(stream.read(within_s=10)) == [EVENT]
        assert stream._program is not None
        program: subprocess.Popen[bytes] = stream._program
        assert program.poll() is None
    assert program.poll() is not None


def test_machine_without_journal_names_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StreamFailed, match="--file"), open_journal():
        pass
