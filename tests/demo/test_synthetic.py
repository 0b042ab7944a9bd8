import datetime as dt
from collections import Counter
from collections.abc import Sequence

import attrs
import httpx
import pytest

from jobping.core.board import Board, Coverage, Route
from jobping.core.fingerprint import content_hash
from jobping.core.ids import ExternalId
from jobping.core.page import Page
from jobping.core.posting import KnownPosting, PostingDraft, Remote, over_stored
from jobping.core.walk import Complete, Rejected, Walk, finish, next_request, on_page, start
from jobping.demo.answers import Asked, Items, whole_answer
from jobping.demo.synthetic import Synthetic
from jobping.demo.world import SITES, Supply
from jobping.sources import SOURCES
from jobping.sources.source import Parsed, RawItem, Source

NOW = dt.datetime(2026, 11, 23, 12, 34, 56, tzinfo=dt.UTC)
PLACE = "http://127.0.0.1:1"


def items(supply: Supply) -> dict[tuple[str, str], tuple[bytes, ...]]:
    found = {}
    for board, content in supply.boards:
        assert isinstance(content, Items)
        found[board.source, board.slug] = content.items
    return found


@attrs.frozen
class Walked:
    """What a real parser made of a board."""

    drafts: tuple[PostingDraft, ...]
    rejected: tuple[Rejected, ...]
    repeated: int


def walk(supply: Supply, board: Board) -> Walked:
    """Read a board with the source's own parser, page by page, without a network."""
    source: Source = next(s for s in SOURCES if s.name == board.source)
    site = next(site for site in SITES if site.source == board.source)
    source = source.with_base_url(PLACE + site.base_path)
    source.check_slug(board.slug)
    shelf = {b.slug: content for b, content in supply.boards if b.source == board.source}
    todo, drafts, rejected, repeated = list(source.requests(board, Route.RELIABLE)), [], [], 0
    while todo:
        request = todo.pop()
        answer = site.respond(_asked(request.url, supply), shelf)
        page = Page(
            url=request.url,
            status=answer.status,
            headers=(("content-type", answer.media_type),),
            body=answer.body,
            fetched_at=NOW,
        )
        for item in source.parse(page, board):
            if isinstance(item, Parsed):
                rejected += item.rejected
                repeated += item.repeated
                todo += [item.following] if item.following else []
                continue
            draft = source.convert(item, page, board)
            assert isinstance(draft, PostingDraft), draft
            drafts.append(draft)
    return Walked(tuple(drafts), tuple(rejected), repeated)


def _asked(url: str, supply: Supply) -> Asked:
    parsed = httpx.URL(url)
    return Asked(
        method="GET",
        path=parsed.path,
        parts=tuple(part for part in parsed.path.split("/") if part),
        query=dict(parsed.params),
        headers={},
        place=PLACE,
        serial=1,
        as_of=supply.as_of,
    )


@pytest.fixture(scope="module")
def supply() -> Supply:
    return Synthetic(seed=7, now=NOW).supply(0)


@pytest.fixture(scope="module")
def walked(supply: Supply) -> dict[Board, Walked]:
    return {board: walk(supply, board) for board, _ in supply.boards}


def test_the_same_seed_and_hour_give_the_same_world_and_another_seed_another(
    supply: Supply,
) -> None:
    later = NOW.replace(minute=59)
    assert items(Synthetic(seed=7, now=later).supply(0)) == items(supply)
    assert items(Synthetic(seed=8, now=NOW).supply(0)) != items(supply)


def test_a_step_brings_new_changed_and_vanished_postings_and_leaves_most(supply: Supply) -> None:
    before, after = items(supply), items(Synthetic(seed=7, now=NOW).supply(1))
    assert before.keys() == after.keys()
    earlier = set(before["smartrecruiters", "MeridianRetail"])
    later = set(after["smartrecruiters", "MeridianRetail"])
    assert 0 < len(later - earlier) < 10
    assert len(earlier & later) > 100
    whole = {item for board in before.values() for item in board}
    assert len(whole & {item for board in after.values() for item in board}) > 0.85 * len(whole)


def test_no_posting_is_of_the_future_even_after_many_steps() -> None:
    late = Synthetic(seed=7, now=NOW).supply(100)
    board = next(board for board, _ in late.boards if board.source == "ashby")
    assert max(d.posted_at for d in walk(late, board).drafts if d.posted_at) <= NOW


def test_every_parser_reads_its_boards_and_rejects_the_untitled_one_alone(
    walked: dict[Board, Walked],
) -> None:
    rejected = [(b.slug, r.reason) for b, found in walked.items() for r in found.rejected]
    assert rejected == [("fernhill", "`title` is missing")]
    repeated = {board.slug: found.repeated for board, found in walked.items() if found.repeated}
    assert repeated == {"bergwerk": 1}


def test_the_world_holds_some_hundred_postings_of_ten_sources_and_an_empty_board(
    walked: dict[Board, Walked],
) -> None:
    drafts = [draft for found in walked.values() for draft in found.drafts]
    assert 250 <= len({(d.source, d.external_id) for d in drafts}) <= 400
    assert len({draft.source for draft in drafts}) == 10
    assert [board.slug for board, found in walked.items() if not found.drafts] == ["still.water"]
    assert 18 <= len(walked) <= 22


