"""A request that names remote servers, and those that a model is asked in its place.

As for Responses, it is rewritten as a document.  There is no asking for approval in Messages: what a
request enables may be called.  Pure.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal

import msgspec
from msgspec import Struct

from portico import errors
from portico.canon.conversation import Item, Message, Thought, ToolCall, ToolResult
from portico.canon.prompt import Prompt
from portico.canon.remote import Approved, RemoteTool, Server
from portico.dialects import diagnosis
from portico.dialects.anthropic_messages.reader import ISSUER, REDACTED
from portico.dialects.anthropic_messages.signatures import Signatures
from portico.dialects.body import checked
from portico.dialects.openai_responses.remote.servers import check_all, check_server
from portico.errors import Refusal
from portico.kit.sealing import Seal

TOOLSET = "mcp_toolset"
_USE, _RESULT, _LISTING = "mcp_tool_use", "mcp_tool_result", "mcp_tool_listing"
Functions = Mapping[str, tuple[Server, RemoteTool]]


class Configuration(Struct):
    """What the first version of this said of a server's tools."""

    enabled: bool | None = None
    allowed_tools: list[str] | None = None


class McpServer(Struct):
    name: str
    url: str
    type: Literal["url"] = "url"
    authorization_token: str | None = None
    tool_configuration: Configuration | None = None


class Enabled(Struct):
    enabled: bool | None = None


class Listed(Struct):
    """A tool, as its server described it before."""

    name: str
    input_schema: dict[str, Any] = {}
    description: str | None = None


class Toolset(Struct):
    """tools: all there are, where the server is not to be asked."""

    mcp_server_name: str
    tools: list[Listed] | None = None
    default_config: Enabled | None = None
    configs: dict[str, Enabled] | None = None


class Wording:
    """Of remote tools, in Messages."""

    def __init__(self, seal: Seal) -> None:
        self._signatures = Signatures(seal)

    def wanted(self, prompt: Prompt) -> bool:
        raw = prompt.fields.get("mcp_servers")
        return raw is not None and bytes(raw) not in (b"null", b"[]")

    def document(self, prompt: Prompt, servers_max: int) -> "Document":
        """Raises: Refusal."""
        return Document(prompt.body, servers_max, self._signatures.of(prompt.project_id))

    def approval_id(self, *_: Any) -> str:
        raise AssertionError("nothing is asked for in Messages")


class Document:
    def __init__(self, body: bytes, servers_max: int, signatures: Signatures) -> None:
        """body: it was parsed before.  Raises: Refusal: what is wrong with its servers."""
        self._said: dict[str, Any] = msgspec.json.decode(body)
        self._signatures = signatures
        toolsets = list(_toolsets(self._said.get("tools") or ()))
        self._pinned = {each.mcp_server_name: each.tools for _, each in toolsets}
        self.servers = list(_servers(self._said.get("mcp_servers"), toolsets))
        check_all(self.servers, servers_max, "name")

    @property
    def calls_max(self) -> int | None:
        return None

    @property
    def names(self) -> set[str]:
        return {tool.get("name") or "" for tool in self._said.get("tools") or ()}

    def listed(self, server: Server) -> tuple[RemoteTool, ...] | None:
        """As the toolset has it, or an earlier answer; None: the server has to be asked."""
        found = self._pinned.get(server.label)
        if found is None:
            found = self._listed_before(server.label)
        if found is None:
            return None
        tools = [
            RemoteTool(each.name, each.description or "", each.input_schema, {}) for each in found
        ]
        return tuple(tool for tool in tools if server.offers(tool))

    def _listed_before(self, name: str) -> list[Listed] | None:
        said = [
            block.get("tools")
            for message in self._said["messages"]
            for block in _blocks(message)
            if _kind(block) == _LISTING and block.get("mcp_server_name") == name
        ]
        try:
            return msgspec.convert(said[-1], list[Listed]) if said else None
        except msgspec.ValidationError:
            return None

    def approved(self, project_id: str) -> list[Approved]:
        return []

    def body(
        self,
        functions: Functions,
        rounds: Sequence[Item],
        results: Mapping[str, str],
        *,
        output_tokens_max: int | None,
    ) -> bytes:
        """See `openai_responses.remote.turns.Document`."""
        said = {name: value for name, value in self._said.items() if name != "mcp_servers"}
        told = [part for each in said["messages"] for part in _told(each, functions)]
        said["messages"] = [*told, *self._made(rounds)]
        own = [tool for tool in said.get("tools") or () if tool.get("type") != TOOLSET]
        said["tools"] = [*own, *(_tool(name, tool) for name, (_, tool) in functions.items())]
        choice = said.get("tool_choice")
        if rounds and isinstance(choice, dict) and choice.get("type") in ("any", "tool"):
            said["tool_choice"] = {**choice, "type": "auto"}
            said["tool_choice"].pop("name", None)
        if not said["tools"]:
            del said["tools"]
            said.pop("tool_choice", None)
        if output_tokens_max is not None:
            said["max_tokens"] = output_tokens_max
        return msgspec.json.encode(said)

    def _made(self, rounds: Sequence[Item]) -> Iterator[dict[str, Any]]:
        """Turns of the model and results, one after the other."""
        return _grouped(
            ("user" if isinstance(item, ToolResult) else "assistant", self._block(item))
            for item in rounds
        )

    def _block(self, item: Item) -> dict[str, Any]:
        match item:
            case ToolCall():
                return _use(item.id, item.name, _object(item.arguments))
            case ToolResult():
                return _result(item.call_id, item.text, failed=item.failed)
            case Thought(sealed=sealed) if item.issuer == ISSUER and sealed.startswith(REDACTED):
                return {"type": "redacted_thinking", "data": sealed.removeprefix(REDACTED)}
            case Thought():
                signature = self._signatures.sign(item, shown=True)
                return {"type": "thinking", "thinking": item.text, "signature": signature}
            case Message():
                return {"type": "text", "text": item.text}


