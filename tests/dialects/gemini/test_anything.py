"""Any bytes, any JSON: a Prompt or a Refusal of the caller's, and nothing else."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.canon.conversation import Conversation
from portico.canon.prompt import Prompt
from portico.dialects.gemini.embedding import parse_batch, parse_embed
from portico.dialects.gemini.errors import render
from portico.dialects.openai_chat.translation import as_chat
from portico.errors import Refusal

from .bodies import (
    HINTS,
    PNG,
    TOOLS,
    blob,
    call,
    model,
    parse,
    parse_count,
    parse_streamed,
    request,
    response,
    user,
)

Parse = Callable[[bytes, dict[str, str]], Prompt]
PARSERS: tuple[Parse, ...] = (parse, parse_streamed, parse_count, parse_embed, parse_batch)

ANY_TEXT = st.text(st.characters(), max_size=12) | st.text(
    st.sampled_from('\ud83d\ude00"\\\x00é{}[]:,é'), max_size=6
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=12,
)
WORDS = st.sampled_from(
    re.findall(
        r"\w+",
        "contents role parts text thought thoughtSignature inlineData inline_data mimeType data "
        "fileData functionCall function_call functionResponse name args id response user model "
        "tools functionDeclarations parameters type OBJECT properties nullable anyOf enum items "
        "toolConfig functionCallingConfig mode ANY generationConfig generation_config "
        "responseSchema responseMimeType thinkingConfig thinkingBudget systemInstruction "
        "executableCode code codeExecutionResult toolCall content requests",
    )
)
NEAR_JSON = st.recursive(
    WORDS | st.integers(-2, 200) | st.none() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=16,
)
GOOD: dict[str, Any] = request(
    user("x", blob(PNG, "image/png")),
    model({"text": "x", "thought": True}, {**call(id="1"), "thoughtSignature": "c2ln"}, call()),
    user(response(id="1", output="x"), response(error="x")),
    system_instruction={"parts": {"text": "x"}},
    tools=[*TOOLS, {"googleSearch": {}}],
    toolConfig={"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["get_weather"]}},
    generationConfig={
        "stopSequences": ["a"],
        "responseSchema": {"type": "OBJECT", "nullable": True, "propertyOrdering": ["a"]},
        "responseLogprobs": True,
        "logprobs": 2,
        "thinking_config": {"thinking_budget": "100"},
        "responseFormat": [{"text": {}}],
    },
    safetySettings=[{}],
    serviceTier="standard",
    content=user("x"),
    requests=[{"content": user("x"), "taskType": "x"}],
)


def check(refusal: Refusal) -> None:
    assert 400 <= refusal.status < 500
    assert set(json.loads(render(refusal))["error"]) == {"code", "message", "status", "details"}


def outcome(parse: Parse, body: bytes) -> Prompt | Refusal:
    try:
        prompt = parse(body, HINTS)
    except Refusal as refusal:
        check(refusal)
        return refusal
    conversation = prompt.conversation()
    assert isinstance(conversation, Conversation)
    if prompt.to_embed is None:
        assert isinstance(json.loads(as_chat(prompt, conversation, extras=True).body), dict)
    return prompt


EVERY = pytest.mark.parametrize("parse", PARSERS, ids=range(len(PARSERS)))


@EVERY
@given(st.binary(max_size=200))
@settings(deadline=None, max_examples=50)
def test_any_bytes(parse: Parse, body: bytes) -> None:
    assert isinstance(outcome(parse, body), Refusal)


@EVERY
@given(ANY_JSON)
@settings(deadline=None, max_examples=50)
def test_any_json(parse: Parse, value: Any) -> None:
    assert isinstance(outcome(parse, json.dumps(value).encode()), Refusal)


@given(st.dictionaries(st.sampled_from(sorted(GOOD)) | WORDS, ANY_JSON | NEAR_JSON, max_size=4))
@settings(deadline=None, max_examples=300)
def test_any_fields(fields: dict[str, Any]) -> None:
    outcome(parse, json.dumps(GOOD | fields).encode())


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    return [path] + [found for key, below in inner for found in places(below, (*path, key))]


@EVERY
@given(st.sampled_from(places(GOOD)[1:]), ANY_JSON | NEAR_JSON)
@settings(deadline=None, max_examples=200)
def test_a_good_body_with_one_place_changed(
    parse: Parse, place: tuple[Any, ...], value: Any
) -> None:
    body = json.loads(json.dumps(GOOD))
    at = body
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = value
    outcome(parse, json.dumps(body).encode())


@given(st.integers(0, 2_000), st.integers(0, 255))
@settings(deadline=None, max_examples=200)
def test_a_good_body_with_one_byte_changed(at: int, byte: int) -> None:
    body = bytearray(json.dumps(GOOD).encode())
    body[at % len(body)] = byte
    outcome(parse, bytes(body))


@EVERY
def test_the_good_body_is_good(parse: Parse) -> None:
    assert isinstance(outcome(parse, json.dumps(GOOD).encode()), Prompt)
