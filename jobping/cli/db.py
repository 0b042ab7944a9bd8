"""`jobping db shell`."""

import argparse
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import trio

from jobping.cli.parser import Commands, add_command, add_commands, add_config_options
from jobping.cli.session import quiet_log, settings_of
from jobping.errors import ConfigError
from jobping.events import Emit
from jobping.settings import Settings, environment_for_child


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add(
        "db",
        "open PostgreSQL's own shell on the database",
        group="installation",
        usage="shell",
        examples=[
            "jobping db shell",
            "jobping db shell -- -c 'SELECT count(*) FROM posting'",
        ],
    )
    shell = add_command(
        add_commands(parser),
        "shell",
        "open psql on the database; the daemon may run meanwhile",
        details="What follows `--` is given to psql.",
    )
    shell.add_argument("arguments", nargs="*", metavar="ARGUMENT", help=argparse.SUPPRESS)
    add_config_options(shell)
    shell.set_defaults(command=_shell)


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

    psql = _find_psql(settings)
    async with open_dsn(settings, emit) as dsn:
        url, password = split_password(dsn.url)
        ended = await trio.run_process(
            [psql, f"--dbname={url}", *arguments],
            stdin=None,
            check=False,
            env=environment_for_child({"PGPASSWORD": password} if password else {}),
        )
    return ended.returncode


def split_password(url: str) -> tuple[str, str | None]:
    """Take the password out of a URL: what stands in arguments, every local user can read."""
    parts = urlsplit(url)
    if parts.password is None:
        return url, None
    place = parts.netloc.rpartition("@")[2]
    netloc = f"{parts.username}@{place}" if parts.username else place
    return parts._replace(netloc=netloc).geturl(), unquote(parts.password)


def _find_psql(settings: Settings) -> Path:
    # here: as in `session`
    from jobping.store.binaries import find_binaries

    try:
        found = find_binaries(settings.store.bin_dir, major=None, data_dir=settings.state_dir)
        own = found.bin_dir / "psql"
    except ConfigError:  # a given server needs no programs of PostgreSQL but this one
        own = Path("psql")
    if own.is_file():
        return own
    if on_path := shutil.which("psql"):
        return Path(on_path)
    raise ConfigError("no psql beside PostgreSQL's programs or on PATH; set [store] bin_dir")
