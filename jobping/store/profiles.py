"""Profiles: who wants what, who wrote it down, where mail may go, and what is searched."""

from collections.abc import Sequence

import attrs

from jobping.core.board import Origin
from jobping.core.profile import EXAMPLE, Profile, StoredProfile
from jobping.errors import StoreConflict
from jobping.store.bridge import Database
from jobping.store.connection import Connection
from jobping.store.rows import clean, profile_of, schedule_of, wishes_of

# One writer of the list at a time, so that two cannot both judge the example profile.
_LOCK = "LOCK TABLE profile IN SHARE ROW EXCLUSIVE MODE"

# An address that is known keeps its state: confirmed stays confirmed, unsubscribed unsubscribed.
_SUBSCRIBE = """
INSERT INTO subscriber AS s (address, confirmed_at)
SELECT DISTINCT ON (lower(email)) email, CASE WHEN $2 THEN now() END
FROM unnest($1::text[]) AS e (email)
WHERE email IS NOT NULL
ORDER BY lower(email)
ON CONFLICT (lower(address)) DO UPDATE SET
    address = excluded.address, confirmed_at = coalesce(s.confirmed_at, excluded.confirmed_at)
"""

# Enters profiles of one origin; only other wishes make another version.
_ENTER = """
INSERT INTO profile AS p (name, wishes, origin, subscriber_id, schedule)
SELECT e.name, e.wishes, $3, s.id, e.schedule
FROM unnest($1::text[], $2::jsonb[], $4::text[], $5::jsonb[]) AS e (name, wishes, email, schedule)
LEFT JOIN subscriber s ON lower(s.address) = lower(e.email)
ON CONFLICT (name) DO UPDATE SET
    origin = excluded.origin, wishes = excluded.wishes, subscriber_id = excluded.subscriber_id,
    schedule = excluded.schedule,
    version = p.version + (p.wishes IS DISTINCT FROM excluded.wishes)::integer
"""

_DROP_OTHERS = "DELETE FROM profile WHERE origin = $2 AND name <> ALL($1::text[])"

# An address that nobody uses goes, unless its owner has unsubscribed: that must not be forgotten.
_DROP_UNUSED = """
DELETE FROM subscriber s
WHERE unsubscribed_at IS NULL
  AND NOT EXISTS (SELECT FROM profile p WHERE p.subscriber_id = s.id)
"""

_HAS_CHOSEN = "SELECT EXISTS (SELECT FROM profile WHERE origin <> 'default')"

_FIND = "SELECT * FROM stored_profile WHERE name = ANY($1::text[]) ORDER BY name"

_REMOVE = "DELETE FROM profile WHERE name = $1"

_ALL = "SELECT * FROM stored_profile ORDER BY name"

_UNSEARCHED = "SELECT * FROM stored_profile WHERE searched_version < version ORDER BY id"


async def lock_profiles(connection: Connection) -> None:
    """Be the only writer of the list of profiles until the transaction ends; asyncio side."""
    await connection.execute(_LOCK)


async def _replace(connection: Connection, origin: Origin, profiles: Sequence[Profile]) -> None:
    """Make the profiles of one origin these; asyncio side, inside a transaction."""
    distinct = {profile.name: profile for profile in profiles}
    await connection.execute(_DROP_OTHERS, list(distinct), origin.value)
    await _enter(connection, origin, list(distinct.values()), is_confirmed=True)
    await connection.execute(_DROP_UNUSED)


async def _enter(
    connection: Connection, origin: Origin, profiles: Sequence[Profile], *, is_confirmed: bool
) -> None:
    """Write profiles with their addresses; asyncio side, inside a transaction."""
    names = [profile.name for profile in profiles]
    emails = [profile.email for profile in profiles]
    await connection.execute(_SUBSCRIBE, emails, is_confirmed)
    wishes = [wishes_of(profile) for profile in profiles]
    schedules = [schedule_of(profile) for profile in profiles]
    await connection.execute(_ENTER, names, wishes, origin.value, emails, schedules)


