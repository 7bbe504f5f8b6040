"""A request that names remote servers: what of it a model is told, and what nobody is."""

import json
from typing import Any

import pytest

from portico.canon.conversation import Message, TextPart, Thought, ToolCall, ToolResult
from portico.canon.remote import RemoteTool, Server
from portico.dialects.openai_responses.opening import Seals
from portico.dialects.openai_responses.parse import Parser
from portico.dialects.openai_responses.remote.servers import servers_of, shown
from portico.dialects.openai_responses.remote.turns import Approvals, Document
from portico.errors import Refusal
from portico.kit.clock import SystemClock
from portico.kit.sealing import Seal

SEAL = Seal([b"secret"])
APPROVALS = Approvals(SEAL)
URL = "https://example.com/mcp/s3cret?key=s3cret"
TOOL = {"type": "mcp", "server_label": "thing", "server_url": URL}
ADD = RemoteTool("add", "Adds.", {"type": "object"}, {})


def document(**fields: Any) -> Document:
    said = {"model": "m", "input": "Hello", "tools": [TOOL], **fields}
    return Document(json.dumps(said).encode(), 4, APPROVALS)


def functions(of: Document) -> dict[str, tuple[Server, RemoteTool]]:
    return {"thing__add": (of.servers[0], ADD)}


def told(of: Document, *rounds: Any, **results: str) -> dict[str, Any]:
    body = of.body(functions(of), rounds, results, output_tokens_max=None)
    Parser(Seals(SEAL, SystemClock())).create(body, {":state": ""})  # it is a request itself
    said: dict[str, Any] = json.loads(body)
    return said


def test_tools_become_functions_and_nothing_of_the_server_is_told() -> None:
    of = document(tools=[{**TOOL, "authorization": "s3cret", "headers": {"x-a": "s3cret"}}])
    said = told(of)
    assert [each["name"] for each in said["tools"]] == ["thing__add"]
    assert "s3cret" not in json.dumps(said)
    assert "s3cret" not in repr(of.servers[0]).replace(URL, "")


def test_rounds_are_told_in_the_order_in_which_they_were_made() -> None:
    call, result = ToolCall("call_1", "thing__add", "{}"), ToolResult("call_1", (TextPart("5"),))
    words = Message("assistant", (TextPart("I add."),))
    said = told(document(), Thought("Hm."), words, call, result)
    kinds = [each.get("type", "message") for each in said["input"]]
    assert kinds == ["message", "reasoning", "message", "function_call", "function_call_output"]
    assert said["tool_choice"] == "auto"


@pytest.mark.parametrize(
    "error",
    [
        "it broke",
        {"type": "mcp_tool_execution_error", "content": [{"type": "text", "text": "it broke"}]},
        {"type": "mcp_protocol_error", "code": -32000, "message": "it broke"},
        {"type": "http_error", "code": 500, "message": "it broke"},
    ],
)
def test_what_was_called_before_is_told_as_a_call(error: Any) -> None:
    done = {"type": "mcp_call", "id": "mcp_1", "server_label": "thing", "name": "add"}
    items = [
        {"role": "user", "content": "Add."},
        {"type": "mcp_list_tools", "id": "mcpl_1", "server_label": "thing", "tools": []},
        {**done, "arguments": '{"a":1}', "output": "5", "error": None},
        {**done, "id": "mcp_2", "arguments": "{}", "output": None, "error": error},
    ]
    _, one, five, two, broke = told(document(input=items))["input"]
    assert (one["name"], one["arguments"], five["output"]) == ("thing__add", '{"a":1}', "5")
    assert (two["call_id"], broke["output"]) == ("mcp_2", "it broke")


@pytest.mark.parametrize(
    ("choice", "told_choice"),
    [
        ({"type": "mcp", "server_label": "thing"}, {"type": "function", "name": "thing__add"}),
        (
            {"type": "mcp", "server_label": "thing", "name": "add"},
            {"type": "function", "name": "thing__add"},
        ),
        ("required", "required"),
        (
            {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "mcp", "server_label": "thing"}],
            },
            {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "function", "name": "thing__add"}],
            },
        ),
    ],
)
def test_a_choice_holds_for_the_first_round(choice: Any, told_choice: Any) -> None:
    of = document(tool_choice=choice)
    assert told(of)["tool_choice"] == told_choice
    result = ToolResult("c", (TextPart("5"),))
    later = told(of, ToolCall("c", "thing__add", "{}"), result)["tool_choice"]
    allowed = isinstance(choice, dict) and choice["type"] == "allowed_tools"
    assert later == (told_choice if allowed else "auto")


@pytest.mark.parametrize(
    ("choice", "field"),
    [
        ({"type": "mcp", "server_label": "other"}, "tool_choice.server_label"),
        ({"type": "mcp"}, "tool_choice.server_label"),
        ({"type": "mcp", "server_label": "thing", "name": "no"}, "tool_choice.name"),
    ],
)
def test_a_choice_of_what_is_not_there_is_refused(choice: Any, field: str) -> None:
    with pytest.raises(Refusal) as refused:
        told(document(tool_choice=choice))
    assert refused.value.field == field


