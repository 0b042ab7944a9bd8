"""Plots as inline SVG: no scripts, positions in percent of the width, so text keeps its size.

Every value axis begins at zero and says its unit; time without a log is hatched, never drawn as
zero. Colours come from the page's style (`s0` to `s7`, tiers by name).
"""

import datetime as dt
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from typing import Final

import attrs

from jobping.core.printable import printable

HEIGHT: Final = 170
"""Of a plot, in pixels; `FOOT` of it below the axis."""
FOOT: Final = 22
COLOURS: Final = 7
"""Series that are told apart; further ones are drawn together."""
REST: Final = "others"
_TOP: Final = 8
_DAY_S: Final = 86_400.0
_LABELS: Final = ((9, ""), (5, "wide"))
"""How many labels fit, on any screen and on a wide one only."""

Show = Callable[[float], str]


@attrs.frozen(kw_only=True)
class Limit:
    """A line across the bars of a day."""

    name: str
    values: Mapping[str, float]


@attrs.frozen(kw_only=True)
class Days:
    """The days of a plot.

    Attributes:
        dates: In order, as `2026-11-27`.
        known: The share of each day, as far as it lies in the period, that the log covers.
    """

    dates: Sequence[str]
    known: Mapping[str, float]


def known_of(
    dates: Sequence[str], up: Sequence[Sequence[float]], since: float, until: float
) -> dict[str, float]:
    """Return the share of each day of a period that stretches of time cover."""
    found = {}
    for date in dates:
        begin = dt.datetime.fromisoformat(date).replace(tzinfo=dt.UTC).timestamp()
        start, end = max(begin, since), min(begin + _DAY_S, until)
        covered = sum(max(0.0, min(end, b) - max(start, a)) for a, b in up)
        found[date] = min(1.0, covered / (end - start)) if end > start else 0.0
    return found


def bars(
    days: Days,
    series: Mapping[str, Mapping[str, float]],
    *,
    label: str,
    show: Show,
    classes: Sequence[str] = (),
    limit: Limit | None = None,
) -> str:
    """Return stacked bars, one for each day.

    Args:
        series: By name, the value of each day; drawn from the axis up, in this order.
        label: What is shown, for those who cannot see it.
        show: Makes a value a text with its unit.
        classes: Of the series; else `s0`, `s1`, ...
        limit: Shown where it lies on the scale that the bars need.
    """
    series = _merged(series)
    classes = classes or [f"s{n}" for n in range(len(series))]
    sums = [sum(values.get(date, 0.0) for values in series.values()) for date in days.dates]
    most = max(sums, default=0.0)
    limits = [limit.values[date] for date in days.dates if limit and date in limit.values]
    if limits and max(limits) <= 3 * most:
        most = max(most, *limits)
    ticks = ticks_of(most)
    plot = "".join(_bars(days, series, classes, show, ticks[-1]))
    entries = list(zip(classes, series, strict=True))
    note = ""
    if limit and limits and max(limits) <= ticks[-1]:
        plot += "".join(_limit_lines(days, limit, ticks[-1]))
        entries.append(("limit", f"{limit.name} {show(limits[-1])}"))
    elif limit and limits:
        note = f'<p class="dim">{_text(f"{limit.name} {show(limits[-1])}")}: above this scale</p>'
    plot += "".join(_dates(days.dates))
    frame = _frame(ticks, show, plot, label=label, width=140 * len(days.dates))
    return frame + legend(entries) + note


def _merged(series: Mapping[str, Mapping[str, float]]) -> dict[str, Mapping[str, float]]:
    if len(series) <= COLOURS:
        return dict(series)
    kept = dict(list(series.items())[: COLOURS - 1])
    rest: dict[str, float] = {}
    for name, values in series.items():
        for date in values if name not in kept else ():
            rest[date] = rest.get(date, 0.0) + values[date]
    return {**kept, REST: rest}


def ticks_of(most: float) -> list[float]:
    """Return the values of an axis from zero to at least the largest, in round steps."""
    if most < 1e-12:
        return [0.0, 1.0]
    rough = most / 4
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * size for factor in (1, 2, 5, 10) if factor * size >= rough * (1 - 1e-9))
    return [n * step for n in range(math.ceil(most / step - 1e-9) + 1)]


