"""An answer's events as content blocks: one open at a time, none left open, none reopened."""

import re
from typing import Any, Literal, Protocol

import msgspec

from portico.canon.conversation import Thought
from portico.canon.delta import (
    Event,
    Finished,
    Reasoning,
    Refused,
    Sealed,
    Text,
    ToolArguments,
    ToolCallBegan,
)
from portico.canon.prompt import Prompt
from portico.canon.remote import RemoteCallBegan, RemoteCallEnded
from portico.dialects.anthropic_messages.answers.ending import Ending
from portico.dialects.anthropic_messages.reader import ISSUER, REDACTED
from portico.dialects.anthropic_messages.signatures import Signatures

Display = Literal["shown", "sealed", "hidden"]
Piece = Literal["text", "thinking", "signature", "partial_json"]

_ID = re.compile(r"[a-zA-Z0-9_-]{1,128}")


class Sink(Protocol):
    """Where blocks go.  `add` and `shut` are about the block that was opened last."""

    def open(self, block: dict[str, Any]) -> None: ...

    def add(self, piece: Piece, text: str) -> None: ...

    def shut(self) -> None: ...


class _Asked(msgspec.Struct):
    type: str
    display: str | None = None


_asked = msgspec.json.Decoder(_Asked | None)


def display_of(prompt: Prompt) -> Display:
    """Whoever did not ask for thinking gets none to read: simple clients take the first block for
    the answer."""
    asked = _asked.decode(prompt.fields.get("thinking", b"null"))
    if asked is None or asked.type == "disabled":
        return "hidden"
    return "sealed" if asked.display == "omitted" else "shown"


class _Call:
    __slots__ = ("id", "name", "parts")

    def __init__(self, call_id: str, name: str) -> None:
        self.id = call_id
        self.name = name
        self.parts: list[str] = []

    def is_whole(self) -> bool:
        """Have its arguments come to their end?"""
        try:
            msgspec.json.decode("".join(self.parts), type=msgspec.Raw)
        except (ValueError, RecursionError):
            return False
        return True


class Blocks:
    """Takes the events of one answer.  request_id: of what made-up tool ids are made."""

    def __init__(self, prompt: Prompt, request_id: str, signatures: Signatures, sink: Sink) -> None:
        self.ending = Ending()
        self._prompt = prompt
        self._made_up = f"toolu_{request_id.removeprefix('req_')}"
        self._signatures = signatures
        self._sink = sink
        self._display = display_of(prompt)
        self._open: Literal["", "text", "thinking"] | _Call = ""
        self._thought: list[str] = []
        self._sealed = ("", "")
        self._calls: dict[int, _Call] = {}
        self._waiting: list[_Call] = []
        """Calls that began before the one that is open had come to its end."""
        self._ids: set[str] = set()
        self._remotes = 0
        self._remote_id = ""

    def take(self, event: Event) -> None:
        if event.choice:  # there is one answer; what is meant for another is nobody's
            return
        match event:
            case Text(text=text):
                self._say(text)
            case Refused(text=text):
                self.ending.refused += text
                self._say(text)
            case Reasoning(text=text):
                self._think(text)
            case Sealed():
                self._seal(event)
            case ToolCallBegan():
                self._call(event)
            case ToolArguments():
                self._argue(event)
            case Finished():
                self.ending.finished(event)
            case RemoteCallBegan() | RemoteCallEnded():
                self._remote(event)

    def end(self) -> None:
        """Nothing more comes: every block is closed."""
        self._shut()

    def _remote(self, event: RemoteCallBegan | RemoteCallEnded) -> None:
        """A call that this server makes, and what it gave: blocks that come whole."""
        self._shut()
        if isinstance(event, RemoteCallBegan):
            self._remote_id = f"mcp{self._made_up}{self._remotes:02d}"
            self._remotes += 1
            use = {"type": "mcp_tool_use", "id": self._remote_id, "name": event.name}
            self._sink.open({**use, "server_name": event.label, "input": {}})
            self._sink.add("partial_json", event.arguments)
        else:
            said = [{"type": "text", "text": event.error or event.output}]
            result = {"type": "mcp_tool_result", "tool_use_id": self._remote_id}
            self._sink.open({**result, "is_error": bool(event.error), "content": said})
        self._sink.shut()

    def _say(self, text: str) -> None:
        if not text:
            return
        if self._open != "text":
            self._shut()
            self._open = "text"
            self._sink.open({"type": "text", "text": ""})
        self._sink.add("text", text)

    def _think(self, text: str) -> None:
        if not text or self._display == "hidden":
            return
        self._begin_thinking()
        self._thought.append(text)
        if self._display == "shown":
            self._sink.add("thinking", text)

    def _begin_thinking(self) -> None:
        if self._open != "thinking":
            self._shut()
            self._open = "thinking"
            self._sink.open({"type": "thinking", "thinking": "", "signature": ""})

    def _seal(self, event: Sealed) -> None:
        if self._display == "hidden":
            return
        if event.issuer == ISSUER and event.blob.startswith(REDACTED):
            self._shut()
            self._sink.open(
                {"type": "redacted_thinking", "data": event.blob.removeprefix(REDACTED)}
            )
            self._sink.shut()
            return
        self._begin_thinking()
        self._sealed = event.blob, event.issuer
        self._shut()

    def _call(self, event: ToolCallBegan) -> None:
        call = self._calls[event.index] = _Call(self._id_of(event.id), event.name)
        self.ending.called = True
        if isinstance(self._open, _Call) and not self._open.is_whole():
            self._waiting.append(call)
        else:
            self._begin_call(call)

    def _begin_call(self, call: _Call) -> None:
        self._shut_one()
        self._open = call
        self._sink.open({"type": "tool_use", "id": call.id, "name": call.name, "input": {}})
        if call.parts:
            self._sink.add("partial_json", "".join(call.parts))

    def _argue(self, event: ToolArguments) -> None:
        call = self._calls.get(event.index)
        if call is None or not event.json:
            return
        call.parts.append(event.json)
        if call is self._open:
            self._sink.add("partial_json", event.json)
            while self._waiting and isinstance(self._open, _Call) and self._open.is_whole():
                self._begin_call(self._waiting.pop(0))

    def _id_of(self, call_id: str) -> str:
        """The engine's own id, unless clients would trip over it: used before, or of characters
        that ids do not have."""
        taken = call_id in self._ids or b'"%b"' % call_id.encode("utf-8", "replace") in (
            self._prompt.body
        )
        if taken or _ID.fullmatch(call_id) is None:
            call_id = f"{self._made_up}{len(self._ids):02d}"
        self._ids.add(call_id)
        return call_id

    def _shut(self) -> None:
        self._shut_one()
        while self._waiting:
            self._begin_call(self._waiting.pop(0))
            self._shut_one()

    def _shut_one(self) -> None:
        if not self._open:
            return
        if self._open == "thinking":
            blob, issuer = self._sealed
            thought = Thought("".join(self._thought), blob, issuer)
            shown = self._display == "shown"
            self._sink.add("signature", self._signatures.sign(thought, shown=shown))
            self._thought, self._sealed = [], ("", "")
        self._sink.shut()
        self._open = ""
