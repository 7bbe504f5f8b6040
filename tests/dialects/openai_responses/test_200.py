"""What is accepted, and what becomes of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from portico.canon.conversation import (
    FilePart,
    ImagePart,
    Message,
    TextPart,
    Thought,
    ToolCall,
    ToolResult,
)
from portico.dialects.openai_chat.translation import as_chat
from portico.dialects.openai_responses.parse import NOT_STORED
from portico.errors import Refusal

from .bodies import (
    DATA_URL,
    NAMESPACE,
    PARSER,
    PATCH,
    TOOL,
    call,
    conversed,
    encoded,
    parsed,
    result,
    says,
)

CODEX = (Path(__file__).parent / "golden" / "codex.json").read_bytes()
ANSWER = {
    "type": "message",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Hi."}],
}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


def test_the_smallest_request() -> None:
    prompt = parsed()
    assert (prompt.dialect, prompt.model, prompt.stream) == ("openai_responses", "m", False)
    assert (prompt.choices, prompt.output_tokens_max, prompt.needs) == (1, None, frozenset())
    assert conversed().items == (Message("user", (TextPart("Hello"),)),)


def test_golden_codex() -> None:
    prompt = PARSER.create(CODEX, {})
    assert prompt.warnings == []
    assert prompt.body == CODEX
    assert json.loads(bytes(prompt.fields["client_metadata"]))["session_id"] == "0"
    conversation = prompt.conversation()
    assert [tool.name for tool in conversation.tools] == [
        *("exec_command", "write_stdin", "request_user_input", "view_image"),
        *("close_agent", "resume_agent", "send_input", "spawn_agent", "wait_agent"),
        *("get_goal", "create_goal", "update_goal"),
    ]
    assert conversation.dropped == ("tools[8][web_search]",)
    assert conversation.thoughts_shown is True
    assert conversation.parallel_calls is True
    assert conversation.items[-1] == Message("user", (TextPart("write hello to hello.txt"),))
    as_chat(prompt, conversation, extras=True)
    assert prompt.warnings == ['not_supported; field="tools[8][web_search]"; action=dropped']


def test_a_strict_key_is_refused_what_is_dropped() -> None:
    prompt = PARSER.create(CODEX, {})
    prompt.compatibility = "strict"
    with pytest.raises(Refusal) as caught:
        as_chat(prompt, prompt.conversation(), extras=True)
    assert caught.value.field == "tools[8][web_search]"


@pytest.mark.parametrize(
    "item",
    [
        says("Hi."),
        {"type": "message", **says("Hi.")},
        {"type": None, **says("Hi."), "phase": "commentary"},
        {"role": "user", "content": [{"type": "input_text", "text": "Hi."}]},
        {"role": "user", "content": [{"type": "text", "text": "Hi."}], "status": "completed"},
    ],
)
def test_a_message_in_every_form(item: dict[str, Any]) -> None:
    assert conversed(input=[item]).items == (Message("user", (TextPart("Hi."),)),)


@pytest.mark.parametrize(
    "extra", [{}, {"id": "msg_1"}, {"status": "completed"}, {"id": None, "phase": "final_answer"}]
)
def test_edge_23_an_answer_without_id_status_or_annotations_comes_back(extra: Any) -> None:
    items = conversed(input=[says("Hello"), {**ANSWER, **extra}, says("Go on")]).items
    assert items[1] == Message("assistant", (TextPart("Hi."),))


@pytest.mark.parametrize("content", [None, "", [], [{"type": "output_text", "text": ""}]])
def test_edge_06_an_answer_without_words_is_left_out(content: Any) -> None:
    items = conversed(input=[says("Hello"), {"role": "assistant", "content": content}]).items
    assert len(items) == 1


def test_instructions_come_first() -> None:
    items = conversed(instructions="Be brief.", input=[says("Rules.", "developer"), says("Hi")])
    assert [item.role for item in items.items if isinstance(item, Message)] == [
        "system",
        "developer",
        "user",
    ]


def test_media() -> None:
    parts = [
        {"type": "input_image", "image_url": DATA_URL, "detail": "low"},
        {"type": "input_file", "file_data": "data:application/pdf;base64,AAAA", "filename": "a"},
    ]
    prompt = parsed(input=[{"role": "user", "content": parts}])
    assert prompt.needs == {"image", "file"}
    assert prompt.media_characters["file"] == 4
    (message,) = prompt.conversation().items
    assert message == Message(
        "user", (ImagePart(DATA_URL, "low"), FilePart("AAAA", "application/pdf", "a"))
    )


def test_a_whole_round_of_tools() -> None:
    given = [
        says("Weather?"),
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"},
        call("c1", "get_weather", '{"city":"Lisbon"}', id="fc_1", status="completed"),
        {"type": "custom_tool_call", "call_id": "c2", "name": "apply_patch", "input": "*** Begin"},
        result("c1", [{"type": "input_text", "text": "sunny"}]),
        {"type": "custom_tool_call_output", "call_id": "c2", "output": "ok"},
    ]
    conversation = conversed(input=given, tools=[TOOL, PATCH], tool_choice="required")
    assert conversation.items[1:] == (
        Thought("", "gAAAA", "openai"),
        ToolCall("c1", "get_weather", '{"city":"Lisbon"}'),
        ToolCall("c2", "apply_patch", "*** Begin", custom=True),
        ToolResult("c1", (TextPart("sunny"),)),
        ToolResult("c2", (TextPart("ok"),)),
    )
    assert [(tool.name, tool.custom) for tool in conversation.tools] == [
        ("get_weather", False),
        ("apply_patch", True),
    ]
    assert conversation.tool_choice == "required"


def test_edge_07_call_ids_that_are_used_again_or_empty_are_told_apart() -> None:
    given = [call("call_0"), result("call_0", "a"), call("call_0"), result("call_0", "b")]
    given += [call(""), result("", "c")]
    items = conversed(input=given).items
    pairs = [item.id if isinstance(item, ToolCall) else item.call_id for item in items]  # type: ignore[union-attr]  # only calls and results were sent
    assert pairs == ["call_0", "call_0", "call_0_2", "call_0_2", "call", "call"]


def test_a_namespace_is_taken_apart_and_names_are_kept() -> None:
    conversation = conversed(
        tools=[TOOL, NAMESPACE],
        input=[
            call("c1", "spawn", namespace="agents"),
            result("c1"),
            call("c2", "get_weather", namespace="agents"),
            result("c2"),
            call("c3", "get_weather"),
            result("c3"),
        ],
    )
    names = [tool.name for tool in conversation.tools]
    assert names == ["get_weather", "spawn", "agents__get_weather"]
    called = [item.name for item in conversation.items if isinstance(item, ToolCall)]
    assert called == ["spawn", "agents__get_weather", "get_weather"]


@pytest.mark.parametrize(
    ("choice", "canon", "offered"),
    [
        (None, "auto", ["get_weather", "apply_patch"]),
        ("none", "none", ["get_weather", "apply_patch"]),
        ({"type": "function", "name": "get_weather"}, "get_weather", None),
        ({"type": "custom", "name": "apply_patch"}, "apply_patch", None),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "web_search"}, PATCH]},
            "required",
            ["apply_patch"],
        ),
    ],
)
def test_tool_choice(choice: Any, canon: str, offered: list[str] | None) -> None:
    tools = [TOOL, PATCH, {"type": "web_search"}]
    conversation = conversed(tools=tools, tool_choice=choice)
    assert conversation.tool_choice == canon
    if offered is not None:
        assert [tool.name for tool in conversation.tools] == offered


HOSTED = [
    {"type": "web_search_call", "id": "ws_1", "action": {"type": "search", "query": "x"}},
    {"type": "file_search_call", "id": "fs_1", "queries": ["x"], "results": [{"text": "y"}]},
    {"type": "code_interpreter_call", "id": "ci_1", "code": "1+1", "outputs": None},
    {"type": "mcp_call", "id": "mcp_1", "name": "f", "arguments": "{}", "output": "done"},
]


def test_what_hosted_tools_did_becomes_text() -> None:
    conversation = conversed(input=[says("Hello"), *HOSTED, says("So?")])
    texts = [item.text for item in conversation.items if isinstance(item, Message)]
    assert texts[1] == '[web_search_call: {"type":"search","query":"x"}]'
    assert texts[2] == '[file_search_call: {"queries":["x"],"results":[{"text":"y"}]}]'
    assert texts[3] == "[code_interpreter_call: 1+1]"
    assert conversation.mapped == (
        "input[1][web_search_call]",
        "input[2][file_search_call]",
        "input[3][code_interpreter_call]",
        "input[4][mcp_call]",
    )


def test_what_the_callers_own_machine_was_asked_becomes_a_call() -> None:
    given = [
        {"type": "local_shell_call", "id": "ls_1", "call_id": "c1", "action": {"command": ["ls"]}},
        {"type": "local_shell_call_output", "id": "ls_1", "call_id": "c1", "output": "a.txt"},
        {"type": "apply_patch_call_output", "call_id": "nobody", "output": "lost"},
    ]
    items = conversed(input=given).items
    assert items[0] == ToolCall("c1", "local_shell", '{"command":["ls"]}')
    assert items[1] == ToolResult("c1", (TextPart("a.txt"),))
    assert items[2] == Message("assistant", (TextPart("[apply_patch_call_output: lost]"),))


@pytest.mark.parametrize("kind", ["image_generation_call", "mcp_list_tools", "compaction_trigger"])
def test_what_no_other_model_can_read_is_left_out(kind: str) -> None:
    conversation = conversed(input=[says("Hello"), {"type": kind, "id": "x", "result": "AAAA"}])
    assert len(conversation.items) == 1
    assert conversation.dropped == (f"input[1][{kind}]",)


def test_the_shape_of_the_answer() -> None:
    form = {"type": "json_schema", "name": "x", "schema": SCHEMA, "strict": True}
    prompt = parsed(text={"format": form, "verbosity": "low"})
    conversation = prompt.conversation()
    assert prompt.needs == {"json_schema"}
    assert (conversation.output_schema, conversation.output_name) == (SCHEMA, "x")
    assert (conversation.output_strict, conversation.verbosity) == (True, "low")
    assert conversed(text={"format": {"type": "json_object"}}).output_schema == {}
    assert conversed(text={"format": {"type": "text"}}).output_schema is None


def test_settings_reach_the_canon() -> None:
    conversation = conversed(
        temperature=0.5,
        top_p=0.9,
        reasoning={"effort": "high", "summary": None},
        user="a",
        safety_identifier="b",
        prompt_cache_key="k",
        truncation="auto",
        top_logprobs=3,
    )
    assert (conversation.sampling.temperature, conversation.sampling.top_p) == (0.5, 0.9)
    assert (conversation.effort, conversation.thoughts_shown) == ("high", None)
    assert (conversation.user, conversation.cache_key) == ("b", "k")
    assert (conversation.truncates, conversation.top_logprobs) == (True, 3)


def test_logprobs_by_include() -> None:
    prompt = parsed(include=["message.output_text.logprobs"])
    assert prompt.needs == {"logprobs"}
    assert prompt.conversation().top_logprobs == 0


def test_store_is_not_done_and_said_so() -> None:
    assert parsed(store=True).warnings == [NOT_STORED]
    assert parsed(store=False).warnings == parsed().warnings == []


def test_edge_21_unknown_fields_are_kept_as_they_came() -> None:
    body = b'{"model":"m", "input":"x" ,"access_programs": {"b":1.50},"context_management":[]}'
    prompt = PARSER.create(body, {})
    assert prompt.body == body
    assert bytes(prompt.fields["access_programs"]) == b'{"b":1.50}'
    assert prompt.conversation().dropped == ()
    assert conversed(context_management=[{"type": "compaction"}]).dropped == ("context_management",)


@pytest.mark.parametrize("tier", ["flex", "priority"])
def test_tiers_that_cost_something_else(tier: str) -> None:
    assert parsed(service_tier=tier).service_tier == tier
    assert parsed(service_tier="auto").service_tier == "standard"


def test_input_may_be_missing_where_only_its_tokens_are_asked_for() -> None:
    body = encoded(input=None, instructions="Be brief.")
    assert len(PARSER.about(body, {}).conversation().items) == 1
    with pytest.raises(Refusal):
        PARSER.create(body, {})
