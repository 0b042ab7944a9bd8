"""The budget's words and its plan: limits, reservations, how a call ends, what to try next. Pure.

Whether a call fits is judged by the ledger's SQL alone (`store.ledger`); nothing here counts along.
"""

import datetime as dt
import enum
from collections.abc import Sequence
from typing import Final

import attrs

from jobping.core.model import Usage
from jobping.core.pricing import USD, Bound, Cost

THRESHOLDS: Final = (50, 80, 95, 100)
"""Percent of a limit at which an operator is warned, once per window."""


class Window(enum.Enum):
    """A calendar window in UTC."""

    DAY = "day"
    MONTH = "month"


class Measure(enum.Enum):
    """What a limit counts."""

    TOKENS = "tokens"
    COST = "cost"


@attrs.frozen(kw_only=True)
class Limits:
    """The most that may be used; 0 means no call at all."""

    daily_tokens: int = 100_000
    monthly_tokens: int = 3_000_000
    daily_nanousd: int = 10 * USD
    monthly_nanousd: int = 300 * USD

    def of(self, window: Window, measure: Measure) -> int:
        """Return one of the four, in tokens or nano-dollars."""
        if window is Window.DAY:
            return self.daily_tokens if measure is Measure.TOKENS else self.daily_nanousd
        return self.monthly_tokens if measure is Measure.TOKENS else self.monthly_nanousd


@attrs.frozen(kw_only=True)
class Reservation:
    """The worst case of one call, written before a byte of it is sent.

    Attributes:
        id: A UUID made by us, sent along as the client's request id.
        prompt_bound: The part of `bound.tokens` that is prompt.
        request_hash: Over the pairs asked about; two alike are never open at once.
    """

    id: str
    model: str
    price_version: str
    bound: Bound
    prompt_bound: int
    request_hash: bytes


@attrs.frozen(kw_only=True)
class Refused:
    """A reservation that does not fit.

    Attributes:
        requested: In tokens or nano-dollars.
        remaining: Of the limit, never below 0.
    """

    window: Window
    measure: Measure
    requested: int
    remaining: int


class EntryState(enum.Enum):
    """How far a reservation has come; every one but the first is an end."""

    RESERVED = "reserved"
    SETTLED = "settled"
    RELEASED = "released"
    LAPSED = "lapsed"


@attrs.frozen(kw_only=True)
class Ending:
    """How a reservation ends.

    Attributes:
        outcome: A word for the log.
        cost: What was billed; None: nothing where it is released, the bound where it lapses.
        usage: As billed.
        model: The name of the model that answered.
        request_id: The server's id of the call.
    """

    state: EntryState
    outcome: str
    cost: Cost | None = None
    usage: Usage | None = None
    model: str | None = None
    tier: str | None = None
    request_id: str = ""


def released(outcome: str) -> Ending:
    """Return the end of a call that was provably not billed."""
    return Ending(state=EntryState.RELEASED, outcome=outcome)


def lapsed(outcome: str, request_id: str = "") -> Ending:
    """Return the end of a call whose bill is not known: all of it counts as spent."""
    return Ending(state=EntryState.LAPSED, outcome=outcome, request_id=request_id)


@attrs.frozen(kw_only=True)
class Balance:
    """What a window holds.

    Attributes:
        starts: Its first day, UTC.
        used_tokens: Settled and lapsed, corrections included.
        held_tokens: Reserved and not yet ended.
    """

    window: Window
    starts: dt.date
    used_tokens: int = 0
    used_nanousd: int = 0
    held_tokens: int = 0
    held_nanousd: int = 0

    def used(self, measure: Measure) -> int:
        """Return what is spent."""
        return self.used_tokens if measure is Measure.TOKENS else self.used_nanousd

    def held(self, measure: Measure) -> int:
        """Return what is reserved."""
        return self.held_tokens if measure is Measure.TOKENS else self.held_nanousd

    def left(self, limits: Limits, measure: Measure) -> int:
        """Return what is left of its limit, never below 0."""
        limit = limits.of(self.window, measure)
        return max(0, limit - self.used(measure) - self.held(measure))

    @property
    def ends(self) -> dt.date:
        """Its last day and one."""
        if self.window is Window.DAY:
            return self.starts + dt.timedelta(days=1)
        return (self.starts + dt.timedelta(days=32)).replace(day=1)


@attrs.frozen(kw_only=True)
class Binding:
    """The limit that is reached first.

    Attributes:
        calls: How many typical calls still fit.
    """

    window: Window
    measure: Measure
    calls: int


def binding(limits: Limits, balances: Sequence[Balance], typical: Bound) -> Binding:
    """Return the limit that stops us first when typical calls go on.

    Args:
        balances: Of the present windows.
        typical: What a call uses; a free one is stopped by no cost.
    """
    left = [
        Binding(
            window=balance.window,
            measure=measure,
            calls=balance.left(limits, measure) // max(1, needed),
        )
        for balance in balances
        for measure, needed in ((Measure.TOKENS, typical.tokens), (Measure.COST, typical.nanousd))
        if needed or not limits.of(balance.window, measure)
    ]
    return min(left, key=lambda found: found.calls)


def forecast(balance: Balance, measure: Measure, now: dt.datetime) -> int:
    """Return what is spent at the window's end if it goes on as it went since its start.

    Args:
        now: Aware UTC, within the window.
    """
    start = dt.datetime.combine(balance.starts, dt.time(), tzinfo=dt.UTC)
    end = dt.datetime.combine(balance.ends, dt.time(), tzinfo=dt.UTC)
    passed = max(dt.timedelta(hours=1), now - start)  # the first minutes say nothing
    return (
        balance.used(measure)
        * max(1, (end - start) // dt.timedelta(seconds=1))
        // max(1, passed // dt.timedelta(seconds=1))
    )


@attrs.frozen(kw_only=True)
class Step:
    """What to try: a model, and how many pairs in one call.

    Attributes:
        cheaper: What follows in the chain.
    """

    model: str
    cheaper: tuple[str, ...]
    size: int


def first_step(chain: Sequence[str], size: int) -> Step | None:
    """Return where the chain begins; None where no model is left in it."""
    return Step(model=chain[0], cheaper=tuple(chain[1:]), size=size) if chain and size else None


def step_down(step: Step, refused: Refused) -> Step | None:
    """Return what to try after a refusal: a cheaper model, then half the batch, then nothing.

    A cheaper model does not use fewer tokens, so it is no way out where tokens bind.
    """
    if refused.measure is Measure.COST and step.cheaper:
        return attrs.evolve(step, model=step.cheaper[0], cheaper=step.cheaper[1:])
    if step.size > 1:
        return attrs.evolve(step, size=(step.size + 1) // 2)
    return None
