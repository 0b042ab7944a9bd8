"""Digests: claimed before they are sent, and what is owed to each way out.

A digest is claimed once for a profile and a period, with all that it carries. Each way out then has
a row of its own: taken before it is sent, and ended after. What is taken and not ended was cut
short; whoever took it, or another daemon later, finds it again.
"""

import datetime as dt
import enum
from collections.abc import Mapping, Sequence
from typing import Final

import asyncpg
import attrs

from jobping.core.consent import Purpose, make_token
from jobping.core.digest_view import Failing, LeftOut, Watch
from jobping.core.ids import DigestId, Domain, PostingId, ProfileId
from jobping.core.match import MatchedPosting
from jobping.core.profile import StoredProfile
from jobping.core.schedule import DigestHistory
from jobping.store.bridge import Database
from jobping.store.connection import Connection
from jobping.store.kin import with_links
from jobping.store.rows import clean, matched_of, profile_of

TAKEN_S: Final = 600.0
"""From then on what was taken and not ended counts as left behind; far above any sending."""

_HISTORIES = """
SELECT p.id, latest.period, latest.claimed_at, recent.count
FROM profile p
JOIN LATERAL (
    SELECT period, claimed_at FROM digest
    WHERE profile_id = p.id ORDER BY claimed_at DESC, id DESC LIMIT 1) latest ON true
JOIN LATERAL (
    SELECT count(*) FROM digest
    WHERE profile_id = p.id AND claimed_at > $1::timestamptz - interval '1 day'
      AND state <> 'empty') recent ON true
"""

# Answers nothing when the period is taken or the profile is gone. One claim of a profile at a time,
# so that rivals with the same items in another order do not deadlock.
_CLAIM = """
INSERT INTO digest (profile_id, period, claimed_at, give_up_at, left_out)
SELECT id, $2, $3, $4, $5 FROM profile WHERE id = $1 FOR NO KEY UPDATE
ON CONFLICT (profile_id, period) DO NOTHING
RETURNING id
"""

# Only matches of the profile, and nothing that it has or is getting.
_ADD_ITEMS = """
INSERT INTO digest_item (digest_id, position, profile_id, posting_id, dedup_key)
SELECT $1, item.position, m.profile_id, m.posting_id, item.dedup_key
FROM unnest($3::bigint[], $4::text[]) WITH ORDINALITY AS item (posting_id, dedup_key, position)
JOIN match m ON m.profile_id = $2 AND m.posting_id = item.posting_id
ORDER BY item.position
ON CONFLICT DO NOTHING
"""

_OWE = """
INSERT INTO digest_way (digest_id, way, next_attempt_at)
SELECT $1, way, $3 FROM unnest($2::text[]) AS e (way)
"""

_CLOSE = "UPDATE digest SET state = 'empty' WHERE id = $1"

# The longest due first; what this daemon took before and did not end at once, too.
_TAKE = """
UPDATE digest_way w
SET state = 'sending', taken_by = $2, attempts = w.attempts + 1,
    next_attempt_at = $3::timestamptz + make_interval(secs => $4)
FROM (
    SELECT w.digest_id, w.state
    FROM digest_way w JOIN digest d ON d.id = w.digest_id
    WHERE w.way = $1 AND (
        (w.state = 'waiting' AND w.next_attempt_at <= $3 AND d.give_up_at > $3)
        OR (w.state = 'sending' AND (w.taken_by = $2 OR w.next_attempt_at <= $3)))
    ORDER BY w.next_attempt_at, w.digest_id
    LIMIT 1
    FOR UPDATE OF w SKIP LOCKED
) AS next
WHERE w.digest_id = next.digest_id AND w.way = $1
RETURNING w.digest_id, w.attempts, next.state = 'sending' AS was_cut_short
"""

_TAKEN = """
SELECT d.id AS digest_id, d.period, d.message_id, d.claimed_at, d.give_up_at, d.left_out,
       p.id, p.version, p.origin, p.wishes, p.schedule, p.subscriber_id, p.email, p.address,
       (SELECT max(claimed_at) FROM digest e
        WHERE e.profile_id = p.id AND e.state = 'sent' AND e.id < d.id) AS since,
       (SELECT key FROM consent_key) AS consent_key
FROM digest d JOIN stored_profile p ON p.id = d.profile_id
WHERE d.id = $1
"""

_ITEMS = "SELECT * FROM matched_posting WHERE digest_id = $1 ORDER BY position"

# Two ways that end at once must not both find the other one unfinished.
_LOCK = "SELECT FROM digest WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE"

