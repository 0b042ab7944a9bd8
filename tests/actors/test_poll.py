import datetime as dt
from collections import Counter
from collections.abc import Iterator

import attrs
import pytest
import trio

from jobping.actors.domain_gate import DomainGate
from jobping.actors.messages import BatchRefused, StoreAway, StorePostings
from jobping.actors.poll import BATCH, Health, Judgement, Poll, Tally, blaming_key, judge
from jobping.core.board import Board, StoredBoard
from jobping.core.emptiness import Evidence
from jobping.core.gate_state import GateView
from jobping.core.page import Page
from jobping.core.posting import PostingDraft
from jobping.core.revalidation import LastAnswer
from jobping.core.walk import (
    BoardGone,
    Complete,
    Drift,
    Limited,
    Parsed,
    Partial,
    Rejected,
    WalkEnd,
)
from jobping.errors import (
    Blocked,
    FetchError,
    MalformedPage,
    StoreUnavailable,
    Throttled,
    Unavailable,
    Unreached,
)
from jobping.sources.bamboohr import BAMBOOHR
from jobping.sources.greenhouse import GREENHOUSE
from jobping.sources.jsearch import JSEARCH
from jobping.sources.smartrecruiters import SMARTRECRUITERS
from jobping.sources.source import RawItem, Source, with_base_url
from jobping.store.postings import BatchStored
from supervisors import ChildSpec, Context, Mailbox
from tests.actors.rig import Rig, by_target, greenhouse, open_tree, smart
from tests.doubles.fault_server import (
    After,
    Behaviour,
    FaultServer,
    Received,
    in_turn,
    open_fault_server,
    redirect,
    reset,
    respond,
)


@attrs.define(kw_only=True)
class Polls:
    """Polls one board, over and over."""

    rig: Rig
    source: Source
    row: StoredBoard
    gate: DomainGate
    ingest: Mailbox[StorePostings]
    last: Poll | None = None
    kept: LastAnswer | None = None

    @classmethod
    async def of(
        cls,
        rig: Rig,
        server: FaultServer,
        source: Source,
        ingest: Mailbox[StorePostings],
        slug: str = "acme",
    ) -> "Polls":
        own = "/{slug}" if "{slug}" in source.base_url else ""
        asked = with_base_url(source, server.url("").rstrip("/") + own)
        row = await rig.add_board(asked, slug)
        gate = await rig.loaded_gate(row.domain)
        return cls(rig=rig, source=asked, row=row, gate=gate, ingest=ingest)

    async def run(
        self, *, page_cap: int | None = None, news_after: dt.datetime | None = None
    ) -> WalkEnd:
        self.last = Poll(
            row=self.row,
            source=self.source,
            gate=self.gate,
            postings=self.rig.stores.postings,
            ingest=self.ingest.ref,
            news_after=news_after,
            page_cap=page_cap,
            last=self.kept,
        )
        with trio.fail_after(10):
            end = await self.last.run()
        self.kept = self.last.answer
        return end

    @property
    def failure(self) -> object:
        assert self.last is not None
        return self.last.failure

    def counts(self) -> dict[str, int]:
        assert self.last is not None
        names = ("new", "changed", "unchanged", "duplicate", "rejected")
        return {name: getattr(self.last.tally, name) for name in names}

    def tally(self) -> Tally:
        assert self.last is not None
        return self.last.tally

    def pages(self) -> int:
        return self.tally().pages


def counted(**counts: int) -> dict[str, int]:
    return dict.fromkeys(("new", "changed", "unchanged", "duplicate", "rejected"), 0) | counts


def target(slug: str, offset: int) -> str:
    return f"/v1/companies/{slug}/postings?limit=100&offset={offset}"


# --- counting


