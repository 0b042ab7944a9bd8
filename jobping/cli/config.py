"""`jobping config check|show`."""

import argparse

from jobping.cli.output import Column, print_json, print_table
from jobping.cli.parser import (
    Commands,
    add_command,
    add_commands,
    add_config_options,
    add_json_option,
)
from jobping.cli.session import settings_of
from jobping.core.duration import duration
from jobping.settings import Settings, known_source

_COLUMNS = (
    Column(title="setting"),
    Column(title="value", folds=True),
    Column(title="from", folds=True),
)


def add(commands: Commands) -> None:
    """Add the commands."""
    parser = commands.add(
        "config",
        "check the configuration, or show every value with its origin",
        group="installation",
        usage="check|show",
        examples=["jobping config check --config jobping.toml", "jobping config show"],
    )
    below = add_commands(parser)
    checking = add_command(
        below, "check", "read the configuration and name every mistake; exits 78 if there is one"
    )
    checking.set_defaults(command=_check)
    showing = add_command(below, "show", "show every value with its origin")
    add_json_option(showing)
    showing.set_defaults(command=_show)
    for command in (checking, showing):
        add_config_options(command)


def _check(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    file = settings.config_file or "no configuration file; every value is a default"
    print(f"{file}: good")
    for name, variable in settings.exposed:
        print(f"note: {name} comes from {variable}; a credential file ({variable}_FILE) is safer")
    for line in _polls(settings):
        print(line)
    return 0


def _polls(settings: Settings) -> list[str]:
    lines = []
    for board in settings.boards:
        source = known_source(board.source)
        every = duration(settings.source(source.name).pace_of(source).poll_every_s)
        why = settings.why_off(source)
        state = f"polled every {every}" if why is None else f"off: {why}"
        lines.append(f"board {board.source} {board.slug}: {state}")
    return lines


def _show(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    if arguments.json:
        print_json(
            [
                {"key": value.key, "value": value.value, "origin": value.origin}
                for value in settings.origins
            ]
        )
        return 0
    rows = [[value.key, value.value, value.origin] for value in settings.origins]
    print_table(_COLUMNS, rows, empty="nothing is set")
    return 0
