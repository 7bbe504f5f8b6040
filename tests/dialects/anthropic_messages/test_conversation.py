"""A request in canon words, and what was lost on the way."""

from typing import Any

import pytest

from portico.canon.conversation import (
    FilePart,
    ImagePart,
    Message,
    Sampling,
    TextPart,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
)
from portico.canon.prompt import Compatibility
from portico.dialects.effort import BUDGETS
from portico.dialects.openai_chat.translation import as_chat
from portico.errors import Refusal

from .bodies import (
    PDF,
    PNG,
    SIGNATURES,
    WEATHER,
    assistant,
    base64_of,
    called,
    document,
    heard,
    image,
    parsed,
    pdf,
    result,
    text,
    user,
)

ENABLED = {"type": "enabled", "budget_tokens": 10_000}


def says(role: Any, *words: str) -> Message:
    return Message(role, tuple(TextPart(word) for word in words))


def test_the_system_prompt_comes_first() -> None:
    assert heard(system="Be brief.").items == (says("system", "Be brief."), says("user", "Hello"))
    blocks = [text("One."), text(""), text("Two.")]
    assert heard(system=blocks).items[0] == says("system", "One.", "Two.")
    assert heard(system="").items == (says("user", "Hello"),)


def test_turns_of_the_user_that_follow_each_other_are_one() -> None:
    items = heard(user(text("a")), user(text("b")), assistant(text("c")), user(text("d"))).items
    assert items == (says("user", "a", "b"), says("assistant", "c"), says("user", "d"))


def test_a_whole_round_of_tools() -> None:
    conversation = heard(
        user(text("Weather?")),
        assistant(text("Let me see."), called(city="Lisbon"), called("toolu_2", city="Porto")),
        user(text("Quickly."), result("24 C"), result([text("no"), image()], "toolu_2")),
        tools=[WEATHER],
    )
    png = f"data:image/png;base64,{base64_of(PNG)}"
    assert conversation.items == (
        says("user", "Weather?"),
        says("assistant", "Let me see."),
        ToolCall("toolu_1", "get_weather", '{"city":"Lisbon"}'),
        ToolCall("toolu_2", "get_weather", '{"city":"Porto"}'),
        ToolResult("toolu_1", (TextPart("24 C"),), "get_weather"),
        ToolResult("toolu_2", (TextPart("no"), ImagePart(png)), "get_weather"),
        says("user", "Quickly."),
    )
    described = Tool("get_weather", WEATHER["input_schema"], "The weather in a city.")  # type: ignore[arg-type]
    assert conversation.tools == (described,)


def test_a_failed_tool_has_failed() -> None:
    *_, failed = heard(
        user(text("a")), assistant(called()), user(result("no", is_error=True))
    ).items
    assert isinstance(failed, ToolResult)
    assert failed.failed


def test_instructions_between_calls_and_results_come_behind_the_results() -> None:
    system = {"role": "system", "content": "Hurry."}
    items = heard(user(text("a")), assistant(called()), system, user(result())).items
    assert [type(item).__name__ for item in items] == [
        "Message",
        "ToolCall",
        "ToolResult",
        "Message",
    ]
    assert items[-1] == says("system", "Hurry.")
    left = heard(user(text("a")), assistant(called()), system).items
    assert left[-1] == says("system", "Hurry.")


def test_results_in_two_turns_keep_what_stands_between_behind_them() -> None:
    items = heard(
        user(text("a")),
        assistant(called(), called("toolu_2")),
        user(result(), text("and")),
        user(result("b", "toolu_2"), text("now")),
    ).items
    kinds = [type(item).__name__ for item in items]
    assert kinds == ["Message", "ToolCall", "ToolCall", "ToolResult", "ToolResult", "Message"]
    assert items[-1] == says("user", "and", "now")


def test_documents_become_parts() -> None:
    (message,) = heard(
        user(
            pdf(),
            {**pdf(), "title": "paper.pdf", "context": "Draft."},
            {**document(type="text", media_type="text/plain", data="Words."), "title": "T"},
            document(type="content", content="Plain."),
            document(type="content", content=[text("a"), image()]),
        )
    ).items
    assert isinstance(message, Message)
    data = base64_of(PDF)
    assert message.parts == (
        FilePart(data, "application/pdf"),
        TextPart("Draft."),
        FilePart(data, "application/pdf", "paper.pdf"),
        TextPart("T"),
        TextPart("Words."),
        TextPart("Plain."),
        TextPart("a"),
        ImagePart(f"data:image/png;base64,{base64_of(PNG)}"),
    )


