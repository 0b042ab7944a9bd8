"""The benchmarks' own arithmetic; the figures themselves are no tests."""

import tomllib

import attrs
import pytest

from tests.bench.contender import SUITES, TIME_LIMIT, Absent, Contender, Run, Shape, load_shapes
from tests.bench.driver import (
    GOALS,
    MOST_ROUNDS,
    Failed,
    Goal,
    Round,
    Verdict,
    check,
    exit_code,
    interval,
    judge,
    load_goals,
    measure,
    play,
)

GOAL = Goal(ours="ours", beside="peer", figure="rate", at_least=0.5)
SHAPE = Shape(
    name="shape",
    units=10,
    contenders=(Contender("ours", lambda meter: None), Contender("peer", lambda meter: None)),
)


def run(contender: str, cpu_us: float = 100.0) -> Run:
    return Run(
        contender=contender,
        units=10,
        cpu_us=cpu_us,
        wall_s=1.0,
        rss_base=0,
        rss_end=0,
        rss_peak=0,
        p50_us=None,
        checks=(10, 100),
    )


def rounds(*costs: float) -> list[Round]:
    """Return rounds in which ours cost so much, and the peer 100."""
    return [Round(order=(), runs=(run("ours", cost), run("peer"))) for cost in costs]


def test_goals_name_only_shapes_and_contenders_that_exist():
    with GOALS.open("rb") as file:
        goals = tomllib.load(file)
    assert goals.keys() == set(SUITES)
    for suite in SUITES:
        contenders = {
            shape.name: {contender.name for contender in shape.contenders}
            for shape in load_shapes(suite)
        }
        assert goals[suite].keys() <= contenders.keys()
        for shape, names in contenders.items():
            for goal in load_goals(suite, shape):
                assert {goal.ours, goal.beside or goal.ours} <= names


@pytest.mark.parametrize(
    ("costs", "ratios", "verdict"),
    [
        ((100, 125, 200), (1.0, 0.8, 0.5), Verdict.MET),
        ((400, 250, 1000), (0.25, 0.4, 0.1), Verdict.MISSED),
        ((100, 125, 250), (1.0, 0.8, 0.4), Verdict.UNCLEAR),
    ],
)
def test_goal_is_judged_by_ratios_within_rounds(costs, ratios, verdict):
    judged = judge(GOAL, rounds(*costs))
    assert judged.ratios == pytest.approx(ratios)
    assert judged.verdict is verdict


def test_interval_narrows_as_rounds_are_added():
    assert interval([3, 1, 5, 2, 4]) == (1, 5)
    assert interval(range(15)) == (3, 11)


def test_unclear_goal_is_missed_after_the_most_rounds():
    costs = iter(range(1_000_000))

    def launch(contender: Contender) -> Run:
        is_slow = contender.name == "ours" and next(costs) % 2
        return run(contender.name, 300.0 if is_slow else 100.0)

    result = measure(SHAPE, "suite", [GOAL], 5, launch)
    assert len(result.rounds) == MOST_ROUNDS
    assert [judged.verdict for judged in result.goals] == [Verdict.MISSED]


def test_order_is_turned_by_one_each_round():
    orders = [play(SHAPE, number, lambda found: run(found.name)).order for number in range(3)]
    assert orders == [("ours", "peer"), ("peer", "ours"), ("ours", "peer")]


def test_contender_fails_when_it_did_less_or_something_else():
    honest = run("ours")
    assert check(honest, 10, SHAPE) is honest
    assert isinstance(check(honest, 11, SHAPE), Failed)
    assert isinstance(check(attrs.evolve(honest, checks=(10, 99)), 10, SHAPE), Failed)
    late = attrs.evolve(honest, wall_s=TIME_LIMIT)
    assert check(late, 11, SHAPE) is late


def test_what_is_billed_is_judged_against_the_limit():
    goal = Goal(ours="ours", figure="billed", at_most=1.0)
    for billed, verdict in ((0.9, Verdict.MET), (1.1, Verdict.MISSED)):
        ours = attrs.evolve(run("ours"), billed=billed)
        assert judge(goal, [Round(order=(), runs=(ours,))]).verdict is verdict


def test_failed_contender_misses_its_goals():
    failed = Failed(contender="peer", reason="did 9 units of 10")
    result = measure(
        SHAPE, "suite", [GOAL], 1, lambda found: failed if found.name == "peer" else run("ours")
    )
    assert [judged.verdict for judged in result.goals] == [Verdict.MISSED]
    assert exit_code([result], frozenset()) == 1


def test_absent_peer_leaves_its_goals_unjudged():
    absent = Absent(contender="peer", reason="not installed")
    result = measure(
        SHAPE, "suite", [GOAL], 1, lambda found: absent if found.name == "peer" else run("ours")
    )
    assert [judged.verdict for judged in result.goals] == [Verdict.NOT_JUDGED]
    assert exit_code([result], frozenset()) == 1
    assert exit_code([result], frozenset({Verdict.NOT_JUDGED})) == 0
