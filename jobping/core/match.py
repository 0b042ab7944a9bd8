"""A posting scored for a profile."""

import datetime as dt
from typing import Final

import attrs

from jobping.core.ids import PostingId, ProfileId, SourceName
from jobping.core.posting import StoredPosting

LOCAL: Final = "local"
"""The origin of a match that no model has judged."""


@attrs.frozen(kw_only=True)
class Match:
    """A posting that passed a profile's hard filters.

    Attributes:
        score: 0 to 100.
        origin: The model's name, or `local`.
        reason: One sentence a person can read.
    """

    profile_id: ProfileId
    posting_id: PostingId
    posting_version: int
    score: int
    origin: str
    reason: str


@attrs.frozen(kw_only=True)
class Link:
    """Where a job is posted as well."""

    source: SourceName
    url: str


@attrs.frozen(kw_only=True)
class MatchedPosting:
    """A match together with its posting, as lists and digests need it.

    Attributes:
        sent_at: When a digest carried it, aware UTC; None where none has.
        also: The other open postings of the same job.
        last_seen: The day, in UTC, of the last poll that listed it.
    """

    match: Match
    posting: StoredPosting
    sent_at: dt.datetime | None = None
    also: tuple[Link, ...] = ()
    last_seen: dt.date | None = None
