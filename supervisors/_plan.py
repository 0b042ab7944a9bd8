"""Who is stopped and started next: the ordered steps towards what the table wants. Pure."""

import math

import attrs

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


def advance(draft: Draft) -> None:
    """Take every step that is possible now: stop, then start, then see whether all is done."""
    _stop_next(draft)
    _start_next(draft)
    if draft.stage is Stage.STARTING and not (draft.waiting or draft.starting or _is_busy(draft)):
        draft.stage = Stage.RUNNING
        draft.act(AllStarted())
    if draft.stage is Stage.STOPPING and not _is_busy(draft) and draft.outcome is not None:
        draft.stage = Stage.ENDED
        draft.act(AllStopped(outcome=draft.outcome))


def _is_busy(draft: Draft) -> bool:
    return bool(draft.doomed or draft.stopping or draft.stuck)


# Stopping


def _stop_next(draft: Draft) -> None:
    at_once = draft.table.stop_order is StopOrder.PARALLEL or draft.now >= draft.deadline
    while draft.doomed and (at_once or not draft.stopping):
        child = draft.children.get(draft.doomed.pop())
        if child is not None and child.state in (ChildState.STARTING, ChildState.RUNNING):
            ask_to_stop(draft, child)


def ask_to_stop(draft: Draft, child: Child) -> None:
    """Ask a child to stop, and cancel it at once where it has no time to do so itself.

    A start is interrupted rather than waited for; an inner supervisor always stops in order.
    """
    spec = child.spec
    is_interrupt = child.state is ChildState.STARTING and subtree_of(spec) is None
    is_brutal = isinstance(spec.stop_timeout, BrutalKill)
    patience = 0.0 if is_interrupt else spec.patience()
    asked = attrs.evolve(
        child,
        state=ChildState.STOPPING,
        cancel_at=min(draft.now + patience, draft.deadline),
        kill_at=math.inf,
    )
    draft.put(asked)
    if not is_brutal:
        repeat_request(draft, asked)
    if asked.cancel_at <= draft.now:
        cancel(draft, asked, asked.cause, is_kill=is_brutal or not is_interrupt)
    else:
        draft.wake_at(asked.cancel_at)


def repeat_request(draft: Draft, child: Child) -> None:
    """Tell a child to stop, once more if the time it has or what follows has changed."""
    draft.act(
        AskStop(
            id=child.spec.id,
            cause=child.cause,
            deadline=child.cancel_at,
            is_final=child.after is not After.RESTART
            and (draft.is_final or draft.stage is not Stage.STOPPING),
        )
    )


def cancel(draft: Draft, child: Child, cause: str, *, is_kill: bool) -> None:
    """Cancel a child and look later whether that had an effect."""
    kill_at = draft.now + child.spec.kill_patience()
    draft.put(attrs.evolve(child, cancel_at=math.inf, kill_at=kill_at))
    draft.act(Cancel(id=child.spec.id, cause=cause, is_kill=is_kill))
    draft.wake_at(kill_at)


def end_tree(draft: Draft, outcome: Outcome, *, deadline: float, is_final: bool) -> None:
    """Stop all children in order; the first reason to do so stands, the earliest deadline holds."""
    draft.deadline = min(draft.deadline, deadline)
    if draft.stage is not Stage.STOPPING:
        draft.stage = Stage.STOPPING
        draft.outcome = outcome
        draft.is_final = is_final
        draft.wake_at(draft.deadline)
        _doom_all(draft, _cause_of(outcome))
    elif is_final and not draft.is_final:
        draft.is_final = True
    _hurry(draft)


def _cause_of(outcome: Outcome) -> str:
    match outcome:
        case Stopped(reason=reason):
            return reason
        case StartFailed(id=id):
            return f"{id} failed to start"
        case GaveUp(id=id):
            return f"gave up over {id}"


def _doom_all(draft: Draft, cause: str) -> None:
    refusal = SupervisorStopping(f"{draft.table.path} is stopping")
    for child in list(draft.children.values()):
        draft.reply(child.start_requests, refusal)
        child = attrs.evolve(child, start_requests=())
        if child.is_alive:
            draft.put(attrs.evolve(child, after=After.DOWN, cause=child.cause or cause))
        elif child.state is ChildState.RESTARTING:
            draft.settle(child, After.DOWN)
    draft.doomed = [id for id, child in draft.children.items() if child.is_alive]


def _hurry(draft: Draft) -> None:
    for id in sorted(draft.stopping):
        child = draft.children[id]
        if child.kill_at == math.inf:
            child = attrs.evolve(child, cancel_at=min(child.cancel_at, draft.deadline))
            draft.put(child)
            draft.wake_at(child.cancel_at)
        repeat_request(draft, child)


# Starting


def schedule_restart(draft: Draft, child: Child, delay: float) -> None:
    """Bring a child back after a delay, with those that its strategy restarts with it."""
    draft.report(
        RestartScheduled(path=draft.path(child.spec.id), attempt=child.attempt, delay=delay)
    )
    due = draft.now + delay
    draft.put(
        attrs.evolve(
            child, state=ChildState.RESTARTING, due=due, attempt=child.attempt + 1, because=""
        )
    )
    if delay > 0:
        draft.wake_at(due)
    for sibling in _siblings(draft, child):
        _include(draft, sibling, child.spec.id, due)
    _doom_in_order(draft)


def _siblings(draft: Draft, child: Child) -> list[Child]:
    match draft.table.strategy:
        case Strategy.ONE_FOR_ONE:
            return []
        case Strategy.REST_FOR_ONE:
            rows = draft.children.values()
            return [sibling for sibling in rows if sibling.position > child.position]
        case Strategy.ONE_FOR_ALL:
            rows = draft.children.values()
            return [sibling for sibling in rows if sibling.position != child.position]


def _include(draft: Draft, sibling: Child, offender: str, due: float) -> None:
    cause = f"{draft.table.strategy.value} after {offender}"
    if sibling.is_alive:
        is_temporary = sibling.spec.restart is Restart.TEMPORARY
        after = After.DROP if is_temporary else After.RESTART
        draft.put(attrs.evolve(sibling, after=after, cause=cause, due=due, because=offender))
    else:
        draft.put(attrs.evolve(sibling, state=ChildState.RESTARTING, due=due, because=offender))


def _doom_in_order(draft: Draft) -> None:
    if draft.is_group:
        draft.doomed = [
            id
            for id, child in draft.children.items()
            if child.after is not None and child.state in (ChildState.STARTING, ChildState.RUNNING)
        ]


def _start_next(draft: Draft) -> None:
    if draft.is_group and _is_busy(draft):
        return
    is_serial = draft.is_group or draft.stage is Stage.STARTING
    limit = 1 if is_serial else draft.table.max_starting
    while draft.waiting and len(draft.starting) < limit:
        child = draft.children[draft.waiting[0][2]]
        if child.due > draft.now:
            return
        _start(draft, child)


def _start(draft: Draft, child: Child) -> None:
    started = attrs.evolve(
        child,
        state=ChildState.STARTING,
        number=child.number + 1,
        restarts=child.restarts + (child.number > 0),
        since=None,
        started_at=draft.now,
        cancel_at=draft.now + child.spec.start_timeout,
        kill_at=math.inf,
        after=None,
        cause="",
    )
    draft.put(started)
    draft.act(Start(id=child.spec.id, number=started.number))
    draft.wake_at(started.cancel_at)
