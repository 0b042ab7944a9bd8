"""Who said no since a backup was made: carried over when it is restored, so that no still holds."""

from collections.abc import Sequence

import attrs

from jobping.store.connection import Connection

_IS_OURS = "SELECT to_regclass('erasure') IS NOT NULL"

_KEY = "SELECT key FROM consent_key"

_ERASED = "SELECT profile_id, subscriber_id FROM erasure"

_UNSUBSCRIBED = "SELECT id FROM subscriber WHERE unsubscribed_at IS NOT NULL"

_ERASE_PROFILES = "DELETE FROM profile WHERE id = ANY($1::bigint[])"

_ERASE_SUBSCRIBERS = "DELETE FROM subscriber WHERE id = ANY($1::bigint[])"

_NOTE = """
INSERT INTO erasure (profile_id, subscriber_id) SELECT * FROM unnest($1::bigint[], $2::bigint[])
ON CONFLICT DO NOTHING
"""

_UNSUBSCRIBE = """
UPDATE subscriber SET unsubscribed_at = now()
WHERE id = ANY($1::bigint[]) AND unsubscribed_at IS NULL
"""


@attrs.frozen(kw_only=True)
class Refusals:
    """What people of one database have said; ids mean something only there.

    Attributes:
        key: Names the database and all its backups.
        erased: Profile and, where one was known, subscriber.
        unsubscribed: Subscribers.
    """

    key: bytes
    erased: Sequence[tuple[int, int | None]]
    unsubscribed: Sequence[int]


async def read_refusals(connection: Connection) -> Refusals | None:
    """Read them from the database that a backup is about to replace; asyncio side.

    Returns:
        None where it has no tables for them.
    """
    if not await connection.fetchval(_IS_OURS):
        return None
    return Refusals(
        key=await connection.fetchval(_KEY),
        erased=[(row[0], row[1]) for row in await connection.fetch(_ERASED)],
        unsubscribed=[row[0] for row in await connection.fetch(_UNSUBSCRIBED)],
    )


async def repeat_refusals(connection: Connection, refusals: Refusals | None) -> None:
    """Repeat them on a restored backup, if it is one of the same database; asyncio side."""
    if refusals is None or await connection.fetchval(_KEY) != refusals.key:
        return
    profiles = [profile for profile, _subscriber in refusals.erased]
    subscribers = [subscriber for _profile, subscriber in refusals.erased]
    async with connection.transaction():
        await connection.execute(_ERASE_PROFILES, profiles)
        await connection.execute(_ERASE_SUBSCRIBERS, subscribers)
        await connection.execute(_NOTE, profiles, subscribers)
        await connection.execute(_UNSUBSCRIBE, refusals.unsubscribed)
