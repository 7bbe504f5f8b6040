"""Answers written from canon events, as `GenerateContentResponse` objects.

Bytes that an engine of this dialect did give (`Delta.raw`) go through untouched.
"""

from typing import Any

from portico.canon.delta import Delta
from portico.canon.prompt import Prompt
from portico.dialects.gemini.candidates import Candidate
from portico.dialects.gemini.contents.signatures import Signatures
from portico.dialects.gemini.usage import usage_of
from portico.dialects.writing import Kept, encode
from portico.kit.sse import frame

_BLANK_LINE = b"\n"
"""Google's SDK for Python takes a comment for JSON and breaks off; a blank line it passes over."""


def _named(prompt: Prompt, request_id: str) -> dict[str, str]:
    return {"modelVersion": prompt.model, "responseId": request_id}


class StreamWriter:
    """One stream: an object for every delta that has something to show.  Nothing marks its end but
    the last object, which alone says why each candidate ended and what was used."""

    def __init__(self, prompt: Prompt, request_id: str, signatures: Signatures) -> None:
        self._signatures = signatures
        self._end = b"," + encode(_named(prompt, request_id))[1:]
        self._events = prompt.framing == "events"
        self._thoughts_shown = prompt.thoughts_shown
        self._candidates: dict[int, Candidate] = {}
        self._choices = prompt.choices
        self._running = Kept()
        self._before = b"["

    def write(self, delta: Delta) -> bytes:
        """The bytes of `delta`; after the one with `last`, nothing may follow."""
        self._running.count(delta)
        if delta.raw:
            return delta.raw
        for event in delta.events:
            self._candidate(event.choice).add(event)
        if delta.last:
            return self._write_end(delta.cut)
        found = [
            {**taken, "index": index}
            for index, candidate in self._candidates.items()
            if (taken := candidate.taken())
        ]
        return self._framed({"candidates": found}) if found else b""

    def ping(self) -> bytes:
        """In an array there is nothing harmless to say."""
        return _BLANK_LINE if self._events else b""

    def _candidate(self, index: int) -> Candidate:
        candidate = self._candidates.get(index)
        if candidate is None:
            candidate = Candidate(self._signatures, thoughts_shown=self._thoughts_shown)
            self._candidates[index] = candidate
        return candidate

    def _write_end(self, cut: str) -> bytes:
        indexes = sorted({*self._candidates, *range(self._choices)})
        ended = [{**self._candidate(index).end(cut), "index": index} for index in indexes]
        usage = usage_of(self._running.total())
        written = self._framed({"candidates": ended, "usageMetadata": usage})
        return written if self._events else written + b"]"

    def _framed(self, told: dict[str, Any]) -> bytes:
        payload = encode(told)[:-1] + self._end
        if self._events:
            return frame(payload)
        before, self._before = self._before, b",\n"
        return before + payload


class AnswerWriter:
    """One whole answer, written with the last delta.  Made like a StreamWriter."""

    def __init__(self, prompt: Prompt, request_id: str, signatures: Signatures) -> None:
        self._signatures = signatures
        self._named = _named(prompt, request_id)
        self._candidates = {
            index: Candidate(signatures, thoughts_shown=prompt.thoughts_shown)
            for index in range(prompt.choices)
        }
        self._thoughts_shown = prompt.thoughts_shown
        self._running = Kept()

    def write(self, delta: Delta) -> bytes:
        """b"" until the last delta, then the whole body."""
        if delta.raw:
            return delta.raw
        self._running.count(delta)
        for event in delta.events:
            if event.choice not in self._candidates:
                self._candidates[event.choice] = Candidate(
                    self._signatures, thoughts_shown=self._thoughts_shown
                )
            self._candidates[event.choice].add(event)
        if not delta.last:
            return b""
        candidates = [
            {**candidate.end(delta.cut), "index": index}
            for index, candidate in sorted(self._candidates.items())
        ]
        usage = usage_of(self._running.total())
        return encode({"candidates": candidates, "usageMetadata": usage, **self._named})

    def ping(self) -> bytes:
        return b""


def writer_for(
    prompt: Prompt, request_id: str, _created_s: int, signatures: Signatures
) -> StreamWriter | AnswerWriter:
    """The writer of one answer, streamed or whole as `prompt` asks."""
    kind = StreamWriter if prompt.stream else AnswerWriter
    return kind(prompt, request_id, signatures.of(prompt.project_id))
