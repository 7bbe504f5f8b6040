"""Streamable HTTP as the Model Context Protocol has it: a client of one server, for one run.

It says that it can do nothing for the server (no sampling, no roots, no questions), so it is asked for
nothing.  A failure of any kind is a `ToolFailed`.
"""

import asyncio
import base64
import re
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from itertools import count
from typing import Any, TypeVar

import msgspec

from portico.canon.remote import RemoteTool, Server
from portico.dialects.body import json_object
from portico.errors import Refusal
from portico.tools.http import Poster, Reply
from portico.tools.model import TOOL_FAILED, Limits, Offer, Result, ToolFailed

PROTOCOL = "2025-06-18"
NEWER = "2026-07-28"
"""Without greetings and sessions: every message says all there is to say.  Spoken to servers that refuse
to be greeted; those that know both are greeted."""
_OF_NEWER = frozenset({-32022, -32601})
"""What such servers answer: a version that they do not speak; a method that they do not know."""
_META = "io.modelcontextprotocol"
_SPOKEN = frozenset({"2025-11-25", "2025-06-18", "2025-03-26"})
"""Versions whose messages are the same as far as they are used here."""
_PAGES_MAX = 20
_TOOL_BYTES_MAX = 65_536
_NAME_MAX = 128
_SAID_MAX = 500
_NUMBER_MAX = 2**31
"""Of an error: what every client can hold."""
_CLOSE_S = 2.0
_SESSION_UNKNOWN = 404
_UNAUTHORIZED = frozenset({401, 403})
_NO_WORDS = _UNAUTHORIZED | {429}
_PLAIN = re.compile(r"(?!=\?base64\?)[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_NOTHING: Mapping[str, str] = {}
Shape = TypeVar("Shape")


class _Error(msgspec.Struct):
    code: int = 0
    message: str = ""


class _Message(msgspec.Struct):
    id: Any = None
    result: msgspec.Raw = msgspec.Raw(b"")
    error: _Error | None = None


class _Begun(msgspec.Struct):
    protocolVersion: str = ""  # noqa: N815 - as the wire has it


class _Tool(msgspec.Struct):
    name: str
    inputSchema: dict[str, Any] = {}  # noqa: N815 - as the wire has it
    description: str | None = None
    annotations: dict[str, Any] | None = None


class _Page(msgspec.Struct):
    tools: list[msgspec.Raw] = []
    nextCursor: str | None = None  # noqa: N815 - as the wire has it


class _Content(msgspec.Struct):
    type: str = ""
    text: str | None = None
    resource: dict[str, Any] | None = None
    uri: str | None = None


class _Called(msgspec.Struct):
    resultType: str = "complete"  # noqa: N815 - as the wire has it
    content: list[_Content] = []
    structuredContent: Any = None  # noqa: N815 - as the wire has it
    isError: bool = False  # noqa: N815 - as the wire has it


class Session:
    """Belongs to one run.  `open` before all else, `close` at the end."""

    def __init__(self, server: Server, poster: Poster, limits: Limits) -> None:
        self._server = server
        self._poster = poster
        self._limits = limits
        self._ids = count(1)
        self._headers = {
            **dict(server.headers),
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
        }
        self._named = self._newer = False
        self.gone = False
        """The server knows nothing of this session any more: another one has to be opened."""

    async def open(self) -> None:
        """Raises: ToolFailed."""
        try:
            await self._greet()
        except ToolFailed as failed:
            if failed.number not in _OF_NEWER:
                raise
            self._newer = True
            self._headers["mcp-protocol-version"] = NEWER

    async def _greet(self) -> None:
        begun = await self._ask(
            "initialize",
            {
                "protocolVersion": PROTOCOL,
                "capabilities": {},
                "clientInfo": _client(),
            },
            _Begun,
        )
        if begun.protocolVersion not in _SPOKEN:
            raise ToolFailed("server_invalid", "The server speaks another version of MCP.")
        self._headers["mcp-protocol-version"] = begun.protocolVersion
        await self._send({"method": "notifications/initialized"})

    async def tools(self) -> Offer:
        """Those it may offer, as many as are offered at most.  Raises: ToolFailed."""
        found: dict[str, RemoteTool] = {}
        most, left_out = self._limits.tools_max, False
        cursor: str | None = None
        for _ in range(_PAGES_MAX):
            page = await self._ask("tools/list", {"cursor": cursor} if cursor else {}, _Page)
            for tool in map(_tool, page.tools):
                if tool is None or (self._server.offers(tool) and len(found) >= most):
                    left_out = True
                elif self._server.offers(tool):
                    found.setdefault(tool.name, tool)
            cursor = page.nextCursor
            if not cursor or len(found) >= most:
                break
        return Offer(tuple(found.values()), left_out or bool(cursor))

    async def call(self, name: str, arguments: dict[str, Any]) -> Result:
        """Raises: ToolFailed."""
        called = await self._ask("tools/call", {"name": name, "arguments": arguments}, _Called)
        if called.resultType != "complete":
            raise ToolFailed(
                "server_error", "The tool asks for something that nobody answers here."
            )
        text = "\n".join(filter(None, map(_text, called.content)))
        if not text and called.structuredContent is not None:
            text = msgspec.json.encode(called.structuredContent).decode()
        return Result(text, TOOL_FAILED if called.isError else "")

    async def close(self) -> None:
        """Tell the server that nothing more comes; whether it cares is not looked at."""
        if not self._named or self.gone:
            return
        with suppress(ToolFailed, TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await self._post("DELETE", b"", lambda _: True)

    async def _ask(self, method: str, params: dict[str, Any], shape: type[Shape]) -> Shape:
        number = next(self._ids)
        message = {"id": number, "method": method, "params": params}
        if self._newer:
            message["params"] = {**params, "_meta": _meta()}
        reply = await self._send(message, number)
        try:
            answer = msgspec.json.decode(reply.body, type=_Message)
            if answer.error is not None:
                raise _failed(answer.error)
            if answer.id != number:
                raise ToolFailed("server_invalid", "The answer is to another question.")
            return msgspec.json.decode(answer.result, type=shape)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ToolFailed("server_invalid", "The answer is none in MCP's words.") from error

    async def _send(self, message: dict[str, Any], number: int | None = None) -> Reply:
        """number: of the answer that is waited for; None: there is none."""

        def wanted(data: bytes) -> bool:
            try:
                return bool(msgspec.json.decode(data, type=_Message).id == number)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return False

        body = msgspec.json.encode({"jsonrpc": "2.0", **message})
        try:
            async with asyncio.timeout(self._limits.call_s):
                reply = await self._post("POST", body, wanted, self._heading(message))
        except TimeoutError:
            raise ToolFailed(
                "server_timeout", f"No answer within {self._limits.call_s:g} s."
            ) from None
        if not 200 <= reply.status < 300:
            self.gone = self._named and reply.status == _SESSION_UNKNOWN
            if number is None or not _says_why(reply):
                raise _refused(reply.status)
        session = reply.headers.get("mcp-session-id")
        if session:
            self._headers["mcp-session-id"], self._named = session, True
        return reply

    def _heading(self, message: dict[str, Any]) -> dict[str, str]:
        """What the newer version wants to see at its head."""
        if not self._newer:
            return {}
        found = {"mcp-method": message["method"]}
        if message["method"] == "tools/call":
            found["mcp-name"] = _header(message["params"]["name"])
        return found

    async def _post(
        self, method: str, body: bytes, wanted: Any, heading: Mapping[str, str] = _NOTHING
    ) -> Reply:
        return await self._poster.send(
            method,
            self._server.url,
            {**self._headers, **heading},
            body,
            wanted=wanted,
            bytes_max=self._limits.result_bytes_max,
        )


def _client() -> dict[str, str]:
    return {"name": "portico", "version": version("portico")}


def _meta() -> dict[str, Any]:
    return {
        f"{_META}/protocolVersion": NEWER,
        f"{_META}/clientInfo": _client(),
        f"{_META}/clientCapabilities": {},
    }


def _header(value: str) -> str:
    """As the newer version writes what no header could hold."""
    if _PLAIN.fullmatch(value):
        return value
    return f"=?base64?{base64.b64encode(value.encode('utf-8', 'replace')).decode()}?="


def _failed(error: _Error) -> ToolFailed:
    number, said = error.code, error.message[:_SAID_MAX]
    known = abs(number) <= _NUMBER_MAX
    return ToolFailed("server_error", f"{number}: {said}", number=number if known else 0)


def _says_why(reply: Reply) -> bool:
    """In MCP's words, behind a status that is none of success."""
    if reply.status in _NO_WORDS:
        return False
    try:
        return msgspec.json.decode(reply.body, type=_Message).error is not None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _refused(status: int) -> ToolFailed:
    if status in _UNAUTHORIZED:
        return ToolFailed(
            "server_unauthorized",
            f"The server answers with status {status}: it wants other credentials than it was given.",
            status=status,
        )
    return ToolFailed("server_error", f"The server answers with status {status}.", status=status)


def _tool(raw: msgspec.Raw) -> RemoteTool | None:
    """None for one that no model could be offered."""
    if len(raw) > _TOOL_BYTES_MAX:
        return None
    try:
        json_object(bytes(raw))  # as strictly as a request: it becomes part of one
        tool = msgspec.json.decode(raw, type=_Tool)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, Refusal):
        return None
    schema = {"type": "object", **tool.inputSchema}
    if not 1 <= len(tool.name) <= _NAME_MAX or not _takes_object(schema):
        return None
    return RemoteTool(tool.name, tool.description or "", schema, tool.annotations or {})


def _takes_object(schema: dict[str, Any]) -> bool:
    """As MCP has it.  An engine that is shown another refuses all of the request."""
    return (
        schema["type"] == "object"
        and isinstance(schema.get("properties", {}), dict)
        and isinstance(schema.get("required", []), list)
    )


def _text(part: _Content) -> str:
    """What a model can read of it."""
    if part.text is not None:
        return part.text
    if part.resource is not None and isinstance(part.resource.get("text"), str):
        return str(part.resource["text"])
    return f"[{part.type}{' ' + part.uri if part.uri else ''}]"
