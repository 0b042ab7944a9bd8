"""Where things are: the configuration file, the state directory, credentials."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

import attrs

from jobping.errors import ConfigError

_MOST_BYTES = 1024 * 1024


@attrs.frozen(kw_only=True)
class Surroundings:
    """What a process is told from outside.

    Attributes:
        environ: The environment's variables.
        euid: The effective user id.
    """

    environ: Mapping[str, str]
    euid: int

    def path(self, name: str) -> Path | None:
        """Return the first path of a variable, absolute; None where it is not set or empty."""
        first = self.environ.get(name, "").split(":")[0]
        return Path(first).absolute() if first else None

    def below_home(self, variable: str, fallback: str) -> Path:
        """Return an XDG directory.

        Raises:
            ConfigError: Neither it nor a home directory is known.
        """
        if (named := self.path(variable)) is not None:
            return named
        try:
            home = self.path("HOME") or Path("~").expanduser()
        except RuntimeError as error:
            raise ConfigError(f"no home directory is known: set HOME or {variable}") from error
        return home / fallback


@attrs.frozen
class Found:
    """A path and where it came from."""

    path: Path
    origin: str


def find_config(chosen: Path | None, around: Surroundings) -> Found | None:
    """Return the configuration file, or None where there is none to read.

    The first of: the command line, `JOBPING_CONFIG`, and those that exist of
    `$CONFIGURATION_DIRECTORY/jobping.toml`, the user's own and `/etc/jobping/jobping.toml`.
    """
    if chosen is not None:
        return Found(chosen.absolute(), "command line --config")
    if (named := around.path("JOBPING_CONFIG")) is not None:
        return Found(named, "environment JOBPING_CONFIG")
    folders = [around.path("CONFIGURATION_DIRECTORY"), Path("/etc/jobping")]
    if around.euid != 0:
        folders.insert(1, around.below_home("XDG_CONFIG_HOME", ".config") / "jobping")
    files = (folder / "jobping.toml" for folder in folders if folder is not None)
    return next((Found(file, "default") for file in files if file.exists()), None)


def default_state_dir(around: Surroundings) -> Found:
    """Return the state directory where neither command line nor configuration names one."""
    if (given := around.path("STATE_DIRECTORY")) is not None:
        return Found(given, "environment STATE_DIRECTORY")
    if around.euid == 0:
        return Found(Path("/var/lib/jobping"), "default")
    return Found(around.below_home("XDG_STATE_HOME", ".local/state") / "jobping", "default")


def demo_state_dir(around: Surroundings) -> Path:
    """Return where a demo keeps its state: beside the daemon's as a rule, never the daemon's."""
    if (named := around.path("JOBPING_STATE_DIR")) is not None:
        return named / "demo"
    found = default_state_dir(around).path
    return found.with_name(f"{found.name}-demo")


def read_own_file(path: Path, around: Surroundings) -> tuple[str, int]:
    """Return the text and mode of a file that only its owner can have written.

    Raises:
        ConfigError: It is missing, unreadable, too large, no text, writable by others, or owned
            by somebody else.
    """
    text, status = _read(path)
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(f"{path}: is writable by group or others; run: chmod go-w {path}")
    if status.st_uid not in (0, around.euid):
        raise ConfigError(
            f"{path}: belongs to user {status.st_uid}; must belong to root or to user {around.euid}"
        )
    return text, status.st_mode


def _read(path: Path) -> tuple[str, os.stat_result]:
    try:
        # O_NONBLOCK: a named pipe instead of a file must not hold up the start
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ConfigError(f"{path}: is not a regular file")
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error
    if len(data) > _MOST_BYTES:
        raise ConfigError(f"{path}: is longer than {_MOST_BYTES} bytes")
    try:
        return data.decode("utf-8-sig"), status
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 at byte {error.start}") from error


@attrs.frozen
class Credential:
    """A secret text and where it came from.

    Attributes:
        exposed: It came in a plain variable, which others can see.
    """

    text: str = attrs.field(repr=False)
    origin: str
    exposed: bool


def find_credential(name: str, variable: str, around: Surroundings) -> Credential | None:
    """Return a secret: the credential file, else the file a variable names, else the variable.

    Args:
        name: Its name in `$CREDENTIALS_DIRECTORY`, such as `database_url`.
        variable: The variable; with `_FILE` appended it names a file.

    Raises:
        ConfigError: A file is named that cannot be read or that others can read.
    """
    folder = around.path("CREDENTIALS_DIRECTORY")
    if folder is not None and _is_shown(folder / name):
        return Credential(_secret_text(folder / name), "CREDENTIALS_DIRECTORY", exposed=False)
    if (file := around.path(f"{variable}_FILE")) is not None:
        return Credential(_secret_text(file), f"environment {variable}_FILE", exposed=False)
    if text := around.environ.get(variable, "").strip():
        return Credential(text, f"environment {variable}", exposed=True)
    return None


def _is_shown(path: Path) -> bool:
    """Say whether a credential is there for us.

    systemd 252 shows a dynamic user's to the main process, not to ExecReload= (systemd#24291).
    """
    try:
        return path.exists()
    except PermissionError:
        return False


def _secret_text(path: Path) -> str:
    text, status = _read(path)
    if status.st_mode & stat.S_IRWXO:
        raise ConfigError(f"{path}: others can read this secret; run: chmod o= {path}")
    if not text.strip():
        raise ConfigError(f"{path}: is empty")
    return text.strip()
