"""Chat to canon and back: nothing that both sides know gets lost, and what is lost is said."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot
from msgspec.structs import replace

from portico.canon.conversation import (
    Conversation,
    Message,
    Sampling,
    TextPart,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
)
from portico.canon.prompt import Compatibility, Prompt
from portico.dialects.openai_chat.parse import parse
from portico.dialects.openai_chat.translation import as_chat, custom_tools
from portico.errors import Refusal
from tests.dialects.openai_chat.bodies import PNG, TOOL, WAV, data_url, image, parsed, sound, user


def said(role: str, text: str) -> Message:
    return Message(role, (TextPart(text),))  # type: ignore[arg-type]  # roles in tests


def translated(
    conversation: Conversation, compatibility: Compatibility = "warn", *, extras: bool = False
) -> tuple[dict[str, Any], Prompt]:
    """The body an engine gets, and the original with its warnings."""
    prompt = replace(
        parsed(), dialect="other", compatibility=compatibility, conversation=lambda: conversation
    )
    told = as_chat(prompt, conversation, extras=extras)
    return json.loads(told.body), prompt


texts = st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable())
names = st.from_regex(r"[a-z]{1,8}", fullmatch=True)
calls = st.builds(ToolCall, names, names, st.just('{"a":1}'))
turns = st.one_of(
    st.builds(said, st.sampled_from(["system", "user"]), texts),
    st.builds(lambda text, call: (said("assistant", text), call), texts, calls),
    st.builds(lambda call: (call,), calls),
    st.builds(lambda name, text: ToolResult(name, (TextPart(text),)), names, texts),
    st.builds(lambda text: said("assistant", text), texts),
)


def flat(items: list[Any]) -> tuple[Any, ...]:
    found: list[Any] = []
    for item in items:
        found += item if isinstance(item, tuple) else (item,)
    return tuple(found)


conversations = st.builds(
    Conversation,
    items=st.lists(turns, min_size=1, max_size=6).map(flat),
    tools=st.just(()) | st.builds(lambda name: (Tool(name, {"type": "object"}, "It is."),), names),
    parallel_calls=st.none(),
    output_schema=st.sampled_from([None, {}, {"type": "object"}]),
    effort=st.sampled_from(["", "low", "max"]),
    stop=st.sampled_from([(), ("END",)]),
    sampling=st.builds(
        Sampling,
        temperature=st.none() | st.sampled_from([0.0, 0.5]),
        seed=st.none() | st.integers(0, 9),
        logit_bias=st.none() | st.just({"5": -1.0}),
    ),
    top_logprobs=st.none() | st.integers(0, 5),
    user=st.sampled_from(["", "u"]),
    cache_key=st.sampled_from(["", "k"]),
)


@given(conversations)
def test_there_and_back_is_the_same(conversation: Conversation) -> None:
    body, prompt = translated(conversation)
    back = parse(json.dumps(body).encode(), {}).conversation()
    # A system turn followed by its like stays two; only what Chat merges is merged.
    assert back == conversation
    assert prompt.warnings == []


def test_an_answer_with_everything() -> None:
    body, prompt = translated(
        Conversation(
            items=(
                said("developer", "Be brief."),
                said("user", "Weather?"),
                Thought("They want weather."),
                said("assistant", "Let me see."),
                ToolCall("c1", "get_weather", '{"city":"Rome"}'),
                ToolCall("c2", "get_weather", ""),
                ToolResult("c1", (TextPart("12"),)),
                ToolResult("c2", (TextPart("no such city"),), failed=True),
            ),
            tools=(Tool("get_weather", {"type": "object"}, "It is.", strict=True),),
            tool_choice="get_weather",
            parallel_calls=False,
        ),
        extras=True,
    )
    assert body == snapshot(
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Weather?"},
                {
                    "role": "assistant",
                    "content": "Let me see.",
                    "reasoning_content": "They want weather.",
                    "tool_calls": [
                        {
                            "id": "c1",
                            "type": "function",
                            "function": {"name": "get_weather", "arguments": '{"city":"Rome"}'},
                        },
                        {
                            "id": "c2",
                            "type": "function",
                            "function": {"name": "get_weather", "arguments": "{}"},
                        },
                    ],
                },
                {"role": "tool", "tool_call_id": "c1", "content": "12"},
                {"role": "tool", "tool_call_id": "c2", "content": "Error: no such city"},
            ],
            "stream": True,
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "get_weather",
                        "parameters": {"type": "object"},
                        "description": "It is.",
                        "strict": True,
                    },
                }
            ],
            "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
            "parallel_tool_calls": False,
        }
    )
    assert prompt.warnings == ['mapped; field="is_error"; action=mapped']


def test_reasoning_of_earlier_turns_goes_only_to_engines_that_know_it() -> None:
    conversation = Conversation((said("user", "Hi"), Thought("Hm."), said("assistant", "Hello")))
    body, _ = translated(conversation)
    assert body["messages"][1] == {"role": "assistant", "content": "Hello"}


def test_media_keep_their_bytes() -> None:
    sent = user({"type": "text", "text": "See"}, image(data_url(PNG)), sound(WAV, "wav"))
    conversation = parsed(messages=sent).conversation()
    body, _ = translated(conversation)
    assert body["messages"] == sent


def test_a_tool_of_free_text_is_shown_as_a_function_of_one_string() -> None:
    conversation = Conversation(
        (said("user", "Go"), ToolCall("c", "patch", "*** Begin", custom=True)),
        tools=(Tool("patch", {}, custom=True), Tool("f", {})),
    )
    body, prompt = translated(conversation)
    assert custom_tools(conversation) == {"patch"}
    call = body["messages"][1]["tool_calls"][0]["function"]
    assert json.loads(call["arguments"]) == {"input": "*** Begin"}
    assert body["tools"][0]["function"]["parameters"]["required"] == ["input"]
    assert prompt.warnings == ['mapped; field="tools[patch]"; action=mapped']


@pytest.mark.parametrize(
    ("conversation", "field"),
    [
        (Conversation((said("user", "x"),), sampling=Sampling(top_k=3)), "top_k"),
        (Conversation((said("user", "x"),), dropped=("prediction",)), "prediction"),
    ],
)
def test_a_soft_loss_is_dropped_and_said_or_refused_where_the_key_is_strict(
    conversation: Conversation, field: str
) -> None:
    for compatibility in ("warn", "adapt"):
        body, prompt = translated(conversation, compatibility)  # type: ignore[arg-type]
        assert field not in body
        assert prompt.warnings == [f'not_supported; field="{field}"; action=dropped']
    with pytest.raises(Refusal) as caught:
        translated(conversation, "strict")
    assert (caught.value.code, caught.value.field) == ("unsupported_feature", field)


def test_top_k_goes_to_engines_that_take_it() -> None:
    conversation = Conversation((said("user", "x"),), sampling=Sampling(top_k=3))
    body, prompt = translated(conversation, "strict", extras=True)
    assert body["top_k"] == 3
    assert prompt.warnings == []


def test_the_form_before_tools_keeps_its_calls_and_results_together() -> None:
    conversation = parsed(
        messages=[
            {"role": "user", "content": "Go"},
            {
                "role": "assistant",
                "content": None,
                "function_call": TOOL["function"] | {"arguments": "{}"},
            },
            {"role": "function", "name": "get_weather", "content": "12"},
        ]
    ).conversation()
    call, result = conversation.items[1:]
    assert isinstance(call, ToolCall)
    assert isinstance(result, ToolResult)
    assert call.id == result.call_id
