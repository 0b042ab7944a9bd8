"""Dumps and restores on a real server, and what is done before a migration."""

import json
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import trio

from jobping.core.finding import Verdict
from jobping.errors import ConfigError, DumpFailed, StoreUnavailable
from jobping.store.bridge import Connection, Database, Dsn, open_loop, run_alone
from jobping.store.dumps import KEPT, Tools, bring_up_to_date, restore_dump, write_dump
from jobping.store.migrate import SCHEMA, migrate, read_migrations, read_state
from jobping.store.soundness import examine
from tests.doubles.postgres import Cluster, Events
from tests.store.ledger_samples import ledger, reserve, settle

TOOLS = Tools()


@pytest.fixture
async def loop() -> AsyncIterator[None]:
    async with open_loop():
        yield


@pytest.fixture
def other(cluster: Cluster) -> Iterator[Dsn]:
    """A second database, without any table."""
    made = cluster.create_empty()
    yield made
    cluster.drop(made)


@pytest.fixture
def former(tmp_path: Path) -> Path:
    """The schema as it was one version ago."""
    folder = tmp_path / "former"
    shutil.copytree(SCHEMA, folder)
    sorted(folder.glob("*.sql"))[-1].unlink()
    return folder


async def execute(dsn: Dsn, *statements: str) -> None:
    async def unit(connection: Connection) -> None:
        for statement in statements:
            await connection.execute(statement)

    await run_alone(dsn, unit)


async def value(dsn: Dsn, query: str) -> object:
    async def unit(connection: Connection) -> object:
        return await connection.fetchval(query)

    return await run_alone(dsn, unit)


async def applied(dsn: Dsn) -> int:
    return (await run_alone(dsn, read_state)).applied


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def databases(dsn: Dsn) -> list[str]:
    found = await value(dsn, "SELECT json_agg(datname ORDER BY 1) FROM pg_database")
    return list(json.loads(str(found)))


ADD = "INSERT INTO board (source, slug, domain, origin) VALUES ('lever', '{}', 'd', 'command')"
SLUGS = "SELECT string_agg(slug, ' ' ORDER BY slug) FROM board"


async def test_dump_goes_into_an_empty_database_and_replaces_a_full_one(
    loop: None, dsn: Dsn, other: Dsn, tmp_path: Path
) -> None:
    file = tmp_path / "one.dump"
    await execute(dsn, ADD.format("acme"))
    before = await databases(dsn)
    assert await write_dump(dsn, file, TOOLS) == file.stat().st_size > 1_000
    assert file.stat().st_mode & 0o777 == 0o600
    assert names(tmp_path) == ["one.dump"]
    assert await restore_dump(other, file, TOOLS, replace=False) == await applied(dsn)
    assert await value(other, SLUGS) == "acme"
    await execute(other, ADD.format("later"))
    with pytest.raises(DumpFailed, match="not empty; --replace"):
        await restore_dump(other, file, TOOLS, replace=False)
    assert await value(other, SLUGS) == "acme later"
    await restore_dump(other, file, TOOLS, replace=True)
    assert await value(other, SLUGS) == "acme"
    assert await databases(dsn) == before


async def test_restore_does_not_bring_back_who_said_no(
    loop: None, dsn: Dsn, tmp_path: Path
) -> None:
    file, person = tmp_path / "one.dump", "INSERT INTO subscriber (address) VALUES ('{}')"
    profile = "INSERT INTO profile (name, wishes, origin) VALUES ('ana', '{}', 'command')"
    await execute(dsn, profile, person.format("bob@example.org"))
    await write_dump(dsn, file, TOOLS)
    await execute(
        dsn,
        "INSERT INTO erasure (profile_id) SELECT id FROM profile",
        "DELETE FROM profile",
        "UPDATE subscriber SET unsubscribed_at = now()",
    )
    user, _, place = dsn.url.removeprefix("postgresql://").partition("@")
    hostless = Dsn(url=f"postgresql://{place}&user={user}")
    await restore_dump(hostless, file, TOOLS, replace=True)
    said_no = "SELECT count(*) FROM subscriber WHERE unsubscribed_at IS NOT NULL"
    assert await value(dsn, said_no) == 1
    assert await value(dsn, "SELECT count(*) FROM profile") == 0


async def test_restore_over_connections_of_others_is_refused(
    database: Database, dsn: Dsn, tmp_path: Path
) -> None:
    await write_dump(dsn, tmp_path / "one.dump", TOOLS)
    with pytest.raises(DumpFailed, match="more connections: stop the daemon"):
        await restore_dump(dsn, tmp_path / "one.dump", TOOLS, replace=True)


