"""Plays scenarios on Erlang's own supervisor, and reduces lines to what both sides can show."""

import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from supervisors._scenario import in_fixed_order
from supervisors.testing import Lines, Node, Scenario, Step, StepKind, Tree

SOURCE = Path(__file__).parent / "otp" / "replay.erl"
REFUSALS = ("refused", "NoSuchChild", "ChildStateError")


def is_installed() -> bool:
    """Tell whether Erlang and its compiler are there."""
    return shutil.which("erl") is not None and shutil.which("erlc") is not None


def play(scenarios: Iterable[Scenario], folder: Path) -> list[list[Lines]]:
    """Play scenarios in one Erlang process; the lines of each step as that prints them."""
    terms = folder / "scenarios.terms"
    terms.write_text("".join(f"{term_of(scenario)}.\n" for scenario in scenarios))
    subprocess.run(["erlc", "-o", folder, SOURCE], check=True, timeout=60)
    # one scheduler: what is ready to run runs in turn, so that a wait of a few turns is short
    command = ["erl", "+S", "1", "-noshell", "-pa", folder, "-run", "replay", "main", terms]
    done = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True)
    plays: list[list[Lines]] = []
    for text in done.stdout.removesuffix("scenario\n").split("scenario\n"):
        steps = text.removesuffix("step\n").split("step\n")
        plays.append([tuple(step.splitlines()) for step in steps])
    return plays


def reduce(scenario: Scenario, steps: Sequence[Lines]) -> list[Lines]:
    """Leave what OTP shows too: starts and ends of leaves, answers, the end of the root.

    Supervisors have capital ids; OTP names no limit and has one refusal for all requests about
    dynamic children that they do not know.
    """
    kinds = (None, *scenario.steps)
    return [
        in_fixed_order(_reduce(step, line) for line in lines if _is_shown(line))
        for step, lines in zip(kinds, steps, strict=True)
    ]


def _is_shown(line: str) -> bool:
    words = line.split()
    if words[0] in ("started", "exited"):
        return not words[1].rpartition("/")[2].isupper()
    return words[0] != "limit"


def _reduce(step: Step | None, line: str) -> str:
    if line.startswith("ended"):
        return "ended"
    is_update = step is not None and step.kind in (StepKind.RESTART, StepKind.DELETE)
    if step is not None and is_update and "#" in step.path.rpartition("/")[2] and line in REFUSALS:
        return "refused"
    return line


# Erlang terms


def term_of(scenario: Scenario) -> str:
    """Return a scenario as `replay.erl` reads it."""
    kinds = {StepKind.FAIL_STARTS: "fail", StepKind.IGNORE_STARTS: "ignore"}
    cues = [f'{{{kinds[cue.kind]},"{cue.path}",{cue.count}}}' for cue in scenario.cues]
    templates = {
        step.path: f'"{step.path}"=>{{{step.node.restart.value},{_bool(step.node.significant)}}}'
        for step in scenario.steps
        if step.node is not None
    }
    steps = [_step(step) for step in scenario.steps]
    return (
        f"{{{_tree(scenario.tree)},[{','.join(cues)}],"
        f"#{{{','.join(templates.values())}}},[{','.join(steps)}]}}"
    )


def _step(step: Step) -> str:
    argument = str(step.count) if step.node is None else _node(step.node)
    return f'{{{step.kind.value},"{step.path}",{argument}}}'


def _tree(tree: Tree) -> str:
    children = ",".join(_node(node) for node in tree.children)
    return f"{{{tree.strategy.value},{tree.max_restarts},{tree.auto_shutdown.value},[{children}]}}"


def _node(node: Node) -> str:
    what = "leaf" if node.tree is None else _tree(node.tree)
    return f'{{"{node.id}",{node.restart.value},{_bool(node.significant)},{what}}}'


def _bool(fact: bool) -> str:
    return "true" if fact else "false"
