"""Digests into a directory: `PROFILE/PERIOD_MESSAGE-ID.txt`, `.html` beside it, and a feed of all.

A file appears whole or not at all, for its owner only. The text is put in place last, so that it
says that the digest is complete.
"""

import contextlib
import datetime as dt
import os
import socket
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

import attrs
import trio

from jobping.delivery.feed import Entry, render_feed
from jobping.delivery.protocol import OutgoingDigest
from jobping.errors import ConfigError, DeliveryDeferred

_DIRECTORY_MODE: Final = 0o700
_FILE_MODE: Final = 0o600


@attrs.define(kw_only=True)
class FilesDelivery:
    """Writes each digest into files; the same digest again changes nothing.

    Attributes:
        directory: Made, for the owner only, when the first digest is written.
    """

    directory: Path
    name: str = attrs.field(default="files", init=False)
    resends: bool = attrs.field(default=True, init=False)

    def takes(self, digest: OutgoingDigest) -> bool:
        """Take every digest."""
        return True

    async def wait_turn(self) -> None:
        """Return at once: there is no pace to keep."""
        await trio.lowlevel.checkpoint()

    def check(self) -> None:
        """See that digests could be written.

        Raises:
            ConfigError: They could not.
        """
        try:
            self.directory.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.directory):
                pass
        except OSError as error:
            raise ConfigError(f"[delivery] files: {self.directory}: {error.strerror}") from error

    async def send(self, digest: OutgoingDigest) -> None:
        """Write the digest and make it last through a power cut.

        Raises:
            DeliveryDeferred: The directory cannot be made or written.
        """
        try:
            await trio.to_thread.run_sync(self._write, digest)
        except OSError as error:
            place = error.filename or self.directory
            raise DeliveryDeferred(f"files: {place}: {error.strerror}") from error

    async def was_sent(self, message_id: str) -> bool | None:
        """Say whether a complete digest of that id is there; None where it cannot be read."""
        try:
            return await trio.to_thread.run_sync(self._is_there, message_id)
        except OSError:
            return None

    def _write(self, digest: OutgoingDigest) -> None:
        folder = self.directory / digest.profile
        self.directory.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
        folder.mkdir(mode=_DIRECTORY_MODE, exist_ok=True)
        stem = f"{digest.period.replace(':', '')}_{digest.message_id}"
        if (folder / f"{stem}.txt").exists():
            return
        _replace(folder / f"{stem}.html", digest.digest.html)
        feed = render_feed(digest.profile, _feed_id(folder), _entries(folder))
        _replace(folder / "feed.atom", feed)
        _replace(folder / f"{stem}.txt", f"{digest.digest.subject}\n\n{digest.digest.text}")
        _sync_directory(folder)
        _sync_directory(self.directory)

    def _is_there(self, message_id: str) -> bool:
        if not self.directory.is_dir():
            return False
        return any(
            path.name.partition("_")[2] == f"{message_id}.txt"
            for folder in self.directory.iterdir()
            if folder.is_dir()
            for path in folder.iterdir()
        )


def _entries(folder: Path) -> Iterator[Entry]:
    """Yield the digests that have a page, the newest first."""
    pages = [(path.stat().st_mtime, path) for path in folder.glob("[!.]*_*.html")]
    for written_at, path in sorted(pages, reverse=True):
        yield Entry(
            id=path.stem.partition("_")[2],
            page=path.read_text(encoding="utf-8"),
            href=quote(path.name),
            updated=dt.datetime.fromtimestamp(written_at, dt.UTC),
        )


def _feed_id(folder: Path) -> str:
    """Return the same URI at every time, and no other feed's."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"{socket.gethostname()}{folder.absolute()}").urn


def _replace(path: Path, text: str) -> None:
    """Put a whole file in place; nobody sees a part of it."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with os.fdopen(os.open(temporary, flags, _FILE_MODE), "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), _FILE_MODE)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _sync_directory(folder: Path) -> None:
    """Make the names last, as the contents do."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
