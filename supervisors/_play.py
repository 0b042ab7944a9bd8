"""What every way to play a scenario shares: the cues, who runs, and the lines of a step."""

import abc
from collections import defaultdict

from supervisors._context import Context
from supervisors._doubles import ScriptedActor, describe
from supervisors._events import ChildExited, ChildStarted, Event, LimitExceeded
from supervisors._scenario import Lines, Scenario, Step, StepKind, in_fixed_order
from supervisors.errors import SupervisionError


class Play(abc.ABC):
    """One play of a scenario.

    Attributes:
        actors: The leaves by their paths, also those that no tree has yet.
        running: The paths of the leaves and supervisors that run.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.actors: defaultdict[str, ScriptedActor] = defaultdict(ScriptedActor)
        self.running: set[str] = set()
        self._lines: list[str] = []
        self._tail: list[str] = []
        for cue in scenario.cues:
            self.cue(cue)

    async def run_leaf(self, ctx: Context[object]) -> None:
        """Be the actor function of every leaf."""
        await self.actors[ctx.path].run(ctx)

    def cue(self, step: Step) -> None:
        """Do what FAIL_STARTS or IGNORE_STARTS says."""
        if step.kind is StepKind.FAIL_STARTS:
            self.actors[step.path].fail_starts = step.count
        else:
            self.actors[step.path].ignore_starts = step.count

    def note(self, event: Event) -> None:
        """Be the hook: OTP has starts, ends and limits, hence only they make lines."""
        match event:
            case ChildStarted(path=path):
                self.running.add(path)
            case ChildExited(path=path):
                self.running.discard(path)
            case LimitExceeded():
                pass
            case _:
                return
        self._lines.append(describe(event))

    def answer(self, error: SupervisionError | None) -> None:
        """Note the answer of a request."""
        self._tail.insert(0, "done" if error is None else type(error).__name__)

    def end(self, outcome: str) -> None:
        """Note that the root has ended."""
        self._tail.append(f"ended: {outcome}")

    def take(self) -> Lines:
        """Return the lines since the last call."""
        lines = (*in_fixed_order(self._lines), *self._tail)
        self._lines, self._tail = [], []
        return lines

    def is_missing(self, step: Step) -> bool:
        """Tell whether nobody is there to whom a step could happen."""
        match step.kind:
            case StepKind.FAIL_STARTS | StepKind.IGNORE_STARTS:
                return False
            case StepKind.CRASH | StepKind.RETURN:
                return step.path not in self.running or self.is_supervisor(step.path)
            case StepKind.TERMINATE | StepKind.RESTART | StepKind.DELETE:
                return not self.is_supervisor(step.path.rpartition("/")[0])
            case StepKind.START | StepKind.STOP:
                return not self.is_supervisor(step.path)

    @abc.abstractmethod
    def is_supervisor(self, path: str) -> bool:
        """Tell whether a supervisor runs at a path."""