_END = """
UPDATE digest_way SET state = $3, error = $4, next_attempt_at = $5
WHERE digest_id = $1 AND way = $2 AND state = 'sending'
"""

_REFUSE = """
UPDATE subscriber s SET refused_at = now()
FROM digest d JOIN profile p ON p.id = d.profile_id
WHERE d.id = $1 AND s.id = p.subscriber_id AND s.address = $2
"""

_EXPIRED = """
SELECT w.digest_id
FROM digest_way w JOIN digest d ON d.id = w.digest_id
WHERE d.give_up_at <= $1 AND (w.state = 'waiting'
    OR (w.state = 'sending' AND w.next_attempt_at <= $1 AND w.way <> ALL($2::text[])))
"""

_EXPIRE = """
UPDATE digest_way w
SET state = 'failed', error = coalesce(w.error, 'its turn did not come in time')
FROM digest d
WHERE d.id = w.digest_id AND d.id = ANY($3::bigint[]) AND d.give_up_at <= $1
  AND (w.state = 'waiting'
      OR (w.state = 'sending' AND w.next_attempt_at <= $1 AND w.way <> ALL($2::text[])))
RETURNING d.id, d.profile_id, d.period, w.way, w.error
"""

# A digest has ended when no way is left to try; one that nobody got gives its postings back.
_FINISH = """
UPDATE digest d
SET state = CASE WHEN w.took = '{}' THEN 'failed' ELSE 'sent' END,
    sent_at = CASE WHEN w.took <> '{}' THEN now() END,
    failure = CASE WHEN w.took = '{}' THEN w.failure END
FROM (
    SELECT digest_id,
           coalesce(array_agg(way ORDER BY way) FILTER (WHERE state = 'sent'), '{}') AS took,
           coalesce(string_agg(way || ': ' || error, '; ' ORDER BY way), 'no way') AS failure
    FROM digest_way WHERE digest_id = ANY($1::bigint[])
    GROUP BY digest_id
    HAVING bool_and(state NOT IN ('waiting', 'sending'))
) AS w
WHERE d.id = w.digest_id AND d.state = 'claimed'
RETURNING d.id, d.profile_id, d.period, d.claimed_at, w.took,
    (SELECT count(*) FROM digest_item i WHERE i.digest_id = d.id) AS items
"""

_RELEASE_ITEMS = "DELETE FROM digest_item WHERE digest_id = ANY($1::bigint[])"

# Standby boards count while they are polled.
_WATCH = """
WITH watched AS (
    SELECT b.domain, b.polled_at, coalesce(g.tier = 'backfill', false) AS is_down,
           b.failures > 0 OR coalesce(g.tier = 'backfill', false) AS is_failing
    FROM board b LEFT JOIN domain_gate g ON g.domain = b.domain
    WHERE b.enabled AND (NOT b.standby OR b.polled_at > now() - interval '1 day')
)
SELECT domain, bool_or(is_down) AS is_down, count(*) AS boards,
       count(*) FILTER (WHERE is_failing) AS failing,
       min(polled_at) FILTER (WHERE is_failing) AS since,
       count(*) FILTER (WHERE NOT is_failing AND polled_at IS NULL) AS unread,
       min(polled_at) FILTER (WHERE NOT is_failing) AS oldest,
       max(polled_at) FILTER (WHERE NOT is_failing) AS newest
FROM watched GROUP BY domain ORDER BY domain
"""


class End(enum.Enum):
    """How one attempt of one way ended.

    Attributes:
        WAITING: It is tried again.
        SENT: It went out, or nobody can know better.
        FAILED: It is not tried again.
        SKIPPED: There was nothing to send any more, or nobody to send it to.
    """

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"
    SKIPPED = "skipped"


@attrs.frozen(kw_only=True)
class TakenDigest:
    """A digest that nobody else sends this way now.

    Attributes:
        profile: As it stands at this moment, consent included.
        unsubscribe_token: The same at every attempt; None where there is no address.
        watch: What stands behind it at this moment.
        message_id: A UUID made with the claim; the same at every attempt.
        items: What is open of what was claimed, best first.
        claimed_at: Aware UTC.
        give_up_at: It is tried until then, aware UTC.
        since: When the profile's last digest before it was made that went out, aware UTC.
        attempts: Of this way, this one included.
        was_cut_short: The attempt before this one never ended; nobody knows what became of it.
    """

    id: DigestId
    profile: StoredProfile
    unsubscribe_token: str | None
    watch: Watch
    period: str
    message_id: str
    items: tuple[MatchedPosting, ...]
    left_out: LeftOut
    claimed_at: dt.datetime
    give_up_at: dt.datetime
    since: dt.datetime | None
    attempts: int
    was_cut_short: bool