async def place_example(connection: Connection) -> None:
    """Have the example exactly while there is no other; asyncio side, inside a transaction."""
    is_needed = not await connection.fetchval(_HAS_CHOSEN)
    await _replace(connection, Origin.DEFAULT, (EXAMPLE,) if is_needed else ())


async def _sync(connection: Connection, configured: Sequence[Profile]) -> None:
    """Bring the rows in line with the configuration; asyncio side."""
    async with connection.transaction():
        await lock_profiles(connection)
        await _replace(connection, Origin.FILE, configured)
        await place_example(connection)


async def _select(connection: Connection, sql: str, *values: object) -> tuple[StoredProfile, ...]:
    """Read profiles; asyncio side."""
    return tuple(map(profile_of, await connection.fetch(sql, *values)))


async def _add(
    connection: Connection, profiles: Sequence[Profile], is_confirmed: bool
) -> tuple[StoredProfile, ...]:
    """Enter profiles by command; asyncio side."""
    names = [profile.name for profile in profiles]
    async with connection.transaction():
        await lock_profiles(connection)
        await _replace(connection, Origin.DEFAULT, ())
        for present in await _select(connection, _FIND, names):
            raise StoreConflict(_say_present(present))
        await _enter(connection, Origin.COMMAND, profiles, is_confirmed=is_confirmed)
        return await _select(connection, _FIND, names)


async def _remove(connection: Connection, name: str) -> None:
    """Delete one profile and all that hangs from it; asyncio side."""
    async with connection.transaction():
        await lock_profiles(connection)
        found = await _select(connection, _FIND, [clean(name)])
        if not found:
            raise StoreConflict(f"no profile {name}; `jobping profile list` shows all")
        present = found[0]
        if present.origin is not Origin.COMMAND:
            raise StoreConflict(_say_present(present))
        await connection.execute(_REMOVE, present.profile.name)
        await connection.execute(_DROP_UNUSED)
        await place_example(connection)


def _say_present(present: StoredProfile) -> str:
    name = f"profile {present.profile.name}"
    match present.origin:
        case Origin.COMMAND:
            return f"{name} is there already; `jobping profile remove` takes it away"
        case Origin.FILE:
            return f"{name} stands in the configuration file; change it there"
        case Origin.DEFAULT:
            return f"{name} is used while there is no other; `jobping profile add` replaces it"


@attrs.define(kw_only=True)
class Profiles:
    """The profiles of the configuration file and of commands, or else the example."""

    database: Database

    async def sync(self, configured: Sequence[Profile]) -> None:
        """Bring the profiles in line with the configuration.

        A profile that left the file goes with its matches and digests; one that a command had
        added under a name of the file becomes the file's. Addresses of the file are confirmed;
        one whose owner has unsubscribed stays so.
        """
        await self.database.run(_sync, configured)

    async def all(self) -> tuple[StoredProfile, ...]:
        """Return every profile, by name."""
        return await self.database.run(_select, _ALL)

    async def add(self, profile: Profile, *, is_confirmed: bool = False) -> StoredProfile:
        """Add one profile by command; see `add_all`."""
        [added] = await self.add_all([profile], is_confirmed=is_confirmed)
        return added

    async def add_all(
        self, profiles: Sequence[Profile], *, is_confirmed: bool
    ) -> tuple[StoredProfile, ...]:
        """Add profiles by command, all or none; the example goes.

        Args:
            profiles: Each with a name of its own.
            is_confirmed: The operator vouches that the owners of the addresses want mail.

        Returns:
            The profiles by name.

        Raises:
            StoreConflict: A name is taken; the message says where that profile is changed.
        """
        return await self.database.run(_add, profiles, is_confirmed)

    async def remove(self, name: str) -> None:
        """Delete a profile that a command had added, with its matches and digests.

        The example returns when it was the last.

        Raises:
            StoreConflict: There is none, or the file owns it; the message says which.
        """
        await self.database.run(_remove, name)

    async def unsearched(self) -> tuple[StoredProfile, ...]:
        """Return the profiles whose present version has not searched the stored news yet."""
        return await self.database.run(_select, _UNSEARCHED)
