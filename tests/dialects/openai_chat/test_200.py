"""Requests that are accepted, and what becomes of them."""

import json
from typing import Any

import pytest
from inline_snapshot import snapshot

from portico.canon.conversation import Conversation, Message, Sampling, TextPart, Tool, ToolResult
from portico.dialects.openai_chat.parse import parse

from .bodies import PNG, TOOL, WAV, data_url, encoded, image, parsed, request, sound, user


def test_the_whole_prompt() -> None:
    body = encoded(
        stream=True,
        n=2,
        max_completion_tokens=50,
        stream_options={"include_usage": True},
        tools=[TOOL],
        logprobs=True,
        top_k=40,
    )
    prompt = parse(body, {"x-sim": "slow"})
    assert (prompt.dialect, prompt.model, prompt.stream) == ("openai_chat", "m", True)
    assert (prompt.choices, prompt.output_tokens_max, prompt.wants_usage) == (2, 50, True)
    assert prompt.needs == {"tools", "logprobs", "choices"}
    assert prompt.body is body
    assert prompt.hints == {"x-sim": "slow"}
    assert list(prompt.fields) == list(json.loads(body))
    assert bytes(prompt.fields["top_k"]) == b"40"
    assert prompt.warnings == []


@pytest.mark.parametrize(
    "fields",
    [
        {"tool_choice": None, "stop": None, "n": None, "stream": None, "temperature": None},
        {"stop": "x"},
        {"stop": []},
        {"stop": ["a", "b", "c", "d"]},
        {"temperature": 2, "top_p": 0, "presence_penalty": -2, "frequency_penalty": 2.0},
        {"n": 128, "seed": -1, "logit_bias": {"50256": -100, "0": 0.5}},
        {"logprobs": True, "top_logprobs": 20},
        {"logprobs": False, "top_logprobs": 0},
        {"tool_choice": "auto"},
        {"tools": []},
        {"tools": [TOOL], "tool_choice": "required"},
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "get_weather"}}},
        {"tools": [{"type": "custom", "custom": {"name": "sql"}}], "parallel_tool_calls": False},
        {"tools": [{"type": "web_search_20300101", "anything": 1}]},
        {"functions": [{"name": "f"}], "function_call": {"name": "f"}},
        {"response_format": {"type": "text"}},
        {"response_format": {"type": "json_object"}},
        {"modalities": ["text"], "verbosity": "low", "reasoning_effort": "xhigh"},
        {"service_tier": "flex", "store": True, "metadata": {"a": "b"}, "user": "u"},
        {"prediction": {"type": "content", "content": "x"}},
        {"prompt_cache_options": {"mode": "explicit", "ttl": "30m"}},
        {"prompt_cache_retention": "24h", "safety_identifier": "s", "web_search_options": {}},
        {"stream": True, "stream_options": {}},
        {"top_k": 3, "min_p": 0.1, "chat_template_kwargs": {"x": [1, {"y": None}]}, "n_o": "v"},
    ],
    ids=lambda fields: "+".join(fields),
)
def test_accepted(fields: dict[str, Any]) -> None:
    prompt = parsed(**fields)
    assert set(prompt.fields) == set(request(**fields))


@pytest.mark.parametrize(
    "message",
    [
        {"role": "developer", "content": "x"},
        {"role": "system", "content": [{"type": "text", "text": "x"}], "name": "n"},
        {"role": "user", "content": ""},
        {"role": "assistant"},
        {"role": "assistant", "content": None},
        {"role": "assistant", "content": "", "tool_calls": []},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        {
            "role": "assistant",
            "tool_calls": [{"id": "", "function": {"name": "f", "arguments": "{"}}],
        },
        {
            "role": "assistant",
            "tool_calls": [{"id": "1", "type": "custom", "custom": {"name": "f", "input": ""}}],
        },
        {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "x"}]},
        {"role": "function", "name": "f", "content": None},
        {"role": "user", "content": "x", "cache_control": {"type": "ephemeral"}},
    ],
    ids=lambda message: json.dumps(message)[:60],
)
def test_messages(message: dict[str, Any]) -> None:
    assert parsed(messages=[message]).choices == 1


