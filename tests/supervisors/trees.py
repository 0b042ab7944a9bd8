"""Random trees and what happens to them: a state machine for whoever compares two ways to run them.

The machine knows from the core alone who runs, so that its steps are plausible.
"""

from collections.abc import Iterable
from typing import ClassVar

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from supervisors import AutoShutdown, Restart, Strategy
from supervisors.testing import CorePlay, Lines, Node, Scenario, Step, StepKind, Tree

LEVELS = 3  # of supervisors
IDS = "abcde"
Types = tuple[Restart, ...]
ANY: Types = tuple(Restart)
SPOILT = st.sampled_from([StepKind.FAIL_STARTS, StepKind.FAIL_STARTS, StepKind.IGNORE_STARTS])


@st.composite
def nodes(draw: st.DrawFn, id: str, rule: AutoShutdown, inner: Types, levels: int) -> Node:
    """Draw a child for a supervisor with that rule: a leaf, or a supervisor with a capital id."""
    tree = draw(st.none() | trees(inner, levels)) if levels else None
    restart = draw(st.sampled_from(inner if tree else ANY))
    can_matter = restart is not Restart.PERMANENT and rule is not AutoShutdown.NEVER
    significant = can_matter and draw(st.booleans())
    id = id if tree is None else id.upper()
    return Node(id=id, restart=restart, significant=significant, tree=tree)


@st.composite
def trees(draw: st.DrawFn, inner: Types, levels: int = LEVELS) -> Tree:
    """Draw a supervisor; `inner` are the restart types of supervisors below it."""
    strategy = draw(st.sampled_from(Strategy))
    rule = draw(st.sampled_from(AutoShutdown))
    is_dynamic = strategy is Strategy.SIMPLE_ONE_FOR_ONE
    ids = "" if is_dynamic else IDS[: draw(st.integers(1, len(IDS)))]
    return Tree(
        strategy=strategy,
        max_restarts=draw(st.integers(0, 4)),
        auto_shutdown=rule,
        children=tuple(draw(nodes(id, rule, inner, levels - 1)) for id in ids),
    )


class RandomTree(RuleBasedStateMachine):
    """Grows a scenario step by step; `compare` gets it with the lines of the core.

    Attributes:
        inner: The restart types of inner supervisors.
        seed: For whoever compares.
    """

    inner: ClassVar[Types] = ANY

    @initialize(data=st.data(), seed=st.integers(0, 2**32))
    def begin(self, data: st.DataObject, seed: int) -> None:
        tree = data.draw(trees(self.inner))
        leaves = [f"root/{child.id}" for child in tree.children if child.tree is None]
        cues: tuple[Step, ...] = ()
        if leaves and data.draw(st.integers(0, 9)) == 9:
            cues = (Step(kind=data.draw(SPOILT), path=pick(data, leaves)),)
        self.seed = seed
        self.scenario = Scenario(tree=tree, cues=cues)
        self.play = CorePlay(self.scenario)
        self.lines: list[Lines] = [self.play.take()]
        self.known = {"root/nobody#0", *leaves, *self.play.running}
        self.templates: dict[str, Node] = {}

    def leaves(self) -> list[str]:
        return sorted(self.play.running - self.play.supervisors.keys())

    def add(self, kind: StepKind, path: str, count: int = 1, node: Node | None = None) -> None:
        step = Step(kind=kind, path=path, count=count, node=node)
        self.scenario = attrs.evolve(self.scenario, steps=(*self.scenario.steps, step))
        self.lines.append(self.play.step(step))
        self.known |= self.play.running

    @precondition(leaves)
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        self.add(StepKind.CRASH, pick(data, self.leaves()))

    @precondition(leaves)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        self.add(StepKind.RETURN, pick(data, self.leaves()))

    @precondition(leaves)
    @rule(data=st.data(), count=st.integers(1, 3))
    def crash_with_bad_restarts(self, data: st.DataObject, count: int) -> None:
        self.add(data.draw(SPOILT), pick(data, self.leaves()), count)
        self.crash(data)

    @rule(data=st.data(), kind=st.sampled_from([StepKind.TERMINATE, StepKind.DELETE]))
    def request(self, data: st.DataObject, kind: StepKind) -> None:
        self.add(kind, pick(data, self.known))

    @precondition(lambda self: self.play.supervisors)
    @rule(data=st.data(), is_spoilt=st.booleans(), is_plausible=st.booleans())
    def restart(self, data: st.DataObject, is_spoilt: bool, is_plausible: bool) -> None:
        path = pick(data, self.known - self.play.running if is_plausible else self.known)
        if is_spoilt:
            self.add(data.draw(SPOILT), path)
        self.add(StepKind.RESTART, path)

    @precondition(lambda self: self.play.supervisors)
    @rule(data=st.data(), id=st.sampled_from(IDS + "fg"), is_spoilt=st.booleans())
    def start(self, data: st.DataObject, id: str, is_spoilt: bool) -> None:
        path = pick(data, self.play.supervisors)
        spec = self.play.supervisors[path]
        is_new = f"{path}/{id.upper()}" not in self.known
        levels = LEVELS - 1 - path.count("/") if is_new else 0
        node = data.draw(nodes(id, spec.auto_shutdown, self.inner, max(levels, 0)))
        if spec.strategy is Strategy.SIMPLE_ONE_FOR_ONE:
            node = self.templates.setdefault(path, node)  # in OTP they are all alike
        else:
            self.known.add(f"{path}/{node.id}")
            if is_spoilt:
                self.add(data.draw(SPOILT), f"{path}/{node.id}")
        self.add(StepKind.START, path, node=node)

    def teardown(self) -> None:
        if hasattr(self, "play"):
            self.add(StepKind.STOP, "root")
            self.compare()

    def compare(self) -> None:
        """Compare the lines of the core with those of something else."""
        raise NotImplementedError


def pick(data: st.DataObject, paths: Iterable[str]) -> str:
    """Draw one of the paths."""
    return data.draw(st.sampled_from(sorted(paths)))
