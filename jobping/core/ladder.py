"""The tier ladder of one domain: demoted by bad results, promoted by good trials.

Pure. One step at a time: a demotion never waits, a promotion waits for the cooldown and needs good
trials; the last tier has nowhere to fall. Which tiers exist is a rule.
"""

import enum
from collections.abc import Mapping
from typing import Final

import attrs

from jobping.core.ids import Monotonic

MAX_DOUBLINGS: Final = 30


class Tier(enum.StrEnum):
    """How a domain's postings are come by, best first."""

    RELIABLE = "reliable"
    INDIVIDUAL = "individual"
    BACKFILL = "backfill"


class DemotionCause(enum.StrEnum):
    """Why a domain went down a tier."""

    BAD_CYCLES = "bad_cycles"
    BREAKER = "breaker"
    LONG_BLOCK = "long_block"
    REFUSALS = "refusals"
    CRASHES = "crashes"


@attrs.frozen(kw_only=True)
class LadderRules:
    """When a domain changes its tier; durations in seconds.

    Attributes:
        tiers: Best first, the last needs no site.
        down: Bad cycles in a row that demote.
        up: Good trials in a row that promote.
        cooldown_s: From a demotion or promotion to the first trial.
        longest_s: Longest cooldown after relapses.
        relapse_s: A demotion so soon after a promotion doubles the cooldown.
        openings: Openings of the breaker within `openings_s` that demote.
        long_block_s: A block or told open time above this demotes.
        refusals: Refusals in a row that demote.
        restarts: Crashes within `restarts_s` that are answered by a restart.
        restart_s: Delay of the first restart; doubles with each further one.
        longest_restart_s: Longest delay of a restart.

    Raises:
        ValueError: There is no tier.
    """

    tiers: tuple[Tier, ...] = attrs.field(
        default=(Tier.RELIABLE, Tier.BACKFILL), validator=attrs.validators.min_len(1)
    )
    down: int = 3
    up: int = 3
    cooldown_s: float = 900.0
    longest_s: float = 21_600.0
    relapse_s: float = 3_600.0
    openings: int = 3
    openings_s: float = 3_600.0
    long_block_s: float = 3_600.0
    refusals: int = 20
    restarts: int = 5
    restarts_s: float = 60.0
    restart_s: float = 1.0
    longest_restart_s: float = 60.0


@attrs.frozen(kw_only=True)
class Ladder:
    """The ladder's state.

    Attributes:
        bad: Bad cycles in a row.
        good: Good trials in a row.
        cooldown_s: The cooldown that the last demotion set.
        promoted_at: The last promotion, or None.
        trial_at: No trial before this moment; None on the first tier.
        crashes: Moments of the crashes that still count.
        openings: Moments of the breaker's openings that still count.
    """

    tier: Tier
    bad: int = 0
    good: int = 0
    cooldown_s: float
    promoted_at: Monotonic | None = None
    trial_at: Monotonic | None = None
    crashes: tuple[Monotonic, ...] = ()
    openings: tuple[Monotonic, ...] = ()


@attrs.frozen(kw_only=True)
class Demoted:
    """One tier down, or the last tier confirmed; trials begin after the cooldown."""

    before: Tier
    after: Tier
    cause: DemotionCause
    cooldown_s: float


@attrs.frozen(kw_only=True)
class Promoted:
    """One tier up after good trials."""

    before: Tier
    after: Tier


@attrs.frozen
class Restart:
    """Start the crashed actor again after a delay; the tier stays."""

    delay_s: float


def at_tier(rules: LadderRules, tier: Tier, now: Monotonic) -> Ladder:
    """Return the ladder of a domain that stands on a tier; a lower one begins with a cooldown.

    A tier that the rules do not have counts as the next worse one that they have.
    """
    order = list(Tier)
    known = next((t for t in rules.tiers if order.index(t) >= order.index(tier)), rules.tiers[-1])
    first = known is rules.tiers[0]
    trial_at = None if first else Monotonic(now + rules.cooldown_s)
    return Ladder(tier=known, cooldown_s=rules.cooldown_s, trial_at=trial_at)


def save(ladder: Ladder, now: Monotonic) -> dict[str, float | None]:
    """Return what a restart must not forget; moments in seconds from now."""
    return {
        "bad": ladder.bad,
        "good": ladder.good,
        "cooldown_s": ladder.cooldown_s,
        "promoted_s": None if ladder.promoted_at is None else ladder.promoted_at - now,
        "trial_s": None if ladder.trial_at is None else ladder.trial_at - now,
    }


def load(
    saved: Mapping[str, float | None],
    rules: LadderRules,
    tier: Tier,
    now: Monotonic,
    elapsed_s: float,
) -> Ladder:
    """Live on from a saved ladder; as `at_tier` where nothing was saved or the tier is no more.

    Args:
        saved: What `save` made, or nothing.
        elapsed_s: Seconds since then.

    Raises:
        ValueError: It is no saved ladder.
    """
    ladder = at_tier(rules, tier, now)
    if not saved or ladder.tier is not tier:
        return ladder

    def moment(name: str) -> Monotonic | None:
        from_then_s = saved[name]
        return None if from_then_s is None else Monotonic(now - elapsed_s + from_then_s)

    try:
        trial_at = ladder.trial_at and (moment("trial_s") or ladder.trial_at)
        return attrs.evolve(
            ladder,
            bad=int(saved["bad"] or 0),
            good=int(saved["good"] or 0),
            cooldown_s=min(rules.longest_s, float(saved["cooldown_s"] or 0.0)),
            promoted_at=moment("promoted_s"),
            trial_at=None if trial_at is None else min(trial_at, Monotonic(now + rules.longest_s)),
        )
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"saved ladder: {error!r}") from error


