"""The items of an answer while they are made: canon events in, wire events out.

Each gives its events without `sequence_number`, which the stream puts in; a whole answer leaves the
events out and takes the bodies.  Items follow one another: one is done before the next is added.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from portico.dialects.openai_responses.answers.remote import RemoteCallItem

Wire = dict[str, Any]
Status = Literal["in_progress", "completed", "incomplete"]

_MEMBERS = {"output_text": "text", "refusal": "refusal"}
"""Of a message's part: where its words stand."""
_EVENTS = {"summary_text": "response.reasoning_summary", "reasoning_text": "response.reasoning"}
"""Of a thought's part: how its events begin."""


@dataclass(slots=True)
class _Part:
    """A run of text of one kind."""

    kind: str
    texts: list[str] = field(default_factory=list)
    logprobs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.texts)


class MessageItem:
    """What is said, and refused, in words."""

    def __init__(self, item_id: str, index: int) -> None:
        self._at: Wire = {"item_id": item_id, "output_index": index}
        self._parts: list[_Part] = []

    def add(self, kind: str, text: str, logprobs: Any) -> Iterator[Wire]:
        """kind: output_text or refusal."""
        if not self._parts or self._parts[-1].kind != kind:
            yield from self._end_part()
            self._parts.append(_Part(kind))
            yield {"type": "response.content_part.added", **self._place(), "part": self._body(-1)}
        part = self._parts[-1]
        part.texts.append(text)
        delta: Wire = {"type": f"response.{kind}.delta", **self._place(), "delta": text}
        if kind == "output_text":
            part.logprobs += logprobs or ()
            delta["logprobs"] = list(logprobs or ())
        yield delta

    def end(self, _: Status) -> Iterator[Wire]:
        yield from self._end_part()

    def body(self, status: Status) -> Wire:
        return {
            "id": self._at["item_id"],
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": [self._body(at) for at in range(len(self._parts))],
        }

    def _place(self) -> Wire:
        return {**self._at, "content_index": len(self._parts) - 1}

    def _end_part(self) -> Iterator[Wire]:
        if not self._parts:
            return
        part, said = self._parts[-1], self._body(-1)
        name = _MEMBERS[part.kind]
        done: Wire = {"type": f"response.{part.kind}.done", **self._place(), name: said[name]}
        if part.kind == "output_text":
            done["logprobs"] = said["logprobs"]
        yield done
        yield {"type": "response.content_part.done", **self._place(), "part": said}

    def _body(self, at: int) -> Wire:
        part = self._parts[at]
        if part.kind == "refusal":
            return {"type": "refusal", "refusal": part.text}
        return {
            "type": "output_text",
            "text": part.text,
            "annotations": [],
            "logprobs": part.logprobs,
        }


class CallItem:
    """A call of a function, or of a custom tool, which takes free text.

    name, namespace: as the caller defined it.
    """

    def __init__(
        self, item_id: str, index: int, call_id: str, name: str, namespace: str, *, custom: bool
    ) -> None:
        self._at: Wire = {"item_id": item_id, "output_index": index}
        self._call: Wire = {"call_id": call_id, "name": name}
        if namespace:
            self._call["namespace"] = namespace
        self._kind = "custom_tool_call" if custom else "function_call"
        self._member = "input" if custom else "arguments"
        self._event = f"response.{self._kind}_{self._member}"
        self._texts: list[str] = []

    def add(self, text: str) -> Iterator[Wire]:
        self._texts.append(text)
        yield {"type": f"{self._event}.delta", **self._at, "delta": text}

    def end(self, status: Status) -> Iterator[Wire]:
        if not self._texts and self._member == "arguments" and status == "completed":
            yield from self.add("{}")  # no arguments are an empty object to whoever parses them
        text = "".join(self._texts)
        yield {"type": f"{self._event}.done", **self._at, self._member: text}

    def body(self, status: Status) -> Wire:
        return {
            "id": self._at["item_id"],
            "type": self._kind,
            "status": status,
            **self._call,
            self._member: "".join(self._texts),
        }


class ReasoningItem:
    """What the model thought: retold (summary), as it thought it (content), or sealed."""

    def __init__(self, item_id: str, index: int) -> None:
        self._at: Wire = {"item_id": item_id, "output_index": index}
        self._summary: list[_Part] = []
        self._content: list[_Part] = []
        self._open: _Part | None = None
        self.sealed: Wire = {}
        """encrypted_content, and what belongs to it."""
        self.unshown: Wire = {}
        """The same where the caller did not ask for it, but it is needed to go on from here."""

    @property
    def text(self) -> str:
        return "".join(part.text for part in (*self._summary, *self._content))

    def add(self, kind: str, text: str) -> Iterator[Wire]:
        """kind: summary_text or reasoning_text."""
        if self._open is None or self._open.kind != kind:
            yield from self._end_part()
            self._open = _Part(kind)
            self._list(kind).append(self._open)
            if kind == "summary_text":
                yield self._part_event("added", "")
        self._open.texts.append(text)
        yield {"type": f"{_EVENTS[kind]}_text.delta", **self._place(), "delta": text}

    def end(self, _: Status) -> Iterator[Wire]:
        yield from self._end_part()

    def body(self, status: Status) -> Wire:
        body: Wire = {
            "id": self._at["item_id"],
            "type": "reasoning",
            "status": status,
            "summary": [{"type": part.kind, "text": part.text} for part in self._summary],
        }
        if self._content:
            body["content"] = [{"type": part.kind, "text": part.text} for part in self._content]
        return {**body, **self.sealed}

    def _list(self, kind: str) -> list[_Part]:
        return self._summary if kind == "summary_text" else self._content

    def _place(self) -> Wire:
        assert self._open is not None
        kind = self._open.kind
        index = "summary_index" if kind == "summary_text" else "content_index"
        return {**self._at, index: len(self._list(kind)) - 1}

    def _part_event(self, what: str, text: str) -> Wire:
        part = {"type": "summary_text", "text": text}
        kind = f"response.reasoning_summary_part.{what}"
        return {"type": kind, **self._place(), "part": part}

    def _end_part(self) -> Iterator[Wire]:
        part = self._open
        if part is None:
            return
        text = part.text
        yield {"type": f"{_EVENTS[part.kind]}_text.done", **self._place(), "text": text}
        if part.kind == "summary_text":
            yield self._part_event("done", text)
        self._open = None


UNSHOWN = "portico_unshown"
"""Marks what is kept of a thought, and was not shown."""
OutputItem = MessageItem | CallItem | ReasoningItem | RemoteCallItem
