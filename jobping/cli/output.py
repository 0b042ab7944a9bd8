"""Tables and JSON. What strangers wrote is made harmless before it is shown."""

import csv
import datetime as dt
import json
import sys
from collections.abc import Sequence

import attrs
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobping.core.duration import duration
from jobping.core.posting import PostingDraft
from jobping.core.printable import printable

_LONGEST = 2_000


@attrs.frozen(kw_only=True)
class Column:
    """A column of a table.

    Attributes:
        title: Its heading.
        right: Numbers: aligned at the right.
        folds: On a terminal too narrow for the table this column is broken, the others are not.
    """

    title: str
    right: bool = False
    folds: bool = False


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, empty: str) -> None:
    """Print rows: with rules on a terminal, as plain aligned text elsewhere.

    Args:
        columns: One for each cell of a row.
        rows: Cells as text, also of strangers.
        empty: Printed where there are no rows.
    """
    cells = [[printable(cell, _LONGEST) for cell in row] for row in rows]
    if not cells:
        print(empty)
    elif sys.stdout.isatty():
        _print_rich(columns, cells)
    else:
        _print_plain(columns, cells)


def _print_rich(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            overflow="fold" if column.folds else "ellipsis",
            no_wrap=not column.folds,
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(highlight=False).print(table)


def _print_plain(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    titles = [column.title for column in columns]
    widths = [max(map(len, cells)) for cells in zip(titles, *rows, strict=True)]
    for row in [titles, *rows]:
        padded = (
            cell.rjust(width) if column.right else cell.ljust(width)
            for cell, width, column in zip(row, widths, columns, strict=True)
        )
        print("  ".join(padded).rstrip())


def print_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    """Print names and values, a line each."""
    width = max((len(name) for name, _value in pairs), default=0)
    for name, value in pairs:
        print(f"{name:<{width}}  {printable(value, _LONGEST)}".rstrip())


def print_json(value: object) -> None:
    """Print JSON in ASCII, so that no character of a stranger reaches a terminal."""
    print(json.dumps(value, indent=2, ensure_ascii=True))


def print_csv(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print CSV; no cell of a stranger is a formula for a spreadsheet, nor a trick for a terminal.

    Source:
        OWASP, "CSV Injection": a cell that begins with one of these gets an apostrophe.
    """
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(titles)
    for row in rows:
        cells = (printable(cell, _LONGEST) for cell in row)
        writer.writerow([f"'{cell}" if cell.startswith(tuple("=+-@")) else cell for cell in cells])


def age(moment: dt.datetime | None, now: dt.datetime) -> str:
    """Return how long ago or ahead a moment is, in one unit; `-` where there is none."""
    if moment is None:
        return "-"
    seconds = (now - moment).total_seconds()
    text = duration(abs(seconds))
    return f"{text} ago" if seconds >= 0 else f"in {text}"


def place(draft: PostingDraft) -> str:
    """Return the places of a posting in a few words."""
    first = [location.raw for location in draft.locations[:2]]
    more = len(draft.locations) - len(first)
    return ", ".join(first) + (f" +{more}" if more > 0 else "") or "-"