async def test_database_with_tables_of_others_is_never_replaced(
    loop: None, dsn: Dsn, tmp_path: Path
) -> None:
    await write_dump(dsn, tmp_path / "one.dump", TOOLS)
    await execute(dsn, "CREATE SCHEMA shop", "CREATE TABLE shop.orders AS SELECT 7 AS number")
    with pytest.raises(DumpFailed, match=r"also holds shop\.orders, .* would be lost"):
        await restore_dump(dsn, tmp_path / "one.dump", TOOLS, replace=True)
    assert await value(dsn, "SELECT number FROM shop.orders") == 7


# the last part of a file repeats its table of contents, which nobody needs
@pytest.mark.parametrize("part", [0.0, 0.02, 0.3, 0.5])
async def test_damaged_dump_changes_nothing(
    loop: None, dsn: Dsn, tmp_path: Path, part: float
) -> None:
    whole, cut = tmp_path / "whole.dump", tmp_path / "cut.dump"
    await execute(dsn, ADD.format("acme"))
    await write_dump(dsn, whole, TOOLS)
    data = whole.read_bytes()
    cut.write_bytes(data[: max(5, int(len(data) * part))])
    before = await databases(dsn)
    with pytest.raises(DumpFailed, match="nothing was changed"):
        await restore_dump(dsn, cut, TOOLS, replace=True)
    assert await value(dsn, SLUGS) == "acme"
    assert await databases(dsn) == before


async def test_what_is_no_dump_of_ours_is_refused(
    loop: None, dsn: Dsn, other: Dsn, tmp_path: Path
) -> None:
    text, foreign = tmp_path / "text", tmp_path / "foreign.dump"
    text.write_text("CREATE TABLE board ();")
    await execute(other, "CREATE TABLE guests (name text)")
    await write_dump(other, foreign, TOOLS)
    for file, message in (
        (text, "was not written by `jobping db dump`"),
        (foreign, "a dump, but not of jobping"),
        (tmp_path / "missing", "No such file"),
        (tmp_path, "Is a directory"),
    ):
        with pytest.raises(DumpFailed, match=message):
            await restore_dump(dsn, file, TOOLS, replace=True)
    assert await applied(dsn) == read_migrations()[-1].version


async def test_dump_of_a_newer_version_is_refused(loop: None, dsn: Dsn, tmp_path: Path) -> None:
    await execute(dsn, "INSERT INTO schema_version VALUES (9999, 'future', '', now(), 0)")
    await write_dump(dsn, tmp_path / "one.dump", TOOLS)
    await execute(dsn, "DELETE FROM schema_version WHERE version = 9999")
    with pytest.raises(ConfigError, match="schema 9999_future"):
        await restore_dump(dsn, tmp_path / "one.dump", TOOLS, replace=True)
    assert await applied(dsn) == read_migrations()[-1].version


async def test_dump_of_an_older_version_is_brought_up_to_this_one(
    loop: None, dsn: Dsn, other: Dsn, tmp_path: Path, former: Path
) -> None:
    await run_alone(other, lambda connection: migrate(connection, former))
    await execute(other, ADD.format("acme"))
    await write_dump(other, tmp_path / "one.dump", TOOLS)
    await execute(
        dsn,  # also over a database that is newer than this code, which is the way back
        "INSERT INTO schema_version VALUES (9999, 'future', '', now(), 0)",
        "CREATE SCHEMA jobping_check_1",
        "CREATE TABLE jobping_check_1.board ()",
    )
    assert await restore_dump(dsn, tmp_path / "one.dump", TOOLS, replace=True) == (
        read_migrations()[-2].version
    )
    assert await applied(dsn) == read_migrations()[-1].version
    assert await value(dsn, SLUGS) == "acme"


async def test_restore_that_is_cancelled_leaves_the_old_database(
    loop: None, dsn: Dsn, tmp_path: Path
) -> None:
    await execute(dsn, ADD.format("acme"))
    await write_dump(dsn, tmp_path / "one.dump", TOOLS)
    before = await databases(dsn)
    for after_s in (0.02, 0.1, 0.2, 0.3, 0.5):
        with trio.move_on_after(after_s):
            await restore_dump(dsn, tmp_path / "one.dump", TOOLS, replace=True)
        assert await value(dsn, SLUGS) == "acme"
        assert await databases(dsn) == before


async def test_what_a_killed_restore_left_is_removed_by_the_next(
    loop: None, dsn: Dsn, tmp_path: Path
) -> None:
    await write_dump(dsn, tmp_path / "one.dump", TOOLS)
    before = await databases(dsn)
    name = str(await value(dsn, "SELECT current_database()"))
    await execute(dsn, f"CREATE DATABASE {name}_restoring", f"CREATE DATABASE {name}_replaced")
    assert "2 left by a killed restore" in (await examine(dsn, TOOLS, tmp_path))[0].figure
    await restore_dump(dsn, tmp_path / "one.dump", TOOLS, replace=True)
    assert await databases(dsn) == before


