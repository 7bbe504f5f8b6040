"""A whole answer put together from a stream.

For engines whose streams are better than their answers: llama.cpp reports the tokens of one
choice only when asked for several without streaming, and a stream can be metered while it runs.
"""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from portico.canon.delta import Delta
from portico.dialects.openai_chat.reader import StreamReader

_JOINED = ("content", "reasoning_content", "reasoning", "refusal")


@dataclass(slots=True)
class _Choice:
    joined: dict[str, list[str]] = field(default_factory=dict)
    calls: dict[int, dict[str, Any]] = field(default_factory=dict)
    logprobs: dict[str, list[Any]] = field(default_factory=dict)
    other: dict[str, Any] = field(default_factory=dict)
    reason: Any = None

    def add(self, said: dict[str, Any]) -> None:
        for name, value in (said.get("delta") or {}).items():
            if name in _JOINED:
                self.joined.setdefault(name, []).append(value or "")
            elif name == "tool_calls":
                self._add_calls(value or ())
            elif name != "role":
                self.other[name] = value
        for name, entries in (said.get("logprobs") or {}).items():
            self.logprobs.setdefault(name, []).extend(entries or ())
        self.reason = said.get("finish_reason") or self.reason

    def _add_calls(self, fragments: Any) -> None:
        for fragment in fragments:
            index = fragment.get("index", 0)
            function = fragment.get("function") or {}
            call = self.calls.setdefault(index, {"id": "", "type": "function", "function": {}})
            call["id"] = fragment.get("id") or call["id"]
            whole = call["function"]
            whole["name"] = function.get("name") or whole.get("name", "")
            whole["arguments"] = whole.get("arguments", "") + (function.get("arguments") or "")

    def body(self, index: int) -> dict[str, Any]:
        joined = {name: "".join(parts) for name, parts in self.joined.items()}
        text = joined.pop("content", "")
        instead = bool(self.calls) or bool(joined.get("refusal"))
        message = {
            "role": "assistant",
            "content": None if instead and not text else text,
            "refusal": joined.pop("refusal", None) or None,
            **{name: value for name, value in joined.items() if value},
            **self.other,
        }
        if self.calls:
            message["tool_calls"] = [call for _, call in sorted(self.calls.items())]
        return {
            "index": index,
            "message": message,
            "logprobs": self.logprobs or None,
            "finish_reason": self.reason,
        }


class AnswerAssembler:
    """Used like a StreamReader, on a stream asked for in place of an answer.  Its deltas carry
    figures only, until the last one carries the body."""

    def __init__(self, *, choices: int = 1, timings: bool = False) -> None:
        self._reader = StreamReader(wants_usage=True, choices=choices, timings=timings)
        self._choices: dict[int, _Choice] = {}
        self._identity: dict[str, Any] = {}
        self._usage: Any = None

    def feed(self, data: bytes) -> Delta | None:
        """Raises: BrokenAnswer."""
        return self._take(self._reader.feed(data))

    def finish(self) -> Delta | None:
        """Raises: BrokenAnswer: the stream stopped before its end."""
        return self._take(self._reader.finish())

    def _take(self, delta: Delta | None) -> Delta | None:
        if delta is None:
            return None
        for event in delta.raw.split(b"\n\n")[:-1]:
            if event != b"data: [DONE]":
                self._add(msgspec.json.decode(event[6:]))
        delta.raw = self._body() if delta.last else b""
        return delta

    def _add(self, chunk: dict[str, Any]) -> None:
        self._usage = chunk.get("usage") or self._usage
        if not self._identity:
            names = ("id", "created", "model", "system_fingerprint", "service_tier")
            self._identity = {name: chunk[name] for name in names if name in chunk}
        for said in chunk.get("choices") or ():
            self._choices.setdefault(said.get("index", 0), _Choice()).add(said)

    def _body(self) -> bytes:
        choices = [choice.body(index) for index, choice in sorted(self._choices.items())]
        answer = {**self._identity, "object": "chat.completion", "choices": choices}
        if self._usage is not None:
            answer["usage"] = self._usage
        return msgspec.json.encode(answer)