async def test_poll_counts_each_item_of_a_paged_walk_once(rig: Rig) -> None:
    """14 items: new, changed, unchanged, held by another board, twice, and unreadable."""
    before = smart(1, 2, 3, total=3, limit=6)
    first = smart(1, 2, 3, 4, 5, 6, total=20, limit=6, titles={2: "Accountant 2"})
    second = smart(6, 7, 8, 8, 9, -10, total=20, limit=6)
    third = smart(11, 12, total=20, limit=6)
    elsewhere = smart(11, total=1, limit=6)
    answers = {target("other", 0): respond(elsewhere), target("acme", 0): respond(before)}
    async with (
        open_fault_server(by_target(answers)) as server,
        rig.open_ingest() as ingest,
    ):
        other = await Polls.of(rig, server, SMARTRECRUITERS, ingest, "other")
        await other.run()
        assert other.counts() == counted(new=1)
        polls = await Polls.of(rig, server, SMARTRECRUITERS, ingest)
        assert await polls.run() == Complete()
        assert polls.counts() == counted(new=3)
        for offset, page in ((0, first), (6, second), (12, third)):
            answers[target("acme", offset)] = respond(page)
        end = await polls.run()
    assert polls.counts() == counted(new=7, changed=1, unchanged=2, duplicate=3, rejected=1)
    assert (sum(polls.counts().values()), polls.pages()) == (14, 3)
    assert end == Partial(reason="12 of 20 postings")
    assert await rig.stores.postings.count() == 11


async def test_second_poll_of_the_same_answer_finds_nothing_new(rig: Rig) -> None:
    async with open_fault_server(respond(greenhouse(1, 2, 3))) as server, rig.open_ingest() as box:
        polls = await Polls.of(rig, server, GREENHOUSE, box)
        await polls.run()
        assert await polls.run() == Complete()
        assert polls.counts() == counted(unchanged=3)
        assert box.statistics().sent == 1


async def test_answer_larger_than_a_batch_is_handed_over_in_parts(rig: Rig) -> None:
    body = greenhouse(*range(BATCH * 2 + 1))
    async with open_fault_server(respond(body)) as server, rig.open_ingest() as box:
        polls = await Polls.of(rig, server, GREENHOUSE, box)
        assert await polls.run() == Complete()
        assert polls.counts() == counted(new=BATCH * 2 + 1)
        assert box.statistics().sent == 3


async def test_empty_board_is_complete_and_stores_nothing(rig: Rig) -> None:
    async with open_fault_server(respond(greenhouse())) as server, rig.open_ingest() as box:
        polls = await Polls.of(rig, server, GREENHOUSE, box)
        assert await polls.run() == Complete()
        assert (polls.counts(), box.statistics().sent) == (counted(), 0)


async def test_good_items_of_a_drifted_page_are_stored(rig: Rig) -> None:
    body = greenhouse(1, 2, broken=(3, 4))
    async with open_fault_server(respond(body)) as server, rig.open_ingest() as box:
        polls = await Polls.of(rig, server, GREENHOUSE, box)
        assert isinstance(await polls.run(), Drift)
        assert polls.counts() == counted(new=2, rejected=2)


# --- pages that fail


async def test_page_that_fails_keeps_the_pages_before_it(rig: Rig) -> None:
    answers = {
        target("acme", 0): respond(smart(1, 2, total=6, limit=2)),
        target("acme", 2): respond(b"", status=500),
    }
    async with open_fault_server(by_target(answers)) as server, rig.open_ingest() as box:
        polls = await Polls.of(rig, server, SMARTRECRUITERS, box)
        assert await polls.run() == Partial(reason="500")
        assert polls.counts() == counted(new=2)
        assert isinstance(polls.failure, Unavailable)
        answers[target("acme", 2)] = reset()
        assert await polls.run() == Partial(reason="reset")
        answers[target("acme", 2)] = respond(b'{"content": 1}')
        assert isinstance(await polls.run(), Drift)
        assert polls.counts() == counted(unchanged=2)
        answers[target("acme", 2)] = respond(b"{}", status=404)
        assert await polls.run() == Partial(reason="page 2 is gone")
        answers[target("acme", 2)] = respond(b"", status=429)
        assert await polls.run() == Limited(reason="429")
    assert await rig.stores.postings.count() == 2


async def test_board_is_gone_only_in_the_words_of_its_source(rig: Rig) -> None:
    no_such_board = respond(b'{"status": 404, "error": "Job not found"}', status=404)
    some_page = respond(b"<html>", status=404, headers=(("Content-Type", "text/html"),))
    async with (
        open_fault_server(in_turn(no_such_board, some_page)) as server,
        rig.open_ingest() as box,
    ):
        polls = await Polls.of(rig, server, GREENHOUSE, box)
        assert await polls.run() == BoardGone(status=404)
        assert polls.failure == BoardGone(status=404)
        assert await polls.run() == Partial(reason="404")


