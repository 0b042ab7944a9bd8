"""Everything about one person, exported and erased; a second person is never touched."""

import pytest
from store_samples import DAY_S, add_news, add_profile, draft, match_of, record, sql

from jobping.core.board import Origin
from jobping.core.profile import EXAMPLE
from jobping.errors import StoreConflict
from jobping.store.bridge import Database
from jobping.store.people import People, Person
from jobping.store.postings import Postings
from jobping.store.profiles import Profiles

# All tables that a person's rows can be in, found without the code under test.
REACHED = """
WITH RECURSIVE reached (name) AS (
    SELECT 'subscriber'::regclass
    UNION
    SELECT c.conrelid::regclass FROM pg_constraint c JOIN reached r ON c.confrelid = r.name
    WHERE c.contype = 'f' AND c.confdeltype = 'c'
)
SELECT name::text FROM reached ORDER BY 1
"""


async def settle(database: Database, name: str, email: str | None) -> Person:
    """Add a person with a row in every table, over the same two postings as everyone."""
    if not await sql(database, "SELECT FROM posting"):
        await add_news(database, draft("1"), draft("2"))
    stored = await add_profile(database, name, email=email, words=(f"wish of {name}",))
    postings = await Postings(database=database).newest_news(limit=2, within_s=DAY_S)
    await record(database, *(match_of(stored, posting) for posting in postings))
    await sql(
        database,
        "WITH d AS (INSERT INTO digest (profile_id, period, claimed_at)"
        " VALUES ($1, 'one', now() - interval '2 minutes') RETURNING id)"
        " INSERT INTO digest_item (digest_id, position, profile_id, posting_id, dedup_key)"
        " SELECT id, 1, $1, $2, 'key' FROM d",
        stored.id,
        postings[0].id,
    )
    await sql(
        database,
        "INSERT INTO ranking (key, profile_id) VALUES (sha256($2::bytea), $1)",
        stored.id,
        name.encode(),
    )
    person = await People(database=database).find(name)
    assert person is not None
    return person


async def counts(database: Database) -> dict[str, int]:
    found = {}
    for (table,) in await sql(database, REACHED):
        [(count,)] = await sql(database, f"SELECT count(*) FROM {table}")
        found[table] = count
    return found


async def samples(database: Database) -> str:
    """Return the values that the server keeps for its planner."""
    [(found,)] = await sql(database, "SELECT coalesce(string_agg(s::text, ''), '') FROM pg_stats s")
    return str(found)


async def test_export_holds_every_table_that_a_person_can_be_in(database: Database) -> None:
    ana = await settle(database, "ana", "ana@example.org")
    await settle(database, "bob", "bob@example.org")
    stored = await People(database=database).export(ana)
    reached = [table for (table,) in await sql(database, REACHED)]
    assert sorted(stored.tables) == reached
    assert all(stored.tables[table] for table in reached if table != "digest_way")
    assert [row["address"] for row in stored.tables["subscriber"]] == ["ana@example.org"]
    [wishes] = [row["wishes"] for row in stored.tables["profile"]]
    assert wishes["words"] == ["wish of ana"]
    assert [row["title"] for row in stored.postings] == ["Analyst 1", "Analyst 2"]
    assert "bob" not in repr(stored)


async def test_erasure_takes_every_row_of_a_person_and_no_other(database: Database) -> None:
    people = People(database=database)
    bob = await settle(database, "bob", "bob@example.org")
    alone = await counts(database)
    ana = await settle(database, "ana", "ana@example.org")
    await add_profile(database, "ana-too", email="ANA@example.org")
    both = await people.find("ana-too")
    assert both is not None
    assert [name for _id, name in both.profiles] == ["ana", "ana-too"]
    exported = await people.export(both)
    await sql(database, "ANALYZE")
    assert "ana@" in (await samples(database)).lower()
    erased = await people.erase(both)
    assert erased.tables == exported.tables
    await people.compact(list(erased.tables))
    assert await counts(database) == alone
    assert await people.find("ana") is await people.find("ana@example.org") is None
    assert await people.find("bob") == bob
    noted = await sql(database, "SELECT profile_id, subscriber_id FROM erasure ORDER BY 1")
    assert noted == [(id, both.subscriber) for id in both.ids]
    assert ana.ids[0] in both.ids
    left = await samples(database)
    assert "ana@" not in left.lower()
    assert "wish of ana" not in left


async def test_profile_without_an_address_is_a_person_of_its_own(database: Database) -> None:
    people = People(database=database)
    ana = await settle(database, "ana", None)
    assert ana.subscriber is None
    assert len(ana.profiles) == 1
    erased = await people.erase(ana)
    assert (erased.count, "subscriber" in erased.tables) == (6, False)
    [example] = await Profiles(database=database).all()
    assert (example.profile, example.origin) == (EXAMPLE, Origin.DEFAULT)


async def test_address_that_only_remembers_a_refusal_can_be_erased(database: Database) -> None:
    people, profiles = People(database=database), Profiles(database=database)
    await add_profile(database, email="ana@example.org")
    await sql(database, "UPDATE subscriber SET unsubscribed_at = now()")
    await profiles.remove("ana")
    ana = await people.find("Ana@Example.org")
    assert ana is not None
    assert ana.profiles == ()
    assert (await people.erase(ana)).count == 1
    assert await sql(database, "SELECT * FROM subscriber") == []


async def test_erasure_waits_for_a_digest_that_is_on_its_way(database: Database) -> None:
    people = People(database=database)
    ana = await settle(database, "ana", "ana@example.org")
    before = await counts(database)
    await sql(
        database,
        "INSERT INTO digest_way (digest_id, way, state, next_attempt_at)"
        " SELECT id, 'smtp', 'sending', now() + interval '600 s' FROM digest",
    )
    with pytest.raises(StoreConflict, match="on its way"):
        await people.erase(ana)
    assert (await counts(database)).items() >= (before | {"digest_way": 1}).items()
    await sql(database, "UPDATE digest_way SET next_attempt_at = now() + interval '500 s'")
    assert (await people.erase(ana)).count == sum(before.values()) + 1
