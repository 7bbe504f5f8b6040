"""Any bytes, any JSON: a Prompt or a Refusal of the caller's, and nothing else."""

import json
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from portico.canon.conversation import Conversation
from portico.canon.delta import Delta, Finished, Text, ToolArguments, ToolCallBegan
from portico.canon.prompt import Prompt
from portico.dialects.openai_chat.translation import as_chat
from portico.dialects.openai_responses.answers.writer import Writers
from portico.dialects.openai_responses.errors import render
from portico.dialects.openai_responses.items import Item
from portico.dialects.openai_responses.request import ResponsesRequest
from portico.errors import Refusal

from .bodies import CLOCK, DATA_URL, NAMESPACE, PARSER, PATCH, SEALS, TOOL, call, request, result
from .streams import check_keys

ANY_TEXT = st.text(st.characters(), max_size=12) | st.text(
    st.sampled_from('\ud83d\ude00"\\\x00é{}[]:,é'), max_size=6
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=12,
)
KINDS = [str(kind.__struct_config__.tag) for kind in Item.__args__]
WORDS = st.sampled_from(
    [
        *KINDS,
        *re.findall(
            r"\w+",
            "type role content text input_text output_text name user assistant developer id status "
            "call_id arguments output function custom namespace allowed_tools mode auto tools "
            "summary encrypted_content pt1 schema format json_schema action operation queries code",
        ),
    ]
)
NEAR_JSON = st.recursive(
    WORDS | st.integers(-2, 200) | st.none() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=16,
)
NAMES = sorted(ResponsesRequest.__struct_fields__)
GOOD: dict[str, Any] = request(
    input=[
        {"role": "developer", "content": "x"},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "x"},
                {"type": "input_image", "image_url": DATA_URL},
            ],
        },
        {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"},
        call("c1", "get_weather"),
        result("c1", [{"type": "input_text", "text": "x"}]),
        {"type": "web_search_call", "id": "ws", "action": {"query": "x"}},
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "x"}]},
    ],
    tools=[TOOL, PATCH, NAMESPACE, {"type": "web_search"}],
    tool_choice={"type": "allowed_tools", "mode": "auto", "tools": [TOOL]},
    text={"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}},
    reasoning={"effort": "low", "summary": "auto"},
    include=["reasoning.encrypted_content"],
    metadata={"a": "b"},
)


def check(refusal: Refusal) -> None:
    assert 400 <= refusal.status < 500
    assert {"message", "type", "param", "code"} <= set(json.loads(render(refusal))["error"])


def outcome(body: bytes) -> Prompt | Refusal:
    try:
        prompt = PARSER.create(body, {})
        conversation = prompt.conversation()
        assert isinstance(conversation, Conversation)
        as_chat(prompt, conversation, extras=True)
    except Refusal as refusal:
        check(refusal)
        return refusal
    prompt.stream = False
    called = (ToolCallBegan(0, "c", "get_weather"), ToolArguments(0, "{}"))
    final = Delta(events=(Text("x"), *called, Finished("stop")), last=True)
    answer = Writers(SEALS, CLOCK).of(prompt, "req_7", 5).write(final)
    check_keys(json.loads(answer))  # what the caller sent is repeated, odd as it may be
    return prompt


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes(body: bytes) -> None:
    assert isinstance(outcome(body), Refusal)


@given(ANY_JSON)
@settings(deadline=None)
def test_any_json(value: Any) -> None:
    assert isinstance(outcome(json.dumps(value).encode()), Refusal)


@given(st.dictionaries(st.sampled_from(NAMES) | ANY_TEXT, ANY_JSON | NEAR_JSON, max_size=4))
@settings(deadline=None)
def test_any_fields(fields: dict[str, Any]) -> None:
    outcome(json.dumps(request(**fields)).encode())


@given(st.lists(st.dictionaries(WORDS, NEAR_JSON, max_size=3), max_size=2), st.data())
@settings(deadline=None)
def test_any_items(items: list[dict[str, Any]], data: st.DataObject) -> None:
    for item in items:
        item["type"] = data.draw(st.sampled_from(KINDS))
    outcome(json.dumps(request(input=[*items, {"role": "user", "content": "x"}])).encode())


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [path] + [found for key, below in inner for found in places(below, (*path, key))]


@given(st.sampled_from(places(GOOD)[1:]), ANY_JSON | NEAR_JSON)
@settings(deadline=None, max_examples=300)
def test_a_good_body_with_one_place_changed(place: tuple[Any, ...], value: Any) -> None:
    body = json.loads(json.dumps(GOOD))
    at = body
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = value
    outcome(json.dumps(body).encode())


def test_the_good_body_is_good() -> None:
    assert isinstance(outcome(json.dumps(GOOD).encode()), Prompt)
