import datetime as dt

import attrs
import pytest
from store_samples import NOON, add_board, draft, put, sql

from jobping.core.board import Board, Origin
from jobping.core.ids import Domain, ExternalId, SourceName
from jobping.core.revalidation import LastAnswer
from jobping.errors import StoreConflict
from jobping.store.boards import Boards, Kept
from jobping.store.bridge import Database
from jobping.store.postings import Postings

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
