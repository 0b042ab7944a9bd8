"""Does the whole system find enough? If not, standby domains come in, then what is stored.

Pure. The primary domains are those polled always; the standby ones only while the primary yield too
little.
"""

import statistics
from collections.abc import Collection, Iterable, Sequence

import attrs

from jobping.core.ids import Domain


@attrs.frozen(kw_only=True)
class SupplyRules:
    """What counts as enough postings in a cycle.

    Attributes:
        minimum: Below it, standby domains come in.
        target: Up to it, they and stored postings fill up.

    Raises:
        ValueError: The target is below the minimum.

    Source:
        The figures are those of the predecessor.
    """

    minimum: int = attrs.field(default=50, validator=attrs.validators.ge(0))
    target: int = 100

    def __attrs_post_init__(self) -> None:
        """Check that the target is one."""
        if self.target < self.minimum:
            raise ValueError(f"supply: target {self.target} is below minimum {self.minimum}")

    def scaled(self, counts: Iterable[Sequence[int]]) -> "SupplyRules":
        """Return the rules for boards that may be few: half of what they usually list is enough.

        Args:
            counts: Of each board, how many postings its last good walks listed.
        """
        usual = sum(statistics.median_low(listed) for listed in counts if listed)
        return SupplyRules(minimum=min(self.minimum, usual // 2), target=min(self.target, usual))


@attrs.frozen
class Supply:
    """The standby domains that are in now, in the order in which they came."""

    standby: tuple[Domain, ...] = ()


@attrs.frozen(kw_only=True)
class FellShort:
    """The cycle found too little.

    Attributes:
        found: Postings live in the cycle, those of standby domains included.
        came: The standby domain that comes in now; None: none is left that may be asked.
        backfill: So many stored postings fill up to the target.
    """

    found: int
    came: Domain | None
    backfill: int


@attrs.frozen(kw_only=True)
class Recovered:
    """The primary domains find enough by themselves; these standby domains leave."""

    found: int
    left: tuple[Domain, ...]


def on_cycle(
    supply: Supply,
    rules: SupplyRules,
    *,
    primary: int,
    standby: int,
    configured: Sequence[Domain],
    closed: Collection[Domain],
    is_network_down: bool,
) -> tuple[Supply, FellShort | Recovered | None]:
    """Take the end of a cycle.

    Args:
        primary: Postings live in it over all primary domains; a 304 counts what it confirms.
        standby: The same over the standby domains that are in.
        configured: All standby domains, the first choice first.
        closed: Those that cannot be asked now: open, blocked or exhausted; they are passed over.
        is_network_down: None comes in then, for nobody can be asked.
    """
    if primary >= rules.minimum:
        if not supply.standby:
            return supply, None
        return Supply(), Recovered(found=primary, left=supply.standby)
    found = primary + standby
    backfill = max(0, rules.target - found)
    came = None
    if found < rules.target and not is_network_down:
        left_out = {*supply.standby, *closed}
        came = next((domain for domain in configured if domain not in left_out), None)
    if came is not None:
        supply = Supply((*supply.standby, came))
    return supply, FellShort(found=found, came=came, backfill=backfill)
