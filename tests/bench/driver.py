"""Runs rounds of contenders, compares them within each round, and judges the goals."""

import enum
import itertools
import json
import math
import os
import subprocess
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

import attrs

from tests.bench.contender import TIME_LIMIT, Absent, Contender, Run, Shape

ROOT = Path(__file__).parents[2]
GOALS = Path(__file__).with_name("goals.toml")
MOST_ROUNDS = 15
PATIENCE = 60.0  # seconds for a whole process; a contender stops itself long before
DOUBT = 1 / 32  # how often, at most, the true median lies above the interval, or below


class Figure(enum.Enum):
    """What of a run is compared."""

    RATE = "rate"
    CPU = "cpu"
    P50 = "p50"
    MEMORY = "memory"
    WALL = "wall"
    BILLED = "billed"

    def of(self, run: Run) -> float:
        match self:
            case Figure.RATE:
                return run.units / run.cpu_us * 1e6
            case Figure.CPU:
                return run.cpu_us / run.units
            case Figure.P50:
                return math.nan if run.p50_us is None else run.p50_us
            case Figure.WALL:
                return run.units / run.wall_s
            case Figure.BILLED:
                return math.nan if run.billed is None else run.billed
            case Figure.MEMORY:
                return (run.rss_end - run.rss_base) / run.units


class Verdict(enum.Enum):
    """What became of a goal."""

    MET = "met"
    UNCLEAR = "unclear"
    MISSED = "missed"
    NOT_JUDGED = "not judged"


@attrs.frozen(kw_only=True)
class Failed:
    """A contender that broke, or did less than it should."""

    contender: str
    reason: str


Outcome = Run | Absent | Failed


@attrs.frozen(kw_only=True)
class Goal:
    """What must hold of one shape; one of the bounds is given."""

    ours: str
    beside: str | None = None
    figure: Figure = attrs.field(converter=Figure)
    at_least: float | None = None
    at_most: float | None = None
    aim: float | None = None

    def __attrs_post_init__(self) -> None:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError(f"a goal needs one bound, and only one: {self}")

    def __str__(self) -> str:
        beside = "" if self.beside is None else f" : {self.beside}"
        return f"{self.ours}{beside}, {self.figure.value}"

    def bound(self) -> str:
        at_least = f">= {self.at_least:g}" if self.at_least is not None else f"<= {self.at_most:g}"
        return at_least if self.aim is None else f"{at_least}, aim {self.aim:g}"

    def holds(self, value: float) -> bool:
        if self.at_least is not None:
            return value >= self.at_least
        return self.at_most is not None and value <= self.at_most


@attrs.frozen(kw_only=True)
class Round:
    """One run of each contender of a shape, in this order."""

    order: tuple[str, ...]
    runs: tuple[Outcome, ...]

    def finished(self) -> list[Run]:
        return [run for run in self.runs if isinstance(run, Run)]

    def run_of(self, contender: str) -> Run | None:
        found = [run for run in self.finished() if run.contender == contender]
        return found[0] if found else None


@attrs.frozen(kw_only=True)
class Judged:
    """A goal with the ratios of its rounds, and what they say of it."""

    goal: Goal
    ratios: tuple[float, ...]
    verdict: Verdict


@attrs.frozen(kw_only=True)
class Result:
    """All rounds of one shape."""

    suite: str
    shape: str
    rounds: tuple[Round, ...]
    goals: tuple[Judged, ...]

    def outcomes(self, kind: type[Failed] | type[Absent]) -> Iterator[Failed | Absent]:
        """Yield the first of such outcomes of each contender."""
        found = [run for turn in self.rounds for run in turn.runs if isinstance(run, kind)]
        yield from {outcome.contender: outcome for outcome in reversed(found)}.values()


