"""The pace of one way out: at most so many digests in any minute, and rests while it fails."""

import attrs
import trio

from jobping.clock import Clock
from jobping.core import limiter
from jobping.core.ids import Monotonic
from jobping.core.limiter import Grant, Hold, Limiter, LimiterRules
from jobping.errors import DeliveryDeferred


@attrs.define(eq=False, kw_only=True)
class Turns:
    """One limiter; after a failure of the far side it blocks as it does for a board.

    Attributes:
        per_minute: Most digests in any minute, 1 or more.
    """

    per_minute: int
    clock: Clock = attrs.field(factory=Clock)
    _rules: LimiterRules = attrs.field(init=False)
    _state: Limiter = attrs.field(init=False)

    @_rules.default
    def _rules_of(self) -> LimiterRules:
        burst = 1 + self.per_minute // 60  # makes up for turns that are taken late
        return LimiterRules(rate=(self.per_minute + 1 - burst) / 60, burst=burst)

    @_state.default
    def _fresh(self) -> Limiter:
        return limiter.fresh(self._rules, self.clock.monotonic())

    async def wait(self) -> None:
        """Wait until a digest may go; takes nothing."""
        await trio.lowlevel.checkpoint()
        answer = self._ask()[1]
        while isinstance(answer, Hold):
            await trio.sleep_until(_known(answer))
            answer = self._ask()[1]

    def take(self) -> None:
        """Take a turn.

        Raises:
            DeliveryDeferred: It is none; `wait` had to come first.
        """
        state, answer = self._ask()
        if isinstance(answer, Hold):
            left_s = _known(answer) - self.clock.monotonic()
            raise DeliveryDeferred(f"not before {left_s:.0f} s from now ({answer.reason})")
        self._state = limiter.release(state)

    def rest(self, after_s: float | None = None) -> None:
        """Let nothing go for a while, since the far side failed or said so.

        Args:
            after_s: Seconds that it asked for; None: 30 s, doubled up to 15 minutes.
        """
        now = self.clock.monotonic()
        self._state, _ = limiter.penalise(self._state, self._rules, now, after_s)

    def go_on(self) -> None:
        """Note that the far side took something."""
        self._state = limiter.succeed(self._state)

    def _ask(self) -> tuple[Limiter, Grant | Hold]:
        return limiter.admit(self._state, self._rules, self.clock.monotonic(), self.clock.utcnow())


def _known(hold: Hold) -> Monotonic:
    """Return the end of a hold; without quotas, caps and large costs there always is one."""
    if hold.until is None:
        raise ValueError(f"a way out that is closed for good: {hold.reason}")
    return hold.until
