"""Subscribers: whether mail may go to a person, said by their token or by the operator."""

import datetime as dt

import attrs

from jobping.core.consent import Consent, Purpose, make_token, read_token
from jobping.core.ids import SubscriberId
from jobping.store.bridge import Database
from jobping.store.connection import Connection

_CONSENT = """
SELECT CASE WHEN unsubscribed_at IS NOT NULL THEN 'unsubscribed'
            WHEN refused_at IS NOT NULL THEN 'refused'
            WHEN confirmed_at IS NOT NULL THEN 'confirmed' ELSE 'unconfirmed' END
FROM subscriber WHERE id = $1
"""

_KEY = "SELECT key, now() FROM consent_key"

# A token works once: a second time there is nothing left that it could change. One of before a
# refusal never revives.
_BY_TOKEN = {
    Purpose.CONFIRM: """
        UPDATE subscriber SET confirmed_at = now()
        WHERE id = $1 AND confirmed_at IS NULL AND unsubscribed_at IS NULL RETURNING id
    """,
    Purpose.UNSUBSCRIBE: """
        UPDATE subscriber SET unsubscribed_at = now()
        WHERE id = $1 AND unsubscribed_at IS NULL RETURNING id
    """,
}

_BY_WORD = {
    Purpose.CONFIRM: """
        UPDATE subscriber
        SET confirmed_at = coalesce(confirmed_at, now()), unsubscribed_at = NULL, refused_at = NULL
        WHERE id = $1
    """,
    Purpose.UNSUBSCRIBE: """
        UPDATE subscriber SET unsubscribed_at = coalesce(unsubscribed_at, now()) WHERE id = $1
    """,
}


async def _fetchval(connection: Connection, sql: str, id: int) -> str | None:
    """Read one text; asyncio side."""
    value: str | None = await connection.fetchval(sql, id)
    return value


async def _redeem(connection: Connection, token: str, purpose: Purpose) -> bool:
    """Do what a token is for; asyncio side."""
    [(key, now)] = await connection.fetch(_KEY)
    subscriber = read_token(key, token, purpose, now)
    if subscriber is None:
        return False
    return await connection.fetchval(_BY_TOKEN[purpose], subscriber) is not None


async def _obey(connection: Connection, subscriber: SubscriberId, purpose: Purpose) -> None:
    """Do what the operator says; asyncio side."""
    await connection.execute(_BY_WORD[purpose], subscriber)


async def _token(
    connection: Connection, subscriber: SubscriberId, purpose: Purpose, since: dt.datetime | None
) -> str:
    """Make a token; asyncio side."""
    [(key, now)] = await connection.fetch(_KEY)
    return make_token(key, subscriber, purpose, since or now)


@attrs.define(kw_only=True)
class Subscribers:
    """The people behind profiles."""

    database: Database

    async def consent(self, subscriber: SubscriberId) -> Consent | None:
        """Return what a person has said; None if there is no such person."""
        said = await self.database.run(_fetchval, _CONSENT, subscriber)
        return None if said is None else Consent(said)

    async def token(
        self, subscriber: SubscriberId, purpose: Purpose, *, since: dt.datetime | None = None
    ) -> str:
        """Return a token, which `jobping profile confirm` or `unsubscribe` takes.

        Args:
            since: When its life (`LIFE`) begins, aware UTC; None: now. A digest that gives the
                time of its claim has the same token at every attempt to send it.
        """
        return await self.database.run(_token, subscriber, purpose, since)

    async def redeem(self, token: str, purpose: Purpose) -> bool:
        """Do what a token is for.

        Returns:
            False if it is wrong, of another installation or purpose, too old or used: the
            caller learns no more than this, and nor may whoever sent it.
        """
        return await self.database.run(_redeem, token, purpose)

    async def obey(self, subscriber: SubscriberId, purpose: Purpose) -> None:
        """Do by the operator's word what a token could, at any time, in whatever order."""
        await self.database.run(_obey, subscriber, purpose)
