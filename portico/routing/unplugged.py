"""An engine whose plug is pulled for a drill, as those who ask it see that.

It gets its plug back by itself: whoever pulled it may be gone by then.
"""

from portico import errors
from portico.canon.prompt import Prompt
from portico.engines.base import Engine, Relay, UpstreamFailed
from portico.kit.clock import Clock


class Unplugged:
    """See `base.Engine`.  Answers under way at `engine` go on: a drill costs no caller anything."""

    def __init__(self, engine: Engine, clock: Clock, until_s: float) -> None:
        """until_s: monotonic; from then on it is `engine` again."""
        self.abilities = engine.abilities
        self._engine = engine
        self._clock = clock
        self._until_s = until_s

    @property
    def ready(self) -> bool:
        """That a plug was pulled is found out by asking, as with any engine."""
        return self._engine.ready

    async def generate(self, prompt: Prompt, relay: Relay) -> None:
        if self._is_cut:
            raise UpstreamFailed(
                errors.ENGINE_UNAVAILABLE(
                    "The engine behind this model cannot be reached.", retry_after_ms=1_000
                )
            )
        await self._engine.generate(prompt, relay)

    async def count(self, prompt: Prompt) -> int | None:
        return None if self._is_cut else await self._engine.count(prompt)

    async def close(self) -> None:
        await self._engine.close()

    @property
    def _is_cut(self) -> bool:
        return self._clock.monotonic_s() < self._until_s
