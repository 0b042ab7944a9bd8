"""Whose turn it is on the individual tier: boards and postings go in rounds, so that none starves.

A round asks each board once, those with the most matches first, and goes on over as many cycles as
it needs; a board's postings have rounds of their own. A posting that is gone is asked for once a
round like any other.
"""

from collections.abc import Sequence

import attrs

from jobping.core.board import StoredBoard
from jobping.core.ids import BoardId, ExternalId
from jobping.core.posting import KnownPosting
from jobping.store.postings import Postings


@attrs.define(kw_only=True)
class Rounds:
    """The rounds of one domain."""

    postings: Postings
    _boards: frozenset[BoardId] = attrs.field(default=frozenset(), init=False)
    _asked: dict[BoardId, set[ExternalId]] = attrs.field(factory=dict, init=False)

    async def boards(self, rows: Sequence[StoredBoard]) -> list[StoredBoard]:
        """Return the boards that this round has not asked yet, or those of the next one."""
        by_id = {row.id: row for row in rows}
        if self._boards.issuperset(by_id):
            self._boards = frozenset()
        left = [id for id in by_id if id not in self._boards]
        return [by_id[id] for id in await self.postings.most_matched(left)]

    def note(self, row: StoredBoard) -> None:
        """Take that the board has had its turn."""
        self._boards |= {row.id}

    async def known(self, row: StoredBoard, limit: int) -> tuple[KnownPosting, ...]:
        """Return the postings of a board to ask for now, and note that they are."""
        asked = self._asked.setdefault(row.id, set())
        found = await self.postings.least_seen(row.id, limit=limit, but=asked)
        if not found and asked:
            asked.clear()
            found = await self.postings.least_seen(row.id, limit=limit)
        asked.update(one.external_id for one in found)
        return found
