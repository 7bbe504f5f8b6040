"""How long a commit should wait for others to come in.

A commit costs nearly the same for one row and for twenty, so under load the cheapest thing to do
is to wait; a row that is alone gains nothing by it and goes at once.
"""

from math import exp

_CROWD = 4
"""So many expected in one interval that waiting for all of it pays."""
_MEMORY_S = 0.1


class Pace:
    """Belongs to the writer's thread.

    interval_s: the longest pause between the beginnings of two commits.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._seen = 0.0
        """Waited for within about `_MEMORY_S`, older ones counting less and less."""
        self._at_s = 0.0

    def next_s(self, waiting: int, now_s: float) -> float:
        """When the commit after this one should begin; `waiting` are waited for in this one.

        Goes by how many come, not by how many came together: small commits would otherwise keep
        the next ones small.
        """
        self._seen = self._seen * exp((self._at_s - now_s) / _MEMORY_S) + waiting
        self._at_s = now_s
        share = min(1.0, self._seen / _MEMORY_S * self._interval_s / _CROWD)
        # Squared: below half of a crowd the wait costs more than the sharing saves.
        return now_s + share * share * self._interval_s
