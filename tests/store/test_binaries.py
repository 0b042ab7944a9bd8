"""Finding PostgreSQL: what counts, in which order, and what the operator is told."""

import stat
from pathlib import Path

import pytest

from jobping.errors import ConfigError
from jobping.store.binaries import (
    OLDEST,
    Binaries,
    Origin,
    copy_binaries,
    find_binaries,
)

NOWHERE = Path("/nowhere/postgres")


def make_installation(bin_dir: Path, version: str) -> Path:
    """Make programs that only say their version."""
    bin_dir.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        (bin_dir / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        (bin_dir / name).chmod(0o755)
    return bin_dir


def test_configured_binaries_are_taken_as_they_are(tmp_path: Path) -> None:
    bin_dir = make_installation(tmp_path / "pg" / "bin", "17.2 (Debian 17.2-1)")
    assert find_binaries(bin_dir, major=None, data_dir=NOWHERE) == Binaries(
        bin_dir=bin_dir, version="17.2", major=17, origin=Origin.CONFIGURED
    )


def test_links_to_programs_are_followed(tmp_path: Path) -> None:
    real = make_installation(tmp_path / "real", "16.1")
    links = tmp_path / "links"
    links.mkdir()
    for name in ("postgres", "initdb"):
        (links / name).symlink_to(real / name)
    assert find_binaries(links, major=None, data_dir=NOWHERE).bin_dir == real


def test_programs_of_two_installations_do_not_count(tmp_path: Path) -> None:
    bin_dir = make_installation(tmp_path / "one", "16.1")
    other = make_installation(tmp_path / "two", "16.1")
    (bin_dir / "initdb").unlink()
    (bin_dir / "initdb").symlink_to(other / "initdb")
    with pytest.raises(ConfigError, match="holds no working initdb and postgres"):
        find_binaries(bin_dir, major=None, data_dir=NOWHERE)


def test_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"bin_dir {tmp_path}/none holds no working"):
        find_binaries(tmp_path / "none", major=None, data_dir=NOWHERE)


def test_old_version_is_refused_with_a_cure(tmp_path: Path) -> None:
    bin_dir = make_installation(tmp_path / "bin", "14.9")
    with pytest.raises(ConfigError, match=rf"version 15 or later \(found: 14\.9 in {bin_dir}\)"):
        find_binaries(bin_dir, major=None, data_dir=NOWHERE)


def test_data_directory_of_another_version_is_refused_with_a_cure(tmp_path: Path) -> None:
    bin_dir = make_installation(tmp_path / "bin", "18.4")
    with pytest.raises(ConfigError, match="/nowhere/postgres was made by PostgreSQL 17; found"):
        find_binaries(bin_dir, major=17, data_dir=NOWHERE)


def test_machine_or_wheel_offers_a_usable_version() -> None:
    found = find_binaries(None, major=None, data_dir=NOWHERE)
    assert found.major >= OLDEST
    assert found.initdb.is_file()
    assert found.postgres.is_file()


def test_copy_keeps_the_layout_and_lets_everybody_in(tmp_path: Path) -> None:
    prefix = tmp_path / "closed" / "package" / "pginstall"
    bin_dir = make_installation(prefix / "bin", "18.4")
    for part in ("lib/postgresql/x.so", "share/postgresql/timezone/UTC"):
        (prefix / part).parent.mkdir(parents=True)
        (prefix / part).touch(mode=0o600)
    (tmp_path / "closed" / "package.libs").mkdir(mode=0o700)
    into = tmp_path / "state"
    into.mkdir()
    binaries = find_binaries(bin_dir, major=None, data_dir=NOWHERE)
    copied = copy_binaries(binaries, into)
    [home] = into.iterdir()
    assert home.name.startswith("bin-18.4-")
    assert copied.bin_dir == home / "package" / "pginstall" / "bin"
    assert (home / "package.libs").is_dir()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in home.rglob("*") if path.is_file()}
    assert modes == {0o755, 0o644}
    assert copy_binaries(binaries, into) == copied
    assert find_binaries(copied.bin_dir, major=18, data_dir=NOWHERE).version == "18.4"


def test_installation_of_another_layout_cannot_be_copied(tmp_path: Path) -> None:
    bin_dir = make_installation(tmp_path / "usr" / "bin", "18.4")
    binaries = find_binaries(bin_dir, major=None, data_dir=NOWHERE)
    with pytest.raises(ConfigError, match="cannot be copied"):
        copy_binaries(binaries, tmp_path)
