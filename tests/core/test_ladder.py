import json

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from jobping.core import ladder
from jobping.core.ids import Monotonic
from jobping.core.ladder import (
    Demoted,
    DemotionCause,
    Ladder,
    LadderRules,
    Promoted,
    Restart,
    Tier,
)

TWO = LadderRules()
THREE = LadderRules(tiers=(Tier.RELIABLE, Tier.INDIVIDUAL, Tier.BACKFILL))


def at(seconds: float) -> Monotonic:
    return Monotonic(float(seconds))


def demoted(rules: LadderRules, now: float = 0.0) -> Ladder:
    start = ladder.at_tier(rules, Tier.RELIABLE, at(now))
    return ladder.demote(start, rules, at(now), DemotionCause.BREAKER)[0]


def trials(state: Ladder, rules: LadderRules, now: float, number: int = 3) -> Ladder:
    for _ in range(number):
        state, _ = ladder.on_trial(state, rules, at(now), good=True)
    return state


def test_the_third_bad_cycle_in_a_row_demotes_one_tier() -> None:
    state = ladder.at_tier(THREE, Tier.RELIABLE, at(0))
    for good in (False, False, True, False, False):
        state, change = ladder.on_cycle(state, THREE, at(0), good=good)
        assert change is None
    state, change = ladder.on_cycle(state, THREE, at(0), good=False)
    assert change == Demoted(
        before=Tier.RELIABLE,
        after=Tier.INDIVIDUAL,
        cause=DemotionCause.BAD_CYCLES,
        cooldown_s=900,
    )
    assert (state.tier, state.bad) == (Tier.INDIVIDUAL, 0)


def test_saved_ladder_lives_on_as_if_there_had_been_no_restart() -> None:
    state = attrs.evolve(demoted(THREE, now=100.0), bad=2, good=1, cooldown_s=1_800.0)
    state = attrs.evolve(state, promoted_at=at(40))
    saved = json.loads(json.dumps(ladder.save(state, at(500))))
    later = ladder.load(saved, THREE, state.tier, at(7_000), 60.0)
    gone = 7_000 - 560
    assert later == attrs.evolve(state, promoted_at=at(40 + gone), trial_at=at(1_000 + gone))


def test_ladder_of_another_tier_or_without_anything_saved_begins_anew() -> None:
    saved = ladder.save(demoted(THREE), at(0))
    assert ladder.load(saved, TWO, Tier.INDIVIDUAL, at(5), 0.0) == ladder.at_tier(
        TWO, Tier.BACKFILL, at(5)
    )
    assert ladder.load({}, TWO, Tier.BACKFILL, at(5), 0.0) == ladder.at_tier(
        TWO, Tier.BACKFILL, at(5)
    )


@pytest.mark.parametrize("saved", [{"bad": 1}, {"bad": "x"}, {"bad": float("inf")}])
def test_nonsense_is_no_saved_ladder(saved: dict[str, float | None]) -> None:
    whole = ladder.save(demoted(TWO), at(0))
    broken = whole | saved if len(saved) == 1 and saved["bad"] != 1 else saved
    with pytest.raises(ValueError, match=r"saved ladder|invalid literal"):
        ladder.load(broken, TWO, Tier.BACKFILL, at(5), 0.0)


def test_first_tier_has_no_trial_whatever_was_saved() -> None:
    saved = ladder.save(demoted(TWO), at(0))
    assert ladder.load(saved, TWO, Tier.RELIABLE, at(5), 0.0).trial_at is None


def test_a_trial_is_due_after_the_cooldown_and_three_good_ones_promote() -> None:
    state = demoted(TWO)
    assert not ladder.is_trial_due(state, TWO, at(899))
    assert ladder.is_trial_due(state, TWO, at(900))
    state, none = ladder.on_trial(state, TWO, at(900), good=True)
    assert none is None
    assert ladder.is_trial_due(state, TWO, at(900))
    state, _ = ladder.on_trial(state, TWO, at(900), good=True)
    state, change = ladder.on_trial(state, TWO, at(901), good=True)
    assert change == Promoted(before=Tier.BACKFILL, after=Tier.RELIABLE)
    assert not ladder.is_trial_due(state, TWO, at(1e9))


def test_a_failed_trial_starts_the_count_and_the_cooldown_anew() -> None:
    state = trials(demoted(TWO), TWO, 900, 2)
    state, _ = ladder.on_trial(state, TWO, at(950), good=False)
    assert state.good == 0
    assert not ladder.is_trial_due(state, TWO, at(1849))
    with pytest.raises(ValueError, match="no trial is due"):
        ladder.on_trial(state, TWO, at(1849), good=True)
    assert trials(state, TWO, 1850).tier is Tier.RELIABLE


def test_a_relapse_within_the_hour_doubles_the_cooldown_up_to_its_longest() -> None:
    state, now, cooldowns = demoted(TWO), 0.0, []
    for _ in range(7):
        now += state.cooldown_s
        state = trials(state, TWO, now)
        now += 3599
        state, change = ladder.demote(state, TWO, at(now), DemotionCause.REFUSALS)
        cooldowns.append(change.cooldown_s)
    assert cooldowns == [1800, 3600, 7200, 14_400, 21_600, 21_600, 21_600]
    state = trials(state, TWO, now + 21_600)
    _, change = ladder.demote(state, TWO, at(now + 21_600 + 3600), DemotionCause.BREAKER)
    assert change.cooldown_s == 900


