import datetime as dt
import itertools

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from jobping.core.budget import (
    Balance,
    Binding,
    Limits,
    Measure,
    Refused,
    Step,
    Window,
    binding,
    first_step,
    forecast,
    step_down,
)
from jobping.core.pricing import USD, Bound, NanoUsd

CHAIN = ("dear", "middle", "cheap")
DAY = Balance(window=Window.DAY, starts=dt.date(2026, 3, 2))
MONTH = Balance(window=Window.MONTH, starts=dt.date(2026, 3, 1))
CALL = Bound(tokens=5_000, nanousd=NanoUsd(USD // 100))


def refused(measure: Measure) -> Refused:
    return Refused(window=Window.DAY, measure=measure, requested=9, remaining=1)


def walk(step: Step | None, measure: Measure) -> list[tuple[str, int]]:
    """Return all that is tried when everything is refused."""
    tried = []
    while step is not None:
        tried.append((step.model, step.size))
        step = step_down(step, refused(measure))
    return tried


def test_cost_leads_to_cheaper_models_and_then_to_smaller_batches() -> None:
    assert walk(first_step(CHAIN, 20), Measure.COST) == [
        ("dear", 20), ("middle", 20), ("cheap", 20), ("cheap", 10), ("cheap", 5), ("cheap", 3),
        ("cheap", 2), ("cheap", 1),
    ]  # fmt: skip


def test_tokens_lead_to_smaller_batches_of_the_same_model() -> None:
    tried = walk(first_step(CHAIN, 4), Measure.TOKENS)
    assert tried == [("dear", 4), ("dear", 2), ("dear", 1)]


def test_chain_without_a_model_or_pairs_begins_nowhere() -> None:
    assert first_step((), 20) is None
    assert first_step(CHAIN, 0) is None


@settings(max_examples=1_000)
@given(
    chain=st.lists(st.text(min_size=1), unique=True, min_size=1, max_size=5),
    size=st.integers(1, 1_000),
    measures=st.lists(st.sampled_from(Measure), max_size=40),
)
def test_every_way_down_ends_and_never_goes_up(
    chain: list[str], size: int, measures: list[Measure]
) -> None:
    step = first_step(chain, size)
    for measure in itertools.chain(measures, itertools.repeat(Measure.TOKENS, 12)):
        if step is None:
            break
        lower = step_down(step, refused(measure))
        if lower is not None:
            place, below = chain.index(step.model), chain.index(lower.model)
            assert (below, -lower.size) > (place, -step.size)
            assert lower.size >= 1
        step = lower
    assert step is None


def test_tokens_bind_at_the_documented_defaults() -> None:
    assert binding(Limits(), (DAY, MONTH), CALL) == Binding(
        window=Window.DAY, measure=Measure.TOKENS, calls=20
    )


def test_nothing_binds_sooner_than_a_limit_of_nothing() -> None:
    limits = Limits(monthly_nanousd=0)
    free = Bound(tokens=5_000, nanousd=NanoUsd(0))
    for call in (CALL, free):
        found = binding(limits, (DAY, MONTH), call)
        assert found == Binding(window=Window.MONTH, measure=Measure.COST, calls=0)


def test_free_model_is_bound_by_tokens_alone() -> None:
    spent = attrs.evolve(MONTH, used_nanousd=299 * USD)
    free = Bound(tokens=5_000, nanousd=NanoUsd(0))
    assert binding(Limits(), (DAY, spent), free).measure is Measure.TOKENS


def test_forecast_goes_on_as_the_window_went_so_far() -> None:
    at = dt.datetime(2026, 3, 2, 6, tzinfo=dt.UTC)
    assert forecast(attrs.evolve(DAY, used_tokens=100), Measure.TOKENS, at) == 400
    at = dt.datetime(2026, 3, 4, tzinfo=dt.UTC)
    assert forecast(attrs.evolve(MONTH, used_nanousd=300), Measure.COST, at) == 3_100


def test_forecast_of_the_first_minutes_is_that_of_the_first_hour() -> None:
    at = dt.datetime(2026, 3, 2, 0, 1, tzinfo=dt.UTC)
    assert forecast(attrs.evolve(DAY, used_tokens=10), Measure.TOKENS, at) == 240


def test_window_of_a_month_ends_with_it() -> None:
    for month in range(1, 13):
        ends = attrs.evolve(MONTH, starts=dt.date(2027, month, 1)).ends
        assert ends == dt.date(2027 + month // 12, month % 12 + 1, 1)