@attrs.frozen(kw_only=True)
class Finished:
    """A digest of which nothing is owed any more.

    Attributes:
        items: How many postings were claimed for it.
        took: The ways by which it went out, by name; none: its postings may go out later.
        claimed_at: Aware UTC.
    """

    id: DigestId
    profile: ProfileId
    period: str
    items: int
    took: tuple[str, ...]
    claimed_at: dt.datetime


@attrs.frozen(kw_only=True)
class Expired:
    """A way that was given up because the time of its digest was over."""

    id: DigestId
    profile: ProfileId
    period: str
    way: str
    why: str


@attrs.frozen(kw_only=True)
class Claim:
    """A digest to be claimed.

    Attributes:
        period: What it is for; at most one digest for a profile and a period.
        items: Posting and its key (the fingerprint in hexadecimal, or `row:<id>`), best first.
            Left out: a posting or key that the profile has got or is getting, and a posting that is
            no match of the profile.
        ways: The names of the ways out that it is owed to; none, or no item: the period is over.
        made_at: Aware UTC.
        give_up_at: It is tried until then, aware UTC.
        sends_empty: It goes out also without items.
    """

    profile: ProfileId
    period: str
    items: Sequence[tuple[PostingId, str]]
    ways: Sequence[str]
    made_at: dt.datetime
    give_up_at: dt.datetime
    left_out: LeftOut = attrs.field(factory=LeftOut)
    sends_empty: bool = False


async def _histories(connection: Connection, utcnow: dt.datetime) -> dict[ProfileId, DigestHistory]:
    """Read what each profile got; asyncio side."""
    return {
        ProfileId(row["id"]): DigestHistory(
            period=row["period"], since=row["claimed_at"], within_day=row["count"]
        )
        for row in await connection.fetch(_HISTORIES, utcnow)
    }


async def claim_digest(connection: Connection, claim: Claim) -> bool:
    """Claim a period with its items; asyncio side."""
    out = claim.left_out
    left_out = [out.beyond_limit, out.beyond_company, out.repeats]
    postings, keys = [id for id, _ in claim.items], [clean(key) for _, key in claim.items]
    async with connection.transaction():
        digest = await connection.fetchval(
            _CLAIM, claim.profile, clean(claim.period), claim.made_at, claim.give_up_at, left_out
        )
        if digest is None:
            return False
        added = await connection.execute(_ADD_ITEMS, digest, claim.profile, postings, keys)
        if claim.ways and (claim.sends_empty or added != "INSERT 0 0"):
            await connection.execute(_OWE, digest, claim.ways, claim.made_at)
            return True
        await connection.execute(_CLOSE, digest)
        return False


async def _take(
    connection: Connection, way: str, by: str, utcnow: dt.datetime
) -> TakenDigest | None:
    """Take the next digest of a way; asyncio side."""
    async with connection.transaction():
        taken = await connection.fetchrow(_TAKE, way, by, utcnow, TAKEN_S)
        if taken is None:
            return None
        row = await connection.fetchrow(_TAKEN, taken["digest_id"])
        items = tuple(map(matched_of, await connection.fetch(_ITEMS, taken["digest_id"])))
        if row is None:
            return None
        matched = await with_links(connection, items)
        return _taken_of(taken, row, matched, await _watch(connection))


def _taken_of(
    taken: asyncpg.Record, row: asyncpg.Record, items: tuple[MatchedPosting, ...], watch: Watch
) -> TakenDigest:
    profile = profile_of(row)
    token = None
    if profile.subscriber is not None:
        since = row["claimed_at"]
        token = make_token(row["consent_key"], profile.subscriber, Purpose.UNSUBSCRIBE, since)
    is_open = tuple(item for item in items if item.posting.closed_at is None)
    limit, company, repeats = row["left_out"]
    return TakenDigest(
        id=DigestId(row["digest_id"]),
        profile=profile,
        unsubscribe_token=token,
        watch=watch,
        period=row["period"],
        message_id=row["message_id"],
        items=is_open,
        left_out=LeftOut(
            beyond_limit=limit,
            beyond_company=company,
            repeats=repeats,
            closed=len(items) - len(is_open),
        ),
        claimed_at=row["claimed_at"],
        give_up_at=row["give_up_at"],
        since=row["since"],
        attempts=taken["attempts"],
        was_cut_short=taken["was_cut_short"],
    )


