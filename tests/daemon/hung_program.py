"""A daemon of two actors that systemd watches: the argument says how one hangs.

`stuck` cannot be cancelled, `loop` keeps Trio's loop from turning.
"""

import sys
import time

import trio

from jobping.actors.observer import observer
from jobping.logs import LogConfig, open_log
from jobping.sdnotify import ServiceManager, explained_aborts
from jobping.settings import read_system
from supervisors import ChildSpec, Context, Supervisor, SupervisorSpec, run_daemon


async def well(ctx: Context[object]) -> None:
    ctx.started()
    async for _ in ctx.inbox:
        pass


async def stuck(ctx: Context[object]) -> None:
    ctx.started()
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()


async def loop(ctx: Context[object]) -> None:
    ctx.started()
    await trio.sleep(0.1)
    time.sleep(30)  # noqa: ASYNC251  that is what it is for


async def main() -> int:
    system = read_system()
    assert system.watchdog_s is not None
    with (
        open_log(LogConfig(strict=True), stream=sys.stdout, journal=False) as log,
        explained_aborts(),
    ):
        hanging = {"stuck": stuck, "loop": loop}[sys.argv[1]]
        children = (
            ChildSpec(id="well", start=well, max_idle=system.watchdog_s / 2),
            ChildSpec(
                id="hanging", start=hanging, max_idle=system.watchdog_s / 2, stop_timeout=0.1
            ),
        )
        root = Supervisor(SupervisorSpec(children=children), hook=observer(log.emit))
        return await run_daemon(
            root,
            grace_period=1.0,
            notifier=ServiceManager(
                address=system.notify_socket, watchdog_s=system.watchdog_s, on_ready=lambda: "up"
            ),
            heartbeat=system.watchdog_s / 4,
        )


if __name__ == "__main__":
    raise SystemExit(trio.run(main))