async def test_page_cap_ends_a_walk_after_so_many_pages(rig: Rig) -> None:
    answers = {target("acme", 0): respond(smart(1, 2, total=6, limit=2))}
    async with open_fault_server(by_target(answers)) as server, rig.open_ingest() as box:
        polls = await Polls.of(rig, server, SMARTRECRUITERS, box)
        assert await polls.run(page_cap=1) == Partial(reason="more than 1 pages")
        assert (len(server.requests), polls.counts()) == (1, counted(new=2))


# --- answers that came before


def tagged(body: bytes, tag: str) -> Behaviour:
    """Answer 304 to who has the tag."""

    async def behave(stream: trio.abc.Stream, received: Received) -> After:
        fields = (("ETag", tag),)
        if received.header("if-none-match") == tag:
            return await respond(b"", status=304, headers=fields)(stream, received)
        return await respond(body, headers=fields)(stream, received)

    return behave


@attrs.frozen
class Counting:
    """A source that counts what it is made to do."""

    inner: Source
    done: Counter[str] = attrs.field(factory=Counter)

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def parse(self, page: Page, board: Board) -> Iterator[RawItem | Parsed]:
        self.done["parsed"] += 1
        return self.inner.parse(page, board)

    def convert(self, item: RawItem, page: Page, board: Board) -> PostingDraft | Rejected:
        self.done["converted"] += 1
        return self.inner.convert(item, page, board)


@pytest.mark.parametrize("tag", ['W/"weak"', '"strong"', None])
async def test_unchanged_board_is_neither_parsed_nor_converted(rig: Rig, tag: str | None) -> None:
    """With a tag it is not even sent; without one its body is compared."""
    body = greenhouse(1, 2, 3, broken=())
    behaviour = tagged(body, tag) if tag else respond(body)
    async with open_fault_server(behaviour) as server, rig.open_ingest() as box:
        polls = await Polls.of(rig, server, GREENHOUSE, box)
        counting = Counting(polls.source)
        polls.source = counting
        assert await polls.run() == Complete()
        assert counting.done == {"parsed": 1, "converted": 3}
        sent = box.statistics().sent
        for _ in range(2):
            assert await polls.run() == Complete()
            assert polls.counts() == counted(unchanged=3)
            assert polls.tally().unchanged_pages == polls.tally().pages == 1
            assert polls.tally().seen == 3
            assert polls.tally().bytes == (0 if tag else len(body))
        assert counting.done == {"parsed": 1, "converted": 3}
        assert box.statistics().sent == sent
        assert [each.header("if-none-match") for each in server.requests] == [None, tag, tag]


async def test_answer_that_was_not_read_in_full_is_asked_for_in_full(rig: Rig) -> None:
    drifted, short = greenhouse(1, broken=(2, 3)), greenhouse(1)
    answers = [respond(body, headers=(("ETag", '"1"'),)) for body in (drifted, drifted, short)]
    async with open_fault_server(in_turn(*answers)) as server, rig.open_ingest() as box:
        polls = await Polls.of(rig, server, GREENHOUSE, box)
        for _ in range(2):
            assert isinstance(await polls.run(), Drift)
            assert polls.kept is None
        await polls.run()
        assert polls.kept is not None
        assert all(each.header("if-none-match") is None for each in server.requests)


async def test_board_of_several_pages_is_read_in_full_each_time(rig: Rig) -> None:
    answers = {
        target("acme", 0): tagged(smart(1, 2, total=3, limit=2), '"1"'),
        target("acme", 2): tagged(smart(3, total=3, limit=2), '"2"'),
    }
    async with open_fault_server(by_target(answers)) as server, rig.open_ingest() as box:
        polls = await Polls.of(rig, server, SMARTRECRUITERS, box)
        for _ in range(2):
            assert await polls.run() == Complete()
            assert polls.kept is None
        assert polls.tally().unchanged_pages == 0
        assert all(each.header("if-none-match") is None for each in server.requests)


