"""When Python looks for cycles that nobody can reach any more: often, and little at a time.

Left to itself it goes by the objects that came, less those that went.  While connections come and go,
that sum hardly grows: the collector waits, and then looks at all that came since in one go.
"""

import asyncio
import gc

from portico.kit.clock import Clock

_BITE_S = 0.1
_ALL_S = 60.0
_ALL_S_MAX = 3_600.0
_ALL_SHARE = 0.001
_WORTH_OBJECTS = 1_000
_YOUNG_OBJECTS = 10_000
"""So many new ones within a bite, less those gone, are looked at before it is over."""
_NEVER = 1_000_000_000


class Collector:
    """Belongs to the thread that serves: everything stands still while it looks."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wait_s = _ALL_S
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
        """Look at what came since the last one; and once in a while at everything, which takes a
        twentieth of a second with 2,000 connections.  Found hardly anything?  Then next time after
        twice as long, up to an hour.  In any case it takes at most a thousandth of the time."""
        gc.collect(0)
        now_s = self._clock.monotonic_s()
        if now_s < self._all_due_s:
            return
        worth_it = gc.collect() >= _WORTH_OBJECTS
        ended_s = self._clock.monotonic_s()
        self._wait_s = _ALL_S if worth_it else min(2 * self._wait_s, _ALL_S_MAX)
        self._all_due_s = ended_s + max(self._wait_s, (ended_s - now_s) / _ALL_SHARE)
