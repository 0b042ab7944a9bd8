"""Digests: what is due for each profile goes out, each posting at most once.

A digest's row and its items are claimed in one unit before anything leaves. What a crash left
claimed is resolved at the next start: files carry the digest's message id, so whether it went out
can be looked up; it is finished or marked, never sent a second time.
"""

import datetime as dt
from collections.abc import Mapping, Sequence

import attrs
import trio

from jobping.actors.messages import DigestMessage, FirstCycleEnded, MatchesRecorded
from jobping.clock import Clock
from jobping.core.digest import Selection, compose, dedup_key, select
from jobping.core.digest_view import LeftOut
from jobping.core.ids import Domain, ProfileId, SourceName
from jobping.core.ladder import Tier
from jobping.core.profile import StoredProfile
from jobping.core.schedule import EPOCH, FIRST, DigestRules, due_period, next_period
from jobping.delivery import Delivery, OutgoingDigest
from jobping.errors import DeliveryError
from jobping.events import Emit
from jobping.store.digests import ClaimedDigest, Digests
from jobping.store.gates import Gates
from jobping.store.matches import Matches
from jobping.store.profiles import Profiles
from supervisors import Context

LOOK_EVERY_S = 60.0  # profiles come and go by command; our choice
PENDING_LIMIT = 500  # best unsent matches from which a digest is chosen
SEND_WITHIN_S = 30.0  # one delivery


