"""A stream of OpenAI's chunks, in the order clients rely on, whatever stands in their choices."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from portico.canon.delta import Delta, Event, FinishReason
from portico.canon.prompt import Prompt
from portico.dialects.openai_chat.chunks import DONE
from portico.dialects.openai_chat.usage import usage_of
from portico.dialects.writing import PING, Running, encode
from portico.kit.sse import frame


class ChunkedStream(ABC):
    """One stream.  A dialect says how a choice begins, goes on and ends; each ends once."""

    def __init__(self, prompt: Prompt, start: dict[str, Any]) -> None:
        """start: what every chunk begins with."""
        self._start = encode(start)[:-1]
        self._end = b',"usage":null}' if prompt.wants_usage else b"}"
        self._wants_usage = prompt.wants_usage
        self._choices = prompt.choices
        self._finished: set[int] = set()
        self._running = Running()
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

    def ping(self) -> bytes:
        return PING

    @abstractmethod
    def _write_event(self, event: Event) -> list[bytes]: ...

    @abstractmethod
    def _begun(self) -> Iterable[int]:
        """Choices that something was said of."""

    @abstractmethod
    def _begin(self, choice: int) -> list[bytes]:
        """What stands before everything else; [] once it has begun."""

    @abstractmethod
    def _last_of(self, choice: int, said: FinishReason) -> bytes:
        """The chunk that says why it ended."""

    def _finish(self, choice: int, said: FinishReason) -> list[bytes]:
        if choice in self._finished:
            return []
        self._finished.add(choice)
        return [self._last_of(choice, said)]

    def _write_end(self) -> list[bytes]:
        written: list[bytes] = []
        for choice in sorted({*self._begun(), *range(self._choices)}):
            written += self._begin(choice)
            written += self._finish(choice, "stop")
        if self._wants_usage:
            usage = encode(usage_of(self._running.total()))
            written.append(frame(self._start + b',"choices":[],"usage":' + usage + b"}"))
        return [*written, DONE]

    def _chunk(self, body: dict[str, Any]) -> bytes:
        """body: of one choice, as its dialect has it."""
        if self._cut and body["finish_reason"] is not None:
            body["portico_stop_reason"] = self._cut
        return frame(self._start + b',"choices":[' + encode(body) + b"]" + self._end)
