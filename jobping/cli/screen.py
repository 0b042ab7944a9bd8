"""The dashboard of `top`: how the daemon stands as a picture of a given width and height.

Every text that comes from the stream passes `printable`: no control, direction or invisible
character reaches the terminal, and nothing is read as markup.
"""

import datetime as dt
import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import attrs
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.rule import Rule
from rich.styled import Styled
from rich.table import Table
from rich.text import Text

from jobping.core.duration import duration
from jobping.core.pricing import dollars
from jobping.core.printable import printable
from jobping.logs import console_line
from jobping.monitor.state import SILENT_S, DaemonState, DomainState, Part, RunState, Spent, Verdict
from jobping.monitor.stream import Event, Foreign, Item, Lost, Notice

WIDE: Final = 120
"""Columns from which there is room for more of each domain, and for parts beside the budget."""
_LABEL: Final = 8
_HEAD: Final = 39  # of an event: time, level and name
_REASONS: Final = 4
_EVENTS: Final = 20
_FEWEST_DOMAINS: Final = 3
_NEAR: Final = 0.8  # from here on a bar is yellow
_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"

_VERDICTS: Final = {
    Verdict.HEALTHY: "bold green",
    Verdict.DEGRADED: "bold yellow",
    Verdict.DOWN: "bold red",
}
_LEVELS: Final = {"debug": "dim", "info": "", "warning": "yellow", "error": "bold red"}
_TIERS: Final = {"reliable": "green", "individual": "yellow", "backfill": "red"}
_BREAKERS: Final = {"closed": "green", "half open": "yellow", "disabled": "dim", "held": "cyan"}


class Order(enum.Enum):
    """How domains are sorted; the value is the key that says so."""

    TROUBLE = "t"
    NAME = "n"
    NEXT = "x"
    POSTINGS = "p"


