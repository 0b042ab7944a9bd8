from decimal import Decimal

import attrs
import pytest
from store_samples import NOON, add_news, add_profile, draft, match_of, record, sql

from jobping.core.board import Origin
from jobping.core.posting import Interval
from jobping.core.profile import EXAMPLE, Level, PayFloor, Profile, RemoteWish
from jobping.errors import StoreConflict
from jobping.store.bridge import Database
from jobping.store.digests import Claim, Digests
from jobping.store.matches import Matches
from jobping.store.profiles import Profiles

FULL = Profile(
    name="ana",
    words=("data analyst", "Ärztin", "\N{PERSONAL COMPUTER}"),
    not_words=("senior",),
    companies=('Say "Hi" GmbH',),
    not_companies=("Evil, Inc.",),
    places=("DE", "Lisboa"),
    remote=RemoteWish.ONLY,
    levels=(Level.INTERN, Level.LEAD),
    pay_floor=PayFloor(amount=Decimal("52000.50"), currency="EUR", interval=Interval.MONTH),
    languages=("de", "en"),
    max_items=3,
    max_per_company=1,
)
BOB = Profile(name="bob")


async def origins(profiles: Profiles) -> dict[str, Origin]:
    return {row.profile.name: row.origin for row in await profiles.all()}


async def test_profile_comes_back_with_every_field(database: Database) -> None:
    profiles = Profiles(database=database)
    added = await profiles.add(FULL)
    assert (added.profile, added.version, added.origin) == (FULL, 1, Origin.COMMAND)
    assert await profiles.all() == (added,)


async def test_profile_with_text_that_postgres_refuses_is_cleaned(database: Database) -> None:
    added = await Profiles(database=database).add(Profile(name="ana", words=("a\0b", "c\ud800")))
    assert added.profile.words == ("ab", "c\N{REPLACEMENT CHARACTER}")


async def test_example_is_used_while_there_is_no_profile(database: Database) -> None:
    profiles = Profiles(database=database)
    await profiles.sync([])
    await profiles.sync([])
    [example] = await profiles.all()
    assert (example.profile, example.origin, example.version) == (EXAMPLE, Origin.DEFAULT, 1)


async def test_example_goes_with_the_first_profile_and_returns_after_the_last(
    database: Database,
) -> None:
    profiles = Profiles(database=database)
    await profiles.sync([])
    await profiles.add(FULL)
    assert await origins(profiles) == {"ana": Origin.COMMAND}
    await profiles.add(BOB)
    await profiles.remove("ana")
    assert await origins(profiles) == {"bob": Origin.COMMAND}
    await profiles.remove("bob")
    assert await origins(profiles) == {"example": Origin.DEFAULT}


async def test_example_goes_when_the_file_names_a_profile(database: Database) -> None:
    profiles = Profiles(database=database)
    await profiles.sync([])
    await profiles.sync([FULL])
    assert await origins(profiles) == {"ana": Origin.FILE}
    await profiles.sync([])
    assert await origins(profiles) == {"example": Origin.DEFAULT}


async def test_profile_named_like_the_example_can_be_added(database: Database) -> None:
    profiles = Profiles(database=database)
    await profiles.sync([])
    own = attrs.evolve(FULL, name="example")
    await profiles.add(own)
    await profiles.sync([])
    assert [(row.profile, row.origin) for row in await profiles.all()] == [(own, Origin.COMMAND)]


async def test_sync_follows_the_file_and_leaves_commands_alone(database: Database) -> None:
    profiles = Profiles(database=database)
    await profiles.add(BOB)
    await profiles.sync([FULL])
    assert await origins(profiles) == {"ana": Origin.FILE, "bob": Origin.COMMAND}
    await profiles.sync([])
    assert await origins(profiles) == {"bob": Origin.COMMAND}
    await profiles.sync([BOB])
    assert await origins(profiles) == {"bob": Origin.FILE}


async def test_profile_edited_in_the_file_is_unsearched_again(database: Database) -> None:
    profiles = Profiles(database=database)
    await profiles.sync([FULL])
    [first] = await profiles.unsearched()
    await Matches(database=database).record_search(first.id, first.version, [])
    await profiles.sync([FULL])
    assert await profiles.unsearched() == ()
    edited = attrs.evolve(FULL, words=("nurse",))
    await profiles.sync([edited])
    assert await profiles.unsearched() == (attrs.evolve(first, version=2, profile=edited),)


async def test_add_refuses_a_name_that_is_taken(database: Database) -> None:
    profiles = Profiles(database=database)
    await profiles.sync([FULL])
    with pytest.raises(StoreConflict, match="ana stands in the configuration file"):
        await profiles.add(attrs.evolve(FULL, words=()))
    await profiles.add(BOB)
    with pytest.raises(StoreConflict, match="bob is there already"):
        await profiles.add(BOB)
    assert {row.profile for row in await profiles.all()} == {FULL, BOB}


