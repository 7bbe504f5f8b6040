"""What an engine of this dialect has said itself, as far as it came: its output, for an answer that
breaks off.

Events that go through are not read.  They are put aside, and read in pieces: what is held is little
more than what they say, and nobody waits for the whole of a long answer.
"""

from collections import defaultdict
from typing import Any

import msgspec

_READ_BYTES = 131_072
"""Put aside, before they are read."""
_BYTES_MAX = 67_108_864
"""Heard of one answer: what is larger is not kept anyway."""
_TEXTS = {
    "response.output_text.delta": ("content", "text", "output_text"),
    "response.refusal.delta": ("content", "refusal", "refusal"),
    "response.reasoning_text.delta": ("content", "text", "reasoning_text"),
    "response.reasoning_summary_text.delta": ("summary", "text", "summary_text"),
    "response.function_call_arguments.delta": ("", "arguments", ""),
    "response.mcp_call_arguments.delta": ("", "arguments", ""),
    "response.custom_tool_call_input.delta": ("", "input", ""),
}
"""Where in its item a piece of text belongs: the list of parts, "" for the item itself; the field;
and the type of a part whose beginning nobody told."""


class _Said(msgspec.Struct):
    type: str
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    delta: Any = None
    item: Any = None
    part: Any = None


_said = msgspec.json.Decoder(_Said)
_Place = tuple[str, int, str, str]
"""The list of parts, which of them, the field, the type of the part."""


class _Item:
    """One that is not done.  parts: as they began, by list and number."""

    def __init__(self, began: dict[str, Any]) -> None:
        self.began = began
        self.parts: dict[tuple[str, int], dict[str, Any]] = {}
        self.texts: defaultdict[_Place, list[str]] = defaultdict(list)

    def body(self) -> dict[str, Any]:
        """As far as it came."""
        own: dict[str, Any] = {}
        for (parts, number, field, kind), texts in self.texts.items():
            of = self.parts.setdefault((parts, number), {"type": kind}) if parts else own
            of[field] = "".join(texts)
        lists: dict[str, list[dict[str, Any]]] = {}
        for parts, number in sorted(self.parts):
            lists.setdefault(parts, []).append(self.parts[parts, number])
        return {**self.began, **lists, **own, "status": "incomplete"}


class Passed:
    """Of one stream."""

    def __init__(self) -> None:
        self._unread: list[bytes] = []
        self._unread_bytes = 0
        self._left_bytes = _BYTES_MAX
        self._done: dict[int, dict[str, Any]] = {}
        self._open: dict[int, _Item] = {}

    def take(self, events: bytes) -> None:
        """events: whole ones."""
        self._left_bytes -= len(events)
        if self._left_bytes < 0:
            return
        self._unread.append(events)
        self._unread_bytes += len(events)
        if self._unread_bytes >= _READ_BYTES:
            self._read()

    def output(self) -> list[dict[str, Any]]:
        """Its items, those that are not done as far as they came."""
        self._read()
        bodies = {**self._done, **{at: item.body() for at, item in self._open.items()}}
        return [bodies[at] for at in sorted(bodies)]

    def _read(self) -> None:
        events, self._unread, self._unread_bytes = b"".join(self._unread), [], 0
        for line in events.splitlines():
            if line.startswith(b"data:") and b'"output_index"' in line:
                try:
                    said = _said.decode(line.removeprefix(b"data:"))
                except ValueError:  # whoever reads the engine's stream says so
                    continue
                self._hear(said)

    def _hear(self, said: _Said) -> None:
        at = said.output_index
        if said.type == "response.output_item.added" and isinstance(said.item, dict):
            self._open[at] = _Item(said.item)
        elif said.type == "response.output_item.done" and isinstance(said.item, dict):
            self._open.pop(at, None)
            self._done[at] = said.item
        elif at in self._open:
            self._add(self._open[at], said)

    def _add(self, item: _Item, said: _Said) -> None:
        if said.type in _TEXTS and isinstance(said.delta, str):
            parts, field, kind = _TEXTS[said.type]
            number = said.summary_index if parts == "summary" else said.content_index
            item.texts[parts, number if parts else 0, field, kind].append(said.delta)
        elif said.type.endswith("part.added") and isinstance(said.part, dict):
            summary = "summary" in said.type
            number = said.summary_index if summary else said.content_index
            item.parts["summary" if summary else "content", number] = said.part
