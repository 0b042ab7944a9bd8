"""A report as figures and tables of text, the same for terminal, Markdown and page.

Cells may hold what a stranger wrote; whoever shows them makes them harmless.
"""

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from jobping.core.duration import duration
from jobping.core.pricing import dollars
from jobping.core.printable import printable
from jobping.monitor.report import DomainReport, Report, Window

ROWS: Final = 40
"""Most rows of a table; the last one says how many there are more."""
TIERS: Final = ("reliable", "individual", "backfill")


@attrs.frozen(kw_only=True)
class Figure:
    """One number that says how it went.

    Attributes:
        detail: What it is made of.
        is_bad: It needs a human.
    """

    name: str
    value: str
    detail: str = ""
    is_bad: bool = False

    @property
    def aside(self) -> str:
        """The detail in brackets, to stand behind the value."""
        return f" ({self.detail})" if self.detail else ""


@attrs.frozen(kw_only=True)
class Table:
    """Rows of text under a title.

    Attributes:
        columns: Headings; those that begin with `>` stand above numbers.
        empty: What to say where there are no rows.
    """

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    empty: str = "nothing in this period"


def period(report: Report) -> str:
    """Return what the report covers, in one line."""
    if report.until is None:
        return f"since {_moment(report.since)} UTC"
    return f"{_moment(report.since)} to {_moment(report.until)} UTC"


def notes(report: Report) -> list[str]:
    """Return what a reader must know about the log itself."""
    found = []
    if report.first is None:
        found.append("There is no event of this period in the log.")
    elif report.since is not None and report.first > report.since + 60:
        found.append(f"The log begins only at {_moment(report.first)}.")
    if report.events and not report.pool.samples:
        found.append(
            "The log holds no statistics (`stats.taken`), like one of a higher level than info:"
            " uptime, tiers and the pool are not known."
        )
    if report.lost or report.total("dropped"):
        lost = max(report.lost, report.total("dropped"))
        found.append(f"{lost} lines of the log were lost: the figures are too low.")
    return found


def figures(report: Report) -> list[Figure]:
    """Return the figures at the head of a report."""
    return [
        *_running(report),
        *_asking(report),
        Figure(name="new postings", value=f"{report.by_source().total():,}"),
        Figure(
            name="matches",
            value=f"{report.total('matches'):,}",
            detail=f"{report.total('ranked'):,} ranked by a model",
        ),
        Figure(
            name="digests",
            value=f"{report.total('sent'):,}",
            detail=f"{many(report.total('items'), 'posting')},"
            f" {many(report.total('failed'), 'failure')}",
            is_bad=report.total("failed") > 0,
        ),
        _spending(report),
    ]


def _running(report: Report) -> Iterator[Figure]:
    restarts = report.notices["unit.restarted"]
    failures = report.notices["unit.failed"]
    said = f", systemd restarted it {restarts} x" if restarts else ""
    said += f", {many(failures, 'failure')}" if failures else ""
    value = percent(report.up_s / report.span_s if report.span_s else None)
    starts = many(report.runs, "start")
    yield Figure(
        name="running",
        value=value,
        detail=f"{duration(report.up_s)} of {duration(report.span_s)}, {starts}{said}",
        is_bad=bool(failures),
    )
    pool = report.pool
    yield Figure(
        name="database pool",
        value=percent(pool.mean),
        detail=f"busy on average, {percent(pool.busy_most)} at most, of {pool.size};"
        f" work waited in {pool.waiting} of {many(pool.samples, 'sample')}"
        if pool.samples
        else "no sample",
    )


