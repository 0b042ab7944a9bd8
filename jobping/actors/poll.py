"""One poll: a walk over a board, page by page, each page stored before the next is asked for.

By the reliable route it reads the board's list, and asks for those of its new postings one by one
whose text it does not hold; by the individual route it reads known postings and a light list. A
posting that is asked for alone and gone is counted, no more: nothing is closed here.
"""

import datetime as dt
import enum
import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Final, assert_never

import attrs
import trio

from jobping.actors.details import Details, Wish
from jobping.actors.domain_gate import DomainGate
from jobping.actors.messages import BatchFenced, BatchRefused, StoreAway, StorePostings
from jobping.actors.site_rules import SiteRules
from jobping.core import emptiness, robots, walk
from jobping.core.addresses import domain_of, follow
from jobping.core.board import Coverage, Route, StoredBoard
from jobping.core.challenge import Challenge, challenge_of
from jobping.core.emptiness import Evidence
from jobping.core.ids import ExternalId
from jobping.core.page import Page, PageRequest, Redirected
from jobping.core.posting import KnownPosting, PostingDraft, over_stored
from jobping.core.revalidation import (
    LastAnswer,
    answer_of,
    conditional,
    is_fresh,
    is_same,
    request_key,
)
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
    Denied,
    EmptyAnswer,
    FetchError,
    LeaseLost,
    MalformedPage,
    StoreUnavailable,
    Unavailable,
    Unreached,
)
from jobping.fetch import MALFORMED
from jobping.sources.source import RawItem, Source
from jobping.store.postings import BatchStored, Known, Postings
from supervisors import Ref

MAX_REDIRECTS: Final = 5  # design/fetch.md section 6
STORE_WITHIN_S: Final = 60.0  # ingest may be busy with other domains' pages
BATCH: Final = 200  # drafts handed over at once, about 2 MB with their texts
DRIFT_SHARE: Final = 0.5  # of a page's items that lack what a posting must have

IDLE: Final = "idle"

OF_ONE_PAGE: Final = (Unreached.CLIENT, Unreached.SERVER)
"""Failures that may be those of a single page."""

Failure = FetchError | MalformedPage | BoardGone


@attrs.frozen
class Idle:
    """There was nothing to ask, and nothing was."""


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
    """What a poll came to; new + changed + unchanged + duplicate + rejected = items answered.

    Attributes:
        waiting: Postings stored without their text, which a later poll asks for.
        details: Postings asked for one by one beside the list.
        gone: Postings asked for one by one that the source has no longer.
    """

    pages: int = 0
    unchanged_pages: int = 0
    seen: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    duplicate: int = 0
    rejected: int = 0
    waiting: int = 0
    news: int = 0
    details: int = 0
    gone: int = 0
    bytes: int = 0
    reasons: Counter[str] = attrs.field(factory=Counter)

    @property
    def is_all_rejected(self) -> bool:
        """Whether there were items, and none of them could be read."""
        read = self.new + self.changed + self.unchanged + self.duplicate
        return self.rejected > 0 and read == 0 and self.gone == 0

    def add_stored(self, stored: BatchStored) -> None:
        """Add what the store made of a batch."""
        self.new += stored.new
        self.changed += stored.changed
        self.unchanged += stored.unchanged
        self.duplicate += stored.duplicate
        self.news += stored.news

    def add_unchanged(self, last: LastAnswer) -> None:
        """Add a page that is the last answer again: its items are what they were."""
        self.unchanged_pages += 1
        self.seen += last.seen
        self.unchanged += last.held
        self.duplicate += last.duplicate
        self.rejected += last.rejected

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
    is_single: bool


@attrs.frozen
class _Listed:
    """A new or changed posting of a list that lacks its text, and the request for it."""

    draft: PostingDraft
    request: PageRequest


@attrs.frozen
class _Same:
    """A page that brings nothing but the last answer."""

    page: Page


_Answer = _Read | _Same | BoardGone