def on_cycle(
    ladder: Ladder, rules: LadderRules, now: Monotonic, *, good: bool
) -> tuple[Ladder, Demoted | None]:
    """Take the end of a cycle; bad: no page, empty or drifted, or all held back by the breaker."""
    if good:
        return attrs.evolve(ladder, bad=0), None
    ladder = attrs.evolve(ladder, bad=ladder.bad + 1)
    if ladder.bad < rules.down:
        return ladder, None
    return demote(ladder, rules, now, DemotionCause.BAD_CYCLES)


def on_opened(ladder: Ladder, rules: LadderRules, now: Monotonic) -> tuple[Ladder, Demoted | None]:
    """Take an opening of the breaker; too many within the period demote."""
    openings = (*_younger(ladder.openings, now, rules.openings_s), now)
    if len(openings) < rules.openings:
        return attrs.evolve(ladder, openings=openings), None
    return demote(attrs.evolve(ladder, openings=()), rules, now, DemotionCause.BREAKER)


def on_throttled(
    ladder: Ladder,
    rules: LadderRules,
    now: Monotonic,
    *,
    left_s: float,
    clamped: bool,
    refusals: int,
) -> tuple[Ladder, Demoted | None]:
    """Take a refusal.

    Args:
        left_s: Seconds until the block ends.
        clamped: The site asked for more than we ever wait.
        refusals: Refusals in a row.
    """
    if clamped or left_s > rules.long_block_s:
        return demote(ladder, rules, now, DemotionCause.LONG_BLOCK)
    if refusals >= rules.refusals:
        return demote(ladder, rules, now, DemotionCause.REFUSALS)
    return ladder, None


def demote(
    ladder: Ladder, rules: LadderRules, now: Monotonic, cause: DemotionCause
) -> tuple[Ladder, Demoted]:
    """Go one tier down, never two; on the last tier only the cooldown starts anew."""
    below = _neighbour(rules, ladder.tier, 1)
    cooldown_s = rules.cooldown_s
    if ladder.promoted_at is not None and now - ladder.promoted_at < rules.relapse_s:
        cooldown_s = min(rules.longest_s, 2 * ladder.cooldown_s)
    demoted = attrs.evolve(
        ladder,
        tier=below,
        bad=0,
        good=0,
        cooldown_s=cooldown_s,
        trial_at=Monotonic(now + cooldown_s),
    )
    return demoted, Demoted(before=ladder.tier, after=below, cause=cause, cooldown_s=cooldown_s)


def is_trial_due(ladder: Ladder, rules: LadderRules, now: Monotonic) -> bool:
    """Say whether one request of the tier above should see if it is well again."""
    below_first = ladder.tier is not rules.tiers[0]
    return below_first and (ladder.trial_at is None or now >= ladder.trial_at)


def on_trial(
    ladder: Ladder, rules: LadderRules, now: Monotonic, *, good: bool
) -> tuple[Ladder, Promoted | None]:
    """Take a trial that the gate let through; the last of enough good ones promotes.

    Raises:
        ValueError: The ladder stands on its first tier, or no trial is due.
    """
    if not is_trial_due(ladder, rules, now):
        raise ValueError(f"no trial is due on tier {ladder.tier}")
    if not good:
        later = Monotonic(now + ladder.cooldown_s)
        return attrs.evolve(ladder, good=0, trial_at=later), None
    if ladder.good + 1 < rules.up:
        return attrs.evolve(ladder, good=ladder.good + 1), None
    return _promote(ladder, rules, now)


def _promote(ladder: Ladder, rules: LadderRules, now: Monotonic) -> tuple[Ladder, Promoted]:
    above = _neighbour(rules, ladder.tier, -1)
    promoted = attrs.evolve(
        ladder,
        tier=above,
        good=0,
        bad=0,
        promoted_at=now,
        trial_at=Monotonic(now + rules.cooldown_s),
    )
    return promoted, Promoted(before=ladder.tier, after=above)


def _neighbour(rules: LadderRules, tier: Tier, step: int) -> Tier:
    place = rules.tiers.index(tier) + step
    return rules.tiers[max(0, min(place, len(rules.tiers) - 1))]


def on_crash(
    ladder: Ladder, rules: LadderRules, now: Monotonic
) -> tuple[Ladder, Restart | Demoted]:
    """Take a crash of the domain's actor: a restart, until there are too many in the period."""
    crashes = (*_younger(ladder.crashes, now, rules.restarts_s), now)
    if len(crashes) > rules.restarts:
        return demote(attrs.evolve(ladder, crashes=()), rules, now, DemotionCause.CRASHES)
    delay_s = rules.restart_s * 2 ** min(len(crashes) - 1, MAX_DOUBLINGS)
    return attrs.evolve(ladder, crashes=crashes), Restart(min(rules.longest_restart_s, delay_s))


def _younger(
    moments: tuple[Monotonic, ...], now: Monotonic, period_s: float
) -> tuple[Monotonic, ...]:
    return tuple(moment for moment in moments if now - moment < period_s)
