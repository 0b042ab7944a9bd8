"""People: everything that hangs on one person, read as a whole and deleted as a whole.

What hangs on a person is what the schema's cascading keys reach from `subscriber` and `profile`;
export and erasure follow the same keys, so that they always cover the same tables.
"""

from collections import deque
from collections.abc import Sequence

import attrs
import msgspec

from jobping.core.ids import ProfileId, SubscriberId
from jobping.errors import StoreConflict
from jobping.store.bridge import Database
from jobping.store.connection import Connection
from jobping.store.digests import TAKEN_S
from jobping.store.profiles import lock_profiles, place_example

Row = dict[str, object]

# By the name of a profile, or by a mail address: all profiles of that person.
_FIND = """
WITH wanted AS (
    SELECT subscriber_id, id FROM profile WHERE name = $1
    UNION ALL
    SELECT id, NULL FROM subscriber WHERE lower(address) = lower($1)
)
SELECT w.subscriber_id, p.id, p.name
FROM wanted w LEFT JOIN profile p ON p.id = w.id OR p.subscriber_id = w.subscriber_id
ORDER BY p.id
"""

# The server writes the statements that read what hangs on a table, and quotes the names in them.
_CHILDREN = """
SELECT c.conrelid::regclass::text AS child,
       format('SELECT to_jsonb(t) FROM %s t WHERE t.%I = ANY($1::bigint[])',
              c.conrelid::regclass, a.attname) AS statement
FROM pg_constraint c
JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
WHERE c.contype = 'f' AND c.confdeltype = 'c' AND c.confrelid = $1::text::regclass
ORDER BY 1
"""

_ROOTS = {
    "subscriber": "SELECT to_jsonb(t) FROM subscriber t WHERE t.id = ANY($1::bigint[])",
    "profile": "SELECT to_jsonb(t) FROM profile t WHERE t.id = ANY($1::bigint[])",
}

_POSTINGS = """
SELECT jsonb_build_object('id', id, 'title', title, 'company', company, 'url', url)
FROM posting WHERE id = ANY($1::bigint[]) ORDER BY id
"""

# Nobody takes them now. One that was taken a minute ago has arrived or failed.
_LOCK_DIGESTS = """
SELECT w.state = 'sending' AND w.next_attempt_at > now() + make_interval(secs => $2) AS is_sending
FROM digest d JOIN digest_way w ON w.digest_id = d.id
WHERE d.profile_id = ANY($1::bigint[]) AND w.state IN ('waiting', 'sending')
FOR UPDATE OF d, w
"""

_ERASE_SUBSCRIBER = "DELETE FROM subscriber WHERE id = $1"

_ERASE_PROFILES = "DELETE FROM profile WHERE id = ANY($1::bigint[])"

_NOTE = "INSERT INTO erasure (profile_id, subscriber_id) SELECT id, $2 FROM unnest($1::bigint[]) id"

# The planner's statistics hold values too; they are made anew.
_COMPACT = """
SELECT format('VACUUM (ANALYZE) %s', string_agg(name::regclass::text, ', '))
FROM unnest($1::text[]) AS e (name)
"""


@attrs.frozen(kw_only=True)
class Person:
    """Who is behind a profile or a mail address.

    Attributes:
        subscriber: None: no mail address is known, so it is one profile alone.
        profiles: Ids and names of all their profiles.
    """

    subscriber: SubscriberId | None
    profiles: tuple[tuple[ProfileId, str], ...]

    @property
    def ids(self) -> list[ProfileId]:
        """The ids of the profiles."""
        return [id for id, _name in self.profiles]


@attrs.frozen(kw_only=True)
class Stored:
    """All that is stored about a person.

    Attributes:
        tables: Rows by table.
        postings: What the ids of postings in these rows stand for.
    """

    tables: dict[str, list[Row]]
    postings: list[Row]

    @property
    def count(self) -> int:
        """How many rows there are about the person."""
        return sum(map(len, self.tables.values()))


async def _find(connection: Connection, who: str) -> Person | None:
    """Look a person up; asyncio side."""
    rows = await connection.fetch(_FIND, who)
    if not rows:
        return None
    profiles = tuple((ProfileId(row["id"]), row["name"]) for row in rows if row["id"] is not None)
    return Person(subscriber=rows[0]["subscriber_id"], profiles=profiles)


async def _read(connection: Connection, statement: str, ids: Sequence[int]) -> list[Row]:
    rows = await connection.fetch(statement, ids)
    return [msgspec.json.decode(row[0], type=dict[str, object]) for row in rows]


def _numbers(rows: Sequence[Row], column: str) -> list[int]:
    return [id for row in rows if isinstance(id := row.get(column), int)]


async def _collect(connection: Connection, person: Person) -> dict[str, list[Row]]:
    """Follow the cascading keys; asyncio side, inside a transaction."""
    root = "profile" if person.subscriber is None else "subscriber"
    ids: Sequence[int] = person.ids if person.subscriber is None else [person.subscriber]
    found: dict[str, list[Row]] = {}
    waiting = deque([(root, _ROOTS[root], ids)])
    while waiting:
        table, statement, ids = waiting.popleft()
        if table in found:
            continue
        rows = found[table] = await _read(connection, statement, ids)
        own = _numbers(rows, "id")
        for child, below in await connection.fetch(_CHILDREN, table):
            waiting.append((child, below, own))
    return found


async def _export(connection: Connection, person: Person) -> Stored:
    """Read all about a person at one moment; asyncio side."""
    async with connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        tables = await _collect(connection, person)
        named = {id for rows in tables.values() for id in _numbers(rows, "posting_id")}
        postings = await _read(connection, _POSTINGS, sorted(named))
    return Stored(tables=tables, postings=postings)


async def _erase(connection: Connection, person: Person) -> Stored:
    """Delete all about a person; asyncio side."""
    async with connection.transaction():
        await lock_profiles(connection)
        owed = await connection.fetch(_LOCK_DIGESTS, person.ids, TAKEN_S - 60)
        if any(row["is_sending"] for row in owed):
            raise StoreConflict("a digest is on its way to this person; try again in a minute")
        tables = await _collect(connection, person)
        await connection.execute(_ERASE_SUBSCRIBER, person.subscriber)
        await connection.execute(_ERASE_PROFILES, person.ids)
        await connection.execute(_NOTE, person.ids, person.subscriber)
        await place_example(connection)
    return Stored(tables=tables, postings=[])


async def _compact(connection: Connection, tables: Sequence[str]) -> None:
    """Free what deleted rows took; asyncio side, outside a transaction."""
    await connection.execute(await connection.fetchval(_COMPACT, tables))


@attrs.define(kw_only=True)
class People:
    """The people behind profiles, each with all that hangs on them."""

    database: Database

    async def find(self, who: str) -> Person | None:
        """Return the person behind the name of a profile, or behind a mail address."""
        return await self.database.run(_find, who)

    async def export(self, person: Person) -> Stored:
        """Return all that is stored about a person."""
        return await self.database.run(_export, person)

    async def erase(self, person: Person) -> Stored:
        """Delete all that is stored about a person, and note that it was done, by ids alone.

        Returns:
            What was deleted.

        Raises:
            StoreConflict: A digest is being sent since less than a minute; nothing was deleted.
        """
        return await self.database.run(_erase, person)

    async def compact(self, tables: Sequence[str]) -> None:
        """Free the space of what was deleted, and have the server forget its samples of it."""
        await self.database.run(_compact, tables)
