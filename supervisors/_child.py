"""What every child has in common, whatever messages it takes: checked when it is made."""

import abc
import enum
import math
from collections.abc import Awaitable

import attrs

from supervisors._backoff import Backoff
from supervisors._box import Box
from supervisors._context import Running
from supervisors._intensity import Intensity


class Restart(enum.Enum):
    """When a child that ended by itself is started again.

    PERMANENT: always. TRANSIENT: after an abnormal end. TEMPORARY: never, and it is forgotten.
    """

    PERMANENT = "permanent"
    TRANSIENT = "transient"
    TEMPORARY = "temporary"


class Strategy(enum.Enum):
    """Who restarts with a child: nobody, those started after it, or all.

    SIMPLE_ONE_FOR_ONE is for dynamic children: none at the start, each added by `start_child` under
    its spec's id with a number, forgotten when it ends for good; they stop all at once.
    """

    ONE_FOR_ONE = "one_for_one"
    REST_FOR_ONE = "rest_for_one"
    ONE_FOR_ALL = "one_for_all"
    SIMPLE_ONE_FOR_ONE = "simple_one_for_one"


class AutoShutdown(enum.Enum):
    """Whether a supervisor ends when a significant child, or the last of them, ends for good."""

    NEVER = "never"
    ANY_SIGNIFICANT = "any_significant"
    ALL_SIGNIFICANT = "all_significant"


class StopOrder(enum.Enum):
    """Whether children stop one after the other, the last started first, or all at once."""

    REVERSE = "reverse"
    PARALLEL = "parallel"


class BrutalKill(enum.Enum):
    """The type of BRUTAL_KILL: cancel at once instead of asking."""

    BRUTAL_KILL = "brutal_kill"


BRUTAL_KILL = BrutalKill.BRUTAL_KILL

_KILL_TIMEOUT = 5.0  # seconds for a cancelled child whose stop_timeout says nothing about it


def check_seconds(name: str, value: object) -> None:
    """Refuse what is no time span; infinity is one."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ValueError(f"{name} must be seconds, 0 or more, got {value!r}")


def check_type(name: str, value: object, kind: type) -> None:
    """Refuse a value of another type, a string in the place of an enum for instance."""
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be a {kind.__name__}, got {value!r}")


@attrs.frozen(kw_only=True)
class AnyChildSpec(abc.ABC):
    """A child spec of any message type, so that tuples of specs have a type.

    Attributes:
        id: Its name among its siblings, without a slash: paths are made of ids.
        significant: Whether its end for good counts for the supervisor's `auto_shutdown`.
        critical: Whether the daemon counts as hung while this child is stalled or stuck.
        max_idle: Seconds it may go without progress before it is killed and its policy asked;
            waiting for a message counts as progress, and promises (`ctx.busy`) take its place.
            None: it is not watched.
        start_timeout: Seconds until `ctx.started()` must have been called; may be math.inf.
        stop_timeout: Seconds between the request to stop and the cancellation. math.inf is bounded
            by the grace period; BRUTAL_KILL cancels without asking.
        kill_timeout: Seconds between the cancellation and `StopTimedOut`; None: as stop_timeout.
        intensity: A window of its own; None: it counts in the supervisor's.
        backoff: None: the supervisor's.
    """

    id: str
    restart: Restart = Restart.PERMANENT
    significant: bool = False
    critical: bool = True
    max_idle: float | None = None
    start_timeout: float = 15.0
    stop_timeout: float | BrutalKill = 5.0
    kill_timeout: float | None = None
    intensity: Intensity | None = None
    backoff: Backoff | None = None

    def check(self) -> None:
        """Refuse what is none of its kind; called by the constructor of the whole spec."""
        check_type("id", self.id, str)
        if not self.id:
            raise ValueError("a child needs an id")
        if "/" in self.id:
            raise ValueError(f"an id is one step of a path, without a slash, {self.id!r} is not")
        check_type("restart", self.restart, Restart)
        check_type("significant", self.significant, bool)
        check_type("critical", self.critical, bool)
        if self.significant and self.restart is Restart.PERMANENT:
            raise ValueError(f"{self.id} is permanent and never ends for good: not significant")
        if self.max_idle is not None and not 0 < self.max_idle < math.inf:
            raise ValueError(f"max_idle must be positive seconds, got {self.max_idle!r}")
        check_seconds("start_timeout", self.start_timeout)
        if not isinstance(self.stop_timeout, BrutalKill):
            check_seconds("stop_timeout", self.stop_timeout)
        if self.kill_timeout is not None:
            check_seconds("kill_timeout", self.kill_timeout)

    @abc.abstractmethod
    def own_box(self) -> Box | None:
        """Return the mailbox that others made and gave to the spec."""

    @abc.abstractmethod
    def make_box(self) -> Box:
        """Return the mailbox that the spec was given, or a new one by its rules."""

    @abc.abstractmethod
    def run(self, running: Running) -> Awaitable[None]:
        """Call the actor function, with a context of its message type."""

    def patience(self) -> float:
        """Return the seconds between the request to stop and the cancellation."""
        return 0.0 if isinstance(self.stop_timeout, BrutalKill) else self.stop_timeout

    def kill_patience(self) -> float:
        """Return the seconds between the cancellation and the report that it had no effect."""
        if self.kill_timeout is not None:
            return self.kill_timeout
        patience = self.patience()
        return patience if 0 < patience < math.inf else _KILL_TIMEOUT