@attrs.define(kw_only=True)
class DigestActor:
    """Sends what is due.

    Attributes:
        deliveries: In sending order; those that can tell what was sent come first.
        credits: The name that each source wants to see beside its postings.
        firsthand: Sources that are the companies' own.
        pending_within_s: How old news may be that still fills a digest.
        expects_model: A model ranks as a rule, so what is ranked locally is marked.
        stopping: Set when the daemon drains: the digest in hand is the last.
    """

    rules: DigestRules
    profiles: Profiles
    matches: Matches
    digests: Digests
    gates: Gates
    deliveries: Sequence[Delivery]
    credits: Mapping[SourceName, str]
    firsthand: frozenset[SourceName]
    clock: Clock
    emit: Emit
    pending_within_s: float
    expects_model: bool = False
    stopping: trio.Event = attrs.field(factory=trio.Event)
    _ctx: Context[DigestMessage] = attrs.field(init=False)
    _first_allowed: bool = attrs.field(default=False, init=False)
    _skipped: dict[ProfileId, str] = attrs.field(factory=dict, init=False)

    async def run(self, ctx: Context[DigestMessage]) -> None:
        """Resolve what a crash left, then send what is due until asked to stop."""
        self._ctx = ctx
        await self._resolve()
        ctx.started()
        while True:
            delivery = None
            with trio.move_on_after(self._until_next_s()):
                delivery = await anext(ctx.inbox, None)
                if delivery is None:
                    return
            if delivery is None:
                await self._send_due()
                continue
            match delivery.message:
                case FirstCycleEnded():
                    self._first_allowed = True
                    delivery.reply(await self._send_due())
                case MatchesRecorded():
                    await self._send_due()

    def _until_next_s(self) -> float:
        utcnow = self.clock.utcnow()
        due_at = next_period(self.rules, utcnow).due_at
        return min(LOOK_EVERY_S, (due_at - utcnow).total_seconds())

    async def _send_due(self) -> int:
        """Send one digest to every profile whose period has come; return how many went out."""
        sent = 0
        if not self.deliveries:
            return sent
        for stored in await self.profiles.all():
            if self.stopping.is_set() or self._ctx.stop_requested.is_set():
                break
            self._ctx.beat()
            last = await self.digests.last(stored.id)
            period = due_period(
                self.rules,
                last.period if last else None,
                last.claimed_at if last else EPOCH,
                self.clock.utcnow(),
            )
            if period is None or (period == FIRST and not self._first_allowed):
                continue
            sent += await self._claim_and_send(stored, period, last.claimed_at if last else None)
        return sent

    async def _claim_and_send(
        self, stored: StoredProfile, period: str, since: dt.datetime | None
    ) -> int:
        pending = await self.matches.pending(
            stored.id, within_s=self.pending_within_s, limit=PENDING_LIMIT
        )
        selection = select(stored.profile, pending, self.firsthand)
        if not selection.items:
            self._say_skipped(stored.id, period)
            return 0
        items = [(item.posting.id, dedup_key(item.posting)) for item in selection.items]
        claimed = await self.digests.claim(stored.id, period, items)
        if claimed is None or not claimed.items:
            return 0
        return int(await self._send(claimed, since, selection))

    def _say_skipped(self, profile: ProfileId, period: str) -> None:
        """Say once that nothing was there; what matches later still goes out for the period."""
        if self._skipped.get(profile) != period:
            self._skipped[profile] = period
            self.emit("digest.skipped", profile=profile, period=period, why="nothing new")

    async def _send(
        self,
        claimed: ClaimedDigest,
        since: dt.datetime | None = None,
        selection: Selection | None = None,
    ) -> bool:
        """Deliver a claimed digest on every way out; if none takes it, its postings go back."""
        began = self.clock.monotonic()
        outgoing = OutgoingDigest(
            message_id=claimed.message_id,
            profile=claimed.profile.profile.name,
            period=claimed.period,
            profile_id=claimed.profile.id,
            made_at=(made_at := self.clock.utcnow()),
            digest=compose(
                claimed.profile.profile,
                claimed.items,
                now=made_at,
                since=since,
                down=await self._domains_down(),
                left_out=selection.left_out if selection else LeftOut(),
                credits=self.credits,
                expects_model=self.expects_model,
            ),
        )
        done: list[str] = []
        for way in self.deliveries:
            try:
                with self._ctx.busy(2 * SEND_WITHIN_S), trio.fail_after(SEND_WITHIN_S):
                    await way.send(outgoing)
            except DeliveryError as error:
                self._say_failed(claimed, way.name, str(error))
            except trio.TooSlowError:
                self._say_failed(claimed, way.name, "no end in time; it is not sent again")
                done.append(way.name)
            else:
                done.append(way.name)
        if not done:
            await self.digests.mark_failed(claimed.id, "no delivery took it")
            return False
        await self.digests.mark_sent(claimed.id)
        self.emit(
            "digest.sent",
            digest=claimed.id,
            profile=claimed.profile.id,
            period=claimed.period,
            items=len(claimed.items),
            delivery=done,
            duration_s=self.clock.monotonic() - began,
        )
        return True

    def _say_failed(self, claimed: ClaimedDigest, way: str, why: str) -> None:
        self.emit(
            "digest.failed",
            digest=claimed.id,
            profile=claimed.profile.id,
            period=claimed.period,
            delivery=way,
            why=why,
        )

    async def _domains_down(self) -> frozenset[Domain]:
        """Return the domains whose postings come from the store at present."""
        return frozenset(
            domain for domain, saved in await self.gates.all() if saved.tier == Tier.BACKFILL.value
        )

    async def _resolve(self) -> None:
        """Finish what a crash left claimed: send it if it surely did not go out, else mark it."""
        for claimed in await self.digests.unfinished():
            self._ctx.beat()
            answers = [await way.was_sent(claimed.message_id) for way in self.deliveries]
            surely_not_sent = False in answers and True not in answers
            if surely_not_sent and claimed.items:
                outcome = "sent" if await self._send(claimed) else "failed"
            else:
                await self.digests.mark_sent(claimed.id)
                outcome = "found_sent" if True in answers else "assumed_sent"
            self.emit(
                "digest.resolved",
                digest=claimed.id,
                profile=claimed.profile.id,
                period=claimed.period,
                outcome=outcome,
            )
