"""Any bytes, any JSON: a Prompt or a Refusal of the caller's, and nothing else."""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.canon.conversation import Conversation
from portico.canon.prompt import Prompt
from portico.dialects.openai_chat.errors import render
from portico.dialects.openai_chat.failures import BrokenAnswer
from portico.dialects.openai_chat.parse import parse
from portico.dialects.openai_chat.reading.reader import StreamReader, read_answer
from portico.dialects.openai_chat.repair import RepairReader, repair_answer
from portico.dialects.openai_chat.request import ChatRequest
from portico.dialects.openai_chat.upstream import body_for
from portico.errors import Refusal

from .bodies import PNG, TOOL, data_url, image, request, user
from .streams import DONE, Told, check_framing, event

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
        "type role content text function name user assistant tool id image_url url json_schema "
        "schema auto tool_calls arguments custom",
    )
)
NEAR_JSON = st.recursive(
    WORDS | st.integers(-2, 200) | st.none() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=16,
)
NAMES = sorted(ChatRequest.__struct_fields__)
GOOD: dict[str, Any] = request(
    messages=[
        {"role": "system", "content": "x"},
        *user({"type": "text", "text": "x"}, image(data_url(PNG))),
        {
            "role": "assistant",
            "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": ""}}],
        },
        {"role": "tool", "tool_call_id": "1", "content": "x"},
    ],
    tools=[TOOL],
    tool_choice={"type": "function", "function": {"name": "get_weather"}},
    response_format={
        "type": "json_schema",
        "json_schema": {"name": "x", "schema": {"type": "object"}},
    },
    metadata={"a": "b"},
    logit_bias={"1": 1},
    stop=["a"],
)


def check(refusal: Refusal) -> None:
    assert 400 <= refusal.status < 500
    error = json.loads(render(refusal))["error"]
    assert {"message", "type", "param", "code"} <= set(error)


def outcome(body: bytes) -> Prompt | Refusal:
    try:
        prompt = parse(body, {})
    except Refusal as refusal:
        check(refusal)
        return refusal
    assert isinstance(prompt.conversation(), Conversation)
    assert isinstance(json.loads(body_for(prompt, "other")), dict)
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
@settings(deadline=None, max_examples=400)
def test_any_fields(fields: dict[str, Any]) -> None:
    outcome(json.dumps(request(**fields)).encode())


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
@settings(deadline=None, max_examples=400)
def test_a_good_body_with_one_place_changed(place: tuple[Any, ...], value: Any) -> None:
    body = json.loads(json.dumps(GOOD))
    at = body
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = value
    outcome(json.dumps(body).encode())


@given(st.integers(0, 2_000), st.integers(0, 255))
@settings(deadline=None, max_examples=300)
def test_a_good_body_with_one_byte_changed(at: int, byte: int) -> None:
    body = bytearray(json.dumps(GOOD).encode())
    body[at % len(body)] = byte
    outcome(bytes(body))


def test_the_good_body_is_good() -> None:
    assert isinstance(outcome(json.dumps(GOOD).encode()), Prompt)


@pytest.mark.parametrize("size", [10_000, 300_000])
def test_a_wide_body_is_refused_without_a_long_search(size: int) -> None:
    body = b'{"a":[' + b"1," * size + b'"\\ud83d"]}'
    refusal = outcome(body)
    assert isinstance(refusal, Refusal)
    assert refusal.code == ("lone_surrogate" if size < 200_000 else "invalid_json")


CHUNK_WORDS = st.sampled_from(
    re.findall(
        r"\w+",
        "id choices index delta message finish_reason role content tool_calls function name "
        "arguments usage prompt_tokens completion_tokens prompt_tokens_details timings prompt_n "
        "predicted_n error code type object logprobs created model",
    )
)
CHUNKISH = st.recursive(
    st.none() | st.booleans() | st.integers() | CHUNK_WORDS | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(CHUNK_WORDS, inner, max_size=4),
    max_leaves=16,
)
DELTA_LIKE = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("role", "content", "tool_calls", "x", "refusal"), CHUNKISH)
)
CHOICE_LIKE = st.fixed_dictionaries(
    {"delta": DELTA_LIKE | CHUNKISH, "message": DELTA_LIKE | CHUNKISH},
    optional={"index": CHUNKISH, "finish_reason": CHUNKISH, "logprobs": CHUNKISH},
)
PAYLOAD_LIKE = st.fixed_dictionaries(
    {"choices": st.lists(CHOICE_LIKE | CHUNKISH, max_size=3) | CHUNKISH},
    optional=dict.fromkeys(("id", "usage", "timings", "error", "model", "created"), CHUNKISH),
)


@pytest.mark.parametrize("kind", [StreamReader, RepairReader])
@given(st.lists(PAYLOAD_LIKE.map(event) | st.binary(max_size=30), max_size=4), st.booleans())
@settings(deadline=None, max_examples=200)
def test_any_stream(kind: Any, reads: list[bytes], timings: bool) -> None:
    """A reader gives deltas or raises BrokenAnswer; what it gives is framed."""
    told = Told(kind(wants_usage=True, choices=2, timings=timings), [*reads, DONE])
    assert told.ended or told.broken is not None
    check_framing(told.writes)


@given(PAYLOAD_LIKE | CHUNKISH)
@settings(deadline=None, max_examples=300)
def test_any_answer(payload: Any) -> None:
    body = json.dumps(payload).encode()
    for read in (read_answer, repair_answer):
        try:
            delta = read(body)
        except BrokenAnswer:
            continue
        assert delta.last
        assert isinstance(json.loads(delta.raw), dict)