def many(n: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _asking(report: Report) -> Iterator[Figure]:
    answers, domains = report.answers(), report.domains.values()
    said = answers["ok"] + answers["failed"] + answers["limited"]
    yield Figure(
        name="requests",
        value=f"{answers.total():,}",
        detail=f"{percent(answers['ok'] / said)} succeeded, {answers['failed']:,} failed,"
        f" {answers['limited']:,} refused for our pace"
        if said
        else "",
    )
    yield Figure(
        name="breaker trips",
        value=f"{sum(one.trips for one in domains):,}",
        detail=f"at {sum(one.trips > 0 for one in domains):,} of {many(len(domains), 'site')}",
    )
    violations = sum(one.violations for one in domains)
    yield Figure(
        name="pace violations",
        value=f"{violations:,}",
        detail="must stay 0: a bug of ours" if violations else "our own promises are kept",
        is_bad=violations > 0,
    )


def _spending(report: Report) -> Figure:
    spent, each = report.spent(), report.per_match()
    detail = f"{many(spent.calls, 'call')}, {spent.failed:,} without an answer"
    if each is not None:
        detail += f"; {dollars(each)} a match"
    if spent.lapsed_nanousd:
        detail += f"; {dollars(spent.lapsed_nanousd)} of it without a bill"
    return Figure(name="models", value=dollars(spent.nanousd), detail=detail)


def tables(report: Report) -> list[Table]:
    """Return all tables, in order."""
    return [
        domains_table(report),
        tiers_table(report),
        Table(
            title="New postings",
            columns=("source", ">new"),
            rows=limited([[name, f"{n:,}"] for name, n in report.by_source().most_common()]),
        ),
        models_table(report),
        spend_table(report),
        Table(
            title="Matches and digests",
            columns=("day", ">matches", ">ranked", ">digests", ">postings", ">failures"),
            rows=[
                [day, *(f"{report.counts[day][key]:,}" for key in _COUNTS)]
                for day in sorted(report.counts)
            ],
        ),
        worst_table(report),
        alerts_table(report),
    ]


_COUNTS: Final = ("matches", "ranked", "sent", "items", "failed")


def by_trouble(report: Report) -> list[tuple[str, DomainReport]]:
    """Return the sites, those with the fewest successes first."""

    def trouble(pair: tuple[str, DomainReport]) -> tuple[float, int, str]:
        name, one = pair
        return (2.0 if one.success is None else one.success, -one.answers.total(), name)

    return sorted(report.domains.items(), key=trouble)


def domains_table(report: Report) -> Table:
    """Return how each site answered; what happened to none has no column."""
    sites = by_trouble(report)
    columns: dict[str, list[str]] = {
        "site": [name for name, _one in sites],
        ">asked": [f"{one.answers.total():,}" for _name, one in sites],
        ">ok": [percent(one.success) for _name, one in sites],
        ">median": [seconds(one.latencies.quantile(0.5)) for _name, one in sites],
        ">95 %": [seconds(one.latencies.quantile(0.95)) for _name, one in sites],
        ">new": [f"{one.new:,}" for _name, one in sites],
    }
    for title, field in ((">trips", "trips"), (">early", "violations"), (">refused", "throttled")):
        counts = [getattr(one, field) for _name, one in sites]
        if any(counts):
            columns[title] = [f"{n:,}" for n in counts]
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    return Table(title="Sites", columns=tuple(columns), rows=limited(rows))


def tiers_table(report: Report) -> Table:
    """Return the time of each site on each tier, those that left the first one only."""
    times = [(name, one.tiers()) for name, one in sorted(report.domains.items())]
    times = [(name, found) for name, found in times if found]
    moved = [(name, found) for name, found in times if set(found) != {TIERS[0]}]
    rows = [[name, *shares(found)] for name, found in moved]
    stayed = len(times) - len(moved)
    if stayed:
        name = many(stayed, "other site" if moved else "site")
        rows.append([name, "100 %", *(["-"] * 2)])
    return Table(title="Time on each tier", columns=("site", *(f">{t}" for t in TIERS)), rows=rows)


def shares(times: dict[str, float]) -> list[str]:
    """Return the share of each tier."""
    whole = sum(times.values())
    return [percent(times[tier] / whole) if times.get(tier) else "-" for tier in TIERS]


def models_table(report: Report) -> Table:
    """Return what each model cost."""
    models = report.by_model()
    costs = amounts([one.nanousd for one in models.values()])
    rows = [
        [name, f"{one.calls:,}", f"{one.failed:,}", f"{one.tokens:,}", cost]
        for (name, one), cost in zip(models.items(), costs, strict=True)
    ]
    columns = ("model", ">calls", ">failed", ">tokens", ">cost")
    return Table(title="Models", columns=columns, rows=limited(rows), empty="no call of a model")


def spend_table(report: Report) -> Table:
    """Return what days and months cost, beside what the ledger says and its limits."""
    found: list[tuple[str, int, Window | None]] = []
    for month, spend in report.by_month().items():
        for day in (day for day in sorted(report.spend) if day[:7] == month):
            found.append((day, _of_day(report, day), report.days.get(day)))
        found.append((f"{month} (month)", spend.nanousd, report.months.get(f"{month}-01")))
    columns = (
        amounts([own for _name, own, _window in found]),
        amounts([window.nanousd if window else None for _name, _own, window in found]),
        amounts([window.limit_nanousd if window else None for _name, _own, window in found]),
    )
    names = [name for name, _own, _window in found]
    rows = [list(row) for row in zip(names, *columns, strict=True)]
    return Table(
        title="Spend",
        columns=("window", ">in this log", ">ledger, last sample", ">limit"),
        rows=rows,
        empty="no call of a model",
    )


def amounts(column: Sequence[int | None]) -> list[str]:
    """Return nano-dollars as a column of equal places: cents, or millionths rounded up."""
    places = 2 if all(n is None or n % 10**7 == 0 for n in column) else 6
    unit = 10 ** (9 - places)
    found = []
    for n in column:
        whole, part = divmod(-(-(n or 0) // unit), 10**places)
        found.append("-" if n is None else f"${whole:,}.{part:0{places}d}")
    return found


def _of_day(report: Report, day: str) -> int:
    return sum(one.nanousd for one in report.spend[day].values())


def worst_table(report: Report) -> Table:
    """Return the warnings and errors, errors first."""
    found = sorted(report.worst.items(), key=lambda pair: (pair[0][0], -pair[1], pair[0][1]))
    rows = [[level, event, f"{n:,}"] for (level, event), n in found]
    columns = ("level", "event", ">times")
    return Table(title="Warnings and errors", columns=columns, rows=limited(rows), empty="none")


def alerts_table(report: Report) -> Table:
    """Return the alerts, the newest first."""
    rows = [
        [_moment(at), state, f"{rule} {subject}".strip()]
        for at, state, rule, subject in reversed(report.alerts)
    ]
    return Table(
        title="Alerts", columns=("when", "state", "alert"), rows=limited(rows), empty="none"
    )


def limited(rows: list[list[str]]) -> list[list[str]]:
    """Return at most `ROWS` rows, and say what is left out."""
    if len(rows) <= ROWS:
        return rows
    more = f"and {len(rows) - ROWS:,} more; all of them with --json"
    return [*rows[:ROWS], [more, *([""] * (len(rows[0]) - 1))]]


def percent(share: float | None) -> str:
    """Return a share; `0 %` and `100 %` only where it is exactly that."""
    if share is None:
        return "-"
    if share in (0, 1):
        return f"{100 * share:.0f} %"
    if not 0.001 <= share <= 0.999:
        return "<0.1 %" if share < 0.5 else ">99.9 %"
    return f"{100 * share:.1f} %"


def seconds(value: float | None) -> str:
    """Return how long an answer took."""
    if value is None:
        return "-"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def _moment(at: float | None) -> str:
    return "-" if at is None else f"{dt.datetime.fromtimestamp(at, dt.UTC):%Y-%m-%d %H:%M}"


def markdown(report: Report) -> str:
    """Return the report as Markdown."""
    lines = ["# JobPing report", "", period(report), ""]
    lines += [line for note in notes(report) for line in (f"> {note}", "")]
    lines += [_bullet(figure) for figure in figures(report)]
    for table in tables(report):
        lines += ["", f"## {table.title}", ""]
        lines += _rows(table) if table.rows else [table.empty]
    return "\n".join(lines) + "\n"


def _bullet(figure: Figure) -> str:
    return f"- {figure.name}: **{figure.value}**{figure.aside}"


def _rows(table: Table) -> list[str]:
    heads = [column.removeprefix(">") for column in table.columns]
    rules = ["--:" if column.startswith(">") else ":--" for column in table.columns]
    rows = [[_harmless(cell) for cell in row] for row in table.rows]
    return [f"| {' | '.join(row)} |" for row in (heads, rules, *rows)]


def _harmless(cell: str) -> str:
    """Return a cell in which Markdown finds no mark-up."""
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", printable(cell))
