"""Every message type that crosses a mailbox. All are frozen; answers are those of `Ask`."""

import datetime as dt

import attrs

from jobping.core.gate import GateView
from jobping.core.ids import BoardId, Domain, SourceName
from jobping.core.ladder import Tier
from jobping.core.posting import PostingDraft
from jobping.store.postings import BatchStored
from supervisors import Ask


@attrs.frozen(kw_only=True)
class BatchRefused:
    """Ingest to scraper: a rule of the schema forbids a batch, and nothing of it is stored."""

    why: str


@attrs.frozen(kw_only=True)
class StoreAway:
    """Ingest to scraper: the store does not answer; nothing of the batch is known to be stored."""

    why: str


@attrs.frozen(kw_only=True)
class StorePostings(Ask[BatchStored | BatchRefused | StoreAway]):
    """Scraper to ingest: write these drafts of one page; the answer counts what they were.

    Attributes:
        news_after: Drafts posted before it are stock; None: all are news.
    """

    board: BoardId
    drafts: tuple[PostingDraft, ...]
    news_after: dt.datetime | None


@attrs.frozen
class PostingsStored:
    """Ingest to matcher: a nudge; the matcher reads unmatched rows from the store."""


@attrs.frozen
class MatchPending(Ask[int]):
    """Cycle to matcher: match all that waits; the answer is the number of new matches."""


@attrs.frozen
class MatchesRecorded:
    """Matcher to digest: a nudge; a first digest may be due now."""


@attrs.frozen
class FirstCycleEnded(Ask[int]):
    """Cycle to digest: first digests may go out; the answer is the number of digests sent."""


@attrs.frozen(kw_only=True)
class BoardPolled:
    """Scraper to cycle: one poll of a board has ended.

    Attributes:
        ok: The walk brought a well-shaped answer that is stored.
        fault: The class of the failure; `dns` and `connect` speak of the network.
    """

    board: BoardId
    domain: Domain
    source: SourceName
    slug: str
    ok: bool
    fault: str | None


@attrs.frozen(kw_only=True)
class DomainView:
    """One domain as its actor sees it."""

    domain: Domain
    tier: Tier
    gate: GateView


@attrs.frozen
class ReadDomain(Ask[DomainView]):
    """Degradation to scraper: how does the domain stand?"""


@attrs.frozen
class ReadDomains(Ask[tuple[DomainView, ...]]):
    """Heartbeat to degradation: how do all domains stand?"""


MatcherMessage = PostingsStored | MatchPending
DigestMessage = MatchesRecorded | FirstCycleEnded