def test_search_results_and_references_become_text() -> None:
    found = {
        "type": "search_result",
        "source": "s",
        "title": "t",
        "content": [text("x"), text("y")],
    }
    reference = {"type": "tool_reference", "tool_name": "f"}
    items = heard(user(found), assistant(called()), user(result([found, reference]))).items
    assert items[0] == says("user", "t\ns\nx\ny")
    assert isinstance(items[2], ToolResult)
    assert items[2].text == "t\ns\nx\ny\nTool: f"


def test_what_a_providers_own_tools_did_is_told_in_words() -> None:
    hit = {"type": "web_search_result", "title": "T", "encrypted_content": "x" * 999}
    conversation = heard(
        user(text("a")),
        assistant(
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": [hit]},
            text("It is so."),
        ),
        user(text("b")),
    )
    said = conversation.items[1]
    assert isinstance(said, Message)
    assert said.text == (
        '[web_search was called with {"query":"q"}]\n'
        '[web_search_tool_result: [{"type":"web_search_result","title":"T"}]]\n'
        "It is so."
    )
    assert conversation.mapped == ("server_tool_use", "web_search_tool_result")


def test_thoughts_of_others_keep_their_seal_and_issuer() -> None:
    items = heard(
        user(text("a")),
        assistant(
            {"type": "thinking", "thinking": "Hm.", "signature": "EqQBCg"},
            {"type": "redacted_thinking", "data": "Emw"},
            text("b"),
        ),
    ).items
    assert items[1:3] == (
        Thought("Hm.", "EqQBCg", "anthropic"),
        Thought("", "redacted_thinking:Emw", "anthropic"),
    )


@pytest.mark.parametrize(
    ("sent", "back"),
    [
        (Thought("Hm."), Thought("Hm.", issuer="portico")),
        (Thought("Hm.", "gAAA", "openai"), Thought("Hm.", "gAAA", "openai")),
        (Thought("", "gAAA", "openai"), Thought("", "gAAA", "openai")),
        (Thought("Hm.", "EqQB", "anthropic"), Thought("Hm.", "EqQB", "anthropic")),
    ],
)
@pytest.mark.parametrize("shown", [True, False])
def test_what_was_signed_here_comes_back_whole(sent: Thought, back: Thought, shown: bool) -> None:
    signature = SIGNATURES.sign(sent, shown=shown)
    ours = sent.issuer != "anthropic" and not sent.sealed
    text_seen = sent.text if shown or not ours else ""
    assert SIGNATURES.read(text_seen, signature) == back


def test_a_thought_somebody_changed_is_no_longer_our_engines() -> None:
    signature = SIGNATURES.sign(Thought("Hm."), shown=True)
    assert SIGNATURES.read("Hm!", signature) == Thought("Hm!")


@pytest.mark.parametrize(
    ("fields", "choice", "parallel"),
    [
        ({}, "auto", None),
        ({"type": "auto"}, "auto", None),
        ({"type": "auto", "disable_parallel_tool_use": False}, "auto", True),
        ({"type": "any", "disable_parallel_tool_use": True}, "required", False),
        ({"type": "tool", "name": "get_weather"}, "get_weather", None),
        ({"type": "none"}, "none", None),
    ],
)
def test_tool_choice(fields: dict[str, Any], choice: str, parallel: bool | None) -> None:
    conversation = heard(tools=[WEATHER], tool_choice=fields or None)
    assert (conversation.tool_choice, conversation.parallel_calls) == (choice, parallel)


@pytest.mark.parametrize(
    "choice", [{"type": "any"}, {"type": "tool", "name": "web_search"}], ids=str
)
def test_a_providers_own_tool_cannot_be_forced(choice: Any) -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}
    prompt = parsed(tools=[search], tool_choice=choice)
    with pytest.raises(Refusal) as caught:
        prompt.conversation()
    assert caught.value.code == "unsupported_feature"


def test_a_region_is_not_promised_by_silence() -> None:
    with pytest.raises(Refusal) as caught:
        heard(inference_geo="us")
    assert (caught.value.code, caught.value.field) == ("unsupported_feature", "inference_geo")


