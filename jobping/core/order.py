"""What an operator may order a domain to do."""

import enum
from typing import assert_never

from jobping.core import gate
from jobping.core.breaker import Phase
from jobping.core.gate_state import GateRules, GateState, Transitions
from jobping.core.ids import Monotonic


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


def ordered(
    state: GateState, rules: GateRules, order: Order, now: Monotonic
) -> tuple[GateState, Transitions] | str:
    """Return the gate as an operator wants it, or why that cannot be.

    A wait that the site asked for stays as it is.
    """
    is_held = state.breaker.phase is Phase.FORCED_OPEN
    match order:
        case Order.HOLD if is_held:
            return "is held already"
        case Order.RELEASE if not is_held:
            return "is not held"
        case Order.PROBE if is_held:
            return "is held; release it first"
        case Order.HOLD:
            return gate.hold(state, now)
        case Order.RELEASE:
            return gate.release(state, rules, now)
        case Order.PROBE:
            return gate.probe_now(state, now)
        case Order.RESET:
            return gate.reset(state, rules, now)
        case _:
            assert_never(order)
