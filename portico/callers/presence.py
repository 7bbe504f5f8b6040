"""Who is being served now, by the key that was sent: what is revoked is cut off.

A key is checked when a request arrives; an answer may run for an hour after that.  Every few
seconds one query asks which of the keys being served have ended since.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Protocol

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from portico.callers import store
from portico.db.readers import Readers
from portico.kit.clock import Clock
from portico.kit.leaving import REVOKED, Leaving

_EVERY_S = 3.0
"""With the question itself it must stay under the 10 s that are promised."""
_ASKED_AT_ONCE = 500
log = logging.getLogger(__name__)


class Ended(Protocol):
    def __call__(self, connection: Connection, ids: Iterable[str], now_ms: int) -> set[str]: ...


class Presence:
    """One event loop owns this object."""

    def __init__(
        self,
        readers: Readers,
        clock: Clock,
        forget: Callable[[Collection[str]], None],
        ended: Ended = store.ended,
    ) -> None:
        """forget: told which keys have ended, so that none of them is taken for good any more.
        ended: asks which have."""
        self._ended = ended
        self._readers = readers
        self._clock = clock
        self._forget = forget
        self._here: dict[Leaving, str] = {}
        """By request: entering and going are two of every request, looking is not."""

    def enter(self, credential_id: str, leaving: Leaving) -> None:
        self._here[leaving] = credential_id

    def go(self, leaving: Leaving) -> None:
        """Whoever entered goes; without effect for one that never did."""
        self._here.pop(leaving, None)

    async def look(self) -> int:
        """Cut off whoever was served for a key that has ended; how many requests that were.

        Raises: sqlalchemy.exc.SQLAlchemyError.
        """
        ids = list(set(self._here.values()))
        cut = 0
        for start in range(0, len(ids), _ASKED_AT_ONCE):
            some, now_ms = ids[start : start + _ASKED_AT_ONCE], self._clock.wall_ms()
            ended = await self._readers.run(partial(self._ended, ids=some, now_ms=now_ms))
            if ended:
                self._forget(ended)
                for leaving in [each for each, key in self._here.items() if key in ended]:
                    leaving.leave(REVOKED)
                    cut += 1
        return cut

    async def run(self) -> None:
        """For as long as the server runs."""
        while True:
            await asyncio.sleep(_EVERY_S)
            try:
                cut = await self.look()
            except SQLAlchemyError as error:
                log.warning("keys in use could not be checked: %s", error)
                continue
            if cut:
                log.info("%d requests were cut off: their keys have ended", cut)
