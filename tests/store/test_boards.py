import datetime as dt

import attrs
import pytest
from store_samples import NOON, add_board, draft, put, sql

from jobping.core.board import Board, Origin, StoredBoard
from jobping.core.closing import Proof
from jobping.core.ids import Domain, ExternalId, SourceName
from jobping.core.revalidation import LastAnswer
from jobping.errors import StoreConflict
from jobping.store.boards import Boards, Kept
from jobping.store.bridge import Database
from jobping.store.postings import Known, Postings

DOMAIN = Domain("boards.example")
ACME = Board(source=SourceName("greenhouse"), slug="acme")
BETA = Board(source=SourceName("lever"), slug="beta", company="Beta SE")
GAMMA = Board(source=SourceName("ashby"), slug="Gamma%20Labs")


def placed(*boards: Board) -> list[tuple[Board, Domain]]:
    return [(board, DOMAIN) for board in boards]


async def origins(boards: Boards) -> dict[Board, Origin]:
    return {row.board: row.origin for row in await boards.enabled()}


async def test_sync_enters_updates_and_removes_boards_of_the_file(database: Database) -> None:
    boards = Boards(database=database)
    await boards.sync(placed(ACME, BETA), [], use_defaults=False)
    renamed = attrs.evolve(BETA, company="Beta AG")
    await boards.sync(placed(renamed, GAMMA), [], use_defaults=False)
    assert await origins(boards) == {renamed: Origin.FILE, GAMMA: Origin.FILE}


async def test_sync_keeps_the_poll_state_of_a_board_that_stays(database: Database) -> None:
    boards = Boards(database=database)
    await boards.sync(placed(ACME), [], use_defaults=False)
    [row] = await boards.enabled()
    await boards.mark_polled(row.id, next_due_at=NOON, outcome="complete")
    polled = await boards.enabled()
    await boards.sync(placed(ACME), [], use_defaults=False)
    assert await boards.enabled() == polled


async def test_board_that_moves_to_another_domain_is_due_at_once(database: Database) -> None:
    boards, elsewhere = Boards(database=database), Domain("elsewhere.example")
    await boards.sync(placed(ACME), [], use_defaults=False)
    [row] = await boards.enabled()
    await boards.mark_polled(row.id, next_due_at=NOON, outcome="complete")
    [polled] = await boards.enabled()
    await boards.sync([(ACME, elsewhere)], [], use_defaults=False)
    assert await boards.enabled() == (attrs.evolve(polled, domain=elsewhere, next_due_at=None),)


async def test_boards_of_one_domain_are_those_that_were_moved_there(database: Database) -> None:
    boards, elsewhere = Boards(database=database), Domain("elsewhere.example")
    await boards.sync(placed(ACME, BETA), [], use_defaults=False)
    acme, beta = await boards.enabled()
    assert await boards.enabled(DOMAIN) == (acme, beta)
    await boards.move(acme.id, elsewhere)
    assert await boards.enabled(DOMAIN) == (beta,)
    assert await boards.enabled(elsewhere) == (attrs.evolve(acme, domain=elsewhere),)


async def test_sync_uses_the_defaults_only_while_no_other_board_exists(database: Database) -> None:
    boards = Boards(database=database)
    await boards.sync([], placed(ACME, BETA), use_defaults=None)
    assert await origins(boards) == {ACME: Origin.DEFAULT, BETA: Origin.DEFAULT}
    await boards.add(GAMMA, DOMAIN)
    await boards.sync([], placed(ACME, BETA), use_defaults=None)
    assert await origins(boards) == {GAMMA: Origin.COMMAND}
    await boards.remove(GAMMA.source, GAMMA.slug)
    await boards.sync([], placed(ACME), use_defaults=None)
    assert await origins(boards) == {ACME: Origin.DEFAULT}


@pytest.mark.parametrize(
    ("use_defaults", "expected"),
    [
        (True, {ACME: Origin.FILE, BETA: Origin.DEFAULT}),
        (False, {ACME: Origin.FILE}),
        (None, {ACME: Origin.FILE}),
    ],
)
async def test_sync_obeys_what_the_file_says_about_the_defaults(
    database: Database, use_defaults: bool | None, expected: dict[Board, Origin]
) -> None:
    boards = Boards(database=database)
    await boards.sync(placed(ACME), placed(ACME, BETA), use_defaults=use_defaults)
    assert await origins(boards) == expected


