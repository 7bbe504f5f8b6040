"""Every mistake of a body is named at once, where it stands in the body that was sent."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.dialects.openai_chat.parse import SPECIMEN, parse
from portico.dialects.violations import FOUND_MAX, Verdict, violations
from tests.dialects.openai_chat.bodies import TOOL, image, request

# A member, a wrong value for it, and the field that is named.
WRONG: dict[str, tuple[Any, str]] = {
    "model": (5, "model"),
    "messages": ([], "messages"),
    "n": (0, "n"),
    "max_tokens": (-1, "max_tokens"),
    "temperature": (9, "temperature"),
    "top_p": ("x", "top_p"),
    "seed": (1.5, "seed"),
    "stop": (["a", ""], "stop[1]"),
    "stream": (1, "stream"),
    "stream_options": ({"include_usage": 3}, "stream_options.include_usage"),
    "top_logprobs": (21, "top_logprobs"),
    "logit_bias": ({"x": 1}, "logit_bias"),
    "tools": ([TOOL, {"type": "function"}], "tools[1].function"),
    "tool_choice": ("sometimes", "tool_choice"),
    "response_format": ({"type": "yaml"}, "response_format.type"),
    "reasoning_effort": ("huge", "reasoning_effort"),
    "metadata": ({"a": 1}, "metadata.a"),
    "service_tier": ("gold", "service_tier"),
}


def verdict(**fields: Any) -> Verdict:
    return violations(parse, json.dumps(request(**fields)).encode(), SPECIMEN)


def fields(found: Verdict) -> list[str | None]:
    return [refusal.field for refusal in found.found]


def test_the_specimen_is_valid() -> None:
    assert parse(json.dumps(SPECIMEN).encode(), {}).model == SPECIMEN["model"]


@given(st.sets(st.sampled_from(sorted(WRONG)), min_size=1))
def test_every_member_that_is_wrong_is_named_once(names: set[str]) -> None:
    found = verdict(**{name: WRONG[name][0] for name in names}, stream_hint="kept")
    named = fields(found)
    assert len(named) == len(set(named))
    assert {WRONG[name][1] for name in names} <= set(named)
    assert found.whole
    # What a fault brings with it: options of a stream need a stream.
    assert set(named) <= {WRONG[name][1] for name in names} | {"stream_options"}


@given(st.sets(st.integers(0, 11), min_size=1), st.randoms(use_true_random=False))
def test_items_are_named_where_they_stood(wrong: set[int], chance: random.Random) -> None:
    faults: list[tuple[Any, str]] = [
        ({"role": "user"}, ".content"),
        ({"role": "wizard", "content": "x"}, ".role"),
        (7, ""),
        ({"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "no"}]}, ".content[1].type"),
    ]  # fmt: skip
    messages: list[Any] = [{"role": "user", "content": "fine"} for _ in range(12)]
    expected = set()
    for at in wrong:
        messages[at], place = chance.choice(faults)
        expected.add(f"messages[{at}]{place}")
    found = verdict(messages=messages)
    assert set(fields(found)) == expected
    assert found.whole


def test_messages_name_the_place_as_sent() -> None:
    found = verdict(
        messages=[{"role": "user"}, 7, {"role": "user", "content": [image("http://x")]}]
    )
    assert fields(found) == [
        "messages[0].content",
        "messages[1]",
        "messages[2].content[0].image_url.url",
    ]
    assert all(f"'{refusal.field}'" in refusal.message for refusal in found.found)


def test_a_valid_body_has_none_and_keeps_its_prompt() -> None:
    found = verdict(temperature=1)
    assert (found.found, found.whole) == ((), True)
    assert found.prompt is not None
    assert found.prompt.model == "m"


def test_what_is_left_is_a_prompt() -> None:
    found = verdict(temperature=9, max_tokens=7)
    assert found.prompt is not None
    assert found.prompt.output_tokens_max == 7


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"model": "m"', b'{"a":' + b"[" * 80 + b"]" * 80 + b"}"]
)
def test_a_body_that_cannot_be_read_has_one(body: bytes) -> None:
    found = violations(parse, body, SPECIMEN)
    assert len(found.found) == 1
    assert not found.whole
    assert found.prompt is None


def test_there_is_an_end_to_it() -> None:
    found = verdict(messages=[7] * (FOUND_MAX * 3))
    assert len(found.found) == FOUND_MAX
    assert not found.whole
