"""What the writers of all dialects need: JSON that is always writable, and the usage so far."""

import json
from typing import Any

import msgspec

from portico.canon.delta import Delta
from portico.canon.usage import NOTHING, Meters

PING = b": ping\n\n"
"""A comment: every reader of server-sent events passes over it."""


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
