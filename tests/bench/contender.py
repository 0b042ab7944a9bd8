"""One contender in its own process: `python -m tests.bench.contender SUITE SHAPE NAME UNITS CORE`.

It prints one JSON line, a `Run` or an `Absent`. A contender does its units inside a `Meter`, that
costs each the same 0.4 us a unit, and counts the answers: whoever answered less or otherwise has
failed, and is not fast.
"""

import contextlib
import gc
import importlib
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import attrs

SUITES = ("actors", "gate", "budget", "logs", "parse")
TIME_LIMIT = 12.0
"""Seconds after which a contender is stopped and charged for what it finished."""


@attrs.frozen(kw_only=True)
class Run:
    """What one run of a contender cost, from after its warm-up to its last unit.

    Attributes:
        cpu_us: Of all units together, of all threads.
        rss_base: Bytes before the first unit.
        rss_end: Bytes after the last unit, the garbage collected.
        rss_peak: The most that the process ever held, in bytes.
        p50_us: The median of the intervals it timed, in microseconds of wall time; None: no such.
        billed: What was billed, as a part of the limit; None: there was no limit.
        checks: How many answers came, and their sum.
    """

    contender: str
    units: int
    cpu_us: float
    wall_s: float
    rss_base: int
    rss_end: int
    rss_peak: int
    p50_us: float | None
    billed: float | None = None
    checks: tuple[int, int]


@attrs.frozen(kw_only=True)
class Absent:
    """A contender whose package is not installed."""

    contender: str
    reason: str


class Meter:
    """Counts the units of one contender and what they cost.

    Attributes:
        begun: Units that were begun, those of the warm-up included.
        charged: Processes whose time counts as this one's, with all below them.
        billed: What was billed, as a part of the limit.
    """

    def __init__(self, units: int) -> None:
        self.units = units
        self.begun = 0
        self.charged: list[int] = []
        self.billed: float | None = None
        self._marked = 0.0
        self.begin()

    def each(self) -> Iterator[int]:
        """Yield the numbers of the units: a tenth as warm-up, then those that are measured.

        The former are negative, for their answers may come when the measuring has begun.
        """
        for number in range(-(self.units // 10), 0):
            self.begun += 1
            yield number
        self.begin()
        for number in range(self.units):
            if time.perf_counter() - self._wall_before > TIME_LIMIT:
                break
            self.begun += 1
            yield number
        self.end()

    def begin(self) -> None:
        """Start to measure, with a clean heap."""
        gc.collect()
        self._answers = self._digest = 0
        self._laps: list[float] = []
        self._rss_base = _memory("smaps_rollup", "Rss")
        self._wall_before = time.perf_counter()
        self._cpu_before = self._cpu_now()

    def end(self) -> None:
        """Stop to measure, as the last unit is done."""
        self._cpu = self._cpu_now() - self._cpu_before
        self._wall = time.perf_counter() - self._wall_before
        gc.collect()
        self._rss_end = _memory("smaps_rollup", "Rss")

    def add(self, answer: int) -> None:
        """Count an answer, unless it is of the warm-up."""
        if answer > 0:
            self._answers += 1
            self._digest += answer

    def mark(self) -> None:
        """Begin an interval of wall time."""
        self._marked = time.perf_counter()

    def lap(self) -> None:
        """End the interval that was marked."""
        self._laps.append(time.perf_counter() - self._marked)

    def _cpu_now(self) -> float:
        return time.process_time() + sum(map(_cpu_of, self.charged))

    def run(self, contender: str) -> Run:
        """Return what was measured."""
        return Run(
            contender=contender,
            units=self._answers,
            cpu_us=self._cpu * 1e6,
            wall_s=self._wall,
            rss_base=self._rss_base,
            rss_end=self._rss_end,
            rss_peak=_memory("status", "VmHWM"),
            p50_us=median(self._laps) * 1e6 if self._laps else None,
            billed=self.billed,
            checks=(self._answers, self._digest),
        )


@attrs.frozen
class Contender:
    """One form of doing a shape's units.

    Attributes:
        measure: Does them inside the meter.
        needs: The distribution it compares us with, of the peers' environment.
        most_units: How many it can bear.
    """

    name: str
    measure: Callable[[Meter], None]
    needs: str | None = attrs.field(default=None, kw_only=True)
    most_units: float = attrs.field(default=math.inf, kw_only=True)


@attrs.frozen(kw_only=True)
class Shape:
    """Contenders that do the same.

    Attributes:
        units: How many each does in a full run.
        digest: The sum of the right answers of so many units: by default, n is answered by 2n + 1.
    """

    name: str
    units: int
    contenders: tuple[Contender, ...]
    digest: Callable[[int], int] = lambda units: units * units

    def contender(self, name: str) -> Contender:
        """Return the one of that name."""
        [found] = [contender for contender in self.contenders if contender.name == name]
        return found


def load_shapes(suite: str) -> tuple[Shape, ...]:
    """Return the shapes of a suite."""
    shapes: tuple[Shape, ...] = importlib.import_module(f"tests.bench.{suite}").SHAPES
    return shapes


def shape_of(suite: str, name: str) -> Shape:
    """Return one shape of a suite."""
    [found] = [shape for shape in load_shapes(suite) if shape.name == name]
    return found


def _memory(file: str, row: str) -> int:
    lines = (Path("/proc/self") / file).read_text(encoding="ascii").splitlines()
    [kilobytes] = [line.split()[1] for line in lines if line.startswith(f"{row}:")]
    return int(kilobytes) * 1024


def _cpu_of(pid: int) -> float:
    """Return the seconds that a process and all below it have used, as far as they are known."""
    stats: dict[int, list[str]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            stats[int(path.parent.name)] = path.read_text().rpartition(")")[2].split()
    found = [pid]
    for parent in found:  # grows as it goes
        found += [child for child, fields in stats.items() if int(fields[1]) == parent]
    ticks = sum(int(field) for each in found for field in stats[each][11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def _measure(contender: Contender, units: int) -> Run | Absent:
    meter = Meter(units)
    try:
        contender.measure(meter)
    except ModuleNotFoundError as missing:
        if missing.name != contender.needs:
            raise
        return Absent(contender=contender.name, reason=str(missing))
    return meter.run(contender.name)


def main() -> None:
    """Measure one contender."""
    suite, shape, name, units, core = sys.argv[1:]
    os.sched_setaffinity(0, {int(core)})
    contender = shape_of(suite, shape).contender(name)
    print(json.dumps(attrs.asdict(_measure(contender, int(units)))))


if __name__ == "__main__":
    main()
