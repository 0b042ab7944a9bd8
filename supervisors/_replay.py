"""Plays a scenario on the running supervisor, under a virtual clock."""

import difflib
from collections.abc import Sequence

import trio
from trio.testing import MockClock

from supervisors._doubles import settle
from supervisors._play import Play
from supervisors._replay_core import replay_core
from supervisors._scenario import PERIOD, ROOT, Lines, Node, Scenario, Step, StepKind
from supervisors._supervisor import Supervisor
from supervisors.errors import (
    NoSuchChild,
    RestartLimitExceeded,
    StartError,
    SupervisionError,
)


def replay(scenario: Scenario) -> tuple[Lines, ...]:
    """Play a scenario on a running supervisor, in no time.

    Returns:
        The lines of the initial start, then those of each step: starts, ends and exceeded limits as
        `describe` has them; the answer of a request, `done` or the name of the error; `ended: ` and
        how, if the root ended. A step whose child or supervisor does not run has the one line
        `nobody`. Dynamic children that were asked to stop at once are sorted by their path.

    Raises:
        trio.TooSlowError: A step has no end.
    """
    return trio.run(_play, scenario, clock=MockClock(autojump_threshold=0))


def check(scenario: Scenario, expected: tuple[Lines, ...]) -> None:
    """Play a scenario on a running supervisor and on the core alone, and compare.

    Raises:
        AssertionError: The lines of one of them differ; its text shows how.
    """
    for play in (replay, replay_core):
        played = play(scenario)
        if played != expected:
            raise AssertionError(difference(expected, played))


def difference(wanted: Sequence[Lines], played: Sequence[Lines]) -> str:
    """Return the lines of both by their steps: `-` only wanted, `+` only played."""
    left, right = (
        [f"{number}: {line}" for number, step in enumerate(steps) for line in step]
        for steps in (wanted, played)
    )
    return "\n".join(difflib.ndiff(left, right))


async def _play(scenario: Scenario) -> tuple[Lines, ...]:
    play = _TreePlay(scenario)
    with trio.fail_after(PERIOD):  # virtual seconds: a request without an answer must not hang
        async with trio.open_nursery() as nursery:
            nursery.start_soon(play.run)
            await settle()
            lines = [play.take()]
            for step in scenario.steps:
                lines.append(await play.step(step))
            play.root.request_stop()
    return tuple(lines)


class _TreePlay(Play):
    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario)
        self.root = Supervisor(scenario.tree.spec(self.run_leaf), name=ROOT, hook=self.note)

    async def run(self) -> None:
        self.running.add(ROOT)
        try:
            await self.root.run()
            self.end("Stopped")
        except StartError:
            self.end("StartFailed")
        except RestartLimitExceeded:
            self.end("GaveUp")
        self.running.discard(ROOT)

    def is_supervisor(self, path: str) -> bool:
        try:
            self.root.nested(path)
        except NoSuchChild:
            return False
        return path in self.running

    async def step(self, step: Step) -> Lines:
        if self.is_missing(step):
            return ("nobody",)
        match step.kind:
            case StepKind.FAIL_STARTS | StepKind.IGNORE_STARTS:
                self.cue(step)
            case StepKind.CRASH:
                self.actors[step.path].crash()
            case StepKind.RETURN:
                self.actors[step.path].finish()
            case StepKind.STOP:
                await self.root.stop()
            case _:
                await self._ask(step)
        await settle()
        return self.take()

    async def _ask(self, step: Step) -> None:
        error = None
        try:
            await self._request(step)
        except SupervisionError as refusal:
            error = refusal
        self.answer(error)

    async def _request(self, step: Step) -> None:
        parent, _, id = step.path.rpartition("/")
        match step:
            case Step(kind=StepKind.START, node=Node() as node):
                await self.root.nested(step.path).start_child(node.spec(self.run_leaf))
            case Step(kind=StepKind.TERMINATE):
                await self.root.nested(parent).terminate_child(id)
            case Step(kind=StepKind.RESTART):
                await self.root.nested(parent).restart_child(id)
            case Step(kind=StepKind.DELETE):
                await self.root.nested(parent).delete_child(id)
            case _:
                raise ValueError(f"a step that cannot be taken: {step}")
