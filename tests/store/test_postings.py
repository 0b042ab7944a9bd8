import datetime as dt
import random
from collections.abc import Sequence
from decimal import Decimal

import attrs
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_samples import (
    DAY_S,
    NOON,
    SOURCE,
    CountedDatabase,
    add_board,
    add_news,
    add_profile,
    content_hash,
    draft,
    fingerprint,
    hash_of,
    match_of,
    put,
    sql,
)

from jobping.core import fingerprint as core_fingerprint
from jobping.core.board import StoredBoard
from jobping.core.ids import BoardId, ExternalId, PostingId, SourceName
from jobping.core.posting import (
    Interval,
    Location,
    PostingDraft,
    Precision,
    Remote,
    Salary,
    SalaryOrigin,
    StoredPosting,
)
from jobping.errors import StoreConflict
from jobping.store.batch import store_batch
from jobping.store.bridge import Database
from jobping.store.connection import Connection
from jobping.store.kin import Entry
from jobping.store.matches import Matches
from jobping.store.postings import BatchStored, Known, Postings
from tests.doubles.leases import fence_of

STORED = "SELECT external_id, version, board_id FROM posting ORDER BY external_id"


async def everything(database: Database) -> tuple[StoredPosting, ...]:
    ids = await sql(database, "SELECT id FROM posting ORDER BY source, external_id")
    return await Postings(database=database).get([PostingId(id) for [id] in ids])


async def queued(database: Database) -> list[tuple[object, ...]]:
    return await sql(
        database,
        "SELECT p.external_id, u.version FROM unmatched u JOIN posting p ON p.id = u.posting_id"
        " ORDER BY 1",
    )


def entries(drafts: Sequence[PostingDraft]) -> list[Entry]:
    return [
        Entry(draft=item, content_hash=content_hash(item), fingerprint=fingerprint(item))
        for item in drafts
    ]


# --- what is told apart


async def test_batch_stored_twice_equals_once(database: Database) -> None:
    board, drafts = await add_board(database), [draft(str(n)) for n in range(7)]
    assert await put(database, board, drafts) == BatchStored(new=7, news=7)
    before = await everything(database)
    assert await put(database, board, drafts) == BatchStored(unchanged=7)
    assert await everything(database) == before
    assert [posting.draft for posting in before] == drafts


async def test_batch_in_another_order_changes_nothing(database: Database) -> None:
    board, drafts = await add_board(database), [draft(str(n)) for n in range(40)]
    await put(database, board, drafts)
    before = await everything(database)
    random.Random(1).shuffle(drafts)
    assert await put(database, board, drafts) == BatchStored(unchanged=40)
    assert await everything(database) == before


async def test_batch_larger_than_a_statement_is_stored_whole(database: Database) -> None:
    board, drafts = await add_board(database), [draft(f"{n:04}") for n in range(1201)]
    assert await put(database, board, drafts) == BatchStored(new=1201, news=1201)
    assert await put(database, board, drafts) == BatchStored(unchanged=1201)
    assert await Postings(database=database).count() == 1201


async def test_empty_batch_stores_nothing(database: Database) -> None:
    assert await put(database, await add_board(database), []) == BatchStored()


async def test_changed_posting_gets_the_next_version_and_its_new_text(database: Database) -> None:
    board = await add_board(database)
    await put(database, board, [draft("1"), draft("2")])
    [first, _] = await everything(database)
    other = draft("1", title="Chief Analyst", description="Other words.")
    assert await put(database, board, [other, draft("2")]) == BatchStored(
        changed=1, unchanged=1, news=1
    )
    [after, _] = await everything(database)
    assert after == attrs.evolve(first, version=2, draft=other)
    assert await queued(database) == [("1", 2), ("2", 1)]


