"""Embeddings requests: which are taken, which refused, with field, value and limit."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.canon.prompt import Prompt
from portico.dialects.openai_embeddings.parse import INPUTS_MAX, parse, wants_base64
from portico.errors import Refusal
from tests.dialects.openai_chat.test_anything import ANY_JSON, ANY_TEXT, check


def parsed(**fields: Any) -> Prompt:
    return parse(json.dumps({"model": "m", "input": "x", **fields}).encode(), {})


def refused(**fields: Any) -> Refusal:
    with pytest.raises(Refusal) as found:
        parsed(**fields)
    check(found.value)
    return found.value


def inputs(prompt: Prompt) -> tuple[Any, ...]:
    assert prompt.to_embed is not None
    return prompt.to_embed().inputs


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("one", ("one",)),
        (["one", "two"], ("one", "two")),
        ([1, 2, 3], ((1, 2, 3),)),
        ([[1, 2], [3]], ((1, 2), (3,))),
        (["x"] * INPUTS_MAX, ("x",) * INPUTS_MAX),
        ([7] * (INPUTS_MAX + 1), ((7,) * (INPUTS_MAX + 1),)),
    ],
)
def test_every_form_of_input_is_read(given: Any, read: Any) -> None:
    prompt = parsed(input=given)
    assert inputs(prompt) == read
    assert prompt.needs == {"embeddings"}
    assert prompt.output_tokens_max == 0


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"input": ""}, "invalid_value", "input"),
        ({"input": []}, "invalid_value", "input"),
        ({"input": None}, "invalid_type", "input"),
        ({"input": {"a": 1}}, "invalid_type", "input"),
        ({"input": ["a", ""]}, "invalid_value", "input[1]"),
        ({"input": ["a", 1]}, "invalid_type", "input[1]"),
        ({"input": [1, "a"]}, "invalid_type", "input[1]"),
        ({"input": [1, True]}, "invalid_type", "input[1]"),
        ({"input": [1, 2.5]}, "invalid_type", "input[1]"),
        ({"input": [-1]}, "out_of_range", "input[0]"),
        ({"input": [2**31]}, "out_of_range", "input[0]"),
        ({"input": [[1], []]}, "invalid_value", "input[1]"),
        ({"input": [[1], "a"]}, "invalid_type", "input[1]"),
        ({"input": [[1], [2, "a"]]}, "invalid_type", "input[1][1]"),
        ({"input": [None]}, "invalid_type", "input[0]"),
        ({"input": ["x"] * (INPUTS_MAX + 1)}, "out_of_range", "input"),
        ({"encoding_format": "int8"}, "invalid_value", "encoding_format"),
        ({"dimensions": 0}, "out_of_range", "dimensions"),
        ({"dimensions": "64"}, "invalid_type", "dimensions"),
        ({"user": 1}, "invalid_type", "user"),
        ({"model": ""}, "out_of_range", "model"),
    ],
)
def test_400(fields: dict[str, Any], code: str, field: str) -> None:
    refusal = refused(**fields)
    assert (refusal.status, refusal.code, refusal.field) == (400, code, field)
    assert refusal.limit is not None


def test_too_many_texts_are_refused_with_both_numbers() -> None:
    refusal = refused(input=["x"] * 3_000)
    assert (refusal.value, refusal.limit) == (3_000, INPUTS_MAX)


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [({}, False), ({"encoding_format": "float"}, False), ({"encoding_format": "base64"}, True)],
)
def test_base64_only_for_who_asks(fields: dict[str, Any], wanted: bool) -> None:
    assert wants_base64(parsed(**fields)) is wanted


def test_unknown_members_are_kept() -> None:
    assert bytes(parsed(truncate="END").fields["truncate"]) == b'"END"'


@given(
    st.dictionaries(
        st.sampled_from(["model", "input", "encoding_format", "dimensions", "user"]) | ANY_TEXT,
        ANY_JSON,
        max_size=5,
    )
)
@settings(deadline=None, max_examples=300)
def test_any_fields(fields: dict[str, Any]) -> None:
    try:
        prompt = parsed(**fields)
    except Refusal as refusal:
        check(refusal)
        return
    assert inputs(prompt)
    prompt.conversation()
