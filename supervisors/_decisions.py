"""The pure core: (child table, what happened, now) -> (table, actions).

No I/O, no clock, no randomness of its own: `now` and `rng` are passed in, so that every rule can be
replayed as a list of happenings. The rules are those of OTP's supervisor; where they differ, the
comment says so.
"""

import math
from random import Random
from typing import assert_never

from supervisors import _requests
from supervisors._child import AutoShutdown, Restart
from supervisors._draft import Draft
from supervisors._events import ChildExited, ChildReplaced, ChildStarted, LimitExceeded
from supervisors._intensity import Window
from supervisors._plan import advance, cancel, end_tree, schedule_restart, shut_down
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
    Stalled,
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
        spec=spec,
        is_root=is_root,
        is_final=is_root,
        window=Window(intensity=spec.intensity),
        children={
            child.id: _requests.new_child(child, position, Origin.INITIAL)
            for position, child in enumerate(spec.children)
        },
        next_position=len(spec.children),
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
    if not (draft.actions and isinstance(draft.actions[-1], Consult)):
        advance(draft)
    return draft.table, tuple(draft.actions)


def cut_off(table: Table) -> Table:
    """Return the table of a tree that was cancelled from outside: nobody is alive any more."""
    draft = Draft(table, 0.0, Random(0))  # noqa: S311 - neither the moment nor the chance matters
    for child in draft.edit_all():
        draft.move(child, ChildState.DOWN)
    draft.table.doomed.clear()
    draft.table.stage = Stage.ENDED
    return draft.table


def _apply(draft: Draft, happening: Happening) -> None:
    match happening:
        case Ended():
            _on_ended(draft, happening)
        case Judged():
            _on_judged(draft, happening)
        case Ready():
            _on_ready(draft, happening)
        case Tick():
            _on_tick(draft)
        case Begin():
            for child in draft.edit_all():
                draft.move(child, ChildState.RESTARTING)
        case Stalled():
            _on_stalled(draft, happening)
        case StopAll(reason=reason, deadline=deadline, is_final=is_final):
            end_tree(draft, Stopped(reason=reason), deadline=deadline, is_final=is_final)
        case AddChild() | TerminateChild() | StartAgain() | DeleteChild():
            _requests.apply(draft, happening)
        case _:
            assert_never(happening)


def _on_ready(draft: Draft, ready: Ready) -> None:
    child = draft.find(ready.id, ready.number)
    if child is None or child.state is not ChildState.STARTING:
        return
    if child.kill_at < math.inf:
        return  # too late: its start was cancelled, and it went on all the same
    took = draft.now - child.started_at
    draft.report(ChildStarted(path=draft.path(ready.id), incarnation=child.number, took=took))
    draft.answer_start(child)
    draft.move(child, ChildState.RUNNING)
    child.since = draft.now
    child.cancel_at = math.inf
    child.origin = Origin.RESTART
    child.because = ""


def _on_tick(draft: Draft) -> None:
    table = draft.table
    for id in sorted(table.starting | table.stopping):
        child = table.children[id]
        if draft.now >= child.cancel_at:
            is_start = child.state is ChildState.STARTING
            cause = "not ready in time" if is_start else f"not stopped in time: {child.cause}"
            cancel(draft, draft.edit(id), cause, is_kill=True)
        elif draft.now >= child.kill_at:
            stuck = draft.edit(id)
            draft.move(stuck, ChildState.STUCK)
            stuck.kill_at = math.inf
            draft.act(ReportStuck(id=id))


def _on_stalled(draft: Draft, stalled: Stalled) -> None:
    child = draft.find(stalled.id, stalled.number)
    if child is not None and child.state is ChildState.RUNNING:
        draft.move(child, ChildState.STOPPING)
        child.cause = f"no progress for {stalled.idle:g} s"
        cancel(draft, child, child.cause, is_kill=True)


# Ends


def _on_ended(draft: Draft, ended: Ended) -> None:
    child = draft.find(ended.id, ended.number)
    if child is None:
        return
    was_starting = child.since is None
    child.last_exit = ended.exit
    child.cancel_at = child.kill_at = math.inf
    draft.move(child, ChildState.DOWN)
    if child.after is not None:
        draft.report(_exited(draft, child, ended, Phase.STOPPING))
        _on_stopped(draft, child, child.after)
    elif ended.is_ignored:
        draft.report(_exited(draft, child, ended, Phase.STARTING))
        draft.answer_start(child)
        draft.settle(child, draft.lasting(child))
    elif was_starting and child.origin is not Origin.RESTART:
        draft.report(_exited(draft, child, ended, Phase.STARTING))
        _on_start_failed(draft, child, ended)
    else:
        _consult(draft, child, ended, Phase.STARTING if was_starting else Phase.RUNNING)


