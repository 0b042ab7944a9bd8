"""What OTP's supervisor does, sentence by sentence, on the running tree and on its core alone.

Scripts are short. Supervisors have capital ids, paths are below the root, the last digit is the
incarnation: `+a2` started, `-a1` ended as it was asked to, `!a1` crashed, `.a1` returned, `%S1`
ended by itself as if asked, `?a1` failed to start, `~a1` ignored its start, `^a2` would have been
more than 2 restarts; then the answer of a request, and how the root ended. Each step finds a tree
at rest: two children that end together and requests during a restart are in test_supervisor.
"""

import pytest

from supervisors import AutoShutdown, Restart, Strategy
from supervisors.testing import Lines, Node, Scenario, Step, StepKind, Tree, check

ENDS = {
    "-": "shutdown while stopping",
    "!": "abnormal while running",
    ".": "normal while running",
    "%": "shutdown while running",
    "?": "abnormal while starting",
    "~": "normal while starting",
}
ALONE, REST, ALL = Strategy.ONE_FOR_ONE, Strategy.REST_FOR_ONE, Strategy.ONE_FOR_ALL
DYNAMIC = Strategy.SIMPLE_ONE_FOR_ONE
NEVER, ANY_ENDS, ALL_END = AutoShutdown


def node(text: str, subtree: Tree | None = None) -> Node:
    """Return a child: `a`, `b:transient`, or with `*` for a significant one."""
    id, _, restart = text.rstrip("*").partition(":")
    restart = Restart(restart or "permanent")
    return Node(id=id, restart=restart, significant=text.endswith("*"), tree=subtree)


def tree(
    *children: str | Node,
    strategy: Strategy = ALONE,
    limit: int = 5,
    auto: AutoShutdown = NEVER,
) -> Tree:
    """Return a supervisor with leaves and inner supervisors."""
    nodes = tuple(child if isinstance(child, Node) else node(child) for child in children)
    return Tree(strategy=strategy, max_restarts=limit, auto_shutdown=auto, children=nodes)


def place(path: str) -> str:
    return path if path == "root" else f"root/{path}"


def step(text: str) -> Step:
    """Return a step: `crash a`, `fail_starts s/a 2`, `start s b:temporary`, `stop root`."""
    kind, path, *rest = text.split()
    match StepKind(kind):
        case StepKind.START:
            return Step(kind=StepKind.START, path=place(path), node=STARTED[rest[0]])
        case kind:
            return Step(kind=kind, path=place(path), count=int(rest[0]) if rest else 1)


def line(short: str) -> str:
    """Return a line in full."""
    path, number = f"root/{short[1:-1]}", short[-1]
    match short[0]:
        case "+":
            return f"started {path} {number}"
        case "^":
            return f"limit of {path} exceeded after {number}"
        case sign if sign in ENDS:
            return f"exited {path} {number} {ENDS[sign]}"
    return f"ended: {short}" if short in ("Stopped", "GaveUp", "StartFailed") else short


def scenario(top: Tree, script: str) -> tuple[Scenario, tuple[Lines, ...]]:
    """Return a scenario and its lines; steps before the line without a step are cues."""
    parts = [text.split("=>") for text in script.strip().splitlines()]
    start = next(number for number, (text, _) in enumerate(parts) if not text.strip())
    return (
        Scenario(
            tree=top,
            cues=tuple(step(text) for text, _ in parts[:start]),
            steps=tuple(step(text) for text, _ in parts[start + 1 :]),
        ),
        tuple(tuple(line(short) for short in lines.split()) for _, lines in parts[start:]),
    )