async def _end(
    connection: Connection,
    id: DigestId,
    way: str,
    end: End,
    next_attempt_at: dt.datetime,
    error: str | None,
    refused: str | None,
) -> Finished | None:
    """End an attempt; asyncio side."""
    async with connection.transaction():
        await connection.execute(_LOCK, [id])
        why = None if error is None else clean(error)
        await connection.execute(_END, id, way, end.value, why, next_attempt_at)
        if refused is not None:
            await connection.execute(_REFUSE, id, refused)
        finished = await _finish(connection, [id])
        return finished[0] if finished else None


async def _finish(connection: Connection, ids: list[DigestId]) -> tuple[Finished, ...]:
    """End the digests of which nothing is owed any more; asyncio side, inside a transaction."""
    rows = await connection.fetch(_FINISH, ids)
    await connection.execute(_RELEASE_ITEMS, [row["id"] for row in rows if not row["took"]])
    return tuple(
        Finished(
            id=DigestId(row["id"]),
            profile=ProfileId(row["profile_id"]),
            period=row["period"],
            items=row["items"],
            took=tuple(row["took"]),
            claimed_at=row["claimed_at"],
        )
        for row in rows
    )


async def _expire(
    connection: Connection, ways: Sequence[str], utcnow: dt.datetime
) -> tuple[tuple[Expired, ...], tuple[Finished, ...]]:
    """Give up what is too late; asyncio side."""
    async with connection.transaction():
        ids = sorted({row["digest_id"] for row in await connection.fetch(_EXPIRED, utcnow, ways)})
        if not ids:
            return (), ()
        await connection.execute(_LOCK, ids)
        rows = await connection.fetch(_EXPIRE, utcnow, ways, ids)
        expired = tuple(
            Expired(
                id=DigestId(row["id"]),
                profile=ProfileId(row["profile_id"]),
                period=row["period"],
                way=row["way"],
                why=row["error"],
            )
            for row in rows
        )
        return expired, await _finish(connection, ids)


async def _watch(connection: Connection) -> Watch:
    """Read what is watched; asyncio side."""
    rows = await connection.fetch(_WATCH)
    read = [row for row in rows if row["oldest"] is not None]
    return Watch(
        boards=sum(row["boards"] for row in rows),
        domains=len(rows),
        unread=sum(row["unread"] for row in rows),
        read=(min(row["oldest"] for row in read), max(row["newest"] for row in read))
        if read
        else None,
        failing=tuple(
            Failing(domain=Domain(row["domain"]), boards=row["failing"], since=row["since"])
            for row in rows
            if row["failing"]
        ),
        down=frozenset(Domain(row["domain"]) for row in rows if row["is_down"]),
    )


@attrs.define(kw_only=True)
class Digests:
    """The digests of all profiles; digest actors are their only writers."""

    database: Database

    async def histories(self, utcnow: dt.datetime) -> Mapping[ProfileId, DigestHistory]:
        """Return what each profile got so far; a profile that got nothing is not in it."""
        return await self.database.run(_histories, utcnow)

    async def claim(self, claim: Claim) -> bool:
        """Claim a period for a profile together with what its digest will carry.

        Returns:
            Whether there is now something to send; False where the period is taken, the profile is
            gone, or the period is over because nothing was left to send.
        """
        return await self.database.run(claim_digest, claim)

    async def take(self, way: str, *, by: str, utcnow: dt.datetime) -> TakenDigest | None:
        """Take the digest that is due longest by a way, or None.

        Args:
            by: Who sends, the same after a restart: what it took before and did not end comes
                first. It takes one digest of a way at a time.
            utcnow: Aware UTC.
        """
        return await self.database.run(_take, way, by, utcnow)

    async def end(
        self,
        id: DigestId,
        way: str,
        end: End,
        *,
        next_attempt_at: dt.datetime,
        error: str | None = None,
        refused: str | None = None,
    ) -> Finished | None:
        """Record how an attempt ended; a second time changes nothing.

        Args:
            next_attempt_at: Where it is tried again, aware UTC.
            error: What went wrong.
            refused: An address that gets no mail any more until it changes.

        Returns:
            The digest, if nothing of it is owed any more.
        """
        return await self.database.run(_end, id, way, end, next_attempt_at, error, refused)

    async def expire(
        self, ways: Sequence[str], utcnow: dt.datetime
    ) -> tuple[tuple[Expired, ...], tuple[Finished, ...]]:
        """Give up what was not sent in its time; return it, and the digests that ended by it.

        Args:
            ways: Those there are; what one of them has taken is its own affair.
            utcnow: Aware UTC.
        """
        return await self.database.run(_expire, ways, utcnow)

    async def watch(self) -> Watch:
        """Return what is watched for all profiles."""
        return await self.database.run(_watch)
