"""Believable postings and profiles for the tests of ranking and digests."""

import datetime as dt

from jobping.core.board import Origin
from jobping.core.ids import BoardId, Domain, ExternalId, PostingId, ProfileId, SourceName
from jobping.core.match import Match, MatchedPosting
from jobping.core.places import places
from jobping.core.posting import PostingDraft, Precision, StoredPosting
from jobping.core.profile import Profile, StoredProfile

NOW = dt.datetime(2026, 11, 12, 8, tzinfo=dt.UTC)


def ago(days: float) -> dt.datetime:
    return NOW - dt.timedelta(days=days)


def posting(id: int = 1, *, place: str = "Berlin, Germany", days: float | None = 2, **fields):
    """A stored posting; `days` is the age of its date, None where it has none."""
    stored = {
        name: fields.pop(name)
        for name in ("first_seen_at", "news_at", "closed_at", "fingerprint", "domain")
        if name in fields
    }
    draft = {
        "source": SourceName("ashby"),
        "external_id": ExternalId(str(id)),
        "title": "Data Analyst",
        "company": "Kestrel GmbH",
        "url": f"https://jobs.example/{id}",
        "description": "You look after our figures.",
        "locations": places(place),
        "posted_at": None if days is None else ago(days),
        "posted_precision": Precision.NONE if days is None else Precision.EXACT,
    }
    first_seen_at = ago(2 if days is None else days)
    defaults = {
        "domain": Domain("api.ashbyhq.com"),
        "first_seen_at": first_seen_at,
        "news_at": first_seen_at,
        "closed_at": None,
        "fingerprint": None,
    }
    return StoredPosting(
        id=PostingId(id),
        version=1,
        board_id=BoardId(1),
        draft=PostingDraft(**{**draft, **fields}),
        **{**defaults, **stored},
    )


def profile(**fields) -> Profile:
    return Profile(**{"name": "berlin", **fields})


def stored_profile(id: int = 7, **fields) -> StoredProfile:
    return StoredProfile(
        id=ProfileId(id), version=3, origin=Origin.COMMAND, profile=profile(**fields)
    )


def matched(
    item: StoredPosting, score: int = 80, reason: str = "Matches", **fields
) -> MatchedPosting:
    match = Match(
        profile_id=ProfileId(7),
        posting_id=item.id,
        posting_version=item.version,
        score=score,
        origin="local",
        reason=reason,
    )
    return MatchedPosting(match=match, posting=item, **fields)
