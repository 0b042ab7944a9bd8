"""Two ways to make an actor function: from a class, and from what `nursery.start` takes."""

import math
import sys
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import trio

from supervisors._context import Context

M = TypeVar("M")
_ON_STOP_LIMIT = 5.0  # seconds for `on_stop` where nothing but the grace period bounds the stop


class Actor(Generic[M]):
    """The class form of an actor: one object per incarnation, one method per moment of its life."""

    async def on_start(self, ctx: Context[M]) -> None:
        """Get ready; returning means ready."""

    async def receive(self, message: M) -> object:
        """Process one message; the value answers an ask."""
        raise NotImplementedError(f"{type(self).__qualname__} has no receive")

    async def on_stop(self, reason: str) -> None:
        """Clean up; called at every end after `on_start`, shielded, within `stop_timeout`.

        Args:
            reason: "requested", "cancelled" or "crashed".
        """


def actor(factory: Callable[[], Actor[M]]) -> Callable[[Context[M]], Awaitable[None]]:
    """Return the actor function that runs a new object of the class form in each incarnation."""

    async def run(ctx: Context[M]) -> None:
        instance = factory()
        await instance.on_start(ctx)
        try:
            ctx.started()
            async for delivery in ctx.inbox:
                delivery.reply(await instance.receive(delivery.message))
        finally:
            limit = ctx.stop_timeout if ctx.stop_timeout < math.inf else _ON_STOP_LIMIT
            with trio.move_on_after(limit, shield=True):
                await instance.on_stop(_reason_of(sys.exception()))

    return run


def _reason_of(ending: BaseException | None) -> str:
    if ending is None:
        return "requested"
    return "cancelled" if isinstance(ending, trio.Cancelled) else "crashed"


class OnReady:
    """A task status that calls a function."""

    def __init__(self, call: Callable[[object], None]) -> None:
        self._call = call

    def started(self, value: object = None) -> None:
        """Call it with the value."""
        self._call(value)


def startable(
    function: Callable[..., Awaitable[object]],
    *args: object,
    on_started: Callable[[object], None] = lambda value: None,
) -> Callable[[Context[M]], Awaitable[None]]:
    """Return the actor function that runs what was written for `nursery.start`.

    `startable(trio.serve_tcp, answer, 8080)` for instance: it is ready when it says so, and it is
    cancelled when it shall stop.

    Args:
        args: For the function; those with names go in by `functools.partial`.
        on_started: Called with the value that it reports when it is ready.
    """

    async def run(ctx: Context[M]) -> None:
        def note(value: object) -> None:
            on_started(value)
            ctx.started()

        async def watch_stop() -> None:
            await ctx.stop_requested.wait()
            nursery.cancel_scope.cancel(reason="requested")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch_stop)
            await function(*args, task_status=OnReady(note))
            nursery.cancel_scope.cancel(reason="returned")

    return run
