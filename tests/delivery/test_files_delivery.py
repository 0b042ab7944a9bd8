import datetime as dt
import os
import stat
from pathlib import Path

import pytest

from jobping.core.digest import Digest
from jobping.delivery import FilesDelivery, OutgoingDigest
from jobping.errors import DeliveryDeferred

ID = "0b8f3c1e-7d7a-4f0e-9a55-0c9a6b7d9e21"
DIGEST = Digest(subject="1 job for berlin", text="Söme text\n", html="<p>Söme page</p>\n")


def outgoing(**fields) -> OutgoingDigest:
    defaults = {
        "profile": "berlin",
        "period": "2026-11-12T08:00",
        "message_id": ID,
        "profile_id": 1,
        "made_at": dt.datetime(2026, 11, 12, 8, 0, tzinfo=dt.UTC),
        "digest": DIGEST,
    }
    return OutgoingDigest(**{**defaults, **fields})


def files_in(directory: Path) -> dict[str, str]:
    found = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_text("utf-8") for path in found}


def modes_in(directory: Path) -> dict[str, int]:
    found = [directory, *directory.rglob("*")]
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in found}


async def test_digest_becomes_a_text_and_a_page_for_the_owner_only(tmp_path):
    directory = tmp_path / "state" / "digests"
    before = os.umask(0)
    try:
        await FilesDelivery(directory=directory).send(outgoing())
    finally:
        os.umask(before)

    stem = f"2026-11-12T0800_{ID}"
    files = files_in(directory)
    assert files.pop("berlin/feed.atom").startswith("<?xml")
    assert files == {
        f"berlin/{stem}.txt": "1 job for berlin\n\nSöme text\n",
        f"berlin/{stem}.html": "<p>Söme page</p>\n",
    }
    assert modes_in(directory) == {
        "digests": 0o700,
        "berlin": 0o700,
        f"{stem}.txt": 0o600,
        f"{stem}.html": 0o600,
        "feed.atom": 0o600,
    }


async def test_was_sent_is_told_from_the_files(tmp_path):
    delivery = FilesDelivery(directory=tmp_path / "digests")

    assert await delivery.was_sent(ID) is False
    await delivery.send(outgoing())
    again = FilesDelivery(directory=tmp_path / "digests")
    assert await again.was_sent(ID) is True
    assert await again.was_sent(ID[1:]) is False
    assert await again.was_sent("08:00_" + ID) is False


async def test_digest_cut_off_before_its_text_was_not_sent_and_is_sent_again(tmp_path):
    delivery = FilesDelivery(directory=tmp_path)
    folder = tmp_path / "berlin"
    folder.mkdir()
    (folder / f"2026-11-12T0800_{ID}.html").write_text("old page")
    (folder / f".2026-11-12T0800_{ID}.txt.part").write_text("half of")

    assert await delivery.was_sent(ID) is False
    await delivery.send(outgoing())
    assert await delivery.was_sent(ID) is True
    files = files_in(tmp_path)
    assert files["berlin/feed.atom"].count("<entry>") == 1
    assert files[f"berlin/2026-11-12T0800_{ID}.txt"] == "1 job for berlin\n\nSöme text\n"
    assert files[f"berlin/2026-11-12T0800_{ID}.html"] == "<p>Söme page</p>\n"
    assert len(files) == 3


async def test_digest_sent_again_changes_nothing(tmp_path):
    delivery = FilesDelivery(directory=tmp_path)
    await delivery.send(outgoing())
    before = files_in(tmp_path)

    await delivery.send(outgoing(digest=Digest(subject="other", text="other", html="other")))

    assert files_in(tmp_path) == before


async def test_link_in_place_of_the_temporary_file_is_not_followed(tmp_path):
    target = tmp_path / "precious"
    target.write_text("precious")
    folder = tmp_path / "digests" / "berlin"
    folder.mkdir(parents=True)
    (folder / f".2026-11-12T0800_{ID}.html.part").symlink_to(target)

    with pytest.raises(DeliveryDeferred):
        await FilesDelivery(directory=tmp_path / "digests").send(outgoing())

    assert target.read_text() == "precious"


async def test_directory_that_cannot_be_made_defers_the_digest(tmp_path):
    (tmp_path / "file").write_text("in the way")
    delivery = FilesDelivery(directory=tmp_path / "file" / "digests")

    with pytest.raises(DeliveryDeferred, match=r"files: .*Not a directory"):
        await delivery.send(outgoing())
    assert await delivery.was_sent(ID) is False


@pytest.mark.parametrize("name", ["profile", "period", "message_id"])
@pytest.mark.parametrize(
    "value", ["", "..", "../up", "a/b", "/etc/passwd", "a\0b", ".hidden", "a_b", "a..b", "x" * 101]
)
def test_parts_that_could_leave_the_directory_are_refused(name, value):
    with pytest.raises(ValueError, match=name):
        outgoing(**{name: value})
