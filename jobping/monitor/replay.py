"""The alerts of a stream: the same rules as in the daemon, on the same events."""

from collections.abc import Iterable, Iterator

from jobping.core.alerting import Alerts, Change
from jobping.monitor.stream import Event, Item, Lost


def replay(items: Iterable[Item], alerts: Alerts) -> Iterator[Change]:
    """Yield what changes, in order; what lies behind the last event is the caller's to ask."""
    for item in items:
        match item:
            case Event():
                yield from alerts.note(item.ts / 1e6, item.event, item.fields)
            case Lost():
                yield from alerts.note(item.ts / 1e6, "lines.lost", {"n": item.n})
            case _:
                pass
