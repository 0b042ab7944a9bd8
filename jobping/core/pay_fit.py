"""Whether a posting pays what a profile wants, as far as the two can be compared."""

from decimal import Decimal
from typing import Final

from jobping.core.fit import Fit
from jobping.core.posting import Interval, Salary, SalaryOrigin
from jobping.core.profile import PayFloor

_A_YEAR: Final = {
    Interval.HOUR: Decimal(2_080),
    Interval.DAY: Decimal(260),
    Interval.WEEK: Decimal(52),
    Interval.MONTH: Decimal(12),
    Interval.YEAR: Decimal(1),
}
"""How many of an interval full-time pay of a year has: 52 weeks of 5 days of 8 hours."""


def judge_pay(floor: PayFloor, salary: Salary | None) -> Fit:
    """Say whether the pay reaches the floor; only a stated upper amount below it is a no.

    A lower amount alone (`from 30,000`) may still reach it, and predicted pay is nobody's word.
    """
    if salary is None or salary.currency != floor.currency:
        return Fit.MAYBE
    factor, wanted = _A_YEAR.get(salary.interval), _A_YEAR.get(floor.interval)
    if factor is None or wanted is None:
        return Fit.MAYBE
    least = floor.amount * wanted
    if salary.minimum is not None and salary.minimum * factor >= least:
        return Fit.YES
    if salary.maximum is None:
        return Fit.MAYBE
    if salary.maximum * factor >= least:
        return Fit.YES
    return Fit.NO if salary.origin is SalaryOrigin.STATED else Fit.MAYBE
