"""A backup of yesterday must not bring back who said no today."""

from collections.abc import AsyncIterator, Iterator

import pytest
import trio
from store_samples import add_profile, sql

from jobping.core.consent import Consent, Purpose
from jobping.core.profile import Profile
from jobping.store.bridge import Database, Dsn, serve_database
from jobping.store.people import People
from jobping.store.profiles import Profiles
from jobping.store.refusals import read_refusals, repeat_refusals
from jobping.store.subscribers import Subscribers
from tests.conftest import Cluster
from tests.doubles.postgres import Events


@pytest.fixture
def other_dsn(cluster: Cluster) -> Iterator[Dsn]:
    made = cluster.create()
    yield made
    cluster.drop(made)


@pytest.fixture
async def backup(database: Database, other_dsn: Dsn, events: Events) -> AsyncIterator[Database]:
    """Open a second database, as a restore makes one."""
    opened = Database()
    async with trio.open_nursery() as nursery:
        await nursery.start(
            lambda task_status: serve_database(
                opened, other_dsn, emit=events, task_status=task_status
            )
        )
        yield opened
        nursery.cancel_scope.cancel()


async def settle(database: Database) -> None:
    for name in ("ana", "bob", "cy"):
        await add_profile(database, name, email=f"{name}@example.org")
    await sql(database, "UPDATE subscriber SET confirmed_at = now()")


async def names(database: Database) -> list[object]:
    return [name for (name,) in await sql(database, "SELECT name FROM profile ORDER BY name")]


async def refuse(database: Database) -> None:
    """Have ana erased and bob unsubscribed."""
    people = People(database=database)
    ana, bob = await people.find("ana"), await people.find("bob")
    assert ana is not None
    assert bob is not None
    assert bob.subscriber is not None
    await people.erase(ana)
    await Subscribers(database=database).obey(bob.subscriber, Purpose.UNSUBSCRIBE)


async def test_restored_backup_does_not_bring_back_who_said_no(
    database: Database, backup: Database
) -> None:
    for one in (database, backup):
        await settle(one)
    await refuse(database)
    refusals = await database.run(read_refusals)
    for _time in range(2):
        await backup.run(repeat_refusals, refusals)
        assert await names(backup) == ["bob", "cy"]
    bob, cy = [await Subscribers(database=backup).consent(id) for id in (2, 3)]
    assert (bob, cy) == (Consent.UNSUBSCRIBED, Consent.CONFIRMED)
    again = await backup.run(read_refusals)
    assert again is not None
    assert refusals is not None
    assert (again.erased, again.unsubscribed) == (refusals.erased, refusals.unsubscribed)


async def test_who_came_after_the_backup_and_said_no_stays_known(
    database: Database, backup: Database
) -> None:
    for one in (database, backup):
        await settle(one)
    await add_profile(database, "dan", email="Dan@example.org")
    await add_profile(database, "eve", email="eve@example.org")
    people = People(database=database)
    dan, eve = await people.find("dan"), await people.find("eve")
    assert dan is not None
    assert dan.subscriber is not None
    assert eve is not None
    await Subscribers(database=database).obey(dan.subscriber, Purpose.UNSUBSCRIBE)
    await people.erase(eve)
    await backup.run(repeat_refusals, await database.run(read_refusals))
    profile = Profile(name="dan", email="dan@example.org")
    dan_again = await Profiles(database=backup).add(profile, is_confirmed=True)
    assert dan_again.address is None
    assert dan_again.id > max(eve.ids)  # so that eve's erasure never means anybody else
    person = await People(database=backup).find("dan")
    assert person is not None
    await People(database=backup).erase(person)


async def test_backup_of_another_database_is_left_alone(
    database: Database, backup: Database
) -> None:
    for one in (database, backup):
        await settle(one)
    await refuse(database)
    await sql(backup, "UPDATE consent_key SET key = sha256('another')")
    await backup.run(repeat_refusals, await database.run(read_refusals))
    assert await names(backup) == ["ana", "bob", "cy"]


async def test_database_without_tables_knows_of_none(database: Database) -> None:
    await sql(database, "DROP TABLE erasure")
    assert await database.run(read_refusals) is None
    await database.run(repeat_refusals, None)
