"""What all supervisors of one tree share, and what each keeps of a child beside its table."""

from random import Random

from supervisors._box import Box
from supervisors._child import AnyChildSpec
from supervisors._events import Emitter
from supervisors._specs import SupervisorSpec, boxes_of, subtree_of
from supervisors._states import Exit, ExitKind


class Tree:
    """The hook, the randomness and the mailboxes, which outlive the supervisors inside.

    Attributes:
        emit: Gives an event to the hook.
    """

    def __init__(self, spec: SupervisorSpec, path: str, emit: Emitter, rng: Random) -> None:
        self.emit = emit
        self.rng = rng
        self._boxes: dict[str, Box] = {}
        self._bind_all(spec, path)

    def bind(self, spec: AnyChildSpec, path: str) -> None:
        """Give the mailboxes of a child, and of all below it, their paths."""
        self.box(spec, path)
        inner = subtree_of(spec)
        if inner is not None:
            self._bind_all(inner, path)

    def _bind_all(self, spec: SupervisorSpec, path: str) -> None:
        for child in spec.children:
            self.bind(child, f"{path}/{child.id}")

    def box(self, spec: AnyChildSpec, path: str) -> Box:
        """Return the mailbox at a path, made by the spec if there is none yet.

        One that was given to a spec takes the place of another child's that was there before it.
        """
        box = self._boxes.get(path)
        if box is not None and spec.own_box() not in (None, box):
            self.close(path, Exit(kind=ExitKind.SHUTDOWN), is_forgotten=True)
            box = None
        if box is None:
            box = self._boxes[path] = spec.make_box()
            box.path = path
            box.emit = self.emit
        return box

    def check_new(self, spec: AnyChildSpec) -> None:
        """Refuse a child that was given another's mailbox, itself or for one below it.

        Raises:
            ValueError: It was.
        """
        for box in boxes_of(spec):
            if self._boxes.get(box.path) is box:
                raise ValueError(f"the mailbox of {spec.id} belongs to {box.path}")

    def close(self, path: str, exit: Exit, *, is_forgotten: bool) -> None:
        """Close the mailbox at a path."""
        box = self._boxes.get(path)
        if box is None:
            return
        if box.final is None:
            box.close(exit)
        if is_forgotten:
            del self._boxes[path]

    def close_below(self, path: str, exit: Exit, *, is_forgotten: bool) -> None:
        """Close every mailbox below a path."""
        for place in [place for place in self._boxes if place.startswith(f"{path}/")]:
            self.close(place, exit, is_forgotten=is_forgotten)