LEAVES = ("a", "b", "c:temporary", "w", "w:transient", "w:temporary")
STARTED = {text: node(text) for text in (*LEAVES, "c", "w:temporary*", "w:transient*")}
STARTED["W(xy)"] = node("W", tree("x", "y", limit=1))
MIXED = ("a", "b:transient", "c:temporary", "d")
RULES = {
    # Restart types
    "permanent_child_comes_back_after_every_end": (
        tree("a"),
        """
                  => +a1
        crash a   => !a1 +a2
        return a  => .a2 +a3
        """,
    ),
    "transient_child_comes_back_only_after_an_abnormal_end_and_else_stays_down": (
        tree("a:transient"),
        """
                  => +a1
        crash a   => !a1 +a2
        return a  => .a2
        start root a => ChildStateError
        restart a => +a3 done
        """,
    ),
    "temporary_child_never_comes_back_and_its_spec_goes": (
        tree("a:temporary", "b:temporary"),
        """
                  => +a1 +b1
        crash a   => !a1
        return b  => .b1
        restart a => NoSuchChild
        restart b => NoSuchChild
        start root a => +a1 done
        """,
    ),
    # Strategies
    "one_for_one_restarts_that_child": (
        tree("a", "b", "c"),
        """
                  => +a1 +b1 +c1
        crash b   => !b1 +b2
        """,
    ),
    "rest_for_one_restarts_those_started_after_it_too": (
        tree("a", "b", "c", "d", strategy=REST),
        """
                  => +a1 +b1 +c1 +d1
        crash b   => !b1 -d1 -c1 +b2 +c2 +d2
        crash d   => !d2 +d3
        """,
    ),
    "one_for_all_restarts_all": (
        tree("a", "b", "c", strategy=ALL),
        """
                  => +a1 +b1 +c1
        crash b   => !b1 -c1 -a1 +a2 +b2 +c2
        """,
    ),
    "end_without_a_restart_has_no_group_effect": (
        tree(*MIXED, strategy=ALL),
        """
                  => +a1 +b1 +c1 +d1
        return b  => .b1
        crash c   => !c1
        terminate d => -d1 done
        """,
    ),
    "group_starts_members_that_were_down_and_loses_temporary_ones": (
        tree(*MIXED, strategy=ALL),
        """
                  => +a1 +b1 +c1 +d1
        return b  => .b1
        terminate d => -d1 done
        crash a   => !a1 -c1 +a2 +b2 +d2
        restart c => NoSuchChild
        """,
    ),
    "rest_for_one_starts_only_later_members_that_were_down": (
        tree("a:transient", "b", "c:transient", "d:temporary", strategy=REST),
        """
                  => +a1 +b1 +c1 +d1
        return a  => .a1
        return c  => .c1
        crash b   => !b1 -d1 +b2 +c2
        """,
    ),
    # Failing restarts
    "failing_restart_is_tried_again_and_every_try_counts": (
        tree("a", "b", limit=3),
        """
                  => +a1 +b1
        fail_starts a 2 =>
        crash a   => !a1 ?a2 ?a3 +a4
        crash b   => !b1 ^b3 -a4 GaveUp
        """,
    ),
    "failing_restart_of_a_transient_child_is_tried_again": (
        tree("a:transient"),
        """
                  => +a1
        fail_starts a =>
        crash a   => !a1 ?a2 +a3
        """,
    ),
    "rest_for_one_goes_on_from_the_sibling_that_failed": (
        tree("a", "b", "c", "d", strategy=REST, limit=2),
        """
                  => +a1 +b1 +c1 +d1
        fail_starts c =>
        crash b   => !b1 -d1 -c1 +b2 ?c2 +c3 +d2
        crash d   => !d2 ^d2 -c3 -b2 -a1 GaveUp
        """,
    ),
    "rest_for_one_gives_up_with_those_after_the_failed_one_down": (
        tree("a", "b", "c", "d", strategy=REST, limit=2),
        """
                  => +a1 +b1 +c1 +d1
        fail_starts c 2 =>
        crash b   => !b1 -d1 -c1 +b2 ?c2 ?c3 ^c2 -b2 -a1 GaveUp
        """,
    ),
    "one_for_all_starts_the_whole_group_again": (
        tree("a", "b", "c", strategy=ALL, limit=2),
        """
                  => +a1 +b1 +c1
        fail_starts b =>
        crash c   => !c1 -b1 -a1 +a2 ?b2 -a2 +a3 +b3 +c2
        crash a   => !a3 ^a2 -c2 -b3 GaveUp
        """,
    ),
    "restart_that_is_ignored_leaves_the_child_down": (
        tree("a", "b", "c", strategy=ALL),
        """
                  => +a1 +b1 +c1
        ignore_starts b =>
        crash a   => !a1 -c1 -b1 +a2 ~b2 +c2
        restart b => +b3 done
        """,
    ),
    # Intensity
    "first_restart_is_too_many_where_none_is_allowed": (
        tree("a", "b", "c", limit=0),
        """
                  => +a1 +b1 +c1
        crash b   => !b1 ^b0 -c1 -a1 GaveUp
        restart b => nobody
        """,
    ),
    "as_many_restarts_as_allowed_are_borne_over_all_children": (
        tree("a", "b", limit=2),
        """
                  => +a1 +b1
        crash a   => !a1 +a2
        crash b   => !b1 +b2
        crash a   => !a2 ^a2 -b2 GaveUp
        """,
    ),
    "group_restart_counts_once": (
        tree("a", "b", "c", strategy=ALL, limit=2),
        """
                  => +a1 +b1 +c1
        crash a   => !a1 -c1 -b1 +a2 +b2 +c2
        crash b   => !b2 -c2 -a2 +a3 +b3 +c3
        crash c   => !c3 ^c2 -b3 -a3 GaveUp
        """,
    ),
    "ends_without_restart_and_requests_do_not_count": (
        tree("a", "b:transient", "c:temporary", limit=1),
        """
                  => +a1 +b1 +c1
        return b  => .b1
        restart b => +b2 done
        crash c   => !c1
        terminate a => -a1 done
        restart a => +a2 done
        fail_starts b =>
        terminate b => -b2 done
        restart b => ?b3 StartError
        crash a   => !a2 +a3
        crash a   => !a3 ^a1 GaveUp
        """,
    ),
    # Start
    "failing_initial_start_is_not_tried_again_and_undoes_those_before": (
        tree("a", "b", "c", "d"),
        """
        fail_starts c =>
                  => +a1 +b1 ?c1 -b1 -a1 StartFailed
        restart c => nobody
        """,
    ),
    "ignored_start_is_no_failure_and_keeps_the_spec_unless_temporary": (
        tree("a", "b:temporary", "c"),
        """
        ignore_starts a =>
        ignore_starts b =>
                  => ~a1 ~b1 +c1
        restart b => NoSuchChild
        restart a => +a2 done
        """,
    ),
    "supervisor_that_fails_to_start_in_a_restart_is_tried_again": (
        tree(node("S", tree("x", "y", limit=0)), limit=2),
        """
                  => +S/x1 +S/y1 +S1
        fail_starts S/y =>
        crash S/x => !S/x1 ^S/x0 -S/y1 !S1 +S/x1 ?S/y1 -S/x1 ?S2 +S/x1 +S/y1 +S3
        crash S/x => !S/x1 ^S/x0 -S/y1 !S3 ^S2 GaveUp
        """,
    ),
    # Stopping
    "children_stop_in_reverse_order": (
        tree("a", node("S", tree("x", "y")), "b"),
        """
                  => +a1 +S/x1 +S/y1 +S1 +b1
        stop root => -b1 -S/y1 -S/x1 -S1 -a1 Stopped
        stop root => nobody
        crash a   => nobody
        start root c => nobody
        """,
    ),
    # Nesting
    "permanent_supervisor_that_gives_up_comes_back_with_its_static_children_only": (
        tree("a", node("S", tree("x", "y:temporary", limit=0))),
        """
                  => +a1 +S/x1 +S/y1 +S1
        start S b => +S/b1 done
        crash S/y => !S/y1
        crash S/x => !S/x1 ^S/x0 -S/b1 !S1 +S/x1 +S/y1 +S2
        restart S/b => NoSuchChild
        """,
    ),
    "transient_supervisor_that_gives_up_comes_back": (
        tree(node("S:transient", tree("x", limit=0))),
        """
                  => +S/x1 +S1
        crash S/x => !S/x1 ^S/x0 !S1 +S/x1 +S2
        """,
    ),
    "temporary_supervisor_that_gives_up_is_gone": (
        tree("a", node("S:temporary", tree("x", limit=0)), strategy=ALL),
        """
                  => +a1 +S/x1 +S1
        crash S/x => !S/x1 ^S/x0 !S1
        crash S/x => nobody
        restart S => NoSuchChild
        """,
    ),
    "supervisor_that_gives_up_takes_its_group_along": (
        tree("a", node("S", tree("x", limit=0)), "b", strategy=REST),
        """
                  => +a1 +S/x1 +S1 +b1
        crash S/x => !S/x1 ^S/x0 !S1 -b1 +S/x1 +S2 +b2
        crash a   => !a1 -b2 -S/x1 -S2 +a2 +S/x1 +S3 +b3
        """,
    ),
    "crashes_until_the_root_gives_up_are_the_product_of_the_limits": (
        tree(node("S", tree("x", limit=1)), limit=1),
        """
                  => +S/x1 +S1
        crash S/x => !S/x1 +S/x2
        crash S/x => !S/x2 ^S/x1 !S1 +S/x1 +S2
        crash S/x => !S/x1 +S/x2
        crash S/x => !S/x2 ^S/x1 !S2 ^S1 GaveUp
        """,
    ),
    # auto_shutdown
    "any_significant_ends_with_a_transient_child_that_ended_normally": (
        tree("a", "b:transient*", "c:transient", auto=ANY_ENDS),
        """
                  => +a1 +b1 +c1
        crash b   => !b1 +b2
        return c  => .c1
        return b  => .b2 -a1 Stopped
        """,
    ),
    "any_significant_ends_with_a_temporary_child_however_it_ended": (
        tree("a", "b:temporary*", "c:temporary*", auto=ANY_ENDS),
        """
                  => +a1 +b1 +c1
        crash b   => !b1 -c1 -a1 Stopped
        """,
    ),
    "all_significant_ends_with_the_last_active_one": (
        tree("a", "b:transient*", "c:temporary*", "d:transient*", auto=ALL_END),
        """
                  => +a1 +b1 +c1 +d1
        terminate d => -d1 done
        return b  => .b1
        crash c   => !c1 -a1 Stopped
        """,
    ),
    "all_significant_waits_for_one_that_was_started_again": (
        tree("b:transient*", "c:transient*", auto=ALL_END),
        """
                  => +b1 +c1
        return b  => .b1
        restart b => +b2 done
        return c  => .c1
        return b  => .b2 Stopped
        """,
    ),
    "requested_stops_and_group_stops_never_trigger_auto_shutdown": (
        tree("a", "b:temporary*", "c:transient*", strategy=ALL, auto=ANY_ENDS),
        """
                  => +a1 +b1 +c1
        terminate c => -c1 done
        crash a   => !a1 -b1 +a2 +c2
        """,
    ),
    "supervisor_that_auto_shuts_down_has_ended_normally": (
        tree("a", node("S:transient", tree("x:temporary*", "y", auto=ANY_ENDS)), strategy=ALL),
        """
                  => +a1 +S/x1 +S/y1 +S1
        crash S/x => !S/x1 -S/y1 %S1
        restart S => +S/x1 +S/y1 +S2 done
        """,
    ),
    "permanent_supervisor_that_auto_shuts_down_comes_back": (
        tree(node("S", tree("x:temporary*", auto=ANY_ENDS)), limit=1),
        """
                  => +S/x1 +S1
        crash S/x => !S/x1 %S1 +S/x1 +S2
        crash S/x => !S/x1 %S2 ^S1 GaveUp
        """,
    ),
    "auto_shutdown_of_a_significant_supervisor_ends_the_one_above": (
        tree(
            "a",
            node("S:transient*", tree("x:temporary*", auto=ALL_END)),
            auto=ANY_ENDS,
        ),
        """
                  => +a1 +S/x1 +S1
        return S/x => .S/x1 %S1 -a1 Stopped
        """,
    ),
    # Administrative operations
    "start_child_appends_and_refuses_an_id_that_is_there": (
        tree("a", "b"),
        """
                  => +a1 +b1
        start root a => ChildStateError
        terminate a => -a1 done
        start root a => ChildStateError
        start root w => +w1 done
        restart a => +a2 done
        stop root => -w1 -b1 -a2 Stopped
        """,
    ),
    "failing_start_child_keeps_nothing_and_an_ignored_one_keeps_the_spec": (
        tree("a"),
        """
                  => +a1
        fail_starts w =>
        start root w => ?w1 StartError
        restart w => NoSuchChild
        ignore_starts w =>
        start root w => ~w1 done
        restart w => +w2 done
        ignore_starts c =>
        start root c:temporary => ~c1 done
        restart c => NoSuchChild
        """,
    ),
    "start_child_of_a_supervisor_that_fails_to_start_keeps_nothing": (
        tree("a"),
        """
                  => +a1
        fail_starts W/y =>
        start root W(xy) => +W/x1 ?W/y1 -W/x1 ?W1 StartError
        start root W(xy) => +W/x1 +W/y1 +W1 done
        """,
    ),
    "terminate_child_is_no_crash_and_keeps_the_spec_unless_temporary": (
        tree("a", "b", "c:temporary", strategy=ALL, limit=0),
        """
                  => +a1 +b1 +c1
        terminate b => -b1 done
        terminate b => done
        terminate c => -c1 done
        terminate c => NoSuchChild
        terminate w => NoSuchChild
        restart b => +b2 done
        """,
    ),
    "restart_child_starts_only_what_is_down": (
        tree("a", "b:transient", limit=0),
        """
                  => +a1 +b1
        restart a => ChildStateError
        restart w => NoSuchChild
        return b  => .b1
        fail_starts b =>
        restart b => ?b2 StartError
        ignore_starts b =>
        restart b => ~b3 done
        restart b => +b4 done
        """,
    ),
    "delete_child_forgets_only_what_is_down": (
        tree("a", "b"),
        """
                  => +a1 +b1
        delete a  => ChildStateError
        terminate a => -a1 done
        delete a  => done
        delete a  => NoSuchChild
        start root a => +a1 done
        stop root => -a1 -b1 Stopped
        """,
    ),
    "requests_go_to_inner_supervisors_while_they_run": (
        tree(node("S", tree("x"))),
        """
                  => +S/x1 +S1
        terminate S/x => -S/x1 done
        restart S/x => +S/x2 done
        terminate S => -S/x2 -S1 done
        restart S/x => nobody
        restart S => +S/x1 +S2 done
        terminate S/x/y => nobody
        """,
    ),
    # Dynamic children
    "dynamic_children_are_numbered_and_come_back_alone": (
        tree(strategy=DYNAMIC),
        """
                  =>
        start root w => +w#11 done
        start root w => +w#21 done
        crash w#1 => !w#11 +w#12
        stop root => -w#12 -w#21 Stopped
        """,
    ),
    "dynamic_child_that_ended_for_good_or_was_terminated_is_gone": (
        tree(strategy=DYNAMIC),
        """
                  =>
        start root w:transient => +w#11 done
        start root w:transient => +w#21 done
        crash w#1 => !w#11 +w#12
        return w#1 => .w#12
        terminate w#2 => -w#21 done
        terminate w#1 => NoSuchChild
        terminate w#2 => NoSuchChild
        start root w:transient => +w#31 done
        """,
    ),
    "temporary_dynamic_child_is_gone_however_it_ends": (
        tree(strategy=DYNAMIC),
        """
                  =>
        start root w:temporary => +w#11 done
        crash w#1 => !w#11
        terminate w#1 => NoSuchChild
        """,
    ),
    "dynamic_child_whose_first_start_fails_or_is_ignored_is_not_kept": (
        tree(strategy=DYNAMIC),
        """
                  =>
        fail_starts w#1 =>
        start root w => ?w#11 StartError
        ignore_starts w#2 =>
        start root w => ~w#21 done
        terminate w#1 => NoSuchChild
        terminate w#2 => NoSuchChild
        """,
    ),
    "failing_restart_of_a_dynamic_child_is_tried_again": (
        tree(strategy=DYNAMIC, limit=2),
        """
                  =>
        start root w => +w#11 done
        start root w => +w#21 done
        fail_starts w#1 =>
        crash w#1 => !w#11 ?w#12 +w#13
        crash w#2 => !w#21 ^w#22 -w#13 GaveUp
        """,
    ),
    "restart_and_deletion_of_a_dynamic_child_are_refused": (
        tree(strategy=DYNAMIC),
        """
                  =>
        start root w => +w#11 done
        restart w#1 => ChildStateError
        delete w#1 => ChildStateError
        restart w#2 => NoSuchChild
        """,
    ),
    "dynamic_supervisors_stop_at_once_and_each_in_order": (
        tree(node("S", tree(strategy=DYNAMIC))),
        """
                  => +S1
        start S W(xy) => +S/W#1/x1 +S/W#1/y1 +S/W#11 done
        start S W(xy) => +S/W#2/x1 +S/W#2/y1 +S/W#21 done
        crash S/W#1/x => !S/W#1/x1 +S/W#1/x2
        crash S/W#1/x => !S/W#1/x2 ^S/W#1/x1 -S/W#1/y1 !S/W#11 +S/W#1/x1 +S/W#1/y1 +S/W#12
        terminate S => -S/W#1/y1 -S/W#1/x1 -S/W#12 -S/W#2/y1 -S/W#2/x1 -S/W#21 -S1 done
        restart S => +S2 done
        start S W(xy) => +S/W#1/x1 +S/W#1/y1 +S/W#11 done
        """,
    ),
    "supervisor_of_dynamic_children_auto_shuts_down_with_them": (
        tree("a", node("S:transient", tree(strategy=DYNAMIC, auto=ALL_END))),
        """
                  => +a1 +S1
        start S w:temporary* => +S/w#11 done
        start S w:temporary* => +S/w#21 done
        crash S/w#1 => !S/w#11
        return S/w#2 => .S/w#21 %S1
        """,
    ),
}


@pytest.mark.parametrize("name", RULES)
def test_tree_and_core_follow_the_rules_of_otp(name: str) -> None:
    check(*scenario(*RULES[name]))
