"""What is being made in this process while nobody waits, for those who look in on it."""

import asyncio

from portico.kit.leaving import Leaving
from portico.resources.background.model import Task
from portico.resources.background.rules import FIRST_EVENTS, ends, events_in


class Live:
    """One response.  Made and used on one event loop.

    events: of its stream, all of them from the first on.  saved: how many of them are on disk.
    """

    def __init__(self, task: Task, before: list[bytes], leaving: Leaving) -> None:
        """before: what earlier tries have said."""
        self.task = task
        self.leaving = leaving
        self.events = before
        self.saved = len(before)
        self.over = False
        self._number = 0
        self._changed = asyncio.Event()

    def take(self, data: bytes) -> None:
        """From the writer of the answer, which begins at the beginning with every try."""
        for event in events_in(data):
            if self._number >= len(self.events):
                self.events.append(event)
            self._number += 1
        self._stir()

    def end(self) -> None:
        """Nothing comes any more."""
        self.over = True
        self._stir()

    @property
    def begun(self) -> bool:
        """Has this try said anything?"""
        return self._number > FIRST_EVENTS

    @property
    def said_its_end(self) -> bool:
        return bool(self.events) and ends(self.events[-1])

    async def change(self, patience_s: float) -> bool:
        """Returns once there is more, or it is over; False where nothing came in that time."""
        changed = self._changed
        try:
            async with asyncio.timeout(patience_s):
                await changed.wait()
        except TimeoutError:
            return False
        return True

    def _stir(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class Lives:
    """By the id of the response.  One event loop owns this object."""

    def __init__(self) -> None:
        self._all: dict[str, Live] = {}
        self.news = asyncio.Event()
        """Set when there is something new in the line."""

    def add(self, live: Live) -> None:
        self._all[live.task.id] = live

    def remove(self, live: Live) -> None:
        if self._all.get(live.task.id) is live:
            del self._all[live.task.id]

    def get(self, response_id: str) -> Live | None:
        return self._all.get(response_id)

    def all(self) -> list[Live]:
        return list(self._all.values())
