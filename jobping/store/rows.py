"""How values become columns and rows become values; the only module that knows both sides.

Text from outside is cleaned here, because PostgreSQL stores neither NUL nor lone surrogates.
Nothing here asks the database.
"""

import datetime as dt
import hashlib
import zoneinfo
from collections.abc import Iterable, Sequence
from decimal import Decimal

import asyncpg
import attrs
import msgspec

from jobping.core.board import Board, Origin, StoredBoard
from jobping.core.ids import (
    BoardId,
    Domain,
    ExternalId,
    PostingId,
    ProfileId,
    SourceName,
    SubscriberId,
)
from jobping.core.match import Match, MatchedPosting
from jobping.core.posting import (
    Interval,
    Location,
    PostingDraft,
    Precision,
    Remote,
    Salary,
    SalaryOrigin,
    StoredPosting,
)
from jobping.core.profile import Profile, StoredProfile
from jobping.core.schedule import DigestWish

MAX_KEY_BYTES = 1000  # an index entry holds 2,704 bytes (PostgreSQL, "B-Tree Indexes")
MAX_DIGITS, MAX_SCALE = 131_072, 16_383  # of numeric (PostgreSQL, "Arbitrary Precision Numbers")

PostingColumns = tuple[
    str, str, bytes, bytes, bytes | None, str, str | None, str, str, str,
    object, str, str, object, str | None, Decimal | None, Decimal | None, str | None,
    str | None, str | None, str, str | None, str | None, str, str | None, str,
]  # fmt: skip
"""The columns of one posting in the order of the ingest statement."""


