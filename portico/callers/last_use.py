"""When each key was last used: to the minute, written in batches, and late.

Noted when a key is looked up, which happens every few seconds to one in use and costs a request
nothing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import Connection

from portico import errors
from portico.callers import store
from portico.kit.clock import Clock

Write = Callable[[Callable[[Connection], None]], Awaitable[Any]]
"""Run a change in the writer's next transaction."""

_EVERY_S = 60.0
_MINUTE_MS = 60_000
_NOTED_MAX = 100_000
log = logging.getLogger(__name__)


class LastUse:
    """One event loop owns this object."""

    def __init__(self, write: Write, clock: Clock) -> None:
        self._write = write
        self._clock = clock
        self._noted: dict[str, int] = {}

    def note(self, credential_id: str) -> None:
        if len(self._noted) < _NOTED_MAX:
            self._noted[credential_id] = self._clock.wall_ms() // _MINUTE_MS * _MINUTE_MS

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
                log.warning("the last use of keys is written later: %s", refusal.message)