@attrs.define(kw_only=True)
class Poll:
    """One walk over one board.

    Attributes:
        rules: What the sites let us ask; None: the source is held to its terms instead.
        route: Which way the board is read.
        known: Postings to ask for one by one; for the individual route.
        last: What was kept of the board's last answer, or None; for the reliable route.
        news_after: Drafts posted before it are stock; None: all are news.
        page_cap: Most pages, where fewer than the source's own cap.
        details: Which postings are asked for one by one, where a list does not hold their text;
            None: all are stored as they are listed.
        details_left: How many of them this poll may still ask for.
        requests: Sent so far, redirects followed included.
        failure: What ended the walk instead of a page, or None.
        answer: What to keep of the answer of a complete walk over one page, or None.
        listed: The ids that a walk of the usual extent listed, or None.
        passed: Where lists name pages alone: those of them, by the digest of their item, that held
            no posting when they were asked for; kept from poll to poll by the caller.
        gone: The postings of `tally.gone`.
        ttl_s: So long the board says that it need not be polled again; None: it was not asked.
    """

    row: StoredBoard
    source: Source
    gate: DomainGate
    rules: SiteRules | None = None
    route: Route = Route.RELIABLE
    known: Sequence[KnownPosting] = ()
    last: LastAnswer | None = None
    postings: Postings
    ingest: Ref[StorePostings]
    news_after: dt.datetime | None
    page_cap: int | None = None
    details: Details | None = None
    details_left: int = 0
    passed: dict[ExternalId, bytes] = attrs.field(factory=dict)
    requests: int = attrs.field(default=0, init=False)
    tally: Tally = attrs.field(factory=Tally, init=False)
    failure: Failure | None = attrs.field(default=None, init=False)
    answer: LastAnswer | None = attrs.field(default=None, init=False)
    listed: frozenset[ExternalId] | None = attrs.field(default=None, init=False)
    gone: set[ExternalId] = attrs.field(factory=set, init=False)
    ttl_s: float | None = attrs.field(default=None, init=False)
    _state: Walk = attrs.field(init=False)
    _key: bytes = attrs.field(default=b"", init=False)
    _wish: Wish | None = attrs.field(default=None, init=False)

    async def run(self) -> WalkEnd | Idle:
        """Walk the board; every page read is stored, however the walk ends.

        Raises:
            LeaseLost: The domain has another owner by now.
            StoreError: The gate's row could not be written, or the store is away.
            SupervisionError: Ingest did not answer.
        """
        if not self._begin():
            await trio.lowlevel.checkpoint()
            return Idle()
        try:
            if await self._walk():
                return Complete()
        except (FetchError, MalformedPage) as error:
            self.failure = error
        return walk.finish(self._state, self.failure)

    def _begin(self) -> bool:
        """Begin the walk; False where there is nothing to ask."""
        board, source = self.row.board, self.source
        cap = self.page_cap or source.page_cap
        if self.route is Route.INDIVIDUAL:
            requests = source.individual(board, self.known, cap)
            if requests:
                self._state = walk.start(requests, coverage=Coverage.EACH, page_cap=cap)
            return bool(requests)
        requests, cap = source.requests(board, Route.RELIABLE), min(cap, source.page_cap)
        self._state = walk.start(requests, coverage=source.coverage, page_cap=cap)
        key = request_key(requests[0], board, source.version)
        self._key = key if len(requests) == 1 else b""
        return True

    async def _walk(self) -> bool:
        """Read page after page; True at once where the only one is the last answer again."""
        read: _Read | None = None
        while (request := walk.next_request(self._state)) is not None:
            try:
                answer = await self._ask(request, partial(self._read, request))
            except Denied:
                is_one_of_many = self.source.lists_pages and self._state.pages > 0
                if request.posting is None and not is_one_of_many:
                    raise
                self._state = walk.on_page(self._state, Parsed(items=0))
                continue
            match answer:
                case _Same(page=page) if self.last is not None:
                    self.tally.add_unchanged(self.last)
                    self.answer = self.last.refreshed(page)
                    return True
                case _Read():
                    self.last = None
                    self.ttl_s = max(self.ttl_s or 0.0, answer.parsed.ttl_s)
                    listed: list[_Listed] = []
                    lacking = await self._store(answer, listed)
                    self._state = walk.on_page(self._state, _with(answer.parsed, lacking))
                    await self._complete(listed)
                    read = answer
                case BoardGone():
                    self.failure = answer
                    return False
                case _:
                    raise ValueError(f"{self.source.name}: the same answer as none")
        if self.route is Route.RELIABLE:
            self._keep(read)
            if self.source.lists_pages and self.listed is not None:
                await self._ask_unlisted(self.listed)
        return False

    def _keep(self, read: _Read | None) -> None:
        """Note what the walk listed, and the answer of a board that one page lists completely."""
        has_more = read is not None and read.parsed.has_more
        if self._state.pages < self.source.page_cap and has_more:
            return  # a trial that stopped early
        self.listed = self._state.seen
        is_whole = isinstance(walk.finish(self._state), Complete) and not has_more
        is_one_page = self._state.pages == 1 and self._key != b"" and not self.tally.waiting
        if read is not None and is_whole and is_one_page and read.page.framed:
            tally = self.tally
            self.answer = answer_of(
                read.page,
                self._key,
                seen=tally.seen,
                held=tally.new + tally.changed + tally.unchanged,
                duplicate=tally.duplicate,
                rejected=tally.rejected,
            )

    async def sample(self) -> Evidence:
        """Ask the first page only, store nothing, and say whether it lists postings as usual."""
        self._begin()
        try:
            request = self._state.pending[0]
            answer = await self._ask(request, partial(self._read_sample, request))
        except EmptyAnswer:
            return Evidence.EMPTY
        except (FetchError, MalformedPage):
            return Evidence.NONE
        return Evidence.USUAL if isinstance(answer, _Read) else Evidence.NONE

    async def _read_sample(self, request: PageRequest, page: Page) -> _Answer:
        answer = await self._read(request, page)
        if isinstance(answer, _Read) and not answer.parsed.has_more:
            count = len(answer.parsed.seen)
            if emptiness.is_suspect(count, self.row.counts):
                raise EmptyAnswer(f"{self.row.board.slug} lists {count} postings, too")
        return answer

    async def _ask(
        self, request: PageRequest, read: Callable[[Page], Awaitable[_Answer]]
    ) -> _Answer:
        """Send a request and follow redirects within the board's hosts, each hop a request."""
        hosts = self.source.hosts(self.row.board)
        asked = self._with_condition(request)
        for _ in range(MAX_REDIRECTS + 1):
            if self.rules is not None:
                await self.rules.check(asked.url, hosts)
            self.requests += 1
            answer = await self.gate.ask(asked, read, hosts=hosts | self.source.away)
            if not isinstance(answer, Redirected):
                return answer
            if domain_of(answer.url) in self.source.away:
                return BoardGone(status=301 if answer.permanent else 302)
            self.last = None  # its validators are those of another place
            asked = request = follow(request, answer)
        raise MalformedPage(f"more than {MAX_REDIRECTS} redirects")

    def _with_condition(self, request: PageRequest) -> PageRequest:
        utcnow = self.gate.clock.utcnow()
        if self.last is None or not is_fresh(self.last, self._key, utcnow):
            self.last = None
            return request
        return conditional(request, self.last)

    async def _read(self, request: PageRequest, page: Page) -> _Answer:
        """Take a page apart, letting other tasks run between items.

        Args:
            request: As the source gave it, also where redirects led elsewhere.

        Raises:
            Blocked: A captcha or a login form stands in the way.
            MalformedPage: It cannot be read, or too many of its items; the good ones are stored.
        """
        is_single = request.posting is not None
        is_detail = is_single and self.route is Route.RELIABLE
        self.tally.details += is_detail
        self.tally.pages += not is_detail
        self.tally.bytes += len(page.body)
        if self.last is not None and is_same(page, self.last):
            return _Same(page)
        challenge = challenge_of(page)
        if challenge is not None:
            raise Blocked(page.url, challenge.value, status=page.status)
        if page.status in (404, 410) and not is_single and not self.source.is_passed(page):
            if self.source.is_gone(page):
                return BoardGone(status=page.status)
            raise Unavailable(page.url, Unreached.CLIENT, status=page.status)
        items: list[RawItem] = []
        for item in self._parse(request, page):
            match item:
                case RawItem():
                    items.append(item)
                    await trio.lowlevel.checkpoint()
                case Parsed():
                    read = _Read(page=page, items=tuple(items), parsed=item, is_single=is_single)
                    return await self._judged(read)
                case _:
                    assert_never(item)
        raise ValueError(f"{self.source.name}: parse ended without Parsed")

    def _parse(self, request: PageRequest, page: Page) -> Iterator[RawItem | Parsed]:
        if self.route is Route.INDIVIDUAL or request.posting is not None:
            return self.source.parse_individual(page, self.row.board, request)
        return self.source.parse(page, self.row.board)

    async def _judged(self, read: _Read) -> _Read:
        """Return the page unless it has drifted, so that the gate hears of it."""
        drift = None if read.is_single else walk.drift_of(read.parsed)
        if drift is not None:
            await self._store(read, [])
            raise MalformedPage(drift.reason)
        return read

    async def _store(self, read: _Read, listed: list[_Listed]) -> tuple[Rejected, ...]:
        """Convert and store what is unknown; count all of it.

        Args:
            listed: Gets what is not stored yet, because its text shall be asked for.

        Returns:
            The posting asked for alone, where it lacks what a posting must have.

        Raises:
            MalformedPage: Most items of a list do.
        """
        self._note_gone(read.parsed.gone)
        self.tally.seen += len(read.parsed.seen)
        self.tally.duplicate += read.parsed.repeated
        self.tally.add_rejected(read.parsed.rejected)
        fresh = [item for item in read.items if item.external_id not in self._state.seen]
        self.tally.duplicate += len(read.items) - len(fresh)
        digests = [(item.external_id, item.source_digest) for item in fresh]
        known = await self.postings.known(self.source.name, self.row.id, digests)
        tally = Counter(known.values())
        self.tally.unchanged += tally[Known.UNCHANGED]
        self.tally.duplicate += tally[Known.ELSEWHERE]
        drafts: list[PostingDraft] = []
        lacking: list[Rejected] = []
        for item in fresh:
            is_passed = self.passed.get(item.external_id) == item.source_digest
            if known[item.external_id] is Known.UNKNOWN and not is_passed:
                draft = await self._convert(item, read.page)
                if isinstance(draft, Rejected):
                    lacking.append(draft)
                elif item.detail is not None and await self._wants(draft):
                    listed.append(_Listed(draft, item.detail))
                else:
                    drafts.append(draft)
            if len(drafts) >= BATCH:
                await self._hand_over(drafts)
                drafts = []
        await self._hand_over(drafts)
        self.tally.add_rejected(lacking)
        if not read.is_single and len(lacking) > DRIFT_SHARE * len(read.items):
            reason = self.tally.reasons.most_common(1)[0][0]
            raise MalformedPage(f"{len(lacking)} of {len(read.items)} postings rejected: {reason}")
        return tuple(lacking) if read.is_single else ()

    async def _wants(self, draft: PostingDraft) -> bool:
        """Say whether a posting of a list is worth a request of its own."""
        if self.source.lists_pages:
            return True
        if self.details is None or self.route is Route.INDIVIDUAL or self._is_stock(draft):
            return False
        if self._wish is None:
            self._wish = await self.details.wish(self.row)
        return await self._wish(draft)

    def _is_stock(self, draft: PostingDraft) -> bool:
        posted_at, after = draft.posted_at, self.news_after
        return posted_at is not None and after is not None and posted_at < after

    async def _complete(self, listed: Sequence[_Listed]) -> None:
        """Ask for the postings one by one and store them whole, as many as may be asked for.

        What lists name by its page alone is not stored without it.

        A posting whose own page is gone, broken or refused is stored as the list has it, and not
        asked for again while that stays the same; after a broken or refused one this poll asks for
        no more. The others are stored under a digest that no list item has, so that they are asked
        for next time.

        Raises:
            FetchError: Nothing is to be had from the site now.
        """
        ready: list[PostingDraft] = []
        try:
            for one in listed:
                if self.details_left > 0:
                    self.details_left -= 1
                    ready += await self._whole(one)
                elif self.source.lists_pages:
                    self.tally.waiting += 1
                else:
                    digest = hashlib.blake2b(
                        one.draft.source_digest, digest_size=16, person=b"listed"
                    )
                    ready.append(attrs.evolve(one.draft, source_digest=digest.digest()))
                    self.tally.waiting += 1
        except FetchError:
            await self._hand_over(ready)  # what came before is not asked for again
            raise
        await self._hand_over(ready)

    async def _whole(self, one: _Listed) -> Sequence[PostingDraft]:
        """Return a posting with what its own page says, or as the list has it."""
        read, listed = await self._single(one.request), one.draft
        if read is not None:
            self._note_gone(read.parsed.gone)
            for item in read.items:
                draft = await self._convert(item, read.page)
                if isinstance(draft, PostingDraft):
                    digest = listed.source_digest
                    return (attrs.evolve(over_stored(draft, listed), source_digest=digest),)
        if not self.source.lists_pages:
            return (listed,)
        self.passed[listed.external_id] = listed.source_digest
        self.tally.add_rejected(read.parsed.rejected if read is not None else ())
        return ()

    async def _ask_unlisted(self, listed: frozenset[ExternalId]) -> None:
        """Ask for open postings whose pages are named no longer, or held none this time."""
        asked = listed.difference(self.passed.keys() - self.gone)
        left = self.details_left
        known = await self.postings.least_seen(self.row.id, limit=left, but=asked)
        for request in self.source.individual(self.row.board, known, left):
            read = await self._single(request) if self.details_left > 0 else None
            if read is not None:
                await self._store(read, [])

    async def _single(self, request: PageRequest) -> _Read | None:
        """Ask for one posting; None where its page is broken, refused or not to be asked for.

        Raises:
            FetchError: Nothing is to be had from the site now.
        """
        try:
            answer = await self._ask(request, partial(self._read, request))
        except Denied:
            return None
        except (Unavailable, MalformedPage) as error:
            if isinstance(error, Unavailable) and error.failure not in OF_ONE_PAGE:
                raise
            self.details_left = 0
            return None
        return answer if isinstance(answer, _Read) else None

    def _note_gone(self, ids: Sequence[ExternalId]) -> None:
        self.tally.gone += len(ids)
        self.gone.update(ids)

    async def _convert(self, item: RawItem, page: Page) -> PostingDraft | Rejected:
        draft = self.source.convert(item, page, self.row.board)
        await trio.lowlevel.checkpoint()
        return draft

    async def _hand_over(self, drafts: Sequence[PostingDraft]) -> None:
        for start in range(0, len(drafts), BATCH):
            await self._hand_over_batch(drafts[start : start + BATCH])

    async def _hand_over_batch(self, drafts: Sequence[PostingDraft]) -> None:
        fence = self.gate.lease.fence
        message = StorePostings(
            board=self.row.id, drafts=tuple(drafts), news_after=self.news_after, fence=fence
        )
        self.gate.work.step()
        answer = await self.ingest.ask(message, within=STORE_WITHIN_S)
        match answer:
            case BatchStored():
                self.tally.add_stored(answer)
            case BatchRefused(why=why):
                raise MalformedPage(f"the store refuses {len(drafts)} postings: {why}")
            case BatchFenced():
                raise LeaseLost(fence.domain)
            case StoreAway(why=why):
                raise StoreUnavailable(why)
            case _:
                assert_never(answer)


