"""One domain's lease as its holder knows it, and the keeper of all that this daemon holds.

Degradation owns the keeper; the actor of a domain works within `Lease.bound`, and its gate asks
`check` before each request leaves.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeVar

import attrs
import trio

from jobping.clock import Clock
from jobping.core import tenure
from jobping.core.ids import Domain, Monotonic
from jobping.core.tenure import Fence, Tenure, TenureRules
from jobping.errors import LeaseLost, StoreUnavailable
from jobping.events import Emit
from jobping.store.leases import Leases

R = TypeVar("R")

WITHIN_S: Final = 4.0  # one round with the database, below the time between two
LEAVE_WITHIN_S: Final = 1.0  # a stop does not wait for a database that is away


@attrs.define(eq=False, kw_only=True)
class Lease:
    """One claim of a domain.

    Attributes:
        fence: Proves it in every write.
    """

    fence: Fence
    clock: Clock
    _tenure: Tenure
    _scope: trio.CancelScope | None = attrs.field(default=None, init=False)

    @property
    def is_held(self) -> bool:
        """Whether its holder may act now."""
        return tenure.may_act(self._tenure, self.clock.monotonic())

    def check(self) -> None:
        """Go on while the lease is held.

        Raises:
            LeaseLost: It is not.
        """
        if not self.is_held:
            raise LeaseLost(self.fence.domain)

    @contextmanager
    def bound(self) -> Iterator[None]:
        """Cut the block off at the lease's end; one block at a time.

        Raises:
            LeaseLost: The block was cut off.
        """
        with trio.CancelScope(deadline=self._tenure.until) as scope:
            self._scope = scope
            try:
                yield
            finally:
                self._scope = None
        if scope.cancelled_caught:
            raise LeaseLost(self.fence.domain)

    def renew(self, rules: TenureRules, asked_at: Monotonic) -> None:
        """Take a renewal that is known to have happened.

        Args:
            asked_at: When it was begun, by the monotonic clock.
        """
        now = self.clock.monotonic()
        self._hold(tenure.renewed(self._tenure, rules, asked_at, now))

    def end(self) -> None:
        """Act no more under this lease; what runs within `bound` is cut off."""
        self._hold(tenure.LOST)

    def _hold(self, after: Tenure) -> None:
        self._tenure = after
        if self._scope is not None:
            self._scope.deadline = after.until


@attrs.define(kw_only=True)
class LeaseKeeper:
    """Claims the domains that are wanted, renews those that are held, and lets go in time.

    Attributes:
        wanted: Domains that have boards.
        held: The leases that this daemon may act under.
    """

    leases: Leases
    clock: Clock
    emit: Emit
    wanted: frozenset[Domain] = frozenset()
    held: dict[Domain, Lease] = attrs.field(factory=dict, init=False)
    _awaited: frozenset[Domain] = attrs.field(default=frozenset(), init=False)
    _turn: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    async def start(self) -> None:
        """Claim for the first time: also what this daemon held before it died.

        Raises:
            StoreError: The database did not answer.
        """
        await self._claim_by(self.leases.start)

    async def serve(
        self, on_change: Callable[[], None], on_turn: Callable[[], None] = lambda: None
    ) -> None:
        """Renew and claim until cancelled; call `on_change` when a lease came or went."""
        rules = self.leases.rules
        due_at = self.clock.monotonic() + rules.renew_every_s
        while True:
            await trio.sleep_until(due_at)
            due_at = self.clock.monotonic() + rules.renew_every_s
            on_turn()
            before = set(self.held.values())
            await self._renew()
            await self.claim()
            if set(self.held.values()) != before:
                on_change()

    async def claim(self) -> None:
        """Claim what is wanted and free; a database that is away gives nothing."""
        if self.wanted <= self.held.keys():
            self._awaited = frozenset()
        else:
            await _try(self._claim_by(self.leases.claim))

    async def _claim_by(
        self, claim: Callable[[Sequence[Domain]], Awaitable[Iterable[Fence]]]
    ) -> None:
        async with self._turn:
            wanted = self.wanted - self.held.keys()
            began = tenure.granted(self.leases.rules, self.clock.monotonic())
            fences = await claim(sorted(wanted))
            for fence in fences:
                lease = Lease(fence=fence, clock=self.clock, tenure=began)
                self.held[fence.domain] = lease
        awaited = wanted - self.held.keys()
        if fences:
            self.emit("lease.claimed", domains=sorted(fence.domain for fence in fences))
        if awaited and awaited != self._awaited:
            self.emit("lease.awaited", domains=sorted(awaited))
        self._awaited = awaited

    async def _renew(self) -> None:
        """Renew what is held; what another has taken, or what ran out, is held no more."""
        async with self._turn:
            began = self.clock.monotonic()
            asked = [lease for lease in self.held.values() if lease.is_held]
            kept = await _try(self.leases.renew([lease.fence for lease in asked]))
            if kept is not None:
                for lease in asked:
                    if lease.fence in kept:
                        lease.renew(self.leases.rules, began)
                    else:
                        lease.end()
            for lease in [lease for lease in self.held.values() if not lease.is_held]:
                del self.held[lease.fence.domain]
                self.emit("lease.lost", domain=lease.fence.domain, fence=lease.fence.number)

    async def release(self, domains: Iterable[Domain]) -> None:
        """Let others have domains whose actors have ended."""
        leases = [self.held.pop(domain) for domain in domains if domain in self.held]
        for lease in leases:
            lease.end()
        if leases:
            await _try(self.leases.release([lease.fence for lease in leases]))

    async def leave(self) -> None:
        """Release everything, at a stop."""
        fences = [lease.fence for lease in self.held.values() if lease.is_held]
        with trio.move_on_after(LEAVE_WITHIN_S):
            await _try(self.leases.leave(fences))


async def _try(asked: Awaitable[R]) -> R | None:
    """Return what the database answers; None: whether it was done is unknown, so it was not."""
    try:
        with trio.fail_after(WITHIN_S):
            return await asked
    except (StoreUnavailable, trio.TooSlowError):
        return None
