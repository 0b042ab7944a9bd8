"""Backfill: what is stored stands in where boards cannot be read or list too little.

News of any board stays on offer to digests as long as it is recent; what is added is recent stock,
which is matched for no one otherwise. Digests mark both with their age.
"""

from collections.abc import Iterable

import attrs

from jobping.actors.messages import PostingsStored
from jobping.core.board import StoredBoard
from jobping.store.postings import Postings
from supervisors import Ref


@attrs.frozen(kw_only=True)
class Backfill:
    """Offers stored postings again.

    Attributes:
        within_s: How recent a posting must be.
        most: Most postings at a time, the newest first.
    """

    postings: Postings
    matcher: Ref[PostingsStored]
    within_s: float
    most: int

    async def offer(self, rows: Iterable[StoredBoard]) -> int:
        """Let digests carry recent postings of these boards; return how many there are."""
        boards = [row.id for row in rows]
        found = await self.postings.offer_stock(boards, within_s=self.within_s, limit=self.most)
        self.matcher.tell(PostingsStored())
        return found