async def test_new_parser_and_an_old_answer_make_the_poll_unconditional(rig: Rig) -> None:
    async with open_fault_server(tagged(greenhouse(1), '"1"')) as server, rig.open_ingest() as box:
        polls = await Polls.of(rig, server, GREENHOUSE, box)
        await polls.run()
        kept = polls.kept
        assert kept is not None
        polls.source = attrs.evolve(polls.source, version=99)
        await polls.run()
        polls.source = attrs.evolve(polls.source, version=GREENHOUSE.version)
        polls.kept = attrs.evolve(kept, read_at=kept.read_at - dt.timedelta(days=1))
        await polls.run()
        assert [each.header("if-none-match") for each in server.requests] == [None] * 3


async def test_redirect_is_followed_without_the_condition(rig: Rig) -> None:
    path = "/v1/boards/acme/jobs"
    before, after = tagged(greenhouse(1), '"1"'), redirect("/v2")
    behaviours = {path: in_turn(before, after), "/v2": respond(greenhouse(1, 2))}
    async with open_fault_server(behaviours) as server, rig.open_ingest() as box:
        polls = await Polls.of(rig, server, GREENHOUSE, box)
        await polls.run()
        await polls.run()
        assert polls.counts() == counted(new=1, unchanged=1)
        conditions = [each.header("if-none-match") for each in server.requests]
        assert conditions == [None, '"1"', None]


# --- answers that are worth nothing


async def test_captcha_in_place_of_a_known_board_counts_as_a_ban(rig: Rig) -> None:
    html = (("Content-Type", "text/html"),)
    captcha = respond(b"<title>Just a moment...</title>", headers=html)
    async with (
        open_fault_server(in_turn(respond(greenhouse(1)), captcha)) as server,
        rig.open_ingest() as box,
    ):
        polls = await Polls.of(rig, server, GREENHOUSE, box)
        await polls.run()
        end = await polls.run()
        assert polls.last is not None
        assert judge(end, polls.last.failure) == Judgement(
            health=Health.BAD,
            outcome="failed",
            fault="ban",
            why="the site answers with a captcha page instead of the board",
        )
        assert [said["cause"] for said in rig.said("breaker.opened")] == ["ban"]


async def failures_after(polls: Polls, times: int) -> GateView:
    for _ in range(times):
        await polls.run()
    return polls.gate.view()


async def test_drift_and_redirects_to_another_site_count_double_at_the_gate(rig: Rig) -> None:
    for number, behaviour in enumerate(
        (respond(greenhouse(1, broken=(2, 3))), redirect("https://elsewhere.example/"))
    ):
        async with open_fault_server(behaviour) as server, rig.open_ingest() as box:
            polls = await Polls.of(rig, server, GREENHOUSE, box, f"acme{number}")
            assert (await failures_after(polls, 2)).opened == 0
            assert (await failures_after(polls, 1)).opened == 1
            assert polls.gate.view().breaker_cause == "parse"


async def test_page_whose_postings_mostly_lack_a_required_field_is_drift(rig: Rig) -> None:
    @attrs.frozen
    class Unreadable(Counting):
        def convert(self, item: RawItem, page: Page, board: Board) -> PostingDraft | Rejected:
            if item.external_id in ("1", "2"):
                return Rejected(external_id=item.external_id, reason="`url` is missing")
            return self.inner.convert(item, page, board)

    async with open_fault_server(respond(greenhouse(1, 2, 3))) as server, rig.open_ingest() as box:
        polls = await Polls.of(rig, server, GREENHOUSE, box)
        polls.source = Unreadable(polls.source)
        assert await polls.run() == Drift(reason="2 of 3 postings rejected: `url` is missing")
        assert polls.counts() == counted(new=1, rejected=2)


