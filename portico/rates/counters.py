"""Who counts: this process, or Valkey for all of them."""

from collections.abc import Sequence
from typing import Protocol

from portico.kit.clock import Clock
from portico.rates.model import Count, Window
from portico.rates.window import Counts, slot_of

Needs = Sequence[tuple[Window, int]]
"""Windows, and what a request takes of each."""
Changes = Sequence[tuple[Window, Count | None, int]]
"""Windows, where each was counted (None: it is counted now), and what was too much or too little."""

NOW = -1
"""In the place of a slot."""
_KEPT_MAX = 200_000
"""Windows remembered; beyond it those that nobody counted in for the longest are forgotten."""


class Counters(Protocol):
    async def take(self, needs: Needs) -> tuple[bool, list[Count]]:
        """Count all of them, or none: did all fit?, and where each stands.

        Also of what needs nothing yet, as its tokens are only known afterwards, something must be
        left.
        """
        ...

    def correct(self, changes: Changes) -> None:
        """Never waits."""
        ...

    async def run(self) -> None:
        """What has to be done meanwhile."""
        ...


class Local:
    """This process.  One event loop owns this object."""

    def __init__(self) -> None:
        self._counts: dict[str, Counts] = {}

    def take(self, needs: Needs, now_s: float, share: int = 1) -> tuple[bool, list[Count]]:
        """share: how many processes divide each limit."""
        slot = slot_of(now_s)
        kept = [self._of(window.name) for window, _ in needs]
        found, fits = [], True
        for counts, (window, need) in zip(kept, needs, strict=True):
            limit, used = _share(window.limit, share), counts.used(slot)
            wanted = max(need, 1)
            over = used + wanted > limit
            fits = fits and not over
            wait_s = counts.wait_s(slot, wanted, limit) if over else 0.0
            found.append(Count(used, slot, slot, wait_s))
        if fits:
            for counts, (_, need) in zip(kept, needs, strict=True):
                counts.add(slot, need)
            found = [
                Count(count.used + need, slot, slot, 0.0)
                for count, (_, need) in zip(found, needs, strict=True)
            ]
        return fits, found

    def note(self, needs: Needs, now_s: float) -> None:
        """Count what another counter let through, for when that one is away."""
        slot = slot_of(now_s)
        for window, need in needs:
            counts = self._of(window.name)
            counts.used(slot)
            counts.add(slot, need)

    def correct(self, window: Window, slot: int, change: int, now_s: float) -> None:
        counts, now = self._of(window.name), slot_of(now_s)
        counts.used(now)
        counts.add(now if slot == NOW else slot, change)

    def _of(self, name: str) -> Counts:
        counts = self._counts.pop(name, None)
        if counts is None:
            if len(self._counts) >= _KEPT_MAX:
                del self._counts[next(iter(self._counts))]
            counts = Counts()
        self._counts[name] = counts
        return counts


def _share(limit: int, share: int) -> int:
    """At least one, unless there is none at all."""
    return limit if share == 1 else max(limit // share, min(limit, 1))


class Alone:
    """The only server there is."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._local = Local()

    async def take(self, needs: Needs) -> tuple[bool, list[Count]]:
        return self._local.take(needs, self._now_s())

    def correct(self, changes: Changes) -> None:
        now_s = self._now_s()
        for window, count, change in changes:
            self._local.correct(window, NOW if count is None else count.here, change, now_s)

    async def run(self) -> None:
        """Nobody to keep up with."""

    def _now_s(self) -> float:
        return self._clock.monotonic_s()
