"""Tools of remote MCP servers, which this server calls for a model: who offers them, and what an answer
tells of them."""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Those:
    """Some of a server's tools: of these names, None for any; that say they change nothing, or any.
    Said of neither, none."""

    names: frozenset[str] | None = None
    read_only: bool = False

    def has(self, tool: "RemoteTool") -> bool:
        if self.names is None:
            return self.read_only and tool.reads_only
        return tool.name in self.names and (tool.reads_only or not self.read_only)


@dataclass(frozen=True, slots=True)
class Server:
    """As a request names it, for this one request: nothing of it is kept.

    path: where it stands in the request.  label: what the request calls it.
    headers: sent with each message to it; secrets, so no log, answer or row ever shows them.
    allowed: names of its tools that may be offered; None: all but those `denied`.
    read_only: only tools that say they change nothing.
    asks: does a call need its caller's approval?  always, never: those for which that is otherwise.
    """

    path: str
    label: str
    url: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    allowed: frozenset[str] | None = None
    read_only: bool = False
    denied: frozenset[str] = frozenset()
    asks: bool = True
    always: Those = Those()
    never: Those = Those()

    def must_ask(self, tool: "RemoteTool") -> bool:
        if self.always.has(tool):
            return True
        return self.asks and not self.never.has(tool)

    def offers(self, tool: "RemoteTool") -> bool:
        """May the model see it?"""
        if self.read_only and not tool.reads_only:
            return False
        if tool.name in self.denied:
            return False
        return self.allowed is None or tool.name in self.allowed


@dataclass(frozen=True, slots=True)
class RemoteTool:
    """As its server describes it.  parameters: a JSON schema."""

    name: str
    description: str
    parameters: dict[str, Any]
    annotations: dict[str, Any]

    @property
    def reads_only(self) -> bool:
        """So it says."""
        return self.annotations.get("readOnlyHint") is True


@dataclass(frozen=True, slots=True)
class Approved:
    """A call that its caller was asked about, and allowed."""

    request_id: str
    label: str
    name: str
    arguments: str


# Events of an answer, beside those of `delta`
@dataclass(frozen=True, slots=True)
class RemoteTools:
    """What a server offers.  error: why it offers nothing, "" where it was reached."""

    label: str
    tools: tuple[RemoteTool, ...]
    error: str = ""
    choice: int = 0


@dataclass(frozen=True, slots=True)
class RemoteCallBegan:
    """approval_id: of the question that allowed it, "" where none was asked."""

    label: str
    name: str
    arguments: str
    approval_id: str = ""
    choice: int = 0


Fault = Literal["tool", "http", "protocol"]
"""Who says that a call failed: the tool itself; a status of HTTP; whatever else went wrong on the way."""


@dataclass(frozen=True, slots=True)
class RemoteCallEnded:
    """The end of the call that began last.  error: "" where it worked.
    fault: whose word that is.  code: the status, or one of JSON-RPC's, 0 for the tool's own."""

    output: str
    error: str = ""
    fault: Fault = "protocol"
    code: int = 0
    choice: int = 0


@dataclass(frozen=True, slots=True)
class RemoteAsked:
    """A call that waits for its caller's approval.  id: of the question."""

    id: str
    label: str
    name: str
    arguments: str
    choice: int = 0


Remote = RemoteTools | RemoteCallBegan | RemoteCallEnded | RemoteAsked
