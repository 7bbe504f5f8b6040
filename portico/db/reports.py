"""Reads that may be long, asked for by customers: one at a time for each, and none for ever."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Connection

from portico import errors
from portico.db.database import Database
from portico.db.readers import Readers

T = TypeVar("T")
WAITING_MAX = 16
"""Of one organisation: dashboards ask for some at once."""


@dataclass(slots=True)
class _Turn:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    there: int = 0


class Reports:
    """On threads of their own.  An organisation has one of them at most, so that whoever asks for
    much waits behind himself.  One event loop owns this object.

    limit_s: for each statement.
    """

    def __init__(self, database: Database, readers: Readers, limit_s: float) -> None:
        self._readers = readers
        self._backend = database.backend
        self._limit_s = limit_s
        self._turns: dict[str, _Turn] = {}

    async def run(
        self, query: Callable[[Connection], T], tenant: str | None = None, whose: str = ""
    ) -> T:
        """tenant: as `Readers.run`.  whose: the organisation that asks, where that is another; "" for
        the operator.

        Raises: Refusal: concurrency_exceeded, report_too_long.
        """
        name = tenant or whose
        turn = self._turns.setdefault(name, _Turn())
        if turn.there > WAITING_MAX:
            raise errors.CONCURRENCY(
                f"{turn.there} reports are under way or waiting; there may be {WAITING_MAX + 1}.",
                value=turn.there,
                limit=WAITING_MAX + 1,
                retry_after_ms=1_000,
            )
        turn.there += 1
        try:
            async with turn.lock:
                return await self._readers.run(lambda c: self._bounded(c, query), tenant=tenant)
        finally:
            turn.there -= 1
            if not turn.there:
                del self._turns[name]

    def _bounded(self, connection: Connection, query: Callable[[Connection], T]) -> T:
        driver: Any = connection.connection.driver_connection
        self._backend.limit(driver, self._limit_s)
        try:
            return query(connection)
        except Exception as error:
            if not self._backend.took_too_long(error):
                raise
            raise errors.REPORT_TOO_LONG(
                f"This report takes longer than {self._limit_s:g} s.", limit=self._limit_s
            ) from error
        finally:
            self._backend.limit(driver, None)
