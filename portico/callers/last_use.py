"""When each key was last used: to the minute, written in batches, and late.

Noted when a key is looked up, which happens every few seconds to one in use and costs a request
nothing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from itertools import islice
from typing import Any, Protocol

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from portico import errors
from portico.kit.clock import Clock

Write = Callable[[Callable[[Connection], None]], Awaitable[Any]]
"""Run a change in the writer's next transaction."""


class NoteUse(Protocol):
    def __call__(self, connection: Connection, used: Mapping[str, int]) -> None:
        """used: by key, when (wall clock, milliseconds)."""
        ...


_EVERY_S = 60.0
_MINUTE_MS = 60_000
_NOTED_MAX = 100_000
_WRITTEN_AT_ONCE = 1_000
log = logging.getLogger(__name__)


class LastUse:
    """One event loop owns this object."""

    def __init__(self, write: Write, clock: Clock, note_use: NoteUse) -> None:
        self._write = write
        self._note_use = note_use
        self._clock = clock
        self._noted: dict[str, int] = {}

    def note(self, credential_id: str) -> None:
        if len(self._noted) < _NOTED_MAX:
            self._noted[credential_id] = self._clock.wall_ms() // _MINUTE_MS * _MINUTE_MS

    async def flush(self) -> None:
        """Write what was noted, some at a time: requests wait for the commits they share with it.

        Raises: Refusal: storage_unavailable; what was not written stays noted then.
        sqlalchemy.exc.SQLAlchemyError; what could not be written is forgotten.
        """
        noted, self._noted = self._noted, {}
        try:
            while noted:
                some = dict(islice(noted.items(), _WRITTEN_AT_ONCE))
                await self._write(partial(self._note_use, used=some))
                for credential_id in some:
                    del noted[credential_id]
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
            except SQLAlchemyError as error:  # nothing to end the server for
                log.warning("the last use of keys could not be written: %s", error)