async def test_sync_takes_over_a_board_of_a_command_for_the_file(database: Database) -> None:
    boards = Boards(database=database)
    await boards.add(ACME, DOMAIN)
    await boards.sync(placed(ACME), [], use_defaults=None)
    assert await origins(boards) == {ACME: Origin.FILE}


async def test_sync_leaves_boards_of_commands_alone(database: Database) -> None:
    boards = Boards(database=database)
    added = await boards.add(ACME, DOMAIN)
    await boards.sync([], placed(ACME, BETA), use_defaults=True)
    assert await origins(boards) == {ACME: Origin.COMMAND, BETA: Origin.DEFAULT}
    assert added in await boards.enabled()


async def test_sync_accepts_a_board_listed_twice(database: Database) -> None:
    boards = Boards(database=database)
    await boards.sync(placed(BETA, BETA), [], use_defaults=False)
    assert await origins(boards) == {BETA: Origin.FILE}


async def test_add_makes_a_default_board_the_operators_own(database: Database) -> None:
    boards = Boards(database=database)
    await boards.sync([], placed(ACME, BETA), use_defaults=None)
    await boards.add(ACME, DOMAIN)
    await boards.sync([], placed(ACME, BETA), use_defaults=None)
    assert await origins(boards) == {ACME: Origin.COMMAND}


async def test_add_refuses_a_board_that_is_there(database: Database) -> None:
    boards = Boards(database=database)
    await boards.add(ACME, DOMAIN)
    with pytest.raises(StoreConflict, match="greenhouse/acme is there already"):
        await boards.add(ACME, DOMAIN)
    await boards.sync(placed(BETA), [], use_defaults=None)
    with pytest.raises(StoreConflict, match="lever/beta stands in the configuration file"):
        await boards.add(BETA, DOMAIN)


async def test_remove_names_who_owns_a_board_that_no_command_added(database: Database) -> None:
    boards = Boards(database=database)
    await boards.sync(placed(ACME), placed(BETA), use_defaults=True)
    with pytest.raises(StoreConflict, match="stands in the configuration file"):
        await boards.remove(ACME.source, ACME.slug)
    with pytest.raises(StoreConflict, match="belongs to the default set"):
        await boards.remove(BETA.source, BETA.slug)
    with pytest.raises(StoreConflict, match="no board ashby/nobody"):
        await boards.remove(SourceName("ashby"), "nobody")
    assert await origins(boards) == {ACME: Origin.FILE, BETA: Origin.DEFAULT}


async def test_board_removed_keeps_its_postings(database: Database) -> None:
    board = await add_board(database)
    await put(database, board, [draft("1")])
    await Boards(database=database).remove(board.board.source, board.board.slug)
    [found] = await Postings(database=database).search("analyst", limit=5)
    assert (found.board_id, found.domain) == (board.id, board.domain)


async def test_board_added_again_begins_anew_with_its_old_row(database: Database) -> None:
    boards = Boards(database=database)
    first = await boards.add(ACME, DOMAIN)
    await boards.mark_polled(first.id, next_due_at=NOON, outcome="complete")
    await boards.remove(ACME.source, ACME.slug)
    assert await boards.add(ACME, DOMAIN) == first


async def test_polls_count_failures_in_a_row_and_keep_the_last_good_time(
    database: Database,
) -> None:
    boards = Boards(database=database)
    board = await boards.add(ACME, DOMAIN)
    later = NOON + dt.timedelta(hours=1)
    await boards.mark_failed(board.id, next_due_at=NOON, outcome="partial")
    await boards.mark_failed(board.id, next_due_at=later, outcome="drift")
    expected = attrs.evolve(board, next_due_at=later, failures=2, outcome="drift")
    assert await boards.enabled() == (expected,)
    await boards.mark_polled(board.id, next_due_at=NOON, outcome="complete")
    [after] = await boards.enabled()
    assert after == attrs.evolve(
        board, next_due_at=NOON, outcome="complete", polled_at=after.polled_at
    )
    [[is_now]] = await sql(
        database, "SELECT $1::timestamptz > now() - interval '1 minute'", after.polled_at
    )
    assert is_now
    await boards.mark_failed(board.id, next_due_at=later, outcome="partial")
    [failed] = await boards.enabled()
    assert (failed.polled_at, failed.failures) == (after.polled_at, 1)


# --- the last answer

