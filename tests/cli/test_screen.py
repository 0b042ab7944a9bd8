"""The dashboard as text, drawn in a given width and height."""

import io
import re
from collections.abc import Iterable

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from jobping.cli.screen import Order, Picture
from jobping.cli.status import record
from jobping.monitor.state import DaemonState
from jobping.monitor.stream import Foreign, Item, Lost, Notice
from tests.monitor.samples import (
    CHILDREN,
    DAY,
    NOON,
    Writer,
    polled,
    sampled,
    started,
    stats,
)
from tests.monitor.test_state import fold, garbled

STYLE = re.compile(r"\x1b\[[0-9;]*m")
EVIL = "Dev\x1b[2J\x1b]0;owned\x07\r\n\u202e\u2066x\u2028\x9b31m[bold]"


def draw(
    state: DaemonState,
    width: int = 80,
    height: int | None = None,
    *,
    at: float = 60.0,
    order: Order = Order.TROUBLE,
    colour: bool = False,
) -> list[str]:
    out = io.StringIO()
    console = Console(
        file=out,
        width=width,
        height=height,
        force_terminal=colour,
        color_system="truecolor" if colour else None,
    )
    console.print(
        Picture(state=state, now=NOON + at, height=height, order=order, has_keys=height is not None)
    )
    return out.getvalue().removesuffix("\n").split("\n")


def busy(write: Writer, domains: int = 50) -> list[Item]:
    names = [f"board-{number:02}.example" for number in range(domains)]
    items: list[Item] = [*started(write), *(sampled(write, 2, name) for name in names)]
    items += [polled(write, 3, name, new=number) for number, name in enumerate(names)]
    items.append(write(4, "breaker.opened", domain=names[7], cause="5xx", until_s=300.0))
    items.append(write(5, "tier.demoted", domain=names[9], to_tier="backfill"))
    children = CHILDREN | {
        "ingest": {"state": "running", "restarts": 2, "depth": 15, "capacity": 16}
    }
    items.append(stats(write, 50, children=children))
    return items


@pytest.fixture
def write() -> Writer:
    return Writer()


def test_picture_of_a_busy_daemon_says_what_an_operator_needs(write: Writer) -> None:
    lines = draw(fold(busy(write, 12)))
    text = "\n".join(lines)
    assert lines[0].startswith("● degraded  jobping 1.2.3  up 1 min  stats 10 s old  run run-1")
    assert "  board-07.example: breaker open (5xx)" in lines
    assert "  board-09.example: tier backfill" in lines
    assert re.search(r"^day +█{17}▒·· +85%  \$8\.50 of \$10\.00, 40k of 100k tokens", text, re.M)
    assert re.search(r"^pool +█{5}·{15} +25%  2 of 8 busy, 90 MB, 40 requests", text, re.M)
    assert "● ingest 2↻ 15/16" in text
    assert "seen     12 polls, 66 new, 0 digests since its start" in lines
    assert re.search(r"^board-07\.example +reliable +open +60 4 min +1/1 +7$", text, re.M)
    assert re.search(r"warning tier\.demoted +domain=board-09", text)


@pytest.mark.parametrize("width", [80, 160])
def test_rows_are_aligned_and_fit_the_width(write: Writer, width: int) -> None:
    lines = draw(fold(busy(write)), width)
    assert max(map(cell_len, lines)) <= width
    [head] = [line for line in lines if line.startswith("domain ")]
    rows = [line for line in lines if line.startswith("board-")]
    assert len(rows) == 50
    tier, polls = head.index("tier"), head.index("polls") + len("polls")
    assert {row[tier : tier + 8].strip() for row in rows} == {"reliable", "backfill"}
    assert {row[:polls].rsplit(" ", 1)[1] for row in rows} == {"1/1"}


