"""Completions requests: which are taken, which refused, with field, value and limit."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.canon.conversation import Message, TextPart
from portico.canon.prompt import Prompt
from portico.dialects.openai_completions.parse import CompletionsRequest, parse
from portico.errors import Refusal
from tests.dialects.openai_chat.test_anything import ANY_JSON, ANY_TEXT, NEAR_JSON, check


def parsed(**fields: Any) -> Prompt:
    return parse(json.dumps({"model": "m", "prompt": "x", **fields}).encode(), {})


def refused(**fields: Any) -> Refusal:
    with pytest.raises(Refusal) as found:
        parsed(**fields)
    check(found.value)
    return found.value


def said(prompt: Prompt) -> str:
    (item,) = prompt.conversation().items
    assert isinstance(item, Message)
    assert item.role == "user"
    return item.text


def test_the_text_is_what_a_user_says() -> None:
    prompt = parsed(prompt="Once", stop=["a", "b"], temperature=0.5, logprobs=2, seed=7)
    assert said(prompt) == "Once"
    conversation = prompt.conversation()
    assert conversation.stop == ("a", "b")
    assert (conversation.sampling.temperature, conversation.sampling.seed) == (0.5, 7)
    assert conversation.top_logprobs == 2
    assert prompt.needs == {"logprobs"}


def test_an_empty_text_is_one_too() -> None:
    prompt = parsed(prompt="")
    assert prompt.conversation().items == (Message("user", (TextPart(""),)),)


@pytest.mark.parametrize(("fields", "cap"), [({}, 16), ({"max_tokens": 5}, 5)])
def test_the_answer_has_16_tokens_unless_said(fields: dict[str, Any], cap: int) -> None:
    assert parsed(**fields).output_tokens_max == cap


def test_several_prompts_are_n_choices_each() -> None:
    prompt = parsed(prompt=["a", "b", "c"], n=2, max_tokens=3)
    assert prompt.choices == 6
    assert prompt.apart is not None
    parts = prompt.apart()
    assert [said(part) for part in parts] == ["a", "b", "c"]
    assert {part.choices for part in parts} == {2}
    assert {part.output_tokens_max for part in parts} == {3}
    assert all(part.apart is None for part in parts)
    assert [json.loads(part.body)["prompt"] for part in parts] == ["a", "b", "c"]


def test_a_list_of_one_is_one() -> None:
    prompt = parsed(prompt=["a"])
    assert prompt.apart is None
    assert said(prompt) == "a"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": [[1], [2]]}, "prompt"),
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"suffix": "end"}, "suffix"),
        ({"echo": True, "logprobs": 1}, "logprobs"),
    ],
)
def test_what_only_an_engine_could_do_is_refused_where_it_is_told_otherwise(
    fields: dict[str, Any], field: str
) -> None:
    prompt = parsed(**fields)
    with pytest.raises(Refusal) as found:
        prompt.conversation()
    assert (found.value.code, found.value.field) == ("unsupported_feature", field)


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"prompt": None}, "invalid_type", "prompt"),
        ({"prompt": []}, "invalid_value", "prompt"),
        ({"prompt": ["a", 1]}, "invalid_type", "prompt[1]"),
        ({"prompt": [1, "a"]}, "invalid_type", "prompt[1]"),
        ({"prompt": [1, -1]}, "out_of_range", "prompt[1]"),
        ({"prompt": [[1], "a"]}, "invalid_type", "prompt[1]"),
        ({"prompt": ["a"] * 129}, "out_of_range", "prompt"),
        ({"prompt": ["a"] * 65, "n": 2}, "out_of_range", "n"),
        ({"max_tokens": 0}, "out_of_range", "max_tokens"),
        ({"n": 0}, "out_of_range", "n"),
        ({"best_of": 3}, "invalid_value", "best_of"),
        ({"best_of": 1, "n": 2}, "invalid_value", "best_of"),
        ({"logprobs": 21}, "out_of_range", "logprobs"),
        ({"logprobs": True}, "invalid_type", "logprobs"),
        ({"logit_bias": {"x": 1}}, "invalid_value", "logit_bias"),
        ({"stream_options": {"include_usage": True}}, "invalid_value", "stream_options"),
        ({"temperature": 3}, "out_of_range", "temperature"),
    ],
)
def test_400(fields: dict[str, Any], code: str, field: str) -> None:
    refusal = refused(**fields)
    assert (refusal.status, refusal.code, refusal.field) == (400, code, field)
    assert refusal.limit is not None


@given(
    st.dictionaries(
        st.sampled_from(sorted(CompletionsRequest.__struct_fields__)) | ANY_TEXT,
        ANY_JSON | NEAR_JSON,
        max_size=5,
    )
)
@settings(deadline=None, max_examples=300)
def test_any_fields(fields: dict[str, Any]) -> None:
    try:
        prompt = parsed(**fields)
        for part in prompt.apart() if prompt.apart else (prompt,):
            part.conversation()
    except Refusal as refusal:
        check(refusal)
