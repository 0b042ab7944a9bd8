"""Trees live and die on OTP's own supervisor as they do on ours, start for start and end for end.

Left out is what differs by intent: a supervisor that gives up has ended normally for OTP's and
abnormally for ours, hence no inner one is transient.
"""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from supervisors import Restart
from supervisors.testing import Lines, Node, Scenario, StepKind, difference
from tests.supervisors import otp
from tests.supervisors.test_scenarios import RULES, scenario
from tests.supervisors.trees import RandomTree

SEED = 25_2_3
EXAMPLES = 400
MEANT = {"transient_supervisor_that_gives_up_comes_back"}
pytestmark = pytest.mark.skipif(
    not otp.is_installed(), reason="no Erlang: erl and erlc are not on PATH"
)


class OtpTree(RandomTree):
    """A tree that OTP can have."""

    inner = (Restart.PERMANENT, Restart.TEMPORARY)

    def add(self, kind: StepKind, path: str, count: int = 1, node: Node | None = None) -> None:
        if kind is StepKind.IGNORE_STARTS and "#" in path.rpartition("/")[2]:
            kind = StepKind.FAIL_STARTS  # OTP keeps an ignored restart, and crashes when it stops
        super().add(kind, path, count, node)


def random_plays() -> dict[Scenario, list[Lines]]:
    """Return scenarios, the same ones for each seed, with the lines of our core."""
    plays: dict[Scenario, list[Lines]] = {}

    @seed(SEED)
    class Collected(OtpTree):
        def compare(self) -> None:
            plays[self.scenario] = self.lines

    run_state_machine_as_test(
        Collected,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=24,
            phases=[Phase.generate],
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    return plays


def test_random_trees_start_and_end_as_in_otp(tmp_path: Path) -> None:
    plays = random_plays()
    print(f"{len(plays)} random trees of seed {SEED}")
    assert len(plays) >= 300
    for (case, lines), answer in zip(plays.items(), otp.play(plays, tmp_path), strict=True):
        ours, theirs = otp.reduce(case, lines), otp.reduce(case, answer)
        assert ours == theirs, f"{case}\n{difference(theirs, ours)}"


def test_scenarios_written_by_hand_are_those_of_otp(tmp_path: Path) -> None:
    plays = [scenario(*rule) for name, rule in RULES.items() if name not in MEANT]
    answers = otp.play((case for case, _ in plays), tmp_path)
    for (case, lines), answer in zip(plays, answers, strict=True):
        assert otp.reduce(case, lines) == otp.reduce(case, answer)
