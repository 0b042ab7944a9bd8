"""The best local matches of profiles whose digest is near, given to a model to rank.

Bounded in time, and never in the way: what a model does not say in time stays as it was.
"""

import datetime as dt
from collections import deque
from collections.abc import Mapping
from typing import Final

import attrs
import trio

from jobping.actors.messages import ASKED_ALREADY, BudgetMessage, RankBatch, Ranking
from jobping.clock import Clock
from jobping.core.ids import ProfileId
from jobping.core.profile import StoredProfile
from jobping.core.prompt import Candidate
from jobping.core.schedule import DigestHistory, DigestRules, due_in_s
from jobping.core.shortlist import BATCH, is_time, shortlist
from jobping.events import Emit
from jobping.store.digests import Digests
from jobping.store.matches import Matches
from jobping.store.profiles import Profiles
from jobping.store.rankings import Rankings
from supervisors import Ref, SupervisionError

PASS_WITHIN_S: Final = 60.0  # new postings wait so long at most
ANSWER_WITHIN_S: Final = 45.0  # one batch: a call of 30 s, and its turn in the queue
PENDING_LIMIT: Final = 120  # best unsent matches from which the shortlist is made


@attrs.define(kw_only=True)
class ModelPass:
    """Lets a model rank for the profiles that are due, the one it served longest ago first.

    Attributes:
        at_once: Profiles that are ranked for at the same time.
        pending_within_s: How old news may be that still fills a digest.
    """

    budget: Ref[BudgetMessage]
    rules: DigestRules
    profiles: Profiles
    matches: Matches
    digests: Digests
    rankings: Rankings
    clock: Clock
    emit: Emit
    at_once: int = 1
    pending_within_s: float

    async def run(self, stop_requested: trio.Event) -> None:
        """Make one pass; a stop, the end of its time or of the budget ends it early."""
        async with trio.open_nursery() as nursery:
            nursery.cancel_scope.deadline = trio.current_time() + PASS_WITHIN_S
            nursery.start_soon(_cancel_at, stop_requested, nursery.cancel_scope)
            await self._rank_due()
            nursery.cancel_scope.cancel()

    async def _rank_due(self) -> None:
        served = await self.rankings.last_served()
        never = dt.datetime.min.replace(tzinfo=dt.UTC)
        profiles = await self.profiles.all()
        histories = await self.digests.histories(self.clock.utcnow())
        waiting = deque(sorted(profiles, key=lambda one: (served.get(one.id, never), one.id)))
        async with trio.open_nursery() as nursery:
            for _ in range(self.at_once):
                nursery.start_soon(self._rank_next, waiting, served, histories)

    async def _rank_next(
        self,
        waiting: deque[StoredProfile],
        served: Mapping[ProfileId, dt.datetime],
        histories: Mapping[ProfileId, DigestHistory],
    ) -> None:
        """Rank for one profile after the other until none waits; what stops one stops all."""
        while waiting:
            stored = waiting.popleft()
            left_s = due_in_s(
                stored.profile.digest.over(self.rules),
                histories.get(stored.id, DigestHistory()),
                self.clock.utcnow(),
            )
            if not is_time(BATCH, left_s):
                continue
            pending = await self.matches.pending(
                stored.id, within_s=self.pending_within_s, limit=PENDING_LIMIT
            )
            candidates = shortlist(stored.profile, pending)
            if is_time(len(candidates), left_s) and not await self._rank(
                stored, candidates, served.get(stored.id)
            ):
                waiting.clear()

    async def _rank(
        self,
        stored: StoredProfile,
        candidates: tuple[Candidate, ...],
        ranked_at: dt.datetime | None,
    ) -> bool:
        """Have the pairs of one profile ranked; say whether others should be tried, too."""
        for start in range(0, len(candidates), BATCH):
            batch = RankBatch(
                profile=stored,
                candidates=candidates[start : start + BATCH],
                deadline=trio.current_time() + ANSWER_WITHIN_S,
                ranked_at=ranked_at,
            )
            try:
                ranking = await self.budget.ask(batch, within=ANSWER_WITHIN_S)
            except SupervisionError as error:
                ranking = Ranking(why=type(error).__name__)
            changed = await self.matches.upgrade(ranking.matches)
            self.emit(
                "matches.ranked",
                level="info" if changed else "debug",
                profile=stored.id,
                pairs=len(batch.candidates),
                ranked=changed,
                why=ranking.why,
            )
            if ranking.why not in (None, ASKED_ALREADY):
                return False
        return True


async def _cancel_at(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
