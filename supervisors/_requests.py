"""Administrative requests: what OTP's start_child, terminate_child and so on do. Pure."""

from typing import assert_never

import attrs

from supervisors._child import AnyChildSpec, Strategy
from supervisors._draft import Draft
from supervisors._intensity import Window
from supervisors._plan import ask_to_stop
from supervisors._states import ChildState, Exit, ExitKind
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
from supervisors.errors import ChildStateError, NoSuchChild, StartError, SupervisorStopping


def new_child(spec: AnyChildSpec, position: int, origin: Origin) -> Child:
    """Return the row of a child that never ran."""
    window = None if spec.intensity is None else Window(intensity=spec.intensity)
    return Child(spec, position, origin, window)


def replace_spec(child: Child, spec: AnyChildSpec) -> None:
    """Put another spec into a row; a window of its own goes on counting."""
    child.spec = spec
    if spec.intensity is None:
        child.window = None
    elif child.window is None:
        child.window = Window(intensity=spec.intensity)
    else:
        child.window = attrs.evolve(child.window, intensity=spec.intensity)


def apply(draft: Draft, request: Request) -> None:
    """Do what was asked or refuse it."""
    id = request.spec.id if isinstance(request, AddChild) else request.id
    if draft.table.stage in (Stage.STOPPING, Stage.ENDED):
        refusal = SupervisorStopping(f"{draft.table.path} is stopping")
        draft.reply(request.request, id, refusal)
        return
    if isinstance(request, AddChild):
        _add(draft, request.spec, request.request)
        return
    if id not in draft.table.children:
        missing = NoSuchChild(f"{draft.table.path} has no child {id}")
        draft.reply(request.request, id, missing)
        return
    child = draft.edit(id)
    match request:
        case TerminateChild():
            _terminate(draft, child, request.request)
        case StartAgain() | DeleteChild() if child.state is not ChildState.DOWN:
            draft.reply(request.request, id, ChildStateError(id, child.state))
        case StartAgain():
            child.attempt = 0
            child.origin = Origin.REQUESTED
            child.start_requests = (request.request,)
            draft.move(child, ChildState.RESTARTING, due=draft.now)
        case DeleteChild():
            draft.settle(child, After.DROP)
            draft.reply(request.request, id)
        case _:
            assert_never(request)


def _add(draft: Draft, spec: AnyChildSpec, request: int) -> None:
    table = draft.table
    if table.spec.strategy is Strategy.SIMPLE_ONE_FOR_ONE:
        spec = attrs.evolve(spec, id=f"{spec.id}#{table.next_position + 1}")
    present = table.children.get(spec.id)
    if present is not None:
        draft.reply(request, spec.id, ChildStateError(spec.id, present.state))
        return
    most = table.spec.max_children
    if most is not None and len(table.children) >= most:
        full = Exit(kind=ExitKind.ABNORMAL, error=f"{table.path} has its {most} children")
        draft.reply(request, spec.id, StartError(draft.path(spec.id), full))
        return
    child = new_child(spec, table.next_position, Origin.ADDED)
    table.next_position += 1
    child.start_requests = (request,)
    draft.add(child)
    draft.move(child, ChildState.RESTARTING, due=draft.now)


def _terminate(draft: Draft, child: Child, request: int) -> None:
    id = child.spec.id
    after = draft.lasting(child)
    if child.is_alive:
        draft.answer_start(child, ChildStateError(id, ChildState.STOPPING))
        child.after = after
        child.cause = child.cause or "terminate_child"
        child.stop_requests += (request,)
        if child.state in (ChildState.STARTING, ChildState.RUNNING):
            ask_to_stop(draft, child)
        return
    if child.state is ChildState.RESTARTING:
        _give_up_restart(draft, child, after)
    draft.reply(request, id)


def _give_up_restart(draft: Draft, child: Child, after: After) -> None:
    """Cancel a pending restart, and with it those that wait for it, as OTP leaves them down."""
    id = child.spec.id
    draft.settle(child, after)
    for other in draft.edit_all():
        if other.because == id and other.state is ChildState.RESTARTING:
            draft.settle(other, After.DOWN)
