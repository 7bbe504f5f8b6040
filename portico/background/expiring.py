"""What was kept long enough goes."""

import asyncio
import logging
from contextlib import suppress
from functools import partial

from sqlalchemy import Connection, Table, delete, select
from sqlalchemy.exc import DBAPIError

from portico.db.readers import Readers
from portico.db.tables import batch, conversation, response
from portico.db.writer import Writer
from portico.errors import Refusal
from portico.kit.clock import Clock
from portico.resources.batches import store as batches

_EVERY_S = 60.0
_MOST = 200
"""In one transaction, for which others wait."""
_LINES_MOST = 2_000
_TABLES = (response, conversation, batch)
"""What stands below them goes with them."""
log = logging.getLogger(__name__)


class Expiring:
    """Nobody sees what has expired even before it is gone; this makes it gone."""

    def __init__(self, readers: Readers, writer: Writer, clock: Clock) -> None:
        self._readers = readers
        self._writer = writer
        self._clock = clock

    async def run(self) -> None:
        """Ends when cancelled."""
        while True:
            with suppress(Refusal):  # no room: there is another round
                try:
                    await self.once()
                except DBAPIError as error:
                    log.warning("what has expired stays for now: %s", error)
            await asyncio.sleep(_EVERY_S)

    async def once(self) -> int:
        """How many went.  Raises: Refusal: storage_unavailable."""
        gone = 0
        while await self._writer.run(self._remove_lines):
            pass
        for table in _TABLES:
            while ids := await self._readers.run(
                partial(_expired, table=table, now_ms=self._clock.wall_ms())
            ):
                gone += await self._writer.run(partial(_remove, table=table, ids=ids))
        return gone

    def _remove_lines(self, connection: Connection) -> int:
        return batches.remove_expired_lines(connection, self._clock.wall_ms(), _LINES_MOST)


def _expired(connection: Connection, table: Table, now_ms: int) -> list[str]:
    query = select(table.c.id).where(table.c.expires_at_ms <= now_ms)
    return list(connection.execute(query.order_by(table.c.expires_at_ms).limit(_MOST)).scalars())


def _remove(connection: Connection, table: Table, ids: list[str]) -> int:
    return connection.execute(delete(table).where(table.c.id.in_(ids))).rowcount
