"""What the writers of all dialects need: JSON that is always writable, and the usage so far."""

import json
from typing import Any

import msgspec

from portico import errors
from portico.canon.delta import (
    Delta,
    Event,
    Finished,
    Reasoning,
    Refused,
    Sealed,
    Text,
    ToolArguments,
    ToolCallBegan,
)
from portico.canon.remote import RemoteAsked, RemoteCallBegan, RemoteCallEnded, RemoteTools
from portico.canon.usage import NOTHING, Meters

PING = b": ping\n\n"
"""A comment: every reader of server-sent events passes over it."""
KEPT_CHARACTERS_MAX = 4_194_304
"""Of one answer that is kept until it is whole.  The longest answers of today's models are a tenth of
it; written down for Responses it is in memory ten times at once, in the events that repeat it."""
_PIECE = 12
_CALL = 256
_LIKELY = 40
"""What else is kept, in characters: with each piece, of each call, for each likely token.  Less than
they take, so that whoever asks for likely tokens may have them of a long answer."""


def encode(value: Any) -> bytes:
    """JSON.  Half a surrogate pair, which no JSON in UTF-8 can hold, becomes U+FFFD: an engine's
    slip must not cost the caller the answer."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


class Running:
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


class Kept(Running):
    """The same of an answer whose pieces are kept, within bounds: an engine may go on for ever."""

    __slots__ = ("_room",)

    def __init__(self) -> None:
        super().__init__()
        self._room = KEPT_CHARACTERS_MAX

    def count(self, delta: Delta) -> None:
        """Raises: Refusal: upstream_failed, where there is no room for what it says."""
        super().count(delta)
        self._room -= sum(map(size_of, delta.events))
        if self._room < 0:
            raise errors.UPSTREAM_FAILED(
                f"The engine's answer is longer than {KEPT_CHARACTERS_MAX} characters."
            )


def size_of(event: Event) -> int:
    """In characters, more or less."""
    match event:
        case Text():
            likely = sum(1 + len(each.get("top_logprobs") or ()) for each in event.logprobs or ())
            return _PIECE + len(event.text) + _LIKELY * likely
        case ToolArguments():
            return _PIECE + len(event.json)
        case ToolCallBegan():
            return _CALL + len(event.id) + len(event.name)
        case Reasoning() | Refused():
            return _PIECE + len(event.text)
        case Sealed():
            return _PIECE + len(event.blob)
        case Finished():
            return _PIECE
        case RemoteTools(tools=tools):
            return _CALL * (1 + len(tools)) + sum(len(tool.description) for tool in tools)
        case RemoteCallBegan() | RemoteAsked():
            return _CALL + len(event.name) + len(event.arguments)
        case RemoteCallEnded():
            return _PIECE + len(event.output) + len(event.error)