@attrs.frozen(kw_only=True)
class Picture:
    """One look at a daemon.

    Attributes:
        now: Seconds since 1970.
        note: What the reader should know about where this comes from.
        height: Most rows; None: as many as it takes.
        has_keys: Keys are read, so that they are shown.
    """

    state: DaemonState
    now: float
    order: Order = Order.TROUBLE
    note: str = ""
    height: int | None = None
    has_keys: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw in the width there is."""
        verdict, reasons = self.state.verdict(self.now)
        width, run = options.max_width, self.state.current
        head = [*self._head(verdict, reasons)]
        gauges = _gauges(run, self.now, width) if run is not None else []
        foot = [_keys(self.order)] if self.has_keys else []
        known = len(run.domains) if run is not None else 0
        domains, events = known, _EVENTS
        if self.height is not None:
            above = (*head, *gauges, *foot)
            taken = sum(len(console.render_lines(one, options)) for one in above)
            left = max(0, self.height - taken - 3)  # two rules and the heads of columns
            domains = min(known, max(_FEWEST_DOMAINS, left - max(3, left // 3)))
            events = max(0, left - domains)
        body = gauges
        if run is not None and known:
            title = "domains" if domains == known else f"{domains} of {known} domains"
            body += [_rule(title), _domains(run, self, width, domains)]
        shown = [*self.state.recent][-events:] if events else []
        body += [_rule("events"), *map(_event_line, shown)]
        if not self.state.recent:
            body.append(Text("none", style="dim"))
        # old figures shall not look alive
        yield Group(*head, Styled(Group(*body), "dim" if verdict is Verdict.DOWN else ""), *foot)

    def _head(self, verdict: Verdict, reasons: Sequence[str]) -> Iterable[RenderableType]:
        run = self.state.current
        line = Table.grid(expand=True, padding=(0, 1))
        line.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        line.add_column(no_wrap=True, justify="right")
        left = Text(f"● {verdict.value}", style=_VERDICTS[verdict])
        if run is not None:
            said = [*facts(run, self.now), f"run {printable(run.run)}"]
            left.append("  " + "  ".join(said), style="default not bold")
        line.add_row(left, Text(_local(self.now), style="dim"))
        yield line
        for reason in reasons[:_REASONS]:
            yield Text("  " + printable(reason), style="yellow", no_wrap=True, overflow="ellipsis")
        if len(reasons) > _REASONS:
            yield Text(f"  and {len(reasons) - _REASONS} more", style="yellow")
        for note in (self.note, _losses(self.state)):
            if note:
                yield Text("  " + printable(note), style="dim", no_wrap=True, overflow="ellipsis")


def facts(run: RunState, now: float) -> Iterable[str]:
    """Yield which daemon this is, how long it has run, and how old its figures are."""
    yield f"jobping {printable(run.version or '?', 20)}"
    is_fresh = run.ended_at is None and now - run.last_at < SILENT_S
    if run.started_at is not None:
        until = now if is_fresh else run.ended_at or run.last_at
        yield f"{'up' if is_fresh else 'ran'} {duration(until - run.started_at)}"
    if run.stats_at is not None:
        yield f"stats {duration(now - run.stats_at)} old"


def _losses(state: DaemonState) -> str:
    said = []
    if state.lost:
        said.append(f"{_many(state.lost, 'line')} lost, as the numbers of the others show")
    if state.foreign:
        said.append(f"{_many(state.foreign, 'line')} foreign")
    return "; ".join(said)


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _local(now: float) -> str:
    return dt.datetime.fromtimestamp(now, dt.UTC).astimezone().strftime("%H:%M:%S")


def _rule(title: str) -> Rule:
    return Rule(Text(title, style="bold"), align="left", style="dim")


# --- gauges


def _gauges(run: RunState, now: float, width: int) -> list[RenderableType]:
    bar = 20 if width < WIDE else 32
    rows = Table.grid(padding=(0, 1))
    rows.add_column(width=_LABEL, no_wrap=True)
    rows.add_column(no_wrap=True, width=bar)
    rows.add_column(no_wrap=True, overflow="ellipsis", width=width - _LABEL - bar - 2)
    for window in ("day", "month"):
        spent = run.spent(window, now)
        rows.add_row(window, *_budget(spent, bar))
    rows.add_row("pool", *_pool(run, bar))
    seen = Text.assemble((f"{'seen':<{_LABEL}} ", ""), _seen(run))
    seen.no_wrap, seen.overflow = True, "ellipsis"
    return [rows, _parts(run, width), seen]


def _budget(spent: Spent | None, width: int) -> tuple[RenderableType, RenderableType]:
    if spent is None:
        return Text("not known", style="dim"), ""
    used, held, limit = max(
        (spent.nanousd, spent.held_nanousd, spent.limit_nanousd),
        (spent.tokens, spent.held_tokens, spent.limit_tokens),
        key=lambda one: _share(one[0] + one[1], one[2]),
    )
    text = (
        f"{_share(used, limit):>4.0%}  {dollars(spent.nanousd)} of {dollars(spent.limit_nanousd)},"
        f" {_short(spent.tokens)} of {_short(spent.limit_tokens)} tokens"
    )
    return _bar(used, held, limit, width), text


def _share(amount: int, limit: int) -> float:
    return amount / limit if limit > 0 else float(amount > 0)


def _bar(used: int, held: int, limit: int, width: int) -> Text:
    """Return a bar of used, held and free, exact to an eighth of a column."""
    share, both = min(1.0, _share(used, limit)), min(1.0, _share(used + held, limit))
    full, eighth = divmod(max(round(share * width * 8), int(used > 0)), 8)
    solid = "█" * full + _EIGHTHS[eighth].strip()
    waiting = "▒" * max(0, round(both * width) - len(solid))
    colour = "green" if both < _NEAR else "yellow" if both < 1 else "red"
    free = "·" * (width - len(solid) - len(waiting))
    return Text.assemble((solid + waiting, colour), (free, "dim"))


def _pool(run: RunState, width: int) -> tuple[RenderableType, RenderableType]:
    stats = run.stats
    size, idle = _number(stats, "pool_size"), _number(stats, "pool_idle")
    if size is None or idle is None:
        return Text("not known", style="dim"), ""
    memory = (_number(stats, "resident_bytes") or 0) // 1_000_000
    said = [f"{size - idle} of {size} busy"]
    for count, what in (
        (_number(stats, "pool_waiting"), "wait"),
        (memory, "MB"),
        (run.requests, "requests"),
        (_number(stats, "in_flight"), "in flight"),
    ):
        if count:
            said.append(f"{count:,} {what}")
    share = _share(size - idle, size)
    return _bar(size - idle, 0, size, width), f"{share:>4.0%}  {', '.join(said)}"


def _short(count: int) -> str:
    """Return a count of tokens in at most five characters up to a billion."""
    for size, unit in ((10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return str(count)


def _number(stats: Mapping[str, Any], name: str) -> int | None:
    value = stats.get(name)
    return value if isinstance(value, int) else None


def _parts(run: RunState, width: int) -> RenderableType:
    across = max(1, (width - _LABEL - 1) // 17)
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=_LABEL, no_wrap=True)
    for _ in range(across):
        grid.add_column(no_wrap=True, min_width=15)
    cells = [_part(name, part) for name, part in run.parts.items()]
    if not cells:
        grid.add_row("parts", Text("not known", style="dim"))
    for at in range(0, len(cells), across):
        grid.add_row("" if at else "parts", *cells[at : at + across])
    return grid


def _part(name: str, part: Part) -> Text:
    is_up = part.state in ("running", "starting", "stopping")
    text = Text("●" if is_up else "○", style="green" if is_up else "red")
    text.append(f" {printable(name, 14)}", style="default" if is_up else "red")
    if part.restarts:
        text.append(f" {part.restarts}↻", style="yellow")
    if part.depth:
        is_near = part.capacity is not None and part.depth >= _NEAR * part.capacity
        text.append(f" {part.depth}/{part.capacity}", style="red" if is_near else "cyan")
    return text


def _seen(run: RunState) -> Text:
    summary, postings = run.summary, run.summary.postings()
    bad = run.polls - run.good
    said = [
        _many(run.polls, "poll") + (f" ({bad:,} bad)" if bad else ""),
        f"{postings['new']:,} new",
        _many(summary.digests, "digest"),
    ]
    if summary.model_calls:
        calls = _many(summary.model_calls, "model call")
        said.append(f"{calls} {dollars(summary.model_nanousd)}")
    is_whole = run.started_at is not None and run.seen_at <= run.started_at
    since = "its start" if is_whole else _local(run.seen_at)
    return Text(f"{', '.join(said)} since {since}")


# --- domains


def _domains(run: RunState, picture: Picture, width: int, most: int) -> RenderableType:
    is_wide = width >= WIDE
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, expand=True)
    table.add_column("domain", no_wrap=True, overflow="ellipsis", ratio=3, min_width=18)
    if is_wide:
        table.add_column("source", no_wrap=True, overflow="ellipsis", width=16)
    table.add_column("tier", no_wrap=True, width=10)
    table.add_column("breaker", no_wrap=True, width=9)
    table.add_column("pace/h", no_wrap=True, justify="right", width=6)
    table.add_column("next", no_wrap=True, overflow="ellipsis", width=15 if is_wide else 10)
    table.add_column("polls", no_wrap=True, justify="right", width=9 if is_wide else 7)
    table.add_column("new", no_wrap=True, justify="right", width=5)
    if is_wide:
        table.add_column("today", no_wrap=True, justify="right", width=11)
        table.add_column("success", no_wrap=True, justify="right", width=8)
        table.add_column("last poll", no_wrap=True, overflow="ellipsis", ratio=4)
    for state in sorted(run.domains.values(), key=_SORTED[picture.order])[:most]:
        table.add_row(*_domain_cells(state, picture.now, is_wide))
    return table


def _is_in_trouble(state: DomainState) -> tuple[bool, float, str]:
    is_bad = state.outcome is not None and state.good < state.polls
    return not state.is_degraded, -(state.polls - state.good) if is_bad else 0.0, state.domain


_SORTED: Final[Mapping[Order, Callable[[DomainState], Any]]] = {
    Order.TROUBLE: _is_in_trouble,
    Order.NAME: lambda state: state.domain,
    Order.NEXT: lambda state: (state.next_at is None, state.next_at or 0.0, state.domain),
    Order.POSTINGS: lambda state: (-state.new, state.domain),
}


def _domain_cells(state: DomainState, now: float, is_wide: bool) -> Sequence[RenderableType]:
    tier, breaker = state.tier or "?", breaker_text(state)
    cells: list[RenderableType] = [Text(printable(state.domain))]
    if is_wide:
        cells.append(Text(printable(", ".join(sorted(state.sources)))))
    cells += [
        Text(printable(tier, 10), style=_TIERS.get(tier, "dim")),
        Text(printable(breaker, 9), style=_breaker_style(breaker)),
        Text("?" if state.per_hour is None else f"{state.per_hour:,.0f}"),
        Text(printable(next_text(state, now), 60)),
        Text(f"{state.good}/{state.polls}", style="yellow" if state.good < state.polls else ""),
        Text(f"{state.new:,}"),
    ]
    if is_wide:
        used = "?" if state.used_today is None else f"{state.used_today:,}"
        limit = "" if state.daily_limit is None else f"/{state.daily_limit:,}"
        succeeded = state.succeeded_at
        last = " ".join(filter(None, (state.outcome, state.why)))
        cells += [
            Text(used + limit),
            Text("never" if succeeded is None else duration(now - succeeded)),
            Text(printable(last) or "-", style="" if state.why is None else "yellow"),
        ]
    return cells


def _breaker_style(breaker: str) -> str:
    return _BREAKERS.get(breaker, "dim" if breaker == "?" else "bold red")


def breaker_text(state: DomainState) -> str:
    """Return the state of the breaker in an operator's words."""
    return (state.breaker or "?").replace("forced_open", "held").replace("_", " ")


