"""Looks once a minute at how what is kept is doing, for those who watch."""

import asyncio
import logging
from functools import partial

from sqlalchemy.exc import DBAPIError

from portico.db.readers import Readers
from portico.keeping import survey
from portico.keeping.survey import Survey
from portico.kit.clock import Clock

_EVERY_S = 60.0
_SOON_S = 5.0
"""After a start: until then there may be leftovers that others are about to take up."""
log = logging.getLogger(__name__)


class Surveying:
    """readers: on which no request that is to be served waits."""

    def __init__(self, readers: Readers, clock: Clock) -> None:
        self._readers = readers
        self._clock = clock
        self.last: Survey | None = None

    async def run(self) -> None:
        """Ends when cancelled."""
        await asyncio.sleep(_SOON_S)
        while True:
            try:
                await self.once()
            except DBAPIError as error:
                log.warning("nobody knows now how much is kept: %s", error)
            await asyncio.sleep(_EVERY_S)

    async def once(self) -> None:
        now_ms = self._clock.wall_ms()
        found = await self._readers.run(partial(survey.taken, now_ms=now_ms))
        if found.overdue and not (self.last and self.last.overdue):
            log.warning("%d rows or projects should hold nothing any more and do", found.overdue)
        self.last = found

    def rows(self, kind: str) -> float:
        return 0.0 if self.last is None else self.last.rows[kind]

    def overdue(self) -> float:
        return 0.0 if self.last is None else self.last.overdue

    def oldest_s(self) -> float:
        """How long ago began what has not ended, and began first; 0 where nothing is under way."""
        since_ms = None if self.last is None else self.last.oldest_ms
        return 0.0 if since_ms is None else max(0.0, (self._clock.wall_ms() - since_ms) / 1000)
