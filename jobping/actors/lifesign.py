"""The sign of life for somebody outside, who notices when it stays away: a dead man's switch."""

import math
from collections.abc import Callable
from typing import Final

import attrs
import trio

from jobping.core.addresses import Allowed, parse_url
from jobping.core.page import Page, PageRequest
from jobping.errors import FetchError, MalformedPage
from jobping.events import Emit
from jobping.fetch import Fetcher
from supervisors import Context

EVERY_S: Final = 300.0  # watchers outside count in minutes; our choice
FIRST_AFTER_S: Final = 60.0  # a daemon that dies again and again gives no sign
TELL_WITHIN_S: Final = 20.0
_ANSWER_BYTES: Final = 65_536  # nobody reads it


@attrs.define(kw_only=True)
class Lifesign:
    """Asks an address now and then, only while the daemon is well; what comes of it harms nothing.

    Attributes:
        url: A secret, as a rule; None: nobody is told.
        is_well: Whether every part of the daemon fares well now.
    """

    url: str | None = attrs.field(repr=False)
    fetcher: Fetcher
    is_well: Callable[[], bool]
    emit: Emit
    _is_lost: bool = attrs.field(default=False, init=False)

    async def run(self, ctx: Context[object]) -> None:
        """Give signs until asked to stop."""
        ctx.started()
        async with trio.open_nursery() as nursery:
            if self.url is not None:
                nursery.start_soon(self._give_signs, self.url, ctx)
            with ctx.busy(math.inf):
                await ctx.stop_requested.wait()
            nursery.cancel_scope.cancel()

    async def _give_signs(self, url: str, ctx: Context[object]) -> None:
        await trio.sleep(FIRST_AFTER_S)
        while True:
            if self.is_well():
                with ctx.busy(2 * TELL_WITHIN_S):
                    self._say(await self._tell(url))
            await trio.sleep(EVERY_S)

    async def _tell(self, url: str) -> str | None:
        """Ask the address once; return why that failed, or None."""
        target = parse_url(url)
        hosts = frozenset({target.domain}) if isinstance(target, Allowed) else frozenset()
        request = PageRequest(url=url, accept=("*/*",), byte_ceiling=_ANSWER_BYTES)
        try:
            with trio.fail_after(TELL_WITHIN_S):
                answer = await self.fetcher.call(request, hosts)
        except (FetchError, MalformedPage) as error:
            return error.why
        except trio.TooSlowError:
            return f"no answer in {TELL_WITHIN_S:g} s"
        is_taken = isinstance(answer, Page) and 200 <= answer.status < 300
        return None if is_taken else "another answer than 2xx"

    def _say(self, why: str | None) -> None:
        if (why is not None) != self._is_lost:
            self._is_lost = why is not None
            if why is not None:
                self.emit("lifesign.lost", why=why)
            else:
                self.emit("lifesign.regained")
