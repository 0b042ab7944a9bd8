import attrs
import trio

from jobping.actors.ingest import ingest
from jobping.actors.messages import BatchRefused, PostingsStored, StoreAway, StorePostings
from jobping.core.ids import BoardId
from jobping.sources.greenhouse import GREENHOUSE
from jobping.store.postings import BatchStored
from supervisors import ChildSpec, Mailbox
from supervisors.testing import EventLog, ScriptedActor
from tests.actors.rig import Rig, listener, open_tree
from tests.doubles.leases import fence_of
from tests.store.store_samples import NOON, draft


async def test_ingest_counts_what_it_stored_and_nudges_the_matcher_about_news_only(
    rig: Rig,
) -> None:
    box: Mailbox[StorePostings] = Mailbox()
    nudges: Mailbox[PostingsStored] = Mailbox()
    matcher = ScriptedActor()
    row = await rig.add_board(GREENHOUSE)
    child = ChildSpec(id="ingest", start=ingest(rig.stores.postings, nudges.ref), mailbox=box)
    stock = StorePostings(
        board=row.id, drafts=(draft("1"), draft("2")), news_after=NOON, fence=fence_of(row.domain)
    )
    async with open_tree(listener("matcher", nudges, matcher), child):
        counts = await box.ref.ask(stock, within=5)
        assert counts == BatchStored(new=2, changed=0, unchanged=0, duplicate=0, news=0)
        news = attrs.evolve(stock, drafts=(draft("3"),), news_after=None)
        counts = await box.ref.ask(news, within=5)
        assert counts == BatchStored(new=1, changed=0, unchanged=0, duplicate=0, news=1)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert matcher.received == [PostingsStored()]


async def test_ingest_refuses_a_batch_that_the_schema_forbids_and_lives_on(rig: Rig) -> None:
    log = EventLog()
    box: Mailbox[StorePostings] = Mailbox()
    nudges: Mailbox[PostingsStored] = Mailbox()
    row = await rig.add_board(GREENHOUSE)
    child = ChildSpec(id="ingest", start=ingest(rig.stores.postings, nudges.ref), mailbox=box)
    page = StorePostings(
        board=BoardId(row.id + 1), drafts=(draft("1"),), news_after=None, fence=fence_of(row.domain)
    )
    async with open_tree(listener("matcher", nudges), child, hook=log):
        refused = await box.ref.ask(page, within=5)
        assert isinstance(refused, BatchRefused)
        assert refused.why
        stored = await box.ref.ask(attrs.evolve(page, board=row.id), within=5)
        assert isinstance(stored, BatchStored)
        assert log.lines() == ["started root/matcher 1", "started root/ingest 1"]
    assert await rig.stores.postings.count() == 1


async def test_ingest_says_that_the_store_is_away_and_lives_on(rig: Rig) -> None:
    log = EventLog()
    box: Mailbox[StorePostings] = Mailbox()
    nudges: Mailbox[PostingsStored] = Mailbox()
    row = await rig.add_board(GREENHOUSE)
    child = ChildSpec(id="ingest", start=ingest(rig.stores.postings, nudges.ref), mailbox=box)
    page = StorePostings(
        board=row.id, drafts=(draft("1"),), news_after=None, fence=fence_of(row.domain)
    )
    async with open_tree(listener("matcher", nudges), child, hook=log):
        rig.faulty.is_down = True
        assert isinstance(await box.ref.ask(page, within=5), StoreAway)
        rig.faulty.is_down = False
        assert isinstance(await box.ref.ask(page, within=5), BatchStored)
        assert log.lines() == ["started root/matcher 1", "started root/ingest 1"]
