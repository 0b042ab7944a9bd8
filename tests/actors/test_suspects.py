import pytest

from jobping.actors.suspects import Suspects
from jobping.core.ids import BoardId, Domain, Monotonic

SITE = Domain("boards.example")
GOOD, POISON = BoardId(1), BoardId(2)


def crash(suspects: Suspects, now: float) -> BoardId | None:
    suspects.begin(POISON, SITE)
    return suspects.crashed(SITE, Monotonic(now))


def test_board_whose_poll_crashed_rests_twice_as_long_each_time_up_to_a_day() -> None:
    suspects, now, rests = Suspects(), 0.0, []
    for _ in range(12):
        assert crash(suspects, now) == POISON
        rest_s = next(s for s in range(0, 90_000, 100) if not resting(suspects, now + s))
        rests.append(rest_s)
        now += rest_s
    assert rests == [300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 76800, 86400, 86400, 86400]


def resting(suspects: Suspects, now: float) -> bool:
    return suspects.is_resting(POISON, Monotonic(now))


def test_many_thousand_crashes_rest_for_a_day() -> None:
    suspects = Suspects()
    for _ in range(5_000):
        crash(suspects, 0.0)
    assert resting(suspects, 86_399.0)
    assert not resting(suspects, 86_400.0)


def test_board_that_was_polled_to_its_end_is_above_suspicion() -> None:
    suspects = Suspects()
    crash(suspects, 0.0)
    suspects.begin(POISON, SITE)
    suspects.end(POISON, SITE)
    assert not resting(suspects, 1.0)
    crash(suspects, 0.0)
    assert not resting(suspects, 300.0)


@pytest.mark.parametrize("domain", [SITE, Domain("other.example")])
def test_crash_between_polls_suspects_no_board(domain: Domain) -> None:
    suspects = Suspects()
    suspects.begin(GOOD, SITE)
    suspects.end(GOOD, SITE)
    assert suspects.crashed(domain, Monotonic(0.0)) is None
    assert not suspects.is_resting(GOOD, Monotonic(0.0))


def test_crash_of_one_domain_suspects_no_board_of_another() -> None:
    suspects, other = Suspects(), Domain("other.example")
    suspects.begin(GOOD, SITE)
    suspects.begin(POISON, other)
    assert suspects.crashed(other, Monotonic(0.0)) == POISON
    assert not suspects.is_resting(GOOD, Monotonic(1.0))
    assert resting(suspects, 1.0)
