"""Our own network, one for all domains: while it is down nobody sends but one probe at a time.

It stands beside the domains' own gates, which ask it before they send and tell it how each exchange
ended. It is not stored: a daemon that starts finds out within seconds.
"""

from typing import Final

import attrs
import trio

from jobping.actors.work import Work
from jobping.clock import Clock
from jobping.core import network
from jobping.core.ids import Domain, Monotonic
from jobping.core.network import Lost, Network, NetworkRules, Regained
from jobping.core.outcome import Failed, Failure, Outcome
from jobping.events import Emit

WAITS_FOR: Final = "network"
UNREACHING: Final = frozenset({Failure.DNS, Failure.UNREACHABLE})
"""No name is found, or there is no way to its address: where names stay known or addresses are
used, a network that is down shows as the latter."""

HINT: Final = "`jobping demo` shows everything without a network"


@attrs.define(eq=False, kw_only=True)
class NetworkGate:
    """Whether our network is up, by what all domains report.

    Attributes:
        rules: For a place with many domains; where fewer are polled, fewer have to fail.
        polled: How many vendors' domains this daemon polls.
    """

    clock: Clock
    emit: Emit
    rules: NetworkRules = attrs.Factory(NetworkRules)
    polled: int | None = None
    _state: Network = attrs.field(factory=Network, init=False)
    _changed: trio.Event = attrs.field(factory=trio.Event, init=False)

    @property
    def is_down(self) -> bool:
        """Whether our network is down."""
        return self._state.is_down

    def is_ours(self, outcome: Outcome) -> bool:
        """Whether a failure is our network's and not the site's."""
        return self.is_down and is_unreaching(outcome)

    def held_until(self) -> Monotonic | None:
        """Return when to ask again, or None where a request may go now."""
        state, until = self._ask()
        if until is not None:  # a leave is taken by `take` alone
            self._state = state
        return until

    def take(self) -> bool:
        """Take a leave to send, where there is one now; while it is down that is the probe."""
        self._state, until = self._ask()
        return until is None

    async def wait(self, work: Work, until: Monotonic) -> None:
        """Wait for a moment, or for news of our network."""
        await work.wait_for(self._changed.wait, until=until)

    async def wait_until_down(self) -> None:
        """Return as soon as our network is down."""
        while not self.is_down:
            await self._changed.wait()
        await trio.lowlevel.checkpoint()

    def give_back(self) -> None:
        """Take back a probe of which nothing came."""
        self._turn(network.give_back(self._state))

    def record(self, domain: Domain, outcome: Outcome) -> None:
        """Take the end of a request that was tried."""
        is_lost = is_unreaching(outcome)
        state, change = network.record(
            self._state, self._rules(), self.clock.monotonic(), domain, is_lost=is_lost
        )
        self._turn(state)
        match change:
            case Lost(domains=domains):
                self.emit("network.lost", domains=list(domains), hint=HINT)
            case Regained():
                self.emit("network.regained", domain=domain)
            case None:
                pass

    def _ask(self) -> tuple[Network, Monotonic | None]:
        return network.admit(self._state, self._rules(), self.clock.monotonic())

    def _rules(self) -> NetworkRules:
        if self.polled is None:
            return self.rules
        return attrs.evolve(self.rules, domains=max(1, min(self.rules.domains, self.polled)))

    def _turn(self, state: Network) -> None:
        """Keep a state, and wake whoever waits where it is more than another attempt."""
        is_news = state.is_down or self._state.is_down
        self._state = state
        if is_news:
            self._changed.set()
            self._changed = trio.Event()


def is_unreaching(outcome: Outcome) -> bool:
    """Whether an outcome may be the fault of our own network."""
    return isinstance(outcome, Failed) and outcome.failure in UNREACHING