ANSWER = LastAnswer(
    request_key=b"k" * 16,
    origin="https://boards.example",
    body_hash=b"h" * 32,
    etag='W/"1"',
    last_modified="Sun, 01 Mar 2026 11:00:00 GMT",
    seen=3,
    held=2,
    duplicate=1,
    rejected=0,
    read_at=NOON,
)
SEEN = (
    "SELECT p.external_id, s.last_seen = (now() AT TIME ZONE 'UTC')::date, absent_since IS NULL"
    " FROM posting p JOIN posting_seen s ON s.posting_id = p.id ORDER BY 1"
)
YESTERDAY = "UPDATE posting_seen SET last_seen = (now() AT TIME ZONE 'UTC')::date - 1"


async def seen(database: Database) -> list[tuple[object, ...]]:
    return [tuple(row) for row in await sql(database, SEEN)]


async def test_last_answer_lives_until_a_poll_that_keeps_none(database: Database) -> None:
    boards, row = Boards(database=database), await add_board(database)
    assert await boards.last_answer(row.id) is None
    kept = Kept(answer=ANSWER, listed=(), counts=(3,))
    await boards.mark_polled(row.id, next_due_at=NOON, outcome="complete", kept=kept)
    assert await boards.last_answer(row.id) == ANSWER
    newer = attrs.evolve(ANSWER, etag=None, body_hash=b"i" * 32)
    kept = Kept(answer=newer, listed=())
    await boards.mark_polled(row.id, next_due_at=NOON, outcome="complete", kept=kept)
    assert await boards.last_answer(row.id) == newer
    await boards.mark_polled(row.id, next_due_at=NOON, outcome="partial")
    assert await boards.last_answer(row.id) is None
    [stored] = await boards.enabled()
    assert stored.counts == (3,)


async def test_failed_poll_forgets_the_answer_so_that_the_page_is_read_in_full(
    database: Database,
) -> None:
    boards, row = Boards(database=database), await add_board(database)
    kept = Kept(answer=ANSWER, listed=())
    await boards.mark_polled(row.id, next_due_at=NOON, outcome="complete", kept=kept)
    await boards.mark_failed(row.id, next_due_at=NOON, outcome="drift")
    assert await boards.last_answer(row.id) is None


async def test_answer_that_is_not_stored_leaves_the_poll_unmarked(database: Database) -> None:
    boards, row = Boards(database=database), await add_board(database)
    kept = Kept(answer=attrs.evolve(ANSWER, body_hash=b"short"), listed=())
    with pytest.raises(StoreConflict):
        await boards.mark_polled(row.id, next_due_at=NOON, outcome="complete", kept=kept)
    [stored] = await boards.enabled()
    assert (stored.polled_at, stored.outcome) == (None, None)


async def test_same_answer_confirms_the_postings_that_it_listed_and_no_others(
    database: Database,
) -> None:
    boards, row = Boards(database=database), await add_board(database)
    other = await add_board(database, "other")
    await put(database, row, [draft("1"), draft("2")])
    await put(database, other, [draft("3")])
    read = Kept(answer=ANSWER, listed=(ExternalId("1"),))
    await boards.mark_polled(row.id, next_due_at=NOON, outcome="complete", kept=read)
    assert await seen(database) == [("1", True, True), ("2", True, False), ("3", True, True)]
    await sql(database, YESTERDAY)
    again = Kept(answer=ANSWER)
    await boards.mark_polled(row.id, next_due_at=NOON, outcome="complete", kept=again)
    assert await seen(database) == [("1", True, True), ("2", False, False), ("3", False, True)]


async def test_suspicion_keeps_its_beginning_until_a_good_poll(database: Database) -> None:
    boards, row = Boards(database=database), await add_board(database)
    await boards.mark_failed(row.id, next_due_at=NOON, outcome="empty", is_suspect=True)
    [first] = await boards.enabled()
    await boards.mark_failed(row.id, next_due_at=NOON, outcome="empty", is_suspect=True)
    [second] = await boards.enabled()
    assert first.suspect_since == second.suspect_since is not None
    await boards.mark_polled(row.id, next_due_at=NOON, outcome="complete", kept=Kept(counts=(1,)))
    [good] = await boards.enabled()
    assert (good.suspect_since, good.counts) == (None, (1,))


OPEN = "SELECT external_id, version FROM posting WHERE closed_at IS NULL ORDER BY 1"
DAY_OLD = "UPDATE posting_seen SET absent_since = absent_since - interval '1 day'"


