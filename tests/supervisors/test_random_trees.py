"""The running supervisor does in every random tree what its core says, however Trio schedules."""

import trio
from hypothesis import HealthCheck, settings

from supervisors.testing import replay
from tests.supervisors.trees import RandomTree


class ComparedTree(RandomTree):
    """Plays each scenario again on the running supervisor, its tasks shuffled by a seed.

    Hypothesis makes Trio shuffle every batch of tasks; see `_ALLOW_DETERMINISTIC_SCHEDULING` there.
    """

    def compare(self) -> None:
        trio._core._run._r.seed(self.seed)
        assert replay(self.scenario) == tuple(self.lines)


TestComparedTree = ComparedTree.TestCase
TestComparedTree.settings = settings(
    max_examples=300, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