@pytest.mark.parametrize(
    ("answer", "evidence"),
    [
        (respond(greenhouse(1, 2)), Evidence.USUAL),
        (respond(greenhouse()), Evidence.EMPTY),
        (respond(b"", status=500), Evidence.NONE),
        (respond(b"", status=403), Evidence.NONE),
        (respond(b"[]"), Evidence.NONE),
    ],
)
async def test_sample_of_another_board_says_whether_it_lists_postings_as_usual(
    rig: Rig, answer: Behaviour, evidence: Evidence
) -> None:
    async with open_fault_server(answer) as server, rig.open_ingest() as box:
        polls = await Polls.of(rig, server, GREENHOUSE, box)
        poll = Poll(
            row=attrs.evolve(polls.row, counts=(20, 2)),
            source=polls.source,
            gate=polls.gate,
            postings=rig.stores.postings,
            ingest=box.ref,
            news_after=None,
        )
        assert await poll.sample() is evidence
        assert len(server.requests) == 1
    assert await rig.stores.postings.count() == 0


# --- redirects


async def test_redirect_within_the_hosts_is_followed_by_a_request_of_its_own(rig: Rig) -> None:
    behaviours = {"/v1/boards/acme/jobs": redirect("/v2"), "/v2": respond(greenhouse(1))}
    async with open_fault_server(behaviours) as server, rig.open_ingest() as box:
        polls = await Polls.of(rig, server, GREENHOUSE, box)
        assert await polls.run() == Complete()
        assert [request.path for request in server.requests] == ["/v1/boards/acme/jobs", "/v2"]
        assert polls.gate.view().daily_used == 2


async def test_redirect_to_another_site_is_drift_and_asks_nothing_there(rig: Rig) -> None:
    async with open_fault_server(respond(greenhouse(1))) as other, rig.open_ingest() as box:
        for location in (other.url("/jobs"), "https://elsewhere.example/jobs"):
            async with open_fault_server(redirect(location)) as server:
                polls = await Polls.of(rig, server, GREENHOUSE, box, f"acme{server.port}")
                end = await polls.run()
                assert isinstance(end, Drift)
                assert "another site" in end.reason
                assert len(server.requests) == 1
        assert (other.requests, other.connections) == ([], 0)


async def test_redirect_to_where_unknown_boards_are_sent_is_a_gone_board(rig: Rig) -> None:
    behaviour = redirect("https://www.bamboohr.com")
    async with open_fault_server(behaviour) as server, rig.open_ingest() as box:
        polls = await Polls.of(rig, server, BAMBOOHR, box)
        assert await polls.run() == BoardGone(status=302)
        assert len(server.requests) == 1


async def test_redirects_without_end_are_drift(rig: Rig) -> None:
    async with open_fault_server(redirect("/again")) as server, rig.open_ingest() as box:
        polls = await Polls.of(rig, server, GREENHOUSE, box)
        assert await polls.run() == Drift(reason="more than 5 redirects")
        assert polls.gate.view().daily_used == 6


# --- ingest


def answering(answer: object) -> ChildSpec[StorePostings]:
    async def run(ctx: Context[StorePostings]) -> None:
        ctx.started()
        async for delivery in ctx.inbox:
            delivery.reply(answer)

    return ChildSpec(id="ingest", start=run, mailbox=Mailbox())


async def test_refused_batch_makes_the_walk_drift(rig: Rig) -> None:
    box: Mailbox[StorePostings] = Mailbox()
    child = attrs.evolve(answering(BatchRefused(why="a rule")), mailbox=box)
    async with open_fault_server(respond(greenhouse(1, 2))) as server, open_tree(child):
        polls = await Polls.of(rig, server, GREENHOUSE, box)
        assert await polls.run() == Drift(reason="the store refuses 2 postings: a rule")
        assert polls.gate.view().in_flight == 0
        assert judge(Drift(reason="r"), MalformedPage("r")).health is Health.BAD


async def test_store_that_is_away_from_ingest_ends_the_walk_without_blame(rig: Rig) -> None:
    box: Mailbox[StorePostings] = Mailbox()
    child = attrs.evolve(answering(StoreAway(why="no connection")), mailbox=box)
    async with open_fault_server(respond(greenhouse(1, 2))) as server, open_tree(child):
        polls = await Polls.of(rig, server, GREENHOUSE, box)
        with pytest.raises(StoreUnavailable, match="no connection"):
            await polls.run()
        assert polls.failure is None
        assert polls.gate.view().in_flight == 0


