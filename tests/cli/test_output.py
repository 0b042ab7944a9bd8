import contextlib
import datetime as dt
import json
import os
import pty
import sys
from collections.abc import Callable

import pytest

from jobping.cli.output import Column, age, place, print_json, print_pairs, print_table
from jobping.core.duration import duration
from jobping.core.ids import ExternalId, SourceName
from jobping.core.posting import Location, PostingDraft

NOW = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)
COLUMNS = (Column(title="title", folds=True), Column(title="n", right=True))
ROWS = [["Developer", "1"], ["Zoë's job", "12"]]


def on_terminal(show: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what is written to a terminal."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", terminal)
        patch.setenv("COLUMNS", "60")
        patch.setenv("TERM", "xterm")
        show()
    written = b""
    with contextlib.suppress(OSError):  # the other end is closed: all is read
        while part := os.read(ours, 65536):
            written += part
    os.close(ours)
    return written.decode()


def test_table_is_plain_and_aligned_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, ROWS, empty="none")
    assert capsys.readouterr().out == (
        "title       n\nDeveloper   1\nZoë's job  12\n"
    )  # fmt: skip


def test_table_without_rows_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, [], empty="nothing found")
    assert capsys.readouterr().out == "nothing found\n"


def test_table_on_a_terminal_has_a_rule_and_every_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    text = on_terminal(lambda: print_table(COLUMNS, ROWS, empty="none"), monkeypatch)
    assert "─" in text
    assert "Developer" in text
    assert "Zoë's job" in text


def test_markup_in_a_title_stays_text_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [["[red]Dev[/red] [link=https://evil]", "1"]]
    text = on_terminal(lambda: print_table(COLUMNS, rows, empty="none"), monkeypatch)
    assert "[red]Dev[/red] [link=https://evil]" in text


@pytest.mark.parametrize("nasty", ["\x1b[2J", "\r", "\x07", "\u202e", "\u2066", "\x9b", "\x00"])
def test_texts_of_strangers_cannot_steer_a_terminal(
    nasty: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [[f"a{nasty}b", "1"]]
    print_table(COLUMNS, rows, empty="none")
    print_pairs([("title", rows[0][0])])
    print_json({"title": rows[0][0]})
    out = capsys.readouterr().out
    assert nasty not in out
    assert out.isascii()
    shown = on_terminal(lambda: print_table(COLUMNS, rows, empty="none"), monkeypatch)
    assert f"a{nasty}" not in shown


def test_json_keeps_every_character_in_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"title": "Zoë \u202e"})
    assert json.loads(capsys.readouterr().out) == {"title": "Zoë \u202e"}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3600, "1 h"), (86_400, "1 d"), (200_000, "2 d")],
)
def test_duration_is_said_in_its_largest_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_age_says_before_after_and_never() -> None:
    assert age(None, NOW) == "-"
    assert age(NOW - dt.timedelta(hours=3), NOW) == "3 h ago"
    assert age(NOW + dt.timedelta(minutes=5), NOW) == "in 5 min"


def test_place_names_two_and_counts_the_rest() -> None:
    def draft(*places: str) -> PostingDraft:
        return PostingDraft(
            source=SourceName("lever"),
            external_id=ExternalId("1"),
            title="Dev",
            company=None,
            url="https://x.test/1",
            locations=tuple(Location(raw=raw) for raw in places),
        )

    assert place(draft()) == "-"
    assert place(draft("Berlin", "Paris")) == "Berlin, Paris"
    assert place(draft("Berlin", "Paris", "Rome")) == "Berlin, Paris +1"
