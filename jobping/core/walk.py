"""One walk: all requests that read one board once, as a state machine over pages.

The caller fetches `next_request`, feeds what the page held to `on_page`, and ends with `finish`,
whose answer says what may be concluded. Nothing is closed on anything but a complete walk.
"""

from collections.abc import Sequence

import attrs

from jobping.core.board import Coverage
from jobping.core.ids import ExternalId
from jobping.core.page import PageRequest
from jobping.errors import FetchError, MalformedPage, Throttled

DRIFT_SHARE = 0.2
"""More than this share of rejected items means that the board changed its shape."""
SINGLES_SHARE = 0.5
"""The same for postings that were asked for one by one: some of them may have been taken down."""
FEWEST_SINGLES = 4
"""Of fewer postings nothing is concluded."""


@attrs.frozen(kw_only=True)
class Rejected:
    """An item that is no posting.

    Attributes:
        external_id: The item's id where it could be read, else None.
        reason: What is wrong, without the item's own values.
    """

    external_id: ExternalId | None
    reason: str


@attrs.frozen(kw_only=True)
class Parsed:
    """What one page held; ends the items of `Source.parse`.

    Attributes:
        items: Items in the answer: accepted, repeated and rejected ones together.
        repeated: Items whose id stood on the page before.
        seen: Every readable external id once, rejected items included.
        total: How many items the board says it has, or None.
        following: The request for the next page, or None.
        more: Requests for other parts of the board, asked after all that is pending.
        replaced: Characters that the declared encoding could not read.
        gone: Postings of which the source says in its own words that it has them no longer.
        ttl_s: So long the page says that it need not be asked for again; 0: it says nothing.
    """

    items: int
    repeated: int = 0
    rejected: tuple[Rejected, ...] = ()
    seen: tuple[ExternalId, ...] = ()
    total: int | None = None
    following: PageRequest | None = None
    more: tuple[PageRequest, ...] = ()
    replaced: int = 0
    gone: tuple[ExternalId, ...] = ()
    ttl_s: float = 0.0

    @property
    def has_more(self) -> bool:
        """Whether the page names others that belong to the walk."""
        return self.following is not None or bool(self.more)


@attrs.frozen(kw_only=True)
class Complete:
    """The walk read all that the route lists, in a known shape."""


@attrs.frozen(kw_only=True)
class Partial:
    """The walk ended early; absence proves nothing."""

    reason: str


@attrs.frozen(kw_only=True)
class BoardGone:
    """The source answered in its own words that it has no such board."""

    status: int


@attrs.frozen(kw_only=True)
class Drift:
    """The answer has another shape than the parser knows; its good items still count."""

    reason: str


@attrs.frozen(kw_only=True)
class Limited:
    """The site told us to wait; how long is the gate's business."""

    reason: str


WalkEnd = Complete | Partial | BoardGone | Drift | Limited


@attrs.frozen(kw_only=True)
class Walk:
    """The state of one walk.

    Attributes:
        pending: Requests still to make, the next one first.
        coverage: What a complete walk would list.
        page_cap: Most pages of one walk.
        pages: Pages read so far.
        seen: Every readable external id that a list has shown so far.
        asked: What was asked for or is pending, so that pages naming each other end.
        total: The total that page 1 stated; later pages are not believed.
        items: Items so far.
        repeated: Items whose id a page of this walk had before.
        rejected: Rejected items so far.
        gone: Postings that the source says are gone, each by its own answer.
        singles: Postings asked for one by one so far.
        lost: Those of them whose answer was rejected.
        ended: Why the walk must not go on, or None.
    """

    pending: tuple[PageRequest, ...]
    coverage: Coverage
    page_cap: int
    pages: int = 0
    seen: frozenset[ExternalId] = frozenset()
    asked: frozenset[PageRequest] = frozenset()
    total: int | None = None
    items: int = 0
    repeated: int = 0
    rejected: tuple[Rejected, ...] = ()
    gone: frozenset[ExternalId] = frozenset()
    singles: int = 0
    lost: int = 0
    ended: Partial | Drift | None = None


def start(
    requests: Sequence[PageRequest],
    *,
    coverage: Coverage = Coverage.WHOLE,
    page_cap: int = 100,
) -> Walk:
    """Begin a walk.

    Raises:
        ValueError: There is nothing to ask, or the cap is below 1.
    """
    if not requests or page_cap < 1:
        raise ValueError(f"a walk needs a request and a page cap of 1 or more, not {page_cap}")
    return Walk(pending=tuple(requests), coverage=coverage, page_cap=page_cap)


