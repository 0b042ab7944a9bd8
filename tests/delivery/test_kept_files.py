import os
from pathlib import Path

import pytest

from jobping.delivery.kept import KeptFiles

DAY_S = 86_400.0


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name in ("ana", "bob"):
        folder = tmp_path / "digests" / name
        folder.mkdir(parents=True)
        for stem in ("one", "two"):
            (folder / f"{stem}.txt").write_text(f"{stem} of {name}", encoding="utf-8")
            (folder / f"{stem}.html").write_text("<p>", encoding="utf-8")
    return tmp_path / "digests"


def left(directory: Path) -> list[str]:
    return sorted(f"{path.parent.name}/{path.name}" for path in directory.glob("*/*"))


def test_texts_of_one_profile_are_read(directory: Path) -> None:
    assert KeptFiles(directory).of("ana") == {"one.txt": "one of ana", "two.txt": "two of ana"}


def test_files_of_one_profile_are_erased_with_their_folder(directory: Path) -> None:
    assert KeptFiles(directory).erase("ana") == 4
    assert sorted(path.name for path in directory.iterdir()) == ["bob"]
    assert KeptFiles(directory).erase("ana") == 0


def test_folder_that_points_elsewhere_is_not_followed(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").touch()
    (directory / "eve").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"):
        KeptFiles(directory).erase("eve")
    assert (tmp_path / "elsewhere" / "kept").exists()


def test_files_of_before_a_moment_expire(directory: Path) -> None:
    for name in ("one.txt", "one.html"):
        os.utime(directory / "ana" / name, (DAY_S, DAY_S))
    (directory / "bob" / "folder").mkdir()
    os.utime(directory / "bob" / "folder", (DAY_S, DAY_S))
    assert KeptFiles(directory).expire(2 * DAY_S) == 2
    assert left(directory) == [
        "ana/two.html", "ana/two.txt",
        "bob/folder", "bob/one.html", "bob/one.txt", "bob/two.html", "bob/two.txt",
    ]  # fmt: skip


def test_directory_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    files = KeptFiles(tmp_path / "nowhere")
    assert (files.of("ana"), files.erase("ana"), files.expire(DAY_S)) == ({}, 0, 0)