# Arithmetic


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return where the true median lies: of five values the lowest and the highest.

    Of more, it is narrower: as many are cut off at both ends as leave the same confidence, 15/16.
    """
    ordered, count = sorted(values), len(values)
    tails = itertools.accumulate(math.comb(count, above) / 2**count for above in range(count))
    cut = max(0, sum(tail <= DOUBT for tail in tails) - 1)
    return ordered[cut], ordered[-1 - cut]


def ratios_of(goal: Goal, rounds: Sequence[Round]) -> tuple[float, ...]:
    """Return ours to the peer, round by round, where both ran."""
    found = []
    for turn in rounds:
        ours, peer = turn.run_of(goal.ours), turn.run_of(goal.beside or goal.ours)
        if ours is not None and peer is not None:
            figure = goal.figure.of
            found.append(figure(ours) / (figure(peer) if goal.beside is not None else 1.0))
    return tuple(found)


def judge(goal: Goal, rounds: Sequence[Round]) -> Judged:
    """Judge a goal by the rounds so far; UNCLEAR: more of them may tell."""
    ratios = ratios_of(goal, rounds)
    parties = {goal.ours, goal.beside}
    runs = [run for turn in rounds for run in turn.runs if run.contender in parties]
    if any(isinstance(run, Failed) for run in runs):
        verdict = Verdict.MISSED
    elif len(ratios) < len(rounds) or not ratios:
        verdict = Verdict.NOT_JUDGED
    else:
        match [goal.holds(end) for end in interval(ratios)]:
            case [True, True]:
                verdict = Verdict.MET
            case [False, False]:
                verdict = Verdict.MISSED
            case _:
                verdict = Verdict.UNCLEAR if len(rounds) < MOST_ROUNDS else Verdict.MISSED
    return Judged(goal=goal, ratios=ratios, verdict=verdict)


def check(run: Run, units: int, shape: Shape) -> Run | Failed:
    """Fail a contender that did less, or something else; one out of time is charged as it is."""
    reason = None
    if run.checks != (run.units, shape.digest(run.units)):
        reason = f"answered {run.checks}, {shape.digest(run.units)} was the right sum"
    elif run.units == 0 or (run.units < units and run.wall_s < TIME_LIMIT):
        reason = f"did {run.units} units of {units}"
    return run if reason is None else Failed(contender=run.contender, reason=reason)


# Running


@attrs.frozen(kw_only=True)
class Machine:
    """Where contenders run: our interpreter, that of the peers, and the core for both."""

    python: Path
    peers: Path
    core: int

    @property
    def vocabulary(self) -> str:
        """The folder in which LiteLLM brings the vocabulary that tokens are counted with."""
        folders = self.peers.parent.parent.glob("lib/*/site-packages/litellm/*/tokenizers")
        return next(map(str, folders), "")

    def launch(self, suite: str, shape: Shape, contender: Contender, units: int) -> Outcome:
        """Run one contender in its own process."""
        done = int(min(units, contender.most_units))
        python = self.python if contender.needs is None else self.peers
        command = [str(python), "-m", "tests.bench.contender", suite, shape.name, contender.name]
        try:
            process = subprocess.run(
                [*command, str(done), str(self.core)],
                cwd=ROOT,
                env={"TIKTOKEN_CACHE_DIR": self.vocabulary, **os.environ, "PYTHONHASHSEED": "0"},
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=True,
            )
        except subprocess.TimeoutExpired:
            return Failed(contender=contender.name, reason=f"no end within {PATIENCE:g} s")
        except subprocess.CalledProcessError as error:
            return Failed(contender=contender.name, reason=f"{error}\n{error.stderr}")
        said = json.loads(process.stdout)
        if "reason" in said:
            return Absent(**said)
        said["checks"] = tuple(said["checks"])
        return check(Run(**said), done, shape)


def play(shape: Shape, number: int, launch: Callable[[Contender], Outcome]) -> Round:
    """Run every contender once, in an order that is turned by one each round."""
    first = number % len(shape.contenders)
    order = (*shape.contenders[first:], *shape.contenders[:first])
    return Round(
        order=tuple(contender.name for contender in order),
        runs=tuple(launch(contender) for contender in order),
    )


def measure(
    shape: Shape,
    suite: str,
    goals: Sequence[Goal],
    least: int,
    launch: Callable[[Contender], Outcome],
) -> Result:
    """Run at least so many rounds, and more while a goal is unclear."""
    rounds: list[Round] = []
    judged: tuple[Judged, ...] = ()
    while len(rounds) < least or any(found.verdict is Verdict.UNCLEAR for found in judged):
        rounds.append(play(shape, len(rounds), launch))
        judged = tuple(judge(goal, rounds) for goal in goals)
    return Result(suite=suite, shape=shape.name, rounds=tuple(rounds), goals=judged)


def load_goals(suite: str, shape: str) -> tuple[Goal, ...]:
    """Return the goals of a shape."""
    with GOALS.open("rb") as file:
        return tuple(Goal(**row) for row in tomllib.load(file).get(suite, {}).get(shape, []))


def exit_code(results: Sequence[Result], excused: frozenset[Verdict]) -> int:
    """Return 0 if every goal was met or excused and no contender failed, else 1."""
    verdicts = {judged.verdict for result in results for judged in result.goals}
    has_failed = any(True for result in results for _ in result.outcomes(Failed))
    return int(has_failed or not verdicts <= {Verdict.MET} | excused)


# Telling


COLUMNS: tuple[tuple[str, Callable[[Run], float]], ...] = (
    ("CPU us", Figure.CPU.of),
    ("wall 1/s", Figure.WALL.of),
    ("RSS MB", lambda run: run.rss_base / 1e6),
    ("peak MB", lambda run: run.rss_peak / 1e6),
    ("bytes", Figure.MEMORY.of),
    ("p50 us", Figure.P50.of),
    ("billed", Figure.BILLED.of),
)


def lines(result: Result) -> Iterator[str]:
    """Yield the table of a shape: its contenders by the medians of their runs, and its goals."""
    yield f"\n{result.suite}.{result.shape}, rounds: {len(result.rounds)}"
    columns = [
        (title, column)
        for title, column in COLUMNS
        if any(not math.isnan(column(run)) for turn in result.rounds for run in turn.finished())
    ]
    yield f"  {'':16}" + "".join(f"{title:>11}" for title, _ in columns)
    for name in sorted(result.rounds[0].order):
        runs = [run for turn in result.rounds if (run := turn.run_of(name)) is not None]
        if runs:
            cells = (median(column(run) for run in runs) for _, column in columns)
            yield f"  {name:16}" + "".join(f"{cell:11.1f}" for cell in cells)
    for outcome in (*result.outcomes(Absent), *result.outcomes(Failed)):
        yield f"  {outcome.contender:16} {type(outcome).__name__.upper()}: {outcome.reason}"
    for judged in result.goals:
        spread = "no figures"
        if judged.ratios:
            low, high = min(judged.ratios), max(judged.ratios)
            spread = f"{median(judged.ratios):.4g} ({low:.4g} to {high:.4g})"
        verdict = judged.verdict.value.upper()
        yield f"  {verdict:10} {judged.goal!s:32} {spread}; {judged.goal.bound()}"
