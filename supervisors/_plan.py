"""Who is stopped and started next: the ordered steps towards what the table wants. Pure."""

import math

from supervisors._child import BrutalKill, Restart, StopOrder, Strategy
from supervisors._draft import Draft
from supervisors._events import RestartScheduled
from supervisors._specs import subtree_of
from supervisors._states import ChildState
from supervisors._table import (
    After,
    AllStarted,
    AllStopped,
    AskStop,
    Cancel,
    Child,
    GaveUp,
    Outcome,
    Stage,
    Start,
    StartFailed,
    Stopped,
)
from supervisors.errors import SupervisorStopping

_UP = (ChildState.STARTING, ChildState.RUNNING)


def advance(draft: Draft) -> None:
    """Take every step that is possible now: stop, then start, then see whether all is done."""
    table = draft.table
    if table.doomed:
        _stop_next(draft)
    if table.waiting:
        _start_next(draft)
    if table.stage is Stage.STARTING and not (table.waiting or table.starting or _is_busy(draft)):
        table.stage = Stage.RUNNING
        draft.act(AllStarted())
        if table.ended_early is not None:
            shut_down(draft, table.ended_early)
            _stop_next(draft)
    if table.stage is Stage.STOPPING and not _is_busy(draft) and table.outcome is not None:
        table.stage = Stage.ENDED
        draft.act(AllStopped(outcome=table.outcome))


def _is_busy(draft: Draft) -> bool:
    return bool(draft.table.doomed or draft.table.stopping or draft.table.stuck)


# Stopping


def _stop_next(draft: Draft) -> None:
    table = draft.table
    is_parallel = (
        table.spec.stop_order is StopOrder.PARALLEL
        or table.spec.strategy is Strategy.SIMPLE_ONE_FOR_ONE
        or draft.now >= table.deadline
    )
    while table.doomed and (is_parallel or not table.stopping):
        id = table.doomed.pop()
        if id in table.children and table.children[id].state in _UP:
            ask_to_stop(draft, draft.edit(id))


def ask_to_stop(draft: Draft, child: Child) -> None:
    """Ask a child to stop, and cancel it at once where it has no time to do so itself.

    A start is interrupted rather than waited for; an inner supervisor always stops in order.
    """
    spec = child.spec
    is_interrupt = child.state is ChildState.STARTING and subtree_of(spec) is None
    is_brutal = _is_brutal(child)
    patience = 0.0 if is_interrupt else spec.patience()
    draft.move(child, ChildState.STOPPING)
    child.cancel_at = min(draft.now + patience, draft.table.deadline)
    child.kill_at = math.inf
    _request(draft, child)
    if child.cancel_at <= draft.now:
        cancel(draft, child, child.cause, is_kill=is_brutal or not is_interrupt)
    else:
        draft.wake_at(child.cancel_at, spec.id)


def _is_brutal(child: Child) -> bool:
    return isinstance(child.spec.stop_timeout, BrutalKill)


def _request(draft: Draft, child: Child) -> None:
    """Tell a child to stop, once more if the time it has or what follows has changed."""
    if _is_brutal(child):
        return
    is_for_good = draft.table.is_final or draft.table.stage is not Stage.STOPPING
    draft.act(
        AskStop(
            id=child.spec.id,
            cause=child.cause,
            deadline=child.cancel_at,
            is_final=child.after is not After.RESTART and is_for_good,
        )
    )


def cancel(draft: Draft, child: Child, cause: str, *, is_kill: bool) -> None:
    """Cancel a child and look later whether that had an effect."""
    child.cancel_at = math.inf
    child.kill_at = draft.now + child.spec.kill_patience()
    draft.act(Cancel(id=child.spec.id, cause=cause, is_kill=is_kill))
    draft.wake_at(child.kill_at, child.spec.id)


