"""`jobping db check|dump|restore|shell`."""

import argparse
import contextlib
import signal
from collections.abc import Sequence
from pathlib import Path

import trio

from jobping.cli.findings import Findings
from jobping.cli.parser import (
    Commands,
    add_command,
    add_commands,
    add_config_options,
    add_json_option,
)
from jobping.cli.session import quiet_log, settings_of
from jobping.control import own_state
from jobping.core.finding import Finding
from jobping.errors import ConfigError, DumpFailed
from jobping.events import Emit
from jobping.settings import Settings, environment_for_child


def add(commands: Commands) -> None:
    """Add the commands."""
    parser = commands.add(
        "db",
        "check, dump or restore the database, or open psql on it",
        group="installation",
        usage="check|dump|restore|shell",
        examples=[
            "jobping db dump /backup/jobping.dump",
            "jobping db restore /backup/jobping.dump --replace",
            "jobping db shell -- -c 'SELECT count(*) FROM posting'",
        ],
    )
    below = add_commands(parser)
    check = add_command(
        below,
        "check",
        "read every row and say whether the database is sound; exits 1 if it is not",
        details="Schema, constraints, references, sequences, the ledger beside its journal,"
        " checksums and room on the disk. It changes nothing; the daemon may run meanwhile.",
    )
    add_json_option(check)
    check.set_defaults(command=_check)
    dump = add_command(
        below,
        "dump",
        "write the whole database into a file; the daemon may run meanwhile",
        details="The file has mode 0600 and holds everything, addresses of people too.",
    )
    dump.add_argument(
        "file",
        nargs="?",
        type=Path,
        metavar="FILE",
        help="a file there is replaced once the dump is complete (default: a new one in `dumps`"
        " of the state directory)",
    )
    dump.set_defaults(command=_dump)
    restore = add_command(
        below,
        "restore",
        "put a dump in the place of the database; stop the daemon first",
        details="The dump is restored into a database of its own, brought up to this version,"
        " and only then takes the place of the other: one that fails changes nothing.",
    )
    restore.add_argument("file", type=Path, metavar="FILE", help="written by `jobping db dump`")
    restore.add_argument(
        "--replace", action="store_true", help="also where the database holds something: it is lost"
    )
    restore.set_defaults(command=_restore)
    shell = add_command(
        below,
        "shell",
        "open psql on the database; the daemon may run meanwhile",
        details="What follows `--` is given to psql.",
    )
    shell.add_argument("arguments", nargs="*", metavar="ARGUMENT", help=argparse.SUPPRESS)
    shell.set_defaults(command=_shell)
    for command in (check, dump, restore, shell):
        add_config_options(command)


def _shell(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    # an interrupt is for psql, which cancels its query; exec gives it the default back
    before = signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        with quiet_log(settings) as emit:
            return trio.run(_with_server, settings, emit, arguments.arguments)
    finally:
        signal.signal(signal.SIGINT, before)


async def _with_server(settings: Settings, emit: Emit, arguments: Sequence[str]) -> int:
    # here: as in `session`
    from jobping.daemon import open_dsn
    from jobping.store.binaries import find_client
    from jobping.store.dumps import split_password

    psql = find_client("psql", settings.store.bin_dir)
    async with open_dsn(settings, emit) as dsn:
        url, password = split_password(dsn.url)
        ended = await trio.run_process(
            [psql, f"--dbname={url}", *arguments],
            stdin=None,
            check=False,
            env=environment_for_child({"PGPASSWORD": password} if password else {}),
        )
    return ended.returncode


def _dump(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    with quiet_log(settings) as emit:
        file, length = trio.run(_write, settings, emit, arguments.file)
    print(f"{file}: written, {length / 1024**2:.1f} MiB")
    return 0


async def _write(settings: Settings, emit: Emit, file: Path | None) -> tuple[Path, int]:
    # here: as in `session`
    from jobping.daemon import dumps_of, open_dsn, tools_of
    from jobping.store.dumps import ask, file_name, write_dump
    from jobping.store.migrate import read_state

    async with open_dsn(settings, emit) as dsn:
        if file is None:
            schema = (await ask(dsn, read_state)).applied
            dumps_of(settings).mkdir(mode=0o700, parents=True, exist_ok=True)
            file = dumps_of(settings) / file_name("dump", schema)
        return file, await write_dump(dsn, file, tools_of(settings))


def _restore(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    with quiet_log(settings) as emit:
        schema = trio.run(_put_back, settings, emit, arguments.file.absolute(), arguments.replace)
    print(f"{arguments.file}: restored; it had schema {schema:04}")
    return 0


async def _put_back(settings: Settings, emit: Emit, file: Path, replace: bool) -> int:
    # here: as in `session`
    from jobping.daemon import open_dsn, tools_of
    from jobping.store.cluster import make_parents
    from jobping.store.dumps import restore_dump

    make_parents(settings.state_dir)
    with contextlib.ExitStack() as owned:
        try:
            owned.enter_context(own_state(settings.state_dir))
        except ConfigError as error:
            raise DumpFailed(str(error)) from error
        async with open_dsn(settings, emit) as dsn:
            return await restore_dump(dsn, file, tools_of(settings), replace=replace)


def _check(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    with quiet_log(settings) as emit:
        found = trio.run(_examine, settings, emit)
    findings = Findings(json=arguments.json)
    for one in found:
        findings.say(one)
    return findings.end()


async def _examine(settings: Settings, emit: Emit) -> tuple[Finding, ...]:
    # here: as in `session`
    from jobping.daemon import open_dsn, tools_of
    from jobping.store.soundness import examine

    async with open_dsn(settings, emit) as dsn:
        return await examine(dsn, tools_of(settings), settings.state_dir)
