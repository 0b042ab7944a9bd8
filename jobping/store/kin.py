"""Postings of one job: found when they are stored, and again when one of them is shown.

They carry one fingerprint, that of the first of them. Two daemons that store copies of one job at
the same moment may both call it new.
"""

import asyncio
import hashlib
from collections.abc import Sequence, Set
from typing import Final

import attrs

from jobping.core.ids import SourceName
from jobping.core.match import Link, MatchedPosting
from jobping.core.posting import PostingDraft
from jobping.core.same_job import kin, same_job
from jobping.store.connection import Connection
from jobping.store.rows import clean, key_of, posting_of

MOST_LINKS: Final = 10
MOST: Final = 32  # postings, and jobs of one batch, that a new one is compared with

Key = tuple[str, str]
_Job = tuple[bytes, PostingDraft, bool]  # fingerprint, its first posting, whether that is open

# The first posting of each job among the newest of a kin; not of what closed a month ago, which may
# be wanted anew.
_FIRST = """
WITH recent AS (
    SELECT k.kin, p.id, p.fingerprint
    FROM unnest($1::bytea[]) AS k (kin)
    CROSS JOIN LATERAL (
        SELECT id, fingerprint FROM posting
        WHERE kin = k.kin AND fingerprint IS NOT NULL
          AND (closed_at IS NULL OR closed_at > now() - interval '30 days')
        ORDER BY id DESC
        LIMIT $2
    ) p
)
SELECT s.*, first.kin
FROM (SELECT kin, min(id) AS id FROM recent GROUP BY kin, fingerprint) AS first
JOIN stored_posting s ON s.id = first.id
ORDER BY s.id
"""

# Where the jobs of these fingerprints are open.
_LINKS = """
SELECT p.*
FROM unnest($1::bytea[]) AS asked (fingerprint)
CROSS JOIN LATERAL (
    SELECT fingerprint, id, source, url FROM posting
    WHERE fingerprint = asked.fingerprint AND closed_at IS NULL
    ORDER BY id
    LIMIT $2
) p
"""


@attrs.frozen(kw_only=True)
class Entry:
    """A draft with its hashes, as one row of a batch.

    Attributes:
        fingerprint: Of the job, where another posting of it is known; else its own, or None.
    """

    draft: PostingDraft
    content_hash: bytes
    fingerprint: bytes | None
    kin: bytes | None = attrs.field(init=False)

    @kin.default
    def _kin(self) -> bytes | None:
        return kin(self.draft)

    @property
    def key(self) -> Key:
        """Source and external id as they are stored."""
        return clean(self.draft.source), key_of(self.draft.external_id)


async def join_jobs(
    connection: Connection, entries: Sequence[Entry], new: Set[Key]
) -> tuple[Entry, ...]:
    """Give those entries that are new the fingerprint of the job that they are; asyncio side."""
    kins = {entry.kin for entry in entries if entry.kin and entry.key in new}
    rows = await connection.fetch(_FIRST, list(kins), MOST) if kins else ()
    jobs: dict[bytes, list[_Job]] = {kin: [] for kin in kins}
    for row in rows:
        jobs[row["kin"]].append((row["fingerprint"], posting_of(row).draft, not row["closed_at"]))
    joined: list[Entry] = []
    for entry in entries:
        others = jobs.get(entry.kin) if entry.kin and entry.key in new else None
        joined.append(entry if others is None else _joined(entry, others))
        await asyncio.sleep(0)  # texts were compared: some milliseconds
    return tuple(joined)


def _joined(entry: Entry, jobs: list[_Job]) -> Entry:
    """Return the entry with the job that it is; one that is new is added to the jobs."""
    compared = jobs[-MOST:]
    for fingerprint, draft, _ in compared:
        if same_job(draft, entry.draft):
            return attrs.evolve(entry, fingerprint=fingerprint)
    if entry.fingerprint is None:
        return entry
    if any(is_open and fingerprint == entry.fingerprint for fingerprint, _, is_open in compared):
        # Beside an open one it is a post of its own, though nothing but its id tells it apart.
        own = hashlib.sha256(entry.fingerprint + repr(entry.key).encode()).digest()
        entry = attrs.evolve(entry, fingerprint=own)
    jobs.append((entry.fingerprint or b"", entry.draft, True))
    return entry


async def with_links(
    connection: Connection, items: Sequence[MatchedPosting]
) -> tuple[MatchedPosting, ...]:
    """Add the links of each job's other open postings, at most `MOST_LINKS`; asyncio side."""
    jobs = {item.posting.fingerprint for item in items if item.posting.fingerprint}
    rows = await connection.fetch(_LINKS, list(jobs), MOST_LINKS + 1) if jobs else ()
    found: dict[bytes, list[tuple[int, Link]]] = {}
    for row in rows:
        link = Link(source=SourceName(row["source"]), url=row["url"])
        found.setdefault(row["fingerprint"], []).append((row["id"], link))
    return tuple(
        attrs.evolve(item, also=tuple(link for id, link in links if id != item.posting.id))
        if (links := found.get(item.posting.fingerprint or b"", ()))
        else item
        for item in items
    )
