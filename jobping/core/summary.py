"""What a run came to, folded from its log events; nothing else is counted twice."""

from collections.abc import Mapping
from typing import Final

import attrs

GOOD: Final = ("complete", "partial", "gone")
"""Ends of a poll that brought an answer, all of it stored."""
INTERRUPTED: Final = "interrupted"
CRASHED: Final = ("abnormal", "killed")
POSTING_KEYS: Final = ("new", "changed", "unchanged", "duplicate", "rejected")


@attrs.frozen(kw_only=True)
class Traffic:
    """Requests and connections, and statements and connections, of one run."""

    requests: int = 0
    connections: int = 0
    statements: int = 0
    database_connections: int = 0


@attrs.define
class Summary:
    """The counts of one run; feed every event to `note`, also one whose fields were cut.

    Attributes:
        boards: Last result per `source/board`: True where its poll was good.
        faults: Per failed board, what went wrong.
        by_source: Per source, postings by what they were.
        reasons: Rejected items by reason.
        digests: Digests sent.
        model_calls: Calls of models.
        model_nanousd: What their answers cost.
        crashes: Ends of parts of the daemon that were neither normal nor asked for.
        waiting: Boards that the pace left for later.
    """

    boards: dict[str, bool] = attrs.field(factory=dict)
    faults: dict[str, str] = attrs.field(factory=dict)
    by_source: dict[str, dict[str, int]] = attrs.field(factory=dict)
    reasons: dict[str, int] = attrs.field(factory=dict)
    digests: int = 0
    model_calls: int = 0
    model_nanousd: int = 0
    crashes: int = 0
    waiting: tuple[str, ...] = ()

    def note(self, event: str, fields: Mapping[str, object]) -> None:
        """Take in one event of the log."""
        match event:
            case "scraper.polled":
                self._note_poll(fields)
            case "postings.rejected":
                reasons = fields.get("reasons")
                for reason, count in reasons.items() if isinstance(reasons, Mapping) else ():
                    self.reasons[str(reason)] = self.reasons.get(str(reason), 0) + _whole(count)
            case "digest.sent":
                self.digests += 1
            case "model.called":
                self.model_calls += 1
                self.model_nanousd += _whole(fields.get("cost_nanousd"))
            case "cycle.completed":
                self._note_cycle(fields)
            case "child.exited":
                self.crashes += fields.get("kind") in CRASHED
            case _:
                pass

    def _note_cycle(self, fields: Mapping[str, object]) -> None:
        waiting, failed = fields.get("waiting"), fields.get("failed")
        self.waiting = tuple(map(str, waiting)) if isinstance(waiting, list) else ()
        for name, fault in failed.items() if isinstance(failed, Mapping) else ():
            if not self.boards.setdefault(name, False):
                self.faults.setdefault(name, str(fault))

    def _note_poll(self, fields: Mapping[str, object]) -> None:
        name, outcome = f"{fields.get('source')}/{fields.get('board')}", fields.get("outcome")
        is_good = outcome in GOOD
        if outcome != INTERRUPTED:
            self.boards[name] = is_good
        if is_good:
            self.faults.pop(name, None)
        elif outcome != INTERRUPTED:
            self.faults[name] = str(fields.get("why") or outcome)
        source = str(fields.get("source"))
        counts = self.by_source.setdefault(source, dict.fromkeys(POSTING_KEYS, 0))
        for key in POSTING_KEYS:
            counts[key] += _whole(fields.get(key))

    @property
    def failed(self) -> int:
        """Boards whose last poll brought nothing."""
        return sum(not good for good in self.boards.values())

    def postings(self) -> dict[str, int]:
        """Return the counts over all sources."""
        return {key: sum(counts[key] for counts in self.by_source.values()) for key in POSTING_KEYS}

    def as_record(self, traffic: Traffic, duration_s: float) -> dict[str, object]:
        """Return the summary as the JSON object of `--json`."""
        return {
            "boards": {"polled": len(self.boards) - self.failed, "failed": self.failed},
            "postings": self.postings(),
            "by_source": {name: dict(counts) for name, counts in sorted(self.by_source.items())},
            "digests": self.digests,
            "models": {"calls": self.model_calls, "cost_nanousd": self.model_nanousd},
            "http": {"requests": traffic.requests, "connections": traffic.connections},
            "db": {
                "statements": traffic.statements,
                "connections": traffic.database_connections,
            },
            "duration_s": round(duration_s, 3),
        }


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
