"""`jobping board add|import|list|remove`."""

import argparse
import csv
import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from jobping.cli.output import Column, age, print_json, print_table
from jobping.cli.parser import (
    Commands,
    UsageError,
    add_command,
    add_commands,
    add_config_options,
    add_json_option,
    read_text,
)
from jobping.cli.session import settings_of, with_stores
from jobping.clock import Clock
from jobping.core.board import Board, StoredBoard
from jobping.core.duration import duration
from jobping.core.ids import SourceName
from jobping.errors import StoreConflict
from jobping.settings import Settings, check_board, known_source
from jobping.sources.recognise import boards_in
from jobping.sources.source import Source

if TYPE_CHECKING:
    from jobping.tree import Stores

_COLUMNS = (
    Column(title="source"),
    Column(title="slug", folds=True),
    Column(title="company"),
    Column(title="from"),
    Column(title="polled"),
    Column(title="next"),
    Column(title="last outcome"),
    Column(title="failures", right=True),
)


def add(commands: Commands) -> None:
    """Add the commands."""
    parser = commands.add(
        "board",
        "the boards that are polled",
        group="boards and profiles",
        usage="add|import|list|remove",
        details="Boards of the configuration file can only be changed there; the others only here.",
        examples=[
            "jobping board list",
            "jobping board add greenhouse acme --company 'Acme GmbH'",
            "jobping board add https://jobs.lever.co/acme",
            "jobping board import boards.csv",
            "jobping board remove greenhouse acme",
        ],
    )
    below = add_commands(parser)
    adding = add_command(below, "add", "poll one more board")
    adding.add_argument(
        "source", metavar="SOURCE", help="one of `jobping sources`, or the board's address alone"
    )
    adding.add_argument(
        "slug", metavar="SLUG", nargs="?", help="the source's name for it, as in its address"
    )
    adding.add_argument(
        "--company", metavar="NAME", help="shown where the answers do not name the company"
    )
    adding.add_argument(
        "--standby",
        action="store_true",
        help="poll it only while the other boards find too little; see [supply]",
    )
    adding.set_defaults(command=_add)
    importing = add_command(
        below,
        "import",
        "poll the boards of a file",
        details="Each line is SOURCE,SLUG or an address, and the company behind one more comma;"
        " lines after # are left out. One wrong line, and none is taken.",
    )
    importing.add_argument("file", type=Path, metavar="FILE", help="CSV in UTF-8")
    importing.set_defaults(command=_import)
    listing = add_command(below, "list", "show the boards that are polled")
    add_json_option(listing)
    listing.set_defaults(command=_list)
    removing = add_command(below, "remove", "stop polling a board; its postings stay")
    removing.add_argument("source", metavar="SOURCE")
    removing.add_argument("slug", metavar="SLUG")
    removing.set_defaults(command=_remove)
    for command in (adding, importing, listing, removing):
        add_config_options(command)


def _add(arguments: argparse.Namespace) -> int:
    try:
        board = _named(arguments.source, arguments.slug, arguments.company)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return _add_all(arguments, [attrs.evolve(board, standby=arguments.standby)])


def _named(source: str, slug: str | None, company: str | None) -> Board:
    """Return the board of a source and a slug, or of an address; raises ValueError."""
    if slug is not None:
        return check_board(source, slug, company)
    found = boards_in(source)
    if not found:
        hint = "give SOURCE and SLUG"
        if "://" in source:
            hint = f"`jobping sources probe {source}` looks behind it"
        raise ValueError(f"{source!r} is no address of a known board; {hint}")
    return check_board(found[0].source, found[0].slug, company)


def _import(arguments: argparse.Namespace) -> int:
    boards, problems = [], []
    for number, row in _rows(arguments.file):
        is_address = "://" in row[0]
        source, slug, *rest = (row[0], None, *row[1:]) if is_address else (*row, None, None)[:3]
        try:
            boards.append(_named(source or "", slug, (rest[0] or None) if rest else None))
        except ValueError as error:
            problems.append(f"{arguments.file}: line {number}: {error}")
    if problems:
        raise UsageError("\n".join(problems))
    return _add_all(arguments, list(dict.fromkeys(boards)), tolerant=True)


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Return the rows of a file that hold something, with their line numbers."""
    lines = [line if line.lstrip()[:1] != "#" else "" for line in read_text(path).splitlines()]
    rows = ([cell.strip() for cell in row] for row in csv.reader(lines))
    return [(number, row) for number, row in enumerate(rows, 1) if row and row[0]]


def _add_all(
    arguments: argparse.Namespace, boards: Sequence[Board], *, tolerant: bool = False
) -> int:
    """Add boards and say how often each is polled; a tolerant one passes over those present."""
    settings = settings_of(arguments)

    async def body(stores: "Stores") -> int:
        for board in boards:
            source = known_source(board.source)
            try:
                await stores.boards.add(board, settings.dressed(source).domain(board))
            except StoreConflict as error:
                if not tolerant:
                    raise
                print(error)
                continue
            print(f"{board.source} {board.slug}: added; {_polled(settings, source, board)}")
        return 0

    return with_stores(arguments, body)


def _polled(settings: Settings, source: Source, board: Board) -> str:
    if (why_off := settings.why_off(source)) is not None:
        return f"off: {why_off}"
    every_s = settings.source(source.name).pace_of(source).poll_every_s
    when = ", while the others find too little" if board.standby else ""
    return f"polled every {duration(every_s)}{when}"


def _list(arguments: argparse.Namespace) -> int:
    async def body(stores: "Stores") -> int:
        boards = await stores.boards.enabled()
        if arguments.json:
            print_json([_as_json(board) for board in boards])
        else:
            now = Clock().utcnow()
            print_table(_COLUMNS, [_row(board, now) for board in boards], empty="no boards")
        return 0

    return with_stores(arguments, body)


def _remove(arguments: argparse.Namespace) -> int:
    async def body(stores: "Stores") -> int:
        await stores.boards.remove(SourceName(arguments.source), arguments.slug)
        print(f"{arguments.source} {arguments.slug}: removed")
        return 0

    return with_stores(arguments, body)


def _row(stored: StoredBoard, now: dt.datetime) -> list[str]:
    due_at = stored.next_due_at
    return [
        stored.board.source,
        stored.board.slug,
        stored.board.company or "-",
        stored.origin.value + (", standby" if stored.board.standby else ""),
        age(stored.polled_at, now),
        age(due_at, now) if due_at and due_at > now else "now",
        stored.outcome or "-",
        str(stored.failures),
    ]


def _as_json(stored: StoredBoard) -> dict[str, object]:
    return {
        "source": stored.board.source,
        "slug": stored.board.slug,
        "company": stored.board.company,
        "domain": stored.domain,
        "origin": stored.origin.value,
        "standby": stored.board.standby,
        "polled_at": stored.polled_at.isoformat() if stored.polled_at else None,
        "next_due_at": stored.next_due_at.isoformat() if stored.next_due_at else None,
        "outcome": stored.outcome,
        "failures": stored.failures,
    }
