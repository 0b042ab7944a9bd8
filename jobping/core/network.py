"""Is our own network down? Then nobody is asked, nobody is blamed, and one domain at a time probes.

Pure. Names that are not found and networks that cannot be reached, at domains of several vendors at
once, speak of us and not of the sites. A refused connection is an answer of the site.
"""

from typing import Final

import attrs

from jobping.core.addresses import split_domain
from jobping.core.ids import Domain, Monotonic

MOST_ATTEMPTS: Final = 512
"""Attempts that are remembered; a minute holds fewer at every pace that all domains may have."""

MAX_DOUBLINGS: Final = 30


@attrs.frozen(kw_only=True)
class NetworkRules:
    """When our own network counts as down; durations in seconds.

    Attributes:
        window_s: The attempts that are judged; one exactly that old is out.
        domains: Domains of so many vendors must have failed.
        share: More than this share of all attempts must have failed.
        probe_s: From the loss to the first probe; doubles with each failed one.
        longest_s: Longest time between two probes.
        probe_within_s: A probe without a result for so long counts as failed.

    Source:
        Our choice; the open times are those of the breaker.
    """

    window_s: float = 60.0
    domains: int = 3
    share: float = 0.5
    probe_s: float = 30.0
    longest_s: float = 900.0
    probe_within_s: float = 60.0


@attrs.frozen
class Attempt:
    """One attempt to reach a domain, and whether there was no name or no way to it."""

    at: Monotonic
    domain: Domain
    is_lost: bool


@attrs.frozen(kw_only=True)
class Network:
    """What is known of our network.

    Attributes:
        attempts: The latest ones, oldest first; none while it is down.
        probes: Probes that failed since it went down; None while it is up.
        probe_at: No probe before this moment.
        probing_until: A probe is out until this moment at the latest; None: none is.
    """

    attempts: tuple[Attempt, ...] = ()
    probes: int | None = None
    probe_at: Monotonic | None = None
    probing_until: Monotonic | None = None

    @property
    def is_down(self) -> bool:
        """Whether nobody may send but the one that probes."""
        return self.probes is not None


@attrs.frozen
class Lost:
    """Our network went down; there was no name or no way to these domains."""

    domains: tuple[Domain, ...]


@attrs.frozen
class Regained:
    """Our network is back: this domain was reached."""

    domain: Domain


def admit(
    network: Network, rules: NetworkRules, now: Monotonic
) -> tuple[Network, Monotonic | None]:
    """Decide whether a request may be sent as far as our network is concerned.

    Returns:
        The new state, and None: send; or the moment at which to ask again.
    """
    if not network.is_down:
        return network, None
    if network.probing_until is not None:
        if now < network.probing_until:
            return network, network.probing_until
        network = _probe_failed(network, rules, now)
    if network.probe_at is not None and now < network.probe_at:
        return network, network.probe_at
    return attrs.evolve(network, probing_until=Monotonic(now + rules.probe_within_s)), None


def give_back(network: Network) -> Network:
    """Take back a leave of which no byte was sent: the next one may probe."""
    return attrs.evolve(network, probing_until=None) if network.is_down else network


def record(
    network: Network, rules: NetworkRules, now: Monotonic, domain: Domain, *, is_lost: bool
) -> tuple[Network, Lost | Regained | None]:
    """Take the end of a request.

    Args:
        is_lost: There was no name or no way to the domain; anything else shows a network.
    """
    if network.is_down:
        if not is_lost:
            return Network(), Regained(domain)
        return _probe_failed(network, rules, now), None
    kept = [attempt for attempt in network.attempts if now - attempt.at < rules.window_s]
    attempts = (*kept, Attempt(now, domain, is_lost))[-MOST_ATTEMPTS:]
    lost = [attempt for attempt in attempts if attempt.is_lost]
    unreached = sorted({attempt.domain for attempt in lost})
    if len(set(map(vendor_of, unreached))) < rules.domains or len(lost) <= rules.share * len(
        attempts
    ):
        return attrs.evolve(network, attempts=attempts), None
    down = Network(probes=0, probe_at=Monotonic(now + rules.probe_s))
    return down, Lost(tuple(unreached))


def vendor_of(domain: Domain) -> str:
    """Return what the hosts of one vendor share: the end of their names, which is enough here.

    Two labels, so that all of `co.uk` counts as one vendor; an address stands for itself.
    """
    host, _ = split_domain(domain)
    labels = host.split(".")
    is_name = len(labels) > 1 and not labels[-1].isdigit() and not host.startswith("[")
    return ".".join(labels[-2:]) if is_name else domain


def _probe_failed(network: Network, rules: NetworkRules, now: Monotonic) -> Network:
    """Wait twice as long for the next probe; where none is out, an older request has failed."""
    if network.probing_until is None:
        return network
    probes = (network.probes or 0) + 1
    wait_s = min(rules.longest_s, rules.probe_s * 2 ** min(probes, MAX_DOUBLINGS))
    return attrs.evolve(
        network, probes=probes, probe_at=Monotonic(now + wait_s), probing_until=None
    )
