import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobping.core.board import Coverage
from jobping.core.ids import ExternalId
from jobping.core.page import PageRequest
from jobping.core.walk import (
    BoardGone,
    Complete,
    Drift,
    Limited,
    Parsed,
    Partial,
    Rejected,
    Walk,
    drift_of,
    finish,
    next_request,
    on_page,
    start,
)
from jobping.errors import Blocked, MalformedPage, Throttled, Unavailable, Unreached

FIRST = PageRequest(url="https://a.example/1")
SECOND = PageRequest(url="https://a.example/2")
THIRD = PageRequest(url="https://a.example/3")


def ids(*names: str) -> tuple[ExternalId, ...]:
    return tuple(map(ExternalId, names))


def parsed(*names, total=None, following=None, rejected=(), repeated=0) -> Parsed:
    return Parsed(
        items=len(names) + sum(item.external_id is None for item in rejected) + repeated,
        seen=ids(*names),
        total=total,
        following=following,
        rejected=tuple(rejected),
        repeated=repeated,
    )


def walk_over(*pages: Parsed, coverage=Coverage.WHOLE, page_cap=100) -> Walk:
    walk = start([FIRST], coverage=coverage, page_cap=page_cap)
    for page in pages:
        walk = on_page(walk, page)
    return walk


def test_walk_is_complete_when_its_only_page_was_read():
    walk = walk_over(parsed("a", "b"))
    assert next_request(walk) is None
    assert finish(walk) == Complete()


def test_walk_over_pages_that_name_each_other_asks_each_once():
    loop = Parsed(items=0, more=(FIRST, SECOND, THIRD))
    walk = walk_over(loop, loop, loop)
    assert next_request(walk) is None
    assert (walk.pages, finish(walk)) == (3, Complete())


def test_walk_of_an_empty_board_is_complete():
    assert finish(walk_over(parsed(total=0))) == Complete()


def test_walk_asks_for_the_following_page_and_then_ends():
    walk = walk_over(parsed("a", total=2, following=SECOND))
    assert next_request(walk) == SECOND
    walk = on_page(walk, parsed("b", total=2))
    assert (walk.pages, walk.items, finish(walk)) == (2, 2, Complete())


def test_walk_ends_without_another_request_when_the_total_is_reached():
    walk = walk_over(parsed("a", "b", total=2, following=SECOND))
    assert next_request(walk) is None
    assert finish(walk) == Complete()


def test_walk_believes_only_the_total_of_its_first_page():
    walk = walk_over(parsed("a", total=3, following=SECOND), parsed("b", total=0, following=THIRD))
    assert next_request(walk) == THIRD
    assert finish(on_page(walk, parsed("c", total=0))) == Complete()


def test_walk_is_partial_when_it_has_fewer_ids_than_the_total():
    assert finish(walk_over(parsed("a", "b", total=37))) == Partial(reason="2 of 37 postings")


def test_walk_of_the_newest_is_complete_although_the_total_is_larger():
    walk = walk_over(parsed("a", total=96_495), coverage=Coverage.NEWEST)
    assert finish(walk) == Complete()


def test_walk_stops_when_a_page_repeats_an_earlier_one():
    walk = walk_over(parsed("a", "b", total=9, following=SECOND), parsed("b", "a", following=THIRD))
    assert next_request(walk) is None
    assert walk.repeated == 2
    assert finish(walk) == Partial(reason="2 of 9 postings")


def test_walk_goes_on_when_pages_overlap_only_in_part():
    walk = walk_over(parsed("a", "b", following=SECOND), parsed("b", "c", following=THIRD))
    assert next_request(walk) == THIRD
    assert walk.repeated == 1


def test_walk_of_a_whole_board_is_partial_when_the_page_cap_ends_it():
    walk = walk_over(parsed("a", following=SECOND), parsed("b", following=THIRD), page_cap=2)
    assert finish(walk) == Partial(reason="more than 2 pages")


def test_walk_of_the_newest_is_complete_when_the_page_cap_ends_it():
    walk = walk_over(parsed("a", following=SECOND), coverage=Coverage.NEWEST, page_cap=1)
    assert next_request(walk) is None
    assert finish(walk) == Complete()


def test_walk_is_partial_when_it_is_cut_off_between_pages():
    walk = walk_over(parsed("a", following=SECOND))
    assert finish(walk) == Partial(reason="cut off after 1 pages")
    assert finish(start([FIRST])) == Partial(reason="cut off after 0 pages")


def test_walk_ends_in_drift_when_more_than_a_fifth_is_rejected():
    refused = [Rejected(external_id=None, reason="no title")] * 2
    page = parsed("a", "b", "c", "d", "e", "f", "g", rejected=refused, following=SECOND)
    walk = walk_over(page)
    assert next_request(walk) is None
    assert finish(walk) == Drift(reason="2 of 9 items rejected: no title")


def test_drift_is_not_seen_when_exactly_a_fifth_is_rejected():
    refused = [Rejected(external_id=None, reason="no title")]
    assert drift_of(parsed("a", "b", "c", "d", rejected=refused)) is None
    assert drift_of(parsed()) is None


