"""Who said no since a backup was made: carried over when it is restored, so that no still holds."""

from collections.abc import Sequence

import attrs

from jobping.store.connection import Connection

_IS_OURS = "SELECT to_regclass('erasure') IS NOT NULL"

_KEY = "SELECT key FROM consent_key"

_ERASED = "SELECT profile_id, subscriber_id FROM erasure"

_UNSUBSCRIBED = "SELECT address FROM subscriber WHERE unsubscribed_at IS NOT NULL"

_NEXT_IDS = "SELECT nextval('profile_id_seq'), nextval('subscriber_id_seq')"

_ERASE_PROFILES = "DELETE FROM profile WHERE id = ANY($1::bigint[])"

_ERASE_SUBSCRIBERS = "DELETE FROM subscriber WHERE id = ANY($1::bigint[])"

_NOTE = """
INSERT INTO erasure (profile_id, subscriber_id) SELECT * FROM unnest($1::bigint[], $2::bigint[])
ON CONFLICT DO NOTHING
"""

# Also of people that the backup does not know: the configuration may name them.
_UNSUBSCRIBE = """
INSERT INTO subscriber AS s (address, unsubscribed_at)
SELECT address, now() FROM unnest($1::text[]) AS e (address)
ON CONFLICT (lower(address)) DO UPDATE SET unsubscribed_at = now() WHERE s.unsubscribed_at IS NULL
"""

# An id that was given away once means nobody else ever.
_GO_ON = """
SELECT setval('profile_id_seq', greatest(nextval('profile_id_seq'), $1)),
       setval('subscriber_id_seq', greatest(nextval('subscriber_id_seq'), $2))
"""


@attrs.frozen(kw_only=True)
class Refusals:
    """What people of one database have said; ids mean something only there.

    Attributes:
        key: Names the database and all its backups.
        erased: Profile and, where one was known, subscriber.
        unsubscribed: Addresses.
        next_ids: Of a profile and of a subscriber; lower ones may have been given away.
    """

    key: bytes
    erased: Sequence[tuple[int, int | None]]
    unsubscribed: Sequence[str]
    next_ids: tuple[int, int]


async def read_refusals(connection: Connection) -> Refusals | None:
    """Read them from the database that a backup is about to replace; asyncio side.

    Returns:
        None where it has no tables for them.
    """
    if not await connection.fetchval(_IS_OURS):
        return None
    [(profile, subscriber)] = await connection.fetch(_NEXT_IDS)
    return Refusals(
        key=await connection.fetchval(_KEY),
        erased=[(row[0], row[1]) for row in await connection.fetch(_ERASED)],
        unsubscribed=[row[0] for row in await connection.fetch(_UNSUBSCRIBED)],
        next_ids=(profile, subscriber),
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
        await connection.fetch(_GO_ON, *refusals.next_ids)
        await connection.execute(_UNSUBSCRIBE, refusals.unsubscribed)
