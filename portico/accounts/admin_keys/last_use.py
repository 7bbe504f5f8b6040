"""When each admin key was last used: to the minute, written in batches, and late."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import Connection

from portico import errors
from portico.accounts.admin_keys import store
from portico.kit.clock import Clock

Write = Callable[[Callable[[Connection], None]], Awaitable[Any]]
"""Run a change in the writer's next transaction."""

_EVERY_S = 60.0
_MINUTE_MS = 60_000
log = logging.getLogger(__name__)


class LastUse:
    """One event loop owns this object.  Only keys that exist are noted, so it is as large as they
    are many."""

    def __init__(self, write: Write, clock: Clock) -> None:
        self._write = write
        self._clock = clock
        self._noted: dict[str, int] = {}

    def note(self, key_id: str) -> None:
        self._noted[key_id] = self._clock.wall_ms() // _MINUTE_MS * _MINUTE_MS

    async def flush(self) -> None:
        """Write what was noted.  Raises: Refusal: storage_unavailable; it stays noted then."""
        noted, self._noted = self._noted, {}
        if not noted:
            return
        try:
            await self._write(lambda connection: store.note_use(connection, noted))
        except errors.Refusal:
            self._noted = {**noted, **self._noted}
            raise

    async def run(self) -> None:
        """For as long as the server runs."""
        while True:
            await asyncio.sleep(_EVERY_S)
            try:
                await self.flush()
            except errors.Refusal as refusal:
                log.warning("the last use of admin keys is written later: %s", refusal.message)
