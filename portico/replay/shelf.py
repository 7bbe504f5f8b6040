"""How much of a project's answers is stored: counted as they come, looked up now and then."""

import asyncio
from collections.abc import Callable
from functools import partial

from sqlalchemy import Connection

from portico.db.readers import Readers
from portico.kit.clock import Clock
from portico.replay import store

_LOOK_EVERY_S = 60.0
_NEARLY = (3, 4)
"""From this share of the room on it is looked up what has expired since."""


class Shelf:
    """A project's room.  It has none before it was looked up.

    bytes_max: of all that is stored.  stored_bytes: None where nobody knows yet.
    """

    __slots__ = ("_bytes_max", "_stored_bytes", "first_look", "looked_at_s")

    def __init__(self, bytes_max: int, stored_bytes: int | None = None) -> None:
        self.looked_at_s = 0.0
        self.first_look: asyncio.Future[int] | None = None
        """Everybody waits for it: an answer that came before its end would have no room."""
        self._bytes_max = bytes_max
        self._stored_bytes = stored_bytes

    def take(self, count: int) -> bool:
        """Room for an answer of so many bytes.  False where there is none."""
        if self._stored_bytes is None or self._stored_bytes + count > self._bytes_max:
            return False
        self._stored_bytes += count
        return True

    def give_back(self, count: int) -> None:
        """What `take` gave and nobody needed."""
        if self._stored_bytes is not None:
            self._stored_bytes -= count

    def is_due(self, now_s: float) -> bool:
        """Whether to look again, because what has expired counts here still."""
        numerator, denominator = _NEARLY
        nearly = (self._stored_bytes or 0) * denominator >= self._bytes_max * numerator
        return nearly and now_s - self.looked_at_s >= _LOOK_EVERY_S

    @property
    def is_known(self) -> bool:
        return self._stored_bytes is not None

    @property
    def stored_bytes(self) -> int:
        return self._stored_bytes or 0

    def learn(self, found_bytes: int, stored_before: int) -> None:
        """found_bytes: in the database.  stored_before: as counted when the look began; what came
        since may not have been seen."""
        self._stored_bytes = found_bytes + self.stored_bytes - stored_before


class Shelves:
    """One of each project that names keys.  One event loop owns this object.

    What other servers store on the same database is seen with the next look only: the bound holds
    for each of them exactly, and for all together from one look to the next.
    """

    def __init__(self, readers: Readers, clock: Clock, bytes_max: int) -> None:
        self._readers = readers
        self._clock = clock
        self._bytes_max = bytes_max
        self._shelves: dict[str, Shelf] = {}

    async def of(self, project_id: str, tenant: str | None = None) -> Shelf:
        """Waits for the database at a project's first key, and once a minute while it is nearly full."""
        shelf = self._shelves.get(project_id)
        if shelf is None:
            shelf = self._shelves[project_id] = Shelf(self._bytes_max)
        if not shelf.is_known:
            await self._look_first(shelf, project_id, tenant)
        elif shelf.is_due(self._clock.monotonic_s()):
            await self._look_again(shelf, project_id, tenant)
        return shelf

    async def _look_first(self, shelf: Shelf, project_id: str, tenant: str | None) -> None:
        """One look for all who wait; it goes on where one of them hangs up."""
        if shelf.first_look is None or shelf.first_look.done():
            shelf.first_look = self._readers.submit(_stored(project_id), tenant=tenant)
        found = await asyncio.shield(shelf.first_look)
        if not shelf.is_known:
            shelf.looked_at_s = self._clock.monotonic_s()
            shelf.learn(found, 0)

    async def _look_again(self, shelf: Shelf, project_id: str, tenant: str | None) -> None:
        """Nobody else needs to, meanwhile."""
        before_s, shelf.looked_at_s = shelf.looked_at_s, self._clock.monotonic_s()
        stored_before = shelf.stored_bytes
        try:
            found = await self._readers.run(_stored(project_id), tenant=tenant)
        except BaseException:
            shelf.looked_at_s = before_s
            raise
        shelf.learn(found, stored_before)


def _stored(project_id: str) -> Callable[[Connection], int]:
    return partial(store.stored_bytes, project_id=project_id)
