"""How many runs there are at once, and what is shared between them: nothing."""

import re
import socket
from dataclasses import replace
from typing import Any

import pytest

from portico.callers.model import Caller
from portico.canon.remote import Server
from portico.errors import Refusal
from portico.tools.http import Poster, Ways
from portico.tools.model import ToolFailed
from portico.tools.service import Tools
from tests.tools import servers
from tests.tools.test_hostile import LIMITS

CALLER = Caller("key_a", "proj_a", "org_a", "live", 10)


def tools() -> Tools:
    return Tools(Poster(Ways(private_allowed=True)), LIMITS)


@pytest.mark.anyio
async def test_a_project_has_so_many_runs_and_all_have_so_many_together() -> None:
    of, others = tools(), [replace(CALLER, project_id=f"proj_{at}") for at in range(3)]
    mine = [of.begin(CALLER) for _ in range(LIMITS.runs_per_project_max)]
    with pytest.raises(Refusal) as refused:
        of.begin(CALLER)
    assert refused.value.status == 429
    theirs = [of.begin(caller) for caller in others[: LIMITS.runs_max - len(mine)]]
    with pytest.raises(Refusal) as refused:
        of.begin(others[-1])
    assert refused.value.status == 503
    for run in (*mine, *theirs):
        await run.end()
    await of.begin(CALLER).end()


@pytest.mark.anyio
async def test_each_run_has_a_session_of_its_own() -> None:
    of = tools()
    with servers.real() as remote:
        server = Server("tools[0]", "thing", remote.url, (("authorization", "Bearer one"),))
        other = replace(server, headers=(("authorization", "Bearer two"),))
        for named in (server, other):
            run = of.begin(CALLER)
            (listed,) = await run.listed([named])
            assert listed.tools
            assert (await run.call(named, "add", '{"a":1,"b":2}')).text == "3"
            await run.end()
    sessions = {
        head["authorization"]: head["mcp-session-id"]
        for head in remote.heads
        if "mcp-session-id" in head
    }
    assert len(set(sessions.values())) == 2


@pytest.mark.anyio
async def test_arguments_that_are_no_object_reach_no_server() -> None:
    run = tools().begin(CALLER)
    for arguments in ("[1]", "{", '"x"', "[" * 5_000):
        with pytest.raises(ToolFailed) as failed:
            await run.call(Server("tools[0]", "thing", "http://127.0.0.1:9"), "add", arguments)
        assert failed.value.code == "arguments_invalid"
    await run.end()


@pytest.mark.anyio
async def test_a_session_that_its_server_has_forgotten_is_opened_anew_and_the_call_made_once() -> (
    None
):
    asked: list[tuple[str, str]] = []

    def forgetting(connection: socket.socket, message: dict[str, Any], head: bytes) -> None:
        named = re.search(rb"mcp-session-id: (\w+)", head)
        asked.append((message.get("method", "end"), named[1].decode() if named else ""))
        began = sum(method == "initialize" for method, _ in asked)
        if message.get("method") == "initialize":
            begun = {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {}}
            answer = {"jsonrpc": "2.0", "id": message["id"], "result": begun}
            servers.reply(connection, answer, f"mcp-session-id: s{began}")
        elif message.get("method") == "tools/call" and asked[-1][1] == "s1":
            servers.reply(connection, None, status="404 Not Found")
        elif message.get("method") == "tools/call":
            result = {"content": [{"type": "text", "text": "done"}]}
            servers.reply(connection, {"jsonrpc": "2.0", "id": message["id"], "result": result})
        else:
            servers.reply(connection, None, status="202 Accepted")

    run = tools().begin(CALLER)
    with servers.hostile(forgetting) as remote:
        server = Server("tools[0]", "thing", remote.url)
        assert (await run.call(server, "trap", "{}")).text == "done"
        await run.end()
    calls = [session for method, session in asked if method == "tools/call"]
    assert calls == ["s1", "s2"]
    assert [session for method, session in asked if method == "end"] == ["s2"]


@pytest.mark.anyio
async def test_a_server_that_forgets_every_session_is_not_asked_for_ever() -> None:
    asked: list[str] = []

    def forgetting(connection: socket.socket, message: dict[str, Any], head: bytes) -> None:
        asked.append(message.get("method", "end"))
        if asked[-1] == "initialize":
            begun = {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {}}
            answer = {"jsonrpc": "2.0", "id": message["id"], "result": begun}
            servers.reply(connection, answer, "mcp-session-id: gone")
        elif asked[-1] == "tools/call":
            servers.reply(connection, None, status="404 Not Found")
        else:
            servers.reply(connection, None, status="202 Accepted")

    run = tools().begin(CALLER)
    with servers.hostile(forgetting) as remote:
        with pytest.raises(ToolFailed) as failed:
            await run.call(Server("tools[0]", "thing", remote.url), "trap", "{}")
        await run.end()
    assert (failed.value.code, failed.value.fault, failed.value.number) == (
        *("server_error", "http"),
        404,
    )
    assert asked.count("tools/call") == 2


@pytest.mark.anyio
async def test_a_server_of_the_newer_version_is_not_greeted_and_has_no_session() -> None:
    run = tools().begin(CALLER)
    with servers.real(newer_only=True) as remote:
        server = Server("tools[0]", "thing", remote.url)
        (listed,) = await run.listed([server])
        assert not listed.error
        assert {tool.name for tool in listed.tools} >= {"add", "delete"}
        assert (await run.call(server, "add", '{"a":1,"b":2}')).text == "3"
        assert (await run.call(server, "broken", "{}")).failed == "tool_failed"
        strange = await run.call(server, "no such töol", "{}")
        assert "töol" in strange.text, "it heard the name, and what the head says of it"
        await run.end()
    assert [head.get("mcp-method") for head in remote.heads[1:]] == [
        "tools/list",
        *["tools/call"] * 3,
    ]
    assert not any("mcp-session-id" in head for head in remote.heads)


@pytest.mark.anyio
async def test_a_tool_that_asks_back_is_not_answered() -> None:
    def asking(connection: socket.socket, message: dict[str, Any], head: bytes) -> None:
        if not servers.polite(connection, message):
            result = {"resultType": "input_required", "requestState": "x", "content": []}
            servers.reply(connection, {"jsonrpc": "2.0", "id": message["id"], "result": result})

    run = tools().begin(CALLER)
    with servers.hostile(asking) as remote:
        with pytest.raises(ToolFailed, match="nobody answers"):
            await run.call(Server("tools[0]", "thing", remote.url), "trap", "{}")
        await run.end()