async def test_changed_posting_is_found_by_its_new_words_only(database: Database) -> None:
    board, postings = await add_board(database), Postings(database=database)
    await put(database, board, [draft("1", title="Nurse", description="Ward")])
    await put(database, board, [draft("1", title="Baker", description="Oven")])
    assert await postings.search("nurse or ward", limit=5) == ()
    assert len(await postings.search("baker oven", limit=5)) == 1


async def test_closed_posting_that_returns_is_open_again_with_its_first_date(
    database: Database,
) -> None:
    board = await add_board(database)
    await put(database, board, [draft("1")])
    [first] = await everything(database)
    await sql(database, "UPDATE posting SET closed_at = now()")
    await sql(database, "DELETE FROM unmatched")
    known = await Postings(database=database).known(
        SOURCE, board.id, [(ExternalId("1"), draft("1").source_digest)]
    )
    assert known == {"1": Known.UNKNOWN}
    assert await put(database, board, [draft("1")]) == BatchStored(changed=1, news=1)
    assert await everything(database) == (attrs.evolve(first, version=2),)
    assert await queued(database) == [("1", 2)]


async def test_unchanged_content_with_another_digest_only_remembers_the_digest(
    database: Database,
) -> None:
    board, postings = await add_board(database), Postings(database=database)
    await put(database, board, [draft("1")])
    [first] = await everything(database)
    again = draft("1", source_digest=b"d" * 16)
    assert await put(database, board, [again]) == BatchStored(unchanged=1)
    assert await everything(database) == (attrs.evolve(first, draft=again),)
    known = await postings.known(SOURCE, board.id, [(ExternalId("1"), b"d" * 16)])
    assert known == {"1": Known.UNCHANGED}


# --- drafts that do not say all


async def test_weak_fields_of_a_stored_posting_stay_as_they_are(database: Database) -> None:
    board, postings = await add_board(database), Postings(database=database)
    whole = draft("1", salary=Salary(raw="50k", minimum=Decimal("50000.00")), tags=("a",))
    await store(postings, board, [whole])
    [before] = await everything(database)
    light = draft("1", description="", locations=(), source_digest=b"d" * 16)
    light = attrs.evolve(
        light, weak=frozenset({"description", "locations", "salary", "tags", "company"})
    )
    assert await store(postings, board, [light]) == BatchStored(unchanged=1)
    kept = attrs.evolve(whole, source_digest=light.source_digest)
    assert await everything(database) == (attrs.evolve(before, draft=kept),)
    assert await store(postings, board, [whole]) == BatchStored(unchanged=1)


async def test_change_in_a_field_that_is_not_weak_leaves_the_weak_ones(database: Database) -> None:
    board, postings = await add_board(database), Postings(database=database)
    whole, other = draft("1"), draft("2")
    await store(postings, board, [whole, other])
    light = attrs.evolve(whole, title="Baker", description="", weak=frozenset({"description"}))
    assert await store(postings, board, [light, other]) == BatchStored(
        changed=1, unchanged=1, news=1
    )
    [changed, _] = await everything(database)
    baker = attrs.evolve(whole, title="Baker")
    assert (changed.draft, changed.version) == (baker, 2)
    assert changed.fingerprint == core_fingerprint.fingerprint(whole)
    assert len(await postings.search("baker numbers", limit=5)) == 1
    assert await store(postings, board, [baker]) == BatchStored(unchanged=1)


async def test_new_posting_with_weak_fields_is_stored_with_them_and_later_filled(
    database: Database,
) -> None:
    board, postings = await add_board(database), Postings(database=database)
    light = draft("1", description="", weak=frozenset({"description"}))
    assert await store(postings, board, [light]) == BatchStored(new=1, news=1)
    assert await store(postings, board, [light]) == BatchStored(unchanged=1)
    text = attrs.evolve(light, description="Words.", weak=frozenset({"description"}))
    assert await store(postings, board, [text]) == BatchStored(changed=1, news=1)
    assert [posting.draft.description for posting in await everything(database)] == ["Words."]
    await sql(database, "UPDATE posting SET closed_at = now()")
    assert await store(postings, board, [light]) == BatchStored(changed=1, news=1)
    [again] = await everything(database)
    assert (again.draft.description, again.closed_at) == ("Words.", None)


