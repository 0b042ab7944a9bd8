import os
from pathlib import Path

import attrs
import trio
from trio.testing import MockClock

from jobping.actors.retention import DAY_S, RETRY_S, RetentionDuty
from jobping.clock import Clock
from jobping.core.retention import Retention
from jobping.delivery.kept import KeptFiles
from jobping.errors import StoreUnavailable
from jobping.store.bridge import Database
from jobping.store.maintenance import Maintenance
from tests.doubles.postgres import Events

NONE = {"digests": 0, "matches": 0, "rankings": 0, "closed_postings": 0}


@attrs.define
class ScriptedMaintenance:
    """Fails as often as told, and notes when it was asked."""

    failures: int = 0
    asked_at: list[float] = attrs.field(factory=list)

    async def expire(self, _retention: Retention) -> dict[str, int]:
        self.asked_at.append(trio.current_time())
        await trio.sleep(1)
        if len(self.asked_at) <= self.failures:
            raise StoreUnavailable("away")
        return NONE


def duty(maintenance: object, files: Path | None, events: Events) -> RetentionDuty:
    return RetentionDuty(
        retention=Retention(),
        maintenance=maintenance,
        files=None if files is None else KeptFiles(files),
        clock=Clock(),
        emit=events,
    )


async def run_for(seconds: float, running: RetentionDuty) -> None:
    with trio.move_on_after(seconds):
        await running.run()


async def test_old_things_go_at_the_start_and_once_a_day(autojump_clock: MockClock) -> None:
    events, maintenance = Events(), ScriptedMaintenance()
    began = trio.current_time()
    await run_for(2 * DAY_S + 100, duty(maintenance, None, events))
    assert [at - began for at in maintenance.asked_at] == [0, DAY_S + 1, 2 * DAY_S + 2]
    assert events.seen[0] == ("retention.enforced", {**NONE, "files": 0, "duration_s": 1.0})


async def test_it_is_tried_again_soon_while_the_database_is_away(autojump_clock: MockClock) -> None:
    events, maintenance = Events(), ScriptedMaintenance(failures=2)
    await run_for(3 * RETRY_S, duty(maintenance, None, events))
    assert events.names() == ["retention.failed", "retention.failed", "retention.enforced"]


async def test_rows_and_files_go_on_a_real_database(
    database: Database, tmp_path: Path, events: Events
) -> None:
    old, new = tmp_path / "ana" / "first_1.txt", tmp_path / "ana" / "2026-01-01T0800_2.txt"
    old.parent.mkdir()
    for path in (old, new):
        path.touch()
    os.utime(old, (DAY_S, DAY_S))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(duty(Maintenance(database=database), tmp_path, events).run)
        with trio.fail_after(30):
            await events.wait("retention.enforced")
        nursery.cancel_scope.cancel()
    assert events.seen[-1][1].items() >= {**NONE, "files": 1}.items()
    assert (old.exists(), new.exists()) == (False, True)
