"""One poll: a walk over a board, page by page, each page stored before the next is asked for."""

import datetime as dt
import enum
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, assert_never

import attrs
import trio

from jobping.actors.domain_gate import DomainGate
from jobping.actors.messages import BatchRefused, StoreAway, StorePostings
from jobping.core import walk
from jobping.core.addresses import domain_of, follow
from jobping.core.board import Route, StoredBoard
from jobping.core.page import Page, PageRequest, Redirected
from jobping.core.posting import PostingDraft
from jobping.core.walk import (
    BoardGone,
    Complete,
    Drift,
    Limited,
    Parsed,
    Partial,
    Rejected,
    Walk,
    WalkEnd,
)
from jobping.errors import (
    Blocked,
    FetchError,
    MalformedPage,
    StoreUnavailable,
    Unavailable,
    Unreached,
)
from jobping.sources.source import RawItem, Source
from jobping.store.postings import BatchStored, Known, Postings
from supervisors import Ref

MAX_REDIRECTS: Final = 5  # design/fetch.md section 6
STORE_WITHIN_S: Final = 60.0  # ingest may be busy with other domains' pages
BATCH: Final = 200  # drafts handed over at once, about 2 MB with their texts


MALFORMED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "wire_bytes": "the answer is larger than we take",
        "decoded_bytes": "the unpacked answer is larger than we take",
        "ratio": "the answer is far larger unpacked than packed",
        "gzip": "the packed answer is broken",
        "gzip_cut": "the packed answer is cut short",
        "gzip_members": "the packed answer has too many parts",
        "content_encoding": "the answer is packed in a way that was not asked for",
        "chunks": "the answer comes in too many pieces",
    }
)
"""What `fetch` says of an unreadable answer in one word, for people."""

Failure = FetchError | MalformedPage | BoardGone


class Health(enum.Enum):
    """What a poll says of its domain."""

    GOOD = "good"
    BAD = "bad"
    NEUTRAL = "neutral"


@attrs.frozen(kw_only=True)
class Judgement:
    """A poll in the words of log and rows.

    Attributes:
        outcome: How the walk ended, in one word.
        fault: The class of the failure in one word, or None.
        why: What a person should know about a walk that was not complete, or None.
    """

    health: Health
    outcome: str
    fault: str | None = None
    why: str | None = None


@attrs.define(kw_only=True)
class Tally:
    """What a poll came to; new + changed + unchanged + duplicate + rejected = items answered."""

    pages: int = 0
    seen: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    duplicate: int = 0
    rejected: int = 0
    news: int = 0
    bytes: int = 0
    reasons: Counter[str] = attrs.field(factory=Counter)

    def add_stored(self, stored: BatchStored) -> None:
        """Add what the store made of a batch."""
        self.new += stored.new
        self.changed += stored.changed
        self.unchanged += stored.unchanged
        self.duplicate += stored.duplicate
        self.news += stored.news

    def add_rejected(self, rejected: Sequence[Rejected]) -> None:
        """Add items that are no postings, by reason."""
        self.rejected += len(rejected)
        self.reasons.update(item.reason for item in rejected)


@attrs.frozen(kw_only=True)
class _Read:
    """A page whose items are known but not converted yet."""

    page: Page
    items: tuple[RawItem, ...]
    parsed: Parsed


