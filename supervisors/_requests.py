"""Administrative requests: what OTP's start_child, terminate_child and so on do. Pure."""

from typing import assert_never

import attrs

from supervisors._child import AnyChildSpec, Restart
from supervisors._draft import Draft
from supervisors._intensity import Window
from supervisors._plan import ask_to_stop
from supervisors._states import ChildState
from supervisors._table import (
    AddChild,
    After,
    Child,
    DeleteChild,
    Origin,
    Request,
    Stage,
    StartAgain,
    TerminateChild,
)
from supervisors.errors import ChildStateError, NoSuchChild, SupervisorStopping


def new_child(spec: AnyChildSpec, position: int, origin: Origin) -> Child:
    """Return the row of a child that never ran."""
    window = None if spec.intensity is None else Window(intensity=spec.intensity)
    return Child(spec=spec, position=position, origin=origin, window=window)


def with_spec(child: Child, spec: AnyChildSpec) -> Child:
    """Return the row with another spec; a window of its own goes on counting."""
    window = child.window
    if spec.intensity is None:
        window = None
    elif window is None:
        window = Window(intensity=spec.intensity)
    else:
        window = attrs.evolve(window, intensity=spec.intensity)
    return attrs.evolve(child, spec=spec, window=window)


def apply(draft: Draft, request: Request) -> None:
    """Do what was asked or refuse it."""
    who = (request.request,)
    if draft.stage in (Stage.STOPPING, Stage.ENDED):
        draft.reply(who, SupervisorStopping(f"{draft.table.path} is stopping"))
        return
    match request:
        case AddChild(spec=spec):
            _add(draft, spec, who)
        case TerminateChild(id=id):
            _terminate(draft, id, who)
        case StartAgain(id=id):
            _start_again(draft, id, who)
        case DeleteChild(id=id):
            _delete(draft, id, who)
        case _:
            assert_never(request)


def _add(draft: Draft, spec: AnyChildSpec, who: tuple[int, ...]) -> None:
    present = draft.children.get(spec.id)
    if present is not None:
        draft.reply(who, ChildStateError(spec.id, present.state))
        return
    child = new_child(spec, draft.next_position, Origin.ADDED)
    draft.next_position += 1
    draft.put(attrs.evolve(child, state=ChildState.RESTARTING, start_requests=who))


def _find(draft: Draft, id: str, who: tuple[int, ...]) -> Child | None:
    child = draft.children.get(id)
    if child is None:
        draft.reply(who, NoSuchChild(f"{draft.table.path} has no child {id}"))
    return child


def _terminate(draft: Draft, id: str, who: tuple[int, ...]) -> None:
    child = _find(draft, id, who)
    if child is None:
        return
    is_temporary = child.spec.restart is Restart.TEMPORARY
    after = After.DROP if is_temporary else After.DOWN
    if child.is_alive:
        refusal = ChildStateError(id, ChildState.STOPPING)
        draft.reply(child.start_requests, refusal)
        asked = attrs.evolve(
            child,
            after=after,
            cause=child.cause or "terminate_child",
            start_requests=(),
            stop_requests=child.stop_requests + who,
        )
        draft.put(asked)
        if child.state in (ChildState.STARTING, ChildState.RUNNING):
            ask_to_stop(draft, asked)
        return
    if child.state is ChildState.RESTARTING:
        _give_up_restart(draft, child, after)
    draft.reply(who)


def _give_up_restart(draft: Draft, child: Child, after: After) -> None:
    """Cancel a pending restart, and with it those that wait for it, as OTP leaves them down."""
    draft.settle(child, after)
    for other in list(draft.children.values()):
        if other.because == child.spec.id and other.state is ChildState.RESTARTING:
            draft.settle(other, After.DOWN)


def _start_again(draft: Draft, id: str, who: tuple[int, ...]) -> None:
    child = _find(draft, id, who)
    if child is None:
        return
    if child.state is not ChildState.DOWN:
        draft.reply(who, ChildStateError(id, child.state))
        return
    draft.put(
        attrs.evolve(
            child,
            state=ChildState.RESTARTING,
            due=draft.now,
            attempt=0,
            origin=Origin.REQUESTED,
            start_requests=who,
        )
    )


def _delete(draft: Draft, id: str, who: tuple[int, ...]) -> None:
    child = _find(draft, id, who)
    if child is None:
        return
    if child.state is not ChildState.DOWN:
        draft.reply(who, ChildStateError(id, child.state))
        return
    draft.settle(child, After.DROP)
    draft.reply(who)
