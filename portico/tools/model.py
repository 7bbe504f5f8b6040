"""What is asked of remote servers, within which limits, and what comes of it."""

from dataclasses import dataclass
from typing import Protocol

from portico.canon.remote import Fault, RemoteTool

TOOL_FAILED = "tool_failed"
_NUMBERS = {
    "arguments_invalid": -32602,
    "result_too_large": -32603,
    "run_timeout": -32001,
    "server_invalid": -32603,
    "server_timeout": -32001,
}
"""What JSON-RPC, and the official SDK of MCP, call it; anything else is an error of the server's."""
OF_SERVERS = -32000


class ToolFailed(Exception):
    """A server did not do what it was asked.  code: one of those in docs/guides/tools.md.

    status: of HTTP, where it is that; 0.  number: of JSON-RPC, where the server gave one.
    """

    def __init__(self, code: str, message: str, *, status: int = 0, number: int = 0) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.fault: Fault = "http" if status else "protocol"
        self.number = status or number or _NUMBERS.get(code, OF_SERVERS)

    @property
    def result(self) -> "Result":
        return Result(str(self), self.code, self.fault, self.number)


@dataclass(frozen=True, slots=True)
class Result:
    """What a call gave, as text.

    failed: why it did not work, "" where it did: `TOOL_FAILED` where the tool itself says so, else as
      `ToolFailed` has it.  fault, number: see `canon.remote.RemoteCallEnded`.
    """

    text: str
    failed: str = ""
    fault: Fault = "tool"
    number: int = 0


@dataclass(frozen=True, slots=True)
class Offer:
    """What a server has to call.  left_out: it has more, or some that no model could be offered."""

    tools: tuple[RemoteTool, ...]
    left_out: bool = False


class Observer(Protocol):
    """Who watches the calls.  Must not wait."""

    def called(self, outcome: str, seconds: float) -> None:
        """outcome: answered, or why not: one of the few words of docs/guides/tools.md, or cut_off."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """
    servers_max: in one request.  tools_max: of one server; more are not offered.
    rounds_max, calls_max, tokens_max, run_s: of one run: how often the model is asked, what it may
      call, tokens of all rounds together, and for how long.
    call_s: of one message to a server.  parallel: calls under way at once, of one run.
    result_bytes_max: of what a server answers.
    runs_max: at once; runs_per_project_max: of one project.
    """

    servers_max: int
    tools_max: int
    rounds_max: int
    calls_max: int
    tokens_max: int
    run_s: float
    call_s: float
    parallel: int
    result_bytes_max: int
    runs_max: int
    runs_per_project_max: int
