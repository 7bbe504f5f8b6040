"""A request in Messages that names remote servers, and what a model is told of it."""

import json
from typing import Any

import pytest

from portico.canon.conversation import Message, TextPart, Thought, ToolCall, ToolResult
from portico.canon.remote import RemoteTool
from portico.dialects.anthropic_messages.parse import parse
from portico.dialects.anthropic_messages.remote.turns import Document
from portico.dialects.anthropic_messages.signatures import Signatures
from portico.errors import Refusal
from portico.kit.sealing import Seal

SIGNATURES = Signatures(Seal([b"secret"]), "proj_a")
SERVER = {"type": "url", "url": "https://example.com/mcp", "name": "thing"}
SET = {"type": "mcp_toolset", "mcp_server_name": "thing"}


def document(**fields: Any) -> Document:
    said = {
        "model": "m",
        "max_tokens": 10,
        "messages": [{"role": "user", "content": "Hello"}],
        "mcp_servers": [{**SERVER, "authorization_token": "s3cret"}],
        "tools": [SET],
        **fields,
    }
    return Document(json.dumps(said).encode(), 4, SIGNATURES)


def told(of: Document, *rounds: Any) -> dict[str, Any]:
    functions = {"thing__add": (of.servers[0], RemoteTool("add", "", {}, {}))}
    body = of.body(functions, rounds, {}, output_tokens_max=5)
    parse(body, {":project": "proj_a"}, SIGNATURES)  # it is a request itself
    said: dict[str, Any] = json.loads(body)
    return said


def test_tools_become_functions_and_nothing_of_the_server_is_told() -> None:
    said = told(document())
    assert [each["name"] for each in said["tools"]] == ["thing__add"]
    assert "s3cret" not in json.dumps(said)
    assert said["max_tokens"] == 5


def test_rounds_are_turns_of_both_sides() -> None:
    rounds = [
        Thought("Hm.", "sealed", "anthropic"),
        Message("assistant", (TextPart("I add."),)),
        ToolCall("a", "thing__add", '{"a":1}'),
        ToolCall("b", "thing__add", "no JSON"),
        ToolResult("a", (TextPart("5"),)),
        ToolResult("b", (TextPart("broke"),), failed=True),
        Message("assistant", (TextPart("Done."),)),
    ]
    _, one, two, three = told(document(tool_choice={"type": "any"}), *rounds)["messages"]
    assert [block["type"] for block in one["content"]] == [
        *("thinking", "text", "tool_use", "tool_use")
    ]
    assert one["content"][0]["signature"] == "sealed"
    assert (two["role"], two["content"][1]["is_error"]) == ("user", True)
    assert three["role"] == "assistant"


def test_what_was_called_before_is_told_as_a_call() -> None:
    use = {"type": "mcp_tool_use", "id": "u1", "name": "add", "server_name": "thing", "input": {}}
    result = {"type": "mcp_tool_result", "tool_use_id": "u1", "is_error": False}
    said = [{"type": "text", "text": "5"}]
    content = [
        use,
        {**use, "id": "u2"},
        {**result, "content": said},
        {**result, "tool_use_id": "u2", "content": said},
        {"type": "text", "text": "Both 5."},
    ]
    messages = [
        {"role": "user", "content": "Add."},
        {"role": "assistant", "content": content},
        {"role": "user", "content": "Thanks."},
    ]
    turns = told(document(messages=messages))["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user", "assistant", "user"]
    assert [block["name"] for block in turns[1]["content"]] == ["thing__add", "thing__add"]
    assert [block["content"] for block in turns[2]["content"]] == ["5", "5"]


@pytest.mark.parametrize(
    ("fields", "offered"),
    [
        ({}, {"add", "delete"}),
        ({"tools": []}, {"add", "delete"}),
        ({"tools": [{**SET, "default_config": {"enabled": False}}]}, set()),
        ({"tools": [{**SET, "configs": {"add": {"enabled": False}}}]}, {"delete"}),
        (
            {"tools": [], "mcp_servers": [{**SERVER, "tool_configuration": {"enabled": False}}]},
            set(),
        ),
        (
            {
                "tools": [],
                "mcp_servers": [{**SERVER, "tool_configuration": {"allowed_tools": ["add"]}}],
            },
            {"add"},
        ),
        (
            {"mcp_servers": [{**SERVER, "name": "thing"}, {**SERVER, "name": "other"}]},
            {"add", "delete"},
        ),
    ],
)
def test_what_is_enabled_is_offered(fields: dict[str, Any], offered: set[str]) -> None:
    server = document(**fields).servers[0]
    tools = [RemoteTool(name, "", {}, {}) for name in ("add", "delete")]
    assert {tool.name for tool in tools if server.offers(tool)} == offered
    assert not any(map(server.must_ask, tools))


LISTING = {"type": "mcp_tool_listing", "mcp_server_name": "thing"}


def history(*blocks: Any) -> list[dict[str, Any]]:
    return [
        {"role": "user", "content": "Add."},
        {"role": "assistant", "content": [*blocks, {"type": "text", "text": "Done."}]},
        {"role": "user", "content": "Again."},
    ]


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({}, None),
        ({"tools": [{**SET, "tools": [{"name": "add", "input_schema": {}}]}]}, ["add"]),
        (
            {
                "tools": [
                    {
                        **SET,
                        "configs": {"add": {"enabled": False}},
                        "tools": [{"name": "add"}, {"name": "delete"}],
                    }
                ]
            },
            ["delete"],
        ),
        (
            {
                "messages": history(
                    {**LISTING, "tools": [{"name": "old"}]}, {**LISTING, "tools": [{"name": "new"}]}
                )
            },
            ["new"],
        ),
        ({"messages": history({**LISTING, "mcp_server_name": "other", "tools": []})}, None),
        ({"messages": history({**LISTING, "tools": [5]})}, None),
    ],
)
def test_a_server_is_not_asked_for_tools_that_are_known(
    fields: dict[str, Any], names: list[str] | None
) -> None:
    of = document(**fields)
    known = of.listed(of.servers[0])
    assert (None if known is None else [tool.name for tool in known]) == names
    assert "mcp_tool_listing" not in json.dumps(told(of))


def test_a_server_without_a_toolset_offers_nothing_beside_one_that_has_one() -> None:
    two = document(mcp_servers=[SERVER, {**SERVER, "name": "other"}]).servers[1]
    assert not two.offers(RemoteTool("add", "", {}, {}))


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"mcp_servers": {"a": 1}}, "mcp_servers"),
        ({"mcp_servers": [5]}, "mcp_servers[0].name"),
        ({"mcp_servers": [SERVER, SERVER]}, "mcp_servers[1].name"),
        ({"mcp_servers": [SERVER] * 5}, "mcp_servers[4]"),
        (
            {"mcp_servers": [{**SERVER, "authorization_token": "s3cret\n"}]},
            "mcp_servers[0].authorization_token",
        ),
        ({"tools": [{**SET, "mcp_server_name": "no"}]}, "tools[0].mcp_server_name"),
        ({"tools": [SET, SET]}, "tools[1].mcp_server_name"),
        ({"tools": [{**SET, "tools": [{"name": 5}]}]}, "tools[0].tools[0].name"),
        ({"mcp_servers": [{**SERVER, "type": "stdio"}]}, "mcp_servers[0].type"),
    ],
)
def test_what_is_wrong_is_named_without_its_secret(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(Refusal) as refused:
        document(**fields)
    assert refused.value.field == field
    assert "s3cret" not in f"{refused.value.message} {refused.value.value}"
