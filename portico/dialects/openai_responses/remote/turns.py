"""What a model is told in the place of remote tools: functions, calls of them and what they gave.

A request is rewritten as a document, not in canon words, so that an engine that speaks Responses gets
it as any other.  Pure.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from portico import errors
from portico.canon.conversation import Item, Message, Thought, ToolCall, ToolResult
from portico.canon.prompt import Prompt
from portico.canon.remote import Approved, RemoteTool, Server
from portico.dialects.diagnosis import brief, not_one_of
from portico.dialects.openai_responses.remote.servers import MARK as SERVER_MARK
from portico.dialects.openai_responses.remote.servers import servers_of
from portico.kit.sealing import MARK, Seal

_PURPOSE = "mcp_approval"
_OURS = frozenset({"mcp_list_tools", "mcp_approval_request", "mcp_approval_response", "mcp_call"})
Functions = Mapping[str, tuple[Server, RemoteTool]]
"""What is offered, by the name that the model knows it by."""


class Approvals:
    """Questions that only this server can have asked: the id of each says what it is about."""

    def __init__(self, seal: Seal) -> None:
        self._seal = seal

    def id_of(self, project_id: str, item_id: str, about: tuple[str, str, str, str]) -> str:
        """item_id: of nobody else.  about: label, URL, name, arguments."""
        return f"mcpr_{item_id}.{self._seal.close(_digest(item_id, about), _PURPOSE, project_id)}"

    def asked(self, project_id: str, said_id: str, about: tuple[str, str, str, str]) -> bool:
        item_id, _, sealed = said_id.removeprefix("mcpr_").partition(f".{MARK}")
        return self._seal.open(MARK + sealed, _PURPOSE, project_id) == _digest(item_id, about)


class Document:
    """A request that names remote servers, all that came before in its input."""

    def __init__(self, body: bytes, servers_max: int, approvals: Approvals) -> None:
        """body: it was parsed before.  Raises: Refusal: what is wrong with its servers."""
        self._approvals = approvals
        self._said: dict[str, Any] = msgspec.json.decode(body)
        self.servers = servers_of(self._said.get("tools"), servers_max)
        self._check_choice()
        given = self._said.get("input")
        self._items: list[Any] = given if isinstance(given, list) else []

    @property
    def calls_max(self) -> int | None:
        value = self._said.get("max_tool_calls")
        return value if isinstance(value, int) else None

    @property
    def names(self) -> set[str]:
        """Of the caller's own functions."""
        found: set[str] = set()
        for tool in self._said.get("tools") or ():
            inner = tool.get("tools") or ()
            found |= {each.get("name") or "" for each in (tool, *inner)}
        return found

    def listed(self, server: Server) -> tuple[RemoteTool, ...] | None:
        """What `server` offered before, as far as the conversation knows it; None: it does not."""
        for item in reversed(self._items):
            if (
                isinstance(item, dict)
                and item.get("type") == "mcp_list_tools"
                and item.get("server_label") == server.label
                and not item.get("error")
            ):
                tools = (_listed(each) for each in item.get("tools") or ())
                return tuple(each for each in tools if each is not None and server.offers(each))
        return None

    def approved(self, project_id: str) -> list[Approved]:
        """Calls that are allowed now, and were not made yet.  Raises: Refusal."""
        asked = {item.get("id"): item for item in self._of("mcp_approval_request")}
        done = {item.get("approval_request_id") for item in self._of("mcp_call")}
        found: list[Approved] = []
        for answer in self._of("mcp_approval_response"):
            said_id = answer.get("approval_request_id")
            if said_id in done or answer.get("approve") is not True:
                continue
            done.add(said_id)
            item = asked.get(said_id)
            server = self._server(item.get("server_label")) if item else None
            if item is None or server is None or not self._sealed(project_id, item, server):
                raise _not_asked(said_id)
            found.append(Approved(item["id"], server.label, item["name"], item["arguments"]))
        return found

    def body(
        self,
        functions: Functions,
        rounds: Sequence[Item],
        results: Mapping[str, str],
        *,
        output_tokens_max: int | None,
    ) -> bytes:
        """The request of one round.

        rounds: what was made in those before.  results: of calls that were approved, by the id of
        the question.  output_tokens_max: what is left of it.
        """
        said = {name: value for name, value in self._said.items() if name != "max_tool_calls"}
        for name in ("background", "conversation", "previous_response_id", "store"):
            said.pop(name, None)
        given = said.get("input")
        words = [{"role": "user", "content": given}] if isinstance(given, str) else []
        before = [item for each in self._items for item in self._told(each, functions, results)]
        said["input"] = [*words, *before, *map(_wire, rounds)]
        own = [tool for tool in said.get("tools") or () if tool.get("type") != "mcp"]
        said["tools"] = [*own, *(_function(name, tool) for name, (_, tool) in functions.items())]
        said["tool_choice"] = self._choice(functions, forced=not rounds)
        if not said["tools"]:
            del said["tools"], said["tool_choice"]
        if output_tokens_max is not None:
            said["max_output_tokens"] = output_tokens_max
        return msgspec.json.encode(said)

    def _check_choice(self) -> None:
        """Raises: Refusal: it is of a server that is not there."""
        choice = self._said.get("tool_choice")
        if isinstance(choice, dict) and choice.get("type") == "mcp":
            known = [each.label for each in self.servers]
            if choice.get("server_label") not in known:
                said = choice.get("server_label")
                raise not_one_of("tool_choice.server_label", said, known)

    def _choice(self, functions: Functions, *, forced: bool) -> Any:
        """forced: in the first round; a call that must be made would be made for ever.  What may be
        called at all holds for every round."""
        choice = self._said.get("tool_choice")
        if not isinstance(choice, dict):
            return choice if forced and choice else "auto"
        kind = choice.get("type")
        if kind != "allowed_tools" and not forced:
            return "auto"
        if kind == "mcp":
            meant, mode = _meant(choice, functions), "required"
            offered = _meant({**choice, "name": None}, functions)
            if offered and not meant:
                names = [tool.name for _, tool in functions.values()]
                raise not_one_of("tool_choice.name", choice.get("name"), names)
            if len(meant) == 1:
                return meant[0]
        elif kind == "allowed_tools":
            mode = (choice.get("mode") or "auto") if forced else "auto"
            meant = [
                inner
                for each in choice.get("tools") or ()
                for inner in (_meant(each, functions) if each.get("type") == "mcp" else [each])
            ]
        else:
            return choice
        return {"type": "allowed_tools", "mode": mode, "tools": meant} if meant else "auto"

    def _told(self, item: Any, functions: Functions, results: Mapping[str, str]) -> Iterator[Any]:
        kind = item.get("type") if isinstance(item, dict) else None
        if kind not in _OURS:
            yield item
        elif kind == "mcp_call":
            said = item.get("output") or _said(item.get("error")) or ""
            yield from self._pair(item, item.get("id"), said, functions)
        elif kind == "mcp_approval_response":
            said_id = item.get("approval_request_id")
            asked = next(
                (each for each in self._of("mcp_approval_request") if each.get("id") == said_id),
                None,
            )
            if asked is not None and said_id in results:
                yield from self._pair(asked, said_id, results[said_id], functions)
            elif asked is not None and item.get("approve") is not True:
                why = item.get("reason")
                said = f"The user did not allow this call{f': {why}' if why else '.'}"
                yield from self._pair(asked, said_id, said, functions)

    def _pair(self, call: Any, call_id: Any, said: Any, functions: Functions) -> Iterator[Any]:
        name = next(
            (
                name
                for name, (server, tool) in functions.items()
                if (server.label, tool.name) == (call.get("server_label"), call.get("name"))
            ),
            "remote_tool",
        )
        given = call.get("arguments")
        arguments = given if isinstance(given, str) else "{}"
        told = said if isinstance(said, str) else msgspec.json.encode(said).decode()
        yield _called(str(call_id), name, arguments)
        yield {"type": "function_call_output", "call_id": str(call_id), "output": told}

    def _of(self, kind: str) -> Iterator[dict[str, Any]]:
        for item in self._items:
            if isinstance(item, dict) and item.get("type") == kind:
                yield item

    def _sealed(self, project_id: str, item: dict[str, Any], server: Server) -> bool:
        """Is it a question of ours, about a tool that may be called?"""
        said = (item.get("id"), item.get("name"), item.get("arguments"))
        if not all(isinstance(each, str) for each in said):
            return False
        if server.allowed is not None and item["name"] not in server.allowed:
            return False
        about = (server.label, server.url, item["name"], item["arguments"])
        return self._approvals.asked(project_id, item["id"], about)

    def _server(self, label: Any) -> Server | None:
        return next((each for each in self.servers if each.label == label), None)