@attrs.define(kw_only=True)
class Poll:
    """One walk over one board.

    Attributes:
        news_after: Drafts posted before it are stock; None: all are news.
        page_cap: Most pages, where fewer than the source's own cap.
        failure: What ended the walk instead of a page, or None.
    """

    row: StoredBoard
    source: Source
    gate: DomainGate
    postings: Postings
    ingest: Ref[StorePostings]
    news_after: dt.datetime | None
    page_cap: int | None = None
    tally: Tally = attrs.field(factory=Tally, init=False)
    failure: Failure | None = attrs.field(default=None, init=False)

    async def run(self) -> WalkEnd:
        """Walk the board; every page read is stored, however the walk ends.

        Raises:
            StoreError: The gate's row could not be written, or the store is away.
            SupervisionError: Ingest did not answer.
        """
        requests = self.source.requests(self.row.board, Route.RELIABLE)
        cap = min(self.page_cap or self.source.page_cap, self.source.page_cap)
        state = walk.start(requests, coverage=self.source.coverage, page_cap=cap)
        try:
            while (request := walk.next_request(state)) is not None:
                answer = await self._ask(request)
                if isinstance(answer, BoardGone):
                    self.failure = answer
                    break
                await self._store(answer, state)
                state = walk.on_page(state, answer.parsed)
        except (FetchError, MalformedPage) as error:
            self.failure = error
        return walk.finish(state, self.failure)

    async def _ask(self, request: PageRequest) -> _Read | BoardGone:
        """Send a request and follow redirects within the board's hosts, each hop a request."""
        hosts = self.source.hosts(self.row.board)
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self.gate.ask(request, self._read, hosts=hosts)
            if not isinstance(answer, Redirected):
                return answer
            if domain_of(answer.url) not in hosts:
                raise MalformedPage(f"redirected to {domain_of(answer.url)}, another site")
            request = follow(request, answer)
        raise MalformedPage(f"more than {MAX_REDIRECTS} redirects")

    async def _read(self, page: Page) -> _Read | BoardGone:
        """Take a page apart, letting other tasks run between items."""
        self.tally.pages += 1
        self.tally.bytes += len(page.body)
        if page.status in (404, 410):
            if self.source.is_gone(page):
                return BoardGone(status=page.status)
            raise Unavailable(page.url, Unreached.CLIENT, status=page.status)
        items: list[RawItem] = []
        for item in self.source.parse(page, self.row.board):
            match item:
                case RawItem():
                    items.append(item)
                    await trio.lowlevel.checkpoint()
                case Parsed():
                    return _Read(page=page, items=tuple(items), parsed=item)
                case _:
                    assert_never(item)
        raise ValueError(f"{self.source.name}: parse ended without Parsed")

    async def _store(self, read: _Read, state: Walk) -> None:
        """Convert and store what is unknown; count all of it."""
        self.tally.seen += len(read.parsed.seen)
        self.tally.duplicate += read.parsed.repeated
        self.tally.add_rejected(read.parsed.rejected)
        fresh = [item for item in read.items if item.external_id not in state.seen]
        self.tally.duplicate += len(read.items) - len(fresh)
        digests = [(item.external_id, item.source_digest) for item in fresh]
        known = await self.postings.known(self.source.name, self.row.id, digests)
        tally = Counter(known.values())
        self.tally.unchanged += tally[Known.UNCHANGED]
        self.tally.duplicate += tally[Known.ELSEWHERE]
        drafts: list[PostingDraft] = []
        for item in fresh:
            if known[item.external_id] is Known.UNKNOWN:
                drafts += await self._convert(item, read.page)
            if len(drafts) >= BATCH:
                await self._hand_over(drafts)
                drafts = []
        await self._hand_over(drafts)

    async def _convert(self, item: RawItem, page: Page) -> list[PostingDraft]:
        draft = self.source.convert(item, page, self.row.board)
        await trio.lowlevel.checkpoint()
        if isinstance(draft, Rejected):
            self.tally.add_rejected((draft,))
            return []
        return [draft]

    async def _hand_over(self, drafts: Sequence[PostingDraft]) -> None:
        if not drafts:
            return
        message = StorePostings(board=self.row.id, drafts=tuple(drafts), news_after=self.news_after)
        answer = await self.ingest.ask(message, within=STORE_WITHIN_S)
        match answer:
            case BatchStored():
                self.tally.add_stored(answer)
            case BatchRefused(why=why):
                raise MalformedPage(f"the store refuses {len(drafts)} postings: {why}")
            case StoreAway(why=why):
                raise StoreUnavailable(why)
            case _:
                assert_never(answer)


def judge(end: WalkEnd, failure: Failure | None) -> Judgement:
    """Judge a walk: good when every page came and was read, whether or not it listed all."""
    match end:
        case Complete():
            return Judgement(health=Health.GOOD, outcome="complete")
        case Partial(reason=why) if failure is None:
            return Judgement(health=Health.GOOD, outcome="partial", why=why)
        case Partial(reason=reason):
            fault, why = fault_of(failure), _explained(failure, reason)
            return Judgement(health=Health.BAD, outcome="failed", fault=fault, why=why)
        case BoardGone(status=status):
            why = f"the board answers {status}: is its name right?"
            return Judgement(health=Health.NEUTRAL, outcome="gone", why=why)
        case Drift(reason=reason):
            why = MALFORMED.get(reason, reason)
            return Judgement(health=Health.BAD, outcome="drift", fault="parse", why=why)
        case Limited(reason=reason):
            why = f"the site answers {reason}: it wants us to wait"
            return Judgement(health=Health.BAD, outcome="limited", fault=reason, why=why)
        case _:
            assert_never(end)


def fault_of(failure: Failure | None) -> str:
    """Return the class of a failure in one word."""
    match failure:
        case Unavailable(failure=unreached):
            return unreached.value
        case Blocked(status=int() as status):
            return str(status)
        case Blocked():
            return "refused"
        case FetchError(why=why) | MalformedPage(why=why):
            return why
        case _:
            return "gone"


def _explained(failure: Failure | None, reason: str) -> str:
    match failure:
        case Unavailable():
            return _unavailable(failure)
        case Blocked(status=int() as status):
            return f"the site answers {status}: it does not want us"
        case Blocked(why=why):
            return f"not asked, our own guard refuses it: {why}"
        case _:
            return reason


def _unavailable(failure: Unavailable) -> str:
    match failure.failure:
        case Unreached.DNS:
            return "its name cannot be resolved"
        case Unreached.CONNECT:
            return "nobody answers at its address"
        case Unreached.TLS:
            return "its certificate or TLS handshake is wrong"
        case Unreached.TIMEOUT:
            return "no complete answer in time"
        case Unreached.RESET:
            return "the connection broke, or the answer is no HTTP"
        case Unreached.SERVER | Unreached.CLIENT:
            return f"the site answers {failure.status}"
        case _:
            assert_never(failure.failure)
