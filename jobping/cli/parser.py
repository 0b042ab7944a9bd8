"""Arguments: what the groups share, and help texts that are a pleasure to read."""

import argparse
import enum
import importlib.metadata
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import attrs

from jobping.events import LEVELS
from jobping.settings import Overrides


class ExitCode(enum.IntEnum):
    """What the process answers; design/operations.md, section 5."""

    OK = 0
    FAILED = 1
    DOWN = 3
    USAGE = 64
    UNREACHABLE = 69
    INTERNAL = 70
    CONFIG = 78


EXIT_CODES: tuple[tuple[ExitCode, str], ...] = (
    (ExitCode.OK, "done; also after a stop by signal"),
    (ExitCode.FAILED, "something failed, or a second signal forced the end; `status`: degraded"),
    (ExitCode.DOWN, "`status`: the daemon is down, or nothing is known of it"),
    (ExitCode.USAGE, "wrong usage"),
    (ExitCode.UNREACHABLE, "the database cannot be reached"),
    (ExitCode.INTERNAL, "internal error, or out of time while stopping"),
    (ExitCode.CONFIG, "wrong configuration; restarting does not help"),
)


class UsageError(Exception):
    """The command line asks for something that cannot be; the process exits 64."""


class Parser(argparse.ArgumentParser):
    """An argument parser that exits 64 on wrong usage and points to the help."""

    def error(self, message: str) -> NoReturn:
        """Print the mistake and exit."""
        self.exit(
            ExitCode.USAGE,
            f"{self.prog}: {message}\n`{self.prog} --help` says what is possible.\n",
        )


@attrs.frozen(kw_only=True)
class Entry:
    """A line of the overview.

    Attributes:
        group: The heading it stands under.
        usage: The command with its places for arguments.
        summary: What it does, beginning in lower case.
    """

    group: str
    usage: str
    summary: str


@attrs.define
class Commands:
    """Collects the commands of all groups, and their lines of the overview."""

    _parsers: "argparse._SubParsersAction[Parser]"
    entries: list[Entry] = attrs.Factory(list)

    def add(
        self,
        name: str,
        summary: str,
        *,
        group: str,
        usage: str = "",
        details: str = "",
        examples: Sequence[str] = (),
    ) -> Parser:
        """Add a command.

        Args:
            name: One word.
            summary: What it does, in lower case, without a full stop.
            group: The heading of the overview.
            usage: What follows the name there.
            details: More, for the command's own help.
            examples: Whole command lines.
        """
        self.entries.append(Entry(group=group, usage=f"{name} {usage}".strip(), summary=summary))
        return _add(self._parsers, name, summary, details, examples)


def add_commands(parser: Parser, *, required: bool = True) -> "argparse._SubParsersAction[Parser]":
    """Let the parser have commands below it, one of which must be given unless it is one itself."""
    return parser.add_subparsers(
        metavar="COMMAND", required=required, parser_class=Parser, title="commands"
    )


def add_command(
    parsers: "argparse._SubParsersAction[Parser]",
    name: str,
    summary: str,
    *,
    details: str = "",
    examples: Sequence[str] = (),
) -> Parser:
    """Add a command below another one."""
    return _add(parsers, name, summary, details, examples)


def _add(
    parsers: "argparse._SubParsersAction[Parser]",
    name: str,
    summary: str,
    details: str,
    examples: Sequence[str],
) -> Parser:
    text = summary[0].upper() + summary[1:] + "."
    return parsers.add_parser(
        name,
        help=summary,
        description="\n\n".join(filter(None, (text, textwrap.fill(details, 88)))),
        epilog=examples_text(examples),
        formatter_class=Formatter,
        allow_abbrev=False,
    )


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Keeps our line breaks and gives long options room."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32, width=100)


def examples_text(examples: Sequence[str]) -> str | None:
    """Return the paragraph of examples, or None."""
    return "\n".join(["examples:", *(f"  {line}" for line in examples)]) if examples else None


def overview(entries: Sequence[Entry], examples: Sequence[str]) -> str:
    """Return the text of `jobping --help`."""
    width = max(len(entry.usage) for entry in entries) + 2
    blocks = ["JobPing polls job boards politely and sends digests of the postings that fit."]
    for group in dict.fromkeys(entry.group for entry in entries):
        lines = [
            f"  {entry.usage:<{width}}{entry.summary}" for entry in entries if entry.group == group
        ]
        blocks.append("\n".join([f"{group}:", *lines]))
    blocks.append(examples_text(examples) or "")
    codes = [f"  {code:<4}{meaning}" for code, meaning in EXIT_CODES]
    blocks.append("\n".join(["exit codes:", *codes]))
    blocks.append("`jobping COMMAND --help` says more about each command.")
    return "\n\n".join(blocks) + "\n"


def version() -> str:
    """Return the installed version, and Python's."""
    return f"jobping {importlib.metadata.version('jobping')}, Python {sys.version.split()[0]}"


def add_config_options(parser: Parser) -> None:
    """Add the options that every command with settings has."""
    group = parser.add_argument_group("settings")
    group.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="configuration file (else $JOBPING_CONFIG, ~/.config/jobping/jobping.toml or"
        " /etc/jobping/jobping.toml)",
    )
    add_state_options(group)


def add_state_options(group: "argparse._ActionsContainer") -> None:
    """Add the options of place and log."""
    group.add_argument(
        "--state-dir", type=Path, metavar="DIR", help="directory of the database and the digests"
    )
    group.add_argument(
        "--log-level", choices=LEVELS, metavar="LEVEL", help=f"one of {', '.join(LEVELS)}"
    )


def overrides(arguments: argparse.Namespace) -> Overrides:
    """Return what the command line says about settings."""
    return Overrides(
        config=getattr(arguments, "config", None),
        state_dir=arguments.state_dir,
        log_level=arguments.log_level,
    )


def read_text(path: Path) -> str:
    """Return the text of a file that a command names; raises UsageError."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error


def add_json_option(parser: Parser) -> None:
    """Add `--json`."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def add_limit_option(parser: Parser, default: int) -> None:
    """Add `--limit`."""
    parser.add_argument(
        "--limit",
        type=positive,
        default=default,
        metavar="N",
        help=f"most rows (default {default})",
    )


def positive(text: str) -> int:
    """Read a whole number from 1 up."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 1 <= number <= 100_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 100000")
    return number


def minutes(text: str) -> float:
    """Read a time in minutes."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= 100_000:  # also refuses nan
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of minutes above 0")
    return number
