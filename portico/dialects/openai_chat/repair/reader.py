"""The event path: every chunk is decoded, put right and written anew."""

from dataclasses import dataclass
from typing import Any

import msgspec

from portico.canon.delta import Delta
from portico.dialects.openai_chat import failures
from portico.dialects.openai_chat.chunks import ChunkDelta, read_untyped
from portico.dialects.openai_chat.failures import BrokenAnswer
from portico.dialects.openai_chat.reading.tally import Tally
from portico.dialects.openai_chat.repair.calls import ToolCalls
from portico.dialects.openai_chat.repair.reasons import reason_of
from portico.dialects.openai_chat.usage import Timings, meters_of, meters_of_timings, usage_in
from portico.kit.sse import Event, EventReader, EventTooLarge, frame

_OBJECT = "chat.completion.chunk"
_UNNAMED = "chatcmpl-unnamed"


@dataclass(slots=True)
class _Choice:
    calls: ToolCalls
    begun: bool = False
    said: Any = None
    """The first finish reason the engine gave."""
    sequence: str = ""
    """The stop sequence it met, where it says so."""


class RepairReader:
    """Made and used like reader.StreamReader.  What it gives has one id, a role in the first
    delta of each choice, tool calls in order, one finish reason per choice, usage last if it was
    asked for, and `[DONE]`.  Members it does not know survive."""

    def __init__(self, *, wants_usage: bool, choices: int = 1, timings: bool = False) -> None:
        self._timings = timings
        self._expected = choices
        self._tally = Tally(wants_usage=wants_usage, choices=choices)
        self._events = EventReader()
        self._identity: dict[str, Any] = {}
        self._choices: dict[int, _Choice] = {}
        self._done = False

    def feed(self, data: bytes) -> Delta | None:
        """Raises: BrokenAnswer."""
        if self._done:
            return None
        try:
            events = self._events.feed(data)
        except EventTooLarge:
            raise failures.malformed("an event over 8 MiB") from None
        return self._relay(events)

    def finish(self) -> Delta | None:
        """Raises: BrokenAnswer: neither `[DONE]` nor a reason for every choice."""
        if self._done:
            return None
        delta = self._relay(self._events.finish())
        if self._done:
            return delta
        ended = [choice for choice in self._choices.values() if choice.said is not None]
        if len(ended) < max(len(self._choices), self._expected):
            raise failures.ended_early(delta)
        self._done = True
        delta = delta or self._tally.delta(b"")
        delta.raw += self._ending()
        delta.last, delta.finish = True, self._tally.finish
        return delta

    def _relay(self, events: list[Event]) -> Delta | None:
        kept: list[bytes] = []
        try:
            for event in events:
                if event.data.strip() == b"[DONE]":
                    self._done = True
                    kept.append(self._ending())
                    break
                kept.append(self._repaired(event))
        except BrokenAnswer as broken:
            raw = b"".join(kept)
            broken.delta = self._tally.delta(raw) if raw or self._tally.changed else None
            raise
        raw = b"".join(kept)
        if not raw and not self._tally.changed:
            return None
        return self._tally.delta(raw, last=self._done)

    def _repaired(self, event: Event) -> bytes:
        chunk = _read(event)
        choices = chunk.get("choices")
        if not isinstance(choices, list) or not choices:
            self._identify(chunk)
            usage = usage_in(chunk.get("usage"))
            if usage is not None:
                self._tally.told(usage, msgspec.json.encode({**chunk, "choices": []}))
            return b""
        self._identify(chunk)
        said_usage, said_timings = chunk.pop("usage", None), chunk.get("timings")
        _take_stopping_word(chunk, choices[0])
        kept = [
            placed for said in choices if isinstance(said, dict) for placed in self._place(said)
        ]
        self._read_running(choices[0], said_usage, said_timings)
        if self._timings:
            chunk.pop("timings", None)
        chunk["choices"] = kept
        return frame(msgspec.json.encode(chunk)) if kept else b""

    def _identify(self, chunk: dict[str, Any]) -> None:
        """One id, one model, one date, throughout."""
        if not self._identity:
            id_, created, model = chunk.get("id"), chunk.get("created"), chunk.get("model")
            self._identity = {
                "id": id_ if isinstance(id_, str) and id_ else _UNNAMED,
                "object": _OBJECT,
                "created": created if isinstance(created, int) else 0,
                "model": model if isinstance(model, str) else "",
            }
            self._tally.sample = msgspec.json.encode(self._identity)
        chunk.update(self._identity)

    def _place(self, said: dict[str, Any]) -> list[dict[str, Any]]:
        """The choice as it goes on, if anything is left of it, behind the beginnings of those
        before it: readers keep choices in the order in which they begin."""
        index = said.get("index")
        index = index if type(index) is int and index >= 0 else 0
        before = range(min(index, self._expected)) if index not in self._choices else ()
        begun = [self._choice(other, {}) for other in before if other not in self._choices]
        return [choice for choice in (*begun, self._choice(index, said)) if choice is not None]

    def _choice(self, index: int, said: dict[str, Any]) -> dict[str, Any] | None:
        """None if nothing is left of it.  Its finish reason waits for the end of the stream,
        because engines send it twice, or before the last text."""
        state = self._choices.get(index)
        if state is None:
            owner = f"{str(self._identity['id']).removeprefix('chatcmpl-')}_{index}"
            state = self._choices[index] = _Choice(ToolCalls(owner))
        if state.said is None:
            state.said = said.get("finish_reason")
            state.sequence = _sequence_in(said)
        delta = self._delta(said.get("delta"), state)
        if not delta and not said.get("logprobs"):
            return None
        return {**said, "index": index, "delta": delta, "finish_reason": None}

    def _delta(self, said: Any, state: _Choice) -> dict[str, Any]:
        delta = dict(said) if isinstance(said, dict) else {}
        delta.pop("role", None)
        if msgspec.convert(delta, ChunkDelta).bears:
            self._tally.count()
        calls = delta.pop("tool_calls", None)
        if isinstance(calls, list) and calls:
            delta["tool_calls"] = [state.calls.place(c) for c in calls if isinstance(c, dict)]
        if not state.begun:
            state.begun = True
            return {"role": "assistant", "content": None, **delta}
        return delta if any(value not in (None, "") for value in delta.values()) else {}

    def _read_running(self, choice: Any, said_usage: Any, said_timings: Any) -> None:
        index = choice.get("index") if isinstance(choice, dict) else 0
        index = index if type(index) is int else 0
        usage = usage_in(said_usage)
        if usage is not None:
            self._tally.running(index, meters_of(usage))
        elif self._timings and isinstance(said_timings, dict):
            try:
                timings = msgspec.convert(said_timings, Timings)
            except msgspec.ValidationError:
                return
            self._tally.running(index, meters_of_timings(timings))

    def _ending(self) -> bytes:
        written: list[bytes] = []
        for index, choice in sorted(self._choices.items()):
            reason = reason_of(choice.said, has_calls=len(choice.calls) > 0)
            self._tally.finishes(index, reason)
            body = {"index": index, "delta": {}, "logprobs": None, "finish_reason": reason}
            if isinstance(choice.said, str) and choice.said != reason:
                body["native_finish_reason"] = choice.said
            if choice.sequence and reason == "stop":
                body["stop_reason"] = choice.sequence
            written.append(frame(msgspec.json.encode({**self._identity, "choices": [body]})))
        return b"".join(written) + self._tally.ending()


def _take_stopping_word(chunk: dict[str, Any], choice: Any) -> None:
    """llama.cpp says it beside the choices, of which it then sends one at a time."""
    told = chunk.pop("__verbose", None)
    if isinstance(told, dict) and isinstance(choice, dict):
        choice.setdefault("stop_reason", told.get("stopping_word"))


def _sequence_in(choice: dict[str, Any]) -> str:
    """vLLM and SGLang name the sequence, or the number of a token that is none of the caller's."""
    for word in ("stop_reason", "matched_stop"):
        said = choice.get(word)
        if isinstance(said, str):
            return said
    return ""


def _read(event: Event) -> dict[str, Any]:
    """Raises: BrokenAnswer: an error event, or no JSON object."""
    chunk = read_untyped(event.data.decode("utf-8", "replace"))
    refusal = failures.error_in({"error": chunk} if event.name == b"error" else chunk)
    if refusal is not None:
        raise BrokenAnswer(refusal)
    return chunk
