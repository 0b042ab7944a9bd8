"""Parts for tests of trees: an actor that does what it is told, and a log of events."""

from collections.abc import Callable
from typing import TypeVar

import attrs
import trio
import trio.testing

from supervisors._context import Context
from supervisors._events import (
    ChildExited,
    ChildReplaced,
    ChildStarted,
    DeadLetter,
    Event,
    HealthChanged,
    LifeWithheld,
    LimitExceeded,
    MailboxHigh,
    RestartScheduled,
    StopTimedOut,
)
from supervisors.errors import IgnoreStart

E = TypeVar("E", bound=Event)


async def settle() -> None:
    """Wait until every task is blocked: what can happen without time passing has happened."""
    await trio.testing.wait_all_tasks_blocked()


class EventLog:
    """A hook that keeps every event.

    Attributes:
        events: All of them, in order.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[E]) -> list[E]:
        """Return the events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def lines(self) -> list[str]:
        """Return one short line per event, `started root/a 2` for instance."""
        return [describe(event) for event in self.events]

    def take(self) -> list[str]:
        """Return the lines since the last call."""
        lines = self.lines()
        self.events.clear()
        return lines


def describe(event: Event) -> str:
    """Return the short line of an event: what a test compares, without times."""
    match event:
        case ChildStarted(path=path, incarnation=number):
            return f"started {path} {number}"
        case ChildExited(path=path, incarnation=number, phase=phase, exit=exit):
            return f"exited {path} {number} {exit.kind.value} while {phase.value}"
        case RestartScheduled(path=path, attempt=attempt):
            return f"restarting {path} after attempt {attempt}"
        case ChildReplaced(path=path):
            return f"replaced {path}"
        case LimitExceeded(path=path, restarts=restarts):
            return f"limit of {path} exceeded after {restarts}"
        case StopTimedOut(path=path):
            return f"stuck {path}"
        case DeadLetter(path=path, cause=cause, message=message, count=count):
            return f"dead letter of {path}: {count} {message} {cause.value}"
        case MailboxHigh(path=path, depth=depth):
            return f"mailbox of {path} holds {depth}"
        case HealthChanged(before=before, after=after, paths=paths):
            return f"health {before.value} -> {after.value} {' '.join(paths)}".rstrip()
        case LifeWithheld(paths=paths):
            return f"no sign of life because of {' '.join(paths) or 'the loop'}"


@attrs.define(kw_only=True, eq=False)
class ScriptedActor:
    """An actor function that crashes, returns, hangs or shields on cue: `start=scripted.run`.

    Attributes:
        start_delay: Seconds until it says that it is ready; math.inf: never.
        fail_starts: How many of the next starts fail.
        ignore_starts: How many of the starts after those raise IgnoreStart.
        stop_delay: Seconds from the request to stop to its return; math.inf: it ignores it.
        shield: Seconds for which it goes on when cancelled.
        starts: How often it was started.
        received: The messages it took, over all incarnations.
    """

    start_delay: float = 0.0
    fail_starts: int = 0
    ignore_starts: int = 0
    stop_delay: float = 0.0
    shield: float = 0.0
    starts: int = 0
    received: list[object] = attrs.field(factory=list)
    _cue: Callable[[], None] | None = None
    _cued: trio.Event = attrs.field(factory=trio.Event)

    def crash(self, error: BaseException | None = None) -> None:
        """Let the running incarnation raise; by default a RuntimeError."""

        def cue() -> None:
            raise error if error is not None else RuntimeError("crashed on cue")

        self._give(cue)

    def finish(self) -> None:
        """Let the running incarnation return."""
        self._give(lambda: None)

    def _give(self, cue: Callable[[], None]) -> None:
        self._cue = cue
        self._cued.set()

    async def run(self, ctx: Context[object]) -> None:
        """Do what the attributes and the cues say."""
        self.starts += 1
        self._cued = trio.Event()
        await self._begin(ctx)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._receive, ctx)
            nursery.start_soon(self._watch_stop, ctx)
            nursery.start_soon(self._hold_out)
            await self._cued.wait()
            nursery.cancel_scope.cancel()
        if self._cue is not None:
            cue, self._cue = self._cue, None
            cue()

    async def _begin(self, ctx: Context[object]) -> None:
        await trio.sleep(self.start_delay)
        refusal = self.take_refusal()
        if refusal is not None:
            raise refusal
        ctx.started()

    def take_refusal(self) -> Exception | None:
        """Count down one start and return what it raises; None: it becomes ready."""
        if self.fail_starts > 0:
            self.fail_starts -= 1
            return RuntimeError("start failed on cue")
        if self.ignore_starts > 0:
            self.ignore_starts -= 1
            return IgnoreStart("ignored on cue")
        return None

    async def _receive(self, ctx: Context[object]) -> None:
        async for delivery in ctx.inbox:
            self.received.append(delivery.message)
            delivery.reply(delivery.message)

    async def _watch_stop(self, ctx: Context[object]) -> None:
        await ctx.stop_requested.wait()
        await trio.sleep(self.stop_delay)
        self._cued.set()

    async def _hold_out(self) -> None:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            if not self._cued.is_set():
                with trio.CancelScope(shield=True):
                    await trio.sleep(self.shield)
            raise
