"""Prompts for providers, and what their engines pushed for them."""

import json
from dataclasses import replace
from typing import Any

import msgspec

from portico.canon.conversation import Conversation, Message, TextPart
from portico.canon.delta import Delta, Event, ToolCallBegan
from portico.canon.prompt import Compatibility, Prompt
from portico.canon.usage import Meters
from portico.engines.base import Engine

HI = (Message("user", (TextPart("Hi"),)),)


def foreign(
    *items: Any,
    output_tokens_max: int | None = None,
    choices: int = 1,
    compatibility: Compatibility = "warn",
    **said: Any,
) -> Prompt:
    """Of a caller who speaks none of the providers' dialects.  said: of its conversation."""
    conversation = Conversation(items or HI, **said)
    return msgspec.structs.replace(
        native("other", {}),
        choices=choices,
        output_tokens_max=output_tokens_max,
        compatibility=compatibility,
        conversation=lambda: conversation,
    )


def native(dialect: str, body: dict[str, Any], *, stream: bool = True, **changed: Any) -> Prompt:
    """Of a caller who speaks `dialect`."""
    raw = json.dumps(body).encode()
    prompt = Prompt(
        dialect=dialect,
        model="public-name",
        stream=stream,
        body=raw,
        fields=msgspec.json.decode(raw, type=dict[str, msgspec.Raw]),
        wants_usage=False,
        choices=1,
        output_tokens_max=None,
        input_tokens_guess=len(raw) // 4,
        needs=frozenset(),
        conversation=lambda: Conversation(HI),
    )
    return msgspec.structs.replace(prompt, **changed)


class Heard:
    """What an engine pushed."""

    def __init__(self) -> None:
        self.deltas: list[Delta] = []

    async def relay(self, delta: Delta) -> None:
        assert not self.over, "nothing follows the last delta"
        self.deltas.append(delta)

    @property
    def over(self) -> bool:
        return bool(self.deltas) and self.deltas[-1].last

    @property
    def events(self) -> tuple[Event, ...]:
        return tuple(event for delta in self.deltas for event in delta.events)

    @property
    def raw(self) -> bytes:
        return b"".join(delta.raw for delta in self.deltas)

    @property
    def meters(self) -> Meters | None:
        """The latest total."""
        told = [delta.meters for delta in self.deltas if delta.meters]
        return told[-1] if told else None


async def heard(engine: Engine, prompt: Prompt) -> Heard:
    found = Heard()
    await engine.generate(prompt, found.relay)
    return found


def without_ids(events: tuple[Event, ...], of: tuple[Event, ...]) -> tuple[Event, ...]:
    """`events`, with ids of our own making left out where `of` leaves them out."""
    unnamed = {e.index for e in of if isinstance(e, ToolCallBegan) and not e.id}
    return tuple(
        replace(e, id="") if isinstance(e, ToolCallBegan) and e.index in unnamed else e
        for e in events
    )
