"""Time comes in through the front door: one object per process, replaced in tests."""

import time
from typing import Protocol


class Clock(Protocol):
    def monotonic_s(self) -> float:
        """For durations, limits and deadlines.  Never for dates."""
        ...

    def wall_ms(self) -> int:
        """Milliseconds since the Unix epoch.  For dates people read, never for durations."""
        ...


class SystemClock:
    __slots__ = ()

    monotonic_s = staticmethod(time.monotonic)
    """The function itself: a request asks ten times, and a method around it would double that."""

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000