def _told(message: Any, functions: Functions) -> Iterator[Any]:
    """An earlier turn: calls of remote tools, and what they gave, as the model knows them."""
    content = _blocks(message)
    if not any(_kind(block) in (_RESULT, _LISTING) for block in content):
        yield message
        return
    yield from _grouped(_parts(message["role"], content, functions))


def _parts(role: str, content: list[Any], functions: Functions) -> Iterator[tuple[str, Any]]:
    """Each block, and whose it is."""
    for block in content:
        if _kind(block) == _RESULT:
            said, failed = _text(block.get("content")), bool(block.get("is_error"))
            yield "user", _result(block.get("tool_use_id"), said, failed=failed)
        elif _kind(block) == _USE:
            given = block.get("input")
            name = _name(block, functions)
            yield role, _use(block.get("id"), name, given if isinstance(given, dict) else {})
        elif _kind(block) != _LISTING:
            yield role, block


def _grouped(parts: Iterable[tuple[str, Any]]) -> Iterator[dict[str, Any]]:
    """Blocks as turns: those of the same side that follow each other are one."""
    for role, blocks in groupby(parts, key=itemgetter(0)):
        yield {"role": role, "content": [block for _, block in blocks]}


def _name(block: dict[str, Any], functions: Functions) -> str:
    for name, (server, tool) in functions.items():
        if (server.label, tool.name) == (block.get("server_name"), block.get("name")):
            return name
    return "remote_tool"


def _blocks(message: Any) -> list[Any]:
    content = message.get("content") if isinstance(message, dict) else None
    return content if isinstance(content, list) else []


def _kind(block: Any) -> Any:
    return block.get("type") if isinstance(block, dict) else None


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    return "\n".join(str(each.get("text") or "") for each in parts if isinstance(each, dict))


def _object(arguments: str) -> dict[str, Any]:
    try:
        given = msgspec.json.decode(arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        given = None
    return given if isinstance(given, dict) else {}


def _use(call_id: Any, name: str, given: dict[str, Any]) -> dict[str, Any]:
    return {"type": "tool_use", "id": str(call_id), "name": name, "input": given}


def _result(call_id: Any, text: str, *, failed: bool) -> dict[str, Any]:
    said = {"type": "tool_result", "tool_use_id": str(call_id), "content": text}
    return {**said, "is_error": True} if failed else said


def _tool(name: str, tool: RemoteTool) -> dict[str, Any]:
    schema = {"type": "object", **tool.parameters}
    return {"name": name, "description": tool.description, "input_schema": schema}


def _toolsets(tools: Any) -> Iterator[tuple[str, Toolset]]:
    for at, tool in enumerate(tools):
        if tool.get("type") == TOOLSET:
            yield f"tools[{at}]", _read(f"tools[{at}]", tool, Toolset)


def _servers(said: Any, toolsets: list[tuple[str, Toolset]]) -> Iterator[Server]:
    """Raises: Refusal."""
    if not isinstance(said, list):
        raise errors.INVALID_TYPE("'mcp_servers' must be an array.", field="mcp_servers")
    by_name: dict[str, Toolset] = {}
    for path, toolset in toolsets:
        if by_name.setdefault(toolset.mcp_server_name, toolset) is not toolset:
            field = f"{path}.mcp_server_name"
            raise errors.INVALID_VALUE(
                f"{field!r} is {diagnosis.shown(toolset.mcp_server_name)}, as another toolset's; "
                "each server has one.",
                field=field,
                value=diagnosis.brief(toolset.mcp_server_name),
                limit="one toolset of each server",
            )
    found = [_read(f"mcp_servers[{at}]", each, McpServer) for at, each in enumerate(said)]
    for path, toolset in toolsets:
        if toolset.mcp_server_name not in {each.name for each in found}:
            known = [each.name for each in found]
            raise diagnosis.not_one_of(f"{path}.mcp_server_name", toolset.mcp_server_name, known)
    for at, server in enumerate(found):
        path = f"mcp_servers[{at}]"
        token = server.authorization_token
        headers = () if token is None else (("authorization", f"Bearer {token}"),)
        check_server(f"{path}.name", server.name, ())
        check_server(f"{path}.authorization_token", server.name, headers)
        allowed, denied = _choice(server, by_name, bool(toolsets))
        yield Server(
            path, server.name, server.url, headers, allowed=allowed, denied=denied, asks=False
        )


def _choice(
    server: McpServer, toolsets: dict[str, Toolset], named: bool
) -> tuple[frozenset[str] | None, frozenset[str]]:
    """Tools that may be offered (None: all), and those that may not."""
    toolset = toolsets.get(server.name)
    if toolset is not None:
        each = toolset.configs or {}
        by_default = toolset.default_config is None or toolset.default_config.enabled is not False
        on = frozenset(name for name, one in each.items() if one.enabled is not False)
        off = frozenset(name for name, one in each.items() if one.enabled is False)
        return (None if by_default else on), off
    said = server.tool_configuration
    if named or (said is not None and said.enabled is False):
        return frozenset(), frozenset()
    if said is None or said.allowed_tools is None:
        return None, frozenset()
    return frozenset(said.allowed_tools), frozenset()


def _read(path: str, said: Any, shape: Any) -> Any:
    try:
        return checked(said if isinstance(said, dict) else {}, shape)
    except Refusal as refusal:
        # Not what stood there: it may be a secret.
        field = f"{path}.{refusal.field}"
        raise errors.INVALID_TYPE(
            f"{field!r} is missing, or not what it must be.", field=field
        ) from None
