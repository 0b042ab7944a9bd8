"""The log of the check itself: every line as the catalogue says, and no secret in any."""

import json
from collections.abc import Sequence
from typing import Final

from jobping.core.finding import Finding, judged
from jobping.events import CATALOGUE, ENVELOPE, LEVELS
from jobping.logs import LINE_BYTES

SHORTEST: Final = 6
"""What is shorter stands in many lines by chance."""


def check_logs(lines: Sequence[str], secrets: Sequence[str]) -> Finding:
    """Judge whole lines.

    Args:
        secrets: What no line may hold; never shown.
    """
    wrong = [why for why in map(_fault, lines) if why is not None]
    gaps = [seq for place, seq in enumerate(map(_seq, lines), 1) if seq not in (None, place)]
    if gaps:
        wrong.append(f"line {gaps[0]} is not where its number says")
    planted = [secret for secret in secrets if len(secret) >= SHORTEST]
    leaks = sum(line.count(secret) for line in lines for secret in planted)
    if leaks:
        events = {_event(line) for line in lines if any(secret in line for secret in planted)}
        wrong.append(f"secrets stand in {leaks} places: {', '.join(sorted(events))}")
    if not lines:
        wrong.append("no line was written")
    faulty = (
        f"{len(wrong)} faults: {'; '.join(wrong[:3])}" if wrong else "all as the catalogue says"
    )
    return judged(
        "logs",
        f"{len(lines)} lines, {faulty}; {len(planted)} planted secrets found {leaks} times",
        holds=not wrong,
        advice="change the secrets that leaked, keep the log from others, report this as a bug",
    )


def _fault(line: str) -> str | None:
    """Return what is wrong with a line by itself."""
    if len(line.encode()) > LINE_BYTES:
        return f"a line of {len(line)} characters"
    try:
        fields = json.loads(line)
    except ValueError:
        return "a line that is no JSON"
    if not isinstance(fields, dict) or not fields.keys() >= set(ENVELOPE):
        return "a line without its envelope"
    kind = CATALOGUE.get(str(fields["event"]))
    if kind is None:
        return f"{fields['event']} is in no catalogue"
    outside = fields.keys() - {*kind.fields, *ENVELOPE, "cut"}
    if outside:
        return f"{kind.name} has fields outside the catalogue: {', '.join(sorted(outside))}"
    if fields["v"] != kind.version or fields["level"] not in LEVELS:
        return f"{kind.name} has another version or level"
    return f"{kind.name}: lines were lost" if kind.name == "log.dropped" else None


def _seq(line: str) -> int | None:
    found = _fields(line).get("seq")
    return found if isinstance(found, int) else None


def _event(line: str) -> str:
    return str(_fields(line).get("event", "no event"))


def _fields(line: str) -> dict[str, object]:
    try:
        fields = json.loads(line)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}
