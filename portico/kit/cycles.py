"""When Python looks for cycles that nobody can reach any more: often, and little at a time.

Left to itself it goes by the objects that came, less those that went.  While connections come and go,
that sum hardly grows: the collector waits, and then looks at all that came since in one go.
"""

import asyncio
import gc

from portico.kit.clock import Clock

_BITE_S = 0.1
_ALL_S = 60.0
_ALL_SHARE = 0.001
_YOUNG_OBJECTS = 10_000
"""So many new ones within a bite, less those gone, are looked at before it is over."""
_NEVER = 1_000_000_000


class Collector:
    """Belongs to the thread that serves: everything stands still while it looks."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._all_due_s = clock.monotonic_s() + _ALL_S

    def take_over(self) -> None:
        """What exists now lives as long as the process: it is not looked at again."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(_YOUNG_OBJECTS, _NEVER, _NEVER)

    async def run(self) -> None:
        """From the start of serving on.  Ends when cancelled."""
        self.take_over()
        while True:
            await asyncio.sleep(_BITE_S)
            self.bite()

    def bite(self) -> None:
        """Look at what came since the last one.  At everything so seldom that it takes at most a
        thousandth of the time: with thousands of connections it takes a tenth of a second."""
        gc.collect(0)
        now_s = self._clock.monotonic_s()
        if now_s < self._all_due_s:
            return
        gc.collect()
        ended_s = self._clock.monotonic_s()
        self._all_due_s = ended_s + max(_ALL_S, (ended_s - now_s) / _ALL_SHARE)
