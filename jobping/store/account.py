"""Who the embedded server runs as: the daemon's user, or as root an account without rights."""

import os
import pwd
import stat
from pathlib import Path

import attrs

from jobping.errors import ConfigError

AUTO = "auto"
PREFERRED = ("jobping", "postgres", "nobody")
"""Taken in this order as root, where nothing else decides; the last one is shared with others."""
SHARED = "nobody"


@attrs.frozen(kw_only=True)
class Account:
    """The user of the server's processes.

    Attributes:
        drops: We are root and become this user; otherwise it is who we are.
    """

    name: str
    uid: int
    gid: int
    drops: bool


def own_name() -> str:
    """Return the daemon's own user name, by which the server recognises it.

    Raises:
        ConfigError: The user database does not know us.
    """
    return _known(os.geteuid()).pw_name


def choose_account(wanted: str, data_dir: Path) -> Account:
    """Decide who the server runs as.

    Args:
        wanted: A user name, or `auto`; without meaning unless we are root.
        data_dir: If it exists as root, its owner decides.

    Raises:
        ConfigError: The account does not exist, is root, or does not own the data directory.
    """
    if os.geteuid() != 0:
        entry = _known(os.geteuid())
        return _account(entry, drops=False)
    owner = _owner(data_dir)
    if owner == 0:
        raise ConfigError(
            f"{data_dir} belongs to root, as whom PostgreSQL refuses to run. Move it away or, if "
            "it is a volume, mount the volume at its parent directory."
        )
    if owner is not None:
        entry = _known(owner)
        if wanted not in (AUTO, entry.pw_name):
            raise ConfigError(
                f"{data_dir} belongs to {entry.pw_name}, but [store] server_account is {wanted}."
            )
        return _account(entry, drops=True)
    return _account(_first(PREFERRED) if wanted == AUTO else _named(wanted), drops=True)


def _owner(path: Path) -> int | None:
    """Return the uid a directory belongs to, or None if there is nothing."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISDIR(found.st_mode):
        raise ConfigError(f"{path} is no directory.")
    return found.st_uid


def _account(entry: pwd.struct_passwd, *, drops: bool) -> Account:
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid, drops=drops)


def _known(uid: int) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        raise ConfigError(
            f"No user has the number {uid}, and PostgreSQL does not start for a nameless user. Add "
            "a user with this number, install libnss-systemd if systemd made it up, or give the "
            "address of a running server in JOBPING_DATABASE_URL."
        ) from None


def _named(name: str) -> pwd.struct_passwd:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise ConfigError(f"[store] server_account: there is no user {name}.") from None
    if entry.pw_uid == 0:
        raise ConfigError(f"[store] server_account: {name} is root; PostgreSQL refuses to run so.")
    return entry


def _first(names: tuple[str, ...]) -> pwd.struct_passwd:
    for name in names:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return entry
    raise ConfigError(
        "As root, JobPing runs PostgreSQL as another user, but there is none of "
        f"{', '.join(names)}. Name one in [store] server_account, or run as an ordinary user."
    )
