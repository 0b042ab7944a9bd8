"""The files of digests that lie in the state directory: read, and deleted."""

import shutil
from pathlib import Path

import attrs


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
        folder = self.directory / profile
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        texts = (file for file in files if file.suffix == ".txt")
        return {file.name: file.read_text("utf-8", "replace") for file in texts}

    def erase(self, profile: str) -> int:
        """Delete all files of a profile and return how many they were.

        Raises:
            OSError: They cannot be deleted.
        """
        folder = self.directory / profile
        count = sum(1 for path in folder.rglob("*") if not path.is_dir())
        if folder.is_dir():
            shutil.rmtree(folder)
        return count

    def expire(self, before: float) -> int:
        """Delete the files last written before a moment, in epoch seconds; return how many.

        Raises:
            OSError: They cannot be deleted.
        """
        files = (path for path in self.directory.glob("*/*") if not path.is_dir())
        old = [path for path in files if path.lstat().st_mtime < before]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)
