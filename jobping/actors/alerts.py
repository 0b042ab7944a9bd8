"""The alerts: the rules of `core.alerting` on the daemon's own events, and a notice per change."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

import attrs
import trio

from jobping.clock import utc_us
from jobping.core.alerting import WATCHED, Alerts, Change, Rule, State
from jobping.delivery import Delivery, OutgoingDigest, write_notice
from jobping.errors import DeliveryDeferred, DeliveryError
from jobping.events import Emit
from supervisors import Context

LOOK_EVERY_S: Final = 5.0
"""How late an alert may be; our choice."""
EVENTS: Final = 20_000
"""Watched events that wait for the next look; older ones are forgotten. 4,000 a second come from
no daemon of ours."""
NOTICES: Final = 100
"""Notices that wait for one way; a flood beyond it is in the log."""
SEND_WITHIN_S: Final = 30.0
AGAIN_AFTER_S: Final = 60.0
AT_THE_END_S: Final = 3.0
"""For what is not sent yet when the daemon stops; less than its 5 s, so that it ends by itself."""


@attrs.define
class Inbox:
    """What outlives the actor: watched events that wait for it, in any thread, and its notices.

    Attributes:
        unsent: By way, the changes whose notices have not gone out.
    """

    unsent: dict[str, deque[Change]] = attrs.field(factory=dict, init=False)
    _events: deque[tuple[float, str, Mapping[str, object]]] = attrs.field(
        factory=lambda: deque(maxlen=EVENTS), init=False
    )

    def tap(self, event: str, fields: Mapping[str, object]) -> None:
        """Take in an event; never waits."""
        if event in WATCHED:
            self._events.append((utc_us() / 1e6, event, fields))

    def judge(self, alerts: Alerts) -> list[Change]:
        """Hand over what has come; return what changed up to now."""
        changes = list[Change]()
        while self._events:
            changes += alerts.note(*self._events.popleft())
        return changes + alerts.advance(utc_us() / 1e6)


@attrs.define(kw_only=True)
class AlertsActor:
    """Judges the events every few seconds, and tells.

    Attributes:
        alerts: What is known so far; outlives this actor.
        rules: Those that hold from its start on.
        ways: Where notices go beside the log; each has a task of its own.
        to: The operator's mail address, or None.
        host: What notices call this machine.
    """

    alerts: Alerts
    rules: tuple[Rule, ...]
    inbox: Inbox
    ways: Sequence[Delivery] = ()
    to: str | None = None
    host: str = ""
    emit: Emit
    _news: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot, init=False)
    _is_ending: bool = attrs.field(default=False, init=False)

    async def run(self, ctx: Context[object]) -> None:
        """Judge until asked to stop."""
        self.alerts.use(self.rules)
        async with trio.open_nursery() as nursery:
            for way in self.ways:
                queue = self.inbox.unsent.setdefault(way.name, deque())
                nursery.start_soon(self._send_all, way, queue)
            ctx.started()
            while not ctx.stop_requested.is_set():
                with ctx.busy(3 * LOOK_EVERY_S), trio.move_on_after(LOOK_EVERY_S):
                    await ctx.stop_requested.wait()
                for change in self.inbox.judge(self.alerts):
                    self._say(change)
                self._news.unpark_all()
            self._is_ending = True
            self._news.unpark_all()
            nursery.cancel_scope.deadline = trio.current_time() + AT_THE_END_S

    def _say(self, change: Change) -> None:
        rule, subject, value = change.rule, change.subject, change.value
        if change.state is State.FIRED:
            why = rule.summary
            self.emit("alert.fired", rule=rule.name, subject=subject, value=value, why=why)
        else:
            self.emit("alert.resolved", rule=rule.name, subject=subject, value=value)
        for way in self.ways:
            queue = self.inbox.unsent[way.name]
            if len(queue) < NOTICES:
                queue.append(change)
            else:
                self._say_untold(change, way, f"{NOTICES} notices wait before it")

    async def _send_all(self, way: Delivery, queue: deque[Change]) -> None:
        while queue or not self._is_ending:
            if not queue:
                await self._news.park()
                continue
            notice = write_notice(queue[0], self.host, self.to)
            error = await _send(way, notice)
            if error is not None:
                self._say_untold(queue[0], way, str(error))
            while isinstance(error, DeliveryDeferred):
                await trio.sleep(AGAIN_AFTER_S)
                error = await _send(way, notice)
            queue.popleft()

    def _say_untold(self, change: Change, way: Delivery, why: str) -> None:
        rule, subject = change.rule.name, change.subject
        self.emit("alert.untold", rule=rule, subject=subject, way=way.name, why=why)


async def _send(way: Delivery, notice: OutgoingDigest) -> DeliveryError | None:
    """Send a notice; return what stands against it."""
    if not way.takes(notice):
        return None
    await way.wait_turn()
    try:
        with trio.fail_after(SEND_WITHIN_S):
            await way.send(notice)
    except DeliveryError as error:
        return error
    except trio.TooSlowError:
        return DeliveryDeferred(f"{way.name}: not sent in {SEND_WITHIN_S:.0f} s")
    return None
