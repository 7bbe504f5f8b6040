"""Chunks to canon events: for a caller who wants one whole answer from an engine that streams it
to us (`request.streams` says which and why)."""

from collections.abc import Iterator
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
from portico.dialects.openai_chat.failures import BrokenAnswer
from portico.dialects.openai_chat.repair import RepairReader


class Collecting:
    """A reader whose deltas hold events instead of bytes.  Made and used like RepairReader,
    which puts the chunks in order first: what is read here is of one shape."""

    def __init__(self, *, choices: int, timings: bool) -> None:
        self._reader = RepairReader(wants_usage=False, choices=choices, timings=timings)

    def feed(self, data: bytes) -> Delta | None:
        """Raises: BrokenAnswer."""
        try:
            return _in_events(self._reader.feed(data))
        except BrokenAnswer as broken:
            broken.delta = _in_events(broken.delta)
            raise

    def finish(self) -> Delta | None:
        """Raises: BrokenAnswer."""
        try:
            return _in_events(self._reader.finish())
        except BrokenAnswer as broken:
            broken.delta = _in_events(broken.delta)
            raise


def _in_events(delta: Delta | None) -> Delta | None:
    if delta is None:
        return None
    delta.events = tuple(event for line in _payloads(delta.raw) for event in _events(line))
    delta.raw = b""
    return delta


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
            yield Finished(choice["finish_reason"], index)


def _call_events(call: dict[str, Any], choice: int) -> Iterator[Event]:
    if "id" in call:
        yield ToolCallBegan(call["index"], call["id"], call["function"]["name"], choice)
    if call["function"]["arguments"]:
        yield ToolArguments(call["index"], call["function"]["arguments"], choice)


def _logprobs(choice: dict[str, Any]) -> tuple[dict[str, Any], ...] | None:
    said = choice.get("logprobs")
    content = said.get("content") if isinstance(said, dict) else None
    return tuple(content) if isinstance(content, list) else None
