"""`jobping board add|list|remove`."""

import argparse
import datetime as dt
from typing import TYPE_CHECKING

from jobping.cli.output import Column, age, duration, print_json, print_table
from jobping.cli.parser import (
    Commands,
    UsageError,
    add_command,
    add_commands,
    add_config_options,
    add_json_option,
)
from jobping.cli.session import settings_of, with_stores
from jobping.clock import Clock
from jobping.core.board import StoredBoard
from jobping.core.ids import SourceName
from jobping.settings import check_board, known_source

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
        usage="add|list|remove",
        details="Boards of the configuration file can only be changed there; the others only here.",
        examples=[
            "jobping board list",
            "jobping board add greenhouse acme --company 'Acme GmbH'",
            "jobping board remove greenhouse acme",
        ],
    )
    below = add_commands(parser)
    adding = add_command(below, "add", "poll one more board")
    adding.add_argument("source", metavar="SOURCE", help="one of `jobping sources`")
    adding.add_argument("slug", metavar="SLUG", help="the source's name for it, as in its address")
    adding.add_argument(
        "--company", metavar="NAME", help="shown where the answers do not name the company"
    )
    adding.add_argument(
        "--standby",
        action="store_true",
        help="poll it only while the other boards find too little; see [supply]",
    )
    adding.set_defaults(command=_add)
    listing = add_command(below, "list", "show the boards that are polled")
    add_json_option(listing)
    listing.set_defaults(command=_list)
    removing = add_command(below, "remove", "stop polling a board; its postings stay")
    removing.add_argument("source", metavar="SOURCE")
    removing.add_argument("slug", metavar="SLUG")
    removing.set_defaults(command=_remove)
    for command in (adding, listing, removing):
        add_config_options(command)


def _add(arguments: argparse.Namespace) -> int:
    try:
        board = check_board(
            arguments.source, arguments.slug, arguments.company, standby=arguments.standby
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
    source = known_source(board.source)
    settings = settings_of(arguments)
    asked = settings.dressed(source)
    every_s = settings.source(source.name).pace_of(source).poll_every_s
    why_off = settings.why_off(source)

    async def body(stores: "Stores") -> int:
        await stores.boards.add(board, asked.domain(board))
        when = ", while the others find too little" if board.standby else ""
        polled = f"polled every {duration(every_s)}{when}" if why_off is None else f"off: {why_off}"
        print(f"{board.source} {board.slug}: added; {polled}")
        return 0

    return with_stores(arguments, body)


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
