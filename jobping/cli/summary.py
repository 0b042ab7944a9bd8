"""The summary that closes `run --once` and `demo`."""

import sys
from typing import TYPE_CHECKING

from jobping.cli.output import Column, print_json, print_pairs, print_table
from jobping.core.pricing import dollars
from jobping.core.summary import POSTING_KEYS, Summary

if TYPE_CHECKING:
    from jobping.daemon import Outcome

_COLUMNS = (Column(title="source"), *(Column(title=key, right=True) for key in POSTING_KEYS))


def print_summary(outcome: "Outcome") -> None:
    """Print what a run came to, for people."""
    summary = outcome.summary
    rows = [
        [name, *(str(counts[key]) for key in POSTING_KEYS)]
        for name, counts in sorted(summary.by_source.items())
    ]
    if len(rows) > 1:
        rows.append(["all", *(str(count) for count in summary.postings().values())])
    print()
    print_table(_COLUMNS, rows, empty="No board was polled.")
    print()
    print_pairs(_facts(outcome))
    for name, why in sorted(summary.faults.items()):
        print_pairs([("failed", f"{name}: {why}")])
    sys.stdout.flush()


def print_record(outcome: "Outcome") -> None:
    """Print what a run came to, for programs."""
    print_json(outcome.summary.as_record(outcome.traffic, outcome.duration_s))


def _facts(outcome: "Outcome") -> list[tuple[str, str]]:
    summary, traffic = outcome.summary, outcome.traffic
    polled = len(summary.boards) - summary.failed
    facts = [
        ("boards", f"{polled} polled, {summary.failed} failed"),
        ("digests", str(summary.digests)),
        *_models(summary),
        ("requests", _per(traffic.requests, traffic.connections)),
        ("queries", _per(traffic.statements, traffic.database_connections)),
        ("time", f"{outcome.duration_s:.1f} s"),
    ]
    if summary.reasons:
        reasons = sorted(summary.reasons.items(), key=lambda item: -item[1])
        facts.append(("rejected", ", ".join(f"{reason}: {count}" for reason, count in reasons)))
    if summary.waiting:
        facts.append(("left waiting", ", ".join(summary.waiting)))
    if outcome.pace is not None:
        facts.append(("pace", outcome.pace))
    return facts


def _models(summary: Summary) -> list[tuple[str, str]]:
    if not summary.model_calls:
        return []
    return [("models", f"{summary.model_calls} calls, {dollars(summary.model_nanousd)}")]


def _per(count: int, connections: int) -> str:
    ratio = f", {count / connections:.1f} each" if connections else ""
    return f"{count} over {connections} connections{ratio}"