async def store(
    postings: Postings, board: StoredBoard, drafts: Sequence[PostingDraft]
) -> BatchStored:
    """Store drafts under the hashes that the product gives them."""
    hashes = [core_fingerprint.content_hash(item) for item in drafts]
    fingerprints = [core_fingerprint.fingerprint(item) for item in drafts]
    fence = fence_of(board.domain)
    return await postings.store(
        board.id, drafts, hashes, fingerprints, news_after=None, fence=fence
    )


# --- duplicates in a batch, and across boards


async def test_posting_twice_in_a_batch_is_one_with_the_places_of_both(database: Database) -> None:
    board = await add_board(database)
    berlin, lisbon = Location(raw="Berlin"), Location(raw="Lisbon")
    twice = [draft("1", locations=(berlin,)), draft("1", locations=(lisbon, berlin)), draft("2")]
    assert await put(database, board, twice) == BatchStored(new=2, duplicate=1, news=2)
    [stored, _] = await everything(database)
    assert set(stored.draft.locations) == {berlin, lisbon}
    assert len(stored.draft.locations) == 2


async def test_posting_twice_in_a_batch_is_unchanged_in_any_order(database: Database) -> None:
    board, postings = await add_board(database), Postings(database=database)
    twice = [draft("1", locations=(Location(raw=place),)) for place in ("Berlin", "Lisbon")]
    await put(database, board, twice)
    before = await everything(database)
    assert await put(database, board, twice[::-1]) == BatchStored(unchanged=1, duplicate=1)
    assert await everything(database) == before
    digests = [(item.external_id, item.source_digest) for item in twice[::-1]]
    assert await postings.known(SOURCE, board.id, digests) == {"1": Known.UNCHANGED}


async def test_same_draft_twice_in_a_batch_equals_once(database: Database) -> None:
    board = await add_board(database)
    await put(database, board, [draft("1"), draft("1")])
    assert await put(database, board, [draft("1")]) == BatchStored(unchanged=1)


async def test_posting_of_another_board_is_a_duplicate_and_stays_where_it_was(
    database: Database,
) -> None:
    first, second = await add_board(database, "first"), await add_board(database, "second")
    await put(database, first, [draft("1")])
    assert await put(database, second, [draft("1"), draft("2")]) == BatchStored(
        new=1, duplicate=1, news=1
    )
    assert await sql(database, STORED) == [("1", 1, first.id), ("2", 1, second.id)]


async def test_changed_posting_of_another_board_updates_the_row_and_its_holder_stays(
    database: Database,
) -> None:
    first, second = await add_board(database, "first"), await add_board(database, "second")
    await put(database, first, [draft("1")])
    assert await put(database, second, [draft("1", title="Other")]) == BatchStored(
        changed=1, news=1
    )
    assert await sql(database, STORED) == [("1", 2, first.id)]


async def test_same_id_at_two_sources_is_two_postings(database: Database) -> None:
    board, other = await add_board(database), SourceName("lever")
    assert await put(database, board, [draft("1"), draft("1", source=other)]) == BatchStored(
        new=2, news=2
    )
    assert {posting.draft.source for posting in await everything(database)} == {SOURCE, other}


# --- stock and news


async def test_first_walk_finds_news_only_among_what_is_recent(database: Database) -> None:
    board, postings = await add_board(database), Postings(database=database)
    second = dt.timedelta(seconds=1)
    drafts = [
        draft("dated", posted_at=NOON),
        draft("old", posted_at=NOON - second),
        draft("undated"),
    ]
    assert await put(database, board, drafts, news_after=NOON) == BatchStored(new=3, news=1)
    assert await queued(database) == [("dated", 1)]
    [news] = await postings.newest_news(limit=5, within_s=60.0)
    assert news.draft == drafts[0]


