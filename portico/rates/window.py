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
    __slots__ = ("_slots", "total")

    def __init__(self) -> None:
        self.total = 0
        self._slots: deque[list[int]] = deque()
        """[slot, count], oldest first; slots in which nothing came are left out."""

    def used(self, slot: int) -> int:
        """In the window that ends with `slot`."""
        slots, first = self._slots, slot - SLOTS + 1
        while slots and slots[0][0] < first:
            self.total -= slots.popleft()[1]
        return self.total

    def add(self, slot: int, count: int) -> None:
        """slot: this one or, to correct what was counted then, an older one."""
        slots = self._slots
        if not slots or slots[-1][0] < slot:
            slots.append([slot, count])
            self.total += count
            return
        for entry in reversed(slots):
            if entry[0] == slot:
                entry[1] += count
                self.total += count
                return
        # It has left the window: nothing to correct any more.

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

    def reset_s(self, slot: int) -> float:
        """Until nothing is counted any more."""
        return (self._slots[-1][0] + SLOTS - slot) * SLOT_S if self.used(slot) else 0.0