def _on_stopped(draft: Draft, child: Child, after: After) -> None:
    if after is After.RESTART:
        draft.answer_stop(child)
        draft.move(child, ChildState.RESTARTING, due=child.due)
        child.after = None
        child.cause = ""
    else:
        draft.settle(child, after)


def _on_start_failed(draft: Draft, child: Child, ended: Ended) -> None:
    draft.answer_start(child, StartError(draft.path(ended.id), ended.exit))
    if child.origin is Origin.INITIAL:
        end_tree(draft, StartFailed(id=ended.id, exit=ended.exit))
    draft.settle(child, After.DROP if child.origin is Origin.ADDED else After.DOWN)


def _consult(draft: Draft, child: Child, ended: Ended, phase: Phase) -> None:
    backoff = child.spec.backoff or draft.table.spec.backoff
    if child.since is not None and draft.now - child.since >= backoff.reset_after:
        child.attempt = 0
    child.cause = ""
    exited = _exited(
        draft,
        child,
        ended,
        phase,
        wants_restart=_wants_restart(child.spec.restart, ended, phase),
        delay=backoff.delay(child.attempt, draft.rng),
    )
    draft.act(Consult(id=ended.id, exited=exited))


def _wants_restart(restart: Restart, ended: Ended, phase: Phase) -> bool:
    match restart:
        case Restart.PERMANENT:
            return True
        case Restart.TRANSIENT:
            return phase is Phase.STARTING or not ended.exit.is_normal
        case Restart.TEMPORARY:
            return False


def _exited(
    draft: Draft,
    child: Child,
    ended: Ended,
    phase: Phase,
    *,
    wants_restart: bool = False,
    delay: float = 0.0,
) -> ChildExited:
    window = (child.window or draft.table.window).at(draft.now)
    return ChildExited(
        path=draft.path(ended.id),
        incarnation=child.number,
        phase=phase,
        exit=ended.exit,
        uptime=0.0 if child.since is None else draft.now - child.since,
        mailbox_depth=ended.depth,
        restarts_in_window=len(window.times),
        wants_restart=wants_restart,
        limit_exceeded=window.is_exhausted(draft.now),
        delay=delay,
    )


# Verdicts


def _on_judged(draft: Draft, judged: Judged) -> None:
    if judged.id not in draft.table.children or draft.table.stage is Stage.STOPPING:
        return
    child = draft.edit(judged.id)
    if child.is_alive:
        return
    verdict, exited = judged.verdict, judged.exited
    if exited.limit_exceeded and exited.wants_restart:
        intensity = (child.window or draft.table.window).intensity
        draft.report(
            LimitExceeded(
                path=exited.path, restarts=exited.restarts_in_window, period=intensity.period
            )
        )
    match verdict:
        case Escalate(reason=reason):
            _give_up(draft, child, reason)
        case Abandon():
            draft.settle(child, draft.lasting(child))
            _consider_auto_shutdown(draft, child)
        case RestartChild() | ReplaceChild() if _is_hot(judged):
            _give_up(draft, child, "the policy restarts past the limit without a delay")
        case RestartChild(delay=delay):
            _restart(draft, child, exited.delay if delay is None else delay)
        case ReplaceChild(spec=spec, delay=delay):
            draft.report(ChildReplaced(path=draft.path(judged.id), delay=delay))
            _requests.replace_spec(child, spec)
            _restart(draft, child, delay)
        case _:
            assert_never(verdict)


def _is_hot(judged: Judged) -> bool:
    match judged.verdict:
        case RestartChild(delay=delay) | ReplaceChild(delay=delay):
            return judged.exited.limit_exceeded and (delay is None or delay <= 0)
        case _:
            return False


def _give_up(draft: Draft, child: Child, reason: str) -> None:
    end_tree(draft, GaveUp(id=child.spec.id, reason=reason))
    draft.settle(child, draft.lasting(child))


def _restart(draft: Draft, child: Child, delay: float) -> None:
    if child.window is not None:
        child.window = child.window.record(draft.now)
    else:
        draft.table.window = draft.table.window.record(draft.now)
    schedule_restart(draft, child, delay)


def _consider_auto_shutdown(draft: Draft, child: Child) -> None:
    mode = draft.table.spec.auto_shutdown
    if not child.spec.significant or mode is AutoShutdown.NEVER:
        return
    if mode is AutoShutdown.ALL_SIGNIFICANT and any(
        other.spec.significant and other.state is not ChildState.DOWN
        for other in draft.table.children.values()
    ):
        return
    if draft.table.stage is Stage.STARTING:
        draft.table.ended_early = child.spec.id
    else:
        shut_down(draft, child.spec.id)