def _meant(choice: dict[str, Any], functions: Functions) -> list[dict[str, Any]]:
    """By a choice of a server, or of one tool of it."""
    return [
        {"type": "function", "name": name}
        for name, (server, tool) in functions.items()
        if server.label == choice.get("server_label") and choice.get("name") in (None, tool.name)
    ]


def _said(error: Any) -> Any:
    """In words, of whatever shape it is."""
    if not isinstance(error, dict):
        return error
    content = error.get("content")
    parts = content if isinstance(content, list) else ()
    words = [str(each["text"]) for each in parts if isinstance(each, dict) and each.get("text")]
    return error.get("message") or "\n".join(words) or error


def _not_asked(said_id: Any) -> errors.Refusal:
    return errors.SEALED_ITEM_INVALID(
        "An 'mcp_approval_response' allows a call that this server did not ask about in these "
        "words: the request for it is not there, was changed, or names another server.",
        field="input",
        value=brief(said_id),
        limit="the mcp_approval_request as it was given, unchanged",
        remedy="Send the mcp_approval_request back as it came, or its response's id as "
        "'previous_response_id', and the same server.",
    )


def _digest(item_id: str, about: tuple[str, str, str, str]) -> str:
    return hashlib.sha256(msgspec.json.encode((item_id, *about))).hexdigest()[:32]