@pytest.mark.parametrize(
    ("fields", "effort", "shown", "mapped"),
    [
        ({}, "", None, ()),
        ({"thinking": {"type": "adaptive"}}, "", True, ()),
        ({"thinking": {"type": "adaptive", "display": "omitted"}}, "", False, ()),
        (
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
            "max",
            True,
            (),
        ),
        ({"output_config": {"effort": "low"}}, "low", None, ()),
        ({"thinking": ENABLED}, "high", True, ("thinking.budget_tokens",)),
        ({"thinking": ENABLED, "output_config": {"effort": "low"}}, "low", True, ()),
        ({"thinking": {"type": "disabled"}}, "none", None, ()),
        (
            {"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}},
            "none",
            None,
            ("output_config.effort",),
        ),
        ({"thinking": {"type": "between_tools"}}, "none", True, ("thinking.type",)),
    ],
)
def test_thinking_becomes_effort(
    fields: dict[str, Any], effort: str, shown: bool | None, mapped: tuple[str, ...]
) -> None:
    conversation = heard(**fields)
    assert (conversation.effort, conversation.thoughts_shown) == (effort, shown)
    assert conversation.mapped == mapped


@pytest.mark.parametrize(("most", "effort"), BUDGETS[2:])
def test_budgets_up_to_each_line_of_the_table(most: int, effort: str) -> None:
    thinking = {"type": "enabled", "budget_tokens": most}
    assert heard(thinking=thinking).effort == effort
    assert heard(thinking={**thinking, "budget_tokens": most + 1}).effort != effort


def test_how_it_is_to_answer() -> None:
    schema = {"type": "object", "properties": {}}
    conversation = heard(
        stop_sequences=["END", "STOP"],
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        metadata={"user_id": "u_1"},
        output_config={"format": {"type": "json_schema", "schema": schema}},
    )
    assert conversation.stop == ("END", "STOP")
    assert conversation.sampling == Sampling(0.5, 0.9, 40)
    assert (conversation.user, conversation.output_schema) == ("u_1", schema)
    assert conversation.output_strict is True
    older = heard(output_format={"type": "json_schema", "schema": schema})
    assert older.output_schema == schema


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (None, ""),
        ("u", "u"),
        ("u" * 64, "u" * 64),
        ("é" * 65, "c8a2666a1a2bceeac205744f944a3f5bdad0fb469a015a9dcb5766c2ea2db470"),
    ],
)
def test_a_long_user_id_is_told_by_its_digest(said: str | None, told: str) -> None:
    assert heard(metadata={"user_id": said}).user == told


MARK: dict[str, Any] = {"cache_control": {"type": "ephemeral"}}


@pytest.mark.parametrize(
    ("fields", "dropped"),
    [
        ({"speed": "fast", "mcp_servers": [], "a": 1}, ("a", "mcp_servers", "speed")),
        (MARK, ("cache_control",)),
        ({"system": [text("a", **MARK)]}, ("cache_control",)),
        ({"messages": [user(text("a", **MARK))]}, ("cache_control",)),
        ({"tools": [{**WEATHER, **MARK}]}, ("cache_control",)),
        (
            {"messages": [user(text("a")), assistant(called()), user(result(**MARK))]},
            ("cache_control",),
        ),
        (
            {"messages": [user({**pdf(), "citations": {"enabled": True}})]},
            ("citations",),
        ),
        ({"messages": [user({**pdf(), "citations": {"enabled": False}})]}, ()),
        (
            {"tools": [{"type": "bash_20250124", "name": "bash"}, {"type": "mcp_toolset"}]},
            ("tools[bash]", "tools[mcp_toolset]"),
        ),
        ({"stream": True, "service_tier": "auto", "metadata": {"user_id": "u"}}, ()),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_has_no_place_in_the_canon_is_named(
    fields: dict[str, Any], dropped: tuple[str, ...]
) -> None:
    assert parsed(**fields).conversation().dropped == dropped


LOSSES = {"thinking": ENABLED, "context_management": {}}


def test_losses_are_warned_of_on_the_way_to_another_engine() -> None:
    prompt = parsed(**LOSSES)
    as_chat(prompt, prompt.conversation(), extras=True)
    assert prompt.warnings == [
        'not_supported; field="context_management"; action=dropped',
        'mapped; field="thinking.budget_tokens"; action=mapped',
    ]


@pytest.mark.parametrize("fields", [{"thinking": ENABLED}, {"context_management": {}}], ids=str)
def test_a_strict_key_is_refused_instead(fields: dict[str, Any]) -> None:
    prompt = parsed(**fields)
    strict: Compatibility = "strict"
    prompt.compatibility = strict
    with pytest.raises(Refusal) as caught:
        as_chat(prompt, prompt.conversation(), extras=True)
    assert caught.value.code == "unsupported_feature"
