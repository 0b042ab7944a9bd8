"""`jobping report`: what a period came to, for people, for a browser and for other programs."""

import argparse
import datetime as dt
import os
import re
import sys
from pathlib import Path
from typing import Final

from jobping.cli.output import Column, print_json, print_pairs, print_table
from jobping.cli.parser import Commands, UsageError
from jobping.cli.watch import Watch, add_stream_options, now
from jobping.monitor.openmetrics import render_metrics
from jobping.monitor.page import render_page
from jobping.monitor.report import Report
from jobping.monitor.tables import Table, figures, markdown, notes, period, tables

_AGO: Final = re.compile(r"(\d{1,5})([dhm])")
_UNITS: Final = {"d": 86_400.0, "h": 3_600.0, "m": 60.0}


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add(
        "report",
        "what a period came to: polls, postings, matches, digests, spend",
        group="watch and steer",
        usage="[--html FILE]",
        details="Read from the log alone. Days are those of UTC. What an operator corrects with"
        " `jobping budget reconcile` is not in the log; the ledger's own figures stand beside.",
        examples=[
            "jobping report",
            "jobping report --since 7d --html week.html",
            "jobping report --since 2026-11-01 --until 2026-12-01 --json",
            "journalctl -u jobping -o json --all | jobping report --file - --md",
            "jobping report --since 1h --prom        OpenMetrics, for a textfile collector",
        ],
    )
    add_period_options(parser, "yesterday")
    form = parser.add_argument_group("form").add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON; money in nano-dollars")
    form.add_argument("--md", action="store_true", help="print Markdown")
    form.add_argument("--prom", action="store_true", help="print OpenMetrics")
    form.add_argument("--html", metavar="FILE", help="write a page with plots; -: print it")
    add_stream_options(parser)
    parser.set_defaults(command=_report)


def add_period_options(parser: argparse.ArgumentParser, since: str) -> None:
    """Add `--since` and `--until`."""
    parser.add_argument(
        "--since",
        type=moment,
        default=since,
        metavar="WHEN",
        help="today, yesterday, 7d, 12h, 30m, or a date or time in UTC such as 2026-11-27T08:00"
        f" (default {since})",
    )
    parser.add_argument(
        "--until", type=moment, metavar="WHEN", help="the same, exclusive (default: now)"
    )


def moment(text: str) -> float:
    """Read a moment; seconds since 1970."""
    at = now()
    if (ago := _AGO.fullmatch(text)) is not None:
        return at - int(ago[1]) * _UNITS[ago[2]]
    if text in ("today", "yesterday"):
        return at - at % _UNITS["d"] - (text == "yesterday") * _UNITS["d"]
    try:
        found = dt.datetime.fromisoformat(text)
        return found.replace(tzinfo=found.tzinfo or dt.UTC).timestamp()
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time such as yesterday, 7d, 2026-11-27 or 2026-11-27T08:00"
        ) from None


def _report(arguments: argparse.Namespace) -> int:
    report = read(arguments)
    if arguments.json:
        print_json(report.as_record())
    elif arguments.prom:
        print(render_metrics(report), end="")
    elif arguments.md:
        print(markdown(report), end="")
    elif arguments.html == "-":
        print(render_page(report), end="")
    elif arguments.html is not None:
        _write(Path(arguments.html), render_page(report))
    else:
        _print(report)
    return 0


def read(arguments: argparse.Namespace) -> Report:
    """Fold the stream that the arguments name."""
    report = Report(since=arguments.since, until=arguments.until)
    with Watch.of(arguments).opened(since=arguments.since, until=arguments.until) as stream:
        for item in stream:
            report.note(item)
    # a file or pipe may be of any time, and says no more than its last line; the journal is of now
    report.finish(None if arguments.file is not None else now())
    if stream.failed:
        print(f"jobping: {stream.failed}", file=sys.stderr)
    return report


def _write(path: Path, page: str) -> None:
    """Put a whole file in place."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(page, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UsageError(f"{path}: {error.strerror}") from error


def _print(report: Report) -> None:
    print(f"report of {period(report)}")
    for note in notes(report):
        print(note)
    if not report.events:
        return
    print()
    print_pairs([(one.name, f"{one.value}{one.aside}") for one in figures(report)])
    for table in tables(report):
        print(f"\n{table.title}")
        print_table(_columns(table), table.rows, empty=table.empty)


def _columns(table: Table) -> list[Column]:
    return [
        Column(title=title.removeprefix(">"), right=title.startswith(">"), folds=n == 0)
        for n, title in enumerate(table.columns)
    ]