async def test_remove_names_who_owns_a_profile_that_no_command_added(database: Database) -> None:
    profiles = Profiles(database=database)
    await profiles.sync([])
    with pytest.raises(StoreConflict, match="`jobping profile add` replaces it"):
        await profiles.remove("example")
    await profiles.sync([FULL])
    with pytest.raises(StoreConflict, match="stands in the configuration file"):
        await profiles.remove("ana")
    with pytest.raises(StoreConflict, match="no profile nobody"):
        await profiles.remove("nobody")
    assert await origins(profiles) == {"ana": Origin.FILE}


EMAIL = "Ana@Example.org"
WITH_EMAIL = attrs.evolve(FULL, email=EMAIL)


async def unsubscribe(database: Database) -> None:
    await sql(database, "UPDATE subscriber SET unsubscribed_at = now()")


async def test_address_added_by_command_waits_for_confirmation(database: Database) -> None:
    added = await Profiles(database=database).add(WITH_EMAIL)
    assert (added.profile, added.address) == (WITH_EMAIL, None)
    assert added.subscriber is not None


async def test_address_that_the_operator_vouches_for_takes_mail(database: Database) -> None:
    profiles = Profiles(database=database)
    added = await profiles.add(WITH_EMAIL, is_confirmed=True)
    assert added.address == EMAIL
    await profiles.sync([attrs.evolve(BOB, email="bob@example.org")])
    assert [row.address for row in await profiles.all()] == [EMAIL, "bob@example.org"]


async def test_address_is_one_subscriber_in_whatever_case(database: Database) -> None:
    profiles = Profiles(database=database)
    first = await profiles.add(WITH_EMAIL)
    second = await profiles.add(attrs.evolve(BOB, email=EMAIL.lower()), is_confirmed=True)
    assert first.subscriber == second.subscriber
    assert [row.address for row in await profiles.all()] == [EMAIL.lower()] * 2


async def test_unsubscribed_address_is_not_revived_by_file_or_command(database: Database) -> None:
    profiles = Profiles(database=database)
    await profiles.sync([WITH_EMAIL])
    await unsubscribe(database)
    await profiles.sync([WITH_EMAIL])
    await profiles.sync([])
    await profiles.sync([WITH_EMAIL])
    await profiles.add(attrs.evolve(BOB, email=EMAIL.upper()), is_confirmed=True)
    assert [row.address for row in await profiles.all()] == [None, None]


async def test_address_that_no_profile_uses_is_forgotten(database: Database) -> None:
    profiles = Profiles(database=database)
    await profiles.sync([WITH_EMAIL])
    await profiles.sync([attrs.evolve(FULL, email="new@example.org")])
    assert await sql(database, "SELECT address FROM subscriber") == [("new@example.org",)]
    await profiles.add(attrs.evolve(BOB, email="bob@example.org"))
    await profiles.remove("bob")
    await profiles.sync([FULL])
    assert await sql(database, "SELECT address FROM subscriber") == []


async def test_other_address_is_no_other_version(database: Database) -> None:
    profiles = Profiles(database=database)
    await profiles.sync([FULL])
    await profiles.sync([WITH_EMAIL])
    [stored] = await profiles.all()
    assert (stored.version, stored.profile.email) == (1, EMAIL)
    [(wishes,)] = await sql(database, "SELECT wishes::text FROM profile")
    assert "email" not in wishes


async def test_profile_removed_takes_every_row_about_it_along(database: Database) -> None:
    ana, bob = await add_profile(database, "ana"), await add_profile(database, "bob")
    postings = await add_news(database, draft("1"), draft("2"))
    await record(database, *(match_of(who, posting) for who in (ana, bob) for posting in postings))
    items = [(posting.id, f"row:{posting.id}") for posting in postings]
    for who in (ana, bob):
        claim = Claim(
            profile=who.id,
            period="monday",
            items=items,
            ways=["files"],
            made_at=NOON,
            give_up_at=NOON,
        )
        assert await Digests(database=database).claim(claim)
    await Profiles(database=database).remove("ana")
    for table in ("match", "digest", "digest_item"):
        rows = await sql(database, f"SELECT DISTINCT profile_id FROM {table}")
        assert rows == [(bob.id,)], table


@pytest.mark.parametrize(
    ("owner", "tables"),
    [("profile", ["digest", "digest_item", "match", "ranking"]), ("subscriber", ["profile"])],
)
async def test_every_column_that_names_a_person_cascades(
    database: Database, owner: str, tables: list[str]
) -> None:
    named = await sql(
        database,
        "SELECT table_name::text FROM information_schema.columns JOIN information_schema.tables"
        " USING (table_schema, table_name) WHERE column_name = $1 || '_id'"
        " AND table_type = 'BASE TABLE' AND table_name <> 'erasure' ORDER BY 1",
        owner,
    )
    cascading = await sql(
        database,
        "SELECT conrelid::regclass::text FROM pg_constraint WHERE contype = 'f'"
        " AND confrelid = $1::regclass AND confdeltype = 'c' ORDER BY 1",
        owner,
    )
    assert cascading == named == [(table,) for table in tables]
