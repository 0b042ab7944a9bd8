"""What a bill can say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobping.core.model import Usage


def test_usage_splits_prompt_and_output():
    usage = Usage(
        input_tokens=10, cached_tokens=4, cache_write_tokens=6, output_tokens=3, reasoning_tokens=3
    )
    assert usage.cached_tokens + usage.cache_write_tokens == usage.input_tokens


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("input_tokens", -1),
        ("cached_tokens", 11),
        ("cache_write_tokens", 11),
        ("output_tokens", -5),
        ("reasoning_tokens", 4),
    ],
)
def test_usage_refuses_what_cannot_be_a_bill(field, value):
    with pytest.raises(ValueError, match=r"token|reasoning"):
        Usage(**{"input_tokens": 10, "output_tokens": 3, field: value})


@given(st.tuples(*[st.integers(-1, 20)] * 5))
def test_usage_holds_exactly_the_sums_that_add_up(counts):
    prompt, cached, written, output, reasoning = counts
    adds_up = min(counts) >= 0 and cached + written <= prompt and reasoning <= output
    try:
        Usage(
            input_tokens=prompt,
            cached_tokens=cached,
            cache_write_tokens=written,
            output_tokens=output,
            reasoning_tokens=reasoning,
        )
    except ValueError:
        assert not adds_up
    else:
        assert adds_up
