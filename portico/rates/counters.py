"""Who counts: this process, or Valkey for all of them."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from portico.kit.clock import Clock
from portico.rates.model import Count, Window
from portico.rates.rules import share_of
from portico.rates.window import Counts, slot_of

Needs = Sequence[tuple[Window, int]]
"""Windows, and what a request takes of each."""
Heard = Iterable[tuple[Window, Count]]
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

    async def look(self, windows: Sequence[Window]) -> list[Count]:
        """Where each stands.  Nothing is counted."""
        ...

    def correct(self, changes: Changes) -> None:
        """Never waits."""
        ...

    async def run(self) -> None:
        """What has to be done meanwhile."""
        ...


class Local:
    """This process.  One event loop owns this object.

    It counts what is used of a limit by all, as far as is known here.  While each process keeps to
    its share, `share` of them divide each limit, and each takes the others to be as busy as itself:
    whatever it lets through counts so many times.
    """

    def __init__(self) -> None:
        self._counts: dict[str, Counts] = {}

    def take(self, needs: Needs, now_s: float, share: int = 1) -> tuple[bool, list[Count]]:
        slot = slot_of(now_s)
        kept = [self._of(window.name) for window, _ in needs]
        found, fits = [], True
        for counts, (window, need) in zip(kept, needs, strict=True):
            limit, used = window.limit, counts.used(slot)
            if share > 1:
                limit, used = share_of(limit, share), _part(used, share)
            wanted, wait_s = need or 1, 0.0
            if used + wanted > limit:
                fits = False
                wait_s = counts.wait_s(slot, wanted * share, limit * share)
            found.append(Count(used, slot, slot, wait_s, share))
        if fits:
            for counts, (_, need) in zip(kept, needs, strict=True):
                counts.add(slot, need * share)
            found = [
                Count(count.used + need, slot, slot, 0.0, share)
                for count, (_, need) in zip(found, needs, strict=True)
            ]
        return fits, found

    def look(self, windows: Sequence[Window], now_s: float, share: int = 1) -> list[Count]:
        slot, known = slot_of(now_s), self._counts
        used = [
            _part(known[window.name].used(slot), share) if window.name in known else 0
            for window in windows
        ]
        return [Count(each, slot, slot, 0.0, share) for each in used]

    def hear(self, counts: Heard, now_s: float, number: int, latest: int) -> None:
        """What another counter says of all of them, for when that one is away; see `become`."""
        slot = slot_of(now_s)
        for window, count in counts:
            self._of(window.name).become(slot, count.used, number, latest)

    def correct(self, window: Window, slot: int, change: int, now_s: float, share: int = 1) -> None:
        """share: as when it was counted."""
        counts, now = self._of(window.name), slot_of(now_s)
        counts.used(now)
        counts.add(now if slot == NOW else slot, change * share)

    def _of(self, name: str) -> Counts:
        counts = self._counts.pop(name, None)
        if counts is None:
            if len(self._counts) >= _KEPT_MAX:
                del self._counts[next(iter(self._counts))]
            counts = Counts()
        self._counts[name] = counts
        return counts


def _part(used: int, share: int) -> int:
    """Of what all use, rounded up."""
    return used if share == 1 else -(-used // share)


class Alone:
    """The only server there is."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._local = Local()

    async def take(self, needs: Needs) -> tuple[bool, list[Count]]:
        return self._local.take(needs, self._now_s())

    async def look(self, windows: Sequence[Window]) -> list[Count]:
        return self._local.look(windows, self._now_s())

    def correct(self, changes: Changes) -> None:
        now_s = self._now_s()
        for window, count, change in changes:
            self._local.correct(window, NOW if count is None else count.here, change, now_s)

    async def run(self) -> None:
        """Nobody to keep up with."""

    def _now_s(self) -> float:
        return self._clock.monotonic_s()
