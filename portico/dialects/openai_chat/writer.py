"""Answers written from canon events, for engines that have no Chat bytes of their own.

Bytes that an engine of this dialect did give (`Delta.raw`) go through untouched.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from portico.canon.delta import (
    Delta,
    Event,
    Finished,
    FinishReason,
    Reasoning,
    Refused,
    Sealed,
    Text,
    ToolArguments,
    ToolCallBegan,
)
from portico.canon.prompt import Prompt
from portico.canon.remote import Remote
from portico.dialects.openai_chat.chunked import ChunkedStream
from portico.dialects.openai_chat.usage import usage_of
from portico.dialects.writing import Kept, encode

_SAYS: dict[FinishReason, str] = {
    "stop_sequence": "stop",
    "paused": "stop",
    "tool_limit": "stop",
    "context": "length",
    "refused": "content_filter",
}
"""Reasons Chat has no word of its own for."""
_KINDS = {False: ("function", "arguments"), True: ("custom", "input")}
"""Of a tool call: its type, and the name of what it is given; by whether that is free text."""


def _reason(said: FinishReason, has_calls: bool) -> str:
    """Computed, not believed: an answer that calls tools wants them called."""
    return "tool_calls" if has_calls and said == "stop" else _SAYS.get(said, said)


def _start(kind: str, prompt: Prompt, request_id: str, created_s: int) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{request_id.removeprefix('req_')}",
        "object": kind,
        "created": created_s,
        "model": prompt.model,
    }


class StreamWriter(ChunkedStream):
    """One stream of `chat.completion.chunk`.

    request_id: becomes the id of every chunk.  created_s: Unix time.
    """

    def __init__(self, prompt: Prompt, request_id: str, created_s: int) -> None:
        super().__init__(prompt, _start("chat.completion.chunk", prompt, request_id, created_s))
        self._calls: dict[int, dict[int, bool]] = {}
        """Choices begun, and the tool calls each has made: is it a custom tool's?"""

    def _write_event(self, event: Event) -> list[bytes]:
        if isinstance(event, Sealed | Remote):
            return []  # Chat has no place for it
        choice = event.choice
        written = self._begin(choice)
        match event:
            case Text():
                logprobs = {"content": event.logprobs, "refusal": None} if event.logprobs else None
                return [*written, self._said(choice, {"content": event.text}, logprobs=logprobs)]
            case Reasoning():
                return [*written, self._said(choice, {"reasoning_content": event.text})]
            case Refused():
                return [*written, self._said(choice, {"refusal": event.text})]
            case ToolCallBegan() | ToolArguments():
                return [*written, self._said(choice, {"tool_calls": [self._call(event)]})]
            case Finished():
                return [*written, *self._finish(choice, event.reason)]

    def _begin(self, choice: int) -> list[bytes]:
        """Behind the choices before it: readers keep them in the order in which they begin."""
        if choice in self._calls:
            return []
        before = range(min(choice, self._choices))
        begun = [index for index in (*before, choice) if index not in self._calls]
        self._calls |= {index: {} for index in begun}
        if self._relayed:
            return []
        start = {"role": "assistant", "content": "", "refusal": None}
        return [self._said(index, start) for index in begun]

    def _call(self, event: ToolCallBegan | ToolArguments) -> dict[str, Any]:
        calls = self._calls[event.choice]
        if isinstance(event, ToolArguments):
            kind, member = _KINDS[calls[event.index]]
            return {"index": event.index, kind: {member: event.json}}
        calls[event.index] = event.custom
        kind, member = _KINDS[event.custom]
        named = {"name": event.name, member: ""}
        return {"index": event.index, "id": event.id, "type": kind, kind: named}

    def _begun(self) -> Iterable[int]:
        return self._calls

    def _last_of(self, choice: int, said: FinishReason) -> bytes:
        return self._said(choice, {}, reason=_reason(said, bool(self._calls[choice])))

    def _said(
        self,
        choice: int,
        delta: dict[str, Any],
        *,
        logprobs: dict[str, Any] | None = None,
        reason: str | None = None,
    ) -> bytes:
        return self._chunk(
            {"index": choice, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        )


@dataclass(slots=True)
class _Call:
    id: str
    name: str
    custom: bool
    arguments: list[str] = field(default_factory=list)

    def body(self) -> dict[str, Any]:
        kind, member = _KINDS[self.custom]
        return {
            "id": self.id,
            "type": kind,
            kind: {"name": self.name, member: "".join(self.arguments)},
        }


@dataclass(slots=True)
class _Choice:
    """One choice of an answer while it is put together."""

    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    refusal: list[str] = field(default_factory=list)
    calls: dict[int, _Call] = field(default_factory=dict)
    logprobs: list[dict[str, Any]] = field(default_factory=list)
    reason: FinishReason = "stop"

    def add(self, event: Event) -> None:
        match event:
            case Text():
                self.text.append(event.text)
                self.logprobs += event.logprobs or ()
            case Reasoning():
                self.reasoning.append(event.text)
            case Refused():
                self.refusal.append(event.text)
            case ToolCallBegan():
                self.calls[event.index] = _Call(event.id, event.name, event.custom)
            case ToolArguments():
                self.calls[event.index].arguments.append(event.json)
            case Finished():
                self.reason = event.reason

    def body(self, index: int) -> dict[str, Any]:
        logprobs = {"content": self.logprobs, "refusal": None} if self.logprobs else None
        return {
            "index": index,
            "message": self._message(),
            "logprobs": logprobs,
            "finish_reason": _reason(self.reason, bool(self.calls)),
        }

    def _message(self) -> dict[str, Any]:
        text = "".join(self.text)
        instead = self.calls or self.refusal
        message: dict[str, Any] = {
            "role": "assistant",
            "content": None if instead and not text else text,
            "refusal": "".join(self.refusal) or None,
        }
        if self.reasoning:
            message["reasoning_content"] = "".join(self.reasoning)
        if self.calls:
            message["tool_calls"] = [call.body() for _, call in sorted(self.calls.items())]
        return message


class AnswerWriter(msgspec.Struct):
    """One `chat.completion` body, written with the last delta.  Made like a StreamWriter."""

    _prompt: Prompt
    _request_id: str
    _created_s: int
    _choices: dict[int, _Choice] = {}
    _running: Kept | None = None

    def write(self, delta: Delta) -> bytes:
        """b"" until the last delta, then the whole body."""
        if delta.raw:
            return delta.raw
        if self._running is None:  # most answers come as bytes, and need none of this
            self._choices = {index: _Choice() for index in range(self._prompt.choices)}
            self._running = Kept()
        self._running.count(delta)
        for event in delta.events:
            self._choices.setdefault(event.choice, _Choice()).add(event)
        if not delta.last:
            return b""
        choices = [choice.body(index) for index, choice in sorted(self._choices.items())]
        usage = usage_of(self._running.total())
        start = _start("chat.completion", self._prompt, self._request_id, self._created_s)
        body = {**start, "choices": choices, "usage": usage}
        if self._prompt.warnings:
            body["warnings"] = self._prompt.warnings
        return encode(body)

    def ping(self) -> bytes:
        return b""


def writer_for(prompt: Prompt, request_id: str, created_s: int) -> StreamWriter | AnswerWriter:
    """The writer of one answer, streamed or whole as `prompt` asks."""
    kind = StreamWriter if prompt.stream else AnswerWriter
    return kind(prompt, request_id, created_s)
