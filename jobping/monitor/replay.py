"""The alerts of a stream: the same rules as in the daemon, on the same events."""

from collections.abc import Iterable, Iterator

from jobping.core.alerting import Alerts, Change
from jobping.monitor.stream import LAST_TS, Event, Foreign, Item, Lost, Notice


def replay(items: Iterable[Item], alerts: Alerts) -> Iterator[Change]:
    """Yield what changes, in order; what lies behind the last event is the caller's to ask."""
    for item in items:
        if item.ts is None or not 0 < item.ts < LAST_TS:
            continue
        at = item.ts / 1e6
        match item:
            case Event():
                yield from alerts.note(at, item.event, item.fields)
            case Lost():
                yield from alerts.note(at, "lines.lost", {"n": item.n})
            case Notice() | Foreign():
                pass