def _with(parsed: Parsed, lacking: tuple[Rejected, ...]) -> Parsed:
    return attrs.evolve(parsed, rejected=(*parsed.rejected, *lacking)) if lacking else parsed


def judge(end: WalkEnd | Idle, failure: Failure | None) -> Judgement:
    """Judge a walk: good when every page came and was read, whether or not it listed all."""
    match end:
        case Idle():
            return Judgement(health=Health.NEUTRAL, outcome=IDLE, why="there is nothing to ask")
        case Complete():
            return Judgement(health=Health.GOOD, outcome="complete")
        case Partial() if isinstance(failure, Denied):
            why = f"the site's robots.txt does not let us ask {failure.url}"
            return Judgement(health=Health.NEUTRAL, outcome="denied", fault="robots", why=why)
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


def blaming_key(judgement: Judgement, failure: Failure | None, source: Source) -> Judgement:
    """Say that a source's key is refused or used up, where that is what its answer means."""
    status = failure.status if isinstance(failure, Blocked | Unavailable) else None
    if status not in (401, 402, 403) or not source.credentials or source.is_key_optional:
        return judgement
    names = " and ".join(source.credentials)
    why = f"the site answers {status}: {names} refused, or the quota used up"
    return attrs.evolve(judgement, why=why)


def fault_of(failure: Failure | None) -> str:
    """Return the class of a failure in one word."""
    match failure:
        case Unavailable(failure=unreached):
            return unreached.value
        case Blocked(status=None):
            return "refused"
        case Blocked(why=Challenge.CAPTCHA | Challenge.LOGIN):
            return "ban"
        case FetchError(why=why) | MalformedPage(why=why):
            return why
        case _:
            return "gone"


def _explained(failure: Failure | None, reason: str) -> str:
    if isinstance(failure, FetchError) and failure.url.endswith(robots.PATH):
        return f"its robots.txt cannot be read, so nothing may be asked: {_said(failure, reason)}"
    return _said(failure, reason)


def _said(failure: Failure | None, reason: str) -> str:
    match failure:
        case Unavailable():
            return _unavailable(failure)
        case Blocked(why=Challenge.CAPTCHA | Challenge.LOGIN as challenge):
            return f"the site answers with a {challenge} page instead of the board"
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
        case Unreached.UNREACHABLE:
            return "there is no way to its address"
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
