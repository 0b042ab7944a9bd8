"""What was kept for long enough goes, once a day; part of the heartbeat, for it owns nothing."""

from typing import Final

import attrs
import trio

from jobping.clock import Clock
from jobping.core.retention import Retention
from jobping.delivery.kept import KeptFiles
from jobping.errors import StoreError
from jobping.events import Emit
from jobping.store.maintenance import Maintenance

DAY_S: Final = 86_400.0
RETRY_S: Final = 600.0  # where the database, or the directory, is away; our choice


@attrs.define(kw_only=True)
class RetentionDuty:
    """Deletes rows and files that are too old.

    Attributes:
        files: None: no files are written.
    """

    retention: Retention
    maintenance: Maintenance
    files: KeptFiles | None
    clock: Clock
    emit: Emit

    async def run(self) -> None:
        """Delete at the start and once a day, for ever; may be cancelled at any time."""
        while True:
            is_done = await self._enforce()
            await trio.sleep(DAY_S if is_done else RETRY_S)

    async def _enforce(self) -> bool:
        began = self.clock.monotonic()
        try:
            gone = await self.maintenance.expire(self.retention)
            files = await self._expire_files()
        except (StoreError, OSError) as error:
            self.emit("retention.failed", why=error)
            return False
        self.emit(
            "retention.enforced",
            digests=gone["digests"],
            matches=gone["matches"],
            rankings=gone["rankings"],
            closed_postings=gone["closed_postings"],
            files=files,
            duration_s=self.clock.monotonic() - began,
        )
        return True

    async def _expire_files(self) -> int:
        if self.files is None:
            return 0
        before = self.clock.utcnow().timestamp() - self.retention.digests * DAY_S
        return await trio.to_thread.run_sync(self.files.expire, before)
