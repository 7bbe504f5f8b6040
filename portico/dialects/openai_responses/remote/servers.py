"""The remote servers that a request names.  Pure."""

import re
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from portico import errors
from portico.canon.remote import Server, Those
from portico.dialects import diagnosis
from portico.dialects.body import checked
from portico.errors import Refusal

MARK = b'"mcp"'
"""In the body of every request that names one, however it is written."""
_LABEL = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_VALUE = re.compile(r"[\t\x20-\x7e]{0,8192}")
_OURS = frozenset(
    {
        *("accept", "accept-encoding", "connection", "content-length", "content-type", "expect"),
        *("host", "keep-alive", "mcp-protocol-version", "mcp-session-id", "proxy-authorization"),
        *("proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
    }
)
_HEADERS_MAX = 32
_SHOWN = (
    *("type", "server_label", "server_description", "connector_id", "allowed_tools"),
    "require_approval",
)


class Names(Struct):
    tool_names: list[str] | None = None
    read_only: bool | None = None


class Choosing(Struct):
    always: Names | None = None
    never: Names | None = None


class McpTool(Struct):
    type: str
    server_label: str
    server_url: str | None = None
    server_description: str | None = None
    headers: dict[str, str] | None = None
    authorization: str | None = None
    allowed_tools: list[str] | Names | None = None
    require_approval: str | Choosing | None = None
    connector_id: str | None = None
    tunnel_id: str | None = None


def servers_of(tools: Any, servers_max: int) -> list[Server]:
    """tools: of the request.  Raises: Refusal."""
    found: list[Server] = []
    for at, tool in enumerate(tools if isinstance(tools, list) else ()):
        if isinstance(tool, dict) and tool.get("type") == "mcp":
            found.append(_server(f"tools[{at}]", tool))
    check_all(found, servers_max)
    return found


def shown(tool: dict[str, Any]) -> dict[str, Any]:
    """As an answer repeats it, and as it is kept: without what may be a secret, of which a URL's path
    and query are some."""
    url = tool.get("server_url")
    parts = re.match(r"(?i)https?://[^/?#@\s]+(?=[/?#]|$)", url) if isinstance(url, str) else None
    told = {name: tool[name] for name in _SHOWN if name in tool}
    return {
        **told,
        "server_url": f"{parts[0]}/<redacted>" if parts else None,
        "headers": None,
        "authorization": None,
    }


def check_all(found: list[Server], servers_max: int, member: str = "server_label") -> None:
    """Not too many, and none twice.  member: that names each.  Raises: Refusal."""
    if len(found) > servers_max:
        raise errors.OUT_OF_RANGE(
            f"The request names {len(found)} remote servers; it may name {servers_max}.",
            field=found[servers_max].path,
            value=len(found),
            limit=servers_max,
        )
    labels: set[str] = set()
    for server in found:
        if server.label in labels:
            raise _wrong(
                f"{server.path}.{member}", server.label, "as another server's", "labels differ"
            )
        labels.add(server.label)


def check_server(path: str, label: str, headers: Iterable[tuple[str, str]]) -> None:
    """Raises: Refusal; a header's value is never shown."""
    if not _LABEL.fullmatch(label):
        raise _wrong(path, label, "not a label", "1 to 64 of A-Z a-z 0-9 _ . -")
    for count, (name, value) in enumerate(headers, 1):
        if not _HEADER.fullmatch(name) or name.lower() in _OURS or not _VALUE.fullmatch(value):
            raise _wrong(path, name, "a header that cannot be sent", "an HTTP header of your own")
        if count > _HEADERS_MAX:
            raise _wrong(path, name, "one header too many", f"{_HEADERS_MAX} headers")


def _server(path: str, tool: dict[str, Any]) -> Server:
    said = _said(path, tool)
    if said.server_url is None:
        for member in ("connector_id", "tunnel_id"):
            named = getattr(said, member)
            if named is not None:
                raise errors.UNSUPPORTED_FEATURE(
                    f"'{path}.{member}' names something of OpenAI's; this server has none of it.",
                    field=f"{path}.{member}",
                    value=diagnosis.brief(named),
                    remedy="Name a server by 'server_url'.",
                )
        raise errors.MISSING_FIELD(
            f"'{path}.server_url' is missing: a remote server needs it.",
            field=f"{path}.server_url",
            limit="required",
        )
    headers = dict(said.headers or {})
    if said.authorization is not None:
        headers = {each: headers[each] for each in headers if each.lower() != "authorization"}
        headers["authorization"] = f"Bearer {said.authorization}"
    check_server(f"{path}.server_label", said.server_label, ())
    check_server(f"{path}.headers", said.server_label, headers.items())
    allowed, read_only = _allowed(said.allowed_tools)
    asks, always, never = _asks(path, said.require_approval)
    return Server(
        path,
        said.server_label,
        said.server_url,
        tuple((name.lower(), value) for name, value in headers.items()),
        allowed=allowed,
        read_only=read_only,
        asks=asks,
        always=always,
        never=never,
    )


def _said(path: str, tool: dict[str, Any]) -> McpTool:
    try:
        return checked(tool, McpTool)
    except Refusal as refusal:
        # What is wrong is said, and where; not what stood there: it may be a secret.
        field = f"{path}.{refusal.field}"
        raise errors.INVALID_TYPE(
            f"{field!r} is missing, or not what it must be.", field=field
        ) from None


def _allowed(said: list[str] | Names | None) -> tuple[frozenset[str] | None, bool]:
    if isinstance(said, Names):
        names = None if said.tool_names is None else frozenset(said.tool_names)
        return names, said.read_only is True
    return (None if said is None else frozenset(said)), False


def _asks(path: str, said: str | Choosing | None) -> tuple[bool, Those, Those]:
    """Raises: Refusal."""
    if isinstance(said, Choosing):
        return True, _those(said.always), _those(said.never)
    if said not in (None, "always", "never"):
        raise _wrong(f"{path}.require_approval", said, "not known", '"always" or "never"')
    return said != "never", Those(), Those()


def _those(said: Names | None) -> Those:
    return Those() if said is None else Those(*_allowed(said))


def _wrong(path: str, value: Any, why: str, limit: str) -> Refusal:
    return errors.INVALID_VALUE(
        f"{path!r} is {diagnosis.shown(value)}, {why}; it must be: {limit}.",
        field=path,
        value=diagnosis.brief(value),
        limit=limit,
    )
