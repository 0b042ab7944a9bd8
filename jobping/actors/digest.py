"""Digests: what is due for each profile is claimed, and goes out by every way, each posting once.

A digest's row, its items and what is owed to each way out are claimed in one unit. From there the
senders go on, one for each way, so that a slow one holds up no other.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence

import attrs
import trio

from jobping.actors.messages import DigestMessage, FirstCycleEnded, MatchesRecorded
from jobping.actors.sender import LOOK_EVERY_S, STORE_AWAY_S, Sender
from jobping.clock import Clock
from jobping.core.digest import Digest, compose, dedup_key, select
from jobping.core.ids import ProfileId, SourceName
from jobping.core.profile import StoredProfile
from jobping.core.schedule import (
    FIRST,
    DigestHistory,
    DigestRules,
    When,
    due_period,
    give_up_at,
    next_period,
)
from jobping.delivery import Delivery, OutgoingDigest
from jobping.errors import StoreUnavailable
from jobping.events import Emit
from jobping.store.digests import Claim, Digests, Finished, TakenDigest
from jobping.store.groups import single_errors
from jobping.store.matches import Matches
from jobping.store.profiles import Profiles
from supervisors import Context
from supervisors import Delivery as Received

PENDING_LIMIT = 500  # best unsent matches from which a digest is chosen
PAUSE_S = 1.0  # between two looks, so that messages are taken however often something is due
ANSWER_AFTER_S = 240.0  # below the patience of who asks: slow ways go on later


@attrs.define(kw_only=True)
class DigestActor:
    """Claims what is due and has it sent.

    Attributes:
        rules: For profiles that say nothing else.
        by: Who takes digests, the same after a restart.
        credits: The name that each source wants to see beside its postings.
        firsthand: Sources that are the companies' own.
        pending_within_s: How old news may be that still fills a digest.
        expects_model: A model ranks as a rule, so what is ranked locally is marked.
        stopping: Set when the daemon drains: the digest in hand of each way is the last.
    """

    rules: DigestRules
    profiles: Profiles
    matches: Matches
    digests: Digests
    deliveries: Sequence[Delivery]
    by: str
    credits: Mapping[SourceName, str]
    firsthand: frozenset[SourceName]
    clock: Clock
    emit: Emit
    pending_within_s: float
    expects_model: bool = False
    stopping: trio.Event = attrs.field(factory=trio.Event)
    _beat: Callable[[], None] = attrs.field(init=False)
    _senders: tuple[Sender, ...] = attrs.field(default=(), init=False)
    _first_allowed: bool = attrs.field(default=False, init=False)
    _sent: int = attrs.field(default=0, init=False)
    _is_first_awaited: bool = attrs.field(default=False, init=False)
    _skipped: dict[ProfileId, str] = attrs.field(factory=dict, init=False)
    _next_due_at: dt.datetime | None = attrs.field(default=None, init=False)

    async def run(self, ctx: Context[DigestMessage]) -> None:
        """Claim and send what is due until asked to stop; then let what is in hand go out."""
        self._beat = ctx.beat
        self._senders = tuple(self._sender(way, ctx) for way in self.deliveries)
        with single_errors():
            async with trio.open_nursery() as nursery:
                for sender in self._senders:
                    nursery.start_soon(sender.run)
                ctx.started()
                await self._listen(ctx, nursery)
                for sender in self._senders:
                    sender.stop()

    def _sender(self, way: Delivery, ctx: Context[DigestMessage]) -> Sender:
        return Sender(
            way=way,
            digests=self.digests,
            by=self.by,
            compose=self._compose,
            on_finished=self._say_finished,
            beat=ctx.beat,
            busy=ctx.busy,
            draining=self.stopping,
            clock=self.clock,
            emit=self.emit,
        )

    async def _listen(self, ctx: Context[DigestMessage], nursery: trio.Nursery) -> None:
        await self._claim_due(ctx.stop_requested)
        while True:
            delivery = None
            with trio.move_on_after(self._until_next_s()):
                delivery = await anext(ctx.inbox, None)
                if delivery is None:
                    return
            before = self._sent
            match delivery.message if delivery is not None else None:
                case FirstCycleEnded():
                    self._first_allowed = True
                case MatchesRecorded() if not self._is_first_awaited:
                    continue
            await self._claim_due(ctx.stop_requested)
            if delivery is not None:
                nursery.start_soon(self._answer, delivery, before)

    async def _answer(self, delivery: Received[DigestMessage], before: int) -> None:
        """Answer with the number of digests that went out, once all were tried."""
        with trio.move_on_after(ANSWER_AFTER_S):
            await trio.lowlevel.checkpoint()
            for sender in self._senders:
                await sender.wait_idle()
        delivery.reply(self._sent - before)

    def _until_next_s(self) -> float:
        if self._next_due_at is None:
            return LOOK_EVERY_S
        due_in_s = (self._next_due_at - self.clock.utcnow()).total_seconds()
        return min(LOOK_EVERY_S, max(PAUSE_S, due_in_s))

    async def _claim_due(self, stop_requested: trio.Event) -> None:
        """Claim what is due; while the database is away, wait for it, as the senders do."""
        while not stop_requested.is_set():
            try:
                await self._claim_all(stop_requested)
                break
            except StoreUnavailable:
                self._beat()
            with trio.move_on_after(STORE_AWAY_S):
                await stop_requested.wait()

    async def _claim_all(self, stop_requested: trio.Event) -> None:
        """Claim one digest for every profile whose period has come, and wake the senders."""
        self._next_due_at, self._is_first_awaited = None, False
        if not self._senders:
            return
        utcnow = self.clock.utcnow()
        await self._give_up(utcnow)
        histories = await self.digests.histories(utcnow)
        distinct: set[DigestRules] = set()
        for stored in await self.profiles.all():
            self._beat()
            if stop_requested.is_set() or self.stopping.is_set():
                return
            rules = stored.profile.digest.over(self.rules)
            distinct.add(rules)
            period = due_period(rules, histories.get(stored.id, DigestHistory()), utcnow)
            if period is None or (period == FIRST and not self._first_allowed):
                await trio.lowlevel.checkpoint()
            elif await self._claim(stored, rules, period):
                for sender in self._senders:
                    sender.nudge()
        self._next_due_at = min(
            (next_period(rules, utcnow).due_at for rules in distinct), default=None
        )

    async def _give_up(self, utcnow: dt.datetime) -> None:
        names = [way.name for way in self.deliveries]
        expired, finished = await self.digests.expire(names, utcnow)
        for one in expired:
            self.emit(
                "digest.failed",
                digest=one.id,
                profile=one.profile,
                period=one.period,
                delivery=one.way,
                why=one.why,
            )
        for digest in finished:
            self._say_finished(digest)

    async def _claim(self, stored: StoredProfile, rules: DigestRules, period: str) -> bool:
        """Claim a period, or find that there is nothing to send for it; say whether there is."""
        ways = self._ways_for(stored, period)
        if not ways:
            self._say_skipped(stored.id, period, "no way out takes it")
            return False
        is_bundled = rules.when is When.INSTANT and period != FIRST
        if is_bundled and self._skipped.get(stored.id) == period:
            return False
        pending = await self.matches.pending(
            stored.id, within_s=self.pending_within_s, limit=PENDING_LIMIT
        )
        selection = select(stored.profile, pending, self.firsthand)
        if not selection.items and period != FIRST and not self._first_allowed:
            return False  # the polls that may bring something are under way
        if not selection.items and not rules.sends_empty:
            self._say_skipped(stored.id, period, "nothing new")
            self._is_first_awaited |= period == FIRST
            if period == FIRST or is_bundled:
                return False
            ways = []
        made_at = self.clock.utcnow()
        return await self.digests.claim(
            Claim(
                profile=stored.id,
                period=period,
                items=[(item.posting.id, dedup_key(item.posting)) for item in selection.items],
                ways=ways,
                made_at=made_at,
                give_up_at=give_up_at(rules, made_at),
                left_out=selection.left_out,
                sends_empty=rules.sends_empty,
            )
        )

    def _ways_for(self, stored: StoredProfile, period: str) -> list[str]:
        """Return the ways out that this profile has now; a digest without a text stands for it."""
        probe = OutgoingDigest(
            profile=stored.profile.name,
            period=period,
            message_id="probe",
            profile_id=stored.id,
            made_at=self.clock.utcnow(),
            to=stored.address,
            digest=Digest(subject="", text="", html=""),
        )
        return [way.name for way in self.deliveries if way.takes(probe)]

    def _compose(self, taken: TakenDigest) -> OutgoingDigest:
        made_at = self.clock.utcnow()
        return OutgoingDigest(
            profile=taken.profile.profile.name,
            period=taken.period,
            message_id=taken.message_id,
            profile_id=taken.profile.id,
            made_at=made_at,
            to=taken.profile.address,
            unsubscribe_token=taken.unsubscribe_token,
            digest=compose(
                taken.profile.profile,
                taken.items,
                made_at,
                taken.since,
                taken.watch,
                left_out=taken.left_out,
                credits=self.credits,
                expects_model=self.expects_model,
                rules=self.rules,
            ),
        )

    def _say_skipped(self, profile: ProfileId, period: str, why: str) -> None:
        """Say once that nothing goes out; of digests as things happen that is no news."""
        if self._skipped.get(profile) != period:
            self._skipped[profile] = period
            if not period.endswith("Z"):
                self.emit("digest.skipped", profile=profile, period=period, why=why)

    def _say_finished(self, finished: Finished) -> None:
        if not finished.took:
            return
        self._sent += 1
        self.emit(
            "digest.sent",
            digest=finished.id,
            profile=finished.profile,
            period=finished.period,
            items=finished.items,
            delivery=list(finished.took),
            duration_s=(self.clock.utcnow() - finished.claimed_at).total_seconds(),
        )