def next_text(state: DomainState, now: float) -> str:
    """Return when the next request may leave and what it waits for, such as `5 min rate`."""
    if state.breaker == "forced_open":
        return "held"
    if state.next_at is None:
        return state.waits_for or "?"
    wait = state.next_at - now
    why = "" if state.waits_for in (None, "schedule", "breaker") else f" {state.waits_for}"
    return f"{duration(wait)}{why}" if wait >= 1 else "now"


# --- events


def _event_line(item: Item) -> Text:
    match item:
        case Event(event="scraper.polled"):
            head = _line(item, item.level, {}).ljust(_HEAD)
            text, style = head + _poll(item.fields), _LEVELS[item.level]
        case Event():
            text, style = _line(item, item.level, item.fields), _LEVELS[item.level]
        case Notice():
            text, style = _line(item, "info", item.fields), "cyan"
        case Lost():
            text = f"{_local(item.ts / 1e6)} {_many(item.n, 'line')} lost here"
            style = "yellow"
        case Foreign():
            when = "" if item.ts is None else _local(item.ts / 1e6)
            text, style = f"{when:<8} {printable(item.text, 400)}", "dim"
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def _line(item: Event | Notice, level: str, fields: Mapping[str, Any]) -> str:
    last = sorted(fields, key=lambda name: name.endswith("id"))  # which say least to people
    whole = {"ts": item.ts, "event": item.event, "level": level, **{n: fields[n] for n in last}}
    return console_line(whole, colour=False).decode().partition("\n")[0]


def _poll(fields: Mapping[str, Any]) -> str:
    """Return the commonest of all events in the few words that an operator reads."""
    said = [
        f"{fields.get('source')}/{fields.get('board')} {fields.get('outcome')}",
        f"{fields.get('new')} new of {fields.get('seen')}",
        *([str(fields["why"])] if fields.get("why") else []),
    ]
    return printable(", ".join(said), 400)


def _keys(order: Order) -> Text:
    said = Text("q quit  sort by:", style="dim", no_wrap=True, overflow="ellipsis")
    for one in Order:
        said.append(f"  {one.value} {one.name.lower()}", style="bold" if one is order else "dim")
    return said
