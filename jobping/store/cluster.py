"""The data directory of the embedded server: where it lies, how it is made, how it is started.

As root nothing is written inside the account's directories: it could plant a symbolic link there.
What exists keeps its mode and owner.
"""

import enum
import hashlib
import os
import shutil
import stat
import tempfile
import urllib.parse
from pathlib import Path

import attrs
import trio

from jobping.errors import ConfigError, StoreUnavailable
from jobping.store import children, server_child
from jobping.store.account import Account, choose_account, own_name
from jobping.store.binaries import Binaries, copy_binaries, find_binaries
from jobping.store.loop import Dsn

ROLE = "jobping"
PORT = 5432
"""Part of the socket's name; nothing listens on a network."""
SOCKET_PATH_MAX = 104
"""Longest path of a socket that works everywhere (108 with NUL on Linux, 104 on macOS)."""
ROOT_RUNTIME = Path("/run/jobping")
REMOVE_S = 10.0
"""How long removing a half made data directory may take when we are told to stop."""


class Durability(enum.Enum):
    """What a crash of the machine may cost."""

    KEPT = "kept"
    GIVEN_UP = "given up"


@attrs.frozen(kw_only=True)
class EmbeddedConfig:
    """What an operator may say about the embedded server.

    Attributes:
        state_dir: Holds the data directory, unless `data_dir` names another.
        data_dir: Made if missing; lock, access rules and copied binaries lie beside it.
        bin_dir: Where `initdb` and `postgres` are; None: found.
        server_account: As root, the user to run the server as; `auto`: see `account`.
        runtime_dir: For the socket; None: `/run/jobping` as root, else a fresh directory.
        max_connections: Of all our pools together, and some to spare.
        durability: Given up only by tests, whose data nobody wants back.
    """

    state_dir: Path
    data_dir: Path | None = None
    bin_dir: Path | None = None
    server_account: str = "auto"
    runtime_dir: Path | None = None
    max_connections: int = 40
    durability: Durability = Durability.KEPT


@attrs.frozen(kw_only=True)
class Cluster:
    """A data directory that is ready to be started."""

    config: EmbeddedConfig
    data_dir: Path
    account: Account
    binaries: Binaries
    socket_dir: Path

    def dsn(self, database: str) -> Dsn:
        """Return how to reach a database of this server."""
        return socket_dsn(str(self.socket_dir), database)

    def command(self) -> tuple[str, ...]:
        """Return the server's command line, which is all of its configuration."""
        access = access_dir(self.data_dir)
        options = {
            "listen_addresses": "",
            "unix_socket_permissions": "0700",
            "hba_file": str(access / "pg_hba.conf"),
            "ident_file": str(access / "pg_ident.conf"),
            "max_connections": str(self.config.max_connections),
            "jit": "off",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "lc_messages": "C",
            "idle_in_transaction_session_timeout": "30s",
            "logging_collector": "off",
            "log_destination": "stderr",
            "log_line_prefix": "",
            # The next two keep values of rows, which may be personal, out of the log.
            "log_error_verbosity": "terse",
            "log_min_error_statement": "panic",
        }
        if self.config.durability is Durability.GIVEN_UP:
            options |= dict.fromkeys(("fsync", "full_page_writes", "synchronous_commit"), "off")
        assignments = [part for name in options for part in ("-c", f"{name}={options[name]}")]
        place = ("-D", str(self.data_dir), "-k", str(self.socket_dir), "-p", str(PORT))
        return ("run", str(self.binaries.postgres), *place, *assignments)


def socket_dsn(socket_dir: str, database: str) -> Dsn:
    """Return how to reach a database through a socket directory."""
    host = urllib.parse.quote(socket_dir)
    return Dsn(url=f"postgresql://{ROLE}@/{database}?host={host}&port={PORT}")


def data_dir_of(config: EmbeddedConfig) -> Path:
    """Return the data directory's absolute path, links resolved."""
    return (config.data_dir or config.state_dir / "postgres").resolve()


def access_dir(data_dir: Path) -> Path:
    """Return where the access rules lie, in a directory of the daemon's user."""
    return data_dir.with_name(f"{data_dir.name}.access")