def test_of_a_server_that_offers_nothing_now_nothing_must_be_called() -> None:
    of = document(tool_choice={"type": "mcp", "server_label": "thing", "name": "add"})
    assert "tool_choice" not in json.loads(of.body({}, [], {}, output_tokens_max=None))


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("always", {"reads", "writes"}),
        ("never", set()),
        (None, {"reads", "writes"}),
        ({"never": {"read_only": True}}, {"writes"}),
        ({"never": {"tool_names": ["writes"]}}, {"reads"}),
        ({"never": {"tool_names": ["writes"], "read_only": True}}, {"reads", "writes"}),
        ({"never": {}}, {"reads", "writes"}),
        ({"never": {"tool_names": []}}, {"reads", "writes"}),
        (
            {"never": {"tool_names": ["reads", "writes"]}, "always": {"tool_names": ["writes"]}},
            {"writes"},
        ),
    ],
)
def test_what_is_asked_about(said: Any, asked: set[str]) -> None:
    (server,) = document(tools=[{**TOOL, "require_approval": said}]).servers
    reads = RemoteTool("reads", "", {}, {"readOnlyHint": True})
    writes = RemoteTool("writes", "", {}, {})
    assert {tool.name for tool in (reads, writes) if server.must_ask(tool)} == asked


def test_the_list_of_the_conversation_is_used_again() -> None:
    item = {
        "type": "mcp_list_tools",
        "server_label": "thing",
        "tools": [{"name": "add", "input_schema": {"type": "object"}}, {"name": "delete"}],
    }
    of = document(input=[item], tools=[{**TOOL, "allowed_tools": ["add"]}])
    listed = of.listed(of.servers[0])
    assert listed is not None
    assert [each.name for each in listed] == ["add"]
    broken = document(input=[{**item, "error": "server_timeout: ..."}])
    assert broken.listed(broken.servers[0]) is None


def asked(item_id: str = "1", **more: Any) -> dict[str, Any]:
    about = ("thing", URL, "add", "{}")
    item = {
        "type": "mcp_approval_request",
        "id": APPROVALS.id_of("proj_a", item_id, about),
        "server_label": "thing",
        "name": "add",
        "arguments": "{}",
    }
    return {**item, **more}


def allowing(item: dict[str, Any], *, approve: bool = True) -> dict[str, Any]:
    kind = "mcp_approval_response"
    return {"type": kind, "approval_request_id": item["id"], "approve": approve}


def test_what_was_allowed_is_called_once() -> None:
    item = asked()
    of = document(input=[item, allowing(item), allowing(item)])
    (one,) = of.approved("proj_a")
    assert (one.name, one.arguments) == ("add", "{}")
    done = {
        "type": "mcp_call",
        "id": "mcp_1",
        "approval_request_id": item["id"],
        "output": "5",
        "server_label": "thing",
        "name": "add",
        "arguments": "{}",
    }
    assert document(input=[item, allowing(item), done]).approved("proj_a") == []
    assert document(input=[item, allowing(item, approve=False)]).approved("proj_a") == []


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "delete"},
        {"arguments": '{"all":true}'},
        {"id": "mcpr_1.nothing"},
        {"id": asked("2")["id"].replace("mcpr_2", "mcpr_3")},
        {"server_label": "other"},
        {"arguments": None},
    ],
)
def test_an_approval_is_for_those_words_only(changed: dict[str, Any]) -> None:
    item = asked(**changed)
    with pytest.raises(Refusal) as refused:
        document(input=[item, allowing(item)]).approved("proj_a")
    assert refused.value.code == "sealed_item_invalid"


@pytest.mark.parametrize(
    ("project", "tool"),
    [
        ("proj_b", TOOL),
        ("proj_a", {**TOOL, "server_url": "https://other.example/mcp"}),
        ("proj_a", {**TOOL, "allowed_tools": ["delete"]}),
    ],
)
def test_an_approval_is_for_that_project_and_server(project: str, tool: dict[str, Any]) -> None:
    item = asked()
    with pytest.raises(Refusal):
        document(input=[item, allowing(item)], tools=[tool]).approved(project)


def test_an_answer_repeats_no_secrets() -> None:
    said = shown({**TOOL, "authorization": "s3cret", "headers": {"a": "s3cret"}, "x": "s3cret"})
    assert "s3cret" not in json.dumps(said)
    assert said["server_url"] == "https://example.com/<redacted>"
    assert "s3cret" not in json.dumps(shown({**TOOL, "server_url": "https://u:s3cret@e.com/"}))


@pytest.mark.parametrize(
    "tool",
    [
        {**TOOL, "headers": {"a": 5}, "authorization": "s3cret"},
        {**TOOL, "headers": {"s3cret\n": "s3cret"}} | {"server_label": "a b"},
        {**TOOL, "authorization": ["s3cret"]},
        {**TOOL, "headers": {"x-a": "s3cret\r\nhost: other"}},
    ],
)
def test_no_refusal_shows_a_secret(tool: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as refused:
        servers_of([tool], 4)
    said = refused.value
    assert "s3cret" not in f"{said.message} {said.value} {said.limit}"


def test_background_and_secrets_exclude_each_other() -> None:
    body = {
        "model": "m",
        "input": "x",
        "background": True,
        "tools": [{**TOOL, "authorization": "a"}],
    }
    with pytest.raises(Refusal) as refused:
        Parser(Seals(SEAL, SystemClock())).create(json.dumps(body).encode(), {":state": ""})
    assert refused.value.field == "background"
