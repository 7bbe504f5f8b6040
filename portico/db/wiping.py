"""What was deleted does not stay readable in the database's log, and its room goes back to the disk."""

import asyncio
import logging

from portico.db.database import Database

log = logging.getLogger(__name__)

_EVERY_S = 3_600.0
_AGAIN_S = 60.0
_STEPS = 2_000
"""At most, in one round."""
_BREATH_S = 0.05
"""Between two steps, for those who wait to write."""


class Wiping:
    """Once an hour: a log that is cut off makes the commits after it wait a little."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self) -> None:
        """Ends when cancelled."""
        pause_s = _EVERY_S
        while True:
            await asyncio.sleep(pause_s)
            pause_s = _EVERY_S if await self.once() else _AGAIN_S

    async def once(self) -> bool:
        """False where it is to be tried again soon."""
        try:
            await self._shrink()
            return await asyncio.to_thread(self._database.wipe)
        except Exception as error:
            trouble = self._database.backend.trouble(error)
            if trouble is None:
                raise
            log.warning("the database's log is not wiped now: %s", trouble.says)
            return False

    async def _shrink(self) -> None:
        for _ in range(_STEPS):
            if not await asyncio.to_thread(self._database.shrink):
                return
            await asyncio.sleep(_BREATH_S)
