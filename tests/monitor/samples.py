"""Lines as a daemon writes them, made for the tests of their readers."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import attrs

from jobping.events import CATALOGUE
from jobping.monitor.stream import Event

NOON = 1_790_000_000.0  # 2026-09-21 14:13:20 UTC
"""A Monday; seconds since 1970."""
DAY = {
    "starts": "2026-09-21",
    "nanousd": 8_500_000_000,
    "held_nanousd": 500_000_000,
    "limit_nanousd": 10_000_000_000,
    "tokens": 40_000,
    "held_tokens": 1_000,
    "limit_tokens": 100_000,
}
MONTH = DAY | {"starts": "2026-09-01", "limit_nanousd": 300_000_000_000, "limit_tokens": 3_000_000}
CHILDREN = {
    "store": {"state": "running", "restarts": 0},
    "ingest": {"state": "running", "restarts": 0, "depth": 0, "capacity": 16},
}


NASTY: tuple[Any, ...] = (
    *(None, True, 0, -1, 10**18, -(2**63), 2.5, 1e308, "", "x", "day cost", "open", "2026-09-21"),
    *("\x1b[2J\u202e\u2066\x00\n", [], [1, "x"], {}, {"a": None}, {"day": []}, "9" * 300),
)
"""What JSON can hold in the place of what is expected."""


@attrs.define
class Writer:
    """Makes the events of one run in order; a line begins with `at` seconds after its start."""

    run: str = "run-1"
    began: float = NOON
    _seq: Iterator[int] = attrs.field(factory=lambda: itertools.count(1))

    def __call__(self, at: float, event: str, **fields: Any) -> Event:
        """Return the next event; a level may be among the fields."""
        kind = CATALOGUE[event]
        assert fields.keys() <= {*kind.fields, "level"}, (event, fields)
        return Event(
            ts=round((self.began + at) * 1e6),
            event=event,
            level=fields.pop("level", kind.level),
            actor="",
            run=self.run,
            seq=next(self._seq),
            v=kind.version,
            fields=fields,
        )


def text(event: Event) -> str:
    """Return the line of an event with its end."""
    envelope = attrs.asdict(event)
    return json.dumps(envelope | envelope.pop("fields")) + "\n"


def started(write: Writer, at: float = 0.0) -> list[Event]:
    """Return the first lines of a run that becomes ready."""
    return [
        write(at, "daemon.started", version="1.2.3", pid=77, python="3.12", state_dir="/s"),
        write(at + 1, "daemon.became_ready", start_s=1.0, boards=2, domains=1, profiles=1),
        stats(write, at + 1),
    ]


def stats(write: Writer, at: float, **changes: Any) -> Event:
    """Return figures, all in order unless changed."""
    figures = {
        "uptime_s": at,
        "domains": 1,
        "silent": 0,
        "elsewhere": 0,
        "day": DAY,
        "month": MONTH,
        "children": CHILDREN,
        "pool_size": 8,
        "pool_idle": 6,
        "pool_waiting": 0,
        "units": 90,
        "requests": 40,
        "connections": 2,
        "connections_open": 1,
        "in_flight": 0,
        "resident_bytes": 90_000_000,
    }
    return write(at, "stats.taken", **(figures | changes))


def sampled(write: Writer, at: float, domain: str, **changes: Any) -> Event:
    """Return how a site stands that is well and asked again in an hour, unless changed."""
    record = {
        "domain": domain,
        "tier": "reliable",
        "breaker": "closed",
        "breaker_cause": None,
        "per_hour": 60.0,
        "next_in_s": 3600.0,
        "waits_for": "schedule",
        "used_today": 12,
        "daily_limit": None,
        "succeeded_at": "2026-09-21T14:00:00+00:00",
    }
    return write(at, "domain.sampled", **(record | changes))


def polled(write: Writer, at: float, domain: str, **changes: Any) -> Event:
    """Return a complete poll with three new postings, unless changed."""
    fields = {
        "domain": domain,
        "source": "greenhouse",
        "board": "acme",
        "tier": "reliable",
        "outcome": "complete",
        "fault": None,
        "why": None,
        "duration_s": 0.4,
        "seen": 20,
        "new": 3,
        "changed": 1,
        "unchanged": 16,
        "duplicate": 0,
        "rejected": 0,
    }
    return write(at, "scraper.polled", **(fields | changes))