def make_home(data_dir: Path) -> None:
    """Make the directory that the data directory lies in, and see that it is ours.

    Raises:
        ConfigError: It cannot be made, or belongs to somebody else.
    """
    home = data_dir.parent
    try:
        make_parents(home)
    except OSError as error:
        raise ConfigError(
            f"Cannot make {home}: {error.strerror}. Choose another place with --state-dir or "
            "[store] data_dir."
        ) from error
    owner = home.stat().st_uid
    if os.geteuid() == 0 and owner != 0:
        raise ConfigError(
            f"{home} belongs to the user with number {owner}. Run as that user, or choose another "
            "place with --state-dir or [store] data_dir."
        )


async def prepare(config: EmbeddedConfig) -> Cluster:
    """Find or make everything that a start needs; the caller holds the lock of the directory.

    Raises:
        ConfigError: Something that only the operator can change.
        StoreUnavailable: `initdb` failed.
    """
    data_dir = data_dir_of(config)
    account = choose_account(config.server_account, data_dir)
    await _remove_unfinished(data_dir)
    major = _major(data_dir)
    binaries = find_binaries(config.bin_dir, major=major, data_dir=data_dir)
    if major is not None:
        binaries = await _reachable(binaries, account, data_dir, data_dir.parent)
    else:
        binaries = await _initialise(config, data_dir, account, binaries)
    _write_access_rules(access_dir(data_dir))
    return Cluster(
        config=config,
        data_dir=data_dir,
        account=account,
        binaries=binaries,
        socket_dir=_make_socket_dir(config.runtime_dir, data_dir, account),
    )


def _major(data_dir: Path) -> int | None:
    """Return the version that made the directory; None if it is missing or empty."""
    try:
        return int((data_dir / "PG_VERSION").read_text().strip())
    except (FileNotFoundError, ValueError):
        pass
    except PermissionError as error:
        raise ConfigError(f"Cannot read {data_dir}; it belongs to another user.") from error
    if data_dir.is_dir() and any(data_dir.iterdir()):
        raise ConfigError(f"{data_dir} is not empty, and no data directory of PostgreSQL.")
    return None


async def _initialise(
    config: EmbeddedConfig, data_dir: Path, account: Account, binaries: Binaries
) -> Binaries:
    """Make the data directory under another name, then rename it: a killed start leaves no half."""
    unfinished = data_dir.with_name(f"{data_dir.name}.new-{os.getpid()}")
    _make_private(unfinished, account)
    done = False
    try:
        binaries = await _reachable(binaries, account, unfinished, data_dir.parent)
        await _initdb(config, unfinished, account, binaries)
        try:
            unfinished.rename(data_dir)
        except OSError as error:
            raise ConfigError(
                f"Cannot put the new data directory at {data_dir}: {error.strerror}. If a volume "
                "is mounted there, mount it at the parent directory."
            ) from error
        done = True
        _sync(data_dir.parent)
    finally:
        if not done:
            with trio.move_on_after(REMOVE_S, shield=True):
                await _remove_unfinished(data_dir)
    return binaries


async def _initdb(
    config: EmbeddedConfig, directory: Path, account: Account, binaries: Binaries
) -> None:
    locale: tuple[str, ...]
    if binaries.major >= 17:
        locale = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
    else:
        locale = ("--lc-collate=C", "--lc-ctype=C.UTF-8")
    sync = ("--no-sync",) if config.durability is Durability.GIVEN_UP else ()
    rules = ("--auth-local=peer", "--auth-host=reject", "--no-instructions")
    command = (str(binaries.initdb), "-D", str(directory), "-U", ROLE, "-E", "UTF8")
    code, said = await children.run(account, directory, ("guard", *command, *locale, *rules, *sync))
    if code != 0:
        raise _child_error(code, said) or StoreUnavailable(f"initdb failed: {_last_line(said)}")


async def _reachable(binaries: Binaries, account: Account, directory: Path, home: Path) -> Binaries:
    """Return the binaries, or a copy of them if the account cannot run them."""
    if not account.drops:
        return binaries
    if await _probe(binaries, account, directory):
        return binaries
    copied = copy_binaries(binaries, home)
    if await _probe(copied, account, directory):
        return copied
    raise ConfigError(
        f"The account {account.name} can run PostgreSQL neither from {binaries.bin_dir} nor from "
        f"{copied.bin_dir}. Let [store] bin_dir name binaries that every user can run."
    )