@pytest.mark.parametrize(
    ("part", "needs"),
    [
        (image(data_url(PNG)), {"image"}),
        (image(data_url(b"\xff\xd8\xff\xe0" + bytes(20))), {"image"}),
        (image(data_url(b"GIF89a" + bytes(20))), {"image"}),
        (image(data_url(b"RIFF\0\0\0\0WEBP" + bytes(20))), {"image"}),
        (sound(WAV, "wav"), {"audio"}),
        (sound(b"ID3\x04" + bytes(20), "mp3"), {"audio"}),
        (sound(b"\xff\xfb\x90" + bytes(20), "mp3"), {"audio"}),
        (
            {"type": "file", "file": {"file_data": data_url(b"%PDF-1.7", "application/pdf")}},
            {"file"},
        ),
        ({"type": "text", "text": "x"}, set()),
    ],
    ids=["png", "jpeg", "gif", "webp", "wav", "id3", "mp3", "pdf", "text"],
)
def test_parts_say_what_they_need(part: dict[str, Any], needs: set[str]) -> None:
    assert parsed(messages=user(part)).needs == needs


def test_base64_is_not_guessed_as_tokens() -> None:
    guess = parsed(messages=user(image(data_url(PNG + bytes(300_000))))).input_tokens_guess
    assert 0 < guess < 100
    assert parsed(messages=user({"type": "text", "text": "x" * 4_000})).input_tokens_guess > 1_000


def test_a_byte_order_mark_is_let_pass() -> None:
    assert parse(b"\xef\xbb\xbf" + encoded(), {}).body == encoded()


def test_of_a_member_written_twice_the_last_counts() -> None:
    assert (
        parse(b'{"model":"a","messages":[{"role":"user","content":"x"}],"model":"b"}', {}).model
        == "b"
    )


def test_surrogate_pairs_are_characters() -> None:
    body = rb'{"model":"m","messages":[{"role":"user","content":"\ud83d\ude00"}]}'
    assert parse(body, {}).conversation().items[0] == Message("user", (TextPart("😀"),))


def test_the_conversation() -> None:
    prompt = parsed(
        messages=[
            {"role": "system", "content": "Be kind."},
            *user({"type": "text", "text": "one"}, {"type": "text", "text": "two"}),
            {"role": "assistant", "content": None, "tool_calls": []},
            {"role": "tool", "tool_call_id": "1", "content": "42"},
        ],
        tools=[TOOL, {"type": "custom", "custom": {"name": "sql"}}],
        tool_choice={"type": "function", "function": {"name": "get_weather"}},
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "x", "schema": {"type": "integer"}},
        },
        reasoning_effort="low",
        stop=["a"],
        seed=7,
        logprobs=True,
        top_logprobs=2,
    )
    assert prompt.needs == {"tools", "json_schema", "logprobs"}
    assert prompt.conversation() == snapshot(
        Conversation(
            items=(
                Message(role="system", parts=(TextPart(text="Be kind."),)),
                Message(role="user", parts=(TextPart(text="one"), TextPart(text="two"))),
                ToolResult(call_id="1", parts=(TextPart(text="42"),)),
            ),
            tools=(
                Tool(name="get_weather", parameters={"type": "object"}),
                Tool(name="sql", parameters={}, custom=True),
            ),
            tool_choice="get_weather",
            output_schema={"type": "integer"},
            output_name="x",
            effort="low",
            stop=("a",),
            sampling=Sampling(seed=7),
            top_logprobs=2,
        )
    )


def test_allowed_tools_narrow_the_list() -> None:
    other = {"type": "function", "function": {"name": "other"}}
    choice = {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "required", "tools": [other]},
    }
    conversation = parsed(tools=[TOOL, other], tool_choice=choice).conversation()
    assert conversation.tool_choice == "required"
    assert [tool.name for tool in conversation.tools] == ["other"]


def test_json_of_any_shape() -> None:
    assert parsed(response_format={"type": "json_object"}).conversation().output_schema == {}
