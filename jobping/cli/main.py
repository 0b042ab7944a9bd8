"""`main`: from arguments to a command, from errors to exit codes."""

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Sequence

from jobping.cli import (
    alerts,
    board,
    budget,
    check,
    config,
    daemon,
    db,
    digest,
    domains,
    events,
    jobs,
    profile,
    report,
    sources,
    status,
    tokenizer,
    top,
)
from jobping.cli.parser import (
    Commands,
    ExitCode,
    Formatter,
    Parser,
    UsageError,
    add_commands,
    overview,
    version,
)
from jobping.core.printable import printable
from jobping.errors import ConfigError, JobPingError, StoreUnavailable

_GROUPS = (
    *(daemon, status, top, report, alerts, domains, budget, events, sources, board, profile),
    *(jobs, digest, check, config, db, tokenizer),
)
_EXAMPLES = (
    "jobping demo                                    see everything work, without a network",
    "jobping run                                     poll the default boards until stopped",
    "jobping profile add me --words python,data --places Berlin,Remote --levels entry",
    "jobping matches me                              what fits so far",
)


_LONGEST = 4_000
"""Most characters of a line that says what is wrong."""


class _Overview(Parser):
    """The parser of `jobping` itself, with the overview as its help."""

    text = ""

    def format_help(self) -> str:
        """Return the overview."""
        return "usage: jobping COMMAND [OPTIONS]\n\n" + self.text


def build() -> Parser:
    """Return the parser of all commands."""
    parser = _Overview(prog="jobping", formatter_class=Formatter, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=version())
    commands = Commands(add_commands(parser))
    for group in _GROUPS:
        group.add(commands)
    parser.text = overview(commands.entries, _EXAMPLES)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The arguments without the program's name; the process's own if absent.

    Returns:
        The exit code.
    """
    with contextlib.suppress(AttributeError):  # a replaced stream without an encoding
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # see above
    arguments = build().parse_args(argv)
    code: int = ExitCode.OK
    try:
        _check_text(arguments)
        code = arguments.command(arguments)
        sys.stdout.flush()
    except* UsageError as group:
        code = _say(ExitCode.USAGE, group)
    except* ConfigError as group:
        code = _say(ExitCode.CONFIG, group, "the configuration is wrong:")
    except* StoreUnavailable as group:
        code = _say(ExitCode.UNREACHABLE, group, "the database cannot be reached:")
    except* JobPingError as group:
        code = _say(ExitCode.FAILED, group)
    except* BrokenPipeError:
        _forget_stdout()
    except* KeyboardInterrupt:
        code = _end_by_interrupt()
    return int(code)


def _check_text(arguments: argparse.Namespace) -> None:
    """Refuse words that are no text, which no database takes.

    Raises:
        UsageError: An argument is not UTF-8.
    """
    for name, value in vars(arguments).items():
        if isinstance(value, str) and value.encode("utf-8", "replace").decode() != value:
            raise UsageError(f"{name} must be text in UTF-8")


def _say(code: ExitCode, group: BaseExceptionGroup[BaseException], heading: str = "") -> ExitCode:
    texts = [line for error in _leaves(group) for line in str(error).splitlines()]
    lines = [printable(text, _LONGEST) for text in texts]
    if heading:
        print(f"jobping: {heading}", *(f"  {line}" for line in lines), sep="\n", file=sys.stderr)
    else:
        print(*(f"jobping: {line}" for line in lines), sep="\n", file=sys.stderr)
    return code


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


def _forget_stdout() -> None:
    """Let the last flush of Python go nowhere: the reader, such as `head`, has had enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _end_by_interrupt() -> int:
    """End as an interrupted program does, so that a calling shell stops too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.raise_signal(signal.SIGINT)
    return ExitCode.FAILED
