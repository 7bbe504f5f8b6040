"""Usage: Chat counts parts twice, we count every token once."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.canon.usage import Meters
from portico.dialects.openai_chat.usage import meters_of, usage_in, usage_of

COUNT = st.integers(0, 10**9)
MAYBE = st.none() | COUNT
FIGURES = st.fixed_dictionaries(
    {
        "prompt_tokens": COUNT,
        "completion_tokens": COUNT,
        "prompt_tokens_details": st.none()
        | st.fixed_dictionaries(
            {}, optional=dict.fromkeys(("cached_tokens", "cache_write_tokens", "audio_tokens", "image_tokens"), MAYBE)
        ),
        "completion_tokens_details": st.none()
        | st.fixed_dictionaries({}, optional={"reasoning_tokens": MAYBE, "audio_tokens": MAYBE}),
    }
)  # fmt: skip


@given(FIGURES)
def test_meters_are_disjoint_and_their_sums_are_the_totals(figures: dict[str, Any]) -> None:
    usage = usage_in(figures)
    assert usage is not None
    meters = meters_of(usage)
    assert meters.input_tokens == figures["prompt_tokens"]
    assert meters.output_tokens == figures["completion_tokens"]
    assert all(getattr(meters, name) >= 0 for name in Meters.__struct_fields__)


@given(FIGURES)
def test_what_we_tell_is_read_back(figures: dict[str, Any]) -> None:
    usage = usage_in(figures)
    assert usage is not None
    meters = meters_of(usage)
    again = usage_in(usage_of(meters))
    assert again is not None
    assert meters_of(again) == meters


@pytest.mark.parametrize(
    ("figures", "meters"),
    [
        (
            {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
             "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10, "audio_tokens": 5},
             "completion_tokens_details": {"reasoning_tokens": 30, "audio_tokens": 5}},
            Meters(input_text=25, input_cache_read=60, input_cache_write_5m=10, input_audio=5,
                   output_text=15, output_reasoning=30, output_audio=5),
        ),
        (  # more parts than tokens: never more than was reported
            {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": 8}},
            Meters(input_cache_read=8, input_audio=2),
        ),
        (  # reasoning beside the completion and not in it
            {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 35,
             "completion_tokens_details": {"reasoning_tokens": 20}},
            Meters(input_text=10, output_text=5, output_reasoning=20),
        ),
        ({"prompt_tokens": 0, "completion_tokens": 0}, Meters()),
    ],
)  # fmt: skip
def test_examples(figures: dict[str, Any], meters: Meters) -> None:
    usage = usage_in(figures)
    assert usage is not None
    assert meters_of(usage) == meters


@pytest.mark.parametrize("value", [None, {}, [], 3, {"prompt_tokens": None}, {"prompt_tokens": -1}])
def test_no_figures(value: Any) -> None:
    assert usage_in(value) is None
