"""Several prompts of one request, for an engine that takes one at a time."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from portico.canon.delta import Delta
from portico.canon.prompt import Prompt
from portico.canon.usage import NOTHING, Meters
from portico.engines.base import Relay

Generate = Callable[[Prompt, Relay], Awaitable[None]]


async def one_by_one(prompts: Sequence[Prompt], generate: Generate, relay: Relay) -> None:
    """Answer one after the other, as one answer: choices follow each other, figures add up.

    `generate` must give events, not bytes.  Raises: what it raises.
    """
    before, first_choice = NOTHING, 0
    for at, prompt in enumerate(prompts):
        part = _Part(relay, before, first_choice, last=at == len(prompts) - 1)
        await generate(prompt, part.relay)
        before, first_choice = part.total(), first_choice + prompt.choices


class _Part:
    """One of the prompts, while it is answered."""

    def __init__(self, relay: Relay, before: Meters, first_choice: int, *, last: bool) -> None:
        self._relay = relay
        self._before = before
        self._first_choice = first_choice
        self._last = last
        self._told = NOTHING
        self._counted = 0

    async def relay(self, delta: Delta) -> None:
        if delta.meters is not None:
            self._told, self._counted = delta.meters, 0
            delta.meters = self._before.plus(delta.meters)
        self._counted += delta.output_tokens
        if self._first_choice:
            delta.events = tuple(
                replace(event, choice=event.choice + self._first_choice) for event in delta.events
            )
            delta.finish = ""  # that of the very first choice is told
        delta.last = delta.last and self._last
        await self._relay(delta)

    def total(self) -> Meters:
        """Of this one and those before it."""
        return self._before.plus(self._told).plus(Meters(output_text=self._counted))
