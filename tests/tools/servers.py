"""Remote servers of every temper, on loopback: a real one, made with the official SDK, and hostile ones."""

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.types import ToolAnnotations


@dataclass
class Remote:
    """url: of its endpoint.  calls: (tool, arguments) as they came.  heads: of every message.
    hold: calls of `wait` end once it is set."""

    url: str = ""
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    heads: list[dict[str, str]] = field(default_factory=list)
    waiting: threading.Event = field(default_factory=threading.Event)
    hold: threading.Event = field(default_factory=threading.Event)
    cancelled: threading.Event = field(default_factory=threading.Event)


def _tools(server: MCPServer, remote: Remote) -> None:
    @server.tool(
        description="Adds two whole numbers.", annotations=ToolAnnotations(readOnlyHint=True)
    )
    def add(a: int, b: int) -> str:
        remote.calls.append(("add", {"a": a, "b": b}))
        return str(a + b)

    @server.tool(description="Deletes a thing.")
    def delete(name: str) -> str:
        remote.calls.append(("delete", {"name": name}))
        return f"deleted {name}"

    @server.tool(description="Fails.")
    def broken() -> str:
        raise ValueError("it broke")

    @server.tool(description="Says a lot.")
    def large(size: int) -> str:
        return "x" * size

    @server.tool(description="Waits until it is let go.")
    async def wait() -> str:

        remote.calls.append(("wait", {}))
        remote.waiting.set()
        try:
            await asyncio.to_thread(remote.hold.wait, 30)
        except BaseException:
            remote.cancelled.set()
            raise
        return "waited"


NEWER = "2026-07-28"


async def _refuse_greeting(send: Any) -> None:
    said = {"supported": [NEWER], "requested": "2025-06-18"}
    error = {"code": -32022, "message": "Unsupported protocol version", "data": said}
    body = json.dumps({"jsonrpc": "2.0", "id": None, "error": error}).encode()
    head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 400, "headers": head})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def real(*, json_response: bool = False, newer_only: bool = False) -> Iterator[Remote]:
    """A server of the official SDK, which answers with events or with JSON.
    newer_only: it refuses to be greeted, as servers of the newer version do."""
    remote = Remote()
    server = MCPServer("thing")
    _tools(server, remote)
    inner = server.streamable_http_app(json_response=json_response)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            heads = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
            remote.heads.append(heads)
            if newer_only and heads.get("mcp-protocol-version") != NEWER:
                await _refuse_greeting(send)
                return
        await inner(scope, receive, send)

    taken = socket.create_server(("127.0.0.1", 0))
    running = uvicorn.Server(uvicorn.Config(app, log_level="critical", ws="none"))
    thread = threading.Thread(target=running.run, args=([taken],), daemon=True)
    thread.start()
    remote.url = f"http://127.0.0.1:{taken.getsockname()[1]}/mcp"
    try:
        yield remote
    finally:
        remote.hold.set()
        running.should_exit = running.force_exit = True
        thread.join(10)
        taken.close()


Answering = Callable[[socket.socket, dict[str, Any], bytes], None]
"""The connection, the message, and its head."""


@contextmanager
def hostile(answering: Answering) -> Iterator[Remote]:
    """A server that answers each message as `answering` does, and closes."""
    remote = Remote()
    listening = socket.create_server(("127.0.0.1", 0))
    remote.url = f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=_answer, args=(connection, answering), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield remote
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(10)


def _answer(connection: socket.socket, answering: Answering) -> None:
    with connection:
        connection.settimeout(30)
        try:
            head, body = _message(connection)
            answering(connection, json.loads(body or b"{}"), head)
        except OSError:
            return


def _message(connection: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65_536)
        if not more:
            raise OSError("gone")
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    size = next(
        (
            int(line[15:])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        ),
        0,
    )
    while len(body) < size:
        body += connection.recv(65_536)
    return head, body


def reply(connection: socket.socket, document: Any, *headers: str, status: str = "200 OK") -> None:
    body = json.dumps(document).encode() if document is not None else b""
    lines = [
        f"HTTP/1.1 {status}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        *headers,
    ]
    connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def polite(
    connection: socket.socket, message: dict[str, Any], tools: list[Any] | None = None
) -> bool:
    """Answer the beginning as it should be: False for a call, which is for somebody else."""
    answer: dict[str, Any] = {"jsonrpc": "2.0", "id": message.get("id")}
    method = message.get("method")
    if method == "initialize":
        begun = {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {"name": "x"}}
        reply(connection, {**answer, "result": begun})
    elif method == "tools/list":
        schema = {"type": "object", "properties": {}}
        offered = tools if tools is not None else [{"name": "trap", "inputSchema": schema}]
        reply(connection, {**answer, "result": {"tools": offered}})
    elif method == "tools/call":
        return False
    else:
        reply(connection, None, status="202 Accepted")
    return True