def test_the_last_tier_has_nowhere_to_fall_but_waits_anew() -> None:
    state, change = ladder.demote(demoted(TWO), TWO, at(500), DemotionCause.CRASHES)
    assert (change.before, change.after) == (Tier.BACKFILL, Tier.BACKFILL)
    assert state.trial_at == 1400


def test_the_third_opening_within_an_hour_demotes() -> None:
    state = ladder.at_tier(TWO, Tier.RELIABLE, at(0))
    for now in (0, 3000, 3600):
        state, change = ladder.on_opened(state, TWO, at(now))
        assert change is None
    _, change = ladder.on_opened(state, TWO, at(3700))
    assert change is not None
    assert change.cause is DemotionCause.BREAKER


@pytest.mark.parametrize(
    ("left_s", "clamped", "refusals", "cause"),
    [
        (3600.0, False, 19, None),
        (3600.1, False, 1, DemotionCause.LONG_BLOCK),
        (10.0, True, 1, DemotionCause.LONG_BLOCK),
        (10.0, False, 20, DemotionCause.REFUSALS),
    ],
)
def test_a_refusal_demotes_when_it_is_long_or_one_of_twenty(
    left_s: float, clamped: bool, refusals: int, cause: DemotionCause | None
) -> None:
    state = ladder.at_tier(TWO, Tier.RELIABLE, at(0))
    _, change = ladder.on_throttled(
        state, TWO, at(0), left_s=left_s, clamped=clamped, refusals=refusals
    )
    assert (change and change.cause) == cause


def test_crashes_restart_later_each_time_and_the_sixth_in_a_minute_demotes() -> None:
    state, answers = ladder.at_tier(TWO, Tier.RELIABLE, at(0)), []
    for _ in range(6):
        state, answer = ladder.on_crash(state, TWO, at(10))
        answers.append(answer)
    assert answers[:5] == [Restart(1), Restart(2), Restart(4), Restart(8), Restart(16)]
    assert isinstance(answers[5], Demoted)
    assert state.crashes == ()


def test_a_crash_a_minute_old_no_longer_counts() -> None:
    state = ladder.at_tier(TWO, Tier.RELIABLE, at(0))
    for _ in range(5):
        state, _ = ladder.on_crash(state, TWO, at(0))
    _, answer = ladder.on_crash(state, TWO, at(60))
    assert answer == Restart(1)


def test_a_stored_tier_that_the_rules_lack_becomes_the_next_worse_one() -> None:
    assert ladder.at_tier(TWO, Tier.INDIVIDUAL, at(0)).tier is Tier.BACKFILL
    only = LadderRules(tiers=(Tier.RELIABLE,))
    assert ladder.at_tier(only, Tier.BACKFILL, at(0)).tier is Tier.RELIABLE
    resumed = ladder.at_tier(TWO, Tier.BACKFILL, at(50))
    assert not ladder.is_trial_due(resumed, TWO, at(949))
    assert ladder.is_trial_due(resumed, TWO, at(950))


class LadderMachine(RuleBasedStateMachine):
    """The tier moves one step at a time and never up before its time."""

    @initialize(tiers=st.sampled_from([TWO.tiers, THREE.tiers]))
    def begin(self, tiers: tuple[Tier, ...]) -> None:
        self.limits = LadderRules(tiers=tiers)
        self.now = 0.0
        self.ladder = ladder.at_tier(self.limits, Tier.RELIABLE, at(0))
        self.good = 0
        self.no_trial_before = 0.0

    def moved(self, state: Ladder, change: Demoted | Promoted | Restart | None) -> None:
        tiers = self.limits.tiers
        steps = tiers.index(state.tier) - tiers.index(self.ladder.tier)
        match change:
            case Demoted():
                assert steps == (0 if self.ladder.tier is tiers[-1] else 1)
                assert 900 <= change.cooldown_s <= 21_600
                self.no_trial_before = self.now + change.cooldown_s
                self.good = 0
            case Promoted():
                assert steps == -1
                assert self.good >= 3
                self.no_trial_before = self.now + 900
                self.good = 0
            case _:
                assert steps == 0
        self.ladder = state

    @rule(seconds=st.sampled_from([1.0, 61.0, 900.0, 3601.0, 30_000.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule(good=st.booleans())
    def end_cycle(self, good: bool) -> None:
        self.moved(*ladder.on_cycle(self.ladder, self.limits, at(self.now), good=good))

    @rule()
    def open_breaker(self) -> None:
        self.moved(*ladder.on_opened(self.ladder, self.limits, at(self.now)))

    @rule()
    def crash(self) -> None:
        self.moved(*ladder.on_crash(self.ladder, self.limits, at(self.now)))

    @rule(good=st.booleans(), number=st.integers(1, 4))
    def try_above(self, good: bool, number: int) -> None:
        for _ in range(number):
            if not ladder.is_trial_due(self.ladder, self.limits, at(self.now)):
                return
            assert self.now >= self.no_trial_before
            self.good = self.good + 1 if good else 0
            if not good:
                self.no_trial_before = self.now + self.ladder.cooldown_s
            self.moved(*ladder.on_trial(self.ladder, self.limits, at(self.now), good=good))

    @invariant()
    def the_state_is_bounded(self) -> None:
        assert len(self.ladder.crashes) <= self.limits.restarts
        assert len(self.ladder.openings) < self.limits.openings
        assert self.ladder.bad < self.limits.down


TestLadderMachine = LadderMachine.TestCase
TestLadderMachine.settings = settings(
    max_examples=1000, stateful_step_count=15, deadline=None, derandomize=True
)