def _listed(said: Any) -> RemoteTool | None:
    if not isinstance(said, dict) or not isinstance(said.get("name"), str):
        return None
    schema, notes = said.get("input_schema"), said.get("annotations")
    return RemoteTool(
        said["name"],
        str(said.get("description") or ""),
        schema if isinstance(schema, dict) else {},
        notes if isinstance(notes, dict) else {},
    )


def _function(name: str, tool: RemoteTool) -> dict[str, Any]:
    return {
        "type": "function",
        "name": name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": False,
    }


def _called(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


def _wire(item: Item) -> dict[str, Any]:
    match item:
        case ToolCall():
            return _called(item.id, item.name, item.arguments)
        case ToolResult():
            return {"type": "function_call_output", "call_id": item.call_id, "output": item.text}
        case Thought():
            words = [{"type": "reasoning_text", "text": item.text}] if item.text else []
            sealed = {"encrypted_content": item.sealed, "portico_issuer": item.issuer}
            told = sealed if item.sealed else {}
            return {"type": "reasoning", "summary": [], "content": words, **told}
        case Message():
            text = {"type": "output_text", "text": item.text}
            return {"type": "message", "role": "assistant", "content": [text]}


class Wording:
    """Of remote tools, in Responses."""

    def __init__(self, seal: Seal) -> None:
        self._approvals = Approvals(seal)

    def wanted(self, prompt: Prompt) -> bool:
        raw = prompt.fields.get("tools")
        if raw is None or bytes(raw).find(SERVER_MARK) < 0:
            return False
        return any(each.get("type") == "mcp" for each in msgspec.json.decode(raw))

    def document(self, prompt: Prompt, servers_max: int) -> Document:
        """Raises: Refusal."""
        return Document(prompt.body, servers_max, self._approvals)

    def approval_id(
        self, project_id: str, item_id: str, server: Server, name: str, arguments: str
    ) -> str:
        about = (server.label, server.url, name, arguments)
        return self._approvals.id_of(project_id, item_id, about)