async def listing(
    database: Database, row: StoredBoard, *ids: str, proof: Proof = Proof.ABSENCE
) -> int:
    """Poll a board that lists these postings; return how many that closed."""
    digests = [(ExternalId(id), draft(id).source_digest) for id in ids]
    known = await Postings(database=database).known(row.board.source, row.id, digests)
    await put(database, row, [draft(id) for id in ids if known[ExternalId(id)] is Known.UNKNOWN])
    kept = Kept(listed=[ExternalId(id) for id in ids], proof=proof)
    return await Boards(database=database).mark_polled(
        row.id, next_due_at=NOON, outcome="complete", kept=kept
    )


async def still_open(database: Database) -> list[str]:
    return [row[0] for row in await sql(database, OPEN)]


async def test_posting_is_closed_by_the_second_complete_answer_that_lacks_it(
    database: Database,
) -> None:
    row, other = await add_board(database), await add_board(database, "other")
    await put(database, other, [draft("9")])
    assert await listing(database, row, "1", "2", "3", "4") == 0
    assert await listing(database, row, "1", "2", "3") == 0
    assert await still_open(database) == ["1", "2", "3", "4", "9"]
    assert await listing(database, row, "1", "2", "3") == 1
    assert await still_open(database) == ["1", "2", "3", "9"]


async def test_posting_that_returns_is_open_and_needs_two_answers_again(
    database: Database,
) -> None:
    row = await add_board(database)
    for ids in (("1", "2", "3"), ("1", "2"), ("1", "2", "3"), ("1", "2")):
        assert await listing(database, row, *ids) == 0
    assert await listing(database, row, "1", "2") == 1
    assert await listing(database, row, "1", "2", "3") == 0
    [*_, third] = await sql(database, OPEN)
    assert tuple(third) == ("3", 2)
    assert await listing(database, row, "1", "2") == 0
    assert await still_open(database) == ["1", "2", "3"]


async def test_same_answer_again_closes_what_it_lacked_before(database: Database) -> None:
    row, boards = await add_board(database), Boards(database=database)
    await listing(database, row, "1", "2", "3")
    read = Kept(answer=ANSWER, listed=(ExternalId("1"), ExternalId("2")), proof=Proof.ABSENCE)
    again = Kept(answer=ANSWER, proof=Proof.ABSENCE)
    closed = [
        await boards.mark_polled(row.id, next_due_at=NOON, outcome="complete", kept=kept)
        for kept in (read, again, again)
    ]
    assert (closed, await still_open(database)) == ([0, 1, 0], ["1", "2"])


async def test_board_that_empties_at_once_is_held_until_it_stayed_so_for_a_day(
    database: Database,
) -> None:
    row = await add_board(database)
    await listing(database, row, "1", "2", "3", "4")
    for _ in range(3):
        assert await listing(database, row) == 0
    await sql(database, DAY_OLD)
    assert await listing(database, row, "4") == 3
    assert await still_open(database) == ["4"]


@pytest.mark.parametrize("proof", [Proof.NOTHING, Proof.AGE])
async def test_absence_from_a_part_closes_nothing(database: Database, proof: Proof) -> None:
    row = await add_board(database)
    await listing(database, row, "1", "2", "3", "4", proof=proof)
    for _ in range(4):
        assert await listing(database, row, "1", "2", "3", proof=proof) == 0
    assert len(await still_open(database)) == 4


async def test_list_of_the_newest_closes_what_was_not_seen_for_thirty_days(
    database: Database,
) -> None:
    row = await add_board(database)
    await listing(database, row, "1", "2", "3", proof=Proof.AGE)
    age = "UPDATE posting_seen SET last_seen = (now() AT TIME ZONE 'UTC')::date - {}"
    await sql(database, age.format(29))
    assert await listing(database, row, "1", proof=Proof.AGE) == 0
    await sql(database, age.format(30))
    assert await listing(database, row, "1", proof=Proof.AGE) == 2
    assert await still_open(database) == ["1"]


async def test_board_that_is_gone_for_good_takes_its_postings_along(database: Database) -> None:
    row, boards = await add_board(database), Boards(database=database)
    await listing(database, row, "1", "2")
    closed = [
        await boards.mark_failed(row.id, next_due_at=NOON, outcome="gone", is_gone=is_gone)
        for is_gone in (False, True)
    ]
    assert (closed, await still_open(database)) == ([0, 2], [])
