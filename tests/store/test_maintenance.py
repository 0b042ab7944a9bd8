import pytest
import trio
from store_samples import add_news, add_profile, draft, match_of, record, sql

import jobping.store.maintenance as maintenance
from jobping.core.retention import Retention
from jobping.store.bridge import Database
from jobping.store.maintenance import Maintenance

KEEP = Retention(digests=400, matches=180, rankings=90, closed_postings=60)

ADD_DIGEST = """
INSERT INTO digest (profile_id, period, state, sent_at, claimed_at)
SELECT $1, $2, $3, CASE WHEN $3 = 'sent' THEN now() END, now() - make_interval(days => $4)
RETURNING id
"""

ADD_ITEM = """
INSERT INTO digest_item (digest_id, position, profile_id, posting_id, dedup_key)
VALUES ($1, 1, $2, $3, $4)
"""


async def add_digest(
    database: Database, profile: int, period: str, *, days: int, state: str = "sent"
) -> int:
    [(id,)] = await sql(database, ADD_DIGEST, profile, period, state, days)
    assert isinstance(id, int)
    return id


async def age(database: Database, posting: int, column: str, days: int) -> None:
    # the tests name the columns
    await sql(
        database,
        f"UPDATE posting SET {column} = now() - make_interval(days => $2) WHERE id = $1",
        posting,
        days,
    )


async def test_old_digests_go_but_for_the_latest_of_each_profile(database: Database) -> None:
    ana, bob = await add_profile(database), await add_profile(database, "bob")
    postings = await add_news(database, draft("1"), draft("2"))
    old = await add_digest(database, ana.id, "one", days=402)
    latest = await add_digest(database, ana.id, "two", days=401)
    for digest, posting in zip((old, latest), postings, strict=True):
        await sql(database, ADD_ITEM, digest, ana.id, posting.id, f"row:{posting.id}")
    await add_digest(database, bob.id, "one", days=402, state="claimed")
    await add_digest(database, bob.id, "two", days=399)
    await add_digest(database, bob.id, "three", days=1)
    gone = await Maintenance(database=database).expire(KEEP)
    assert gone == {"digests": 1, "matches": 0, "rankings": 0, "closed_postings": 0}
    left = await sql(database, "SELECT profile_id, period FROM digest ORDER BY id")
    assert left == [(ana.id, "two"), (bob.id, "one"), (bob.id, "two"), (bob.id, "three")]
    assert await sql(database, "SELECT digest_id FROM digest_item") == [(latest,)]


async def test_old_matches_go_while_their_posting_stays(database: Database) -> None:
    ana = await add_profile(database)
    old, new = await add_news(database, draft("1"), draft("2"))
    await record(database, match_of(ana, old), match_of(ana, new))
    await age(database, old.id, "news_at", 181)
    assert (await Maintenance(database=database).expire(KEEP))["matches"] == 1
    assert await sql(database, "SELECT posting_id FROM match") == [(new.id,)]
    assert await sql(database, "SELECT count(*) FROM posting") == [(2,)]


async def test_postings_closed_long_ago_go_with_their_matches_and_keep_their_key(
    database: Database,
) -> None:
    ana = await add_profile(database)
    closed, open_ = await add_news(database, draft("1"), draft("2"))
    await record(database, match_of(ana, closed), match_of(ana, open_))
    digest = await add_digest(database, ana.id, "one", days=61)
    await sql(database, ADD_ITEM, digest, ana.id, closed.id, "its key")
    await age(database, closed.id, "closed_at", 61)
    await age(database, open_.id, "first_seen_at", 1000)
    assert (await Maintenance(database=database).expire(KEEP))["closed_postings"] == 1
    assert await sql(database, "SELECT id FROM posting") == [(open_.id,)]
    assert await sql(database, "SELECT posting_id FROM posting_text") == [(open_.id,)]
    items = await sql(database, "SELECT posting_id, dedup_key FROM digest_item")
    assert items == [(None, "its key")]


async def test_all_goes_in_batches_also_with_two_daemons_at_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "BATCH", 10)
    monkeypatch.setattr(maintenance, "PAUSE_S", 0.0)
    ana = await add_profile(database)
    await sql(
        database,
        "INSERT INTO ranking (key, profile_id, asked_at) SELECT sha256(n::text::bytea), $1,"
        " now() - make_interval(days => CASE WHEN n <= 95 THEN 91 ELSE 89 END)"
        " FROM generate_series(1, 100) n",
        ana.id,
    )
    gone = []

    async def expire() -> None:
        gone.append((await Maintenance(database=database).expire(KEEP))["rankings"])

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(expire)
            nursery.start_soon(expire)
    assert sum(gone) == 95
    assert await sql(database, "SELECT count(*) FROM ranking") == [(5,)]
