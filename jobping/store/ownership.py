"""Who owns a data directory: a lock for the daemon that runs its server, a record for others."""

import fcntl
import os
import pwd
from pathlib import Path

import attrs
import msgspec

from jobping.errors import ConfigError


@attrs.frozen(kw_only=True)
class Record:
    """What the owner writes into its lock, so that others can connect as clients.

    Attributes:
        pid: The owner's, not the server's.
        socket_dir: Where the server's socket lies.
        version: The server's.
    """

    pid: int
    socket_dir: str
    port: int
    version: str


@attrs.define(eq=False)
class Lock:
    """An open lock file; held or not."""

    path: Path
    _descriptor: int

    def take(self) -> bool:
        """Become the owner; False if another process is."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self.write(None)
        return True

    def release(self) -> None:
        """Let others become the owner."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def write(self, record: Record | None) -> None:
        """Tell others how to connect, or that they cannot; only as the owner."""
        os.ftruncate(self._descriptor, 0)
        if record is not None:
            os.pwrite(self._descriptor, msgspec.json.encode(record), 0)

    def read(self) -> Record | None:
        """Return what the owner wrote; None while its server is not ready."""
        try:
            return msgspec.json.decode(os.pread(self._descriptor, 4_096, 0), type=Record)
        except msgspec.DecodeError:
            return None

    def close(self) -> None:
        """Close the file, which gives up the ownership."""
        os.close(self._descriptor)


def open_lock(data_dir: Path) -> Lock:
    """Open the lock file beside a data directory.

    Raises:
        ConfigError: It belongs to another user, as whom we could not connect either.
    """
    path = data_dir.with_name(f"{data_dir.name}.lock")
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        owner = _owner(path)
        whose = f" It belongs to {owner}: run as that user." if owner else ""
        raise ConfigError(f"Cannot open {path}: {error.strerror}.{whose}") from error
    if os.fstat(descriptor).st_uid != os.geteuid():
        os.close(descriptor)
        raise ConfigError(f"{path} belongs to {_owner(path)}: run as that user.")
    return Lock(path, descriptor)


def _owner(path: Path) -> str | None:
    try:
        uid = path.lstat().st_uid
    except OSError:
        return None
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user with number {uid}"
