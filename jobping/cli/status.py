"""`jobping status`: how the daemon stands, for people and for scripts."""

import argparse
import datetime as dt
from collections.abc import Iterator
from typing import Any, Final

import attrs

from jobping.cli import top
from jobping.cli.output import Column, print_json, print_pairs, print_table
from jobping.cli.parser import Commands, ExitCode, add_json_option
from jobping.cli.screen import breaker_text, facts, next_text
from jobping.cli.watch import Watch, add_stream_options, now
from jobping.core.pricing import dollars
from jobping.core.printable import printable
from jobping.monitor.state import DaemonState, DomainState, RunState, Verdict

_EXITS: Final = {
    Verdict.HEALTHY: ExitCode.OK,
    Verdict.DEGRADED: ExitCode.FAILED,
    Verdict.DOWN: ExitCode.DOWN,
}
_COLUMNS: Final = (
    Column(title="domain", folds=True),
    Column(title="tier"),
    Column(title="breaker"),
    Column(title="an hour", right=True),
    Column(title="next request"),
    Column(title="polls", right=True),
    Column(title="new", right=True),
)


def add(commands: Commands) -> None:
    """Add the commands."""
    status = commands.add(
        "status",
        "how the daemon stands, with an exit code for scripts",
        group="watch and steer",
        details="Read from the last six hours of the journal or the end of a log, and from the"
        " daemon itself where it answers. Exits 0: healthy, 1: degraded, 3: down or not known.",
        examples=[
            "jobping status",
            "jobping status --json --journal jobping@two.service",
            "jobping status --file /var/log/jobping.log",
            "jobping status --watch                  as `jobping top`",
        ],
    )
    add_json_option(status)
    status.add_argument("--watch", action="store_true", help="go on, as `jobping top`")
    add_stream_options(status)
    status.set_defaults(command=_status)


def _status(arguments: argparse.Namespace) -> int:
    if arguments.watch:
        return top.show(arguments)
    watch = Watch.of(arguments)
    watch.read_all()
    watch.take(watch.ask())
    at = now()
    verdict, reasons = watch.state.verdict(at)
    if arguments.json:
        print_json(record(watch.state, at, note=watch.note))
    else:
        print(verdict.value)
        print_pairs([("  -", reason) for reason in (*reasons, *filter(None, [watch.note]))])
        if watch.state.current is not None:
            _print(watch.state, watch.state.current, at)
    return _EXITS[verdict]


def _print(state: DaemonState, run: RunState, now: float) -> None:
    print()
    print_pairs(list(_pairs(state, run, now)))
    print()
    rows = [_row(run.domains[name], now) for name in sorted(run.domains)]
    print_table(_COLUMNS, rows, empty="no domain is known")


def _pairs(state: DaemonState, run: RunState, now: float) -> Iterator[tuple[str, str]]:
    yield "daemon", ", ".join([*facts(run, now), f"run {run.run}"])
    for window in ("day", "month"):
        if (spent := run.spent(window, now)) is not None:
            yield (
                window,
                f"{dollars(spent.nanousd)} of {dollars(spent.limit_nanousd)},"
                f" {spent.tokens:,} of {spent.limit_tokens:,} tokens",
            )
    for name, part in run.parts.items():
        restarts = f", {part.restarts} restarts" if part.restarts else ""
        mailbox = f", mailbox {part.depth} of {part.capacity}" if part.capacity else ""
        yield printable(name), f"{part.state}{restarts}{mailbox}"
    counts = ", ".join(f"{count} {key}" for key, count in run.summary.postings().items())
    since = dt.datetime.fromtimestamp(run.seen_at, dt.UTC)
    yield "postings", f"{counts}; since {since:%Y-%m-%d %H:%M:%S} UTC"
    yield "models", f"{run.summary.model_calls} calls, {dollars(run.summary.model_nanousd)}"
    yield "log", f"{state.lost} lines lost, {state.foreign} that are no events"


def _row(state: DomainState, now: float) -> list[str]:
    return [
        state.domain,
        state.tier or "?",
        breaker_text(state) + (f" ({state.breaker_cause})" if state.breaker_cause else ""),
        "?" if state.per_hour is None else f"{state.per_hour:g}",
        next_text(state, now),
        f"{state.good}/{state.polls}",
        str(state.new),
    ]


def record(state: DaemonState, now: float, *, note: str = "") -> dict[str, Any]:
    """Return all that is known as the JSON object of `status --json`; moments are ISO 8601."""
    verdict, reasons = state.verdict(now)
    found: dict[str, Any] = {
        "verdict": verdict.value,
        "reasons": list(reasons),
        "note": note or None,
        "lost_lines": state.lost,
        "foreign_lines": state.foreign,
    }
    run = state.current
    if run is None:
        return found
    spent = {window: run.spent(window, now) for window in ("day", "month")}
    return found | {
        "run": run.run,
        "version": run.version,
        "pid": run.pid,
        "is_ready": run.is_ready,
        "started_at": _iso(run.started_at),
        "stopped_at": _iso(run.ended_at),
        "exit_code": run.code,
        "stats_age_s": None if run.stats_at is None else round(now - run.stats_at, 3),
        "stats": dict(run.stats),
        "since": _iso(run.seen_at),
        "requests": run.requests,
        "polls": {"good": run.good, "bad": run.polls - run.good},
        "postings": run.summary.postings(),
        "digests": run.summary.digests,
        "models": {"calls": run.summary.model_calls, "cost_nanousd": run.summary.model_nanousd},
        "budget": {name: one and attrs.asdict(one) for name, one in spent.items()},
        "parts": {name: attrs.asdict(part) for name, part in run.parts.items()},
        "domains": [_domain(run.domains[name]) for name in sorted(run.domains)],
    }


def _domain(state: DomainState) -> dict[str, Any]:
    moments = {
        name: _iso(getattr(state, name)) for name in ("next_at", "succeeded_at", "polled_at")
    }
    return attrs.asdict(state) | {"sources": sorted(state.sources)} | moments


def _iso(at: float | None) -> str | None:
    return None if at is None else dt.datetime.fromtimestamp(at, dt.UTC).isoformat()
