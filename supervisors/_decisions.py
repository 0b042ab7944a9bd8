"""The pure core: (child table, what happened, now) -> (table, actions).

No I/O, no clock, no randomness of its own: `now` and `rng` are passed in, so that every rule can be
replayed as a list of happenings. The rules are those of OTP's supervisor; where they differ, the
comment says so.
"""

import math
from random import Random
from typing import assert_never

import attrs

from supervisors import _requests
from supervisors._child import AnyChildSpec, Restart
from supervisors._draft import Draft
from supervisors._events import ChildExited, ChildReplaced, ChildStarted, LimitExceeded
from supervisors._intensity import Window
from supervisors._plan import advance, cancel, end_tree, schedule_restart
from supervisors._policy import Abandon, Escalate, ReplaceChild, RestartChild
from supervisors._specs import SupervisorSpec
from supervisors._states import ChildState, Phase
from supervisors._table import (
    Action,
    AddChild,
    After,
    Begin,
    Child,
    Consult,
    DeleteChild,
    Ended,
    GaveUp,
    Happening,
    Judged,
    Origin,
    Ready,
    ReportStuck,
    Stage,
    StartAgain,
    StartFailed,
    StopAll,
    Stopped,
    Table,
    TerminateChild,
    Tick,
)
from supervisors.errors import StartError


def make_table(spec: SupervisorSpec, path: str, *, is_root: bool) -> Table:
    """Return the table of a supervisor that has not begun."""
    return Table(
        path=path,
        strategy=spec.strategy,
        intensity=spec.intensity,
        backoff=spec.backoff,
        stop_order=spec.stop_order,
        max_starting=spec.max_starting,
        window=Window(intensity=spec.intensity),
        children={
            child.id: _requests.new_child(child, position, Origin.INITIAL)
            for position, child in enumerate(spec.children)
        },
        next_position=len(spec.children),
        is_root=is_root,
        is_final=is_root,
    )


def decide(
    table: Table, happening: Happening, now: float, rng: Random
) -> tuple[Table, tuple[Action, ...]]:
    """Say what follows from what happened.

    Args:
        now: Trio's time in seconds; never less than in an earlier decision of the same table.
        rng: Where the jitter of the backoff comes from.

    Returns:
        The next table, and what is to be done, in order. A Consult is always the last action: the
        policy's verdict comes back as a Judged before anything else happens.
    """
    draft = Draft(table, now, rng)
    _apply(draft, happening)
    if not any(isinstance(action, Consult) for action in draft.actions):
        advance(draft)
    return draft.freeze(), tuple(draft.actions)


def _apply(draft: Draft, happening: Happening) -> None:
    match happening:
        case Begin():
            for child in draft.table.children.values():
                draft.put(attrs.evolve(child, state=ChildState.RESTARTING))
        case Ready():
            _on_ready(draft, happening)
        case Ended():
            _on_ended(draft, happening)
        case Judged():
            _on_judged(draft, happening)
        case Tick():
            _on_tick(draft)
        case StopAll(reason=reason, deadline=deadline, is_final=is_final):
            end_tree(draft, Stopped(reason=reason), deadline=deadline, is_final=is_final)
        case AddChild() | TerminateChild() | StartAgain() | DeleteChild():
            _requests.apply(draft, happening)
        case _:
            assert_never(happening)


def _on_ready(draft: Draft, ready: Ready) -> None:
    child = draft.children.get(ready.id)
    if child is None or child.number != ready.number or child.state is not ChildState.STARTING:
        return
    if child.kill_at < math.inf:
        return  # too late: its start was cancelled, and it went on all the same
    took = draft.now - child.started_at
    draft.report(ChildStarted(path=draft.path(ready.id), incarnation=child.number, took=took))
    draft.reply(child.start_requests)
    draft.put(
        attrs.evolve(
            child,
            state=ChildState.RUNNING,
            since=draft.now,
            cancel_at=math.inf,
            origin=Origin.RESTART,
            because="",
            start_requests=(),
        )
    )


def _on_tick(draft: Draft) -> None:
    for id in sorted(draft.starting | draft.stopping):
        child = draft.children[id]
        if draft.now >= child.cancel_at:
            is_start = child.state is ChildState.STARTING
            cause = "not ready in time" if is_start else f"not stopped in time: {child.cause}"
            cancel(draft, child, cause, is_kill=True)
        elif draft.now >= child.kill_at:
            draft.put(attrs.evolve(child, state=ChildState.STUCK, kill_at=math.inf))
            draft.act(ReportStuck(id=id))


# Ends


def _on_ended(draft: Draft, ended: Ended) -> None:
    child = draft.children.get(ended.id)
    if child is None or child.number != ended.number or not child.is_alive:
        return
    was_starting = child.since is None
    child = attrs.evolve(child, last_exit=ended.exit, cancel_at=math.inf, kill_at=math.inf)
    if child.after is not None:
        draft.report(_exited(draft, child, ended, Phase.STOPPING))
        _on_stopped(draft, child, child.after)
    elif ended.is_ignored:
        draft.report(_exited(draft, child, ended, Phase.STARTING))
        draft.reply(child.start_requests)
        draft.settle(attrs.evolve(child, start_requests=()), _lasting(child.spec))
    elif was_starting and child.origin is not Origin.RESTART:
        draft.report(_exited(draft, child, ended, Phase.STARTING))
        _on_start_failed(draft, child, ended)
    else:
        _consult(draft, child, ended, Phase.STARTING if was_starting else Phase.RUNNING)