def clean(text: str) -> str:
    """Return the text as PostgreSQL can hold it: no NUL, lone surrogates replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.replace("\0", "")


def clean_optional(text: str | None) -> str | None:
    """Clean a text that may be unknown."""
    return None if text is None else clean(text)


def key_of(external_id: str) -> ExternalId:
    """Return the id under which a posting is stored: cleaned, and shortened if too long."""
    text = clean(external_id)
    encoded = text.encode()
    if len(encoded) <= MAX_KEY_BYTES:
        return ExternalId(text)
    digest = hashlib.blake2b(encoded, digest_size=16).hexdigest()
    kept = encoded[: MAX_KEY_BYTES - len(digest) - 1].decode(errors="ignore")
    return ExternalId(f"{kept}#{digest}")


def _amount(value: Decimal | None) -> Decimal | None:
    if value is None or not value.is_finite():
        return None
    exponent = value.as_tuple().exponent
    fits = isinstance(exponent, int) and exponent >= -MAX_SCALE and value.adjusted() < MAX_DIGITS
    return value if fits else None


def _texts(values: Iterable[str]) -> str:
    return msgspec.json.encode([clean(value) for value in values]).decode()


def _places(locations: Iterable[Location]) -> str:
    cleaned = [
        Location(
            raw=clean(place.raw),
            city=clean_optional(place.city),
            region=clean_optional(place.region),
            country=clean_optional(place.country),
        )
        for place in locations
    ]
    return msgspec.json.encode(cleaned).decode()


def posting_columns(
    draft: PostingDraft, content_hash: bytes, fingerprint: bytes | None
) -> PostingColumns:
    """Return the columns of a draft; an amount that PostgreSQL cannot hold becomes unknown."""
    pay = draft.salary
    return (
        clean(draft.source), key_of(draft.external_id), content_hash, draft.source_digest,
        fingerprint, clean(draft.title), clean_optional(draft.company), clean(draft.url),
        _places(draft.locations), draft.remote.value,
        draft.posted_at, draft.posted_precision.value, clean(draft.posted_raw), draft.closes_at,
        clean(pay.raw) if pay else None,
        _amount(pay.minimum) if pay else None,
        _amount(pay.maximum) if pay else None,
        clean_optional(pay.currency) if pay else None,
        pay.interval.value if pay else None,
        pay.origin.value if pay else None,
        _texts(draft.employment), clean_optional(draft.department), clean_optional(draft.level),
        _texts(draft.tags), clean_optional(draft.language), clean(draft.description),
    )  # fmt: skip


def board_of(row: asyncpg.Record) -> StoredBoard:
    """Read a row of `board`."""
    return StoredBoard(
        id=BoardId(row["id"]),
        board=Board(
            source=SourceName(row["source"]),
            slug=row["slug"],
            company=row["company"],
            standby=row["standby"],
        ),
        domain=Domain(row["domain"]),
        origin=Origin(row["origin"]),
        polled_at=row["polled_at"],
        next_due_at=row["next_due_at"],
        failures=row["failures"],
        outcome=row["outcome"],
        counts=tuple(row["counts"]),
        suspect_since=row["suspect_since"],
    )


def _salary_of(row: asyncpg.Record) -> Salary | None:
    if row["salary_raw"] is None:
        return None
    return Salary(
        raw=row["salary_raw"],
        minimum=row["salary_minimum"],
        maximum=row["salary_maximum"],
        currency=row["salary_currency"],
        interval=Interval(row["salary_interval"]),
        origin=SalaryOrigin(row["salary_origin"]),
    )


def _draft_of(row: asyncpg.Record) -> PostingDraft:
    return PostingDraft(
        source=SourceName(row["source"]),
        external_id=ExternalId(row["external_id"]),
        title=row["title"],
        company=row["company"],
        url=row["url"],
        locations=msgspec.json.decode(row["locations"], type=tuple[Location, ...]),
        remote=Remote(row["remote"]),
        description=row["description"],
        posted_at=row["posted_at"],
        posted_precision=Precision(row["posted_precision"]),
        posted_raw=row["posted_raw"],
        closes_at=row["closes_at"],
        salary=_salary_of(row),
        employment=msgspec.json.decode(row["employment"], type=tuple[str, ...]),
        department=row["department"],
        level=row["level"],
        tags=msgspec.json.decode(row["tags"], type=tuple[str, ...]),
        language=row["language"],
        source_digest=row["source_digest"],
    )


def posting_of(row: asyncpg.Record) -> StoredPosting:
    """Read a row of the view `stored_posting`."""
    return StoredPosting(
        id=PostingId(row["id"]),
        version=row["version"],
        board_id=BoardId(row["board_id"]),
        domain=Domain(row["domain"]),
        draft=_draft_of(row),
        first_seen_at=row["first_seen_at"],
        news_at=row["news_at"],
        closed_at=row["closed_at"],
        fingerprint=row["fingerprint"],
    )


def postings_of(rows: Sequence[asyncpg.Record]) -> tuple[StoredPosting, ...]:
    """Read rows of the view `stored_posting`."""
    return tuple(posting_of(row) for row in rows)


def matched_of(row: asyncpg.Record) -> MatchedPosting:
    """Read a row of the view `matched_posting`."""
    match = Match(
        profile_id=ProfileId(row["profile_id"]),
        posting_id=PostingId(row["id"]),
        posting_version=row["matched_version"],
        score=row["score"],
        origin=row["match_origin"],
        reason=row["match_reason"],
    )
    return MatchedPosting(
        match=match, posting=posting_of(row), sent_at=row["sent_at"], last_seen=row["last_seen"]
    )


def profile_of(row: asyncpg.Record) -> StoredProfile:
    """Read a row of the view `stored_profile`."""
    wishes = msgspec.json.decode(row["wishes"], type=Profile)
    subscriber = row["subscriber_id"]
    return StoredProfile(
        id=ProfileId(row["id"]),
        version=row["version"],
        origin=Origin(row["origin"]),
        profile=attrs.evolve(wishes, email=row["email"], digest=_schedule_of(row["schedule"])),
        subscriber=None if subscriber is None else SubscriberId(subscriber),
        address=row["address"],
    )


def wishes_of(profile: Profile) -> str:
    """Return a profile as JSON text for the column `wishes`; other columns hold the rest of it."""
    cleaned = attrs.evolve(
        profile,
        words=tuple(map(clean, profile.words)),
        not_words=tuple(map(clean, profile.not_words)),
        companies=tuple(map(clean, profile.companies)),
        not_companies=tuple(map(clean, profile.not_companies)),
        places=tuple(map(clean, profile.places)),
        languages=tuple(map(clean, profile.languages)),
    )
    wishes = msgspec.to_builtins(cleaned, enc_hook=str)
    del wishes["email"], wishes["digest"]
    return msgspec.json.encode(wishes).decode()


def schedule_of(profile: Profile) -> str:
    """Return when a profile wants digests as JSON text for the column `schedule`."""
    return msgspec.json.encode(profile.digest, enc_hook=str).decode()


def _schedule_of(text: str) -> DigestWish:
    return msgspec.json.decode(text, type=DigestWish, dec_hook=_zone_of)


def _zone_of(_type: type, name: object) -> dt.tzinfo:
    """Read a time zone by its name; UTC where this machine has lost it."""
    try:
        return dt.UTC if name == "UTC" else zoneinfo.ZoneInfo(str(name))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return dt.UTC
