"""Whatever comes, it is a request or a refusal of the caller's; never anything else."""

import json
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from portico.canon.conversation import Conversation
from portico.canon.prompt import Prompt
from portico.dialects.anthropic_messages.errors import render
from portico.dialects.openai_chat.translation import as_chat
from portico.errors import Refusal

from .bodies import WEATHER, assistant, called, image, pdf, read, request, result, text, user

WORDS = st.sampled_from(
    sorted(
        set(
            re.findall(
                r"\w+",
                "type text image document source base64 url file data media_type role content user "
                "assistant system tool_use tool_result id name input tool_use_id is_error thinking "
                "signature redacted_thinking server_tool_use web_search_tool_result _tool_result "
                "model max_tokens messages stop_sequences enabled adaptive disabled budget_tokens "
                "display effort format json_schema schema tools input_schema tool_choice any auto "
                "cache_control ephemeral stream metadata user_id citations title context output_config",
            )
        )
    )
)
ANY_TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | ANY_TEXT | WORDS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(WORDS | ANY_TEXT, inner, max_size=4)
    ),
    max_leaves=12,
)
GOOD = request(
    system=[text("a", cache_control={"type": "ephemeral"})],
    messages=[
        user(text("a"), image(), pdf()),
        assistant(
            {"type": "thinking", "thinking": "t", "signature": "s"},
            {"type": "redacted_thinking", "data": "x"},
            text("b"),
            called(city="x"),
            {"type": "server_tool_use", "id": "s", "name": "w", "input": {}},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"a": 1}]},
        ),
        {"role": "system", "content": "c"},
        user(
            result([text("x"), image()], is_error=True),
            {"type": "search_result", "source": "s", "title": "t", "content": [text("x")]},
            {"type": "document", "title": "t", "source": {"type": "content", "content": "x"}},
        ),
    ],
    tools=[WEATHER, {"type": "bash_20250124", "name": "bash"}],
    tool_choice={"type": "any", "disable_parallel_tool_use": True},
    thinking={"type": "enabled", "budget_tokens": 2048, "display": "omitted"},
    output_config={"effort": "high", "format": {"type": "json_schema", "schema": {}}},
    stop_sequences=["x"],
    stream=True,
    temperature=0.5,
    top_p=0.5,
    top_k=5,
    metadata={"user_id": "u"},
    service_tier="auto",
)


def check(refusal: Refusal) -> None:
    assert 400 <= refusal.status < 500
    assert json.loads(render(refusal, "req_1"))["type"] == "error"


def outcome(body: bytes) -> Prompt | Refusal:
    try:
        prompt = read(body, {})
        conversation = prompt.conversation()
        told = as_chat(prompt, conversation, extras=True)
    except Refusal as refusal:
        check(refusal)
        return refusal
    assert isinstance(conversation, Conversation)
    assert isinstance(json.loads(told.body), dict)
    return prompt


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes(body: bytes) -> None:
    assert isinstance(outcome(body), Refusal)


@given(ANY_JSON)
@settings(deadline=None)
def test_any_json(value: Any) -> None:
    assert isinstance(outcome(json.dumps(value).encode()), Refusal)


@given(st.dictionaries(st.sampled_from(sorted(GOOD)) | ANY_TEXT, ANY_JSON, max_size=4))
@settings(deadline=None, max_examples=300)
def test_any_fields(fields: dict[str, Any]) -> None:
    outcome(json.dumps(request(**fields)).encode())


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    return [path] + [found for key, below in inner for found in places(below, (*path, key))]


@given(st.sampled_from(places(GOOD)[1:]), ANY_JSON)
@settings(deadline=None, max_examples=500)
def test_a_good_body_with_one_place_changed(place: tuple[Any, ...], value: Any) -> None:
    body = json.loads(json.dumps(GOOD))
    at = body
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = value
    outcome(json.dumps(body).encode())


@given(st.integers(0, 4_000), st.integers(0, 255))
@settings(deadline=None, max_examples=300)
def test_a_good_body_with_one_byte_changed(at: int, byte: int) -> None:
    body = bytearray(json.dumps(GOOD).encode())
    body[at % len(body)] = byte
    outcome(bytes(body))


def test_the_good_body_is_good() -> None:
    assert isinstance(outcome(json.dumps(GOOD).encode()), Prompt)
