"""A tree that crashes again and again in virtual time: prints what its memory and mailbox show.

Usage: soak_program.py CRASHES
"""

import gc
import sys
from pathlib import Path

import msgspec
import trio
from trio.testing import MockClock

from supervisors import Backoff, ChildSpec, Context, Intensity, Mailbox, Supervisor, SupervisorSpec

WARM_UP = 2_000
PAUSE = 0.036  # seconds between two crashes: 100,000 take an hour


def resident_bytes() -> int:
    """Return what the process occupies in memory now."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


async def crash_again_and_again(crashes: int) -> dict[str, int]:
    mailbox = Mailbox[int]()

    async def worker(ctx: Context[int]) -> None:
        ctx.started()
        async for delivery in ctx.inbox:
            if delivery.message % 2:
                raise ValueError(f"odd: {delivery.message}")

    spec = SupervisorSpec(
        children=(ChildSpec(id="worker", start=worker, mailbox=mailbox),),
        backoff=Backoff(base=PAUSE / 4, cap=PAUSE / 4, factor=1.0),
        intensity=Intensity(max_restarts=1_000, period=30.0),
    )
    root = Supervisor(spec)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        before = 0
        for count in range(WARM_UP + crashes):
            if count == WARM_UP:
                before = resident_bytes()
            for message in (2 * count, 2 * count + 1):
                mailbox.ref.tell(message)
            await trio.sleep(PAUSE)
        growth = resident_bytes() - before
        restarts = root.snapshot().children[0].restarts
        await root.stop()
    counts = mailbox.statistics()
    ended = counts.processed + counts.rejected + counts.dead_letters
    return {
        "crashes": restarts,
        "grown_bytes": growth,
        "sent": counts.sent,
        "accounted": ended + counts.queued,
        "dead_letters": counts.dead_letters,
    }


def main() -> None:
    found = trio.run(
        crash_again_and_again, int(sys.argv[1]), clock=MockClock(autojump_threshold=0.0)
    )
    print(msgspec.json.encode(found).decode())


if __name__ == "__main__":
    main()