def _lasting(spec: AnyChildSpec) -> After:
    return After.DROP if spec.restart is Restart.TEMPORARY else After.DOWN


def _on_stopped(draft: Draft, child: Child, after: After) -> None:
    if after is After.RESTART:
        draft.reply(child.stop_requests)
        draft.put(
            attrs.evolve(child, state=ChildState.RESTARTING, after=None, cause="", stop_requests=())
        )
    else:
        draft.settle(child, after)


def _on_start_failed(draft: Draft, child: Child, ended: Ended) -> None:
    error = StartError(draft.path(ended.id), ended.exit)
    draft.reply(child.start_requests, error)
    child = attrs.evolve(child, state=ChildState.DOWN, start_requests=())
    draft.put(child)
    if child.origin is Origin.INITIAL:
        outcome = StartFailed(id=ended.id, exit=ended.exit)
        end_tree(draft, outcome, deadline=math.inf, is_final=draft.table.is_root)
    draft.settle(child, After.DROP if child.origin is Origin.ADDED else After.DOWN)


def _consult(draft: Draft, child: Child, ended: Ended, phase: Phase) -> None:
    backoff = child.spec.backoff or draft.table.backoff
    if child.since is not None and draft.now - child.since >= backoff.reset_after:
        child = attrs.evolve(child, attempt=0)
    exited = attrs.evolve(
        _exited(draft, child, ended, phase),
        wants_restart=_wants_restart(child.spec.restart, ended, phase),
        delay=backoff.delay(child.attempt, draft.rng),
    )
    draft.put(attrs.evolve(child, state=ChildState.DOWN))
    draft.act(Consult(id=ended.id, exited=exited))


def _wants_restart(restart: Restart, ended: Ended, phase: Phase) -> bool:
    match restart:
        case Restart.PERMANENT:
            return True
        case Restart.TRANSIENT:
            return phase is Phase.STARTING or not ended.exit.is_normal
        case Restart.TEMPORARY:
            return False


def _exited(draft: Draft, child: Child, ended: Ended, phase: Phase) -> ChildExited:
    window = (child.window or draft.window).at(draft.now)
    return ChildExited(
        path=draft.path(ended.id),
        incarnation=child.number,
        phase=phase,
        exit=ended.exit,
        uptime=0.0 if child.since is None else draft.now - child.since,
        mailbox_depth=ended.depth,
        restarts_in_window=len(window.times),
        wants_restart=False,
        limit_exceeded=window.is_exhausted(draft.now),
        delay=0.0,
    )


# Verdicts


def _on_judged(draft: Draft, judged: Judged) -> None:
    child = draft.children.get(judged.id)
    if child is None or child.is_alive or draft.stage is Stage.STOPPING:
        return
    verdict = judged.verdict
    if judged.exited.limit_exceeded and judged.exited.wants_restart:
        _report_limit(draft, child, judged.exited)
    match verdict:
        case Escalate(reason=reason):
            _give_up(draft, child, reason)
        case Abandon():
            draft.settle(child, _lasting(child.spec))
        case RestartChild() | ReplaceChild() if _is_hot(judged):
            _give_up(draft, child, "the policy restarts past the limit without a delay")
        case RestartChild(delay=delay):
            _restart(draft, child, judged.exited.delay if delay is None else delay)
        case ReplaceChild(spec=spec, delay=delay):
            draft.report(ChildReplaced(path=draft.path(judged.id), delay=delay))
            _restart(draft, _requests.with_spec(child, spec), delay)
        case _:
            assert_never(verdict)


def _is_hot(judged: Judged) -> bool:
    match judged.verdict:
        case RestartChild(delay=delay) | ReplaceChild(delay=delay):
            return judged.exited.limit_exceeded and (delay is None or delay <= 0)
        case _:
            return False


def _report_limit(draft: Draft, child: Child, exited: ChildExited) -> None:
    intensity = (child.window or draft.window).intensity
    draft.report(
        LimitExceeded(path=exited.path, restarts=exited.restarts_in_window, period=intensity.period)
    )


def _give_up(draft: Draft, child: Child, reason: str) -> None:
    outcome = GaveUp(id=child.spec.id, reason=reason)
    draft.put(attrs.evolve(child, state=ChildState.DOWN))
    end_tree(draft, outcome, deadline=math.inf, is_final=draft.table.is_root)
    draft.settle(child, _lasting(child.spec))


def _restart(draft: Draft, child: Child, delay: float) -> None:
    if child.window is not None:
        child = attrs.evolve(child, window=child.window.record(draft.now))
    else:
        draft.window = draft.window.record(draft.now)
    schedule_restart(draft, child, delay)
