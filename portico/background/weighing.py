"""Weighs what projects keep, those that are due, beside the road."""

import asyncio
import logging
from functools import partial

from sqlalchemy import Table
from sqlalchemy.exc import DBAPIError

from portico.db.readers import Readers
from portico.keeping import weighing
from portico.keeping.room import Room
from portico.kit.clock import Clock

_EVERY_S = 5.0
_REST = 20.0
"""After each project, so many times as long as it took: all this takes a small part of one core,
however much is kept."""
log = logging.getLogger(__name__)


class Weighing:
    """readers: on which no request that is to be served waits."""

    def __init__(self, readers: Readers, room: Room, clock: Clock) -> None:
        self._readers = readers
        self._room = room
        self._clock = clock

    async def run(self) -> None:
        """Ends when cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            try:
                await self.once()
            except DBAPIError as error:
                log.warning("nobody knows now how much projects keep: %s", error)

    async def once(self) -> None:
        for project_id in self._room.due():
            began_s = self._clock.monotonic_s()
            found = self._room.weigh(project_id)
            found(await self._weigh(project_id))
            await asyncio.sleep(_REST * (self._clock.monotonic_s() - began_s))

    async def _weigh(self, project_id: str) -> int:
        return sum([await self._part(project_id, table) for table in weighing.WEIGHED])

    async def _part(self, project_id: str, table: Table) -> int:
        size_bytes, after = 0, ""
        while True:
            piece = partial(weighing.weigh, table=table, project_id=project_id, after=after)
            more, after = await self._readers.run(piece)
            size_bytes += more
            if not after:
                return size_bytes