def test_no_two_postings_of_a_board_share_an_id(walked: dict[Board, Walked]) -> None:
    for board, found in walked.items():
        counts = Counter(draft.external_id for draft in found.drafts)
        assert max(counts.values(), default=1) == 1, board


def test_postings_are_believable(walked: dict[Board, Walked]) -> None:
    drafts = [draft for found in walked.values() for draft in found.drafts]
    for draft in drafts:
        assert draft.company
        assert draft.locations
        assert draft.posted_at
        assert draft.posted_at <= NOW
        assert "{" not in draft.description
        assert draft.description or draft.source == "smartrecruiters"
        assert "Please mention" not in draft.description
    countries = {place.country for draft in drafts for place in draft.locations}
    assert {"DE", "GB", "FR", "ES", "IT", "NL", "CH", "SE", "PL"} <= countries
    week = sum(draft.posted_at > NOW - dt.timedelta(days=7) for draft in drafts)
    assert len(drafts) // 5 < week < len(drafts) // 2
    assert any(draft.posted_at < NOW - dt.timedelta(days=300) for draft in drafts)
    paid = sum(draft.salary is not None for draft in drafts)
    assert len(drafts) // 10 < paid < len(drafts)
    assert {draft.remote for draft in drafts} == set(Remote)


def test_remote_ok_carries_broken_characters_that_the_parser_repairs(supply: Supply) -> None:
    raw = b"".join(items(supply)["remoteok", "all"])
    assert "Ã".encode() in raw
    board = next(board for board, _ in supply.boards if board.source == "remoteok")
    texts = "".join(draft.description for draft in walk(supply, board).drafts)
    assert "Ã" not in texts
    assert any(letter in texts for letter in "äöüé")


def test_some_postings_are_listed_by_company_and_job_board(walked: dict[Board, Walked]) -> None:
    own, listed = set(), set()
    for board, found in walked.items():
        seen = {(draft.company, draft.title) for draft in found.drafts}
        (own if board.company else listed).update(seen)
    assert len(own & listed) >= 20


COMPANY_SOURCES = ("greenhouse", "lever", "ashby", "recruitee", "smartrecruiters", "personio")


def individually(
    supply: Supply, board: Board, known: Sequence[KnownPosting]
) -> tuple[list[PostingDraft], Walk | None]:
    """Walk the individual route of a board to its end."""
    source = next(s for s in SOURCES if s.name == board.source)
    site = next(site for site in SITES if site.source == board.source)
    source = source.with_base_url(PLACE + site.base_path)
    shelf = {b.slug: content for b, content in supply.boards if b.source == board.source}
    extras = {extra.path: extra.whole for extra in supply.extras if extra.source == board.source}
    drafts: list[PostingDraft] = []
    requests = source.individual(board, known, 500)
    state = start(requests, coverage=Coverage.EACH, page_cap=500) if requests else None
    while state and (request := next_request(state)) is not None:
        asked = _asked(request.url, supply)
        extra = extras.get(httpx.URL(request.url).raw_path.decode().partition("?")[0])
        answer = whole_answer(extra) if extra else site.respond(asked, shelf)
        page = Page(
            url=request.url,
            status=answer.status,
            headers=(("content-type", answer.media_type),),
            body=answer.body,
            fetched_at=NOW,
        )
        *items, parsed = source.parse_individual(page, board, request)
        assert isinstance(parsed, Parsed)
        for item in items:
            assert isinstance(item, RawItem)
            draft = source.convert(item, page, board)
            assert isinstance(draft, PostingDraft), draft
            drafts.append(draft)
        state = on_page(state, parsed)
    return drafts, state


@pytest.mark.parametrize("name", COMPANY_SOURCES)
def test_individual_route_finds_the_same_postings_and_changes_none_of_them(
    supply: Supply, walked: dict[Board, Walked], name: str
) -> None:
    for board in (board for board in walked if board.source == name):
        stored = {draft.external_id: draft for draft in walked[board].drafts}
        known = [KnownPosting(external_id=d.external_id, url=d.url) for d in stored.values()]
        drafts, state = individually(supply, board, known)
        assert {draft.external_id for draft in drafts} == stored.keys()
        assert state is None or (finish(state), state.gone) == (Complete(), frozenset())
        for draft in drafts:
            before = stored[draft.external_id]
            after = over_stored(draft, before)
            unsaid = {
                key: getattr(before, key)
                for key in ("description", "salary")
                if getattr(before, key) in ("", None)
            }
            assert content_hash(attrs.evolve(after, **unsaid)) == content_hash(before)


@pytest.mark.parametrize("name", ["greenhouse", "ashby", "smartrecruiters", "personio"])
def test_posting_that_the_world_no_longer_has_is_gone(supply: Supply, name: str) -> None:
    board = next(board for board, _ in supply.boards if board.source == name)
    id = ExternalId(f"{board.slug}/12" if name == "personio" else "12")
    _, state = individually(supply, board, [KnownPosting(external_id=id, url="https://a.example/")])
    assert state
    assert state.gone == {id}
