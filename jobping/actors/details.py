"""Which postings of a list are asked for one by one, because the list does not hold their text.

Only new and changed ones that some profile might want, and no more of them in one poll than leave
half of the site's pace to its lists. The others are stored as the list has them, so that the next
poll finds them changed and asks for their text then.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import attrs
import trio

from jobping.clock import Clock
from jobping.core.board import StoredBoard
from jobping.core.career_words import WORDS, CareerWords
from jobping.core.hard_filters import why_excluded
from jobping.core.ids import PostingId
from jobping.core.matcher import Matcher, prepare, read
from jobping.core.posting import PostingDraft, StoredPosting
from jobping.store.profiles import Profiles

SLICE: Final = 100  # profiles between two checkpoints, a few milliseconds

Wish = Callable[[PostingDraft], Awaitable[bool]]
"""Whether anybody might want the posting, by what the list says of it."""


@attrs.frozen(kw_only=True)
class Details:
    """Knows what the profiles rule out, anew for every poll.

    Attributes:
        words: Those that tell a level.
    """

    profiles: Profiles
    clock: Clock
    words: CareerWords = WORDS

    async def wish(self, row: StoredBoard) -> Wish:
        """Return what judges the postings of a board; raises StoreError."""
        words = self.words
        matchers: list[Matcher] = []
        for stored in await self.profiles.all():
            matchers.append(prepare(stored.profile, words))
            if len(matchers) % SLICE == 0:
                await trio.lowlevel.checkpoint()
        now = self.clock.utcnow()

        async def wants(draft: PostingDraft) -> bool:
            reading = read(
                StoredPosting(
                    id=PostingId(0),
                    version=0,
                    board_id=row.id,
                    domain=row.domain,
                    draft=draft,
                    first_seen_at=now,
                    news_at=None,
                    closed_at=None,
                    fingerprint=None,
                ),
                words,
            )
            for start in range(0, len(matchers), SLICE):
                some = matchers[start : start + SLICE]
                if any(why_excluded(matcher, reading, now) is None for matcher in some):
                    return True
                await trio.lowlevel.checkpoint()
            return False

        return wants