async def test_first_walk_hands_over_where_news_begins(rig: Rig) -> None:
    taken: list[StorePostings] = []
    box: Mailbox[StorePostings] = Mailbox()

    async def run(ctx: Context[StorePostings]) -> None:
        ctx.started()
        async for delivery in ctx.inbox:
            taken.append(delivery.message)
            delivery.reply(BatchStored(new=1, changed=0, unchanged=0, duplicate=0, news=0))

    moment = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
    child = ChildSpec(id="ingest", start=run, mailbox=box)
    async with open_fault_server(respond(greenhouse(1))) as server, open_tree(child):
        polls = await Polls.of(rig, server, GREENHOUSE, box)
        await polls.run(news_after=moment)
    [message] = taken
    assert (message.board, message.news_after) == (polls.row.id, moment)
    assert [draft.external_id for draft in message.drafts] == ["1"]


async def test_store_that_goes_away_ends_the_walk_with_its_error(rig: Rig) -> None:
    async with open_fault_server(respond(greenhouse(1))) as server, rig.open_ingest() as box:
        polls = await Polls.of(rig, server, GREENHOUSE, box)
        rig.faulty.is_down = True
        with pytest.raises(StoreUnavailable):
            await polls.run()
        rig.faulty.is_down = False
        assert server.requests == []


# --- judgement


URL = "https://boards.example/jobs"


@pytest.mark.parametrize(
    ("end", "failure", "expected"),
    [
        (Complete(), None, (Health.GOOD, "complete", None)),
        (Partial(reason="3 of 4 postings"), None, (Health.GOOD, "partial", None)),
        (Partial(reason="dns"), Unavailable(URL, Unreached.DNS), (Health.BAD, "failed", "dns")),
        (
            Partial(reason="500"),
            Unavailable(URL, Unreached.SERVER, status=500),
            (Health.BAD, "failed", "5xx"),
        ),
        (Partial(reason="403"), Blocked(URL, "403", status=403), (Health.BAD, "failed", "403")),
        (Partial(reason="address"), Blocked(URL, "address"), (Health.BAD, "failed", "refused")),
        (BoardGone(status=404), BoardGone(status=404), (Health.NEUTRAL, "gone", None)),
        (Drift(reason="no jobs"), MalformedPage("no jobs"), (Health.BAD, "drift", "parse")),
        (Drift(reason="2 of 4 items rejected"), None, (Health.BAD, "drift", "parse")),
        (
            Limited(reason="429"),
            Throttled(URL, status=429, retry_after=(), date=None),
            (Health.BAD, "limited", "429"),
        ),
    ],
)
def test_judgement_names_health_outcome_and_fault(
    end: WalkEnd,
    failure: FetchError | MalformedPage | BoardGone | None,
    expected: tuple[Health, str, str | None],
) -> None:
    judgement = judge(end, failure)
    assert (judgement.health, judgement.outcome, judgement.fault) == expected
    assert (judgement.why is None) == (end == Complete())


@pytest.mark.parametrize("unreached", list(Unreached))
def test_every_failure_of_a_site_is_explained_in_words(unreached: Unreached) -> None:
    failure = Unavailable(URL, unreached, status=503 if unreached.value.endswith("xx") else None)
    judged = judge(Partial(reason=failure.why), failure)
    assert isinstance(judged, Judgement)
    assert judged.why is not None
    assert len(judged.why.split()) >= 3


@pytest.mark.parametrize("status", [401, 402, 403])
def test_refusal_of_a_source_with_a_key_names_the_key(status: int) -> None:
    url = "https://jsearch.p.rapidapi.com/search"
    failure: FetchError = Blocked(url, str(status), status=status)
    if status == 402:
        failure = Unavailable(url, Unreached.CLIENT, status=status)
    judged = judge(Partial(reason=failure.why), failure)
    blamed = blaming_key(judged, failure, JSEARCH)
    why = f"the site answers {status}: JOBPING_JSEARCH_KEY refused, or the quota used up"
    assert blamed == attrs.evolve(judged, why=why)
    assert blaming_key(judged, failure, GREENHOUSE) == judged
    assert blaming_key(judged, None, JSEARCH) == judged
