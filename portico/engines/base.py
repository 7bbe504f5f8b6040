"""The port every engine implements."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from portico.canon.delta import Delta
from portico.canon.prompt import Feature, Prompt
from portico.errors import Refusal

Relay = Callable[[Delta], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Abilities:
    """What an engine can do with its model."""

    features: frozenset[Feature]
    context_tokens: int | None
    """Input and output together; None when the engine does not say."""
    concurrency_max: int
    """Requests it runs at once; admission keeps the rest outside."""
    image_types: frozenset[str] = frozenset({"image/png", "image/jpeg"})
    """Media types of pictures it takes: these two all engines do that see."""
    image_pixels_max: int | None = None
    """Of one picture; None where it has no bound of its own."""
    sees_pages: bool = False
    """It surely sees pictures, so it is shown the pages of PDF files, too."""


class Engine(Protocol):
    abilities: Abilities

    @property
    def ready(self) -> bool:
        """May a request be sent now?  Answers at once, from what is already known."""
        ...

    async def generate(self, prompt: Prompt, relay: Relay) -> None:
        """Answer `prompt`, pushing every step through `relay`; the final one has `last` set.

        Closes its upstream before it returns or raises, also when cancelled: a cancelled
        generate() stops the engine at once (within 250 ms).
        Raises: Refusal (the caller's fault, no use elsewhere), UpstreamFailed (ours).
        """
        ...

    async def count(self, prompt: Prompt) -> int | None:
        """Tokens of `prompt` as this engine would read it; None where it cannot say.

        Raises: Refusal: it could not be read at all.
        """
        ...

    async def close(self) -> None: ...


class UpstreamFailed(Exception):
    """The engine did not do its work.  `refusal` is what the caller is told if nobody else can."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
