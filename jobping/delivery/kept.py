"""The files of digests that lie in the state directory: read, and deleted."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import attrs

_OURS: Final = re.compile(
    r"\.?(?:feed\.atom|(?:first|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]+Z?)_.+\.(?:txt|html))(?:\.part)?"
)


@attrs.frozen
class KeptFiles:
    """The files that digests left, in a folder for each profile.

    Attributes:
        directory: Of all profiles; need not exist.
    """

    directory: Path

    def of(self, profile: str) -> dict[str, str]:
        """Return the texts of a profile's digests by the names of their files.

        Raises:
            OSError: They cannot be read.
        """
        files = sorted(_ours((self.directory / profile).glob("*.txt")))
        return {file.name: file.read_text("utf-8", "replace") for file in files}

    def erase(self, profile: str) -> int:
        """Delete all files of a profile's digests and return how many they were.

        Raises:
            OSError: They cannot be deleted.
        """
        folder = self.directory / profile
        if folder.is_symlink():
            raise OSError(f"{folder} is a symbolic link")
        files = _ours(folder.glob("*"))
        for path in files:
            path.unlink(missing_ok=True)
        if files and not any(folder.iterdir()):
            folder.rmdir()
        return len(files)

    def expire(self, before: float) -> int:
        """Delete the files last written before a moment, in epoch seconds; return how many.

        Raises:
            OSError: They cannot be deleted.
        """
        files = _ours(self.directory.glob("*/*"))
        old = [path for path in files if path.lstat().st_mtime < before]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)


def _ours(paths: Iterable[Path]) -> list[Path]:
    """Return what digests left; an operator may have other files there."""
    return [path for path in paths if _OURS.fullmatch(path.name) and not path.is_dir()]