@pytest.mark.parametrize(("width", "height"), [(80, 24), (160, 50), (100, 30)])
def test_picture_fills_a_terminal_and_never_more(write: Writer, width: int, height: int) -> None:
    lines = draw(fold(busy(write)), width, height)
    assert height - 2 <= len(lines) <= height
    assert re.match(r"\d+ of 50 domains ─", next(line for line in lines if "domains ─" in line))
    assert "board-07" in "".join(lines), "trouble comes first"
    assert lines[-1].startswith("q quit")


@pytest.mark.parametrize(
    ("order", "first"),
    [(Order.TROUBLE, "board-07"), (Order.NAME, "board-00"), (Order.POSTINGS, "board-49"),
     (Order.NEXT, "board-07")],
)  # fmt: skip
def test_sites_are_sorted_as_asked(write: Writer, order: Order, first: str) -> None:
    lines = draw(fold(busy(write)), 80, 40, order=order)
    assert next(line for line in lines if line.startswith("board-")).startswith(first)


def test_empty_stream_is_shown_as_what_it_is() -> None:
    lines = draw(DaemonState())
    assert lines[0].startswith("● down")
    assert lines[1].strip() == "nothing is known of a daemon"
    assert lines[-1] == "none"


def test_stale_figures_are_called_old(write: Writer) -> None:
    lines = draw(fold(started(write)), at=421)
    assert lines[0].startswith("● down  jobping 1.2.3  ran 1 s  stats 7 min old")
    assert lines[1].strip().startswith("no stats for 7 min")


def test_figures_that_were_not_said_are_not_made_up(write: Writer) -> None:
    first, *_ = started(write)
    text = "\n".join(draw(fold([first])))
    assert len(re.findall(r"^(day|month|pool|parts) +not known", text, re.M)) == 4
    assert "$" not in text


def test_losses_notices_and_foreign_lines_are_shown_among_the_events(write: Writer) -> None:
    at = round(NOON * 1e6)
    items: list[Item] = [
        *started(write),
        Lost(ts=at, run="run-1", n=1200),
        Notice(ts=at, event="unit.started", fields={"UNIT_RESULT": "success"}),
        Foreign(ts=None, level="error", text="Segmentation fault"),
    ]
    text = "\n".join(draw(fold(items)))
    assert "1,200 lines lost, as the numbers of the others show; 1 line foreign" in text
    assert "1,200 lines lost here" in text
    assert "unit.started          UNIT_RESULT=success" in text
    assert "Segmentation fault" in text


@pytest.mark.parametrize("colour", [False, True])
def test_text_of_strangers_cannot_move_the_terminal(write: Writer, colour: bool) -> None:
    items: Iterable[Item] = [
        write(0, "daemon.started", version=EVIL),
        sampled(write, 1, f"a{EVIL}", tier=EVIL, breaker=EVIL, waits_for=EVIL),
        polled(write, 2, f"a{EVIL}", source=EVIL, board=EVIL, outcome=EVIL, why=EVIL),
        write(3, "digest.failed", digest=1, why=EVIL),
        write(3, "supply.fell_short", level="error"),
        write(4, "child.exited", child=f"root/{EVIL}", error=EVIL, traceback=f"x\n{EVIL}"),
        attrs.evolve(write(5, "cycle.completed"), event=EVIL, run=EVIL),
        Foreign(ts=1, level="info", text=EVIL),
    ]
    for width in (80, 160):
        lines = draw(fold(items), width, colour=colour)
        for line in lines:
            bare = STYLE.sub("", line) if colour else line
            assert not set(bare) & set("\x1b\x07\x9b\r\u202e\u2066\u2028")
        assert "[bold]" in "".join(lines), "no markup"


@settings(deadline=None)
@given(st.data())
def test_any_value_in_any_field_is_drawn(data: st.DataObject) -> None:
    state = fold([*started(Writer()), *garbled(data)])
    for width in (80, 160):
        assert max(map(cell_len, draw(state, width))) <= width
    assert record(state, NOON)["verdict"]
    assert DAY["tokens"] == 40_000, "samples are shared and stay as they are"
