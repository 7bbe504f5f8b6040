"""Prompts as the dialect hands them on, and what an engine pushed for them."""

import json
from typing import Any

import msgspec

from portico.canon.conversation import Conversation
from portico.canon.delta import Delta
from portico.canon.prompt import Prompt
from portico.canon.usage import Meters
from portico.dialects.openai_chat.writer import writer_for
from portico.engines.base import Engine

HELLO = [{"role": "user", "content": "Hello"}]


def prompt_of(needs: frozenset[str] = frozenset(), **fields: Any) -> Prompt:
    """A checked Chat request with these members."""
    fields = {"model": "public-name", "messages": HELLO, **fields}
    body = json.dumps(fields).encode()
    options = fields.get("stream_options") or {}
    return Prompt(
        dialect="openai_chat",
        model=fields["model"],
        stream=bool(fields.get("stream")),
        body=body,
        fields=msgspec.json.decode(body, type=dict[str, msgspec.Raw]),
        wants_usage=bool(options.get("include_usage")),
        choices=fields.get("n") or 1,
        output_tokens_max=fields.get("max_tokens"),
        input_tokens_guess=len(body) // 4,
        needs=needs,  # type: ignore[arg-type]  # literals in tests
        conversation=lambda: Conversation(()),
    )


class Heard:
    """What an engine pushed, and what its caller reads of it."""

    def __init__(self, prompt: Prompt) -> None:
        self.deltas: list[Delta] = []
        self.written = b""
        self._writer = writer_for(prompt, "req_1", 0)

    async def relay(self, delta: Delta) -> None:
        assert not self.over, "nothing follows the last delta"
        self.deltas.append(delta)
        self.written += self._writer.write(delta)

    @property
    def over(self) -> bool:
        return bool(self.deltas) and self.deltas[-1].last

    @property
    def meters(self) -> Meters:
        """The engine's latest total."""
        return [delta.meters for delta in self.deltas if delta.meters][-1]


async def heard(engine: Engine, prompt: Prompt) -> Heard:
    found = Heard(prompt)
    await engine.generate(prompt, found.relay)
    return found