async def test_stock_that_changes_is_not_offered(database: Database) -> None:
    board = await add_board(database)
    await put(database, board, [draft("1")], news_after=NOON)
    assert await put(database, board, [draft("1", title="Other")]) == BatchStored(changed=1)
    assert await queued(database) == []


async def test_newest_news_come_newest_first_within_their_time(database: Database) -> None:
    board, postings = await add_board(database), Postings(database=database)
    await put(database, board, [draft(id) for id in "abcd"])
    age = "UPDATE posting SET news_at = now() - make_interval(hours => $2) WHERE external_id = $1"
    for id, hours in (("a", 3), ("b", 1), ("c", 30), ("d", 2)):
        await sql(database, age, id, hours)
    newest = await postings.newest_news(limit=2, within_s=DAY_S)
    assert [posting.draft.external_id for posting in newest] == ["b", "d"]
    all_news = await postings.newest_news(limit=9, within_s=DAY_S)
    assert [posting.draft.external_id for posting in all_news] == ["b", "d", "a"]


async def test_recent_stock_is_offered_the_newest_first_and_news_left_alone(
    database: Database,
) -> None:
    board, other = await add_board(database), await add_board(database, "other")
    postings, day = Postings(database=database), dt.timedelta(days=1)
    await put(
        database,
        board,
        [draft(f"-{age}", posted_at=NOON - age * day) for age in (3, 1, 2)] + [draft("news")],
        news_after=NOON,
    )
    await put(database, other, [draft("others", posted_at=NOON - day)], news_after=NOON)
    await put(database, board, [draft("closed"), draft("long known")], news_after=NOON)
    await sql(database, "UPDATE posting SET closed_at = now() WHERE external_id = 'closed'")
    await sql(
        database,
        "UPDATE posting SET first_seen_at = now() - interval '8 days'"
        " WHERE external_id = 'long known'",
    )
    await sql(database, "UPDATE posting SET news_at = now() WHERE external_id = 'news'")
    for _ in range(2):
        assert await postings.offer_stock([board.id], within_s=7 * DAY_S, limit=3) == 3
        assert await queued(database) == [("-1", 1), ("-2", 1)]
    assert await postings.offer_stock([], within_s=7 * DAY_S, limit=3) == 0


# --- the prefilter


async def test_known_tells_unchanged_elsewhere_and_unknown_apart(database: Database) -> None:
    first, second = await add_board(database, "first"), await add_board(database, "second")
    await put(database, first, [draft("1"), draft("2")])
    await put(database, second, [draft("3")])
    asked = [(item.external_id, item.source_digest) for item in map(draft, "134")]
    known = await Postings(database=database).known(
        SOURCE, first.id, [*asked, (ExternalId("2"), b"another digest")]
    )
    assert known == {
        "1": Known.UNCHANGED,
        "2": Known.UNKNOWN,
        "3": Known.ELSEWHERE,
        "4": Known.UNKNOWN,
    }


async def test_known_never_trusts_an_empty_digest(database: Database) -> None:
    board = await add_board(database)
    await put(database, board, [draft("1", source_digest=b"")])
    known = await Postings(database=database).known(SOURCE, board.id, [(ExternalId("1"), b"")])
    assert known == {"1": Known.UNKNOWN}


async def test_known_answers_nothing_for_nothing(database: Database) -> None:
    assert await Postings(database=database).known(SOURCE, BoardId(1), []) == {}


