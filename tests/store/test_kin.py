"""Postings of one job, found as they are stored."""

import datetime as dt

import attrs
import pytest
import trio
import trio.lowlevel
from store_samples import DAY_S, SOURCE, add_board, add_profile, draft, match_of, put, record, sql

from jobping.core import fingerprint as core_fingerprint
from jobping.core.digest import dedup_key
from jobping.core.ids import ExternalId, SourceName
from jobping.core.match import Link
from jobping.core.places import places
from jobping.core.posting import PostingDraft, StoredPosting
from jobping.store import kin
from jobping.store.bridge import Database
from jobping.store.digests import Claim, Digests
from jobping.store.matches import Matches
from jobping.store.postings import BatchStored, Postings
from tests.core.test_same_job import group, recorded
from tests.doubles.leases import fence_of
from tests.sources.conftest import RECORDINGS

LATER = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
TEXT = (
    "We look for a nurse who keeps our ward running, day and night. You like people, you write "
    "clearly, and you speak up when a figure looks wrong. We offer thirty days of leave."
)
NURSE = draft("1", title="Nurse (m/w/d)", company="Kestrel Clinics GmbH", description=TEXT)
COPY = attrs.evolve(
    NURSE,
    source=SourceName("adzuna"),
    external_id=ExternalId("a"),
    title="Nurse - Berlin",
    company="Kestrel Clinics",
    locations=places("Mitte, Berlin"),
    description=TEXT[:150],
    url="https://adzuna.example/a",
)


async def store(database: Database, *drafts: PostingDraft) -> BatchStored:
    """Store drafts in one batch, on a board of their own, with their real hashes."""
    [(boards,)] = await sql(database, "SELECT count(*)::text FROM board")
    board = await add_board(database, f"board{boards}")
    return await Postings(database=database).store(
        board.id,
        drafts,
        [core_fingerprint.content_hash(item) for item in drafts],
        [core_fingerprint.fingerprint(item) for item in drafts],
        news_after=None,
        fence=fence_of(board.domain),
    )


async def stored(database: Database) -> list[StoredPosting]:
    found = await Postings(database=database).newest_news(limit=99, within_s=DAY_S)
    return sorted(found, key=lambda posting: posting.id)


async def jobs(database: Database) -> int:
    """Count the jobs behind the postings."""
    return len({posting.fingerprint for posting in await stored(database)})


async def test_job_of_two_sources_has_one_fingerprint_whichever_comes_first(
    database: Database,
) -> None:
    assert await store(database, NURSE) == BatchStored(new=1, news=1)
    assert await store(database, COPY) == BatchStored(new=1, news=1)
    one, copy = await stored(database)
    assert copy.fingerprint == one.fingerprint == core_fingerprint.fingerprint(NURSE)
    assert copy.draft == COPY


async def test_job_given_twice_in_one_batch_has_one_fingerprint(database: Database) -> None:
    twin = attrs.evolve(NURSE, external_id=ExternalId("2"))
    other = attrs.evolve(NURSE, external_id=ExternalId("3"), title="Chief Nurse")
    await store(database, NURSE, twin, other)
    assert await jobs(database) == 2


async def test_two_posts_without_a_text_at_one_source_are_two_jobs(database: Database) -> None:
    bare = attrs.evolve(NURSE, description="")
    twin = attrs.evolve(bare, external_id=ExternalId("2"))
    await store(database, bare, twin)
    await store(database, attrs.evolve(bare, external_id=ExternalId("3")))
    assert await jobs(database) == 3
    await store(database, attrs.evolve(bare, source=COPY.source))
    assert await jobs(database) == 3


async def test_post_without_a_text_is_posted_again_when_the_other_is_closed(
    database: Database,
) -> None:
    bare = attrs.evolve(NURSE, description="")
    await store(database, bare)
    await sql(database, "UPDATE posting SET closed_at = now()")
    await store(database, attrs.evolve(bare, external_id=ExternalId("2")))
    found = await sql(database, "SELECT count(DISTINCT fingerprint) FROM posting")
    assert found == [(1,)]


async def test_recorded_postings_become_as_many_jobs_as_the_rule_makes(database: Database) -> None:
    if not RECORDINGS.is_dir():
        pytest.skip("no recordings")
    drafts = recorded()
    keys = sorted(drafts, key=lambda key: (drafts[key].source, drafts[key].external_id))
    for at in range(0, len(keys), 200):
        await store(database, *(drafts[key] for key in keys[at : at + 200]))
    expected = set(group({key: drafts[key] for key in keys}).values())
    assert await sql(database, "SELECT count(DISTINCT fingerprint) FROM posting") == [
        (len(expected),)
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"title": "Chief Nurse"},
        {"company": "Umbra"},
        {"company": None},
        {"locations": places("Hamburg, Germany")},
        {"description": TEXT.replace("our ward", "a whole house")},
    ],
)
async def test_another_job_keeps_its_own_fingerprint(
    database: Database, change: dict[str, object]
) -> None:
    await store(database, NURSE)
    await store(database, attrs.evolve(COPY, **change))
    assert await jobs(database) == 2


