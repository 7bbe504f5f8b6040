"""Answers written from canon events, for engines that have no Chat bytes of their own.

Bytes that an engine of this dialect did give (`Delta.raw`) go through untouched.
"""

import json
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
    Text,
    ToolArguments,
    ToolCallBegan,
)
from portico.canon.prompt import Prompt
from portico.canon.usage import NOTHING, Meters
from portico.dialects.openai_chat.chunks import DONE
from portico.dialects.openai_chat.usage import usage_of
from portico.kit.sse import frame


def _encode(value: Any) -> bytes:
    """JSON.  Half a surrogate pair, which no JSON in UTF-8 can hold, becomes U+FFFD: an engine's
    slip must not cost the caller the answer."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


class _Running:
    """The total so far: the engine's figures, and the tokens counted since it gave any."""

    __slots__ = ("_counted", "_told")

    def __init__(self) -> None:
        self._told = NOTHING
        self._counted = 0

    def count(self, delta: Delta) -> None:
        if delta.meters is not None:
            self._told, self._counted = delta.meters, 0
        self._counted += delta.output_tokens

    def total(self) -> Meters:
        output_text = self._told.output_text + self._counted
        return msgspec.structs.replace(self._told, output_text=output_text)


def _reason(said: FinishReason, has_calls: bool) -> FinishReason:
    """Computed, not believed: an answer that calls tools wants them called."""
    return "tool_calls" if has_calls and said == "stop" else said


def _start(kind: str, prompt: Prompt, request_id: str, created_s: int) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{request_id.removeprefix('req_')}",
        "object": kind,
        "created": created_s,
        "model": prompt.model,
    }


class StreamWriter:
    """One stream of `chat.completion.chunk`, in the order clients rely on.

    request_id: becomes the id of every chunk.  created_s: Unix time.
    """

    def __init__(self, prompt: Prompt, request_id: str, created_s: int) -> None:
        start = _start("chat.completion.chunk", prompt, request_id, created_s)
        self._start = _encode(start)[:-1]
        self._end = b',"usage":null}' if prompt.wants_usage else b"}"
        self._wants_usage = prompt.wants_usage
        self._choices = prompt.choices
        self._calls: dict[int, set[int]] = {}
        """Choices begun, and the tool calls each has made."""
        self._finished: set[int] = set()
        self._running = _Running()
        self._relayed = False
        """The engine's own chunks are out: every choice has begun there."""
        self._cut = ""

    def write(self, delta: Delta) -> bytes:
        """The events for `delta`; after the one with `last`, nothing may follow."""
        self._running.count(delta)
        if delta.raw:
            self._relayed = True
            return delta.raw
        self._cut = delta.cut
        written = [part for event in delta.events for part in self._write_event(event)]
        if delta.last:
            written += self._write_end()
        return b"".join(written)

    def _write_event(self, event: Event) -> list[bytes]:
        choice = event.choice
        written = self._begin(choice)
        match event:
            case Text():
                logprobs = {"content": event.logprobs, "refusal": None} if event.logprobs else None
                return [*written, self._chunk(choice, {"content": event.text}, logprobs=logprobs)]
            case Reasoning():
                return [*written, self._chunk(choice, {"reasoning_content": event.text})]
            case Refused():
                return [*written, self._chunk(choice, {"refusal": event.text})]
            case ToolCallBegan() | ToolArguments():
                return [*written, self._chunk(choice, {"tool_calls": [self._call(event)]})]
            case Finished():
                return [*written, *self._finish(choice, event.reason)]

    def _begin(self, choice: int) -> list[bytes]:
        if choice in self._calls:
            return []
        self._calls[choice] = set()
        if self._relayed:
            return []
        return [self._chunk(choice, {"role": "assistant", "content": "", "refusal": None})]

    def _call(self, event: ToolCallBegan | ToolArguments) -> dict[str, Any]:
        if isinstance(event, ToolArguments):
            return {"index": event.index, "function": {"arguments": event.json}}
        self._calls[event.choice].add(event.index)
        return {
            "index": event.index,
            "id": event.id,
            "type": "function",
            "function": {"name": event.name, "arguments": ""},
        }

    def _finish(self, choice: int, said: FinishReason) -> list[bytes]:
        if choice in self._finished:
            return []
        self._finished.add(choice)
        return [self._chunk(choice, {}, reason=_reason(said, bool(self._calls[choice])))]

    def _write_end(self) -> list[bytes]:
        written: list[bytes] = []
        for choice in sorted({*self._calls, *range(self._choices)}):
            written += self._begin(choice)
            written += self._finish(choice, "stop")
        if self._wants_usage:
            usage = _encode(usage_of(self._running.total()))
            written.append(frame(self._start + b',"choices":[],"usage":' + usage + b"}"))
        return [*written, DONE]

    def _chunk(
        self,
        choice: int,
        delta: dict[str, Any],
        *,
        logprobs: dict[str, Any] | None = None,
        reason: str | None = None,
    ) -> bytes:
        body = {"index": choice, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        if self._cut and reason is not None:
            body["portico_stop_reason"] = self._cut
        return frame(self._start + b',"choices":[' + _encode(body) + b"]" + self._end)


@dataclass(slots=True)
class _Call:
    id: str
    name: str
    arguments: list[str] = field(default_factory=list)


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
                self.calls[event.index] = _Call(event.id, event.name)
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
            message["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": "".join(call.arguments)},
                }
                for _, call in sorted(self.calls.items())
            ]
        return message


class AnswerWriter:
    """One `chat.completion` body, written with the last delta.  Made like a StreamWriter."""

    def __init__(self, prompt: Prompt, request_id: str, created_s: int) -> None:
        self._prompt = prompt
        self._request_id = request_id
        self._created_s = created_s
        self._choices: dict[int, _Choice] = {}
        self._running: _Running | None = None

    def write(self, delta: Delta) -> bytes:
        """b"" until the last delta, then the whole body."""
        if delta.raw:
            return delta.raw
        if self._running is None:  # most answers come as bytes, and need none of this
            self._choices = {index: _Choice() for index in range(self._prompt.choices)}
            self._running = _Running()
        self._running.count(delta)
        for event in delta.events:
            self._choices.setdefault(event.choice, _Choice()).add(event)
        if not delta.last:
            return b""
        choices = [choice.body(index) for index, choice in sorted(self._choices.items())]
        usage = usage_of(self._running.total())
        start = _start("chat.completion", self._prompt, self._request_id, self._created_s)
        return _encode({**start, "choices": choices, "usage": usage})


def writer_for(prompt: Prompt, request_id: str, created_s: int) -> StreamWriter | AnswerWriter:
    """The writer of one answer, streamed or whole as `prompt` asks."""
    kind = StreamWriter if prompt.stream else AnswerWriter
    return kind(prompt, request_id, created_s)
