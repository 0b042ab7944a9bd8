"""What to run: one child with its message type, or a supervisor with its children."""

import math
import warnings
from collections.abc import Awaitable, Callable, Iterator
from typing import Generic, TypeAlias, TypeVar

import attrs

from supervisors._backoff import Backoff
from supervisors._box import Box
from supervisors._child import (
    AnyChildSpec,
    AutoShutdown,
    BrutalKill,
    StopOrder,
    Strategy,
    check_type,
)
from supervisors._context import Context, Running
from supervisors._intensity import Intensity
from supervisors._mailbox import MailboxSpec
from supervisors._policy import ExitPolicy, RestartPolicy
from supervisors._ref import Mailbox

M = TypeVar("M")
ActorFunction: TypeAlias = Callable[[Context[M]], Awaitable[None]]


@attrs.frozen(kw_only=True)
class SupervisorSpec:
    """A supervisor: its children in start order, and what their ends lead to.

    Attributes:
        stop_order: PARALLEL where no child depends on another.
        auto_shutdown: Whose end for good ends the supervisor, as if it had been asked to stop.
        max_children: How many children there may be at once; None: no limit.
        max_starting: How many restarts may be under way at once where children are independent.

    Raises:
        ValueError: An id or a mailbox stands in two specs, a value is none of its kind, or two
            values contradict each other.

    Warns:
        UserWarning: The delays of the backoff are so long that the limit is never reached.
    """

    children: tuple[AnyChildSpec, ...] = ()
    strategy: Strategy = Strategy.ONE_FOR_ONE
    intensity: Intensity = attrs.field(factory=Intensity)
    backoff: Backoff = attrs.field(factory=Backoff)
    stop_order: StopOrder = StopOrder.REVERSE
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER
    policy: ExitPolicy = attrs.field(factory=RestartPolicy)
    max_children: int | None = None
    max_starting: int = 1

    def __attrs_post_init__(self) -> None:
        check_type("strategy", self.strategy, Strategy)
        check_type("stop_order", self.stop_order, StopOrder)
        check_type("auto_shutdown", self.auto_shutdown, AutoShutdown)
        self._check_counts()
        for child in self.children:
            self.check_child(child)
        ids = [child.id for child in self.children]
        if len(set(ids)) < len(ids):
            raise ValueError(f"an id stands twice among {ids}")
        boxes = [id(box) for child in self.children for box in boxes_of(child)]
        if len(set(boxes)) < len(boxes):
            raise ValueError("one mailbox was given to two children")
        for pair in dict.fromkeys(self._limits()):
            _warn_unreachable(*pair)

    def check_child(self, child: AnyChildSpec) -> None:
        """Refuse a child that contradicts the supervisor; also for those that come later.

        Raises:
            ValueError: It does.
        """
        if child.significant and self.auto_shutdown is AutoShutdown.NEVER:
            raise ValueError(f"{child.id} is significant under a supervisor without auto_shutdown")

    def _check_counts(self) -> None:
        is_simple = self.strategy is Strategy.SIMPLE_ONE_FOR_ONE
        if is_simple and self.children:
            raise ValueError("simple_one_for_one begins without children; use start_child")
        if self.max_starting < 1:
            raise ValueError(f"max_starting must be at least 1, got {self.max_starting}")
        if self.max_starting > 1 and not is_simple and self.strategy is not Strategy.ONE_FOR_ONE:
            raise ValueError(f"{self.strategy.value} restarts in order: max_starting must be 1")
        if self.max_children is not None and self.max_children < max(1, len(self.children)):
            raise ValueError(f"max_children must not be below the children, {self.max_children} is")

    def _limits(self) -> Iterator[tuple[Intensity, Backoff]]:
        yield self.intensity, self.backoff
        for child in self.children:
            yield child.intensity or self.intensity, child.backoff or self.backoff


@attrs.frozen(kw_only=True)
class ChildSpec(AnyChildSpec, Generic[M]):
    """How to run, restart and stop one child.

    Attributes:
        start: An actor function, or the spec of an inner supervisor; that one has by default all
            the time it needs to start and to stop.
        mailbox: Its rules, or the mailbox itself where others hold its ref already.

    Raises:
        ValueError: A value is none of its kind.
    """

    start: ActorFunction[M] | SupervisorSpec
    mailbox: MailboxSpec[M] | Mailbox[M] = attrs.field(factory=MailboxSpec)
    start_timeout: float = attrs.field()
    stop_timeout: float | BrutalKill = attrs.field()

    @start_timeout.default
    def _default_start_timeout(self) -> float:
        return math.inf if isinstance(self.start, SupervisorSpec) else 15.0

    @stop_timeout.default
    def _default_stop_timeout(self) -> float | BrutalKill:
        return math.inf if isinstance(self.start, SupervisorSpec) else 5.0

    def __attrs_post_init__(self) -> None:
        self.check()
        if not isinstance(self.start, SupervisorSpec) and not callable(self.start):
            raise ValueError(f"child {self.id} needs something to start, got {self.start!r}")
        if isinstance(self.start, SupervisorSpec) and self.max_idle is not None:
            raise ValueError(f"{self.id} is a supervisor: max_idle is for its children")

    def own_box(self) -> Box | None:
        """Return the mailbox that others made and gave to the spec."""
        return self.mailbox.box if isinstance(self.mailbox, Mailbox) else None

    def make_box(self) -> Box:
        """Return the mailbox that the spec was given, or a new one by its rules."""
        return self.mailbox.box if isinstance(self.mailbox, Mailbox) else Mailbox(self.mailbox).box

    def run(self, running: Running) -> Awaitable[None]:
        """Call the actor function, with a context of its message type."""
        if isinstance(self.start, SupervisorSpec):
            raise TypeError(f"child {self.id} is a supervisor, not an actor")
        return self.start(Context(running))


def subtree_of(spec: AnyChildSpec) -> SupervisorSpec | None:
    """Return the spec of the inner supervisor, if the child is one."""
    if isinstance(spec, ChildSpec) and isinstance(spec.start, SupervisorSpec):
        return spec.start
    return None


def boxes_of(spec: AnyChildSpec) -> Iterator[Box]:
    """Yield every mailbox that was given to a child or to one below it."""
    box = spec.own_box()
    if box is not None:
        yield box
    inner = subtree_of(spec)
    for child in inner.children if inner is not None else ():
        yield from boxes_of(child)


def _warn_unreachable(intensity: Intensity, backoff: Backoff) -> None:
    if intensity.max_restarts * backoff.cap < intensity.period or backoff.base == 0:
        return
    total = 0.0
    if backoff.base == 0:
        return
    for attempt in range(intensity.max_restarts):
        total += backoff.ceiling(attempt)
        if total >= intensity.period:
            warnings.warn(
                f"{intensity.max_restarts} restarts take longer than {intensity.period:g} s with "
                f"{backoff}: the limit is never reached",
                stacklevel=5,
            )
            return
