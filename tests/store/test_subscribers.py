import datetime as dt

import pytest
from store_samples import NOON, add_profile, sql

from jobping.core.consent import LIFE, Consent, Purpose, make_token
from jobping.core.ids import ProfileId, SubscriberId
from jobping.core.profile import StoredProfile
from jobping.store.bridge import Database
from jobping.store.profiles import Profiles
from jobping.store.subscribers import Subscribers

CONFIRM, UNSUBSCRIBE = Purpose.CONFIRM, Purpose.UNSUBSCRIBE
EMAIL = "ana@example.org"


@pytest.fixture
def people(database: Database) -> Subscribers:
    return Subscribers(database=database)


async def add_ana(database: Database) -> tuple[StoredProfile, SubscriberId]:
    ana = await add_profile(database, email=EMAIL)
    assert ana.subscriber is not None
    return ana, ana.subscriber


async def address_of(people: Subscribers, profile: ProfileId) -> str | None:
    stored = await Profiles(database=people.database).all()
    return next((one.address for one in stored if one.id == profile), None)


async def test_person_confirms_and_unsubscribes_by_token(
    database: Database, people: Subscribers
) -> None:
    ana, person = await add_ana(database)
    assert await address_of(people, ana.id) is None
    confirm = await people.token(person, CONFIRM)
    assert await people.redeem(confirm, CONFIRM)
    assert await address_of(people, ana.id) == EMAIL
    assert await people.consent(person) is Consent.CONFIRMED
    leave = await people.token(person, UNSUBSCRIBE)
    assert await people.redeem(leave, UNSUBSCRIBE)
    assert await address_of(people, ana.id) is None
    assert await people.consent(person) is Consent.UNSUBSCRIBED
    assert not await people.redeem(leave, UNSUBSCRIBE)
    assert not await people.redeem(confirm, CONFIRM)
    assert not await people.redeem(await people.token(person, CONFIRM), CONFIRM)


async def test_token_that_is_wrong_expired_used_or_foreign_changes_nothing(
    database: Database, people: Subscribers
) -> None:
    ana, person = await add_ana(database)
    long_ago = dt.datetime.now(dt.UTC) - LIFE[CONFIRM]
    refused = [
        "",
        "ana",
        await people.token(person, UNSUBSCRIBE),
        await people.token(person, CONFIRM, since=long_ago),
        await people.token(SubscriberId(person + 1), CONFIRM),
        make_token(bytes(32), person, CONFIRM, dt.datetime.now(dt.UTC)),
    ]
    assert [await people.redeem(token, CONFIRM) for token in refused] == [False] * len(refused)
    assert await people.consent(person) is Consent.UNCONFIRMED
    used = await people.token(person, CONFIRM)
    assert await people.redeem(used, CONFIRM)
    assert not await people.redeem(used, CONFIRM)
    assert await address_of(people, ana.id) == EMAIL


async def test_token_of_a_digest_is_the_same_at_every_attempt(
    database: Database, people: Subscribers
) -> None:
    _ana, person = await add_ana(database)
    tokens = {await people.token(person, UNSUBSCRIBE, since=NOON) for _attempt in range(2)}
    assert len(tokens) == 1


async def test_operator_confirms_also_after_a_person_unsubscribed(
    database: Database, people: Subscribers
) -> None:
    ana, person = await add_ana(database)
    for purpose, address in ((UNSUBSCRIBE, None), (CONFIRM, EMAIL), (UNSUBSCRIBE, None)):
        await people.obey(person, purpose)
        await people.obey(person, purpose)
        assert await address_of(people, ana.id) == address


async def test_person_who_is_gone_has_no_address_and_no_token_that_works(
    database: Database, people: Subscribers
) -> None:
    ana, person = await add_ana(database)
    token = await people.token(person, CONFIRM)
    await Profiles(database=database).remove("ana")
    again = await add_profile(database, email=EMAIL)
    assert not await people.redeem(token, CONFIRM)
    assert await people.consent(person) is None
    for profile in (ana.id, again.id, ProfileId(10**9)):
        assert await address_of(people, profile) is None


async def test_key_of_tokens_is_made_once_for_each_database(database: Database) -> None:
    [(length,)] = await sql(database, "SELECT octet_length(key) FROM consent_key")
    assert length == 32
    with pytest.raises(Exception, match="consent_key"):
        await sql(database, "INSERT INTO consent_key (key) VALUES (sha256('x'))")


async def test_address_that_a_server_refused_gets_mail_again_by_the_operators_word(
    database: Database, people: Subscribers
) -> None:
    ana, person = await add_ana(database)
    await people.obey(person, CONFIRM)
    await sql(database, "UPDATE subscriber SET refused_at = now()")
    assert await people.consent(person) is Consent.REFUSED
    assert await address_of(people, ana.id) is None
    await people.obey(person, CONFIRM)
    assert await people.consent(person) is Consent.CONFIRMED
    assert await address_of(people, ana.id) == EMAIL