def next_request(walk: Walk) -> PageRequest | None:
    """Return the request to make now; None when the walk is over."""
    return walk.pending[0] if walk.pending else None


def on_page(walk: Walk, parsed: Parsed) -> Walk:
    """Take in what a page held and decide whether another one follows.

    Raises:
        ValueError: No request of this walk is outstanding.
    """
    if not walk.pending:
        raise ValueError("a page without a request")
    if walk.pending[0].posting is not None:
        return _on_single(walk, parsed)
    known = walk.seen.intersection(parsed.seen)
    after = attrs.evolve(
        walk,
        pages=walk.pages + 1,
        seen=walk.seen.union(parsed.seen),
        total=parsed.total if walk.pages == 0 else walk.total,
        items=walk.items + parsed.items,
        repeated=walk.repeated + parsed.repeated + len(known),
        rejected=walk.rejected + parsed.rejected,
    )
    return _with_next(after, parsed, is_repeat=bool(known) and len(known) == len(parsed.seen))


def drift_of(parsed: Parsed) -> Drift | None:
    """Judge one page: Drift when too many of its items were rejected, else None."""
    if not parsed.items or len(parsed.rejected) <= DRIFT_SHARE * parsed.items:
        return None
    first = parsed.rejected[0].reason
    return Drift(reason=f"{len(parsed.rejected)} of {parsed.items} items rejected: {first}")


def finish(walk: Walk, failure: FetchError | MalformedPage | BoardGone | None = None) -> WalkEnd:
    """Say how the walk ended.

    Args:
        failure: What came instead of a page, or None.

    Returns:
        Complete only when every page was read in a known shape and no item is unaccounted for.
    """
    match failure:
        case None:
            return _unfailed(walk)
        case BoardGone():
            return failure if walk.pages == 0 else Partial(reason=f"page {walk.pages + 1} is gone")
        case MalformedPage():
            return Drift(reason=failure.why)
        case Throttled():
            return Limited(reason=failure.why)
        case FetchError():
            return Partial(reason=failure.why)


def _on_single(walk: Walk, parsed: Parsed) -> Walk:
    """Take in the answer about one posting: it adds nothing to what lists have shown."""
    lost = walk.lost + len(parsed.rejected)
    after = attrs.evolve(
        walk,
        pending=walk.pending[1:],
        pages=walk.pages + 1,
        items=walk.items + parsed.items,
        rejected=walk.rejected + parsed.rejected,
        gone=walk.gone.union(parsed.gone),
        singles=walk.singles + 1,
        lost=lost,
    )
    if after.singles >= FEWEST_SINGLES and lost > SINGLES_SHARE * after.singles:
        reason = f"{lost} of {after.singles} postings rejected: {after.rejected[-1].reason}"
        return attrs.evolve(after, pending=(), ended=Drift(reason=reason))
    return _capped(after)


def _with_next(walk: Walk, parsed: Parsed, *, is_repeat: bool) -> Walk:
    """Return the walk with its queue moved on."""
    queue = walk.pending[1:]
    drift = drift_of(parsed)
    if drift is not None:
        return attrs.evolve(walk, pending=(), ended=drift)
    is_all = walk.total is not None and len(walk.seen) >= walk.total
    if parsed.following is not None and not is_repeat and not is_all:
        queue = (parsed.following, *queue)
    asked = walk.asked.union(walk.pending)
    more = tuple(one for one in dict.fromkeys(parsed.more) if one not in asked)
    return _capped(attrs.evolve(walk, pending=(*queue, *more), asked=asked.union(more)))


def _capped(walk: Walk) -> Walk:
    """End a walk that has asked as often as it may."""
    if not walk.pending or walk.pages < walk.page_cap:
        return walk
    capped = Partial(reason=f"more than {walk.page_cap} pages")
    return attrs.evolve(walk, pending=(), ended=capped if walk.coverage is Coverage.WHOLE else None)


def _unfailed(walk: Walk) -> WalkEnd:
    """Judge a walk in which every request brought a page."""
    if walk.ended is not None:
        return walk.ended
    if walk.pending or not walk.pages:
        return Partial(reason=f"cut off after {walk.pages} pages")
    unreadable = sum(item.external_id is None for item in walk.rejected)
    if unreadable:
        return Partial(reason=f"{unreadable} items without a readable id")
    if walk.coverage is Coverage.WHOLE and walk.total is not None and len(walk.seen) < walk.total:
        return Partial(reason=f"{len(walk.seen)} of {walk.total} postings")
    return Complete()
