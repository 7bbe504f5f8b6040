"""How much was counted in the last 60 s.  Pure.

Time is cut into slots of half a second.  A window holds the slot that runs and the 120 before it, so
every 60 s there are lie within one: a limit is never passed, and at most a 120th of it is held back.
"""

from collections import deque

SLOT_S = 0.5
SLOTS = 121
WINDOW_S = 60.0


def slot_of(now_s: float) -> int:
    return int(now_s / SLOT_S)


class Counts:
    __slots__ = ("_heard", "_slots", "total")

    def __init__(self) -> None:
        self.total = 0
        self._heard = 0
        self._slots: deque[list[int]] = deque()
        """[slot, count], oldest first; slots in which nothing came are left out."""

    def used(self, slot: int) -> int:
        """In the window that ends with `slot`."""
        slots, first = self._slots, slot - SLOTS + 1
        while slots and slots[0][0] < first:
            self.total -= slots.popleft()[1]
        return self.total

    def add(self, slot: int, count: int) -> None:
        """slot: this one or, to correct what was counted then, an older one.  Of which no more is
        given back than was counted: what is less than nothing would make room."""
        slots = self._slots
        if not slots or slots[-1][0] < slot:
            if count >= 0:
                slots.append([slot, count])
                self.total += count
            return
        for entry in reversed(slots):
            if entry[0] == slot:
                change = max(count, -entry[1])
                entry[1] += change
                self.total += change
                return
        # It has left the window: nothing to correct any more.

    def become(self, slot: int, total: int, number: int, latest: int) -> None:
        """So much it is, as somebody says who knows better, but not when it came: what was not known
        of is as new as can be, and what is not there any more was the oldest.

        slot: now.  number: of the question, latest: of the last that was asked.  Answers overtake
        each other: one takes nothing back of what was heard after its question was asked."""
        over = self.used(slot) - total
        if over < 0:
            self.add(slot, -over)
            self._heard = latest
        if number <= self._heard:
            return
        for entry in self._slots:
            if over <= 0:
                return
            gone = min(over, entry[1])
            entry[1] -= gone
            self.total -= gone
            over -= gone

    def wait_s(self, slot: int, need: int, limit: int) -> float:
        """Until `need` more would fit, if nobody else comes; WINDOW_S where they never would."""
        over = self.used(slot) + need - limit
        for at, count in self._slots:
            if over <= 0:
                break
            over -= count
            if over <= 0:
                return (at + SLOTS - slot) * SLOT_S
        return WINDOW_S if over > 0 else 0.0