async def test_posting_stays_the_job_that_it_was_when_its_text_changes(database: Database) -> None:
    await store(database, NURSE)
    await store(database, attrs.evolve(NURSE, description=f"{TEXT} Apply now."))
    await store(database, attrs.evolve(COPY, description=f"{TEXT} Apply"))
    one, copy = await stored(database)
    assert (one.version, copy.version) == (2, 1)
    assert copy.fingerprint == one.fingerprint == core_fingerprint.fingerprint(NURSE)


@pytest.mark.parametrize(("days", "count"), [(29, 1), (31, 2)])
async def test_job_that_closed_a_month_ago_is_new_when_it_is_posted_again(
    database: Database, days: int, count: int
) -> None:
    await store(database, NURSE)
    close = "UPDATE posting SET closed_at = now() - make_interval(days => $1) RETURNING id"
    await sql(database, close, days)
    again = attrs.evolve(NURSE, external_id=ExternalId("2"), description=f"New: {TEXT}")
    await store(database, again)
    found = await sql(database, "SELECT count(DISTINCT fingerprint) FROM posting")
    assert found == [(count,)]


@pytest.mark.parametrize(("others", "count"), [(kin.MOST - 1, kin.MOST), (kin.MOST, kin.MOST + 2)])
async def test_new_posting_is_compared_with_the_newest_of_its_kin_only(
    database: Database, others: int, count: int
) -> None:
    crowd = [
        attrs.evolve(NURSE, external_id=ExternalId(f"x{n}"), description=f"Ward {n}: " * 20)
        for n in range(others)
    ]
    await store(database, NURSE)
    await store(database, *crowd)
    await store(database, COPY)
    assert await jobs(database) == count


async def test_digest_and_pending_carry_the_links_of_a_job_that_are_open(
    database: Database,
) -> None:
    matches, ana = Matches(database=database), await add_profile(database)
    third = attrs.evolve(COPY, source=SourceName("reed"), url="https://reed.example/r")
    shut = attrs.evolve(COPY, source=SourceName("themuse"), url="https://themuse.example/t")
    for item in (NURSE, COPY, third, shut):
        await store(database, item)
    await sql(database, "UPDATE posting SET closed_at = now() WHERE source = 'themuse'")
    one, *_ = await stored(database)
    await record(database, match_of(ana, one))
    also = (
        Link(source=COPY.source, url=COPY.url),
        Link(source=third.source, url=third.url),
    )
    [pending] = await matches.pending(ana.id, within_s=DAY_S, limit=9)
    assert (pending.posting, pending.also) == (one, also)
    digests, now = Digests(database=database), dt.datetime.now(dt.UTC)
    items = [(one.id, dedup_key(one))]
    claim = Claim(
        profile=ana.id, period="monday", items=items, ways=["files"], made_at=now, give_up_at=LATER
    )
    assert await digests.claim(claim)
    taken = await digests.take("files", by="here", utcnow=now)
    assert taken is not None
    assert [item.also for item in taken.items] == [also]
    for copy in (await stored(database))[1:]:
        await record(database, match_of(ana, copy))
    assert await matches.pending(ana.id, within_s=DAY_S, limit=9) == ()


async def test_many_of_one_kin_hold_up_nobody(database: Database) -> None:
    texts = ["".join(f"word{n * k % 997} " for k in range(1, 900)) for n in range(1, 101)]
    crowd = [
        attrs.evolve(NURSE, external_id=ExternalId(str(n)), description=text)
        for n, text in enumerate(texts)
    ]
    gaps, last = [0.0], trio.current_time()
    async with trio.open_nursery() as nursery:

        async def turn() -> None:
            nonlocal last
            while True:
                await trio.lowlevel.checkpoint()
                gaps.append(trio.current_time() - last)
                last += gaps[-1]

        nursery.start_soon(turn)
        await store(database, *crowd)
        nursery.cancel_scope.cancel()
    assert max(gaps) < sum(gaps) / 3


async def test_posting_of_an_unknown_company_has_no_links(database: Database) -> None:
    matches, ana = Matches(database=database), await add_profile(database)
    await put(database, await add_board(database), [draft("9", company=None), draft("8")])
    unknown, _ = sorted(await stored(database), key=lambda posting: posting.draft.company or "")
    await record(database, match_of(ana, unknown))
    [pending] = await matches.pending(ana.id, within_s=DAY_S, limit=9)
    assert (pending.posting.fingerprint, pending.also) == (None, ())
    assert unknown.draft.source == SOURCE