async def test_seen_is_written_once_a_day_for_each_row(database: Database) -> None:
    board, postings = await add_board(database), Postings(database=database)
    await put(database, board, [draft("1"), draft("2")])
    asked = [(item.external_id, item.source_digest) for item in map(draft, "12")]
    seen = (
        "SELECT ctid::text, last_seen = current_date, absent_since FROM posting_seen"
        " ORDER BY posting_id"
    )
    first = await sql(database, seen)
    await postings.known(SOURCE, board.id, asked)
    await put(database, board, [draft("1"), draft("2")])
    assert await sql(database, seen) == first
    await sql(
        database, "UPDATE posting_seen SET last_seen = current_date - 1, absent_since = now()"
    )
    await postings.known(SOURCE, board.id, asked[:1])
    assert [row[1:] for row in await sql(database, seen)] != [(True, None), (True, None)]
    await put(database, board, [draft("2")])
    assert [row[1:] for row in await sql(database, seen)] == [(True, None), (True, None)]


async def test_unchanged_batch_writes_no_row_at_all(database: Database) -> None:
    board, drafts = await add_board(database), [draft(str(n)) for n in range(50)]
    await put(database, board, drafts)
    versions = "SELECT id, ctid::text, xmin::text, xmax::text FROM posting ORDER BY id"
    before = await sql(database, versions)
    asked = [(item.external_id, item.source_digest) for item in drafts]
    known = await Postings(database=database).known(SOURCE, board.id, asked)
    assert set(known.values()) == {Known.UNCHANGED}
    await put(database, board, drafts)
    assert await sql(database, versions) == before


# --- several writers, cancelled writers


async def test_writers_of_the_same_batches_neither_deadlock_nor_store_twice(
    database: Database,
) -> None:
    board, counted = await add_board(database), CountedDatabase(database)
    drafts = [draft(f"{n:03}") for n in range(600)]
    results: list[BatchStored] = []

    async def write(seed: int, title: str) -> None:
        batch = [attrs.evolve(item, title=title) for item in drafts]
        random.Random(seed).shuffle(batch)
        results.append(await put(counted, board, batch))

    for title in ("One", "Two"):
        async with trio.open_nursery() as nursery:
            for seed in range(4):
                nursery.start_soon(write, seed, title)
    totals = [sum(column) for column in zip(*map(attrs.astuple, results), strict=True)]
    assert totals == [600, 600, 3600, 0, 1200]
    assert {version for _, version, _ in await sql(database, STORED)} == {2}
    assert counted.ran == counted.asked


MISS_ALL = """
WITH all_seen AS (SELECT posting_id FROM posting_seen ORDER BY posting_id FOR UPDATE)
UPDATE posting_seen s SET absent_since = now()
FROM all_seen WHERE s.posting_id = all_seen.posting_id
"""


