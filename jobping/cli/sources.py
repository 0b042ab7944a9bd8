"""`jobping sources`: what can be polled, how often, and what is polled by default."""

import argparse
from pathlib import Path

from jobping.cli.answer import read_answer
from jobping.cli.output import Column, print_json, print_table
from jobping.cli.parser import (
    Commands,
    add_command,
    add_commands,
    add_config_options,
    add_json_option,
    positive,
)
from jobping.cli.probe import probe
from jobping.cli.session import settings_of
from jobping.core.duration import duration
from jobping.core.printable import printable
from jobping.settings import Settings
from jobping.sources import SOURCES
from jobping.sources.defaults import DEFAULT_BOARDS
from jobping.sources.source import Source

_SHOWN = 6
"""Default boards of one source named in the text; JSON names all."""
_COLUMNS = (
    Column(title="source"),
    Column(title="a board lists"),
    Column(title="requests/h", right=True),
    Column(title="polled every", right=True),
    Column(title="default boards", right=True),
    Column(title="state"),
    Column(title="asked at", folds=True),
)


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add(
        "sources",
        "the job boards known, their pace, and the default set",
        group="boards and profiles",
        usage="[probe|test]",
        details="The default set is polled while no other board is configured or added;"
        " `default_boards = true` or `false` in the configuration file decides it for good.",
        examples=[
            "jobping sources",
            "jobping sources probe https://careers.example.com",
            "jobping sources test greenhouse --file answer.json",
        ],
    )
    add_json_option(parser)
    add_config_options(parser)
    parser.set_defaults(command=_sources)
    below = add_commands(parser, required=False)
    probing = add_command(
        below, "probe", "find the board behind a careers page, and ask whether it answers"
    )
    probing.add_argument("url", metavar="URL", help="of a careers page or a board")
    add_config_options(probing)
    probing.set_defaults(command=probe)
    testing = add_command(below, "test", "read a saved answer, and say what is in it")
    testing.add_argument("name", metavar="NAME", help="one of `jobping sources`")
    testing.add_argument("--file", type=Path, required=True, metavar="ANSWER", help="the answer")
    testing.add_argument("--slug", metavar="SLUG", help="of the board that it is of")
    testing.add_argument("--url", metavar="URL", help="where it came from")
    testing.add_argument("--media", metavar="TYPE", help="its media type; default: by its name")
    testing.add_argument(
        "--status", type=positive, default=200, metavar="N", help="its status (default 200)"
    )
    add_json_option(testing)
    testing.set_defaults(command=read_answer)


def _sources(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    if arguments.json:
        print_json([_as_json(source, settings) for source in SOURCES])
        return 0
    print_table(_COLUMNS, [_row(source, settings) for source in SOURCES], empty="none")
    for source in SOURCES:
        if (why := settings.why_off(source)) is not None:
            print(f"off: {why}")
    print("\nPolled while no other board is configured or added:")
    for source in SOURCES:
        if slugs := _default_slugs(source):
            more = f", and {len(slugs) - _SHOWN} more" if len(slugs) > _SHOWN else ""
            print(f"  {source.name}: {printable(', '.join(slugs[:_SHOWN]), 2_000)}{more}")
    return 0


def _default_slugs(source: Source) -> list[str]:
    return [board.slug for board in DEFAULT_BOARDS if board.source == source.name]


def _row(source: Source, settings: Settings) -> list[str]:
    chosen = settings.source(source.name)
    pace = chosen.pace_of(source)
    return [
        source.name,
        source.coverage.value,
        f"{pace.per_hour:g}",
        duration(pace.poll_every_s),
        str(len(_default_slugs(source))),
        "on" if settings.why_off(source) is None else "off",
        chosen.base_url or source.base_url,
    ]


def _as_json(source: Source, settings: Settings) -> dict[str, object]:
    chosen = settings.source(source.name)
    pace = chosen.pace_of(source)
    return {
        "source": source.name,
        "coverage": source.coverage.value,
        "enabled": chosen.enabled,
        "why_off": settings.why_off(source),
        "keys": list(source.credentials),
        "base_url": chosen.base_url or source.base_url,
        "per_hour": pace.per_hour,
        "min_gap_s": pace.min_gap_s,
        "burst": pace.burst,
        "quotas": {quota.span.value: quota.most for quota in pace.quotas},
        "poll_every_s": pace.poll_every_s,
        "credit": source.terms.credit,
        "terms": source.terms.note,
        "default_boards": _default_slugs(source),
    }
