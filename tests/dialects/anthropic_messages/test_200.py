"""Requests that are accepted, and what is read from them."""

import json
from typing import Any

import pytest

from portico.canon.prompt import Prompt

from .bodies import (
    WEATHER,
    assistant,
    called,
    document,
    encoded,
    image,
    parsed,
    pdf,
    read,
    read_count,
    request,
    result,
    text,
    user,
)
from .golden import golden


def test_the_least_that_is_a_request() -> None:
    prompt = parsed()
    assert (prompt.dialect, prompt.model, prompt.stream) == ("anthropic_messages", "m", False)
    assert (prompt.output_tokens_max, prompt.choices) == (100, 1)
    assert prompt.needs == frozenset()
    assert prompt.warnings == []


def test_a_byte_order_mark_is_no_mistake() -> None:
    assert read(b"\xef\xbb\xbf" + encoded(), {}).model == "m"


def test_unknown_fields_and_their_bytes_are_kept() -> None:
    body = encoded(context_management={"edits": []}, brand_new=[1, {"a": None}])
    prompt = read(body, {"x-portico-sim": "tokens=1"})
    assert prompt.body == body
    assert bytes(prompt.fields["brand_new"]) == b'[1,{"a":null}]'
    assert prompt.hints == {"x-portico-sim": "tokens=1"}


@pytest.mark.parametrize(
    "fields",
    [
        {"stream": None, "temperature": None, "stop_sequences": None, "metadata": None},
        {"temperature": 0, "top_p": 0.9, "top_k": 40},
        {"service_tier": "auto"},
        {"service_tier": "standard_only"},
        {"thinking": {"type": "enabled", "budget_tokens": 1024, "display": "omitted"}},
        {"thinking": {"type": "adaptive", "display": "summarized", "new": 1}},
        {"thinking": {"type": "between_tools"}},
        {"thinking": {"type": "disabled"}},
        {"output_config": {"effort": "xhigh", "task_budget": {"total": 9}}},
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
        {"output_format": {"type": "json_schema", "schema": {"type": "object"}}},
        {"metadata": {"user_id": '{"device":"x"}', "else": [1]}},
        {"cache_control": {"type": "ephemeral"}},
        {"speed": "fast", "container": "c_1", "inference_geo": "global"},
        {"mcp_servers": [{"type": "url", "url": "https://x", "name": "x"}], "betas": ["a"]},
        {"system": "Be brief."},
        {"system": [text("Be brief.", cache_control={"type": "ephemeral"})]},
        {"tools": [WEATHER], "tool_choice": {"type": "auto"}},
        {"tools": [WEATHER], "tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
        {"tools": [WEATHER], "tool_choice": {"type": "tool", "name": "get_weather"}},
        {"tools": [{**WEATHER, "type": "custom", "defer_loading": True, "strict": True}]},
        {"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 5}]},
        {"tools": [{"type": "mcp_toolset", "mcp_server_name": "x"}]},
        {"tools": [], "tool_choice": {"type": "none"}},
    ],
    ids=lambda fields: json.dumps(fields)[:60],
)
def test_fields_that_are_taken(fields: dict[str, Any]) -> None:
    assert isinstance(parsed(**fields), Prompt)


@pytest.mark.parametrize(
    "messages",
    [
        [user(text(""))],
        [user()],
        [{"role": "assistant", "content": "It is"}],
        [user(text("a")), user(text("b"))],
        [user(text("a")), {"role": "system", "content": [text("b")]}],
        [user(text("a")), assistant(called()), user(result(None), text("go on"))],
        [user(text("a")), assistant(called()), user(result([text("x"), image(), pdf()]))],
        [user(text("a")), assistant(called()), user(result([], is_error=True))],
        [
            user(text("a")),
            assistant(
                {"type": "thinking", "thinking": "", "signature": "x"},
                {"type": "redacted_thinking", "data": "x"},
                {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
                {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
                {"type": "mcp_tool_use", "id": "m", "name": "x", "server_name": "y", "input": {}},
                {"type": "mcp_tool_result", "tool_use_id": "m", "content": [], "is_error": False},
                {"type": "brand_new_tool_result", "tool_use_id": "m", "content": {"a": 1}},
                {"type": "compaction", "content": "earlier: nothing"},
            ),
            user(text("b")),
        ],
        [user({"type": "search_result", "source": "s", "title": "t", "content": [text("x")]})],
    ],
    ids=lambda messages: json.dumps(messages)[:60],
)
def test_messages_that_are_taken(messages: Any) -> None:
    assert isinstance(parsed(messages=messages), Prompt)


def test_what_a_model_must_be_able_to_do() -> None:
    assert parsed(tools=[WEATHER]).needs == {"tools"}
    search = {"type": "web_search_20250305", "name": "web_search"}
    assert parsed(tools=[search]).needs == frozenset()
    seen = parsed(messages=[user(image(), pdf())])
    assert seen.needs == {"image", "file"}
    assert set(seen.media_characters) == {"image", "file"}
    shown = parsed(messages=[user(text("a")), assistant(called()), user(result([image()]))])
    assert "image" in shown.needs
    inside = parsed(messages=[user(document(type="content", content=[text("a"), image()]))])
    assert inside.needs == {"image"}
    schema = {"type": "json_schema", "schema": {"type": "object"}}
    assert parsed(output_config={"format": schema}).needs == {"json_schema"}


def test_media_is_no_text_to_guess_from() -> None:
    large = image(b"\x89PNG\r\n\x1a\n" + bytes(90_000))
    assert parsed(messages=[user(large)]).input_tokens_guess < 100


def test_tokens_are_counted_without_a_limit_of_output() -> None:
    body = request(tools=[WEATHER])
    del body["max_tokens"]
    prompt = read_count(json.dumps(body).encode(), {})
    assert prompt.output_tokens_max is None
    assert prompt.needs == {"tools"}
    assert prompt.conversation().tools[0].name == "get_weather"


def test_what_a_coding_agent_sends_is_taken_whole() -> None:
    body = json.dumps(golden("m")).encode()
    assert 70_000 < len(body) < 100_000
    prompt = read(body, {})
    assert (prompt.stream, prompt.output_tokens_max) == (True, 32_000)
    assert prompt.warnings == []
    conversation = prompt.conversation()
    assert len(conversation.tools) == 24
    assert conversation.effort == "low"
    assert conversation.thoughts_shown is True
    assert [getattr(item, "role", "") for item in conversation.items] == [
        "system",
        "user",
        "system",
    ]
    assert len(conversation.user) == 64
    assert conversation.dropped == ("context_management", "cache_control")
    assert conversation.mapped == ()