async def _probe(binaries: Binaries, account: Account, directory: Path) -> bool:
    command = ("run", str(binaries.postgres), "--version")
    code, said = await children.run(account, directory, command)
    if code in (server_child.CANNOT_DROP, server_child.CANNOT_ENTER):
        error = _child_error(code, said)
        if error is not None:
            raise error
    return code == 0


def _child_error(code: int, said: str) -> ConfigError | None:
    """Return what the first code of a child complained about, if it did."""
    if code == server_child.CANNOT_DROP:
        return ConfigError(
            f"As root, JobPing runs PostgreSQL as another user, but it {_last_line(said)}. Run "
            "JobPing as an ordinary user, or give a server's address in JOBPING_DATABASE_URL."
        )
    if code == server_child.CANNOT_ENTER:
        return ConfigError(
            f"The server's account cannot pass {_last_line(said)}. Choose a directory that it can "
            "reach with --state-dir or [store] data_dir, or run JobPing as an ordinary user."
        )
    return None


def _last_line(said: str) -> str:
    return said.rpartition("\n")[2] or "it said nothing"


async def _remove_unfinished(data_dir: Path) -> None:
    """Remove what killed starts left, each directory as the user who owns it."""
    for path in data_dir.parent.glob(f"{data_dir.name}.new-*"):
        owner = path.lstat()
        if stat.S_ISDIR(owner.st_mode) and owner.st_uid not in (0, os.geteuid()):
            account = Account(name="", uid=owner.st_uid, gid=owner.st_gid, drops=True)
            await children.run(account, path, ("empty",))
        shutil.rmtree(path, ignore_errors=True)


def _make_private(path: Path, account: Account) -> None:
    """Make a directory of mode 0700 and, as root, hand it over."""
    path.mkdir(mode=0o700)
    if account.drops:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            os.fchown(descriptor, account.uid, account.gid)
        finally:
            os.close(descriptor)


def make_parents(path: Path) -> None:
    """Make a directory and its missing ancestors, mode 0755 whatever the umask."""
    if path.is_dir():
        return
    make_parents(path.parent)
    path.mkdir(exist_ok=True)
    path.chmod(0o755)


def _write_access_rules(directory: Path) -> None:
    """Admit the daemon's own user as our role, through the socket, and nobody else."""
    name = own_name().replace('"', '""')
    make_parents(directory)
    for file, text in (
        ("pg_hba.conf", f"local all {ROLE} peer map=daemon\n"),
        ("pg_ident.conf", f'daemon "{name}" {ROLE}\n'),
    ):
        unfinished = directory / f"{file}.new"
        unfinished.write_text(text)
        unfinished.chmod(0o644)
        unfinished.rename(directory / file)


def _make_socket_dir(runtime_dir: Path | None, data_dir: Path, account: Account) -> Path:
    """Return a private directory for the socket; fresh below the temporary one if need be."""
    base = runtime_dir or (ROOT_RUNTIME if account.drops else None)
    if base is not None:
        name = hashlib.sha256(str(data_dir).encode()).hexdigest()[:8]
        path = base.absolute() / name
        if _socket_fits(path) and _take_socket_dir(path, account):
            return path
    path = Path(tempfile.mkdtemp(prefix="jobping-"))
    path.rmdir()
    _make_private(path, account)
    if not _socket_fits(path):
        raise ConfigError(f"{path} is too long a path for a socket; set a shorter TMPDIR.")
    return path


def _take_socket_dir(path: Path, account: Account) -> bool:
    """Make the directory, or take the one that an earlier start left."""
    try:
        make_parents(path.parent)
        _make_private(path, account)
    except FileExistsError:
        found = path.lstat()
        private = stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o700
        return private and found.st_uid == account.uid
    except OSError:
        return False
    return True


def _socket_fits(path: Path) -> bool:
    return len(os.fsencode(path / f".s.PGSQL.{PORT}")) < SOCKET_PATH_MAX


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
