"""One way out of digests: what is owed to it is sent, one after the other, at its own pace.

A digest is taken in the database before it is sent and ended there after, so that a crash between
the two is seen. Whether it went out is then asked of the way; where it cannot know, the digest goes
again with the same message id, or counts as sent where the way says so.
"""

import math
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, suppress
from functools import partial

import attrs
import trio

from jobping.clock import Clock
from jobping.core.schedule import next_attempt
from jobping.delivery import Delivery, OutgoingDigest
from jobping.errors import AddressRefused, DeliveryError, DeliveryRejected, StoreUnavailable
from jobping.events import Emit
from jobping.store.digests import Digests, End, Finished, TakenDigest

LOOK_EVERY_S = 60.0  # what is to be tried again, and what other daemons claim; our choice
SEND_WITHIN_S = 30.0  # one delivery, its turn not counted
STOP_WITHIN_S = 5.0  # for the one in hand, but for a letter that its way does not let be cut short
STORE_AWAY_S = 5.0  # a unit has waited as long for a connection before it gave up
CUT_SHORT_OFTEN = 2  # a digest that ends the daemon again and again must not do so at once
_WHY_LIMIT = 300


@attrs.define(kw_only=True)
class Sender:
    """Sends by one way.

    Attributes:
        by: Who takes digests, the same after a restart.
        compose: Makes the digest as it is to be sent now.
        on_finished: Called when nothing of a digest is owed any more.
        beat: Called when something was done.
        busy: Promises an end of what its block does.
        draining: Once it is set nothing more is taken.
    """

    way: Delivery
    digests: Digests
    by: str
    compose: Callable[[TakenDigest], OutgoingDigest]
    on_finished: Callable[[Finished], None]
    beat: Callable[[], None]
    busy: Callable[[float], AbstractContextManager[object]]
    draining: trio.Event
    clock: Clock
    emit: Emit
    _nudged: trio.Event = attrs.field(factory=trio.Event, init=False)
    _idle: trio.Event = attrs.field(factory=trio.Event, init=False)
    _waiting: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _sending: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _stop_by: float = attrs.field(default=math.inf, init=False)
    _stopping: trio.Event = attrs.field(factory=trio.Event, init=False)

    def nudge(self) -> None:
        """Say that something may be owed now."""
        self._nudged.set()
        if self._idle.is_set():
            self._idle = trio.Event()

    def stop(self) -> None:
        """Let the digest in hand go out, for a while, and take no other."""
        self._stopping.set()
        self._idle.set()
        self._waiting.cancel()
        self._stop_by = self._sending.deadline = trio.current_time() + STOP_WITHIN_S

    async def wait_idle(self) -> None:
        """Wait until all that was owed at the last nudge was tried once, or a stop."""
        await self._idle.wait()

    async def run(self) -> None:
        """Send until stopped, or the daemon drains."""
        while not self._is_ending():
            with trio.CancelScope() as self._waiting:
                await self.way.wait_turn()
            if self._is_ending():
                return
            self._nudged = trio.Event()
            try:
                taken = await self.digests.take(
                    self.way.name, by=self.by, utcnow=self.clock.utcnow()
                )
            except StoreUnavailable:
                await self._wait(STORE_AWAY_S)
                continue
            if taken is not None:
                await self._handle(taken)
                self.beat()
            elif not self._nudged.is_set():
                self._idle.set()
                await self._wait(LOOK_EVERY_S)

    def _is_ending(self) -> bool:
        return self._stopping.is_set() or self.draining.is_set()

    async def _wait(self, longest_s: float) -> None:
        """Wait for a nudge, for so long at most; not at all once stopped."""
        if not self._stopping.is_set():
            with trio.move_on_after(longest_s) as self._waiting:
                await self._nudged.wait()

    async def _handle(self, taken: TakenDigest) -> None:
        """Send what was taken, unless that is settled or has no sense any more."""
        if taken.was_cut_short and await self._settle(taken):
            return
        outgoing = self.compose(taken)
        if not self.way.takes(outgoing):
            await self._end(taken, End.SKIPPED, "nobody to send it to any more")
        elif not taken.items and taken.left_out.closed:
            await self._end(taken, End.SKIPPED, "all of it was closed before it was sent")
        else:
            await self._send(taken, outgoing)

    async def _settle(self, taken: TakenDigest) -> bool:
        """Find out what became of an attempt that never ended; return False to send it again."""
        was_sent = await self.way.was_sent(taken.message_id)
        if was_sent:
            outcome, end = "found_sent", End.SENT
        elif was_sent is None and not self.way.resends:
            outcome, end = "assumed_sent", End.SENT
        elif taken.attempts > CUT_SHORT_OFTEN:
            outcome, end = "put_off", End.WAITING
        else:
            outcome, end = "sent_again", None
        self._say_resolved(taken, outcome)
        if end is not None:
            await self._end(taken, end, "the daemon ended in it")
        return end is not None

    async def _send(self, taken: TakenDigest, outgoing: OutgoingDigest) -> None:
        refused = None
        try:
            with (
                trio.CancelScope(deadline=self._stop_by) as self._sending,
                self.busy(2 * SEND_WITHIN_S),
                trio.fail_after(SEND_WITHIN_S),
            ):
                await self.way.send(outgoing)
            if self._sending.cancelled_caught:
                return  # it stays taken, and is found so at the next start
            end, error = End.SENT, None
        except DeliveryRejected as problem:
            end, error = End.FAILED, str(problem)
            refused = outgoing.to if isinstance(problem, AddressRefused) else None
        except DeliveryError as problem:
            end, error = End.WAITING, str(problem)
        except trio.TooSlowError:
            end, error = End.WAITING, f"no end in {SEND_WITHIN_S:g} s"
            if not self.way.resends:
                end = End.SENT
                self._say_resolved(taken, "assumed_sent")
        if error is not None and outgoing.to is not None:
            error = error.replace(outgoing.to, "(address)")
        await self._end(taken, end, error, refused)

    async def _end(
        self, taken: TakenDigest, end: End, error: str | None, refused: str | None = None
    ) -> None:
        """Write how it ended, and say so; while the database is away, wait for it."""
        utcnow = self.clock.utcnow()
        again_at = next_attempt(taken.attempts, utcnow)
        if end is End.WAITING and again_at >= taken.give_up_at:
            end, error = End.FAILED, f"given up after {taken.attempts} attempts: {error}"
        why = None if error is None else error[:_WHY_LIMIT]
        self._say(taken, end, why, (again_at - utcnow).total_seconds())
        finished = await self._record(
            partial(
                self.digests.end,
                taken.id,
                self.way.name,
                end,
                next_attempt_at=again_at,
                error=why,
                refused=refused,
            )
        )
        if finished is not None:
            self.on_finished(finished)

    async def _record(self, end: Callable[[], Awaitable[Finished | None]]) -> Finished | None:
        """Write an end whatever happens meanwhile, so that what went out does not go again."""
        while True:
            with suppress(StoreUnavailable), trio.move_on_after(STORE_AWAY_S, shield=True):
                return await end()
            if trio.current_time() >= self._stop_by:
                return None
            await trio.sleep(1.0)

    def _say_resolved(self, taken: TakenDigest, outcome: str) -> None:
        self.emit(
            "digest.resolved",
            digest=taken.id,
            profile=taken.profile.id,
            period=taken.period,
            delivery=self.way.name,
            outcome=outcome,
        )

    def _say(self, taken: TakenDigest, end: End, why: str | None, retry_in_s: float) -> None:
        """Say what did not go out."""
        digest, profile, period = taken.id, taken.profile.id, taken.period
        match end:
            case End.WAITING:
                self.emit(
                    "digest.deferred",
                    digest=digest,
                    profile=profile,
                    period=period,
                    delivery=self.way.name,
                    attempts=taken.attempts,
                    retry_in_s=retry_in_s,
                    why=why,
                )
            case End.FAILED:
                self.emit(
                    "digest.failed",
                    digest=digest,
                    profile=profile,
                    period=period,
                    delivery=self.way.name,
                    why=why,
                )
            case End.SKIPPED:
                why = f"{self.way.name}: {why}"
                self.emit("digest.skipped", profile=profile, period=period, why=why)
            case End.SENT:
                pass
