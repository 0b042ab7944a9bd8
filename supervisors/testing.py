"""Parts for tests of trees: an actor that does what it is told, a log of events, scenarios.

Nothing here sleeps; with Trio's autojump clock every test of a tree runs in no time.
"""

from supervisors._doubles import EventLog, ScriptedActor, describe, settle
from supervisors._replay import check, difference, replay
from supervisors._replay_core import CorePlay, replay_core
from supervisors._scenario import Lines, Node, Scenario, Step, StepKind, Tree

__all__ = [
    "CorePlay",
    "EventLog",
    "Lines",
    "Node",
    "Scenario",
    "ScriptedActor",
    "Step",
    "StepKind",
    "Tree",
    "check",
    "describe",
    "difference",
    "replay",
    "replay_core",
    "settle",
]
