"""The matcher: unmatched postings x profiles -> matches, by the local ranking.

What waits to be matched stands in the store, so a lost nudge only delays it. Local matches are
stored at once; shortly before a digest the best of them get a model's score, where the budget
allows. A digest never waits for that.
"""

from collections.abc import Sequence
from itertools import product

import attrs
import trio

from jobping.actors.messages import MatcherMessage, MatchesRecorded, MatchPending
from jobping.actors.model_pass import PASS_WITHIN_S, ModelPass
from jobping.clock import Clock
from jobping.core.career_words import WORDS, CareerWords
from jobping.core.match import Match
from jobping.core.posting import StoredPosting
from jobping.core.profile import StoredProfile
from jobping.core.ranking import match_all
from jobping.events import Emit
from jobping.store.matches import Matches
from jobping.store.postings import Postings
from jobping.store.profiles import Profiles
from supervisors import Context, Ref

LOOK_EVERY_S = 30.0  # finds edited profiles and lapsed claims without a nudge; our choice
BATCH = 200  # postings claimed at once, about 2 MB with their texts
CLAIM_FOR_S = 120.0  # a batch takes well under a second
SEARCH_LIMIT = 5_000  # newest postings that a new or edited profile is matched with
SLICE = 20  # postings ranked between two checkpoints, a few milliseconds a profile
PROFILES = 100  # for so many profiles


@attrs.define(kw_only=True)
class Matcher:
    """Ranks what is new for every profile, and everything recent for a new profile.

    Attributes:
        name: This daemon's name in claims, the same after a restart.
        search_within_s: How old news may be that a new profile's own search still finds.
        words: Those that tell a level.
        model_pass: Lets a model rank the best matches; None: all stays local.
    """

    name: str
    postings: Postings
    profiles: Profiles
    matches: Matches
    digest: Ref[MatchesRecorded]
    clock: Clock
    emit: Emit
    search_within_s: float
    words: CareerWords = WORDS
    model_pass: ModelPass | None = None
    _is_cycle_over: bool = attrs.field(default=False, init=False)

    async def run(self, ctx: Context[MatcherMessage]) -> None:
        """Match at each nudge, and every `LOOK_EVERY_S` seconds without one."""
        ctx.started()
        await self._match(ctx)
        while True:
            delivery = None
            with trio.move_on_after(LOOK_EVERY_S):
                delivery = await anext(ctx.inbox, None)
                if delivery is None:
                    return
            is_cycle = delivery is not None and isinstance(delivery.message, MatchPending)
            self._is_cycle_over = self._is_cycle_over or is_cycle
            found = await self._match(ctx)
            if delivery is not None and is_cycle:
                delivery.reply(found)

    async def _match(self, ctx: Context[MatcherMessage]) -> int:
        """Match all that waits; return how many matches were found."""
        found = await self._search_for_new_profiles(ctx)
        found += await self._match_pending(ctx)
        if self.model_pass is not None and self._is_cycle_over:  # before it, more is to come
            with ctx.busy(2 * PASS_WITHIN_S):
                await self.model_pass.run(ctx.stop_requested)
        if found:
            self.digest.tell(MatchesRecorded())
        return found

    async def _search_for_new_profiles(self, ctx: Context[MatcherMessage]) -> int:
        """Match recent news for profiles that are new or edited; a stop leaves it for later."""
        found = 0
        for stored in await self.profiles.unsearched():
            recent = await self.postings.newest_news(
                limit=SEARCH_LIMIT, within_s=self.search_within_s
            )
            matches = await self._rank((stored,), recent, ctx)
            if ctx.stop_requested.is_set():
                break
            await self.matches.record_search(stored.id, stored.version, matches)
            self.emit(
                "profile.searched",
                profile=stored.id,
                version=stored.version,
                postings=len(recent),
                matches=len(matches),
            )
            found += len(matches)
        return found

    async def _match_pending(self, ctx: Context[MatcherMessage]) -> int:
        """Match what waits, batch by batch; a stop waits for one batch at most."""
        found = 0
        profiles = await self.profiles.all()
        while not ctx.stop_requested.is_set():
            claimed = await self.matches.claim(by=self.name, limit=BATCH, for_s=CLAIM_FOR_S)
            if not claimed:
                break
            began = self.clock.monotonic()
            matches = await self._rank(profiles, claimed, ctx)
            if ctx.stop_requested.is_set():
                break  # our claims are ours again after the next start
            done = [(posting.id, posting.version) for posting in claimed]
            await self.matches.record(matches, done=done)
            found += len(matches)
            self.emit(
                "matches.recorded",
                postings=len(claimed),
                profiles=len(profiles),
                matches=len(matches),
                duration_s=self.clock.monotonic() - began,
            )
        return found

    async def _rank(
        self,
        profiles: Sequence[StoredProfile],
        postings: Sequence[StoredPosting],
        ctx: Context[MatcherMessage],
    ) -> list[Match]:
        """Rank in slices, so that other tasks run in between; a stop ends it early."""
        now = self.clock.utcnow()
        matches: list[Match] = []
        for start, first in product(
            range(0, len(postings), SLICE), range(0, len(profiles), PROFILES)
        ):
            if ctx.stop_requested.is_set():
                break
            some = profiles[first : first + PROFILES]
            matches += match_all(some, postings[start : start + SLICE], now, self.words)
            ctx.beat()
            await trio.lowlevel.checkpoint()
        return matches
