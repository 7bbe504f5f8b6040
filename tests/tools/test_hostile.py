"""Servers that loop, hang, lie or lead inward: every one of them is a `ToolFailed` with a code."""

import socket
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from portico.canon.remote import Server
from portico.kit.egress import Refused
from portico.tools.http import Poster, Ways
from portico.tools.model import Limits, ToolFailed
from portico.tools.session import Session
from tests.tools import servers

LIMITS = Limits(
    servers_max=4,
    tools_max=3,
    rounds_max=4,
    calls_max=4,
    tokens_max=1_000,
    run_s=10,
    call_s=20,
    parallel=2,
    result_bytes_max=50_000,
    runs_max=4,
    runs_per_project_max=2,
)
HASTY = replace(LIMITS, call_s=1.5)
"""For servers that never answer: for all others time is no matter."""
OPEN = Poster(Ways(private_allowed=True))


def session(url: str, poster: Poster = OPEN, limits: Limits = LIMITS, **more: Any) -> Session:
    return Session(Server("tools[0]", "thing", url, **more), poster, limits)


async def called(url: str, limits: Limits) -> str:
    """The code of what went wrong, which has a number that fits."""
    one = session(url, limits=limits)
    await one.open()
    with pytest.raises(ToolFailed) as failed:
        await one.call("trap", {})
    assert abs(failed.value.number) <= 2**31
    return failed.value.code


def _hang(connection: socket.socket) -> None:
    connection.recv(1)  # until the other side gives up


