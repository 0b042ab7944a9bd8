"""Every recorded answer, ingested again as it is and shuffled: nothing is new and nothing changed.

Skipped where the shared folder is absent.
"""

import random

import pytest

from jobping.core.fingerprint import content_hash, fingerprint
from jobping.core.posting import PostingDraft
from jobping.store.batch import BatchStored
from jobping.store.bridge import Database
from jobping.store.postings import Known, Postings
from tests.doubles.leases import fence_of
from tests.sources.conftest import RECORDINGS, read_answer, recorded_answers
from tests.sources.test_recordings import is_bulk
from tests.store.store_samples import add_board


async def test_recorded_answer_ingested_twice_and_shuffled_equals_once(database: Database) -> None:
    if not RECORDINGS.is_dir():
        pytest.skip("no recordings")
    postings, rng = Postings(database=database), random.Random(1)
    board = await add_board(database, "recorded")
    fence = fence_of(board.domain)

    async def ingest(drafts: list[PostingDraft]) -> BatchStored:
        hashes = [content_hash(draft) for draft in drafts]
        marks = [fingerprint(draft) for draft in drafts]
        return await postings.store(board.id, drafts, hashes, marks, news_after=None, fence=fence)

    items = 0
    for answer in filter(is_bulk, recorded_answers()):
        drafts = list(read_answer(answer).drafts)
        await ingest(drafts)
        for _ in range(2):
            again = await ingest(drafts)
            assert (again.new, again.changed) == (0, 0), answer.file
            digests = [(draft.external_id, draft.source_digest) for draft in drafts]
            known = await postings.known(answer.source.name, board.id, digests)
            assert set(known.values()) <= {Known.UNCHANGED}, answer.file
            rng.shuffle(drafts)
        items += len(drafts)
    assert items > 2_000
