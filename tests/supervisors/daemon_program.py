"""A daemon for test_daemon.py: `python daemon_program.py SCENARIO`; it prints what happens."""

import math
import signal
import sys
import time

import trio

from supervisors import (
    Backoff,
    ChildSpec,
    Context,
    Intensity,
    Supervisor,
    SupervisorSpec,
    run_daemon,
)


def say(text: str) -> None:
    print(text, flush=True)


async def quiet(ctx: Context[object]) -> None:
    ctx.started()
    await ctx.stop_requested.wait()
    say("quiet stopped")


async def slow_start(ctx: Context[object]) -> None:
    say("starting")
    try:
        await trio.sleep_forever()
    finally:
        say("start undone")


async def stubborn(ctx: Context[object]) -> None:
    ctx.started()
    try:
        await trio.sleep_forever()
    finally:
        say("stubborn cancelled")


async def shielded(ctx: Context[object]) -> None:
    ctx.started()
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()


async def threaded(ctx: Context[object]) -> None:
    ctx.started()
    await trio.to_thread.run_sync(time.sleep, 60)


async def hung_early(ctx: Context[object]) -> None:
    ctx.started()
    await trio.sleep(0.1)
    say("hanging")
    while True:
        time.sleep(0.01)  # noqa: ASYNC251 - the loop shall hang


async def busy_once(ctx: Context[object]) -> None:
    ctx.started()
    await trio.sleep(0.1)
    say("busy")
    time.sleep(1.0)  # noqa: ASYNC251 - the loop shall read nothing meanwhile
    try:
        await trio.sleep_forever()
    finally:
        say("busy_once cancelled")


async def crashing(ctx: Context[object]) -> None:
    ctx.started()
    await trio.sleep(0.05)
    raise RuntimeError("no luck")


async def failing_start(ctx: Context[object]) -> None:
    raise RuntimeError("no store")


async def exiting(ctx: Context[object]) -> None:
    ctx.started()
    await trio.sleep(0.05)
    raise SystemExit(5)


class Prints:
    def alive(self) -> None:
        say("alive")

    def status(self, text: str) -> None:
        say(f"status {text}")

    def ready(self) -> None:
        say("ready")

    def extend(self, seconds: float) -> None:
        say(f"extend {seconds:g}")

    def stopping(self, reason: str) -> None:
        say("stopping")


ACTORS = {
    "quiet": quiet,
    "slow_start": slow_start,
    "stubborn": stubborn,
    "shielded": shielded,
    "threaded": threaded,
    "hung_early": hung_early,
    "busy_once": busy_once,
    "crashing": crashing,
    "failing_start": failing_start,
    "exiting": exiting,
}


async def stop_soon(root: Supervisor) -> None:
    await trio.sleep(0.1)
    await root.stop(reason="done")


async def main(scenario: str, grace_period: float) -> int:
    spec = SupervisorSpec(
        children=(
            ChildSpec(id="quiet", start=quiet),
            ChildSpec(
                id="x",
                start=ACTORS[scenario],
                start_timeout=math.inf,
                stop_timeout=math.inf,
            ),
        ),
        intensity=Intensity(max_restarts=0),
        backoff=Backoff(base=0.0),
    )
    return await run_daemon(
        Supervisor(spec),
        grace_period=grace_period,
        notifier=Prints(),
        on_signal={signal.SIGUSR1: lambda: say("usr1")},
    )


async def ends_by_itself() -> int:
    root = Supervisor(SupervisorSpec(children=(ChildSpec(id="quiet", start=quiet),)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop_soon, root)
        return await run_daemon(root, grace_period=5.0)


if __name__ == "__main__":
    if sys.argv[1] == "ends_by_itself":
        sys.exit(trio.run(ends_by_itself))
    sys.exit(trio.run(main, sys.argv[1], float(sys.argv[2])))
