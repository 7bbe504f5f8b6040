"""A provider's stream, read event by event: into canon events, or passed on and read along.

Nothing is given before something is said.  What a provider sends ahead of it (that it has begun, a
ping) would only take away the chance to ask somebody else when it fails right after.
"""

from abc import ABC, abstractmethod
from typing import Any, TypeVar

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
from portico.canon.usage import Meters
from portico.dialects.openai_chat.failures import BrokenAnswer, ended_early, malformed
from portico.kit import sse

_HELD_BYTES_MAX = 1_048_576
_BYTES_PER_TOKEN = 4

Shape = TypeVar("Shape")


class ProviderStream(ABC):
    """One stream.  A dialect says what an event means; here is what is the same in all.

    through: the caller speaks this dialect: deltas carry `raw`, whole events in one clean form,
      and no canon events.
    """

    def __init__(self, *, through: bool) -> None:
        self.through = through
        self._reader = sse.EventReader()
        self._held = bytearray()
        self._said: list[Event] = []
        self._meters: Meters | None = None
        self._finish = ""
        self._begun = False
        self._done = False

    def feed(self, data: bytes) -> Delta | None:
        """What `data` completes; None when it completes nothing.  Raises: BrokenAnswer."""
        if self._done:
            return None
        try:
            events = self._reader.feed(data)
        except sse.EventTooLarge:
            raise self._broken(malformed("an event over 8 MiB")) from None
        return self._read(events)

    def finish(self) -> Delta | None:
        """The provider closed the stream.  None when the last delta was given already.

        Raises: BrokenAnswer: it was not over.
        """
        if self._done:
            return None
        delta = self._read(self._reader.finish())
        if self._done:
            return delta
        if not self._complete():
            raise self._broken(ended_early(delta))
        self._end()
        rest = self._taken()
        if delta is None or rest is None:
            return rest or delta
        rest.raw, rest.events = delta.raw + rest.raw, delta.events + rest.events
        rest.output_tokens += delta.output_tokens
        rest.meters, rest.finish = rest.meters or delta.meters, rest.finish or delta.finish
        return rest

    # --- of the dialect ------------------------------------------------------------------------

    @abstractmethod
    def _take(self, event: sse.Event) -> None:
        """Read one event: `say`, `count`, `keep` and `_end`.  Raises: BrokenAnswer."""

    @abstractmethod
    def _complete(self) -> bool:
        """The stream is over: was everything said that makes an answer whole?"""

    def _end(self) -> None:
        """Nothing follows.  A dialect adds the terminal event that was left out, if any."""
        self._done = True

    # --- what they do it with ------------------------------------------------------------------

    def say(self, event: Event) -> None:
        self._said.append(event)
        if isinstance(event, Finished) and event.choice == 0:
            self._finish = event.reason

    def count(self, meters: Meters) -> None:
        self._meters = meters

    def keep(self, event: sse.Event) -> None:
        """Pass `event` on to a caller of this dialect."""
        if not self.through:
            return
        if event.name:
            self._held += b"event: " + event.name + b"\n"
        # A line end inside JSON is only white space: the strings have theirs escaped.
        self._held += b"data: " + event.data.replace(b"\n", b" ") + b"\n\n"

    def _read(self, events: list[sse.Event]) -> Delta | None:
        for event in events:
            try:
                self._take(event)
            except BrokenAnswer as broken:
                raise self._broken(broken) from None
            if self._done:
                break
        return self._taken()

    def _taken(self) -> Delta | None:
        """Everything since the last delta."""
        waits = not (self._begun or self._said or self._done)
        if waits and len(self._held) <= _HELD_BYTES_MAX:
            return None
        if not (self._held or self._said or self._done or self._meters):
            return None
        self._begun = True
        delta = Delta(
            raw=bytes(self._held),
            events=() if self.through else tuple(self._said),
            output_tokens=0 if self._meters else sum(map(_tokens, self._said)),
            meters=self._meters,
            last=self._done,
            finish=self._finish,
        )
        self._held.clear()
        self._said.clear()
        self._meters = None
        return delta

    def _broken(self, broken: BrokenAnswer) -> BrokenAnswer:
        """With what had come before it."""
        if broken.delta is None and (self._begun or self._said):
            broken.delta = self._taken()
        return broken


def _tokens(event: Event) -> int:
    """Until the provider tells: a token for every 4 bytes, and one at least for every event."""
    match event:
        case Text() | Reasoning() | Refused():
            text = event.text
        case ToolArguments():
            text = event.json
        case ToolCallBegan():
            text = event.name
        case _:
            return 0
    return max(1, len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN)


def decoded(decoder: "msgspec.json.Decoder[Shape]", data: bytes) -> Shape:
    """Raises: BrokenAnswer: it is not of that shape."""
    try:
        return decoder.decode(data)
    except (ValueError, RecursionError):
        raise malformed("an event that is not of its dialect") from None


def converted(value: Any, shape: type[Shape]) -> Shape | None:
    """None for nothing, and for figures that make no sense (a count below zero)."""
    if value is None:
        return None
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError:
        return None
