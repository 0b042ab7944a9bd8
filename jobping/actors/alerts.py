"""The alerts: the rules of `core.alerting` on the daemon's own events, and a notice per change."""

from collections import deque
from collections.abc import Mapping
from typing import Final

import attrs
import trio

from jobping.clock import Clock
from jobping.core.alerting import WATCHED, Alerts, Change, Rule, State
from jobping.events import Emit
from supervisors import Context

LOOK_EVERY_S: Final = 5.0
"""How late a notice may be; our choice."""
EVENTS: Final = 20_000
"""Watched events that wait for the next look; older ones are forgotten. 4,000 a second come from
no daemon of ours."""


@attrs.define
class Inbox:
    """Watched events on their way from whoever emits them, in any thread, to the actor."""

    clock: Clock
    _events: deque[tuple[float, str, Mapping[str, object]]] = attrs.field(
        factory=lambda: deque(maxlen=EVENTS), init=False
    )

    def tap(self, event: str, fields: Mapping[str, object]) -> None:
        """Take in an event; never waits."""
        if event in WATCHED:
            self._events.append((self.clock.utcnow().timestamp(), event, fields))

    def judge(self, alerts: Alerts) -> list[Change]:
        """Hand over what has come; return what changed up to now."""
        changes = list[Change]()
        while self._events:
            changes += alerts.note(*self._events.popleft())
        return changes + alerts.advance(self.clock.utcnow().timestamp())


@attrs.define(kw_only=True)
class AlertsActor:
    """Judges the events every few seconds, and tells.

    Attributes:
        alerts: What is known so far; outlives this actor.
        rules: Those that hold from its start on.
    """

    alerts: Alerts
    rules: tuple[Rule, ...]
    inbox: Inbox
    emit: Emit

    async def run(self, ctx: Context[object]) -> None:
        """Judge until asked to stop."""
        self.alerts.use(self.rules)
        ctx.started()
        while not ctx.stop_requested.is_set():
            with ctx.busy(3 * LOOK_EVERY_S), trio.move_on_after(LOOK_EVERY_S):
                await ctx.stop_requested.wait()
            for change in self.inbox.judge(self.alerts):
                self._say(change)

    def _say(self, change: Change) -> None:
        rule, subject, value = change.rule, change.subject, change.value
        if change.state is State.FIRED:
            self.emit("alert.fired", rule=rule.name, subject=subject, value=value, why=rule.summary)
        else:
            self.emit("alert.resolved", rule=rule.name, subject=subject, value=value)