def _y(value: float, top: float) -> float:
    return HEIGHT - FOOT - (HEIGHT - FOOT - _TOP) * value / top


def _bars(
    days: Days,
    series: Mapping[str, Mapping[str, float]],
    classes: Sequence[str],
    show: Show,
    top: float,
) -> Iterator[str]:
    band = 100 / max(1, len(days.dates))
    for n, date in enumerate(days.dates):
        gap = 1 - days.known.get(date, 0.0)
        if gap > 0.02:
            yield (
                f'<rect class="gap" x="{n * band:.3f}%" width="{band:.3f}%" y="{_TOP}"'
                f' height="{HEIGHT - FOOT - _TOP}" opacity="{gap:.2f}">'
                f"<title>{date}: no log of {100 * gap:.0f} % of it</title></rect>"
            )
        base = 0.0
        for (name, values), kind in zip(series.items(), classes, strict=True):
            value = values.get(date, 0.0)
            if value <= 0:
                continue
            low, high = _y(base, top), _y(base + value, top)
            base += value
            yield (
                f'<rect class="{kind}" x="{(n + 0.14) * band:.3f}%" width="{0.72 * band:.3f}%"'
                f' y="{high:.2f}" height="{max(0.5, low - high):.2f}">'
                f"<title>{date} {_text(name)}: {_text(show(value))}</title></rect>"
            )


def _limit_lines(days: Days, limit: Limit, top: float) -> Iterator[str]:
    band = 100 / max(1, len(days.dates))
    for n, date in enumerate(days.dates):
        if date in limit.values:
            y = _y(limit.values[date], top)
            yield (
                f'<line class="limit" x1="{n * band:.3f}%" x2="{(n + 1) * band:.3f}%"'
                f' y1="{y:.2f}" y2="{y:.2f}"/>'
            )


def _dates(dates: Sequence[str]) -> Iterator[str]:
    """Yield the labels of days, fewer of them on a narrow screen."""
    band, count = 100 / max(1, len(dates)), len(dates)
    wide, narrow = (max(1, math.ceil(count / most)) for most, _kind in _LABELS)
    narrow = math.ceil(narrow / wide) * wide
    for n, date in enumerate(dates):
        if n % wide == 0:
            kind = "" if n % narrow == 0 else ' class="wide"'
            yield (
                f'<text{kind} x="{(n + 0.5) * band:.3f}%" y="{HEIGHT - 6}" text-anchor="middle">'
                f"{_short(date)}</text>"
            )


def _short(date: str) -> str:
    day = dt.date.fromisoformat(date)
    return f"{day.day} {day:%b}"


def _frame(ticks: Sequence[float], show: Show, plot: str, *, label: str, width: float) -> str:
    """Return a plot with its value axis, no wider than its bars need."""
    lines, labels = [], []
    for tick in ticks:
        y = _y(tick, ticks[-1])
        kind = "axis" if tick == 0 else "grid"
        lines.append(f'<line class="{kind}" x1="0" x2="100%" y1="{y:.2f}" y2="{y:.2f}"/>')
        labels.append(
            f'<text x="100%" y="{y + 4:.2f}" text-anchor="end">{_text(show(tick))}</text>'
        )
    return (
        f'<div class="plot" style="max-width:{max(320.0, width + 80):.0f}px">'
        f'<svg class="scale" height="{HEIGHT}" aria-hidden="true">{"".join(labels)}</svg>'
        f'<svg height="{HEIGHT}" role="img" aria-label="{_text(label)}">'
        f"{''.join(lines)}{plot}</svg></div>"
    )


def legend(entries: Sequence[tuple[str, str]]) -> str:
    """Return what the colours mean: pairs of class and name."""
    square = '<rect class="{}" width="12" height="12" rx="2"/>'
    line = '<line class="limit" x2="12" y1="6" y2="6"/>'
    items = "".join(
        '<li><svg width="12" height="12" aria-hidden="true">'
        f"{line if kind == 'limit' else square.format(kind)}</svg>{_text(name)}</li>"
        for kind, name in entries
    )
    return f'<ul class="legend">{items}</ul>'


