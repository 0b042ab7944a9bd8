"""Values and small units that the tests of the tables share."""

import datetime as dt
import hashlib
from collections.abc import Awaitable, Callable, Sequence

import attrs
import trio

from jobping.core.board import Board, StoredBoard
from jobping.core.ids import Domain, ExternalId, PostingId, SourceName
from jobping.core.match import Match
from jobping.core.posting import Location, PostingDraft, StoredPosting
from jobping.core.profile import Profile, StoredProfile
from jobping.store.boards import Boards
from jobping.store.bridge import Database
from jobping.store.connection import Connection
from jobping.store.matches import Matches
from jobping.store.postings import BatchStored, Postings
from jobping.store.profiles import Profiles
from tests.doubles.leases import fence_of, hold

NOON = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
SOURCE = SourceName("greenhouse")
DAY_S = 86_400.0


async def fetch(connection: Connection, sql: str, *values: object) -> list[tuple[object, ...]]:
    return [tuple(row) for row in await connection.fetch(sql, *values)]


async def sql(database: Database, text: str, *values: object) -> list[tuple[object, ...]]:
    return await database.run(fetch, text, *values)


@attrs.define
class CountedDatabase:
    """A database that counts how often units ran: more often than asked for means a deadlock."""

    inner: Database
    asked: int = 0
    ran: int = 0

    async def run(self, unit: Callable[..., Awaitable[object]], *values: object) -> object:
        async def counted(connection: Connection) -> object:
            self.ran += 1
            return await unit(connection, *values)

        self.asked += 1
        return await self.inner.run(counted)


async def wait_for_rival(connection: Connection) -> None:
    """Return once another transaction waits for a lock, or none comes; asyncio side."""
    waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
    for _ in range(5000):
        if await connection.fetchval(waits):
            return


async def lock_upwards(
    connection: Connection, low: PostingId, high: PostingId, held: trio.Event
) -> None:
    """Lock two rows of the queue, the second once somebody waits for the first; asyncio side."""
    lock = "SELECT FROM unmatched WHERE posting_id = $1 FOR UPDATE"
    async with connection.transaction():
        await connection.execute(lock, low)
        held.set()
        await wait_for_rival(connection)
        await connection.execute(lock, high)


def hash_of(*parts: object) -> bytes:
    return hashlib.blake2b(repr(parts).encode(errors="replace"), digest_size=16).digest()


def draft(id: str, **fields: object) -> PostingDraft:
    values = {
        "source": SOURCE,
        "external_id": ExternalId(id),
        "title": f"Analyst {id}",
        "company": "Acme",
        "url": f"https://acme.example/{id}",
        "locations": (Location(raw="Berlin", city="Berlin", country="DE"),),
        "description": f"Numbers and more numbers, {id}.",
    } | fields
    values.setdefault("source_digest", hash_of("source", sorted(values.items(), key=str)))
    return PostingDraft(**values)


def content_hash(item: PostingDraft) -> bytes:
    return hash_of(item.title, item.company, item.locations, item.description)


def fingerprint(item: PostingDraft) -> bytes | None:
    if item.company is None:
        return None
    return hashlib.sha256(repr((item.title, item.company)).encode(errors="replace")).digest()


async def put(
    database: Database,
    board: StoredBoard,
    drafts: Sequence[PostingDraft],
    *,
    news_after: dt.datetime | None = None,
) -> BatchStored:
    return await Postings(database=database).store(
        board.id,
        drafts,
        [content_hash(item) for item in drafts],
        [fingerprint(item) for item in drafts],
        news_after=news_after,
        fence=fence_of(board.domain),
    )


async def add_board(database: Database, slug: str = "acme") -> StoredBoard:
    await hold(database, "boards.example")
    return await Boards(database=database).add(
        Board(source=SOURCE, slug=slug), Domain("boards.example")
    )


async def add_profile(database: Database, name: str = "ana", **wishes: object) -> StoredProfile:
    return await Profiles(database=database).add(Profile(name=name, **wishes))


async def add_news(database: Database, *drafts: PostingDraft) -> tuple[StoredPosting, ...]:
    """Store drafts as news of a board of their own; in the order given."""
    await put(database, await add_board(database, "news"), drafts)
    stored = await Postings(database=database).newest_news(limit=1000, within_s=DAY_S)
    by_id = {posting.draft.external_id: posting for posting in stored}
    return tuple(by_id[item.external_id] for item in drafts)


def match_of(profile: StoredProfile, posting: StoredPosting, score: int = 50) -> Match:
    return Match(
        profile_id=profile.id,
        posting_id=posting.id,
        posting_version=posting.version,
        score=score,
        origin="local",
        reason=f"scored {score}",
    )


async def record(database: Database, *matches: Match) -> None:
    done = [(match.posting_id, match.posting_version) for match in matches]
    await Matches(database=database).record(matches, done=done)
