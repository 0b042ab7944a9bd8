"""A report as one self-contained HTML page: no script, nothing from outside, every text escaped."""

from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from jobping.core.digest_html import whole_page
from jobping.core.pricing import dollars
from jobping.core.printable import printable
from jobping.monitor import plots, tables
from jobping.monitor.report import LAPSED, Report, dates_of
from jobping.monitor.tables import TIERS, Figure, Table

SUCCESS: Final = 0.8
"""Below it an alert is fired by default."""

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c1c1e; --dim: #5b6066; --line: #dcdce0;
  --page: #f4f4f6; --card: #fff; --rail: #e9e9ed; --bad: #c02c2c; --good: #2d7d4f;
  --mark: #9a5b00; --hatch: #c9c9d0;
  --s0: #2f6fb3; --s1: #d97f1e; --s2: #2d8a57; --s3: #b0457f; --s4: #6d61c4; --s5: #86693a;
  --s6: #8d939a; }
@media (prefers-color-scheme: dark) { :root { --ink: #ececf0; --dim: #a7a9b0; --line: #3a3a40;
  --page: #17171a; --card: #212125; --rail: #2f2f35; --bad: #ff7b72; --good: #57b884;
  --mark: #ffc46b; --hatch: #47474f;
  --s0: #6ea8e6; --s1: #f0a24f; --s2: #5fc08b; --s3: #dd83b2; --s4: #a39af0; --s5: #c9a56b;
  --s6: #a4a9b0; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 1.5rem 1rem; background: var(--page); color: var(--ink);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 72rem; margin: 0 auto; }
h1 { margin: 0; font-size: 1.5rem; }
h2 { margin: 0 0 .75rem; font-size: 1.08rem; }
p { margin: .25rem 0; }
.dim, caption { color: var(--dim); font-size: .87rem; }
.note { border-left: 3px solid var(--mark); padding-left: .6rem; }
section, .figure { background: var(--card); border: 1px solid var(--line);
  border-radius: .6rem; padding: 1rem 1.1rem; }
section { margin-top: 1rem; }
.figures { display: grid; gap: .75rem; margin-top: 1rem;
  grid-template-columns: repeat(3, 1fr); }
.figure b { display: block; font-size: 1.45rem; font-variant-numeric: tabular-nums; }
.figure.bad b, td.bad { color: var(--bad); }
.figure p { margin: 0; }
.pair { display: grid; gap: 1rem 2rem;
  grid-template-columns: repeat(auto-fit, minmax(19rem, 1fr)); }
.pair h3 { margin: 0 0 .4rem; font-size: .95rem; font-weight: 600; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem .3rem 0; text-align: left; vertical-align: middle;
  border-bottom: 1px solid var(--line); overflow-wrap: break-word; }
th { color: var(--dim); font-weight: 600; font-size: .82rem; }
tbody tr:last-child td { border-bottom: 0; }
th:last-child, td:last-child { padding-right: 0; }
.n { text-align: right; white-space: nowrap; overflow-wrap: normal; }
.sites td:first-child { min-width: 11rem; overflow-wrap: anywhere; }
.drawn { width: 19%; }
.legend ~ table { margin-top: 1.25rem; }
.plot { display: grid; grid-template-columns: 3.6rem 1fr; gap: .4rem; }
.plot svg, .strip, .bar { display: block; width: 100%; overflow: visible; }
svg text { fill: var(--dim); font-size: 12px; }
.axis { stroke: var(--dim); } .grid { stroke: var(--line); }
.limit { stroke: var(--bad); stroke-width: 1.5; stroke-dasharray: 5 3; }
.bar .limit { stroke: var(--ink); }
.whisker { stroke: var(--ink); stroke-width: 1.5; }
.rail { fill: var(--rail); } .good { fill: var(--good); } .bad { fill: var(--bad); }
.gap { fill: url(#hatch); } .hatch { stroke: var(--hatch); stroke-width: 2; }
.s0 { fill: var(--s0); } .s1 { fill: var(--s1); } .s2 { fill: var(--s2); }
.s3 { fill: var(--s3); } .s4 { fill: var(--s4); } .s5 { fill: var(--s5); }
.s6 { fill: var(--s6); }
.reliable { fill: var(--good); } .individual { fill: var(--s1); } .backfill { fill: var(--bad); }
.running { fill: var(--s0); }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; margin: .5rem 0 0; padding: 0;
  list-style: none; font-size: .87rem; color: var(--dim); }
.legend svg { margin-right: .4rem; vertical-align: -1px; }
.lines { display: grid; grid-template-columns: minmax(8rem, 16rem) 1fr minmax(0, 13rem);
  gap: .35rem .8rem; align-items: center; }
.lines div { overflow-wrap: anywhere; line-height: 1.2; }
footer { margin-top: 1rem; }
@media (max-width: 640px) {
  body { padding: 1rem .6rem; }
  section, .figure { padding: .8rem; }
  .wide { display: none; }
  .figures { grid-template-columns: 1fr 1fr; gap: .5rem; }
  .figure b { font-size: 1.2rem; }
  .figure:last-child:nth-child(odd) { grid-column: 1 / -1; }
  table { font-size: .82rem; }
  .sites tr { display: grid; grid-template-columns: 1fr 4rem 4.5rem 3rem; gap: 0 .5rem;
    align-items: center; border-bottom: 1px solid var(--line); padding: .3rem 0; }
  .sites th, .sites td { border: 0; padding: 0; }
  .sites td:first-child { grid-column: 1 / -1; }
  .sites th:first-child, .sites .wide { display: none; }
  .sites .drawn { width: auto; }
  .plot { grid-template-columns: 2.7rem 1fr; }
  .lines { grid-template-columns: 1fr; gap: .15rem; }
  .lines .share { margin-bottom: .5rem; font-size: .78rem; }
}
@media print { body { background: #fff; } section, .figure { break-inside: avoid; } }
"""

_HATCH: Final = """<svg width="0" height="0" aria-hidden="true" style="position:absolute"><defs>
<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse"
 patternTransform="rotate(45)"><line class="hatch" y2="6"/></pattern></defs></svg>"""


def render_page(report: Report) -> str:
    """Return a finished report as a whole page."""
    said = "\n".join(f'<p class="note">{_text(note)}</p>' for note in tables.notes(report))
    period = _text(tables.period(report))
    body = "\n".join(_sections(report)) if report.events else _nothing(report)
    main = f"""{_HATCH}
<main>
<h1>JobPing report</h1>
<p class="dim">{period}</p>
{said}
{body}
<footer class="dim">
<p>From {report.events:,} events of the log. Days and times are UTC. Hatched: the log does not say
that the daemon ran. {_foreign(report)}</p>
</footer>
</main>"""
    return whole_page(f"JobPing report, {printable(tables.period(report))}", main, _STYLE)


def _foreign(report: Report) -> str:
    if not report.foreign:
        return ""
    return f"{report.foreign:,} lines of the stream were no events and are left out."


def _nothing(report: Report) -> str:
    hint = "Is the log of this daemon what was read, and is the period right?"
    if report.outside:
        hint = f"{report.outside:,} events lie outside the period; see <code>--since</code>."
    return f"<section><h2>Nothing to report</h2><p>{hint}</p></section>"


def _sections(report: Report) -> Iterator[str]:
    since, until = _drawn(report)
    dates = dates_of(since, until)
    days = plots.Days(dates=dates, known=plots.known_of(dates, report.up, since, until))
    yield f'<div class="figures">{"".join(map(_figure, tables.figures(report)))}</div>'
    yield _section("New postings a day, by source", _postings(report, days))
    yield _section("Requests and answer times, by site", _sites(report))
    yield _section("Tiers", _tiers(report, since, until))
    yield _section("Spend on models a day, in US dollars", _spend(report, days))
    yield _section("Matches and digests a day", _results(report, days))
    yield _section("Warnings and errors", _table(tables.worst_table(report)))
    yield _section("Alerts", _table(tables.alerts_table(report)))


def _drawn(report: Report) -> tuple[float, float]:
    """Return what the plots cover: the period, less its first part where no log is of most of it.

    The notes on the page say when the log begins.
    """
    since, until, first = report.since or 0.0, report.until or 0.0, report.first or 0.0
    return (first if first - since > (until - since) / 2 else since), until


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>\n{content}</section>"


def _figure(figure: Figure) -> str:
    kind = "figure bad" if figure.is_bad else "figure"
    detail = f'<p class="dim">{_text(figure.detail)}</p>' if figure.detail else ""
    return (
        f'<div class="{kind}"><p class="dim">{_text(figure.name)}</p>'
        f"<b>{_text(figure.value)}</b>{detail}</div>"
    )


def _empty(text: str = "Nothing in this period.") -> str:
    return f'<p class="dim">{text}</p>'


def _postings(report: Report, days: plots.Days) -> str:
    none = Counter[str]()
    series = {
        source: {date: float(report.postings.get(date, none)[source]) for date in days.dates}
        for source, _n in report.by_source().most_common()
    }
    if not series:
        return _empty()
    return plots.bars(days, series, label="New postings a day", show=_count)


def _sites(report: Report) -> str:
    sites = tables.by_trouble(report)
    if not sites:
        return _empty("No site was asked in this period.")
    highs = [one.latencies.quantile(0.95) or 0.0 for _name, one in sites[: tables.ROWS]]
    top = plots.ticks_of(max(highs))[-1]
    rows = []
    for name, one in sites[: tables.ROWS]:
        median, high = (one.latencies.quantile(share) for share in (0.5, 0.95))
        rows.append(
            f"<tr><td>{_text(name)}</td>"
            f'<td class="n wide">{one.answers.total():,}</td>'
            f'<td class="drawn">{plots.share_bar(one.success, SUCCESS)}</td>'
            f'<td class="n">{escape(tables.percent(one.success))}</td>'
            f'<td class="drawn wide">{plots.range_bar(median, high, top)}</td>'
            f'<td class="n">{tables.seconds(median)}</td>'
            f'<td class="n wide">{tables.seconds(high)}</td>'
            f'<td class="n">{one.trips:,}</td>'
            f'<td class="n wide{" bad" if one.violations else ""}">{one.violations:,}</td></tr>'
        )
    more = len(sites) - len(rows)
    rest = _empty(f"and {more:,} more sites, none of which did worse") if more > 0 else ""
    scale = f"0 to {tables.seconds(top)}"
    return (
        '<table class="sites"><thead><tr><th>site</th><th class="n wide">requests</th>'
        f'<th class="drawn">succeeded, 0 to 100 %</th><th></th><th class="drawn wide">{scale}</th>'
        '<th class="n">median</th><th class="n wide">95 %</th><th class="n">trips</th>'
        '<th class="n wide">early</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>{rest}"
        f'<p class="dim">Dashed: {SUCCESS * 100:.0f} %, below which an alert fires. Answer times'
        " are the mean of each poll: the bar ends at the median, its line at the 95th percentile."
        " Trips: how often the breaker opened; early: requests that left sooner than promised.</p>"
    )


def _tiers(report: Report, since: float, until: float) -> str:
    """Return a timeline of each site that left the first tier, the others in one row."""
    known = [(name, one) for name, one in sorted(report.domains.items()) if one.segments]
    moved = [(name, one) for name, one in known if set(one.tiers()) != {TIERS[0]}]
    rows = [_line("the daemon runs", [(a, b, "running") for a, b in report.up], since, until)]
    for name, one in moved[: tables.ROWS]:
        stretches = [(s.start, s.end, s.tier) for s in one.segments if s.tier in TIERS]
        told = zip(TIERS, tables.shares(one.tiers()), strict=True)
        share = ", ".join(f"{tier} {text}" for tier, text in told if text != "-")
        rows.append(_line(name, stretches, since, until, share))
    stayed = len(known) - len(moved)
    if stayed:
        name = tables.many(stayed, "other site" if moved else "site")
        first = [
            (segment.start, segment.end, segment.tier)
            for name_, one in known
            if (name_, one) not in moved
            for segment in one.segments
        ]
        rows.append(_line(name, _union(first), since, until, "reliable throughout"))
    rows.append(f'<div class="wide"></div>{plots.time_axis(since, until)}<div class="wide"></div>')
    more = len(moved) - tables.ROWS
    rest = _empty(f"and {more:,} more sites that left the first tier") if more > 0 else ""
    names = [
        ("running", "the daemon runs"),
        *((tier, tier) for tier in TIERS),
        ("gap", "not known"),
    ]
    return f'<div class="lines">{"".join(rows)}</div>{rest}{plots.legend(names)}'


def _line(
    name: str,
    stretches: Sequence[tuple[float, float, str]],
    since: float,
    until: float,
    share: str = "",
) -> str:
    row = plots.strip(stretches, since, until, label=f"{name} {share}")
    return f'<div>{_text(name)}</div>{row}<div class="dim share">{_text(share)}</div>'


def _union(stretches: Sequence[tuple[float, float, str]]) -> list[tuple[float, float, str]]:
    """Return stretches of one kind, those that overlap as one."""
    found: list[tuple[float, float, str]] = []
    for start, end, kind in sorted(stretches):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]), kind)
        else:
            found.append((start, end, kind))
    return found


def _spend(report: Report, days: plots.Days) -> str:
    models = report.by_model()
    if not models:
        return _empty("No model was called in this period.")
    series = {
        model: {
            date: report.spend[date][model].nanousd / 1e9
            for date in days.dates
            if model in report.spend.get(date, {})
        }
        for model in models
        if models[model].nanousd or model != LAPSED
    }
    limit = plots.Limit(
        name="daily limit",
        values={date: window.limit_nanousd / 1e9 for date, window in report.days.items()},
    )
    plot = plots.bars(days, series, label="Dollars a day", show=_usd, limit=limit)
    return f"{plot}{_table(tables.models_table(report))}{_table(tables.spend_table(report))}"


def _results(report: Report, days: plots.Days) -> str:
    if not report.counts:
        return _empty()

    none = Counter[str]()

    def of(key: str) -> dict[str, float]:
        return {date: float(report.counts.get(date, none)[key]) for date in days.dates}

    matches = plots.bars(days, {"matches": of("matches")}, label="Matches a day", show=_count)
    digests = plots.bars(
        days,
        {"sent": of("sent"), "failed": of("failed")},
        label="Digests a day",
        show=_count,
        classes=("good", "bad"),
    )
    return (
        f'<div class="pair"><div><h3>Matches</h3>{matches}</div>'
        f"<div><h3>Digests</h3>{digests}</div></div>"
    )


def _table(table: Table) -> str:
    if not table.rows:
        return _empty(f"{escape(table.empty[:1].upper() + table.empty[1:])}.")
    kinds = [' class="n"' if column.startswith(">") else "" for column in table.columns]
    heads = "".join(
        f"<th{kind}>{_text(column.removeprefix('>'))}</th>"
        for kind, column in zip(kinds, table.columns, strict=True)
    )
    rows = []
    for row in table.rows:
        cells = zip(kinds, row, strict=True)
        rows.append("".join(f"<td{kind}>{_text(cell)}</td>" for kind, cell in cells))
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def _count(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def _usd(value: float) -> str:
    return dollars(round(value * 1e9))


def _text(text: str) -> str:
    return escape(printable(text))
