"""Chunks to canon events: for a caller of another dialect, and for one who wants a whole answer
from an engine that streams it to us (`request.streams` says which and why)."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import msgspec

from portico.canon.delta import (
    Delta,
    Event,
    Finished,
    Reasoning,
    Refused,
    Text,
    ToolArguments,
    ToolCallBegan,
)
from portico.dialects.openai_chat.failures import BrokenAnswer, malformed
from portico.dialects.openai_chat.repair import RepairReader
from portico.dialects.openai_chat.translation import CUSTOM_INPUT
from portico.dialects.openai_completions.upstream import as_chat_chunk
from portico.dialects.writing import KEPT_CHARACTERS_MAX, size_of
from portico.kit.sse import EventReader, EventTooLarge, frame

_DONE = b"[DONE]"


class Collecting:
    """A reader whose deltas hold events instead of bytes.  Made and used like RepairReader,
    which puts the chunks in order first: what is read here is of one shape.

    custom: tools whose arguments are to be free text again (`translation.custom_tools`).
    """

    def __init__(
        self, *, choices: int, timings: bool, custom: frozenset[str] = frozenset()
    ) -> None:
        self._reader = RepairReader(wants_usage=False, choices=choices, timings=timings)
        self._unwrap = Unwrapping(custom) if custom else None

    def feed(self, data: bytes) -> Delta | None:
        """Raises: BrokenAnswer."""
        try:
            return self._in_events(self._reader.feed(data))
        except BrokenAnswer as broken:
            broken.delta = self._in_events(broken.delta)
            raise

    def finish(self) -> Delta | None:
        """Raises: BrokenAnswer."""
        try:
            return self._in_events(self._reader.finish())
        except BrokenAnswer as broken:
            broken.delta = self._in_events(broken.delta)
            raise

    def _in_events(self, delta: Delta | None) -> Delta | None:
        if delta is None:
            return None
        events = (event for line in _payloads(delta.raw) for event in _events(line))
        delta.events = tuple(self._unwrap.pass_on(events) if self._unwrap else events)
        delta.raw = b""
        return delta


class FromCompletions:
    """The same for a stream of llama.cpp's `/v1/completions`, which is Chat's but for the place of
    its text."""

    def __init__(self, *, choices: int) -> None:
        self._collecting = Collecting(choices=choices, timings=True)
        self._events = EventReader()

    def feed(self, data: bytes) -> Delta | None:
        """Raises: BrokenAnswer."""
        try:
            events = self._events.feed(data)
        except EventTooLarge:
            raise malformed("an event over 8 MiB") from None
        chunks = [as_chat_chunk(each.data) for each in events if each.data != _DONE]
        raw = b"".join(frame(chunk) for chunk in chunks if chunk)
        if any(each.data == _DONE for each in events):
            raw += frame(_DONE)
        return self._collecting.feed(raw) if raw else None

    def finish(self) -> Delta | None:
        """Raises: BrokenAnswer."""
        delta = self.feed(b"\n\n")
        if delta is not None and delta.last:
            return delta
        rest = self._collecting.finish()
        if delta is None or rest is None:
            return delta or rest
        rest.events = (*delta.events, *rest.events)
        rest.meters = rest.meters or delta.meters
        rest.output_tokens += delta.output_tokens
        return rest


class Unwrapping:
    """Gives calls of custom tools their free text back: it came as the one string of a JSON object,
    which can be read only once it is whole."""

    def __init__(self, custom: frozenset[str]) -> None:
        self._custom = custom
        self._open: dict[tuple[int, int], list[str]] = {}
        self._room = KEPT_CHARACTERS_MAX

    def pass_on(self, events: Iterable[Event]) -> Iterator[Event]:
        """Raises: BrokenAnswer."""
        for event in events:
            match event:
                case ToolCallBegan() if event.name in self._custom:
                    yield from self._close(event.choice)
                    self._open[event.choice, event.index] = []
                    yield replace(event, custom=True)
                case ToolArguments() if (event.choice, event.index) in self._open:
                    self._room -= size_of(event)
                    if self._room < 0:
                        raise malformed(f"arguments over {KEPT_CHARACTERS_MAX} characters")
                    self._open[event.choice, event.index].append(event.json)
                case ToolCallBegan() | Finished():
                    yield from self._close(event.choice)
                    yield event
                case _:
                    yield event

    def _close(self, choice: int) -> Iterator[Event]:
        for key in [key for key in self._open if key[0] == choice]:
            said = "".join(self._open.pop(key))
            yield ToolArguments(key[1], _input_of(said), choice)


def _input_of(arguments: str) -> str:
    """What the model wrote: the string inside, or all of it where it is not of the shape asked
    for (an answer cut off at its limit)."""
    try:
        said = msgspec.json.decode(arguments)
    except ValueError:
        return arguments
    inner = said.get(CUSTOM_INPUT) if isinstance(said, dict) else None
    return inner if isinstance(inner, str) else arguments


def _payloads(raw: bytes) -> Iterator[dict[str, Any]]:
    for line in raw.split(b"\n\n"):
        payload = line.removeprefix(b"data: ")
        if payload and payload != b"[DONE]":
            yield msgspec.json.decode(payload)


def _events(chunk: dict[str, Any]) -> Iterator[Event]:
    for choice in chunk["choices"]:
        index, said = choice["index"], choice["delta"]
        if said.get("reasoning_content"):
            yield Reasoning(str(said["reasoning_content"]), index)
        if said.get("content"):
            yield Text(str(said["content"]), index, _logprobs(choice))
        if said.get("refusal"):
            yield Refused(str(said["refusal"]), index)
        for call in said.get("tool_calls") or ():
            yield from _call_events(call, index)
        if choice["finish_reason"] is not None:
            yield _finished(choice, index)


def _finished(choice: dict[str, Any], index: int) -> Finished:
    sequence = choice.get("stop_reason")
    if choice["finish_reason"] == "stop" and sequence:
        return Finished("stop_sequence", index, sequence)
    return Finished(choice["finish_reason"], index)


def _call_events(call: dict[str, Any], choice: int) -> Iterator[Event]:
    if "id" in call:
        yield ToolCallBegan(call["index"], call["id"], call["function"]["name"], choice)
    if call["function"]["arguments"]:
        yield ToolArguments(call["index"], call["function"]["arguments"], choice)


def _logprobs(choice: dict[str, Any]) -> tuple[dict[str, Any], ...] | None:
    said = choice.get("logprobs")
    content = said.get("content") if isinstance(said, dict) else None
    return tuple(content) if isinstance(content, list) else None
