from collections.abc import Sequence

import pytest

from jobping.actors.domain_ladder import DomainLadder
from jobping.core.gate_state import Closed, Exhausted, HalfOpened, Opened, Throttled, Transition
from jobping.core.ids import Domain
from jobping.core.ladder import Demoted, DemotionCause, LadderRules, Promoted, Restart, Tier
from jobping.core.quota import Span
from tests.actors.rig import SetClock
from tests.doubles.postgres import Events

RULES = LadderRules()
HOUR_S = 3600.0


def ladder_at(tier: Tier, clock: SetClock, events: Events) -> DomainLadder:
    return DomainLadder.at(
        tier, domain=Domain("boards.example"), rules=RULES, clock=clock, emit=events
    )


def said(events: Events, cause: str, cooldown_s: float = 900.0) -> tuple[str, dict[str, object]]:
    fields = {"domain": "boards.example", "from_tier": "reliable", "to_tier": "backfill"}
    return "tier.demoted", {**fields, "cause": cause, "cooldown_s": cooldown_s}


def promote(ladder: DomainLadder, clock: SetClock) -> None:
    clock.now = max(clock.now, ladder.trial_at)
    for _ in range(RULES.up):
        ladder.note_trial(good=True)
    assert ladder.tier is Tier.RELIABLE


OPENED = Opened(failures=5, until_s=60.0, cause="5xx")
REFUSED = Throttled(retry_after_s=30.0, clamped=False, refusals=1)


@pytest.mark.parametrize(
    ("transitions", "cause"),
    [
        ((Opened(failures=1, until_s=HOUR_S + 1, cause="ban"),), "long_block"),
        ((OPENED, OPENED, OPENED), "breaker"),
        ((Throttled(retry_after_s=HOUR_S + 1, clamped=False, refusals=1),), "long_block"),
        ((Throttled(retry_after_s=60.0, clamped=True, refusals=1),), "long_block"),
        ((Throttled(retry_after_s=60.0, clamped=False, refusals=20),), "refusals"),
    ],
)
def test_gate_that_stays_shut_sends_the_actor_away(
    events: Events, transitions: Sequence[Transition], cause: str
) -> None:
    ladder = ladder_at(Tier.RELIABLE, SetClock(), events)
    for transition in transitions:
        assert not ladder.must_leave
        ladder.note_transition(transition)
    assert (ladder.tier, ladder.must_leave) == (Tier.BACKFILL, True)
    assert events.seen == [said(events, cause)]


def test_transitions_of_a_living_domain_move_nothing(events: Events) -> None:
    clock = SetClock()
    ladder = ladder_at(Tier.RELIABLE, clock, events)
    for _ in range(5):
        transitions = (
            OPENED,
            HalfOpened(),
            Closed(),
            Exhausted(span=Span.DAY, until_s=9.0),
            REFUSED,
        )
        for transition in transitions:
            ladder.note_transition(transition)
        clock.now += HOUR_S
    assert (ladder.tier, ladder.must_leave, events.seen) == (Tier.RELIABLE, False, [])


def test_bad_cycles_in_a_row_demote_and_a_good_one_forgives(events: Events) -> None:
    ladder = ladder_at(Tier.RELIABLE, SetClock(), events)
    for good in (False, False, True, False, False):
        ladder.note_cycle(good=good)
    assert ladder.tier is Tier.RELIABLE
    ladder.note_cycle(good=False)
    assert (ladder.tier, ladder.must_leave) == (Tier.BACKFILL, True)


def test_crashes_restart_with_growing_delays_until_there_are_too_many(events: Events) -> None:
    ladder = ladder_at(Tier.RELIABLE, SetClock(), events)
    answers = [ladder.note_crash() for _ in range(5)]
    assert answers == [Restart(1.0), Restart(2.0), Restart(4.0), Restart(8.0), Restart(16.0)]
    assert (ladder.tier, events.seen) == (Tier.RELIABLE, [])
    assert ladder.note_crash() == Demoted(
        before=Tier.RELIABLE,
        after=Tier.BACKFILL,
        cause=DemotionCause.CRASHES,
        cooldown_s=900.0,
    )
    assert events.seen == [said(events, "crashes")]


def test_crashes_that_are_far_apart_never_demote(events: Events) -> None:
    clock = SetClock()
    ladder = ladder_at(Tier.RELIABLE, clock, events)
    for _ in range(50):
        assert ladder.note_crash() == Restart(1.0)
        clock.now += 61.0


def test_last_tier_says_no_demotion_and_keeps_its_actor(events: Events) -> None:
    clock = SetClock()
    ladder = ladder_at(Tier.BACKFILL, clock, events)
    clock.now = 500.0
    ladder.note_transition(Throttled(retry_after_s=2 * HOUR_S, clamped=False, refusals=1))
    assert (ladder.tier, ladder.must_leave, events.seen) == (Tier.BACKFILL, False, [])
    assert ladder.trial_at == 1400.0


def test_trial_that_started_a_new_cooldown_itself_is_counted_once(events: Events) -> None:
    clock = SetClock()
    ladder = ladder_at(Tier.BACKFILL, clock, events)
    clock.now = ladder.trial_at
    ladder.note_transition(Throttled(retry_after_s=2 * HOUR_S, clamped=False, refusals=1))
    before = ladder.trial_at
    assert ladder.note_trial(good=False) is None
    assert ladder.trial_at == before == 1800.0


def test_trials_promote_once_enough_were_good(events: Events) -> None:
    clock = SetClock()
    ladder = ladder_at(Tier.BACKFILL, clock, events)
    clock.now = 900.0
    answers = [ladder.note_trial(good=True) for _ in range(3)]
    assert answers == [None, None, Promoted(before=Tier.BACKFILL, after=Tier.RELIABLE)]
    assert events.names() == ["tier.promoted"]


def test_relapse_soon_after_a_promotion_doubles_the_cooldown_up_to_six_hours(
    events: Events,
) -> None:
    clock = SetClock()
    ladder = ladder_at(Tier.RELIABLE, clock, events)
    cooldowns: list[float] = []
    for _ in range(8):
        ladder.note_transition(Opened(failures=1, until_s=HOUR_S + 1, cause="ban"))
        cooldowns.append(ladder.trial_at - clock.now)
        promote(ladder, clock)
        clock.now += 60.0
    assert cooldowns == [900, 1800, 3600, 7200, 14400, 21600, 21600, 21600]
    clock.now += HOUR_S
    ladder.note_transition(Opened(failures=1, until_s=HOUR_S + 1, cause="ban"))
    assert ladder.trial_at - clock.now == 900