def test_walk_is_partial_when_an_item_has_no_readable_id():
    refused = [Rejected(external_id=None, reason="no id")]
    walk = walk_over(parsed(*"abcdefgh", rejected=refused))
    assert finish(walk) == Partial(reason="1 items without a readable id")


def test_walk_counts_rejected_items_with_an_id_as_seen():
    refused = [Rejected(external_id=ExternalId("h"), reason="no title")]
    walk = walk_over(parsed(*"abcdefgh", total=8, rejected=refused))
    assert ExternalId("h") in walk.seen
    assert finish(walk) == Complete()


@pytest.mark.parametrize(
    ("failure", "end"),
    [
        (BoardGone(status=404), BoardGone(status=404)),
        (MalformedPage("html"), Drift(reason="html")),
        (
            Throttled("https://a.example", status=429, retry_after=("60",), date=None),
            Limited(reason="429"),
        ),
        (
            Unavailable("https://a.example", Unreached.SERVER, status=502),
            Partial(reason="502"),
        ),
        (Blocked("https://a.example", "403", status=403), Partial(reason="403")),
    ],
)
def test_walk_ends_by_what_came_instead_of_its_first_page(failure, end):
    assert finish(start([FIRST]), failure) == end


def test_walk_is_partial_when_a_later_page_is_gone():
    walk = walk_over(parsed("a", following=SECOND))
    assert finish(walk, BoardGone(status=404)) == Partial(reason="page 2 is gone")


def test_walk_is_refused_when_it_has_nothing_to_ask_or_no_pages():
    with pytest.raises(ValueError, match="needs a request"):
        start([])
    with pytest.raises(ValueError, match="page cap"):
        start([FIRST], page_cap=0)


def test_walk_refuses_a_page_that_nobody_asked_for():
    with pytest.raises(ValueError, match="without a request"):
        on_page(walk_over(parsed("a")), parsed("b"))


@given(
    st.lists(st.lists(st.sampled_from("abcdef"), unique=True), min_size=1, max_size=30),
    st.integers(min_value=0, max_value=9) | st.none(),
    st.integers(min_value=1, max_value=5),
)
def test_walk_always_ends_within_its_cap_and_is_complete_only_with_every_id(pages, total, cap):
    walk = start([FIRST], page_cap=cap)
    asked = 0
    while next_request(walk) is not None and asked < len(pages):
        walk = on_page(walk, parsed(*pages[asked], total=total, following=SECOND))
        asked += 1
    assert asked <= cap
    if finish(walk) == Complete():
        assert total is None or len(walk.seen) >= total


def one(name: str) -> PageRequest:
    return PageRequest(url=f"https://a.example/{name}", posting=ExternalId(name))


def walk_of_each(*requests: PageRequest, page_cap: int = 100) -> Walk:
    return start(requests, coverage=Coverage.EACH, page_cap=page_cap)


def test_walk_over_single_postings_collects_the_gone_and_never_counts_them_as_seen():
    walk = walk_of_each(one("a"), one("b"))
    walk = on_page(walk, Parsed(items=1, seen=ids("a")))
    walk = on_page(walk, Parsed(items=0, gone=ids("b")))
    assert (walk.gone, walk.seen, walk.items, walk.singles) == ({"b"}, frozenset(), 1, 2)
    assert finish(walk) == Complete()


def test_list_after_single_postings_is_walked_on_although_they_stand_on_its_first_page():
    walk = on_page(walk_of_each(one("a"), FIRST), Parsed(items=1, seen=ids("a")))
    walk = on_page(walk, parsed("a", following=SECOND))
    assert next_request(walk) == SECOND
    assert (on_page(walk, parsed("b")).repeated, walk.seen) == (0, {"a"})


def test_walk_over_single_postings_ends_complete_at_its_cap():
    walk = on_page(walk_of_each(one("a"), one("b"), page_cap=1), Parsed(items=1, seen=ids("a")))
    assert (next_request(walk), finish(walk)) == (None, Complete())


@pytest.mark.parametrize(("bad", "good", "ends"), [(3, 0, False), (2, 2, False), (3, 1, True)])
def test_single_postings_are_drift_only_when_more_than_half_of_enough_are_rejected(bad, good, ends):
    walk = walk_of_each(*map(one, "abcdef"))
    for _ in range(good):
        walk = on_page(walk, Parsed(items=1, seen=ids("a")))
    for _ in range(bad):
        refused = Rejected(external_id=ExternalId("a"), reason="no JobPosting")
        walk = on_page(walk, Parsed(items=1, seen=ids("a"), rejected=(refused,)))
    assert (next_request(walk) is None) is ends
    if ends:
        assert finish(walk) == Drift(reason="3 of 4 postings rejected: no JobPosting")


def test_walk_asks_for_further_parts_after_all_that_is_pending():
    first, part = PageRequest(url="https://a.example/1"), PageRequest(url="https://a.example/part")
    next_ = PageRequest(url="https://a.example/2")
    walk = start((first,), page_cap=3)
    walk = on_page(walk, Parsed(items=0, following=next_, more=(part,)))
    assert walk.pending == (next_, part)
    walk = on_page(on_page(walk, Parsed(items=0)), Parsed(items=0, more=(THIRD,)))
    assert finish(walk) == Partial(reason="more than 3 pages")
