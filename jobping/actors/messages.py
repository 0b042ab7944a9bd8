"""Every message type that crosses a mailbox. All are frozen; answers are those of `Ask`."""

import datetime as dt
from typing import Final

import attrs

from jobping.core.gate_state import GateView
from jobping.core.ids import BoardId, Domain, SourceName
from jobping.core.ladder import Tier
from jobping.core.match import Match
from jobping.core.order import Order
from jobping.core.posting import PostingDraft
from jobping.core.profile import StoredProfile
from jobping.core.prompt import Candidate
from jobping.core.tenure import Fence
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


@attrs.frozen
class BatchFenced:
    """Ingest to scraper: the domain has another owner by now; nothing of a batch is stored."""


BatchAnswer = BatchStored | BatchRefused | BatchFenced | StoreAway


@attrs.frozen(kw_only=True)
class StorePostings(Ask[BatchAnswer]):
    """Scraper to ingest: write these drafts of one page; the answer counts what they were.

    Attributes:
        news_after: Drafts posted before it are stock; None: all are news.
        fence: Of the lease under which they were fetched.
    """

    board: BoardId
    drafts: tuple[PostingDraft, ...]
    news_after: dt.datetime | None
    fence: Fence


@attrs.frozen
class PostingsStored:
    """Ingest to matcher: a nudge; the matcher reads unmatched rows from the store."""


@attrs.frozen
class MatchPending(Ask[int]):
    """Cycle to matcher: match all that waits; the answer is the number of new matches."""


ASKED_ALREADY: Final = "asked already"
"""Why a `Ranking` lacks pairs that another daemon asks about now; other pairs may be asked."""


@attrs.frozen(kw_only=True)
class Ranking:
    """Budget to matcher: what a model says about pairs.

    Attributes:
        matches: The pairs that a model judged, now or before; all others stay local.
        why: Why no further pair can be ranked; None: nothing stands against it.
    """

    matches: tuple[Match, ...] = ()
    why: str | None = None


@attrs.frozen(kw_only=True)
class RankBatch(Ask[Ranking]):
    """Matcher to budget: let a model rank these pairs of one profile, as far as money reaches.

    Attributes:
        deadline: Of Trio's clock; no call begins after it, and none lasts longer.
        ranked_at: When a model last ranked for the profile, aware UTC; who waits longest is first.
    """

    profile: StoredProfile
    candidates: tuple[Candidate, ...]
    deadline: float
    ranked_at: dt.datetime | None = None


@attrs.frozen
class MatchesRecorded:
    """Matcher to digest: a nudge; a first digest may be due now."""


@attrs.frozen
class JudgeSupply(Ask[bool]):
    """Cycle to supply: do all boards find enough? True: a standby domain came in."""


@attrs.frozen
class FirstCycleEnded(Ask[int]):
    """Cycle to digest: first digests may go out; the answer is the number of digests sent."""


@attrs.frozen(kw_only=True)
class BoardPolled:
    """Scraper to cycle: one poll of a board has ended.

    Attributes:
        ok: The walk brought a well-shaped answer that is stored.
        fault: The class of the failure.
    """

    board: BoardId
    domain: Domain
    source: SourceName
    slug: str
    ok: bool
    fault: str | None


@attrs.frozen(kw_only=True)
class DomainView:
    """One domain as its actor sees it.

    Attributes:
        next_in_s: Seconds until its next request may leave; None: no moment is known.
        waits_for: What it waits for until then: `schedule`, `trial`, `network`, or a reason of its
            gate.
        succeeded_at: When a board of it was last polled well, aware UTC; None: never.
    """

    domain: Domain
    tier: Tier
    gate: GateView
    next_in_s: float | None = None
    waits_for: str | None = None
    succeeded_at: dt.datetime | None = None


@attrs.frozen
class OrderRefused:
    """An operator's order was not carried out."""

    why: str


@attrs.frozen
class ReadDomain(Ask[DomainView]):
    """Degradation to scraper: how does the domain stand?"""


@attrs.frozen
class ObeyOrder(Ask[DomainView | OrderRefused]):
    """Degradation to scraper: do as the operator says; the answer is how the domain stands then."""

    order: Order


@attrs.frozen(kw_only=True)
class DomainsView:
    """All domains that have boards.

    Attributes:
        views: Those that this daemon polls, by domain.
        silent: Of these, those that gave no answer in time: they restart, or the database is slow.
        elsewhere: Those whose lease another daemon holds.
    """

    views: tuple[DomainView, ...]
    silent: tuple[Domain, ...] = ()
    elsewhere: tuple[Domain, ...] = ()


@attrs.frozen
class ReadDomains(Ask[DomainsView]):
    """Heartbeat or control to degradation: how do all domains stand?"""


@attrs.frozen
class BoardsChanged:
    """Supply to degradation: a nudge; other boards are polled now."""


@attrs.frozen(kw_only=True)
class OrderDomain(Ask[DomainView | OrderRefused]):
    """Control to degradation: an operator's order to one domain."""

    domain: str
    order: Order


BudgetMessage = RankBatch
MatcherMessage = PostingsStored | MatchPending
DigestMessage = MatchesRecorded | FirstCycleEnded
ScraperMessage = ReadDomain | ObeyOrder
DegradationMessage = ReadDomains | OrderDomain | BoardsChanged
