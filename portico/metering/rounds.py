"""Who is written down next: everybody within a round, a few at a time.

Hundreds in one commit are milliseconds of the writer's, for which every settlement behind them waits;
streams that began together would come together for ever.
"""

from itertools import takewhile
from typing import Generic, Protocol, TypeVar


class Due(Protocol):
    @property
    def id(self) -> str: ...

    checkpoint_due_s: float
    """Monotonic; kept by the rounds once it is with them."""


T = TypeVar("T", bound=Due)


class Rounds(Generic[T]):
    """
    first_s: from `enter` to the first time.
    round_s: from one time to the next, at most.
    tick_s: how often somebody asks.
    """

    def __init__(self, *, first_s: float, round_s: float, tick_s: float) -> None:
        self._first_s = first_s
        self._round_s = round_s
        self._share = tick_s / round_s
        self._new: dict[str, T] = {}
        self._known: dict[str, T] = {}
        """Both in the order in which they are due."""
        self._share_left = 0.0

    def __len__(self) -> int:
        return len(self._new) + len(self._known)

    def enter(self, record: T, now_s: float) -> None:
        """Nothing of it is written yet."""
        record.checkpoint_due_s = now_s + self._first_s
        self._new[record.id] = record

    def written(self, record: T, now_s: float) -> None:
        """It is on its way to the disk; it comes again after all others that are there now."""
        self.leave(record)
        record.checkpoint_due_s = now_s + self._round_s
        self._known[record.id] = record

    def leave(self, record: T) -> None:
        if self._new.pop(record.id, None) is None:
            self._known.pop(record.id, None)

    def first(self, now_s: float) -> list[T]:
        """Those of whom nothing is written, and should be."""
        return list(takewhile(lambda record: record.checkpoint_due_s <= now_s, self._new.values()))

    def turn(self, now_s: float) -> list[T]:
        """Once a tick: its share of those that were written before, or there would be a crowd when
        they are due; and whoever is due."""
        self._share_left += len(self._known) * self._share
        share = int(self._share_left)
        self._share_left -= share
        found: list[T] = []
        for record in self._known.values():
            if len(found) >= share and record.checkpoint_due_s > now_s:
                break
            found.append(record)
        return found