def _drip(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
    while True:
        connection.sendall(b": still here\n\n")
        time.sleep(0.05)


def _flood(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65_536)


def _events_without_end(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: ")
    while True:
        connection.sendall(b"x" * 65_536)


def _raw(data: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(data)


def _json(body: bytes) -> Callable[[socket.socket], None]:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return _raw(head % len(body) + body)


ANSWERS: dict[str, tuple[Callable[[socket.socket], None], str]] = {
    "hangs": (_hang, "server_timeout"),
    "drips for ever": (_drip, "server_timeout"),
    "a gigabyte": (_flood, "result_too_large"),
    "an event without end": (_events_without_end, "result_too_large"),
    "hangs up": (_raw(b""), "server_unreachable"),
    "hangs up in the middle": (
        _raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"),
        "server_unreachable",
    ),
    "no HTTP": (_raw(b"SSH-2.0-OpenSSH_9.6\r\n" * 3), "server_invalid"),
    "a head without end": (_raw(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000), "server_invalid"),
    "no JSON": (_json(b"<html>"), "server_invalid"),
    "another's answer": (_json(b'{"jsonrpc":"2.0","id":99,"result":{}}'), "server_invalid"),
    "a result of another shape": (
        _json(b'{"jsonrpc":"2.0","id":2,"result":{"content":5}}'),
        "server_invalid",
    ),
    "deep": (_json(b'{"id":2,"result":' + b"[" * 40_000 + b"}"), "server_invalid"),
    "half a character": (
        _json(b'{"id":2,"result":{"content":[{"type":"text","text":"\xff"}]}}'),
        "server_invalid",
    ),
    "an error": (
        _json(b'{"jsonrpc":"2.0","id":2,"error":{"code":-32000,"message":"no"}}'),
        "server_error",
    ),
    "an error of a number without end": (
        _json(b'{"jsonrpc":"2.0","id":2,"error":{"code":99999999999999999999,"message":"no"}}'),
        "server_error",
    ),
    "a status": (_raw(b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n"), "server_error"),
    "wants to know who asks": (
        _raw(b'HTTP/1.1 401 No\r\nwww-authenticate: Bearer realm="x"\r\ncontent-length: 0\r\n\r\n'),
        "server_unauthorized",
    ),
    "redirects inward": (
        _raw(
            b"HTTP/1.1 307 T\r\nlocation: http://169.254.169.254/latest/\r\ncontent-length: 0\r\n\r\n"
        ),
        "server_refused",
    ),
    "redirects to a GET": (
        _raw(b"HTTP/1.1 302 F\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n"),
        "server_refused",
    ),
    "redirects in circles": (
        _raw(b"HTTP/1.1 307 T\r\nlocation: /mcp\r\ncontent-length: 0\r\n\r\n"),
        "server_refused",
    ),
    "comes compressed": (
        _raw(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc"),
        "server_invalid",
    ),
}


@pytest.mark.anyio
@pytest.mark.parametrize("what", ANSWERS)
async def test_whatever_a_server_does_has_a_name(what: str) -> None:
    answer, code = ANSWERS[what]

    def answering(connection: socket.socket, message: dict[str, Any], head: bytes) -> None:
        if not servers.polite(connection, message):
            answer(connection)

    with servers.hostile(answering) as remote:
        assert await called(remote.url, HASTY if code == "server_timeout" else LIMITS) == code


@pytest.mark.anyio
async def test_a_redirect_within_the_same_origin_is_followed() -> None:
    def answering(connection: socket.socket, message: dict[str, Any], head: bytes) -> None:
        if head.startswith(b"POST /mcp "):
            servers.reply(connection, None, "location: /mcp/", status="307 T")
        elif not servers.polite(connection, message):
            result = {"content": [{"type": "text", "text": "there"}]}
            servers.reply(connection, {"id": message["id"], "result": result})

    with servers.hostile(answering) as remote:
        one = session(remote.url)
        await one.open()
        assert (await one.call("trap", {})).text == "there"


@pytest.mark.anyio
async def test_its_headers_go_to_no_other_origin() -> None:
    heard: list[bytes] = []

    def listening(connection: socket.socket, message: dict[str, Any], head: bytes) -> None:
        heard.append(head)

    with servers.hostile(listening) as other:

        def leading(connection: socket.socket, message: dict[str, Any], head: bytes) -> None:
            servers.reply(connection, None, f"location: {other.url}", status="307 T")

        with servers.hostile(leading) as remote:
            one = session(remote.url, headers=(("authorization", "Bearer secret"),))
            with pytest.raises(ToolFailed) as failed:
                await one.open()
    assert failed.value.code == "server_refused"
    assert heard == []


@pytest.mark.anyio
@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/mcp",
        "https://[::1]/mcp",
        "https://[::ffff:10.0.0.1]/mcp",
        "https://169.254.169.254/mcp",
        "https://0x7f.1/mcp",
        "http://example.com/mcp",
        "https://example.com:22/mcp",
        "https://user:pass@example.com/mcp",
        "file:///etc/passwd",
        "https://example.com\r\nhost: x/",
    ],
)
async def test_nothing_inside_is_connected_to(url: str) -> None:
    async def connect(*_: Any) -> Any:
        raise AssertionError("connected")

    with pytest.raises(ToolFailed) as failed:
        await session(url, Poster(Ways(), connect=connect)).open()
    assert failed.value.code in ("server_refused", "server_unreachable")


@pytest.mark.anyio
async def test_the_address_that_was_checked_is_the_one_connected_to() -> None:
    """A name that means something else the second time it is asked for."""
    answers = iter([["93.184.215.14"], ["127.0.0.1"]])
    dialled: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        return next(answers)

    async def connect(address: str, *_: Any) -> Any:
        dialled.append(address)
        raise OSError

    poster = Poster(Ways(), resolve=resolve, connect=connect)
    with pytest.raises(ToolFailed):
        await session("https://example.com/mcp", poster).open()
    with pytest.raises(ToolFailed) as failed:
        await session("https://example.com/mcp", poster).open()
    assert dialled == ["93.184.215.14"]
    assert isinstance(failed.value.__cause__, Refused)


@pytest.mark.anyio
async def test_tools_no_model_could_be_offered_are_left_out() -> None:
    deep: Any = {}
    for _ in range(200):
        deep = {"properties": {"x": deep}}
    offered = [
        {"name": "good", "inputSchema": {"type": "object"}},
        {"name": "good", "inputSchema": {"type": "object"}, "description": "twice"},
        {"name": "", "inputSchema": {}},
        {"name": "deep", "inputSchema": deep},
        {"name": "large", "description": "x" * 70_000},
        {"name": "list", "inputSchema": {"type": "array"}},
        {"name": "five", "inputSchema": {"type": "object", "properties": 5}},
        {"name": "word", "inputSchema": {"type": "object", "required": "x"}},
        {"name": 5},
        "none",
        *({"name": f"more{at}", "inputSchema": {}} for at in range(9)),
    ]

    def answering(connection: socket.socket, message: dict[str, Any], head: bytes) -> None:
        servers.polite(connection, message, offered)

    with servers.hostile(answering) as remote:
        one = session(remote.url)
        await one.open()
        offer = await one.tools()
        assert [tool.name for tool in offer.tools] == ["good", "more0", "more1"]
        assert offer.tools[1].parameters == {"type": "object"}, "as engines want it"
        assert offer.left_out


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("names", "pages", "left_out"),
    [
        (["a", "b", "c"], 1, False),
        (["a", "b", "c", "d"], 1, True),
        (["a", "b", "c"], 2, True),
        (["a", "b", "", "c"], 1, True),
        (["a", "a", "b"], 1, False),
    ],
)
async def test_what_is_left_out_is_noticed(names: list[str], pages: int, left_out: bool) -> None:
    offered = [{"name": name, "inputSchema": {}} for name in names]

    def answering(connection: socket.socket, message: dict[str, Any], head: bytes) -> None:
        if message.get("method") == "tools/list":
            more = {"nextCursor": "on"} if pages > 1 else {}
            result = {"tools": offered, **more}
            servers.reply(connection, {"id": message["id"], "result": result})
        else:
            servers.polite(connection, message)

    with servers.hostile(answering) as remote:
        one = session(remote.url)
        await one.open()
        assert (await one.tools()).left_out is left_out


@pytest.mark.anyio
async def test_what_was_not_asked_for_is_not_missed() -> None:
    offered = [{"name": f"t{at}", "inputSchema": {}} for at in range(9)]

    def answering(connection: socket.socket, message: dict[str, Any], head: bytes) -> None:
        servers.polite(connection, message, offered)

    with servers.hostile(answering) as remote:
        one = session(remote.url, allowed=frozenset({"t7", "t8"}))
        await one.open()
        offer = await one.tools()
    assert [tool.name for tool in offer.tools] == ["t7", "t8"]
    assert not offer.left_out


@pytest.mark.anyio
async def test_a_list_without_end_ends() -> None:
    def answering(connection: socket.socket, message: dict[str, Any], head: bytes) -> None:
        if message.get("method") == "tools/list":
            result = {"tools": [], "nextCursor": "again"}
            servers.reply(connection, {"id": message["id"], "result": result})
        else:
            servers.polite(connection, message)

    with servers.hostile(answering) as remote:
        one = session(remote.url)
        await one.open()
        assert (await one.tools()).tools == ()