def strip(
    stretches: Sequence[tuple[float, float, str]], since: float, until: float, *, label: str
) -> str:
    """Return one row of a timeline.

    Args:
        stretches: Begin, end and class of each; what lies between is not known, and hatched.
        label: What is shown, for those who cannot see it.
    """
    span = max(1e-9, until - since)
    parts = ['<rect class="gap" width="100%" height="100%"/>']
    for start, end, kind in stretches:
        left, right = max(start, since), min(end, until)
        if right > left:
            parts.append(
                f'<rect class="{escape(kind)}" x="{100 * (left - since) / span:.3f}%"'
                f' width="{max(0.05, 100 * (right - left) / span):.3f}%" height="100%">'
                f"<title>{escape(kind)}: {_clock(left)} to {_clock(right)}</title></rect>"
            )
    head = f'<svg class="strip" height="14" role="img" aria-label="{_text(label)}">'
    return f"{head}{''.join(parts)}</svg>"


def time_axis(since: float, until: float) -> str:
    """Return the labels below a timeline, in UTC."""
    span = max(1e-9, until - since)
    step = next(
        (s for s in _STEPS if span / s <= _LABELS[0][0]), math.ceil(span / 9 / _DAY_S) * _DAY_S
    )
    first = math.ceil(since / step) * step
    marks = [first + n * step for n in range(int((until - first) // step) + 1)]
    stride = math.ceil(len(marks) / _LABELS[1][0])
    parts = []
    for n, at in enumerate(marks):
        x = 100 * (at - since) / span
        anchor = "start" if x < 4 else "end" if x > 96 else "middle"
        kind = "" if n % stride == 0 else ' class="wide"'
        parts.append(
            f'<line class="grid" x1="{x:.3f}%" x2="{x:.3f}%" y1="0" y2="4"/>'
            f'<text{kind} x="{x:.3f}%" y="16" text-anchor="{anchor}">{_label(at, step)}</text>'
        )
    return f'<svg class="strip" height="20" aria-hidden="true">{"".join(parts)}</svg>'


_STEPS: Final = (
    *(60.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 10_800.0, 21_600.0, 43_200.0),
    *(_DAY_S, 2 * _DAY_S, 7 * _DAY_S, 14 * _DAY_S, 28 * _DAY_S),
)


def _label(at: float, step: float) -> str:
    moment = dt.datetime.fromtimestamp(at, dt.UTC)
    if step >= _DAY_S or at % _DAY_S == 0:
        return f"{moment.day} {moment:%b}"
    return f"{moment:%H:%M}"


def _clock(at: float) -> str:
    return f"{dt.datetime.fromtimestamp(at, dt.UTC):%Y-%m-%d %H:%M}"


def share_bar(share: float | None, mark: float | None = None) -> str:
    """Return a bar from 0 to 100 %, with a mark."""
    if share is None:
        return ""
    at = f"{100 * (mark or 0.0):.1f}%"
    line = f'<line class="limit" x1="{at}" x2="{at}" y1="0" y2="10"/>'
    kind = "bad" if mark is not None and share < mark else "good"
    return (
        '<svg class="bar" height="10" aria-hidden="true"><rect class="rail" width="100%"'
        f' height="10"/><rect class="{kind}" width="{100 * share:.2f}%" height="10"/>'
        f"{line if mark is not None else ''}</svg>"
    )


def range_bar(median: float | None, high: float | None, top: float) -> str:
    """Return a bar to the median and a line on to the 95th percentile, on a scale from zero."""
    if median is None or high is None or top <= 0:
        return ""
    to, end = 100 * median / top, 100 * high / top
    return (
        '<svg class="bar" height="10" aria-hidden="true"><rect class="rail" width="100%"'
        f' height="10"/><rect class="s0" width="{to:.2f}%" height="10"/>'
        f'<line class="whisker" x1="{to:.2f}%" x2="{end:.2f}%" y1="5" y2="5"/>'
        f'<line class="whisker" x1="{end:.2f}%" x2="{end:.2f}%" y1="1" y2="9"/></svg>'
    )


def _text(text: str) -> str:
    return escape(printable(text))
