import os
from pathlib import Path

import pytest

from jobping.delivery.kept import KeptFiles

DAY_S = 86_400.0
ONE, TWO = "first_id-1", "2026-11-12T0800_id-2"
OTHERS = ("notes.txt", "2026-11-12.html", "cv_2026-11.txt")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name in ("ana", "bob"):
        folder = tmp_path / "digests" / name
        folder.mkdir(parents=True)
        for stem in (ONE, TWO):
            (folder / f"{stem}.txt").write_text(f"{stem} of {name}", encoding="utf-8")
            (folder / f"{stem}.html").write_text("<p>", encoding="utf-8")
    return tmp_path / "digests"


def left(directory: Path) -> list[str]:
    return sorted(f"{path.parent.name}/{path.name}" for path in directory.glob("*/*"))


def test_texts_of_one_profile_are_read(directory: Path) -> None:
    assert KeptFiles(directory).of("ana") == {
        f"{ONE}.txt": f"{ONE} of ana",
        f"{TWO}.txt": f"{TWO} of ana",
    }


def test_files_of_one_profile_are_erased_with_their_folder(directory: Path) -> None:
    assert KeptFiles(directory).erase("ana") == 4
    assert sorted(path.name for path in directory.iterdir()) == ["bob"]
    assert KeptFiles(directory).erase("ana") == 0


def test_files_of_others_are_left_alone(directory: Path) -> None:
    (directory / "bob" / "feed.atom").touch()
    (directory / "bob" / f".{ONE}.html.part").touch()
    for name in OTHERS:
        (directory / "bob" / name).touch()
    for path in directory.glob("*/*"):
        os.utime(path, (DAY_S, DAY_S))
    assert KeptFiles(directory).expire(2 * DAY_S) == 10
    (directory / "bob" / f"{TWO}.txt").touch()
    assert KeptFiles(directory).erase("bob") == 1
    assert left(directory) == [f"bob/{name}" for name in sorted(OTHERS)]


def test_folder_that_points_elsewhere_is_not_followed(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").touch()
    (directory / "eve").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"):
        KeptFiles(directory).erase("eve")
    assert (tmp_path / "elsewhere" / "kept").exists()


def test_files_of_before_a_moment_expire(directory: Path) -> None:
    for name in (f"{ONE}.txt", f"{ONE}.html"):
        os.utime(directory / "ana" / name, (DAY_S, DAY_S))
    (directory / "bob" / "folder").mkdir()
    os.utime(directory / "bob" / "folder", (DAY_S, DAY_S))
    assert KeptFiles(directory).expire(2 * DAY_S) == 2
    assert left(directory) == [
        f"ana/{TWO}.html", f"ana/{TWO}.txt", f"bob/{TWO}.html", f"bob/{TWO}.txt",
        f"bob/{ONE}.html", f"bob/{ONE}.txt", "bob/folder",
    ]  # fmt: skip


def test_directory_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    files = KeptFiles(tmp_path / "nowhere")
    assert (files.of("ana"), files.erase("ana"), files.expire(DAY_S)) == ({}, 0, 0)