async def test_database_is_dumped_before_a_migration_and_only_then(
    loop: None, other: Dsn, tmp_path: Path, former: Path, events: Events
) -> None:
    dumps = tmp_path / "state" / "dumps"

    async def start() -> None:
        await bring_up_to_date(other, dumps=dumps, emit=events, tools=TOOLS)

    await run_alone(other, lambda connection: migrate(connection, former))
    await execute(other, ADD.format("acme"))
    await start()
    await start()
    [file] = dumps.iterdir()
    older, newest = (one.version for one in read_migrations()[-2:])
    assert file.name.startswith(f"before-migration-{older:04}-20")
    assert (file.stat().st_mode | dumps.stat().st_mode) & 0o077 == 0
    assert events.names() == ["dump.written", "store.migrated"]
    assert dict(events.seen)["dump.written"]["bytes"] == file.stat().st_size
    assert dict(events.seen)["store.migrated"] == {"versions": [newest]}
    assert await restore_dump(other, file, TOOLS, replace=True) == older


async def test_first_start_and_a_given_server_make_no_dump(
    loop: None, other: Dsn, dsn: Dsn, tmp_path: Path, events: Events
) -> None:
    await bring_up_to_date(other, dumps=tmp_path / "dumps", emit=events, tools=TOOLS)
    await bring_up_to_date(dsn, dumps=None, emit=events, tools=TOOLS)
    assert events.names() == ["store.migrated"]
    assert names(tmp_path) == []


async def test_nothing_is_migrated_without_room_for_the_dump(
    loop: None,
    other: Dsn,
    tmp_path: Path,
    former: Path,
    events: Events,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await run_alone(other, lambda connection: migrate(connection, former))
    usage = shutil.disk_usage(tmp_path)._replace(free=70 * 1024**2)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(StoreUnavailable, match=r"70 MiB free, \d+ MiB are needed"):
        await bring_up_to_date(other, dumps=tmp_path / "dumps", emit=events, tools=TOOLS)
    assert events.names() == ["dump.failed"]
    assert await applied(other) == read_migrations()[-2].version


async def test_old_automatic_dumps_go_and_those_of_operators_stay(
    loop: None, other: Dsn, tmp_path: Path, former: Path, events: Events
) -> None:
    for day in range(10, 16):
        (tmp_path / f"before-migration-0001-202601{day}T000000Z.dump").touch()
    for name in ("dump-0001-20260101T000000Z.dump", "before-migration-0001.dump.unfinished"):
        (tmp_path / name).touch()
    await run_alone(other, lambda connection: migrate(connection, former))
    await bring_up_to_date(other, dumps=tmp_path, emit=events, tools=TOOLS)
    left = [name for name in names(tmp_path) if name != "former"]
    assert len(left) == KEPT + 1
    assert left[:2] == [f"before-migration-0001-202601{day}T000000Z.dump" for day in (14, 15)]
    assert left[2].startswith(f"before-migration-{read_migrations()[-2].version:04}-")
    assert left[3] == "dump-0001-20260101T000000Z.dump"
    assert events.names().count("dump.removed") == 4


async def verdicts(dsn: Dsn, place: Path) -> dict[str, Verdict]:
    return {one.section: one.verdict for one in await examine(dsn, TOOLS, place)}


async def test_sound_database_passes_every_check(dsn: Dsn, database: Database) -> None:
    book = ledger(database)
    await book.open()
    await book.end(await reserve(book), settle(70, 30))
    await reserve(book)
    found = await verdicts(dsn, Path("/tmp"))
    assert len(found) == 10
    assert Verdict.FAILS not in found.values()
    assert [name for name in found if found[name] is Verdict.SKIPPED] == ["indexes"]


FAULTS = {
    "references": (
        "SET session_replication_role = replica",
        "INSERT INTO posting_text (posting_id, description) VALUES (77, '')",
    ),
    "sequences": (
        ADD.format("acme"),
        "SELECT setval(pg_get_serial_sequence('board', 'id'), 1, false)",
    ),
    "constraints": ("ALTER TABLE board ADD CONSTRAINT short CHECK (slug <> '') NOT VALID",),
    "ledger": (
        "INSERT INTO budget_window (kind, starts, used_tokens)"
        " VALUES ('day', (now() AT TIME ZONE 'UTC')::date, 5)",
    ),
    "schema": ("DELETE FROM schema_version WHERE version > 1",),
}


@pytest.mark.parametrize("section", FAULTS)
async def test_fault_is_found_and_advice_given(loop: None, dsn: Dsn, section: str) -> None:
    await execute(dsn, *FAULTS[section])
    found = await examine(dsn, TOOLS, Path("/tmp"))
    wrong = [one for one in found if one.verdict is Verdict.FAILS]
    assert [one.section for one in wrong] == [section]
    assert wrong[0].advice