def end_tree(
    draft: Draft, outcome: Outcome, *, deadline: float = math.inf, is_final: bool = False
) -> None:
    """Stop all children in order; the first reason to do so stands, the earliest deadline holds.

    Args:
        is_final: Whether nothing will start again; of a root nothing ever does.
    """
    table = draft.table
    table.deadline = min(table.deadline, deadline)
    if table.stage is not Stage.STOPPING:
        table.stage = Stage.STOPPING
        table.outcome = outcome
        table.is_final = is_final or table.is_root
        draft.wake_at(table.deadline)
        _doom_all(draft, _cause_of(outcome))
    elif is_final:
        table.is_final = True
    _hurry(draft)


def shut_down(draft: Draft, id: str) -> None:
    """End the tree because a significant child ended for good."""
    end_tree(draft, Stopped(reason=f"significant {id} ended"))


def _cause_of(outcome: Outcome) -> str:
    match outcome:
        case Stopped(reason=reason):
            return reason
        case StartFailed(id=id):
            return f"{id} failed to start"
        case GaveUp(id=id):
            return f"gave up over {id}"


def _doom_all(draft: Draft, cause: str) -> None:
    for child in draft.edit_all():
        draft.answer_start(child, SupervisorStopping(f"{draft.table.path} is stopping"))
        if child.is_alive:
            child.after = After.DOWN
            child.cause = child.cause or cause
        elif child.state is ChildState.RESTARTING:
            draft.settle(child, After.DOWN)
    rows = draft.table.children.items()
    draft.table.doomed = [id for id, child in rows if child.is_alive]


def _hurry(draft: Draft) -> None:
    for id in sorted(draft.table.stopping):
        child = draft.edit(id)
        if child.kill_at == math.inf:
            child.cancel_at = min(child.cancel_at, draft.table.deadline)
            draft.wake_at(child.cancel_at, id)
        _request(draft, child)


# Starting


def schedule_restart(draft: Draft, child: Child, delay: float) -> None:
    """Bring a child back after a delay, with those that its strategy restarts with it."""
    id = child.spec.id
    draft.report(RestartScheduled(path=draft.path(id), attempt=child.attempt, delay=delay))
    due = draft.now + delay
    draft.move(child, ChildState.RESTARTING, due=due)
    child.attempt += 1
    child.because = ""
    if delay > 0:
        draft.wake_at(due, id)
    if draft.is_group:
        _include_group(draft, child, due)


def _include_group(draft: Draft, offender: Child, due: float) -> None:
    is_rest = draft.table.spec.strategy is Strategy.REST_FOR_ONE
    offender_id = offender.spec.id
    for sibling in draft.edit_all():
        if sibling is offender or (is_rest and sibling.position < offender.position):
            continue
        sibling.because = offender_id
        if sibling.is_alive:
            is_temporary = sibling.spec.restart is Restart.TEMPORARY
            sibling.after = After.DROP if is_temporary else After.RESTART
            sibling.cause = f"{draft.table.spec.strategy.value} after {offender_id}"
            sibling.due = due
        else:
            draft.move(sibling, ChildState.RESTARTING, due=due)
    draft.table.doomed = [
        id
        for id, child in draft.table.children.items()
        if child.after is not None and child.state in _UP
    ]


def _start_next(draft: Draft) -> None:
    table = draft.table
    if draft.is_group and _is_busy(draft):
        return
    is_serial = draft.is_group or table.stage is Stage.STARTING
    limit = 1 if is_serial else table.spec.max_starting
    while table.waiting and len(table.starting) < limit:
        child = table.children[table.waiting[0][2]]
        if child.due > draft.now:
            return
        _start(draft, draft.edit(child.spec.id))


def _start(draft: Draft, child: Child) -> None:
    draft.move(child, ChildState.STARTING)
    child.restarts += child.number > 0
    child.number += 1
    child.since = None
    child.started_at = draft.now
    child.cancel_at = draft.now + child.spec.start_timeout
    child.kill_at = math.inf
    child.after = None
    child.cause = ""
    draft.act(Start(id=child.spec.id, number=child.number))
    draft.wake_at(child.cancel_at, child.spec.id)
