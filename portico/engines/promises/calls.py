"""One tool call and no more, from an engine that makes as many as it likes.

Once a second one begins, the first is whole: there the answer ends.  The delta in hand becomes the
last one, at which an adapter stops reading and closes its upstream, and that stops the engine.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from portico.canon.delta import Delta, Event, Finished, ToolCallBegan
from portico.engines.base import Relay


class OneCall:
    """A relay in front of another.  Sees events, or the whole body of a Chat answer.

    choices: where there are several, the engine goes on until all are made, and only what they say
    beyond their first calls is left out.
    """

    def __init__(self, relay: Relay, choices: int) -> None:
        self._relay = relay
        self._choices = choices
        self._calling: set[int] = set()
        self._cut: set[int] = set()

    async def relay(self, delta: Delta) -> None:
        if delta.raw:
            delta.raw = _first_calls(delta.raw)
        else:
            delta.events = tuple(self._kept(delta.events))
        if self._cut and self._choices == 1 and not delta.last:
            if not any(isinstance(event, Finished) for event in delta.events):
                delta.events = (*delta.events, Finished("tool_calls"))
            delta.last, delta.finish = True, "tool_calls"
        await self._relay(delta)

    def _kept(self, events: tuple[Event, ...]) -> Iterator[Event]:
        for event in events:
            if isinstance(event, ToolCallBegan):
                if event.choice in self._calling:
                    self._cut.add(event.choice)
                self._calling.add(event.choice)
            if event.choice not in self._cut or isinstance(event, Finished):
                yield event


def _first_calls(body: bytes) -> bytes:
    """A whole answer, each choice with its first call only; the same bytes where none has more."""
    answer = msgspec.json.decode(body)
    choices = [choice["message"] for choice in answer["choices"]]
    several = [message for message in choices if _several(message)]
    for message in several:
        message["tool_calls"] = message["tool_calls"][:1]
    return msgspec.json.encode(answer) if several else body


def _several(message: Any) -> bool:
    calls = message.get("tool_calls") if isinstance(message, dict) else None
    return isinstance(calls, list) and len(calls) > 1
