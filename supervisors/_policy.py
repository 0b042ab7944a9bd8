"""Who decides what follows the end of a child, and what there is to choose from."""

import enum
from random import Random
from typing import Protocol, TypeAlias

import attrs

from supervisors._child import AnyChildSpec, check_seconds, check_type
from supervisors._events import ChildExited


@attrs.frozen(kw_only=True)
class RestartChild:
    """Start the same spec again.

    Attributes:
        delay: Seconds to wait first; None: as the backoff says.
    """

    delay: float | None = None


@attrs.frozen(kw_only=True)
class ReplaceChild:
    """Start another spec under the same id, in the same place, with the same mailbox.

    Attributes:
        spec: Its id must be the child's; its mailbox must be the child's own or a mere spec.
        delay: Seconds to wait first.
    """

    spec: AnyChildSpec
    delay: float = 0.0


@attrs.frozen(kw_only=True)
class Abandon:
    """Let the child stay down."""


@attrs.frozen(kw_only=True)
class Escalate:
    """Stop all children and fail upward.

    Attributes:
        reason: Why, for the operator.
    """

    reason: str


Verdict: TypeAlias = RestartChild | ReplaceChild | Abandon | Escalate


class ExitPolicy(Protocol):
    """Judges every end of a child that nobody asked for."""

    def decide(self, exited: ChildExited, error: Exception | None) -> Verdict:
        """Say what follows; synchronous, without I/O. If it raises, that is an escalation.

        Args:
            exited: The end, with what the restart type and the limit say about it.
            error: What the actor raised, lent for this call only.
        """
        ...


class OnLimit(enum.Enum):
    """What the default policy does past the limit: give up, or wait and go on."""

    ESCALATE = "escalate"
    PAUSE = "pause"


@attrs.frozen(kw_only=True)
class RestartPolicy:
    """The default policy: restart type and intensity decide, as in OTP.

    Attributes:
        cooldown: Seconds that PAUSE waits, and up to a quarter more.
        rng: Where the quarter comes from.
    """

    on_limit: OnLimit = OnLimit.ESCALATE
    cooldown: float = 15.0
    rng: Random = attrs.field(factory=Random, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        check_type("on_limit", self.on_limit, OnLimit)
        check_seconds("cooldown", self.cooldown)
        if self.cooldown == 0:
            raise ValueError("a cooldown of 0 s would be a hot loop")

    def decide(self, exited: ChildExited, error: Exception | None) -> Verdict:
        """Abandon what wants no restart, restart the rest, and respect the limit."""
        if not exited.wants_restart:
            return Abandon()
        if not exited.limit_exceeded:
            return RestartChild()
        if self.on_limit is OnLimit.PAUSE:
            return RestartChild(delay=self.cooldown * (1.0 + self.rng.random() / 4))
        return Escalate(reason=f"{exited.path} exceeded its restart limit")
