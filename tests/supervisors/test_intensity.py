import pytest

from supervisors import Intensity
from supervisors._intensity import Window


def test_window_is_exhausted_by_one_restart_more_than_the_limit() -> None:
    window = Window(intensity=Intensity(max_restarts=2, period=10.0))
    window = window.record(0.0).record(1.0)
    assert window.is_exhausted(2.0)
    assert not Window(intensity=window.intensity).record(0.0).is_exhausted(2.0)


def test_window_counts_a_restart_exactly_one_period_old() -> None:
    window = Window(intensity=Intensity(max_restarts=1, period=10.0)).record(5.0)
    assert window.is_exhausted(15.0)
    assert not window.is_exhausted(15.001)


def test_window_of_zero_restarts_is_exhausted_from_the_start() -> None:
    assert Window(intensity=Intensity(max_restarts=0)).is_exhausted(0.0)


def test_window_stays_small_over_many_restarts() -> None:
    window = Window(intensity=Intensity(max_restarts=3, period=1e9))
    for moment in range(1000):
        window = window.record(float(moment))
    assert len(window.times) == 4


@pytest.mark.parametrize(
    ("max_restarts", "period"), [(-1, 1.0), (1.5, 1.0), (True, 1.0), (1, 0.0), (1, float("nan"))]
)
def test_intensity_refuses_what_is_no_limit(max_restarts: int, period: float) -> None:
    with pytest.raises(ValueError, match=r"max_restarts|period"):
        Intensity(max_restarts=max_restarts, period=period)
