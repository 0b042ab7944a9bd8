"""The ladder of one domain. It outlives the domain's actor, so that no restart forgets it.

Degradation makes it and judges ends by it; the actor in charge feeds it results. What a restart of
the daemon must not forget stands beside the gate's state in the domain's row.
"""

import contextlib
from collections.abc import Mapping

import attrs

from jobping.clock import Clock
from jobping.core import ladder
from jobping.core.gate_state import Blocked, Opened, Throttled, Transition
from jobping.core.gate_text import ladder_of
from jobping.core.ids import Domain, Monotonic
from jobping.core.ladder import Demoted, DemotionCause, Ladder, LadderRules, Promoted, Restart, Tier
from jobping.events import Emit
from jobping.store.gates import SavedGate


@attrs.define(kw_only=True)
class DomainLadder:
    """Where a domain stands, and what moves it.

    Attributes:
        must_leave: The ladder moved; the actor of the old tier has to end.
        cycle_at: When the next cycle of the individual tier begins; a restart does not hasten it.
    """

    domain: Domain
    rules: LadderRules
    clock: Clock
    emit: Emit
    must_leave: bool = attrs.field(default=False, init=False)
    cycle_at: float = attrs.field(default=0.0, init=False)
    _state: Ladder

    @classmethod
    def at(
        cls, tier: Tier, *, domain: Domain, rules: LadderRules, clock: Clock, emit: Emit
    ) -> "DomainLadder":
        """Return the ladder of a domain that stands on a tier."""
        state = ladder.at_tier(rules, tier, clock.monotonic())
        return cls(domain=domain, rules=rules, clock=clock, emit=emit, state=state)

    @classmethod
    def since(
        cls,
        saved: SavedGate | None,
        *,
        domain: Domain,
        rules: LadderRules,
        clock: Clock,
        emit: Emit,
    ) -> "DomainLadder":
        """Return the ladder of a domain as its row has it; the first tier where there is none."""
        tier = Tier(saved.tier) if saved else rules.tiers[0]
        made = cls.at(tier, domain=domain, rules=rules, clock=clock, emit=emit)
        if saved is not None and made.tier == saved.tier:
            made.load(ladder_of(saved.state), saved.elapsed_s)
        return made

    def load(self, saved: Mapping[str, float | None], elapsed_s: float) -> None:
        """Live on from what `save` returned so many seconds ago; nonsense changes nothing."""
        now = self.clock.monotonic()
        with contextlib.suppress(ValueError, TypeError):
            self._state = ladder.load(saved, self.rules, self.tier, now, elapsed_s)
            self.cycle_at = now - elapsed_s + (saved.get("cycle_s") or 0.0)

    def save(self) -> dict[str, float | None]:
        """Return what the domain's row keeps of it."""
        now = self.clock.monotonic()
        return ladder.save(self._state, now) | {"cycle_s": self.cycle_at - now}

    @property
    def tier(self) -> Tier:
        """The tier on which the domain stands."""
        return self._state.tier

    @property
    def bad(self) -> int:
        """Bad cycles in a row."""
        return self._state.bad

    @property
    def above(self) -> Tier:
        """The tier that trials ask; on the first tier that itself."""
        tiers = self.rules.tiers
        return tiers[max(0, tiers.index(self.tier) - 1)]

    @property
    def trial_at(self) -> Monotonic:
        """When the next trial of the tier above may be made."""
        return self._state.trial_at or self.clock.monotonic()

    def note_cycle(self, *, good: bool) -> None:
        """Take the end of a pass over all boards that were due."""
        self._move(*ladder.on_cycle(self._state, self.rules, self.clock.monotonic(), good=good))

    def note_transition(self, transition: Transition) -> None:
        """Take what the gate did."""
        now = self.clock.monotonic()
        match transition:
            case Opened(until_s=s) | Blocked(until_s=s) if s > self.rules.long_block_s:
                self._move(*ladder.demote(self._state, self.rules, now, DemotionCause.LONG_BLOCK))
            case Opened():
                self._move(*ladder.on_opened(self._state, self.rules, now))
            case Throttled():
                step = ladder.on_throttled(
                    self._state,
                    self.rules,
                    now,
                    left_s=transition.retry_after_s,
                    clamped=transition.clamped,
                    refusals=transition.refusals,
                )
                self._move(*step)
            case _:
                pass

    def note_trial(self, *, good: bool) -> Promoted | None:
        """Take the end of a trial; the last of enough good ones promotes.

        A trial that itself made the ladder start a new cooldown has been counted by that.
        """
        now = self.clock.monotonic()
        if not ladder.is_trial_due(self._state, self.rules, now):
            return None
        self._state, promoted = ladder.on_trial(self._state, self.rules, now, good=good)
        if promoted is not None:
            self.emit(
                "tier.promoted",
                domain=self.domain,
                from_tier=promoted.before.value,
                to_tier=promoted.after.value,
            )
        return promoted

    def probe_now(self) -> None:
        """Let the next trial be due now, where there is one to make."""
        if self._state.trial_at is not None:
            self._state = attrs.evolve(self._state, trial_at=self.clock.monotonic())

    def reset(self) -> None:
        """Begin again on the first tier, with nothing remembered."""
        self._state = ladder.at_tier(self.rules, self.rules.tiers[0], self.clock.monotonic())

    def follow(self, rules: LadderRules) -> None:
        """Go on under other rules; where those have other tiers, with nothing else remembered."""
        if rules.tiers != self.rules.tiers:
            self._state = ladder.at_tier(rules, self.tier, self.clock.monotonic())
        self.rules = rules

    def note_crash(self) -> Restart | Demoted:
        """Take a crash of the domain's actor."""
        now = self.clock.monotonic()
        self._state, answer = ladder.on_crash(self._state, self.rules, now)
        if isinstance(answer, Demoted):
            self._say(answer)
        return answer

    def _move(self, state: Ladder, demoted: Demoted | None) -> None:
        self._state = state
        if demoted is not None:
            self._say(demoted)
            self.must_leave = self.must_leave or demoted.before is not demoted.after

    def _say(self, demoted: Demoted) -> None:
        if demoted.before is not demoted.after:
            self.emit(
                "tier.demoted",
                domain=self.domain,
                from_tier=demoted.before.value,
                to_tier=demoted.after.value,
                cause=demoted.cause.value,
                cooldown_s=demoted.cooldown_s,
            )
