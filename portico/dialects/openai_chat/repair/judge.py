"""What is unclean about a recorded stream, in words an operator can act on.

Used by the probe when a deployment is added: an empty list means its bytes may pass through.
The same judge reads every stream our own writers make, in the tests.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import msgspec

from portico.kit.sse import EventReader

_FRAMING = (
    (rb"\r", "framing: CR line ends"),
    (rb"\A\xef\xbb\xbf", "framing: a byte order mark"),
    (rb"(?m)^id:", "framing: `id:` lines"),
    (rb"(?m)^event:", "framing: named events"),
    (rb"(?m)^:", "framing: comments"),
    (rb"(?m)^data:(?! )", "framing: `data:` without a space"),
    (rb"(?m)^data: *$", "framing: empty `data:`"),
    (rb"(?m)^data:.*\ndata:", "framing: data over several lines"),
    (rb"[^\n]\n?\Z", "framing: the last blank line is missing"),
)


def judge(stream: bytes) -> list[str]:
    """`stream`: everything the engine sent, from the first byte to the last.  Each finding once,
    those that begin with "framing:" first; StreamReader itself puts these right."""
    found = [finding for pattern, finding in _FRAMING if re.search(pattern, stream)]
    reader = EventReader(max(len(stream), 1))
    order = _Order(found)
    for event in reader.feed(stream) + reader.finish():
        order.take(event.data)
    order.end()
    return list(dict.fromkeys(found))


@dataclass(slots=True)
class _Choice:
    calls: list[str] = field(default_factory=list)
    """The ids of its tool calls, in order."""
    finish: str = ""
    begun: bool = False


@dataclass(slots=True)
class _Order:
    found: list[str]
    id: Any = None
    choices: dict[int, _Choice] = field(default_factory=dict)
    usage_seen: bool = False
    done: bool = False

    def take(self, data: bytes) -> None:
        if self.done:
            self.found.append("events after [DONE]")
        if data == b"[DONE]":
            self.done = True
            return
        try:
            chunk = msgspec.json.decode(data)
        except ValueError:
            chunk = None
        if not isinstance(chunk, dict):
            self.found.append("a chunk that is not a JSON object")
        elif chunk.get("error"):
            self.found.append("an error event")
        else:
            self._take_chunk(chunk)

    def _take_chunk(self, chunk: dict[str, Any]) -> None:
        if self.id is None:
            self.id = chunk.get("id")
        if not chunk.get("id") or chunk["id"] != self.id:
            self.found.append("the id is missing or changes")
        if self.usage_seen:
            self.found.append("usage is not last")
        choices = chunk.get("choices") or []
        usage = chunk.get("usage")
        if usage and choices:
            self.found.append("usage on chunks with choices")
        elif usage:
            self.usage_seen = True
        elif not choices:
            self.found.append("a chunk without choices that carries no usage")
        for choice in choices:
            self._take_choice(choice)

    def _take_choice(self, said: dict[str, Any]) -> None:
        if type(said.get("index")) is not int:
            self.found.append("a choice without an index")
        index = said.get("index") or 0
        if index not in self.choices and index != len(self.choices):
            self.found.append("the choices do not begin in order")
        choice = self.choices.setdefault(index, _Choice())
        delta = said.get("delta") or {}
        if ("role" in delta and delta["role"] is not None) == choice.begun:
            self.found.append("the role is not in the first delta, or not only there")
        choice.begun = True
        if choice.finish and any(delta.values()):
            self.found.append("output after the finish reason")
        for fragment in delta.get("tool_calls") or ():
            self._take_call(fragment, choice)
        self._take_finish(said.get("finish_reason"), choice)

    def _take_call(self, fragment: dict[str, Any], choice: _Choice) -> None:
        index, count = fragment.get("index"), len(choice.calls)
        if type(index) is not int or not 0 <= index <= count:
            self.found.append("tool calls are not numbered in order")
            return
        function = fragment.get("function") or {}
        if index < count:
            if fragment.get("id") or function.get("name"):
                self.found.append("a tool call repeats its id or name, or two share an index")
            return
        id_ = fragment.get("id")
        if not id_ or id_ in choice.calls or not function.get("name"):
            self.found.append("a tool call begins without an id of its own or a name")
        choice.calls.append(id_ or "")

    def _take_finish(self, reason: Any, choice: _Choice) -> None:
        if reason is None:
            return
        if choice.finish:
            self.found.append("the finish reason is sent twice")
        choice.finish = str(reason)
        if choice.calls and reason == "stop":
            self.found.append("the finish reason is stop though tools were called")

    def end(self) -> None:
        if not self.choices or any(not choice.finish for choice in self.choices.values()):
            self.found.append("no finish reason")
        if not self.done:
            self.found.append("no [DONE]")
