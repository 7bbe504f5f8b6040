"""One candidate of an answer while it is written: canon events in, parts out."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from portico.canon.delta import (
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
from portico.dialects.gemini.contents.signatures import Signatures

_REASONS: dict[FinishReason, str] = {
    "stop": "STOP",
    "stop_sequence": "STOP",
    "tool_calls": "STOP",
    "paused": "STOP",
    "tool_limit": "STOP",
    "length": "MAX_TOKENS",
    "context": "MAX_TOKENS",
    "content_filter": "SAFETY",
    "refused": "OTHER",
}
_NATIVE = frozenset(
    {
        "RECITATION",
        "LANGUAGE",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
        "MALFORMED_RESPONSE",
        "MODEL_ARMOR",
    }
)
"""Words of the dialect's own that the canon has no place for; an engine that speaks it says them."""
_SAID_BESIDE = frozenset({"context", "refused", "paused"})
_SHOWN_MAX = 200
_FREE_TEXT = "input"
_LOOKS_MAX = 64
"""How often the arguments of one call are read to find out whether they are whole, before its end."""


@dataclass(slots=True)
class _Call:
    id: str
    name: str
    custom: bool
    signature: str
    arguments: list[str] = field(default_factory=list)
    looks: int = 0

    def args(self) -> dict[str, Any] | None:
        """None while they are not a whole JSON object."""
        said = "".join(self.arguments)
        if self.custom:
            return {_FREE_TEXT: said}
        try:
            args = msgspec.json.decode(said)
        except (ValueError, RecursionError):
            return None
        return args if isinstance(args, dict) else None


class Candidate:
    """thoughts_shown: else they are left out; their signatures are not."""

    __slots__ = (
        "_broken",
        "_calls",
        "_chosen",
        "_finished",
        "_grown",
        "_parts",
        "_refused",
        "_signature",
        "_signatures",
        "_sum",
        "_thoughts_shown",
        "_tokens",
        "_top",
    )

    def __init__(self, signatures: Signatures, *, thoughts_shown: bool) -> None:
        self._signatures = signatures
        self._thoughts_shown = thoughts_shown
        self._parts: list[dict[str, Any]] = []
        """Since they were last taken; a text in pieces."""
        self._calls: dict[int, _Call] = {}
        """Those whose arguments are still coming."""
        self._grown: set[int] = set()
        """Of these, the ones that may have become whole since they were last looked at."""
        self._signature = ""
        """Of the part that comes next."""
        self._finished: Finished | None = None
        self._refused = False
        self._broken = ""
        self._chosen: list[dict[str, Any]] = []
        self._top: list[dict[str, Any]] = []
        self._tokens, self._sum = 0, 0.0

    def add(self, event: Event) -> None:
        match event:
            case Text():
                self._say(event.text)
                self._count(event.logprobs or ())
            case Reasoning():
                if self._thoughts_shown:
                    self._say(event.text, thought=True)
            case Sealed():
                self._signature = self._signatures.written(event.blob, event.issuer)
            case Refused():
                self._refused = True
                self._say(event.text)
            case ToolCallBegan():
                self._end_calls()
                called = _Call(event.id, event.name, event.custom, self._signature)
                self._calls[event.index], self._signature = called, ""
                self._grown.add(event.index)
            case ToolArguments():
                if event.index in self._calls:  # else it was whole: nothing can be added to it
                    self._calls[event.index].arguments.append(event.json)
                    self._grown.add(event.index)
            case Finished():
                self._finished = self._finished or event

    def taken(self) -> dict[str, Any]:
        """What has come since the last time, {} for nothing."""
        parts, self._parts = self._parts, []
        for part in parts:
            if "text" in part:
                part["text"] = "".join(part["text"])
        found: dict[str, Any] = {}
        if parts:
            found["content"] = {"parts": parts, "role": "model"}
        if self._chosen:
            found["logprobsResult"] = {"chosenCandidates": self._chosen, "topCandidates": self._top}
            self._chosen, self._top = [], []
        return found

    def end(self, cut: str) -> dict[str, Any]:
        """The rest, and why it ended.  cut: why we ended it ourselves, "" where we did not."""
        for call in self._calls.values():
            self._write_call(call, call.args() if any(call.arguments) else {})
        if self._signature:
            self._parts.append({"text": [], "thoughtSignature": self._signature})
        found = {"content": {"parts": [{"text": ""}], "role": "model"}, **self.taken()}
        finished = self._finished or Finished("stop")
        found["finishReason"] = self._reason(finished)
        message = cut or self._message(finished)
        if message:
            found["finishMessage"] = message
        if self._tokens:
            found["avgLogprobs"] = self._sum / self._tokens
        return found

    def _say(self, text: str, *, thought: bool = False) -> None:
        if not text:
            return
        self._end_calls()
        last = self._parts[-1] if self._parts else {}
        if "text" in last and last.get("thought", False) is thought and not self._signature:
            last["text"].append(text)
            return
        part: dict[str, Any] = {"text": [text]}
        if thought:
            part["thought"] = True
        elif self._signature:
            part["thoughtSignature"], self._signature = self._signature, ""
        self._parts.append(part)

    def _end_calls(self) -> None:
        """Write those that are whole: something else begins.  (Engines may mix the arguments of
        several, and a whole object cannot go on.)"""
        for index in sorted(self._grown):
            call = self._calls[index]
            call.looks += 1
            args = call.args() if call.looks <= _LOOKS_MAX else None
            if args is not None:
                self._write_call(call, args)
                del self._calls[index]
        self._grown.clear()

    def _write_call(self, call: _Call, args: dict[str, Any] | None) -> None:
        if args is None:
            said = "".join(call.arguments)[:_SHOWN_MAX]
            self._broken = f"The arguments of {call.name!r} are not a whole JSON object: {said}"
            return
        part: dict[str, Any] = {"functionCall": {"id": call.id, "name": call.name, "args": args}}
        if call.signature:
            part["thoughtSignature"] = call.signature
        self._parts.append(part)

    def _reason(self, finished: Finished) -> str:
        """Computed, not believed: half a call is never handed out as a call."""
        reason = _REASONS[finished.reason]
        if finished.native in _NATIVE:
            return finished.native
        if self._broken and reason == "STOP":
            return "MALFORMED_FUNCTION_CALL"
        return "OTHER" if self._refused and reason == "STOP" else reason

    def _message(self, finished: Finished) -> str:
        if self._broken:
            return self._broken
        if self._refused:
            return "The model refused."
        return finished.native or finished.reason if finished.reason in _SAID_BESIDE else ""

    def _count(self, entries: tuple[dict[str, Any], ...]) -> None:
        for entry in entries:
            self._chosen.append(_token(entry))
            self._top.append({"candidates": [_token(one) for one in entry["top_logprobs"]]})
            self._tokens += 1
            self._sum += entry["logprob"]


def _token(entry: dict[str, Any]) -> dict[str, Any]:
    return {"token": entry["token"], "logProbability": entry["logprob"]}
