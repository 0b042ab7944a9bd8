"""What an operator may order a domain to do."""

import enum


class Order(enum.StrEnum):
    """An order to one domain; none of them lifts the pace or a wait that the site asked for.

    Attributes:
        HOLD: Send nothing until it is released; kept over restarts.
        RELEASE: End the hold.
        PROBE: Ask once now, without waiting for the breaker, the trial or the schedule.
        RESET: Forget the breaker's failures and begin again on the first tier.
    """

    HOLD = "hold"
    RELEASE = "release"
    PROBE = "probe"
    RESET = "reset"