async def test_writers_of_overlapping_batches_of_many_boards_never_deadlock(
    database: Database,
) -> None:
    counted = CountedDatabase(database)
    boards = [await add_board(database, f"board{n}") for n in range(6)]
    postings = Postings(database=counted)

    async def write(board: StoredBoard, seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(4):
            ids = rng.sample(range(150), 100)
            batch = [draft(f"{n:03}", title=rng.choice("xyz")) for n in ids]
            digests = [(item.external_id, rng.choice([b"a", b"b"]) * 16) for item in batch]
            await postings.known(SOURCE, board.id, digests)
            evolved = [
                attrs.evolve(item, source_digest=digest)
                for item, (_, digest) in zip(batch, digests, strict=True)
            ]
            await put(counted, board, evolved)
            await sql(counted, MISS_ALL)

    async with trio.open_nursery() as nursery:
        for seed, board in enumerate(boards):
            nursery.start_soon(write, board, seed)
    assert counted.ran == counted.asked


async def store_and_linger(
    connection: Connection,
    board: StoredBoard,
    drafts: Sequence[PostingDraft],
    lingering: trio.Event,
) -> None:
    async with connection.transaction():
        await store_batch(connection, board.id, entries(drafts), None, fence_of(board.domain))
        lingering.set()
        await connection.execute("SELECT pg_sleep(20)")


async def test_writer_cancelled_midway_stores_nothing(database: Database) -> None:
    board, lingering = await add_board(database), trio.Event()
    drafts = [draft(str(n)) for n in range(20)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(database.run, store_and_linger, board, drafts, lingering)
        await lingering.wait()
        nursery.cancel_scope.cancel()
    with trio.fail_after(15):
        assert await put(database, board, drafts) == BatchStored(new=20, news=20)


async def test_batch_that_breaks_a_rule_stores_nothing(database: Database) -> None:
    board, postings = await add_board(database), Postings(database=database)
    drafts = [draft(str(n)) for n in range(501)]
    hashes = [content_hash(item) for item in drafts]
    with pytest.raises(StoreConflict, match="posting_content_hash_check"):
        await postings.store(
            board.id,
            drafts,
            [*hashes[:-1], b"short"],
            [None] * 501,
            news_after=None,
            fence=fence_of(board.domain),
        )
    with pytest.raises(StoreConflict, match="posting_board_id_fkey"):
        await postings.store(
            BoardId(999),
            drafts[:1],
            hashes[:1],
            [None],
            news_after=None,
            fence=fence_of(board.domain),
        )
    assert await postings.count() == 0


# --- nothing is lost on the way in and out

printable = st.text(max_size=40)
unknown_or_text = st.none() | printable
moments = st.datetimes(
    min_value=dt.datetime(1, 1, 2), max_value=dt.datetime(9999, 12, 30), timezones=st.just(dt.UTC)
)
amounts = st.decimals(allow_nan=False, allow_infinity=False) | st.sampled_from(
    [Decimal("1E+131071"), Decimal("1E-16383"), Decimal("-0.00"), Decimal("9" * 400 + ".5")]
)
drafts_of_anything = st.builds(
    PostingDraft,
    source=st.sampled_from([SOURCE, SourceName("lever")]),
    external_id=printable.map(ExternalId),
    title=printable,
    company=unknown_or_text,
    url=printable,
    locations=st.lists(
        st.builds(
            Location,
            raw=printable,
            city=unknown_or_text,
            region=unknown_or_text,
            country=unknown_or_text,
        ),
        max_size=3,
    ).map(tuple),
    remote=st.sampled_from(Remote),
    description=printable,
    posted_at=st.none() | moments,
    posted_precision=st.sampled_from(Precision),
    posted_raw=printable,
    closes_at=st.none() | moments,
    salary=st.none()
    | st.builds(
        Salary,
        raw=printable,
        minimum=st.none() | amounts,
        maximum=st.none() | amounts,
        currency=unknown_or_text,
        interval=st.sampled_from(Interval),
        origin=st.sampled_from(SalaryOrigin),
    ),
    employment=st.lists(printable, max_size=3).map(tuple),
    department=unknown_or_text,
    level=unknown_or_text,
    tags=st.lists(printable, max_size=3).map(tuple),
    language=unknown_or_text,
    source_digest=st.binary(max_size=16),
)


def as_stored(value: object) -> object:
    """What PostgreSQL can hold of a value: no NUL, no lone surrogate."""
    if isinstance(value, str):
        joined = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return joined.replace("\0", "")
    if isinstance(value, tuple):
        return tuple(as_stored(item) for item in value)
    if isinstance(value, PostingDraft | Salary | Location):
        fields = {
            field.name: as_stored(getattr(value, field.name)) for field in attrs.fields(type(value))
        }
        return type(value)(**fields)
    return value


async def test_draft_comes_back_with_every_field_as_it_was(database: Database) -> None:
    board = await add_board(database)
    given_drafts: dict[tuple[object, object], PostingDraft] = {}

    @settings(
        max_examples=300, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(drafts_of_anything)
    def collect(item: PostingDraft) -> None:
        given_drafts.setdefault((item.source, as_stored(item.external_id)), item)

    collect()
    drafts = list(given_drafts.values())
    hashes = [hash_of(item) for item in drafts]
    fingerprints = [fingerprint(item) for item in drafts]
    await Postings(database=database).store(
        board.id, drafts, hashes, fingerprints, news_after=None, fence=fence_of(board.domain)
    )
    stored = {
        (posting.draft.source, posting.draft.external_id): posting
        for posting in await everything(database)
    }
    for key, item, fingerprint_given in zip(given_drafts, drafts, fingerprints, strict=True):
        assert stored[key].draft == as_stored(item)
        assert (stored[key].fingerprint is None) is (fingerprint_given is None)
    assert len(stored) == len(drafts)


async def test_draft_with_extreme_text_comes_back_as_it_was(database: Database) -> None:
    board = await add_board(database)
    huge = "\N{PERSONAL COMPUTER} words 'and' \"quotes\" \\ {braces} $1 %s \r\n" * 25_000
    item = draft(
        "1",
        title=huge,
        description=huge,
        url="https://acme.example/" + "x" * 10_000,
        tags=("NULL", "", "{a,b}", '"'),
        employment=("nul\0here", "\ud83d\ude00", "lone \ud800"),
    )
    await put(database, board, [item])
    [stored] = await everything(database)
    assert stored.draft == attrs.evolve(
        item, employment=("nulhere", "\N{GRINNING FACE}", "lone \N{REPLACEMENT CHARACTER}")
    )
    assert await put(database, board, [item]) == BatchStored(unchanged=1)


@pytest.mark.parametrize(
    "amount", ["NaN", "Infinity", "-Infinity", "sNaN", "1E+131072", "1E-16384"]
)
async def test_amount_that_is_no_number_becomes_unknown(database: Database, amount: str) -> None:
    pay = Salary(raw="plenty", minimum=Decimal(amount), maximum=Decimal(10))
    await put(database, await add_board(database), [draft("1", salary=pay)])
    [stored] = await everything(database)
    assert stored.draft.salary == Salary(raw="plenty", maximum=Decimal(10))


async def test_id_too_long_for_an_index_is_shortened_and_stays_the_same_posting(
    database: Database,
) -> None:
    board, postings = await add_board(database), Postings(database=database)
    stem = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyzäöü", k=9000))
    drafts = [draft(stem + end) for end in "xy"]
    assert await put(database, board, drafts) == BatchStored(new=2, news=2)
    assert await put(database, board, drafts) == BatchStored(unchanged=2)
    asked = [(item.external_id, item.source_digest) for item in drafts]
    known = await postings.known(SOURCE, board.id, asked)
    assert known == {item.external_id: Known.UNCHANGED for item in drafts}


# --- reading


async def test_get_answers_in_the_order_asked_and_leaves_out_the_unknown(
    database: Database,
) -> None:
    one, _, three = await add_news(database, draft("1"), draft("2"), draft("3"))
    found = await Postings(database=database).get([three.id, PostingId(999), one.id])
    assert found == (three, one)


async def test_search_ranks_title_over_company_over_text(database: Database) -> None:
    await add_news(
        database,
        draft("text", title="A", company="B", description="a nurse"),
        draft("title", title="Nurse", company="B", description="x"),
        draft("company", title="A", company="Nurse Ltd", description="x"),
        draft("none", title="A", company=None, description="x"),
    )
    found = await Postings(database=database).search("NURSE", limit=9)
    assert [posting.draft.external_id for posting in found] == ["title", "company", "text"]


async def test_search_understands_phrases_exclusions_and_letters_beyond_ascii(
    database: Database,
) -> None:
    postings = Postings(database=database)
    await add_news(
        database,
        draft("1", title="Ärztin im Praktikum", description="Köln"),
        draft("2", title="Backend/Frontend Engineer (m/w/d)", description="C++ and Node.js"),
        draft("3", title="Frontend Engineer, Senior", description="engineer frontend"),
    )
    expected = {
        "ärztin": ["1"],
        '"frontend engineer" -senior': ["2"],
        "backend": ["2"],
        "backend/frontend": ["2"],
        "node.js": ["2"],
        "köln or senior": ["1", "3"],
    }
    for query, ids in expected.items():
        found = await postings.search(query, limit=9)
        assert sorted(posting.draft.external_id for posting in found) == ids, query


async def test_search_passes_over_closed_postings_and_obeys_its_limit(database: Database) -> None:
    await add_news(database, *(draft(str(n)) for n in range(5)))
    await sql(database, "UPDATE posting SET closed_at = now() WHERE external_id = '4'")
    postings = Postings(database=database)
    assert len(await postings.search("analyst", limit=9)) == 4
    assert len(await postings.search("analyst", limit=2)) == 2


HOSTILE = (
    "", " ", "\0", "\ud800", "'", '"', '"""', "'; DROP TABLE posting; --", "& | ! <-> ( )", "!!!!",
    "a:* & b", "\\", "%", "_", "-", "--", "- - -", "or or", '"a" or -', "-analyst", "🦀",
    "x" * 5000, "word " * 100_000, '"' * 99_999, "-" * 99_999, "- " * 500, '-"' * 500,
    "-a" * 500, "or " * 300, "a-b_c.d/e@f:g" * 5000, "http://" + "a." * 9000,
)  # fmt: skip


async def test_search_survives_hostile_queries(database: Database) -> None:
    postings = Postings(database=database)
    await add_news(database, draft("1"))
    for query in HOSTILE:
        assert len(await postings.search(query, limit=9)) <= 1, ascii(query[:20])
    assert await postings.count() == 1


async def test_search_survives_random_punctuation(database: Database) -> None:
    postings, rng = Postings(database=database), random.Random(7)
    tokens = ["-", '"', " ", "a", "or", "!", "&", "|", "(", ")", "<->", "\\", "'", ":*", "é", "1"]
    for _ in range(150):
        some = rng.sample(tokens, rng.randint(1, 6))
        query = "".join(rng.choices(some, k=rng.randint(1, 1000)))
        assert await postings.search(query, limit=9) == (), query


# --- what is asked for one by one


async def test_least_seen_are_the_open_postings_of_a_board_the_longest_unseen_first(
    database: Database,
) -> None:
    postings, board = Postings(database=database), await add_board(database)
    await put(database, board, [draft(id) for id in "abcd"])
    await put(database, await add_board(database, "other"), [draft("e")])
    await sql(database, "UPDATE posting_seen SET last_seen = last_seen - posting_id::integer")
    await sql(database, "UPDATE posting SET closed_at = now() WHERE external_id = 'd'")
    found = await postings.least_seen(board.id, limit=2)
    assert [one.external_id for one in found] == ["c", "b"]
    assert found[0].url == draft("c").url
    found = await postings.least_seen(board.id, limit=9, but=[ExternalId("c"), ExternalId("a")])
    assert [one.external_id for one in found] == ["b"]


async def test_most_matched_counts_matches_of_open_postings_only(database: Database) -> None:
    postings, matches = Postings(database=database), Matches(database=database)
    boards = [await add_board(database, slug) for slug in ("none", "closed", "two", "one")]
    for row, ids in zip(boards, ("p", "qrs", "tu", "v"), strict=True):
        await put(database, row, [draft(id) for id in ids])
    ana = await add_profile(database)
    found = [stored for stored in await everything(database) if stored.draft.external_id != "p"]
    await matches.record([match_of(ana, posting) for posting in found], done=[])
    await sql(database, "UPDATE posting SET closed_at = now() WHERE board_id = $1", boards[1].id)
    none, closed, two, one = (row.id for row in boards)
    assert await postings.most_matched([none, closed, two, one]) == (two, one, none, closed)
    assert await postings.most_matched([none, one]) == (one, none)
    assert await postings.most_matched([]) == ()
