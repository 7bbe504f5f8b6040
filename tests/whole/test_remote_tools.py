"""Tools of remote MCP servers: a model calls them, through the door, with OpenAI's SDK."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.tools import servers
from tests.whole.conftest import Served, end, start

ON = {
    "PORTICO_TOOLS_ENABLED": "true",
    "PORTICO_TOOLS_PRIVATE_ALLOWED": "true",
    "PORTICO_TOOLS_ROUNDS_MAX": "4",
    "PORTICO_TOOLS_CALLS_MAX": "6",
    "PORTICO_TOOLS_CALL_S": "5",
    "PORTICO_TOOLS_RESULT_BYTES_MAX": "100000",
}
CALL = "[[sim call={name} args={args}]]"


@pytest.fixture(scope="module")
def open_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    running = start(tmp_path_factory.mktemp("tools") / "data", "--simulated", env=ON)
    yield running
    end(running)


@pytest.fixture(scope="module")
def client(open_door: Served) -> Iterator[openai.OpenAI]:
    scopes = "generate,responses,tools:remote"
    key = open_door.cli("key", "create", "--scopes", scopes)["api_key"]
    with openai.OpenAI(api_key=key, base_url=open_door.base_url, max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def remote() -> Iterator[servers.Remote]:
    with servers.real() as remote:
        yield remote


def tool(remote: servers.Remote, **more: Any) -> dict[str, Any]:
    named = {"type": "mcp", "server_label": "thing", "server_url": remote.url}
    return {**named, "require_approval": "never", **more}


def ask(client: openai.OpenAI, remote: servers.Remote, words: str, **more: Any) -> Any:
    fields = {"model": "sim-tool", "input": words, "tools": [tool(remote)], **more}
    return client.responses.create(**fields)


def calling(name: str, **arguments: Any) -> str:
    return f"[[sim call=thing__{name} args={json.dumps(arguments, separators=(',', ':'))}]] Go."


def kinds(response: Any) -> list[str]:
    return [item.type for item in response.output]


def test_the_model_calls_a_tool_and_is_told_what_it_gave(
    client: openai.OpenAI, remote: servers.Remote
) -> None:
    made = ask(client, remote, calling("add", a=2, b=3))
    assert kinds(made) == ["mcp_list_tools", "mcp_call", "message"]
    listed, call, _ = made.output
    assert {each.name for each in listed.tools} >= {"add", "delete", "wait"}
    assert (call.name, call.output, call.error) == ("add", "5", None)
    assert json.loads(call.arguments) == {"a": 2, "b": 3}
    assert made.status == "completed"
    assert "5" in made.output_text
