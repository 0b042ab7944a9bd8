"""`jobping events`: the catalogue of log events."""

import argparse

import attrs

from jobping.cli.output import Column, print_json, print_table
from jobping.cli.parser import Commands, UsageError, add_json_option
from jobping.events import ENVELOPE, EVENTS

_COLUMNS = (
    Column(title="event"),
    Column(title="v", right=True),
    Column(title="level"),
    Column(title="fields", folds=True),
)


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add(
        "events",
        "the events of the log: names, levels, fields, meaning",
        group="watch and steer",
        usage="[NAME]",
        details="What a program that reads the log may rely on; every line also carries"
        f" {', '.join(ENVELOPE)}. A version is raised when a field is renamed or removed; fields"
        " may be added.",
        examples=["jobping events", "jobping events scraper.polled", "jobping events --json"],
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="an event, or its part before `.`")
    add_json_option(parser)
    parser.set_defaults(command=_show)


def _show(arguments: argparse.Namespace) -> int:
    name = arguments.name
    found = [one for one in EVENTS if name in (None, one.name, one.name.partition(".")[0])]
    if not found:
        raise UsageError(f"events: {name}: there is none; `jobping events` lists all")
    if arguments.json:
        print_json({"envelope": ENVELOPE, "events": [attrs.asdict(one) for one in found]})
        return 0
    rows = [[one.name, str(one.version), one.level, " ".join(one.fields)] for one in found]
    print_table(_COLUMNS, rows, empty="")
    if name is not None:
        print(*(f"\n{one.name}: {one.summary}" for one in found), sep="")
    return 0
